package postgres

import (
	"context"
	"errors"
	"time"

	"github.com/stile-auth/stile/flows"
	"github.com/stile-auth/stile/flows/store/atrest"
)

// counterRow is a counter as it is kept; what is not there is zero.
type counterRow struct{ failures, until, expires int64 }

func zeroCounter() counterRow { return counterRow{0, atrest.Never, atrest.Never} }

func (r counterRow) counter() flows.Counter {
	return flows.Counter{Failures: int(r.failures), Until: atrest.Instant(r.until), Expires: atrest.Instant(r.expires)}
}

func counterOf(c flows.Counter) counterRow {
	return counterRow{int64(c.Failures), atrest.Nanos(c.Until), atrest.Nanos(c.Expires)}
}

// Change implements [flows.Throttle]. It reads, and writes if what it has read
// still stands; nobody waits for it meanwhile. If somebody was faster, many may want
// this key: then it waits for the row and holds it.
func (s *Store) Change(ctx context.Context, key string, next func(flows.Counter) (flows.Counter, error)) error {
	before := zeroCounter()
	err := s.read(ctx, `SELECT failures, until, expires FROM counters WHERE key = $1`, []any{raw(key)}, &before.failures, &before.until, &before.expires)
	there := err == nil
	if err != nil && !errors.Is(err, flows.ErrNotFound) {
		return err
	}
	c, err := next(before.counter())
	if err != nil {
		return err
	}
	after := counterOf(c)
	if after == before {
		return nil
	}
	swap := swapCounter(key, there, before, after)
	n, err := s.exec(ctx, swap.query, swap.args...)
	if err != nil || n == 1 {
		return err
	}
	return s.changeHeld(ctx, key, next)
}

// swapCounter changes a counter if it is still what it was before.
func swapCounter(key string, there bool, before, after counterRow) statement {
	switch {
	case !there:
		return statement{
			`INSERT INTO counters (key, failures, until, expires) VALUES ($1, $2, $3, $4) ON CONFLICT DO NOTHING`,
			[]any{raw(key), after.failures, after.until, after.expires},
		}
	case after == zeroCounter():
		return statement{
			`DELETE FROM counters WHERE key = $1 AND failures = $2 AND until = $3 AND expires = $4`,
			[]any{raw(key), before.failures, before.until, before.expires},
		}
	}
	return statement{
		`UPDATE counters SET failures = $5, until = $6, expires = $7 WHERE key = $1 AND failures = $2 AND until = $3 AND expires = $4`,
		[]any{raw(key), before.failures, before.until, before.expires, after.failures, after.until, after.expires},
	}
}

// changeHeld makes the row if there is none, and locks it.
func (s *Store) changeHeld(ctx context.Context, key string, next func(flows.Counter) (flows.Counter, error)) error {
	var before counterRow
	lock := statement{`INSERT INTO counters AS c (key, failures, until, expires) VALUES ($1, 0, $2, $2)
		ON CONFLICT (key) DO UPDATE SET failures = c.failures RETURNING failures, until, expires`, []any{raw(key), int64(atrest.Never)}}
	return s.hold(ctx, lock, []any{&before.failures, &before.until, &before.expires}, func() (statement, error) {
		c, err := next(before.counter())
		return swapCounter(key, true, before, counterOf(c)), err
	})
}

// DeleteExpiredCounters implements [flows.Throttle]. The least integer is no
// instant: such a counter never expires.
func (s *Store) DeleteExpiredCounters(ctx context.Context, now time.Time, limit int) (int, error) {
	return s.sweep(ctx, `DELETE FROM counters WHERE key = ANY (ARRAY(SELECT key FROM counters
		WHERE expires > -9223372036854775808 AND expires <= $1 ORDER BY expires LIMIT $2 FOR UPDATE SKIP LOCKED))`, now, limit)
}
