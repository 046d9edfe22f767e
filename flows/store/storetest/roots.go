package storetest

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/stile-auth/stile/flows"
)

// sameSession compares sessions; their roots are a set.
func sameSession(t *testing.T, got, want flows.Session) {
	t.Helper()
	for _, s := range []*flows.Session{&got, &want} {
		s.Roots = slices.Clone(s.Roots)
		slices.SortFunc(s.Roots, func(a, b flows.Root) int { return bytes.Compare(a.Key[:], b.Key[:]) })
	}
	same(t, got, want)
}

func rooted(id, secret string, roots ...flows.Root) flows.Session {
	s := session(id, secret)
	s.Roots = roots
	return s
}

// sessionRootEnds: what rests on a root that began before the instant is gone and
// cannot come back; what began then, and what rests on others, stays.
func sessionRootEnds(t *testing.T, s Stores) {
	before := start.Add(-time.Nanosecond)
	a, late, other := flows.Root{Key: alias("a"), Began: before}, flows.Root{Key: alias("a"), Began: start}, flows.Root{Key: alias("b"), Began: before}
	over := []flows.Session{rooted("one", "1", a), rooted("one", "1 too", a), rooted("two", "2", other, a), rooted("old", "3", flows.Root{Key: alias("a")})}
	stay := []flows.Session{rooted("late", "4", late), rooted("other", "5", other), rooted("none", "6")}
	for _, one := range append(slices.Clone(over), stay...) {
		ok(t, s.Sessions.PutSession(t.Context(), one))
	}
	got, err := s.Sessions.EndRooted(t.Context(), flows.RootEnd{Key: alias("a"), At: start, Until: start.Add(time.Hour)})
	ok(t, err)
	slices.SortFunc(got, func(a, b flows.Session) int { return bytes.Compare(a.Secret[:], b.Secret[:]) })
	slices.SortFunc(over, func(a, b flows.Session) int { return bytes.Compare(a.Secret[:], b.Secret[:]) })
	if len(got) != len(over) {
		t.Fatalf("%d sessions have ended, want %d", len(got), len(over))
	}
	for i, one := range over {
		sameSession(t, got[i], one)
		wantErr(t, s.Sessions.PutSession(t.Context(), one), flows.ErrEnded)
		_, err := s.Sessions.Session(t.Context(), one.Secret, start)
		wantErr(t, err, flows.ErrNotFound)
	}
	for _, one := range stay {
		got, err := s.Sessions.Session(t.Context(), one.Secret, start)
		ok(t, err)
		sameSession(t, got, one)
		ok(t, s.Sessions.PutSession(t.Context(), one))
	}
	again, err := s.Sessions.EndRooted(t.Context(), flows.RootEnd{Key: alias("a"), At: start, Until: start.Add(time.Hour)})
	ok(t, err)
	same(t, len(again), 0)
	stay[0].Roots = nil // put again without it, it rests on nothing any more
	ok(t, s.Sessions.PutSession(t.Context(), stay[0]))
	again, err = s.Sessions.EndRooted(t.Context(), flows.RootEnd{Key: alias("a"), At: start.Add(time.Second), Until: start.Add(time.Hour)})
	ok(t, err)
	same(t, len(again), 0)
}

// sessionRootEndsAtOnce: whatever runs leave while a root ends, none of it survives,
// and each is told of or refused.
func sessionRootEndsAtOnce(t *testing.T, s Stores) {
	for round := range rounds {
		root := flows.Root{Key: alias(fmt.Sprintf("root %d", round)), Began: start.Add(-time.Second)}
		refused, over := make([]bool, writers+1), 0
		ok(t, errors.Join(race(writers+1, func(i int) error {
			if i == writers/2 {
				gone, err := s.Sessions.EndRooted(t.Context(), flows.RootEnd{Key: root.Key, At: start, Until: start.Add(time.Hour)})
				over = len(gone)
				return err
			}
			err := s.Sessions.PutSession(t.Context(), rooted(fmt.Sprintf("sid %d", i), fmt.Sprintf("%d.%d", round, i), root))
			if refused[i] = errors.Is(err, flows.ErrEnded); refused[i] {
				return nil
			}
			return err
		})...))
		for i := range writers + 1 {
			noSession(t, s, fmt.Sprintf("%d.%d", round, i), start)
			if refused[i] {
				over++
			}
		}
		same(t, over, writers)
	}
}

// rootEnds: the latest end is the one that counts, until it may be forgotten.
func rootEnds(t *testing.T, s Stores) {
	is := func(want bool, roots ...flows.Root) {
		t.Helper()
		got, err := s.Sessions.Rootless(t.Context(), roots, start)
		ok(t, err)
		same(t, got, want)
	}
	end := func(at, until time.Time) {
		t.Helper()
		_, err := s.Sessions.EndRooted(t.Context(), flows.RootEnd{Key: alias("a"), At: at, Until: until})
		ok(t, err)
	}
	a, b := flows.Root{Key: alias("a"), Began: start}, flows.Root{Key: alias("b"), Began: start}
	is(false)
	is(false, a, b)
	end(start.Add(time.Nanosecond).In(time.FixedZone("east", 3600)), start.Add(time.Hour))
	is(true, a)
	is(true, b, a)
	is(false, b)
	is(false, flows.Root{Key: alias("a"), Began: start.Add(time.Nanosecond)})
	end(start, start.Add(2*time.Hour)) // comes late, and undoes nothing
	is(true, a)
	_, err := s.Sessions.DeleteExpiredSessions(t.Context(), start.Add(time.Hour-1), 10)
	ok(t, err)
	is(true, a)
	_, err = s.Sessions.DeleteExpiredSessions(t.Context(), start.Add(time.Hour), 10)
	ok(t, err)
	is(false, a)
}
