package storetest

import (
	"context"
	"errors"
	"strconv"
	"testing"
	"time"

	"github.com/stile-auth/stile/flows"
)

func throttleCases() []testCase {
	return []testCase{
		{"count", throttleCount},
		{"refusal", throttleRefusal},
		{"zero removes", throttleZero},
		{"race", throttleRace},
		{"limit race", throttleLimitRace},
		{"panic", throttlePanic},
		{"expiry instant", throttleExpiryInstant},
		{"delete expired", throttleDeleteExpired},
		{"odd values", throttleOdd},
		{"cancelled", throttleCancelled},
		{"reopen", throttleReopen},
	}
}

var errRefused = errors.New("refused")

func countUp(c flows.Counter) (flows.Counter, error) {
	c.Failures++
	return c, nil
}

// become makes any counter c.
func become(c flows.Counter) func(flows.Counter) (flows.Counter, error) {
	return func(flows.Counter) (flows.Counter, error) { return c, nil }
}

// counter reads a counter without changing it.
func counter(t *testing.T, s Stores, key string) flows.Counter {
	t.Helper()
	var out flows.Counter
	err := s.Throttle.Change(t.Context(), key, func(c flows.Counter) (flows.Counter, error) {
		out = c
		return c, errRefused
	})
	wantErr(t, err, errRefused)
	inUTC(t, out.Until, out.Expires)
	return out
}

func throttleCount(t *testing.T, s Stores) {
	const key = "k ü\x00"
	same(t, counter(t, s, key), flows.Counter{})
	for _, want := range []flows.Counter{
		{Failures: 3, Until: start, Expires: start.Add(time.Hour)},
		{Failures: 4, Expires: start},
		{Failures: 1},
		{Until: start},
		{Expires: start},
	} {
		ok(t, s.Throttle.Change(t.Context(), key, become(want)))
		same(t, counter(t, s, key), want)
		same(t, counter(t, s, "k ü"), flows.Counter{})
	}
}

func throttleRefusal(t *testing.T, s Stores) {
	for key, before := range map[string]flows.Counter{"k": {Failures: 1, Until: start, Expires: start.Add(time.Hour)}, "absent": {}} {
		ok(t, s.Throttle.Change(t.Context(), key, become(before)))
		for _, after := range []flows.Counter{{}, {Failures: 100}} {
			err := s.Throttle.Change(t.Context(), key, func(flows.Counter) (flows.Counter, error) { return after, errRefused })
			if err != errRefused { //nolint:errorlint // it must come back unwrapped
				t.Fatalf("error %v, want the very one that next returned", err)
			}
			same(t, counter(t, s, key), before)
		}
	}
}

func throttleZero(t *testing.T, s Stores) {
	ok(t, s.Throttle.Change(t.Context(), "k", become(flows.Counter{Failures: 2, Until: start, Expires: start})))
	ok(t, s.Throttle.Change(t.Context(), "other", become(flows.Counter{Failures: 1})))
	for range 2 {
		ok(t, s.Throttle.Change(t.Context(), "k", become(flows.Counter{})))
		same(t, counter(t, s, "k"), flows.Counter{})
	}
	n, err := s.Throttle.DeleteExpiredCounters(t.Context(), start.Add(time.Hour), 10)
	ok(t, err)
	same(t, n, 0)
	same(t, counter(t, s, "other"), flows.Counter{Failures: 1})
	ok(t, s.Throttle.Change(t.Context(), "k", countUp))
	same(t, counter(t, s, "k"), flows.Counter{Failures: 1})
}

// throttleRace: no change is lost, neither up nor down.
func throttleRace(t *testing.T, s Stores) {
	ok(t, errors.Join(race(writers, func(int) error { return s.Throttle.Change(t.Context(), "k", countUp) })...))
	same(t, counter(t, s, "k"), flows.Counter{Failures: writers})
	ok(t, errors.Join(race(writers/2, func(int) error {
		return s.Throttle.Change(t.Context(), "k", func(c flows.Counter) (flows.Counter, error) {
			c.Failures--
			return c, nil
		})
	})...))
	same(t, counter(t, s, "k"), flows.Counter{Failures: writers / 2})
}

// throttleLimitRace: parallel attempts cannot outrun a limit.
func throttleLimitRace(t *testing.T, s Stores) {
	const limit = 5
	errs := race(writers, func(int) error {
		return s.Throttle.Change(t.Context(), "k", func(c flows.Counter) (flows.Counter, error) {
			if c.Failures >= limit {
				return c, errRefused
			}
			return countUp(c)
		})
	})
	granted := 0
	for _, err := range errs {
		if err == nil {
			granted++
		} else {
			wantErr(t, err, errRefused)
		}
	}
	if granted != limit {
		t.Errorf("%d attempts were granted, want %d", granted, limit)
	}
}

// throttlePanic: a panic in next changes nothing, reaches its caller, and the store lives on.
func throttlePanic(t *testing.T, s Stores) {
	func() {
		defer func() {
			if p := recover(); p != "boom" {
				t.Errorf("recovered %v", p)
			}
		}()
		_ = s.Throttle.Change(t.Context(), "k", func(flows.Counter) (flows.Counter, error) { panic("boom") })
	}()
	same(t, counter(t, s, "k"), flows.Counter{})
}

// throttleExpiryInstant: a counter stands until it is deleted, and it is deleted
// at its expiry, not a moment sooner; without one, never.
func throttleExpiryInstant(t *testing.T, s Stores) {
	one, ever := flows.Counter{Failures: 1, Until: start, Expires: start.Add(time.Hour)}, flows.Counter{Failures: 9, Until: start}
	ok(t, s.Throttle.Change(t.Context(), "k", become(one)))
	ok(t, s.Throttle.Change(t.Context(), "ever", become(ever)))
	deletes := func(now time.Time, want int) {
		t.Helper()
		n, err := s.Throttle.DeleteExpiredCounters(t.Context(), now, 10)
		ok(t, err)
		same(t, n, want)
	}
	deletes(one.Expires.Add(-time.Nanosecond), 0)
	same(t, counter(t, s, "k"), one)
	deletes(one.Expires, 1)
	same(t, counter(t, s, "k"), flows.Counter{})
	deletes(start.AddDate(200, 0, 0), 0)
	same(t, counter(t, s, "ever"), ever)
}

func throttleDeleteExpired(t *testing.T, s Stores) {
	for i := range 5 {
		ok(t, s.Throttle.Change(t.Context(), strconv.Itoa(i), become(flows.Counter{Failures: 1, Expires: start.Add(time.Duration(i) * time.Minute)})))
	}
	ok(t, s.Throttle.Change(t.Context(), "2", become(flows.Counter{Failures: 2, Expires: start.Add(time.Hour)})))
	var deleted []int
	for range 3 {
		n, err := s.Throttle.DeleteExpiredCounters(t.Context(), start.Add(3*time.Minute), 2)
		ok(t, err)
		deleted = append(deleted, n)
	}
	same(t, deleted, []int{2, 1, 0})
	for i, want := range []int{0, 0, 2, 0, 1} {
		same(t, counter(t, s, strconv.Itoa(i)).Failures, want)
	}
}

func throttleCancelled(t *testing.T, s Stores) {
	want := flows.Counter{Failures: 1, Expires: start}
	ok(t, s.Throttle.Change(t.Context(), "k", become(want)))
	ctx := cancelled(t)
	wantErr(t, s.Throttle.Change(ctx, "k", countUp), context.Canceled)
	_, err := s.Throttle.DeleteExpiredCounters(ctx, start.Add(time.Hour), 1)
	wantErr(t, err, context.Canceled)
	same(t, counter(t, s, "k"), want)
}

func throttleReopen(t *testing.T, s Stores) {
	if s.Reopen == nil {
		return
	}
	want := flows.Counter{Failures: 7, Until: start, Expires: start.Add(time.Hour)}
	ok(t, s.Throttle.Change(t.Context(), "k", become(want)))
	same(t, counter(t, s.Reopen(t), "k"), want)
}
