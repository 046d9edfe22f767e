package postgres

import (
	"context"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/stile-auth/stile/flows"
	"github.com/stile-auth/stile/flows/store/atrest"
)

const selectKept = `SELECT id, version, owner, provider, tries, until, data FROM kept`

// PutKept implements [flows.Leftovers].
func (s *Store) PutKept(ctx context.Context, k flows.Kept) error {
	n, err := s.exec(ctx, `INSERT INTO kept (id, version, owner, provider, tries, until, data) VALUES ($1, $2, $3, $4, $5, $6, $7) ON CONFLICT DO NOTHING`,
		keptArgs(k)...)
	if err == nil && n == 0 {
		err = flows.ErrExists
	}
	return err
}

func keptArgs(k flows.Kept) []any {
	return []any{raw(k.ID), k.Version, raw(k.Owner), raw(k.Provider), int64(k.Tries), atrest.Nanos(k.Until), atrest.Blob(k.Data)}
}

func scanKept(row pgx.Row) (flows.Kept, error) {
	var k flows.Kept
	var until int64
	err := row.Scan(str(&k.ID), &k.Version, str(&k.Owner), str(&k.Provider), &k.Tries, &until, &k.Data)
	k.Until = atrest.Instant(until)
	return k, driver(err)
}

// KeptBy implements [flows.Leftovers].
func (s *Store) KeptBy(ctx context.Context, owners ...string) ([]flows.Kept, error) {
	return list(ctx, s, scanKept, selectKept+` WHERE owner = ANY ($1) ORDER BY id`, raws(owners))
}

// UpdateKept implements [flows.Leftovers].
func (s *Store) UpdateKept(ctx context.Context, k flows.Kept) error {
	var swapped, there bool
	err := s.row(ctx, `WITH one AS (
			UPDATE kept SET version = $2, owner = $3, provider = $4, tries = $5, until = $6, data = $7 WHERE id = $1 AND version = $2 - 1 RETURNING id
		) SELECT EXISTS (SELECT 1 FROM one), EXISTS (SELECT 1 FROM kept WHERE id = $1)`, keptArgs(k), &swapped, &there)
	switch {
	case err != nil || swapped:
		return err
	case there:
		return flows.ErrConflict
	}
	return flows.ErrNotFound
}

// Forsaken implements [flows.Leftovers].
func (s *Store) Forsaken(ctx context.Context, now time.Time, limit int) ([]flows.Kept, error) {
	return list(ctx, s, scanKept, selectKept+` WHERE until <= $1 AND NOT EXISTS
		(SELECT 1 FROM sessions WHERE sessions.id = kept.owner AND sessions.expires > $1) ORDER BY until, id LIMIT $2`, atrest.Nanos(now), int64(limit))
}

// DeleteKept implements [flows.Leftovers].
func (s *Store) DeleteKept(ctx context.Context, id string) error {
	_, err := s.exec(ctx, `DELETE FROM kept WHERE id = $1`, raw(id))
	return err
}
