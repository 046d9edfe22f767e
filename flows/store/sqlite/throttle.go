package sqlite

import (
	"context"
	"errors"
	"time"

	"github.com/stile-auth/stile/flows"
)

// Reserve implements [flows.Throttle]. next must not use the store.
func (s *Store) Reserve(ctx context.Context, key string, next func(flows.Counter) (flows.Counter, error)) (flows.Counter, error) {
	var out flows.Counter
	err := s.writer.do(ctx, func(ctx context.Context, w *writer) error {
		var c flows.Counter
		until := int64(never)
		err := w.row(ctx, `SELECT failures, until FROM counters WHERE key = ?`, []any{key}, &c.Failures, &until)
		if err != nil && !errors.Is(err, flows.ErrNotFound) {
			return err
		}
		c.Until = instant(until)
		if c, err = next(c); err != nil {
			return err
		}
		until = nanos(c.Until)
		out = flows.Counter{Failures: c.Failures, Until: instant(until)}
		_, err = w.exec(ctx, `INSERT INTO counters (key, failures, until) VALUES (?, ?, ?)
			ON CONFLICT (key) DO UPDATE SET failures = excluded.failures, until = excluded.until`, key, c.Failures, until)
		return err
	})
	if err != nil {
		return flows.Counter{}, err
	}
	return out, nil
}

// Release implements [flows.Throttle].
func (s *Store) Release(ctx context.Context, key string) error {
	return s.writer.do(ctx, func(ctx context.Context, w *writer) error {
		_, err := w.exec(ctx, `UPDATE counters SET failures = failures - 1 WHERE key = ? AND failures > 0`, key)
		return err
	})
}

// Reset implements [flows.Throttle].
func (s *Store) Reset(ctx context.Context, key string) error {
	return s.writer.do(ctx, func(ctx context.Context, w *writer) error {
		_, err := w.exec(ctx, `DELETE FROM counters WHERE key = ?`, key)
		return err
	})
}

// TakeMark implements [flows.Marks]. Taken again by its owner, a mark keeps the later expiry.
func (s *Store) TakeMark(ctx context.Context, mark, owner string, now, expires time.Time) (bool, error) {
	held := false
	err := s.writer.do(ctx, func(ctx context.Context, w *writer) error {
		until := nanos(expires)
		var holder string
		var old int64
		err := w.row(ctx, `SELECT owner, expires FROM marks WHERE mark = ?`, []any{mark}, &holder, &old)
		if err != nil && !errors.Is(err, flows.ErrNotFound) {
			return err
		}
		held = err == nil && nanos(now) < old
		if held && holder != owner {
			return flows.ErrTaken
		}
		if held {
			until = max(until, old)
		}
		_, err = w.exec(ctx, `INSERT OR REPLACE INTO marks (mark, owner, expires) VALUES (?, ?, ?)`, mark, owner, until)
		return err
	})
	return held && err == nil, err
}

// DeleteExpiredMarks implements [flows.Marks].
func (s *Store) DeleteExpiredMarks(ctx context.Context, now time.Time, limit int) (int, error) {
	return s.sweep(ctx, `DELETE FROM marks WHERE mark IN (SELECT mark FROM marks WHERE expires <= ? ORDER BY expires LIMIT ?)`, now, limit)
}
