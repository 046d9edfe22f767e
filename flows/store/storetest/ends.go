package storetest

import (
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/stile-auth/stile/flows"
)

func begun(id, secret, subject string, began time.Time) flows.Session {
	s := session(id, secret)
	s.Subject, s.Began = subject, began
	return s
}

// sessionsEnded: what began before the instant is gone and cannot come back, but
// for the one that is spared; what begins then, and other subjects, stay.
func sessionsEnded(t *testing.T, s Stores) {
	before := start.Add(-time.Nanosecond)
	all := []flows.Session{
		begun("own", "own", "jane", before), begun("own", "own too", "jane", before), begun("other", "other", "jane", before),
		begun("bare", "bare", "jane", time.Time{}), begun("new", "new", "jane", start), begun("bob", "bob", "bob", before),
	}
	for _, one := range all {
		ok(t, s.Sessions.PutSession(t.Context(), one))
	}
	end := flows.SessionsEnd{Subject: "jane", At: start, Spared: "own", Until: start.Add(time.Hour)}
	for range 2 {
		ok(t, s.Sessions.EndSessions(t.Context(), end))
		for _, one := range all {
			if gone := one.ID == "other" || one.ID == "bare"; gone {
				wantErr(t, s.Sessions.PutSession(t.Context(), one), flows.ErrEnded)
				_, err := s.Sessions.Session(t.Context(), one.Secret, start)
				wantErr(t, err, flows.ErrNotFound)
			} else {
				ok(t, s.Sessions.PutSession(t.Context(), one))
				got, err := s.Sessions.Session(t.Context(), one.Secret, start)
				ok(t, err)
				sameSession(t, got, one)
			}
		}
	}
	end.Spared, end.At = "", start.Add(time.Second)
	ok(t, s.Sessions.EndSessions(t.Context(), end))
	for _, one := range all[:5] {
		wantErr(t, s.Sessions.PutSession(t.Context(), one), flows.ErrEnded)
	}
	nameless := begun("", "nameless", "jane", before)
	wantErr(t, s.Sessions.PutSession(t.Context(), nameless), flows.ErrEnded)
	ok(t, s.Sessions.PutSession(t.Context(), all[5]))
}

// sessionsEndedAtOnce: whatever runs leave while the sessions are ended, none of it survives.
func sessionsEndedAtOnce(t *testing.T, s Stores) {
	const writers = 8
	var wg sync.WaitGroup
	for i := range writers {
		wg.Go(func() {
			for j := range 10 {
				one := begun(fmt.Sprintf("sid %d", i), fmt.Sprintf("%d.%d", i, j), "jane", start.Add(-time.Second))
				if err := s.Sessions.PutSession(t.Context(), one); err != nil && !errors.Is(err, flows.ErrEnded) {
					t.Error(err)
				}
			}
		})
	}
	ok(t, s.Sessions.EndSessions(t.Context(), flows.SessionsEnd{Subject: "jane", At: start, Spared: "sid 0", Until: start.Add(time.Hour)}))
	wg.Wait()
	for i := range writers {
		_, err := s.Sessions.SessionByID(t.Context(), fmt.Sprintf("sid %d", i), start)
		if i == 0 {
			ok(t, err)
		} else if !errors.Is(err, flows.ErrNotFound) {
			t.Errorf("session %d: %v", i, err)
		}
	}
}

// sessionEnds: the latest end is the one that counts, until it may be forgotten.
func sessionEnds(t *testing.T, s Stores) {
	is := func(now time.Time, want flows.SessionsEnd) {
		t.Helper()
		got, err := s.Sessions.SessionsEnded(t.Context(), "jane", now)
		ok(t, err)
		same(t, got, want)
		inUTC(t, got.At, got.Until)
	}
	is(start, flows.SessionsEnd{})
	early := flows.SessionsEnd{Subject: "jane", At: start, Spared: "ü", Until: start.Add(2 * time.Hour)}
	late := flows.SessionsEnd{Subject: "jane", At: start.Add(time.Nanosecond).In(time.FixedZone("east", 3600)), Until: start.Add(time.Hour)}
	ok(t, s.Sessions.EndSessions(t.Context(), early))
	is(start, early)
	ok(t, s.Sessions.EndSessions(t.Context(), late))
	ok(t, s.Sessions.EndSessions(t.Context(), early))
	is(start.Add(time.Hour-1), late)
	is(start.Add(time.Hour), flows.SessionsEnd{})
	wantErr(t, s.Sessions.PutSession(t.Context(), begun("sid", "a", "jane", start)), flows.ErrEnded)
	n, err := s.Sessions.DeleteExpiredSessions(t.Context(), start.Add(time.Hour), 1)
	ok(t, err)
	same(t, n, 0)
	ok(t, s.Sessions.PutSession(t.Context(), begun("sid", "a", "jane", start)))
}
