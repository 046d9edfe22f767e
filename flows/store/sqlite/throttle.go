package sqlite

import (
	"context"
	"errors"
	"time"

	"github.com/stile-auth/stile/flows"
	"github.com/stile-auth/stile/flows/store/atrest"
)

// Change implements [flows.Throttle].
func (s *Store) Change(ctx context.Context, key string, next func(flows.Counter) (flows.Counter, error)) error {
	return s.writer.do(ctx, func(ctx context.Context, w *writer) error {
		var c flows.Counter
		var until, expires int64 = atrest.Never, atrest.Never
		err := w.row(ctx, `SELECT failures, until, expires FROM counters WHERE key = ?`, []any{key}, &c.Failures, &until, &expires)
		if err != nil && !errors.Is(err, flows.ErrNotFound) {
			return err
		}
		c.Until, c.Expires = atrest.Instant(until), atrest.Instant(expires)
		if c, err = next(c); err != nil {
			return err
		}
		return putCounter(ctx, w, key, c)
	})
}

// putCounter stores a counter; a zero one leaves no row.
func putCounter(ctx context.Context, w *writer, key string, c flows.Counter) error {
	until, expires := atrest.Nanos(c.Until), atrest.Nanos(c.Expires)
	if c.Failures == 0 && until == atrest.Never && expires == atrest.Never {
		_, err := w.exec(ctx, `DELETE FROM counters WHERE key = ?`, key)
		return err
	}
	_, err := w.exec(ctx, `INSERT INTO counters (key, failures, until, expires) VALUES (?, ?, ?, ?)
		ON CONFLICT (key) DO UPDATE SET failures = excluded.failures, until = excluded.until, expires = excluded.expires`,
		key, c.Failures, until, expires)
	return err
}

// DeleteExpiredCounters implements [flows.Throttle]. The least integer is no
// instant: such a counter atrest.Never expires.
func (s *Store) DeleteExpiredCounters(ctx context.Context, now time.Time, limit int) (int, error) {
	return s.sweep(ctx, `DELETE FROM counters WHERE key IN (SELECT key FROM counters
		WHERE expires > -9223372036854775808 AND expires <= ? ORDER BY expires LIMIT ?)`, now, limit)
}
