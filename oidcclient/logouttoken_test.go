package oidcclient_test

import (
	"strings"
	"testing"
	"time"

	"github.com/stile-auth/stile/oidcclient"
	"github.com/stile-auth/stile/oidcclient/oidctest"
)

const logoutEvent = "http://schemas.openid.net/event/backchannel-logout"

func TestLogoutToken(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		subject, sid string
		faults       []oidctest.Fault
	}{
		"a session":           {"", "s-1", nil},
		"a person":            {"248289761001", "", nil},
		"both":                {"248289761001", "s-1", nil},
		"no typ":              {"", "s-1", []oidctest.Fault{withoutHeader("typ")}},
		"typ in capitals":     {"", "s-1", []oidctest.Fault{oidctest.SetHeader("typ", "LOGOUT+JWT")}},
		"a list of one":       {"", "s-1", []oidctest.Fault{oidctest.SetClaim("aud", []string{"stile"})}},
		"two minutes old":     {"", "s-1", []oidctest.Fault{oidctest.ShiftTimes(-2 * time.Minute)}},
		"a clock that is off": {"", "s-1", []oidctest.Fault{oidctest.ShiftTimes(30 * time.Second)}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			for _, f := range test.faults {
				w.Misbehave(f)
			}
			token, err := w.LogoutToken("stile", test.subject, test.sid)
			if err != nil {
				t.Fatal(err)
			}
			l, err := w.client.VerifyLogoutToken(t.Context(), token)
			if err != nil || l.Issuer != w.Issuer() || l.Subject != test.subject || l.SessionID != test.sid || len(l.Mark) != 43 {
				t.Errorf("%+v, %v", l, err)
			}
			if l.Until.Before(w.clock.Now()) || l.Until.After(w.clock.Now().Add(5*time.Minute)) {
				t.Errorf("good until %s", l.Until)
			}
		})
	}
}

func withoutHeader(name string) oidctest.Fault {
	return oidctest.Fault{Header: func(h map[string]any) { delete(h, name) }}
}

// T-124: nothing but a fresh logout token, for us, signed by the provider, ends sessions.
func TestLogoutTokenRefused(t *testing.T) {
	t.Parallel()
	stranger, err := oidctest.NewKey("ES256")
	if err != nil {
		t.Fatal(err)
	}
	set, drop := oidctest.SetClaim, oidctest.DropClaims
	for name, fault := range map[string]oidctest.Fault{
		"typ of an ID token":       oidctest.SetHeader("typ", "JWT"),
		"typ of an access token":   oidctest.SetHeader("typ", "at+jwt"),
		"typ as a number":          oidctest.SetHeader("typ", 1),
		"crit":                     oidctest.SetHeader("crit", []string{"exp"}),
		"two algorithms":           oidctest.DuplicateHeader("alg", "none"),
		"T-75 unsigned":            oidctest.AlgNone("none"),
		"T-75 unsigned, disguised": oidctest.AlgNone("nOnE"),
		"T-76 the key as a secret": oidctest.HMACWithPublicKey(oidctest.Key.PEM),
		"stripped":                 oidctest.StripSignature(),
		"broken":                   oidctest.BreakSignature(),
		"of a strange key":         oidctest.SignedBy(stranger, false),
		"of a key with its name":   oidctest.SignedBy(stranger, true),
		"T-79 with its own key":    oidctest.EmbeddedKey(stranger),
		"no iss":                   drop("iss"),
		"another iss":              set("iss", "https://evil.example"),
		"iss with a slash":         {Claims: func(c map[string]any) { c["iss"] = c["iss"].(string) + "/" }},
		"iss as a list":            set("iss", []string{"x"}),
		"iss twice":                oidctest.DuplicateClaim("iss", "https://evil.example"),
		"no aud":                   drop("aud"),
		"another aud":              set("aud", "other"),
		"aud of others too":        oidctest.Audiences("", "evil"),
		"with our azp":             oidctest.Audiences("stile", "evil"),
		"aud twice":                oidctest.DuplicateClaim("aud", "stile"),
		"no iat":                   drop("iat"),
		"old":                      set("iat", time.Date(2026, 3, 1, 11, 57, 29, 0, time.UTC).Unix()),
		"from the future":          oidctest.ShiftTimes(31 * time.Second),
		"iat as a text":            set("iat", "1772366400"),
		"iat twice":                oidctest.DuplicateClaim("iat", 1772366400),
		"no exp":                   drop("exp"),
		"expired":                  set("exp", time.Date(2026, 3, 1, 11, 59, 29, 0, time.UTC).Unix()),
		"exp as a text":            set("exp", "never"),
		"exp twice":                oidctest.DuplicateClaim("exp", 1<<32),
		"not yet":                  set("nbf", time.Date(2026, 3, 1, 13, 0, 0, 0, time.UTC).Unix()),
		"no jti":                   drop("jti"),
		"an empty jti":             set("jti", ""),
		"jti as a number":          set("jti", 17),
		"a long jti":               set("jti", strings.Repeat("x", 256)),
		"jti twice":                oidctest.DuplicateClaim("jti", "x"),
		"no events":                drop("events"),
		"events null":              set("events", nil),
		"events as a list":         set("events", []string{logoutEvent}),
		"no event":                 set("events", map[string]any{}),
		"another event":            set("events", map[string]any{"http://schemas.openid.net/event/other": map[string]any{}}),
		"an event like it":         set("events", map[string]any{logoutEvent + "/": map[string]any{}}),
		"two events":               set("events", map[string]any{logoutEvent: map[string]any{}, "https://evil.example": map[string]any{}}),
		"the event true":           set("events", map[string]any{logoutEvent: true}),
		"the event null":           set("events", map[string]any{logoutEvent: nil}),
		"events twice":             oidctest.DuplicateClaim("events", map[string]any{logoutEvent: map[string]any{}}),
		"a nonce":                  set("nonce", "x"),
		"a nonce null":             set("nonce", nil),
		"neither sub nor sid":      drop("sub", "sid"),
		"an empty sub":             set("sub", ""),
		"sub as a number":          set("sub", 248289761001),
		"sub null":                 set("sub", nil),
		"sub twice":                oidctest.DuplicateClaim("sub", "bob"),
		"an empty sid":             set("sid", ""),
		"sid as a list":            set("sid", []string{"s-1"}),
		"sid null":                 set("sid", nil),
		"a long sid":               set("sid", strings.Repeat("x", 256)),
		"sid twice":                oidctest.DuplicateClaim("sid", "s-2"),
		"sid, folded":              oidctest.DuplicateClaim("SID", "s-2"),
		"T-56 huge":                set("events", map[string]any{logoutEvent: map[string]any{"x": strings.Repeat("x", 17<<10)}}),
		"T-57 deep":                set("deep", nested(40)),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			w.Misbehave(fault)
			token, err := w.LogoutToken("stile", "248289761001", "s-1")
			if err != nil {
				t.Fatal(err)
			}
			l, err := w.client.VerifyLogoutToken(t.Context(), token)
			wantsClass(t, err, oidcclient.ErrRefused)
			if l != (oidcclient.Logout{}) {
				t.Errorf("%+v", l)
			}
		})
	}
}

func nested(n int) any {
	if n == 0 {
		return 1
	}
	return []any{nested(n - 1)}
}

// What was made for something else is no logout token: an ID token, and one of
// another provider, or for another client.
func TestNoLogoutToken(t *testing.T) {
	t.Parallel()
	w, other := newWorld(t), newWorld(t)
	id := ""
	w.Misbehave(oidctest.Fault{Compact: func(token string) string { id = token; return token }})
	if _, err := w.signOn(t, oidcclient.RequestOptions{}); err != nil {
		t.Fatal(err)
	}
	foreign, err := other.LogoutToken("stile", "248289761001", "")
	if err != nil {
		t.Fatal(err)
	}
	for name, token := range map[string]string{
		"an ID token": id, "another provider's": foreign, "none": "", "no JWT": "x", "five segments": "a.b.c.d.e", "huge": strings.Repeat("x", 1<<20),
	} {
		_, err := w.client.VerifyLogoutToken(t.Context(), token)
		if err == nil {
			t.Errorf("%s: taken", name)
			continue
		}
		wantsClass(t, err, oidcclient.ErrRefused)
	}
}

// An ID token is never taken for a logout token, nor the other way round, also if
// neither says what it is.
func TestIDTokenThatIsALogoutToken(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.Misbehave(withoutHeader("typ"))
	w.Misbehave(oidctest.Fault{Claims: func(c map[string]any) {
		delete(c, "nonce")
		c["events"], c["jti"] = map[string]any{logoutEvent: map[string]any{}}, "x"
	}})
	if _, err := w.signOn(t, oidcclient.RequestOptions{}); err == nil {
		t.Error("a token without a nonce signs on")
	}
	w.Behave()
	w.Misbehave(oidctest.SetHeader("typ", "logout+jwt"))
	if _, err := w.signOn(t, oidcclient.RequestOptions{}); err == nil {
		t.Error("a logout token signs on")
	}
}

// The keys change while it runs; who does not know the new one asks for it.
func TestLogoutTokenOfANewKey(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	if _, err := w.signOn(t, oidcclient.RequestOptions{}); err != nil {
		t.Fatal(err)
	}
	if err := w.RotateKeys(); err != nil {
		t.Fatal(err)
	}
	token, err := w.LogoutToken("stile", "", "s-1")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := w.client.VerifyLogoutToken(t.Context(), token); err != nil {
		t.Error(err)
	}
	w.Down()
	fresh := w.newClient(t)
	_, err = fresh.VerifyLogoutToken(t.Context(), token)
	wantsClass(t, err, oidcclient.ErrUnavailable)
}

// The name of the session at the provider comes with the sign-on, as it stands.
func TestSessionID(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	who, err := w.signOn(t, oidcclient.RequestOptions{})
	if err != nil || who.SessionID == "" || !who.Began.Equal(w.clock.Now()) {
		t.Errorf("%+v, %v", who, err)
	}
	for _, value := range []any{17, "", nil, []string{"x"}} {
		w.Misbehave(oidctest.SetClaim("sid", value))
		_, err := w.signOn(t, oidcclient.RequestOptions{})
		wantsClass(t, err, oidcclient.ErrRefused)
		w.Behave()
	}
	w.Misbehave(oidctest.DropClaims("sid"))
	if who, err := w.signOn(t, oidcclient.RequestOptions{}); err != nil || who.SessionID != "" {
		t.Errorf("%+v, %v", who, err)
	}
}
