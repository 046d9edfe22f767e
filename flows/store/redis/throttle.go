package redis

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/redis/rueidis"

	"github.com/stile-auth/stile/flows"
)

// swapScript replaces a counter if it is still what it was; "" is none.
var swapScript = rueidis.NewLuaScript(`if (redis.call('GET', KEYS[1]) or '') ~= ARGV[2] then return 0 end
if ARGV[3] == '' then
	redis.call('DEL', KEYS[1])
elseif ARGV[4] == '' then
	redis.call('SET', KEYS[1], ARGV[3])
else
	redis.call('SET', KEYS[1], ARGV[3], 'PX', ARGV[5])
	redis.call('ZADD', KEYS[2], ARGV[4], ARGV[1])
	return 1
end
redis.call('ZREM', KEYS[2], ARGV[1])
return 1`)

// Change implements [flows.Throttle]. It reads, and writes if what it has read
// still stands; if not it begins anew. Each time somebody was faster, so all get their turn.
func (s *Store) Change(ctx context.Context, key string, next func(flows.Counter) (flows.Counter, error)) error {
	ctx, done, err := s.begin(ctx)
	if err != nil {
		return err
	}
	defer done()
	for {
		before, err := s.client.Do(ctx, s.client.B().Get().Key(s.key(aCounter, key)).Build()).ToString()
		if err != nil && !rueidis.IsRedisNil(err) {
			return fault(err)
		}
		c, err := counterOf(before)
		if err != nil {
			return err
		}
		if c, err = next(c); err != nil {
			return err
		}
		swapped, err := s.swap(ctx, key, before, c)
		if err != nil || swapped {
			return err
		}
	}
}

func (s *Store) swap(ctx context.Context, key, before string, c flows.Counter) (bool, error) {
	after, due, left := counterText(c), "", ""
	if !c.Expires.IsZero() {
		due, left = score(c.Expires), ttl(s.now(), c.Expires, day)
	}
	if after == before {
		return true, nil
	}
	n, err := swapScript.Exec(ctx, s.client, []string{s.key(aCounter, key), s.due(aCounter, key)}, []string{key, before, after, due, left}).AsInt64()
	return n == 1, fault(err)
}

// counterText is a counter at rest: when it expires, when the next attempt may be, and how many failed. "" is zero.
func counterText(c flows.Counter) string {
	if c.Failures == 0 && c.Until.IsZero() && c.Expires.IsZero() {
		return ""
	}
	return digits(c.Expires) + digits(c.Until) + strconv.Itoa(c.Failures)
}

func counterOf(text string) (flows.Counter, error) {
	if text == "" {
		return flows.Counter{}, nil
	}
	if len(text) <= 2*digitsLen {
		return flows.Counter{}, errors.New("redis: a counter is damaged")
	}
	expires, err1 := instantOf(text[:digitsLen])
	until, err2 := instantOf(text[digitsLen : 2*digitsLen])
	failures, err3 := strconv.Atoi(text[2*digitsLen:])
	if err := errors.Join(err1, err2, err3); err != nil {
		return flows.Counter{}, fmt.Errorf("redis: counter: %w", err)
	}
	return flows.Counter{Failures: failures, Until: until, Expires: expires}, nil
}

// DeleteExpiredCounters implements [flows.Throttle].
func (s *Store) DeleteExpiredCounters(ctx context.Context, now time.Time, limit int) (int, error) {
	return s.sweep(ctx, aCounter, now, limit)
}
