package contract_test

import (
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/stile-auth/stile/flows"
	"github.com/stile-auth/stile/oidcclient/oidctest"
)

// rests are flows on sessions at two providers, one of which may end them in browsers.
const rests = `
flows:
  door: { steps: [{ id: there, type: sso, with: { provider: corporate } }] }
  step-up: { steps: [{ id: there, type: sso, with: { provider: corporate } }, { id: code, type: totp }] }
  local: { steps: [{ id: password, type: password }] }
providers:
  corporate:
    { issuer: "https://idp.bank.example", client_id: stile, client_secret: { file: secret }, scopes: [openid, email],
      front_channel_logout: true, assurance: { categories: [knowledge], cap: aal2 } }
  quiet: { issuer: "https://quiet.example", client_id: stile }
  plain:
    { protocol: oauth2, issuer: "https://plain.example", client_id: stile, user: { subject: id },
      endpoints: { authorization: "https://plain.example/a", token: "https://plain.example/t", userinfo: "https://plain.example/u" } }
clients:
  phone: { flows: [door, step-up, local], redirect_uris: ["com.bank.app:/oauth2"], dpop: required }
`

const backChannel, frontChannel = "/v1/providers/corporate/backchannel-logout", "/v1/providers/corporate/frontchannel-logout"

// guest is a phone with a session.
type guest struct {
	*phone

	session string
}

// signedIn is a phone with a session, and the name of the one at the provider that it rests on.
func (w *world) signedIn(t *testing.T) (*guest, string) {
	t.Helper()
	sid := ""
	w.provider.Misbehave(oidctest.Fault{Claims: func(c map[string]any) {
		if c["nonce"] != nil {
			sid, _ = c["sid"].(string)
		}
	}})
	defer w.provider.Behave()
	p := newPhone(t, w, "phone")
	p.start("flow", "door")
	p.finish()
	return &guest{p, p.view.Result.Session}, sid
}

// lives says whether the session still opens the door.
func (g *guest) lives() bool {
	g.t.Helper()
	g.start("flow", "door", "session", g.session)
	if g.view.Flow.Status != "completed" {
		return false
	}
	g.session = g.view.Result.Session
	return true
}

// logout posts a logout token.
func (w *world) logout(t *testing.T, path, token string) reply {
	t.Helper()
	return w.form(t, path, url.Values{"logout_token": {token}}.Encode())
}

func (w *world) form(t *testing.T, path, body string, edits ...func(*http.Request)) reply {
	t.Helper()
	p := newPhone(t, w, "phone")
	p.key = nil
	return p.send(http.MethodPost, path, body, append([]func(*http.Request){header("Content-Type", "application/x-www-form-urlencoded")}, edits...)...)
}

// A logout token ends exactly the sessions that rest on what has ended, and the runs.
func TestBackChannelLogout(t *testing.T) {
	t.Parallel()
	for _, store := range stores() {
		for name, test := range map[string]struct{ person, session, both bool }{
			"a session": {session: true}, "a person": {person: true, both: true}, "a session of a person": {person: true, session: true},
		} {
			t.Run(store+" "+name, func(t *testing.T) {
				t.Parallel()
				w := newWorld(t, t, setup{definitions: rests, store: store})
				defer w.close(t)
				one, sid := w.signedIn(t)
				two, _ := w.signedIn(t)
				half := newPhone(t, w, "phone")
				half.browser = one.browser // the same session at the provider
				half.start("flow", "step-up")
				half.answer()
				local := newPhone(t, w, "phone")
				local.start("flow", "local")
				local.finish()
				if !one.lives() || !two.lives() {
					t.Fatal("a session does not open the door")
				}
				w.clock.pass(time.Second)

				said := map[bool]string{true: sid}[test.session]
				who := map[bool]string{true: providerSubject}[test.person]
				token, err := w.provider.LogoutToken("stile", who, said)
				must(t, err)
				r := w.logout(t, backChannel, token)
				if r.status != http.StatusOK || r.body != "" || r.header.Get("Cache-Control") != "no-store" {
					t.Fatalf("%d %q %v", r.status, r.body, r.header)
				}
				if one.lives() || two.lives() == test.both {
					t.Error("not exactly the sessions have ended that rest on it")
				}
				if r := half.post(half.view.NextStep.forward(), half.right()); !r.is(403, "login_required") {
					t.Errorf("the run: %d %s", r.status, r.body)
				}
				local.start("flow", "local", "session", local.view.Result.Session)
				if local.view.Flow.Status != "completed" {
					t.Error("a session that rests on nothing there has ended")
				}
				if n := count(w.events(t), flows.EventProviderLogout, "back_channel"); n != 1 {
					t.Errorf("%d events", n)
				}
				w.clock.pass(time.Second)
				again, _ := w.signedIn(t)
				if r := w.logout(t, backChannel, token); !r.is(400, "invalid_request") || !again.lives() {
					t.Errorf("a replayed token: %d %s", r.status, r.body)
				}
			})
		}
	}
}

func count(all []flows.Event, kind, reason string) int {
	n := 0
	for _, e := range all {
		if e.Type == kind && e.Reason == reason {
			n++
		}
	}
	return n
}

// T-124: what is no logout token of that provider for us ends nothing, and is recorded.
func TestFalseLogouts(t *testing.T) {
	t.Parallel()
	w := newWorld(t, t, setup{definitions: rests})
	defer w.close(t)
	evil := startProvider(t, w.clock)
	jane, sid := w.signedIn(t)
	made := func(p *oidctest.Provider, client string, faults ...oidctest.Fault) string {
		for _, f := range faults {
			p.Misbehave(f)
		}
		defer p.Behave()
		token, err := p.LogoutToken(client, providerSubject, sid)
		must(t, err)
		return token
	}
	field := func(token string) string { return url.Values{"logout_token": {token}}.Encode() }
	good := func() string { return made(w.provider, "stile") }
	id := ""
	w.provider.Misbehave(oidctest.Fault{Compact: func(token string) string { id = token; return token }})
	again := newPhone(t, w, "phone")
	again.browser = jane.browser
	again.start("flow", "door")
	again.finish()
	w.provider.Behave()
	w.clock.pass(time.Second)
	for name, test := range map[string]struct {
		path, body, media string
		status            int
	}{
		"none":                      {backChannel, "", "", 400},
		"empty":                     {backChannel, "logout_token=", "", 400},
		"two":                       {backChannel, field(good()) + "&" + field(good()), "", 400},
		"no token":                  {backChannel, "logout_token=x", "", 400},
		"huge":                      {backChannel, "logout_token=" + strings.Repeat("x", 60<<10), "", 400},
		"larger than any":           {backChannel, "logout_token=" + strings.Repeat("x", 65<<10), "", 413},
		"not a form":                {backChannel, "logout_token=%zz", "", 400},
		"JSON":                      {backChannel, `{"logout_token":"` + good() + `"}`, "application/json", 415},
		"in the address":            {backChannel + "?" + field(good()), "", "", 400},
		"an ID token":               {backChannel, field(id), "", 400},
		"another provider's":        {backChannel, field(made(evil, "stile")), "", 400},
		"for another client":        {backChannel, field(made(w.provider, "other")), "", 400},
		"of a key nobody knows":     {backChannel, field(made(w.provider, "stile", oidctest.SetHeader("kid", "x"))), "", 400},
		"with a nonce":              {backChannel, field(made(w.provider, "stile", oidctest.SetClaim("nonce", "x"))), "", 400},
		"old":                       {backChannel, field(made(w.provider, "stile", oidctest.ShiftTimes(-time.Hour))), "", 400},
		"to another provider":       {"/v1/providers/quiet/backchannel-logout", field(good()), "", 503},
		"to nobody":                 {"/v1/providers/nobody/backchannel-logout", field(good()), "", 404},
		"to a plain OAuth 2.0 one":  {"/v1/providers/plain/backchannel-logout", field(good()), "", 404},
		"to one that is not a name": {"/v1/providers/..%2fcorporate/backchannel-logout", field(good()), "", 404},
	} {
		var edits []func(*http.Request)
		if test.media != "" {
			edits = append(edits, header("Content-Type", test.media))
		}
		if r := w.form(t, test.path, test.body, edits...); r.status != test.status || r.header.Get("Cache-Control") != "no-store" {
			t.Errorf("%s: %d %s, want %d", name, r.status, r.body, test.status)
		}
	}
	if !jane.lives() {
		t.Error("a session has ended")
	}
	if n := count(w.events(t), flows.EventProviderLogout, "back_channel"); n != 0 {
		t.Errorf("%d logouts are recorded", n)
	}
	if n := count(w.events(t), flows.EventRefused, "invalid_request"); n < 10 {
		t.Errorf("%d refusals are recorded", n)
	}
	if r := w.logout(t, backChannel, good()); r.status != 200 || jane.lives() {
		t.Errorf("the true one: %d %s", r.status, r.body)
	}
}

// The provider's page in the browser of whoever signs out there names the session.
func TestFrontChannelLogout(t *testing.T) {
	t.Parallel()
	for _, store := range stores() {
		t.Run(store, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, t, setup{definitions: rests, store: store})
			defer w.close(t)
			jane, sid := w.signedIn(t)
			other, _ := w.signedIn(t)
			w.clock.pass(time.Second)
			visit := func(path string, q url.Values) *http.Response {
				t.Helper()
				resp, err := http.Get(w.node.URL() + path + "?" + q.Encode())
				must(t, err)
				must(t, resp.Body.Close())
				return resp
			}
			iss := w.provider.Issuer()
			for name, test := range map[string]struct {
				path   string
				query  url.Values
				status int
			}{
				"no session":             {frontChannel, url.Values{"iss": {iss}}, 400},
				"no issuer":              {frontChannel, url.Values{"sid": {sid}}, 400},
				"two sessions":           {frontChannel, url.Values{"iss": {iss}, "sid": {"x", sid}}, 400},
				"two issuers":            {frontChannel, url.Values{"iss": {iss, iss}, "sid": {sid}}, 400},
				"another issuer":         {frontChannel, url.Values{"iss": {"https://evil.example"}, "sid": {sid}}, 400},
				"the issuer, not quite":  {frontChannel, url.Values{"iss": {iss + "/"}, "sid": {sid}}, 400},
				"more":                   {frontChannel, url.Values{"iss": {iss}, "sid": {sid}, "sub": {providerSubject}}, 400},
				"a long name":            {frontChannel, url.Values{"iss": {iss}, "sid": {strings.Repeat("x", 256)}}, 400},
				"where it is not wanted": {"/v1/providers/quiet/frontchannel-logout", url.Values{"iss": {"https://quiet.example"}, "sid": {sid}}, 404},
				"at nobody":              {"/v1/providers/nobody/frontchannel-logout", url.Values{"iss": {iss}, "sid": {sid}}, 404},
				"another session":        {frontChannel, url.Values{"iss": {iss}, "sid": {"x"}}, 200},
				"a person":               {frontChannel, url.Values{"iss": {iss}, "sid": {providerSubject}}, 200},
			} {
				if resp := visit(test.path, test.query); resp.StatusCode != test.status {
					t.Errorf("%s: %d, want %d", name, resp.StatusCode, test.status)
				}
			}
			if !jane.lives() || !other.lives() {
				t.Error("a session has ended")
			}
			resp := visit(frontChannel, url.Values{"iss": {iss}, "sid": {sid}})
			if resp.StatusCode != 200 || jane.lives() || !other.lives() {
				t.Errorf("%d, lives %v, %v", resp.StatusCode, jane.lives(), other.lives())
			}
			for name, want := range map[string]string{
				"Cache-Control": "no-store", "Content-Security-Policy": "default-src 'none'; frame-ancestors " + iss,
				"X-Frame-Options": "", "Referrer-Policy": "no-referrer", "Content-Type": "text/html; charset=utf-8",
			} {
				if got := resp.Header.Get(name); got != want {
					t.Errorf("%s: %q, want %q", name, got, want)
				}
			}
		})
	}
}

// A provider that cannot be asked for its keys is told to come again.
func TestLogoutWhileProviderIsDown(t *testing.T) {
	t.Parallel()
	w := newWorld(t, t, setup{definitions: rests})
	defer w.close(t)
	jane, sid := w.signedIn(t)
	token, err := w.provider.LogoutToken("stile", "", sid)
	must(t, err)
	must(t, w.node.Reload()) // which knows no keys yet
	w.provider.Down()
	w.clock.pass(time.Second)
	if r := w.logout(t, backChannel, token); r.status != 503 || r.header.Get("Retry-After") == "" {
		t.Errorf("%d %s", r.status, r.body)
	}
	w.provider.Up()
	w.clock.pass(31 * time.Second)
	if r := w.logout(t, backChannel, token); r.status != 200 || jane.lives() {
		t.Errorf("%d %s", r.status, r.body)
	}
}

// What is kept of a session at a provider is told to nobody.
func TestSessionsThereAreNotTold(t *testing.T) {
	t.Parallel()
	w := newWorld(t, t, setup{definitions: rests})
	defer w.close(t)
	_, sid := w.signedIn(t)
	if sid == "" || strings.Contains(text(t, w.events(t)), sid) {
		t.Error("the trail names the session at the provider")
	}
}
