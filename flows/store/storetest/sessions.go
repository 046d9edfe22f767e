package storetest

import (
	"context"
	"errors"
	"strconv"
	"testing"
	"time"

	"github.com/stile-auth/stile/flows"
	"github.com/stile-auth/stile/flows/assurance"
)

func sessionCases() []testCase {
	return []testCase{
		{"round trip", sessionRoundTrip},
		{"tags", sessionTags},
		{"copies", sessionCopies},
		{"expiry instant", sessionExpiryInstant},
		{"by id", sessionByID},
		{"removed", sessionRemoved},
		{"ended", sessionEnded},
		{"all ended but one", sessionsEnded},
		{"ended while they begin", sessionsEndedAtOnce},
		{"ends", sessionEnds},
		{"end with a root", sessionRootEnds},
		{"end with a root while they begin", sessionRootEndsAtOnce},
		{"ends of roots", rootEnds},
		{"delete expired", sessionDeleteExpired},
		{"odd values", sessionOdd},
		{"cancelled", sessionCancelled},
		{"reopen", sessionReopen},
	}
}

func session(id, secret string) flows.Session {
	return flows.Session{
		ID: id, Secret: alias(secret), Subject: "subject ü", Client: "bank-app", Key: "thumbprint",
		Created: start, Began: start.Add(-time.Nanosecond), Seen: start.Add(time.Nanosecond), Expires: start.Add(time.Hour),
		Roots: []flows.Root{{Key: alias("1"), Began: start.Add(time.Nanosecond)}, {Key: alias("2")}},
		Tags:  []flows.Tag{{Name: "known ü\u2028", Until: start.Add(time.Minute)}, {Name: "for good"}},
		Evidence: []assurance.Evidence{
			{
				Step: "sso", StepType: "sso", Config: "hash", Method: assurance.Federated, Authenticator: "https://idp x",
				At: start, Categories: []assurance.Category{assurance.Knowledge}, Binding: assurance.AAL3, Cap: assurance.AAL2,
				Upstream: &assurance.Upstream{Issuer: "https://idp", Subject: "x", AMR: []string{"pwd"}, AuthTime: start.Add(-time.Minute), Provider: "p", Session: "s", Began: start},
			},
			{
				Step: "device", Method: assurance.DeviceKey, Device: "d", At: start.Add(time.Nanosecond), Expires: start.Add(time.Minute),
				Categories: []assurance.Category{assurance.Possession}, ReplayResistant: true, UserPresent: true, LowEntropy: true,
			},
		},
	}
}

func sessionIs(t *testing.T, s Stores, secret string, want flows.Session) {
	t.Helper()
	got, err := s.Sessions.Session(t.Context(), alias(secret), start)
	ok(t, err)
	sameSession(t, got, want)
	inUTC(t, got.Created, got.Began, got.Seen, got.Expires)
	for _, r := range got.Roots {
		inUTC(t, r.Began)
	}
	for _, e := range got.Evidence {
		inUTC(t, e.At, e.Expires)
	}
	for _, tag := range got.Tags {
		inUTC(t, tag.Until)
	}
}

func noSession(t *testing.T, s Stores, secret string, now time.Time) {
	t.Helper()
	_, err := s.Sessions.Session(t.Context(), alias(secret), now)
	wantErr(t, err, flows.ErrNotFound)
}

func sessionRoundTrip(t *testing.T, s Stores) {
	noSession(t, s, "a", start)
	ok(t, s.Sessions.PutSession(t.Context(), session("sid", "a")))
	sessionIs(t, s, "a", session("sid", "a"))
	bare := flows.Session{ID: "bare", Secret: alias("bare"), Expires: start.Add(time.Hour)}
	ok(t, s.Sessions.PutSession(t.Context(), bare))
	sessionIs(t, s, "bare", bare)
	noSession(t, s, "b", start)
}

// sessionTags: the instants of tags survive whichever zone they are given in, and
// so does their absence.
func sessionTags(t *testing.T, s Stores) {
	given := session("sid", "a")
	given.Tags = []flows.Tag{
		{Name: "none"},
		{Name: "utc", Until: start.UTC()},
		{Name: "east", Until: start.In(time.FixedZone("east", 14*3600))},
		{Name: "west", Until: start.In(time.FixedZone("west", -(4*3600 + 56*60 + 2)))},
		{Name: "local, with a running clock", Until: time.Now()},
		{Name: "utc"},
	}
	ok(t, s.Sessions.PutSession(t.Context(), given))
	sessionIs(t, s, "a", given)
	if given.Tags[3].Until.Location() == time.UTC {
		t.Error("the caller's tags were changed")
	}
	given.Tags = nil
	ok(t, s.Sessions.PutSession(t.Context(), given))
	sessionIs(t, s, "a", given)
}

func sessionCopies(t *testing.T, s Stores) {
	given := session("sid", "a")
	ok(t, s.Sessions.PutSession(t.Context(), given))
	given.Evidence[0].Cap, given.Evidence[0].Upstream.AMR[0], given.Tags[0].Name = assurance.AAL3, "mfa", "other"
	got, err := s.Sessions.Session(t.Context(), alias("a"), start)
	ok(t, err)
	got.Evidence[0].Categories[0], got.Evidence[0].Upstream.Subject, got.Tags[1].Name = assurance.Inherence, "other", "other"
	sessionIs(t, s, "a", session("sid", "a"))
}

func sessionExpiryInstant(t *testing.T, s Stores) {
	one := session("sid", "a")
	ok(t, s.Sessions.PutSession(t.Context(), one))
	_, err := s.Sessions.Session(t.Context(), alias("a"), one.Expires.Add(-time.Nanosecond))
	ok(t, err)
	noSession(t, s, "a", one.Expires)
}

// sessionByID: found whatever its secret is, until the instant at which it expires.
func sessionByID(t *testing.T, s Stores) {
	ok(t, s.Sessions.PutSession(t.Context(), session("sid", "a")))
	got, err := s.Sessions.SessionByID(t.Context(), "sid", start)
	ok(t, err)
	sameSession(t, got, session("sid", "a"))
	ok(t, s.Sessions.PutSession(t.Context(), session("sid", "b")))
	ok(t, s.Sessions.RemoveSession(t.Context(), alias("a")))
	got, err = s.Sessions.SessionByID(t.Context(), "sid", start.Add(time.Hour-1))
	ok(t, err)
	sameSession(t, got, session("sid", "b"))
	for id, at := range map[string]time.Time{"sid": start.Add(time.Hour), "other": start, "": start} {
		if _, err := s.Sessions.SessionByID(t.Context(), id, at); !errors.Is(err, flows.ErrNotFound) {
			t.Errorf("%q at %s: %v", id, at, err)
		}
	}
	ok(t, s.Sessions.EndSession(t.Context(), "sid"))
	if _, err := s.Sessions.SessionByID(t.Context(), "sid", start); !errors.Is(err, flows.ErrNotFound) {
		t.Errorf("after its end: %v", err)
	}
}

// sessionRemoved: only the session of that secret goes, not the others of its id.
func sessionRemoved(t *testing.T, s Stores) {
	for _, secret := range []string{"a", "b"} {
		ok(t, s.Sessions.PutSession(t.Context(), session("sid", secret)))
	}
	for range 2 {
		ok(t, s.Sessions.RemoveSession(t.Context(), alias("a")))
		noSession(t, s, "a", start)
		sessionIs(t, s, "b", session("sid", "b"))
	}
	ok(t, s.Sessions.RemoveSession(t.Context(), flows.Alias{}))
	sessionIs(t, s, "b", session("sid", "b"))
}

func sessionEnded(t *testing.T, s Stores) {
	for _, secret := range []string{"a", "b"} {
		ok(t, s.Sessions.PutSession(t.Context(), session("sid", secret)))
	}
	ok(t, s.Sessions.PutSession(t.Context(), session("other", "c")))
	for range 2 {
		ok(t, s.Sessions.EndSession(t.Context(), "sid"))
		noSession(t, s, "a", start)
		noSession(t, s, "b", start)
		sessionIs(t, s, "c", session("other", "c"))
	}
}

func sessionDeleteExpired(t *testing.T, s Stores) {
	for i := range 5 {
		one := session("sid", strconv.Itoa(i))
		one.Expires = start.Add(time.Duration(i) * time.Minute)
		ok(t, s.Sessions.PutSession(t.Context(), one))
	}
	var deleted []int
	for range 3 {
		n, err := s.Sessions.DeleteExpiredSessions(t.Context(), start.Add(2*time.Minute), 2)
		ok(t, err)
		deleted = append(deleted, n)
	}
	same(t, deleted, []int{2, 1, 0})
	noSession(t, s, "2", start.Add(-time.Hour))
	_, err := s.Sessions.Session(t.Context(), alias("3"), start)
	ok(t, err)
}

func sessionCancelled(t *testing.T, s Stores) {
	ok(t, s.Sessions.PutSession(t.Context(), session("sid", "a")))
	ctx := cancelled(t)
	wantErr(t, s.Sessions.PutSession(ctx, session("sid", "b")), context.Canceled)
	wantErr(t, s.Sessions.RemoveSession(ctx, alias("a")), context.Canceled)
	wantErr(t, s.Sessions.EndSession(ctx, "sid"), context.Canceled)
	wantErr(t, s.Sessions.EndSessions(ctx, flows.SessionsEnd{Subject: "subject ü", At: start.Add(time.Hour)}), context.Canceled)
	_, err := s.Sessions.SessionsEnded(ctx, "subject ü", start)
	wantErr(t, err, context.Canceled)
	_, err = s.Sessions.Session(ctx, alias("a"), start)
	wantErr(t, err, context.Canceled)
	_, err = s.Sessions.DeleteExpiredSessions(ctx, start.Add(time.Hour), 9)
	wantErr(t, err, context.Canceled)
	sessionIs(t, s, "a", session("sid", "a"))
}

func sessionReopen(t *testing.T, s Stores) {
	if s.Reopen == nil {
		return
	}
	ok(t, s.Sessions.PutSession(t.Context(), session("sid", "a")))
	ok(t, s.Sessions.PutSession(t.Context(), session("sid", "b")))
	ok(t, s.Sessions.RemoveSession(t.Context(), alias("a")))
	end := flows.SessionsEnd{Subject: "subject ü", At: start, Spared: "sid", Until: start.Add(time.Hour)}
	ok(t, s.Sessions.EndSessions(t.Context(), end))
	s = s.Reopen(t)
	sessionIs(t, s, "b", session("sid", "b"))
	noSession(t, s, "a", start)
	wantErr(t, s.Sessions.PutSession(t.Context(), session("other", "c")), flows.ErrEnded)
}
