package postgres

import (
	"context"
	"errors"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/stile-auth/stile/flows"
	"github.com/stile-auth/stile/flows/store/atrest"
)

const insertRun = `WITH run AS (INSERT INTO runs (id, version, expires, aliases, data) VALUES ($1, $2, $3, $4, $5))
	INSERT INTO run_aliases (alias, run) SELECT a, $1 FROM unnest($6::bytea[]) AS a`

func insertRunArgs(r flows.Record) []any {
	return []any{raw(r.ID), r.Version, atrest.Nanos(r.Expires), atrest.Pack(r.Aliases), atrest.Blob(r.Data), each(r.Aliases)}
}

// Create implements [flows.Store].
func (s *Store) Create(ctx context.Context, r flows.Record, now time.Time) error {
	_, err := s.exec(ctx, insertRun, insertRunArgs(r)...)
	if !errors.Is(err, errUnique) {
		return err
	}
	// Those who hold the id or an alias may have expired.
	return taken(s.together(ctx, func(b *pgx.Batch) {
		b.Queue(`DELETE FROM runs WHERE expires <= $1 AND (id = $2 OR id IN (SELECT run FROM run_aliases WHERE alias = ANY ($3)))`,
			atrest.Nanos(now), raw(r.ID), each(r.Aliases))
		b.Queue(insertRun, insertRunArgs(r)...)
	}))
}

// Load implements [flows.Store].
func (s *Store) Load(ctx context.Context, a flows.Alias, now time.Time) (flows.Record, error) {
	var r runRow
	err := s.read(ctx, `SELECT r.id, r.version, r.expires, r.aliases, r.data
		FROM run_aliases a JOIN runs r ON r.id = a.run WHERE a.alias = $1 AND r.expires > $2`, []any{a[:], atrest.Nanos(now)}, r.columns()...)
	if err != nil {
		return flows.Record{}, err
	}
	return r.record(), nil
}

// Update implements [flows.Store]. [flows.ErrExists] if one of the aliases
// belongs to another run that is still here, even if its time is over.
//
// Who comes second waits for the row, then finds another version in it, and
// changes nothing: the aliases change only with the run.
func (s *Store) Update(ctx context.Context, r flows.Record) error {
	var swapped, there bool
	err := s.row(ctx, `WITH run AS (
			UPDATE runs SET version = $2, expires = $3, aliases = $4, data = $5 WHERE id = $1 AND version = $2 - 1 RETURNING id
		), dropped AS (
			DELETE FROM run_aliases WHERE run = $1 AND alias <> ALL ($6::bytea[]) AND EXISTS (SELECT 1 FROM run)
		), added AS (
			INSERT INTO run_aliases (alias, run) SELECT a, $1 FROM unnest($6::bytea[]) AS a
			WHERE EXISTS (SELECT 1 FROM run) AND NOT EXISTS (SELECT 1 FROM run_aliases WHERE alias = a AND run = $1)
		)
		SELECT EXISTS (SELECT 1 FROM run), EXISTS (SELECT 1 FROM runs WHERE id = $1)`, insertRunArgs(r), &swapped, &there)
	switch {
	case err != nil:
		return taken(err)
	case swapped:
		return nil
	case there:
		return flows.ErrConflict
	}
	return flows.ErrNotFound
}

// Expired implements [flows.Store].
func (s *Store) Expired(ctx context.Context, now time.Time, limit int) ([]flows.Record, error) {
	return list(ctx, s, func(row pgx.Row) (flows.Record, error) {
		var r runRow
		if err := row.Scan(r.columns()...); err != nil {
			return flows.Record{}, driver(err)
		}
		return r.record(), nil
	}, `SELECT id, version, expires, aliases, data FROM runs WHERE expires <= $1 ORDER BY expires, id LIMIT $2`, atrest.Nanos(now), int64(limit))
}

// DeleteExpired implements [flows.Store].
func (s *Store) DeleteExpired(ctx context.Context, now time.Time, limit int) (int, error) {
	return s.sweep(ctx, `DELETE FROM runs WHERE id = ANY (ARRAY
		(SELECT id FROM runs WHERE expires <= $1 ORDER BY expires, id LIMIT $2 FOR UPDATE SKIP LOCKED))`, now, limit)
}

// sweepStep bounds what one transaction deletes, so that others need not wait long.
const sweepStep = 200

// sweep deletes by a query with an instant and a number of rows, in small steps.
// What somebody else holds, another sweep say, it passes over. The rows are chosen in an
// ARRAY, which is computed once: what stands in IN the server may compute again for each row
// that it looks at, and each time choose others.
func (s *Store) sweep(ctx context.Context, query string, now time.Time, limit int) (int, error) {
	deleted := 0
	for deleted < limit {
		step := min(sweepStep, limit-deleted)
		n, err := s.exec(ctx, query, atrest.Nanos(now), int64(step))
		if err != nil {
			return deleted, err
		}
		deleted += int(n)
		if int(n) < step {
			break
		}
	}
	return deleted, nil
}

// runRow is one row as it is kept.
type runRow struct {
	flows.Record
	expires int64
	aliases []byte
}

func (r *runRow) columns() []any {
	return []any{str(&r.ID), &r.Version, &r.expires, &r.aliases, &r.Data}
}

func (r *runRow) record() flows.Record {
	r.Expires, r.Aliases = atrest.Instant(r.expires), atrest.Unpack(r.aliases)
	return r.Record
}

// taken says that an id or an alias is another run's.
func taken(err error) error {
	if errors.Is(err, errUnique) {
		return flows.ErrExists
	}
	return err
}

// each is every alias for itself.
func each(aliases []flows.Alias) [][]byte {
	out := make([][]byte, len(aliases))
	for i, a := range aliases {
		out[i] = a[:]
	}
	return out
}
