package memory

import (
	"context"
	"time"

	"github.com/stile-auth/stile/flows"
)

// Change implements [flows.Throttle].
func (s *Store) Change(ctx context.Context, key string, next func(flows.Counter) (flows.Counter, error)) error {
	if err := done(ctx); err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	c, err := next(s.counters[key])
	if err != nil {
		return err
	}
	c.Until, c.Expires = utc(c.Until), utc(c.Expires)
	if c == (flows.Counter{}) {
		delete(s.counters, key)
		return nil
	}
	s.counters[key] = c
	return nil
}

// DeleteExpiredCounters implements [flows.Throttle].
func (s *Store) DeleteExpiredCounters(ctx context.Context, now time.Time, limit int) (int, error) {
	if err := done(ctx); err != nil {
		return 0, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	n := 0
	for key, c := range s.counters {
		if n >= limit {
			break
		}
		if !c.Expires.IsZero() && !now.Before(c.Expires) {
			delete(s.counters, key)
			n++
		}
	}
	return n, nil
}
