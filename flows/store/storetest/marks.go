package storetest

import (
	"context"
	"errors"
	"strconv"
	"testing"
	"time"

	"github.com/stile-auth/stile/flows"
)

func markCases() []testCase {
	return []testCase{
		{"owner", markOwner},
		{"expiry instant", markExpiryInstant},
		{"later expiry counts", markLaterExpiry},
		{"race", markRace},
		{"same owner race", markSameOwnerRace},
		{"delete expired", markDeleteExpired},
		{"odd values", markOdd},
		{"many expired", markManyExpired},
		{"cancelled", markCancelled},
		{"reopen", markReopen},
	}
}

// take takes a mark for an hour.
func take(t *testing.T, s Stores, mark, owner string, now time.Time) error {
	t.Helper()
	return s.Marks.TakeMark(t.Context(), mark, owner, now, now.Add(time.Hour))
}

func taken(t *testing.T, s Stores, mark, owner string, now time.Time) {
	t.Helper()
	ok(t, take(t, s, mark, owner, now))
}

func refused(t *testing.T, s Stores, mark, owner string, now time.Time) {
	t.Helper()
	wantErr(t, take(t, s, mark, owner, now), flows.ErrTaken)
}

func markOwner(t *testing.T, s Stores) {
	taken(t, s, "m", "owner", start)
	taken(t, s, "m", "owner", start)
	refused(t, s, "m", "other", start)
	refused(t, s, "m", "", start)
	taken(t, s, "m", "owner", start)
	taken(t, s, "m\x00", "other", start)
}

func markExpiryInstant(t *testing.T, s Stores) {
	taken(t, s, "m", "owner", start)
	end := start.Add(time.Hour)
	refused(t, s, "m", "other", end.Add(-time.Nanosecond))
	taken(t, s, "m", "other", end)
	refused(t, s, "m", "owner", end)
}

func markLaterExpiry(t *testing.T, s Stores) {
	taken(t, s, "m", "owner", start)
	ok(t, s.Marks.TakeMark(t.Context(), "m", "owner", start, start.Add(time.Second)))
	refused(t, s, "m", "other", start.Add(time.Hour-time.Nanosecond))
	taken(t, s, "m", "owner", start.Add(time.Minute))
	refused(t, s, "m", "other", start.Add(time.Hour))
	taken(t, s, "m", "other", start.Add(time.Hour+time.Minute))
}

func markRace(t *testing.T, s Stores) {
	errs := race(writers, func(i int) error {
		return s.Marks.TakeMark(t.Context(), "m", strconv.Itoa(i), start, start.Add(time.Hour))
	})
	oneWinner(t, errs, flows.ErrTaken)
	for i, err := range errs {
		if err == nil {
			taken(t, s, "m", strconv.Itoa(i), start)
		} else {
			refused(t, s, "m", strconv.Itoa(i), start)
		}
	}
}

// markSameOwnerRace: one owner's calls all succeed, and the latest expiry of them counts.
func markSameOwnerRace(t *testing.T, s Stores) {
	ok(t, errors.Join(race(writers, func(i int) error {
		return s.Marks.TakeMark(t.Context(), "m", "owner", start, start.Add(time.Duration(i+1)*time.Second))
	})...))
	end := start.Add(writers * time.Second)
	refused(t, s, "m", "other", end.Add(-time.Nanosecond))
	taken(t, s, "m", "other", end)
}

func markDeleteExpired(t *testing.T, s Stores) {
	for i := range 5 {
		ok(t, s.Marks.TakeMark(t.Context(), strconv.Itoa(i), "owner", start.Add(-time.Hour), start.Add(time.Duration(i)*time.Minute)))
	}
	var deleted []int
	for range 3 {
		n, err := s.Marks.DeleteExpiredMarks(t.Context(), start.Add(2*time.Minute), 2)
		ok(t, err)
		deleted = append(deleted, n)
	}
	same(t, deleted, []int{2, 1, 0})
	before := start.Add(-time.Minute)
	taken(t, s, "2", "other", before)
	refused(t, s, "3", "other", before)
}

func markCancelled(t *testing.T, s Stores) {
	ctx := cancelled(t)
	wantErr(t, s.Marks.TakeMark(ctx, "m", "owner", start, start.Add(time.Hour)), context.Canceled)
	_, err := s.Marks.DeleteExpiredMarks(ctx, start, 1)
	wantErr(t, err, context.Canceled)
	taken(t, s, "m", "other", start)
}

func markReopen(t *testing.T, s Stores) {
	if s.Reopen == nil {
		return
	}
	taken(t, s, "m", "owner", start)
	s = s.Reopen(t)
	refused(t, s, "m", "other", start)
	taken(t, s, "m", "owner", start)
}
