package storetest

import (
	"bytes"
	"context"
	"strconv"
	"testing"
	"time"

	"github.com/stile-auth/stile/flows"
	"github.com/stile-auth/stile/flows/assurance"
)

func definitionCases() []testCase {
	return []testCase{
		{"round trip", definitionRoundTrip},
		{"cancelled", definitionCancelled},
		{"reopen", definitionReopen},
	}
}

func sessionCases() []testCase {
	return []testCase{
		{"round trip", sessionRoundTrip},
		{"copies", sessionCopies},
		{"expiry instant", sessionExpiryInstant},
		{"replaced", sessionReplaced},
		{"ended", sessionEnded},
		{"delete expired", sessionDeleteExpired},
		{"cancelled", sessionCancelled},
		{"reopen", sessionReopen},
	}
}

func definitionRoundTrip(t *testing.T, s Stores) {
	source := bytes.Repeat([]byte("steps:\x00\xff ü\n"), 1000)
	want := bytes.Clone(source)
	_, err := s.Definitions.Definition(t.Context(), "hash")
	wantErr(t, err, flows.ErrNotFound)
	ok(t, s.Definitions.PutDefinition(t.Context(), "hash", source))
	ok(t, s.Definitions.PutDefinition(t.Context(), "hash", source))
	source[0] = 'X'
	for range 2 {
		got, err := s.Definitions.Definition(t.Context(), "hash")
		ok(t, err)
		same(t, got, want)
		got[0] = 'X'
	}
	_, err = s.Definitions.Definition(t.Context(), "other")
	wantErr(t, err, flows.ErrNotFound)
}

func definitionCancelled(t *testing.T, s Stores) {
	wantErr(t, s.Definitions.PutDefinition(cancelled(t), "hash", []byte("x")), context.Canceled)
	_, err := s.Definitions.Definition(cancelled(t), "hash")
	wantErr(t, err, context.Canceled)
	_, err = s.Definitions.Definition(t.Context(), "hash")
	wantErr(t, err, flows.ErrNotFound)
}

func definitionReopen(t *testing.T, s Stores) {
	if s.Reopen == nil {
		return
	}
	ok(t, s.Definitions.PutDefinition(t.Context(), "hash", []byte("text")))
	got, err := s.Reopen(t).Definitions.Definition(t.Context(), "hash")
	ok(t, err)
	same(t, got, []byte("text"))
}

func session(id, secret string) flows.Session {
	return flows.Session{
		ID: id, Secret: alias(secret), Subject: "subject ü", Client: "bank-app", Key: "thumbprint",
		Created: start, Expires: start.Add(time.Hour),
		Evidence: []assurance.Evidence{
			{
				Step: "sso", StepType: "sso", Config: "hash", Method: assurance.Federated, Authenticator: "https://idp x",
				At: start, Categories: []assurance.Category{assurance.Knowledge}, Binding: assurance.AAL3, Cap: assurance.AAL2,
				Upstream: &assurance.Upstream{Issuer: "https://idp", Subject: "x", AMR: []string{"pwd"}, AuthTime: start.Add(-time.Minute)},
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
	same(t, got, want)
	inUTC(t, got.Created, got.Expires)
	for _, e := range got.Evidence {
		inUTC(t, e.At)
	}
}

func noSession(t *testing.T, s Stores, secret string, now time.Time) {
	t.Helper()
	_, err := s.Sessions.Session(t.Context(), alias(secret), now)
	wantErr(t, err, flows.ErrNotFound)
}

func sessionRoundTrip(t *testing.T, s Stores) {
	noSession(t, s, "a", start)
	ok(t, s.Sessions.PutSession(t.Context(), session("sid", "a"), flows.Alias{}))
	sessionIs(t, s, "a", session("sid", "a"))
	bare := flows.Session{ID: "bare", Secret: alias("bare"), Expires: start.Add(time.Hour)}
	ok(t, s.Sessions.PutSession(t.Context(), bare, flows.Alias{}))
	sessionIs(t, s, "bare", bare)
	noSession(t, s, "b", start)
}

func sessionCopies(t *testing.T, s Stores) {
	given := session("sid", "a")
	ok(t, s.Sessions.PutSession(t.Context(), given, flows.Alias{}))
	given.Evidence[0].Cap, given.Evidence[0].Upstream.AMR[0] = assurance.AAL3, "mfa"
	got, err := s.Sessions.Session(t.Context(), alias("a"), start)
	ok(t, err)
	got.Evidence[0].Categories[0], got.Evidence[0].Upstream.Subject = assurance.Inherence, "other"
	sessionIs(t, s, "a", session("sid", "a"))
}

func sessionExpiryInstant(t *testing.T, s Stores) {
	one := session("sid", "a")
	ok(t, s.Sessions.PutSession(t.Context(), one, flows.Alias{}))
	_, err := s.Sessions.Session(t.Context(), alias("a"), one.Expires.Add(-time.Nanosecond))
	ok(t, err)
	noSession(t, s, "a", one.Expires)
}

func sessionReplaced(t *testing.T, s Stores) {
	ok(t, s.Sessions.PutSession(t.Context(), session("sid", "a"), flows.Alias{}))
	ok(t, s.Sessions.PutSession(t.Context(), session("sid", "b"), alias("a")))
	noSession(t, s, "a", start)
	sessionIs(t, s, "b", session("sid", "b"))
	ok(t, s.Sessions.PutSession(t.Context(), session("sid", "c"), alias("absent")))
	sessionIs(t, s, "b", session("sid", "b"))
}

func sessionEnded(t *testing.T, s Stores) {
	for _, secret := range []string{"a", "b"} {
		ok(t, s.Sessions.PutSession(t.Context(), session("sid", secret), flows.Alias{}))
	}
	ok(t, s.Sessions.PutSession(t.Context(), session("other", "c"), flows.Alias{}))
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
		ok(t, s.Sessions.PutSession(t.Context(), one, flows.Alias{}))
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
	ok(t, s.Sessions.PutSession(t.Context(), session("sid", "a"), flows.Alias{}))
	ctx := cancelled(t)
	wantErr(t, s.Sessions.PutSession(ctx, session("sid", "b"), alias("a")), context.Canceled)
	wantErr(t, s.Sessions.EndSession(ctx, "sid"), context.Canceled)
	_, err := s.Sessions.Session(ctx, alias("a"), start)
	wantErr(t, err, context.Canceled)
	_, err = s.Sessions.DeleteExpiredSessions(ctx, start.Add(time.Hour), 9)
	wantErr(t, err, context.Canceled)
	sessionIs(t, s, "a", session("sid", "a"))
}

func sessionReopen(t *testing.T, s Stores) {
	if s.Reopen == nil {
		return
	}
	ok(t, s.Sessions.PutSession(t.Context(), session("sid", "a"), flows.Alias{}))
	ok(t, s.Sessions.PutSession(t.Context(), session("sid", "b"), alias("a")))
	s = s.Reopen(t)
	sessionIs(t, s, "b", session("sid", "b"))
	noSession(t, s, "a", start)
}
