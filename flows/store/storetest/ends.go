package storetest

import (
	"errors"
	"fmt"
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

// sessionsEndedAtOnce: whatever runs leave while the sessions are ended, none of it
// survives, round after round.
func sessionsEndedAtOnce(t *testing.T, s Stores) {
	for round := range rounds {
		subject := fmt.Sprintf("jane %d", round)
		end := flows.SessionsEnd{Subject: subject, At: start, Spared: "sid 0", Until: start.Add(time.Hour)}
		ok(t, errors.Join(race(writers+1, func(i int) error {
			if i == writers/2 {
				return s.Sessions.EndSessions(t.Context(), end)
			}
			err := s.Sessions.PutSession(t.Context(), begun(fmt.Sprintf("sid %d", i%8), fmt.Sprintf("%d.%d", round, i), subject, start.Add(-time.Second)))
			if errors.Is(err, flows.ErrEnded) && i%8 > 0 {
				return nil
			}
			return err
		})...))
		for i := range writers + 1 {
			_, err := s.Sessions.Session(t.Context(), alias(fmt.Sprintf("%d.%d", round, i)), start)
			if live := err == nil; live != (i%8 == 0 && i != writers/2) {
				t.Errorf("round %d, session %d: %v", round, i, err)
			}
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
