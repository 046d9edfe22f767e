package contract_test

import (
	"encoding/json"
	"io"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stile-auth/stile/flows"
	"github.com/stile-auth/stile/oidcclient/oidctest"
)

// keeping are targets that get the provider's own token.
const keeping = `
flows:
  door: { steps: [{ id: there, type: sso, with: { provider: corporate } }] }
  local: { steps: [{ id: password, type: password }] }
targets:
  files: { flow: door, propagate: { type: provider_token, provider: corporate } }
  own: { flow: door, propagate: { type: bearer_jwt, audience: "https://own.bank.example" } }
  stolen: { flow: local, propagate: { type: provider_token, provider: corporate } }
providers:
  corporate:
    { issuer: "https://idp.bank.example", client_id: stile, client_secret: { file: secret }, scopes: [openid, email],
      keep_tokens: true, logout: provider, assurance: { categories: [knowledge], cap: aal2 } }
clients:
  phone:
    flows: [door, local]
    targets: [files, own, stolen]
    redirect_uris: ["com.bank.app:/oauth2"]
    post_logout_redirect_uri: "com.bank.app:/signed-out"
    dpop: required
`

// grants runs to a target on a session, or on none, and returns the token and whether it was granted.
func (p *phone) grants(target, session string) (token string, last reply) {
	p.t.Helper()
	body := map[string]any{"clientId": p.client, "target": target}
	if session != "" {
		body["session"] = session
	}
	p.handle = ""
	last = p.post("/v1/flows", body)
	for last.status < 300 && p.view.Flow.Status == "in_progress" {
		last = p.post(p.view.NextStep.forward(), p.right())
	}
	if last.status >= 300 {
		p.t.Logf("%s: %d %s", target, last.status, last.body)
		return "", last
	}
	return p.view.Result.Grant.Token, last
}

// userInfo says whether the provider takes an access token.
func (w *world) userInfo(t *testing.T, token string) int {
	t.Helper()
	req, err := http.NewRequestWithContext(w.ctx, http.MethodGet, w.provider.Issuer()+"/userinfo", nil)
	must(t, err)
	req.Header.Set("Authorization", "Bearer "+token)
	resp, err := http.DefaultClient.Do(req)
	must(t, err)
	_, _ = io.Copy(io.Discard, resp.Body)
	must(t, resp.Body.Close())
	return resp.StatusCode
}

// The access token of the provider goes to the target that says so, refreshed in time,
// and to no other.
func TestProviderToken(t *testing.T) {
	t.Parallel()
	for _, store := range stores() {
		t.Run(store, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, t, setup{definitions: keeping, store: store})
			defer w.close(t)
			p := newPhone(t, w, "phone")
			first, _ := p.grants("files", "")
			if first == "" || w.userInfo(t, first) != 200 {
				t.Fatalf("the provider does not know the token %q", first)
			}
			again, _ := p.grants("files", p.view.Result.Session)
			if again != first || w.provider.Calls(oidctest.EndpointToken) != 1 {
				t.Errorf("a token that was good is another, after %d calls", w.provider.Calls(oidctest.EndpointToken))
			}
			for range 3 { // each refresh token is good once
				w.clock.pass(9*time.Minute + 31*time.Second)
				token, last := p.grants("files", p.view.Result.Session)
				if token == again || token == "" || w.userInfo(t, token) != 200 {
					t.Fatalf("not refreshed: %q, %s", token, last.body)
				}
				again = token
			}
			own, _ := p.grants("own", p.view.Result.Session)
			if strings.Count(own, ".") != 2 {
				t.Errorf("another target got %q", own)
			}
			session := p.view.Result.Session
			if token, last := p.grants("stolen", session); token != "" || last.status != 403 {
				t.Errorf("without a sign-on there: %q %d %s", token, last.status, last.body)
			}
		})
	}
}

// Many at once refresh once: a provider that rotates takes two for a theft.
func TestRefreshedOnce(t *testing.T) {
	t.Parallel()
	w := newWorld(t, t, setup{definitions: keeping, store: "sqlite"})
	defer w.close(t)
	p := newPhone(t, w, "phone")
	p.grants("files", "")
	session := p.view.Result.Session
	w.clock.pass(10 * time.Minute)
	gate := oidctest.NewGate()
	w.provider.Misbehave(gate.Hold(oidctest.EndpointToken))
	calls := w.provider.Calls(oidctest.EndpointToken)
	var all sync.WaitGroup
	tokens := make(chan string, 8)
	for range cap(tokens) {
		q := *p
		all.Go(func() { // whoever comes too late has a session no more
			r := q.send(http.MethodPost, "/v1/flows", text(t, map[string]any{"clientId": q.client, "target": "files", "session": session}))
			if r.view.Result == nil {
				tokens <- ""
				return
			}
			tokens <- r.view.Result.Grant.Token
		})
	}
	<-gate.Held()
	gate.Release()
	all.Wait()
	close(tokens)
	if n := w.provider.Calls(oidctest.EndpointToken) - calls; n != 1 {
		t.Errorf("refreshed %d times", n)
	}
	good := ""
	for token := range tokens {
		if token != "" && good != "" && token != good {
			t.Error("two tokens")
		}
		good = max(good, token)
	}
	if good == "" || w.userInfo(t, good) != 200 {
		t.Error("nobody got a token that is good")
	}
}

// A refresh token that somebody else has used ends all: the person signs on again.
func TestStolenRefreshToken(t *testing.T) {
	t.Parallel()
	for _, store := range stores() {
		t.Run(store, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, t, setup{definitions: keeping, store: store})
			defer w.close(t)
			refresh := ""
			w.provider.Misbehave(oidctest.Fault{Answer: func(endpoint string, a *oidctest.Answer) {
				var body struct {
					Refresh string `json:"refresh_token"`
				}
				if endpoint == oidctest.EndpointToken && json.Unmarshal(a.Body, &body) == nil {
					refresh = body.Refresh
				}
			}})
			p := newPhone(t, w, "phone")
			p.grants("files", "")
			w.provider.Behave()
			thief, err := http.NewRequestWithContext(w.ctx, http.MethodPost, w.provider.Issuer()+"/token",
				strings.NewReader(url.Values{"grant_type": {"refresh_token"}, "refresh_token": {refresh}}.Encode()))
			must(t, err)
			thief.Header.Set("Content-Type", "application/x-www-form-urlencoded")
			thief.SetBasicAuth("stile", clientSecret)
			resp, err := http.DefaultClient.Do(thief)
			must(t, err)
			must(t, resp.Body.Close())
			if resp.StatusCode != 200 {
				t.Fatalf("the thief: %d", resp.StatusCode)
			}
			w.clock.pass(10 * time.Minute)
			session := p.view.Result.Session
			calls := w.provider.Calls(oidctest.EndpointToken)
			for range 2 {
				if token, last := p.grants("files", session); token != "" || !last.is(403, "login_required") {
					t.Errorf("%q %d %s", token, last.status, last.body)
				}
			}
			if n := w.provider.Calls(oidctest.EndpointToken) - calls; n != 1 {
				t.Errorf("tried %d times", n)
			}
			if n := count(w.events(t), flows.EventTokensLost, ""); n != 1 {
				t.Errorf("%d events", n)
			}
			if token, _ := p.grants("files", ""); token == "" || w.userInfo(t, token) != 200 {
				t.Error("signing on again does not help")
			}
		})
	}
}

// A provider that is down keeps nothing back for good.
func TestRefreshWhileProviderIsDown(t *testing.T) {
	t.Parallel()
	w := newWorld(t, t, setup{definitions: keeping})
	defer w.close(t)
	p := newPhone(t, w, "phone")
	p.grants("files", "")
	session := p.view.Result.Session
	w.clock.pass(10 * time.Minute)
	w.provider.Down()
	if _, last := p.grants("files", session); !last.is(503, "dependency_unavailable") {
		t.Errorf("%d %s", last.status, last.body)
	}
	w.provider.Up()
	w.clock.pass(time.Minute)
	if token, last := p.grants("files", session); token == "" {
		t.Errorf("%d %s", last.status, last.body)
	}
}

// However a session ends, what the provider has given for it is revoked there.
func TestTokensEndWithTheSession(t *testing.T) {
	t.Parallel()
	for name, end := range map[string]func(t *testing.T, w *world, p *phone){
		"signed out": func(_ *testing.T, _ *world, p *phone) { p.signOut() },
		"signed out there": func(t *testing.T, w *world, _ *phone) {
			token, err := w.provider.LogoutToken("stile", providerSubject, "")
			must(t, err)
			w.logout(t, backChannel, token)
		},
		"all sessions of the account": func(t *testing.T, w *world, _ *phone) {
			at := w.clock.now()
			must(t, w.node.Base.Store.EndSessions(w.ctx, flows.SessionsEnd{Subject: w.added.Subject, At: at, Until: at.Add(time.Hour)}))
			w.logout(t, backChannel, "x")
			p := newPhone(t, w, "phone") // the next end that this node hears of has it look
			p.start("flow", "local")
			p.finish()
			p.signOut()
		},
	} {
		for _, store := range stores() {
			t.Run(name+" "+store, func(t *testing.T) {
				t.Parallel()
				w := newWorld(t, t, setup{definitions: keeping, store: store})
				defer w.close(t)
				revoked := make(chan struct{}, 4)
				w.provider.Misbehave(oidctest.Fault{Answer: func(endpoint string, _ *oidctest.Answer) {
					if endpoint == oidctest.EndpointRevoke {
						revoked <- struct{}{}
					}
				}})
				p := newPhone(t, w, "phone")
				token, _ := p.grants("files", "")
				w.clock.pass(time.Second)
				end(t, w, p)
				for range 2 { // refresh token and access token
					select {
					case <-revoked:
					case <-time.After(20 * time.Second):
						t.Fatal("nothing was revoked")
					}
				}
				if w.userInfo(t, token) != 401 {
					t.Error("the access token is good still")
				}
			})
		}
	}
}

// signOut ends the phone's session and returns the answer.
func (p *phone) signOut() reply {
	p.t.Helper()
	return p.send(http.MethodDelete, "/v1/session", "", header("Authorization", "Session "+p.view.Result.Session))
}

// Who signs out here is told where to sign out there; the browser comes back.
func TestSignOutAtTheProvider(t *testing.T) {
	t.Parallel()
	for _, store := range stores() {
		t.Run(store, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, t, setup{definitions: keeping, store: store})
			defer w.close(t)
			p := newPhone(t, w, "phone")
			p.start("flow", "door")
			p.finish()
			r := p.signOut()
			var to struct{ EndSessionURI, State string }
			must(t, json.Unmarshal([]byte(r.body), &to))
			u, err := url.Parse(to.EndSessionURI)
			must(t, err)
			q := u.Query()
			if r.status != 200 || !strings.HasPrefix(to.EndSessionURI, w.provider.Issuer()+"/logout?") || q.Get("client_id") != "stile" ||
				q.Get("post_logout_redirect_uri") != "com.bank.app:/signed-out" || q.Get("state") != to.State || len(to.State) != 43 || strings.Count(q.Get("id_token_hint"), ".") != 2 {
				t.Fatalf("%d %s", r.status, r.body)
			}
			back, err := p.browser.Open(w.ctx, to.EndSessionURI, "com.bank.app:/signed-out")
			must(t, err)
			if back != "com.bank.app:/signed-out?state="+to.State {
				t.Errorf("came back with %s", back)
			}
			if r := p.signOut(); r.status != 204 || r.body != "" {
				t.Errorf("again: %d %s", r.status, r.body)
			}
			p.start("flow", "local")
			p.finish()
			if r := p.signOut(); r.status != 204 || r.body != "" {
				t.Errorf("a session that rests on nothing there: %d %s", r.status, r.body)
			}
			p.start("flow", "door")
			p.finish()
			thief := p.other()
			if r := thief.signOut(); r.status != 204 || r.body != "" {
				t.Errorf("somebody else's key: %d %s", r.status, r.body)
			}
			w.provider.Down()
			must(t, w.node.Reload())
			if r := p.signOut(); r.status != 204 {
				t.Errorf("while the provider is down: %d %s", r.status, r.body)
			}
		})
	}
}

// Tokens are nowhere but where they have to be: not in the file, not in the trail.
func TestProviderTokensAreSealed(t *testing.T) {
	t.Parallel()
	w := newWorld(t, t, setup{definitions: keeping})
	defer w.close(t)
	p := newPhone(t, w, "phone")
	token, _ := p.grants("files", "")
	kept, err := w.node.Base.Store.Forsaken(w.ctx, w.clock.now().Add(24*time.Hour), 10)
	must(t, err)
	if len(kept) != 1 || strings.Contains(string(kept[0].Data), token) || strings.Contains(text(t, w.events(t)), token) {
		t.Errorf("%d kept", len(kept))
	}
}
