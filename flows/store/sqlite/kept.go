package sqlite

import (
	"context"
	"database/sql"
	"slices"
	"strings"
	"time"

	"github.com/stile-auth/stile/flows"
	"github.com/stile-auth/stile/flows/store/atrest"
)

const keptColumns = `SELECT id, version, owner, provider, tries, until, data FROM kept`

// PutKept implements [flows.Leftovers].
func (s *Store) PutKept(ctx context.Context, k flows.Kept) error {
	return s.writer.do(ctx, func(ctx context.Context, w *writer) error {
		n, err := w.exec(ctx, `INSERT INTO kept (id, version, owner, provider, tries, until, data) VALUES (?, ?, ?, ?, ?, ?, ?) ON CONFLICT DO NOTHING`,
			k.ID, k.Version, k.Owner, k.Provider, k.Tries, atrest.Nanos(k.Until), atrest.Blob(k.Data))
		if err == nil && n == 0 {
			return flows.ErrExists
		}
		return err
	})
}

// KeptBy implements [flows.Leftovers].
func (s *Store) KeptBy(ctx context.Context, owners ...string) ([]flows.Kept, error) {
	var out []flows.Kept
	for _, owner := range owners {
		some, err := s.keptRows(ctx, keptColumns+` WHERE owner = ?`, owner)
		if err != nil {
			return nil, err
		}
		out = append(out, some...)
	}
	slices.SortFunc(out, func(a, b flows.Kept) int { return strings.Compare(a.ID, b.ID) })
	return slices.CompactFunc(out, func(a, b flows.Kept) bool { return a.ID == b.ID }), nil
}

func (s *Store) keptRows(ctx context.Context, query string, args ...any) ([]flows.Kept, error) {
	var out []flows.Kept
	err := s.reader.each(ctx, query, args, func(rows *sql.Rows) error {
		var k flows.Kept
		var until int64
		if err := rows.Scan(&k.ID, &k.Version, &k.Owner, &k.Provider, &k.Tries, &until, &k.Data); err != nil {
			return fault(err)
		}
		k.Until = atrest.Instant(until)
		out = append(out, k)
		return nil
	})
	return out, err
}

// UpdateKept implements [flows.Leftovers].
func (s *Store) UpdateKept(ctx context.Context, k flows.Kept) error {
	return s.writer.do(ctx, func(ctx context.Context, w *writer) error {
		n, err := w.exec(ctx, `UPDATE kept SET version = ?, owner = ?, provider = ?, tries = ?, until = ?, data = ? WHERE id = ? AND version = ?`,
			k.Version, k.Owner, k.Provider, k.Tries, atrest.Nanos(k.Until), atrest.Blob(k.Data), k.ID, k.Version-1)
		if err != nil || n == 1 {
			return err
		}
		var one int
		if err := w.row(ctx, `SELECT 1 FROM kept WHERE id = ?`, []any{k.ID}, &one); err != nil {
			return err
		}
		return flows.ErrConflict
	})
}

// Forsaken implements [flows.Leftovers].
func (s *Store) Forsaken(ctx context.Context, now time.Time, limit int) ([]flows.Kept, error) {
	return s.keptRows(ctx, keptColumns+` WHERE until <= ? AND NOT EXISTS
		(SELECT 1 FROM sessions WHERE sessions.id = kept.owner AND sessions.expires > ?) ORDER BY until LIMIT ?`, atrest.Nanos(now), atrest.Nanos(now), limit)
}

// DeleteKept implements [flows.Leftovers].
func (s *Store) DeleteKept(ctx context.Context, id string) error {
	return s.writer.do(ctx, func(ctx context.Context, w *writer) error {
		_, err := w.exec(ctx, `DELETE FROM kept WHERE id = ?`, id)
		return err
	})
}
