package flows_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/stile-auth/stile/flows"
)

const away = "      - { id: there, type: sso }\n      - { id: read, type: note }\n"

// at is jane's session of that name at the provider.
func at(id string) flows.ProviderSession {
	return flows.ProviderSession{Provider: "corporate", Issuer: "https://idp.example", Subject: "jane", ID: id}
}

// signsOn runs to the end on a session at the provider, and returns ours.
func (k *kit) signsOn(there flows.ProviderSession) flows.Secret {
	k.t.Helper()
	k.there, k.upstream = there, k.clock.now()
	tk := k.must(flows.StartRequest{Target: "t", LoginHint: "jane"})
	tk.ok("ok", "jane")
	tk.ok("ok", "")
	return tk.view.Result.Session
}

// Whoever has signed out at the provider is not signed on here: exactly the sessions
// that rest on what has ended there are over, and the runs that do (OpenID Connect
// Back-Channel Logout 1.0 §2.7).
func TestProviderSessionEnds(t *testing.T) {
	t.Parallel()
	other := func(change func(*flows.ProviderSession)) flows.ProviderSession {
		s := at("one")
		change(&s)
		return s
	}
	both := at("one")
	for name, test := range map[string]struct {
		end  flows.ProviderSession
		over []bool // of the sessions at("one"), at("two") and at("")
	}{
		"a session":               {other(func(s *flows.ProviderSession) { s.Subject = "" }), []bool{true, false, false}},
		"a session of a person":   {both, []bool{true, false, false}},
		"all of a person":         {at(""), []bool{true, true, true}},
		"another session":         {other(func(s *flows.ProviderSession) { s.ID = "three" }), []bool{false, false, false}},
		"another's session":       {other(func(s *flows.ProviderSession) { s.Subject = "bob" }), []bool{false, false, false}},
		"all of another":          {flows.ProviderSession{Provider: "corporate", Issuer: "https://idp.example", Subject: "bob"}, []bool{false, false, false}},
		"at another provider":     {other(func(s *flows.ProviderSession) { s.Provider = "partner" }), []bool{false, false, false}},
		"at another issuer":       {other(func(s *flows.ProviderSession) { s.Issuer = "https://evil.example" }), []bool{false, false, false}},
		"the subject as its name": {flows.ProviderSession{Provider: "corporate", Issuer: "https://idp.example", ID: "jane"}, []bool{false, false, false}},
	} {
		for store, open := range stores {
			t.Run(name+" "+store, func(t *testing.T) {
				t.Parallel()
				k := newKitOn(t, definitions(away, "{ acr: aal1 }"), open(t, t))
				var sessions []flows.Secret
				for _, id := range []string{"one", "two", ""} {
					sessions = append(sessions, k.signsOn(at(id)))
				}
				k.there = at("one")
				running := k.must(flows.StartRequest{Target: "t", LoginHint: "jane"})
				running.ok("ok", "jane")
				resumed := k.must(flows.StartRequest{Target: "t", Session: sessions[0]})
				resumed.at("read")
				k.clock.pass(time.Second)

				if err := k.engine.EndProviderSession(context.Background(), flows.Logout{ProviderSession: test.end, Way: flows.LogoutBackChannel}, flows.Caller{}); err != nil {
					t.Fatal(err)
				}
				signedOut := 0
				for i, s := range sessions {
					want := "read"
					if test.over[i] {
						want, signedOut = "there", signedOut+1
					}
					if got := k.begins(s); got != want {
						t.Errorf("session %d begins at %s", i, got)
					}
				}
				for _, tk := range []*talk{running, resumed} {
					if test.over[0] {
						wants(t, tk.say("ok", ""), flows.KindFailed, flows.CodeLoginRequired)
					} else {
						tk.ok("ok", "")
					}
				}
				if n := k.count(flows.EventProviderLogout); n != 1 {
					t.Errorf("%d events of the logout", n)
				}
				if n := k.count(flows.EventSignedOut); n != signedOut {
					t.Errorf("%d events of sessions, want %d", n, signedOut)
				}
				k.clock.pass(time.Second)
				if k.begins(k.signsOn(at("new"))) != "read" {
					t.Error("nobody can sign on any more")
				}
			})
		}
	}
}

// A sign-on that was under way when the provider said that it had ended leaves nothing,
// also if its run completes at that very moment.
func TestProviderSessionEndsAtThatMoment(t *testing.T) {
	t.Parallel()
	for _, end := range []flows.ProviderSession{at("one"), at("")} {
		for store, open := range stores {
			t.Run(end.ID+" "+store, func(t *testing.T) {
				t.Parallel()
				st := &meanwhile{ports: open(t, t)}
				k := newKitOn(t, definitions(away, "{ acr: aal1 }"), st)
				k.there, k.upstream = at("one"), k.clock.now()
				tk := k.must(flows.StartRequest{Target: "t", LoginHint: "jane"})
				tk.ok("ok", "jane")
				k.clock.pass(time.Second)
				st.happens = func() {
					st.happens = nil
					if err := k.engine.EndProviderSession(context.Background(), flows.Logout{ProviderSession: end, Way: flows.LogoutBackChannel}, flows.Caller{}); err != nil {
						t.Error(err)
					}
				}
				before := tk.view
				wants(t, tk.say("ok", ""), flows.KindConflict, flows.CodeInFlight)
				tk.view = before
				wants(t, tk.say("ok", ""), flows.KindFailed, flows.CodeLoginRequired)
			})
		}
	}
}

// The end of nothing in particular is no end of everything.
func TestEndOfNoSession(t *testing.T) {
	t.Parallel()
	k := newKit(t, definitions(away, "{ acr: aal1 }"))
	s := k.signsOn(flows.ProviderSession{Provider: "corporate", Issuer: "https://idp.example"})
	for _, end := range []flows.ProviderSession{{}, {Provider: "corporate", Issuer: "https://idp.example"}, {Issuer: "https://idp.example", ID: "one"}, {Provider: "corporate", Subject: "jane"}} {
		wants(t, k.engine.EndProviderSession(context.Background(), flows.Logout{ProviderSession: end, Way: flows.LogoutFrontChannel}, flows.Caller{}), flows.KindMalformed, flows.CodeMalformed)
	}
	if k.begins(s) != "read" {
		t.Error("it has ended")
	}
}

// What cannot be recorded is not said to be done; the provider tries again.
func TestLogoutNeedsAudit(t *testing.T) {
	t.Parallel()
	k := newKit(t, definitions(away, "{ acr: aal1 }"))
	s := k.signsOn(at("one"))
	k.events.fail(errors.New("full"))
	wants(t, k.engine.EndProviderSession(context.Background(), flows.Logout{ProviderSession: at("one"), Way: flows.LogoutBackChannel}, flows.Caller{}), flows.KindUnavailable, flows.CodeUnavailable)
	k.events.fail(nil)
	if err := k.engine.EndProviderSession(context.Background(), flows.Logout{ProviderSession: at("one"), Way: flows.LogoutBackChannel}, flows.Caller{}); err != nil {
		t.Error(err)
	}
	if k.begins(s) != "there" {
		t.Error("it goes on")
	}
}

// A message ends what there is when it comes, and nothing later: who has caught it
// cannot keep somebody from signing on. One that came to nothing is good still.
func TestLogoutOnce(t *testing.T) {
	t.Parallel()
	for store, open := range stores {
		t.Run(store, func(t *testing.T) {
			t.Parallel()
			k := newKitOn(t, definitions(away, "{ acr: aal1 }"), open(t, t))
			said := flows.Logout{ProviderSession: at(""), Way: flows.LogoutBackChannel, Mark: "jti", Until: k.clock.now().Add(time.Minute)}
			k.events.fail(errors.New("full"))
			wants(t, k.engine.EndProviderSession(context.Background(), said, flows.Caller{}), flows.KindUnavailable, flows.CodeUnavailable)
			k.events.fail(nil)
			k.clock.pass(time.Second)
			s := k.signsOn(at("one"))
			k.clock.pass(time.Second)
			if err := k.engine.EndProviderSession(context.Background(), said, flows.Caller{}); err != nil {
				t.Fatal(err)
			}
			if k.begins(s) != "there" {
				t.Error("the message that was sent again ended nothing")
			}
			s = k.signsOn(at("two"))
			k.clock.pass(time.Second)
			wants(t, k.engine.EndProviderSession(context.Background(), said, flows.Caller{}), flows.KindMalformed, flows.CodeMalformed)
			if k.begins(s) != "read" {
				t.Error("a message was taken twice")
			}
			other := said
			other.Provider = "partner"
			if err := k.engine.EndProviderSession(context.Background(), other, flows.Caller{}); err != nil {
				t.Errorf("another provider's of that name: %v", err)
			}
		})
	}
}
