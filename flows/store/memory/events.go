package memory

import (
	"context"
	"slices"

	"github.com/stile-auth/stile/flows"
)

// Record implements [flows.Recorder]: all of the events are recorded, or none.
func (s *Store) Record(ctx context.Context, events ...flows.Event) error {
	if err := done(ctx); err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, e := range events {
		if _, ok := s.eventIDs[e.ID]; ok {
			continue
		}
		s.eventIDs[e.ID] = struct{}{}
		s.events = append(s.events, cloneEvent(e))
	}
	return nil
}

// Events returns at most limit audit events in the order in which they were
// recorded, those after row, and the row of the last one, from which to go on.
// The first event comes after row 0.
func (s *Store) Events(ctx context.Context, row int64, limit int) ([]flows.Event, int64, error) {
	if err := done(ctx); err != nil {
		return nil, row, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	var out []flows.Event
	for row < int64(len(s.events)) && len(out) < limit {
		out = append(out, cloneEvent(s.events[row]))
		row++
	}
	return out, row, nil
}

func cloneEvent(e flows.Event) flows.Event {
	e.Time = utc(e.Time)
	e.AMR = slices.Clone(e.AMR)
	return e
}
