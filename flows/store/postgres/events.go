package postgres

import (
	"context"
	"encoding/json"
	"fmt"

	"github.com/jackc/pgx/v5"

	"github.com/stile-auth/stile/flows"
	"github.com/stile-auth/stile/flows/store/atrest"
)

// auditLock is held by those who record, with one another, and by who reads,
// alone. Rows are numbered before they are committed; while somebody records, a
// reader could see number 8 before 7 and never come back for it. So a reader waits
// until nobody is between the two; recorders wait for nobody but readers.
const auditLock = 0x617564697400 // "audit"

// Record implements [flows.Recorder]: all of the events are recorded, or none.
func (s *Store) Record(ctx context.Context, events ...flows.Event) error {
	if len(events) == 0 {
		return nil
	}
	ids, times, texts := make([][]byte, len(events)), make([]int64, len(events)), make([]string, len(events))
	for i, e := range events {
		e.Time = e.Time.UTC()
		text, err := json.Marshal(e)
		if err != nil {
			return fmt.Errorf("postgres: event: %w", err)
		}
		ids[i], times[i], texts[i] = raw(e.ID), atrest.Nanos(e.Time), string(text)
	}
	_, err := s.exec(ctx, `WITH held AS MATERIALIZED (SELECT pg_advisory_xact_lock_shared($1))
		INSERT INTO audit (id, time, event)
		SELECT id, time, event FROM held, unnest($2::bytea[], $3::bigint[], $4::text[]) WITH ORDINALITY AS e (id, time, event, n) ORDER BY n
		ON CONFLICT DO NOTHING`, int64(auditLock), ids, times, texts)
	return err
}

// Events returns at most limit audit events in the order in which they were
// recorded, those after row, and the row of the last one, from which to go on.
// The first event comes after row 0.
func (s *Store) Events(ctx context.Context, row int64, limit int) ([]flows.Event, int64, error) {
	type line struct {
		row   int64
		event flows.Event
	}
	var lines []line
	err := s.together(ctx, func(b *pgx.Batch) {
		b.Queue(lockAlone, int64(auditLock))
		b.Queue(`SELECT row, event FROM audit WHERE row > $1 ORDER BY row LIMIT $2`, row, int64(limit)).Query(func(rows pgx.Rows) (err error) {
			lines, err = collect(rows, func(r pgx.Row) (line, error) {
				var one line
				var text []byte
				if err := r.Scan(&one.row, &text); err != nil {
					return one, driver(err)
				}
				if err := json.Unmarshal(text, &one.event); err != nil {
					return one, fmt.Errorf("postgres: event: %w", err)
				}
				return one, nil
			})
			return err
		})
	})
	if err != nil {
		return nil, row, err
	}
	var out []flows.Event
	for _, l := range lines {
		out, row = append(out, l.event), l.row
	}
	return out, row, nil
}
