package sqlite

import (
	"context"
	"database/sql"
	"encoding/json"
	"fmt"

	"github.com/stile-auth/stile/flows"
	"github.com/stile-auth/stile/flows/store/atrest"
)

// Record implements [flows.Recorder]: all of the events are recorded, or none.
func (s *Store) Record(ctx context.Context, events ...flows.Event) error {
	texts := make([]string, len(events))
	for i, e := range events {
		e.Time = e.Time.UTC()
		text, err := json.Marshal(e)
		if err != nil {
			return fmt.Errorf("sqlite: event: %w", err)
		}
		texts[i] = string(text)
	}
	return s.writer.do(ctx, func(ctx context.Context, w *writer) error {
		for i, e := range events {
			_, err := w.exec(ctx, `INSERT INTO audit (id, time, event) VALUES (?, ?, ?) ON CONFLICT DO NOTHING`, e.ID, atrest.Nanos(e.Time), texts[i])
			if err != nil {
				return err
			}
		}
		return nil
	})
}

// Events returns at most limit audit events in the order in which they were
// recorded, those after row, and the row of the last one, from which to go on.
// The first event comes after row 0.
func (s *Store) Events(ctx context.Context, row int64, limit int) ([]flows.Event, int64, error) {
	var out []flows.Event
	last := row
	err := s.reader.each(ctx, `SELECT row, event FROM audit WHERE row > ? ORDER BY row LIMIT ?`, []any{row, limit}, func(rows *sql.Rows) error {
		var text []byte
		var e flows.Event
		if err := rows.Scan(&last, &text); err != nil {
			return fault(err)
		}
		if err := json.Unmarshal(text, &e); err != nil {
			return fmt.Errorf("sqlite: event: %w", err)
		}
		out = append(out, e)
		return nil
	})
	if err != nil {
		return nil, row, err
	}
	return out, last, nil
}
