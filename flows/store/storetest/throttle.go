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
		{"release", throttleRelease},
		{"race", throttleRace},
		{"limit race", throttleLimitRace},
		{"panic", throttlePanic},
		{"cancelled", throttleCancelled},
		{"reopen", throttleReopen},
	}
}

func markCases() []testCase {
	return []testCase{
		{"owner", markOwner},
		{"expiry instant", markExpiryInstant},
		{"owner keeps the later expiry", markKeepsExpiry},
		{"race", markRace},
		{"same owner race", markSameOwnerRace},
		{"delete expired", markDeleteExpired},
		{"cancelled", markCancelled},
		{"reopen", markReopen},
	}
}

var errRefused = errors.New("refused")

func countUp(c flows.Counter) (flows.Counter, error) {
	c.Failures++
	return c, nil
}

// counter reads a counter without changing it.
func counter(t *testing.T, s Stores, key string) flows.Counter {
	t.Helper()
	var out flows.Counter
	_, err := s.Throttle.Reserve(t.Context(), key, func(c flows.Counter) (flows.Counter, error) {
		out = c
		return c, errRefused
	})
	wantErr(t, err, errRefused)
	return out
}

func throttleCount(t *testing.T, s Stores) {
	same(t, counter(t, s, "k ü\x00"), flows.Counter{})
	got, err := s.Throttle.Reserve(t.Context(), "k ü\x00", func(c flows.Counter) (flows.Counter, error) {
		return flows.Counter{Failures: c.Failures + 3, Until: start}, nil
	})
	ok(t, err)
	want := flows.Counter{Failures: 3, Until: start}
	same(t, got, want)
	got = counter(t, s, "k ü\x00")
	same(t, got, want)
	inUTC(t, got.Until)
	same(t, counter(t, s, "k ü"), flows.Counter{})
	ok(t, s.Throttle.Reset(t.Context(), "k ü\x00"))
	ok(t, s.Throttle.Reset(t.Context(), "k ü\x00"))
	same(t, counter(t, s, "k ü\x00"), flows.Counter{})
}

func throttleRefusal(t *testing.T, s Stores) {
	_, err := s.Throttle.Reserve(t.Context(), "k", countUp)
	ok(t, err)
	_, err = s.Throttle.Reserve(t.Context(), "k", func(c flows.Counter) (flows.Counter, error) {
		c.Failures = 100
		return c, errRefused
	})
	if err != errRefused { //nolint:errorlint // it must come back unwrapped
		t.Fatalf("error %v, want the very one that next returned", err)
	}
	same(t, counter(t, s, "k"), flows.Counter{Failures: 1})
}

func throttleRelease(t *testing.T, s Stores) {
	for range 2 {
		_, err := s.Throttle.Reserve(t.Context(), "k", countUp)
		ok(t, err)
	}
	for _, want := range []int{1, 0, 0} {
		ok(t, s.Throttle.Release(t.Context(), "k"))
		same(t, counter(t, s, "k"), flows.Counter{Failures: want})
	}
	ok(t, s.Throttle.Release(t.Context(), "absent"))
	same(t, counter(t, s, "absent"), flows.Counter{})
}

func throttleRace(t *testing.T, s Stores) {
	ok(t, errors.Join(race(writers, func(int) error {
		_, err := s.Throttle.Reserve(t.Context(), "k", countUp)
		return err
	})...))
	same(t, counter(t, s, "k"), flows.Counter{Failures: writers})
	ok(t, errors.Join(race(writers/2, func(int) error { return s.Throttle.Release(t.Context(), "k") })...))
	same(t, counter(t, s, "k"), flows.Counter{Failures: writers / 2})
}

// throttleLimitRace: parallel attempts cannot outrun a limit.
func throttleLimitRace(t *testing.T, s Stores) {
	const limit = 5
	errs := race(writers, func(int) error {
		_, err := s.Throttle.Reserve(t.Context(), "k", func(c flows.Counter) (flows.Counter, error) {
			if c.Failures >= limit {
				return c, errRefused
			}
			return countUp(c)
		})
		return err
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
		_, _ = s.Throttle.Reserve(t.Context(), "k", func(flows.Counter) (flows.Counter, error) { panic("boom") })
	}()
	same(t, counter(t, s, "k"), flows.Counter{})
}

func throttleCancelled(t *testing.T, s Stores) {
	_, err := s.Throttle.Reserve(t.Context(), "k", countUp)
	ok(t, err)
	ctx := cancelled(t)
	_, err = s.Throttle.Reserve(ctx, "k", countUp)
	wantErr(t, err, context.Canceled)
	wantErr(t, s.Throttle.Release(ctx, "k"), context.Canceled)
	wantErr(t, s.Throttle.Reset(ctx, "k"), context.Canceled)
	same(t, counter(t, s, "k"), flows.Counter{Failures: 1})
}

func throttleReopen(t *testing.T, s Stores) {
	if s.Reopen == nil {
		return
	}
	want := flows.Counter{Failures: 7, Until: start}
	_, err := s.Throttle.Reserve(t.Context(), "k", func(flows.Counter) (flows.Counter, error) { return want, nil })
	ok(t, err)
	same(t, counter(t, s.Reopen(t), "k"), want)
}

// take takes a mark for an hour and says whether it was held before.
func take(t *testing.T, s Stores, mark, owner string, now time.Time) (bool, error) {
	t.Helper()
	return s.Marks.TakeMark(t.Context(), mark, owner, now, now.Add(time.Hour))
}

func taken(t *testing.T, s Stores, mark, owner string, now time.Time, wantHeld bool) {
	t.Helper()
	held, err := take(t, s, mark, owner, now)
	ok(t, err)
	if held != wantHeld {
		t.Fatalf("held is %v, want %v", held, wantHeld)
	}
}

func refused(t *testing.T, s Stores, mark, owner string, now time.Time) {
	t.Helper()
	held, err := take(t, s, mark, owner, now)
	wantErr(t, err, flows.ErrTaken)
	if held {
		t.Fatal("a mark of another owner is said to be held by this one")
	}
}

func markOwner(t *testing.T, s Stores) {
	taken(t, s, "m", "owner", start, false)
	taken(t, s, "m", "owner", start, true)
	refused(t, s, "m", "other", start)
	refused(t, s, "m", "", start)
	taken(t, s, "m", "owner", start, true)
	taken(t, s, "m\x00", "other", start, false)
}

func markExpiryInstant(t *testing.T, s Stores) {
	taken(t, s, "m", "owner", start, false)
	end := start.Add(time.Hour)
	refused(t, s, "m", "other", end.Add(-time.Nanosecond))
	taken(t, s, "m", "other", end, false)
	refused(t, s, "m", "owner", end)
}

func markKeepsExpiry(t *testing.T, s Stores) {
	taken(t, s, "m", "owner", start, false)
	_, err := s.Marks.TakeMark(t.Context(), "m", "owner", start, start.Add(time.Second))
	ok(t, err)
	refused(t, s, "m", "other", start.Add(time.Hour-time.Nanosecond))
	taken(t, s, "m", "owner", start.Add(time.Minute), true)
	refused(t, s, "m", "other", start.Add(time.Hour))
}

func markRace(t *testing.T, s Stores) {
	errs := race(writers, func(i int) error {
		_, err := s.Marks.TakeMark(t.Context(), "m", strconv.Itoa(i), start, start.Add(time.Hour))
		return err
	})
	oneWinner(t, errs, flows.ErrTaken)
	for i, err := range errs {
		if err == nil {
			taken(t, s, "m", strconv.Itoa(i), start, true)
		}
	}
}

// markSameOwnerRace: of one owner's calls exactly one is told that it was the first.
func markSameOwnerRace(t *testing.T, s Stores) {
	errs := race(writers, func(int) error {
		held, err := s.Marks.TakeMark(t.Context(), "m", "owner", start, start.Add(time.Hour))
		if held {
			return flows.ErrTaken
		}
		return err
	})
	oneWinner(t, errs, flows.ErrTaken)
}

func markDeleteExpired(t *testing.T, s Stores) {
	for i := range 5 {
		_, err := s.Marks.TakeMark(t.Context(), strconv.Itoa(i), "owner", start.Add(-time.Hour), start.Add(time.Duration(i)*time.Minute))
		ok(t, err)
	}
	var deleted []int
	for range 3 {
		n, err := s.Marks.DeleteExpiredMarks(t.Context(), start.Add(2*time.Minute), 2)
		ok(t, err)
		deleted = append(deleted, n)
	}
	same(t, deleted, []int{2, 1, 0})
	before := start.Add(-time.Minute)
	taken(t, s, "2", "other", before, false)
	refused(t, s, "3", "other", before)
}

func markCancelled(t *testing.T, s Stores) {
	ctx := cancelled(t)
	_, err := s.Marks.TakeMark(ctx, "m", "owner", start, start.Add(time.Hour))
	wantErr(t, err, context.Canceled)
	_, err = s.Marks.DeleteExpiredMarks(ctx, start, 1)
	wantErr(t, err, context.Canceled)
	taken(t, s, "m", "other", start, false)
}

func markReopen(t *testing.T, s Stores) {
	if s.Reopen == nil {
		return
	}
	taken(t, s, "m", "owner", start, false)
	s = s.Reopen(t)
	refused(t, s, "m", "other", start)
	taken(t, s, "m", "owner", start, true)
}
