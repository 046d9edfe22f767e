package sqlite

import (
	"context"
	"database/sql"
	"errors"
	"time"

	"github.com/stile-auth/stile/flows"
	"github.com/stile-auth/stile/flows/store/atrest"
)

// Create implements [flows.Store].
func (s *Store) Create(ctx context.Context, r flows.Record, now time.Time) error {
	err := s.writer.do(ctx, func(ctx context.Context, w *writer) error { return insertRun(ctx, w, r) })
	if !errors.Is(err, flows.ErrExists) {
		return err
	}
	return s.writer.do(ctx, func(ctx context.Context, w *writer) error {
		if err := removeHolders(ctx, w, r, atrest.Nanos(now)); err != nil {
			return err
		}
		return insertRun(ctx, w, r)
	})
}

// Load implements [flows.Store].
func (s *Store) Load(ctx context.Context, a flows.Alias, now time.Time) (flows.Record, error) {
	var r flows.Record
	var expires int64
	var aliases []byte
	err := s.reader.row(ctx, `SELECT r.id, r.version, r.expires, r.aliases, r.data
		FROM run_aliases a JOIN runs r ON r.row = a.run WHERE a.alias = ? AND r.expires > ?`,
		[]any{a[:], atrest.Nanos(now)}, &r.ID, &r.Version, &expires, &aliases, &r.Data)
	if err != nil {
		return flows.Record{}, err
	}
	r.Expires, r.Aliases = atrest.Instant(expires), atrest.Unpack(aliases)
	return r, nil
}

// Update implements [flows.Store]. [flows.ErrExists] if one of the aliases
// belongs to another run that is still here, even if its time is over.
func (s *Store) Update(ctx context.Context, r flows.Record) error {
	return s.writer.do(ctx, func(ctx context.Context, w *writer) error { return updateRun(ctx, w, r) })
}

// Expired implements [flows.Store].
func (s *Store) Expired(ctx context.Context, now time.Time, limit int) ([]flows.Record, error) {
	var out []flows.Record
	err := s.reader.each(ctx, `SELECT id, version, expires, aliases, data FROM runs WHERE expires <= ? ORDER BY expires, row LIMIT ?`,
		[]any{atrest.Nanos(now), limit}, func(rows *sql.Rows) error {
			var r flows.Record
			var expires int64
			var aliases []byte
			if err := rows.Scan(&r.ID, &r.Version, &expires, &aliases, &r.Data); err != nil {
				return fault(err)
			}
			r.Expires, r.Aliases = atrest.Instant(expires), atrest.Unpack(aliases)
			out = append(out, r)
			return nil
		})
	return out, err
}

// DeleteExpired implements [flows.Store].
func (s *Store) DeleteExpired(ctx context.Context, now time.Time, limit int) (int, error) {
	return s.sweep(ctx, `DELETE FROM runs WHERE row IN (SELECT row FROM runs WHERE expires <= ? ORDER BY expires, row LIMIT ?)`, now, limit)
}

// sweepStep bounds what one transaction deletes, so that others need not wait long.
const sweepStep = 200

// sweep deletes by a query with an instant and a number of rows, in small steps.
func (s *Store) sweep(ctx context.Context, query string, now time.Time, limit int) (int, error) {
	deleted := 0
	for deleted < limit {
		step := min(sweepStep, limit-deleted)
		var n int64
		err := s.writer.do(ctx, func(ctx context.Context, w *writer) (err error) {
			n, err = w.exec(ctx, query, atrest.Nanos(now), step)
			return err
		})
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

// removeHolders removes the runs that hold the id or an alias of r and expired at or before now.
func removeHolders(ctx context.Context, w *writer, r flows.Record, now int64) error {
	if _, err := w.exec(ctx, `DELETE FROM runs WHERE id = ? AND expires <= ?`, r.ID, now); err != nil {
		return err
	}
	for _, a := range r.Aliases {
		_, err := w.exec(ctx, `DELETE FROM runs WHERE row = (SELECT run FROM run_aliases WHERE alias = ?) AND expires <= ?`, a[:], now)
		if err != nil {
			return err
		}
	}
	return nil
}

func insertRun(ctx context.Context, w *writer, r flows.Record) error {
	var row int64
	err := w.row(ctx, `INSERT INTO runs (id, version, expires, aliases, data) VALUES (?, ?, ?, ?, ?) ON CONFLICT DO NOTHING RETURNING row`,
		[]any{r.ID, r.Version, atrest.Nanos(r.Expires), atrest.Pack(r.Aliases), atrest.Blob(r.Data)}, &row)
	if errors.Is(err, flows.ErrNotFound) {
		return flows.ErrExists
	}
	if err != nil {
		return err
	}
	return insertAliases(ctx, w, row, r.Aliases)
}

func insertAliases(ctx context.Context, w *writer, row int64, aliases []flows.Alias) error {
	for _, a := range aliases {
		n, err := w.exec(ctx, `INSERT INTO run_aliases (alias, run) VALUES (?, ?) ON CONFLICT DO NOTHING`, a[:], row)
		if err != nil {
			return err
		}
		if n == 0 {
			return flows.ErrExists
		}
	}
	return nil
}

// updateRun is one statement as long as the aliases stay.
func updateRun(ctx context.Context, w *writer, r flows.Record) error {
	aliases := atrest.Pack(r.Aliases)
	n, err := w.exec(ctx, `UPDATE runs SET version = ?, expires = ?, data = ? WHERE id = ? AND version = ? AND aliases = ?`,
		r.Version, atrest.Nanos(r.Expires), atrest.Blob(r.Data), r.ID, r.Version-1, aliases)
	if err != nil || n == 1 {
		return err
	}
	var row, version int64
	if err := w.row(ctx, `SELECT row, version FROM runs WHERE id = ?`, []any{r.ID}, &row, &version); err != nil {
		return err
	}
	if version != r.Version-1 {
		return flows.ErrConflict
	}
	if _, err := w.exec(ctx, `DELETE FROM run_aliases WHERE run = ?`, row); err != nil {
		return err
	}
	if err := insertAliases(ctx, w, row, r.Aliases); err != nil {
		return err
	}
	_, err = w.exec(ctx, `UPDATE runs SET version = ?, expires = ?, aliases = ?, data = ? WHERE row = ?`,
		r.Version, atrest.Nanos(r.Expires), aliases, atrest.Blob(r.Data), row)
	return err
}
