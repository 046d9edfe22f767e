package contract_test

import (
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"go.uber.org/zap"

	"github.com/stile-auth/stile/cmd/stile/config"
	"github.com/stile-auth/stile/cmd/stile/demo/app"
	"github.com/stile-auth/stile/flows"
	"github.com/stile-auth/stile/oidcclient/oidctest/browser"
	"github.com/stile-auth/stile/oidcclient/oidctest/certified"
)

// certifiedWorld is a node whose provider others wrote, and a phone of Jane's.
func certifiedWorld(t *testing.T) (*world, *certified.Provider, *phone) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	w := &world{ctx: t.Context(), clock: newClock(), logger: zap.NewNop(), addr: l.Addr().String()}
	must(t, l.Close())
	idp := certified.OpenFor(t, os.Getenv, "http://"+w.addr)
	dir := t.TempDir()
	write(t, filepath.Join(dir, "secret"), idp.ClientSecret+"\n")
	write(t, filepath.Join(dir, "flows", "all.yaml"), strings.NewReplacer("client_id: stile", "client_id: rp", "keep_tokens:", "provision: create, keep_tokens:").Replace(keeping))
	write(t, filepath.Join(dir, "stile.yaml"), fmt.Sprintf("listen: %s\nbase_url: http://%s\ndata_dir: data\nstore: { type: sqlite, durability: normal }\ndefinitions: flows\n"+
		"providers: { corporate: { issuer: %q, client_secret: { file: secret }, network: loopback } }\n", w.addr, w.addr, idp.Issuer))
	w.cfg, err = config.Load(filepath.Join(dir, "stile.yaml"))
	must(t, err)
	w.start(t)
	t.Cleanup(func() { w.close(t) })
	p := newPhone(t, w, "phone")
	p.browser, err = app.NewBrowser(app.BrowserConfig{Person: app.Person{Username: "jane", Password: "any"}})
	must(t, err)
	return w, idp, p
}

// me says whether that provider takes an access token.
func me(t *testing.T, idp *certified.Provider, token string) int {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, idp.Issuer+"/me", nil)
	must(t, err)
	req.Header.Set("Authorization", "Bearer "+token)
	resp, err := http.DefaultClient.Do(req)
	must(t, err)
	must(t, resp.Body.Close())
	return resp.StatusCode
}

// waits waits for an event.
func (w *world) waits(t *testing.T, kind string) {
	t.Helper()
	for deadline := time.Now().Add(20 * time.Second); time.Now().Before(deadline); {
		for _, e := range w.events(t) {
			if e.Type == kind {
				return
			}
		}
		<-time.After(10 * time.Millisecond)
	}
	t.Fatalf("%s never happened", kind)
}

// A provider that others wrote rotates the refresh tokens that are kept, and revokes
// them when the session ends.
func TestCertifiedTokens(t *testing.T) {
	t.Parallel()
	w, idp, p := certifiedWorld(t)
	first, last := p.grants("files", "")
	if first == "" || me(t, idp, first) != 200 {
		t.Fatalf("%d %s", last.status, last.body)
	}
	token := first
	for range 3 {
		w.clock.pass(8 * time.Second)
		was := token
		w.clock.pass(3 * time.Second)
		if token, last = p.grants("files", p.view.Result.Session); token == "" {
			t.Fatalf("%d %s", last.status, last.body)
		}
		if token == was || me(t, idp, token) != 200 {
			t.Fatal("it was not refreshed")
		}
	}
	if r := p.signOut(); r.status != 200 {
		t.Fatalf("%d %s", r.status, r.body)
	}
	w.waits(t, flows.EventTokensRevoked)
	if me(t, idp, token) != 401 {
		t.Error("the access token is good still")
	}
}

// Who signs out on its pages is signed out here: it tells us by the back channel. We lead
// people there, and its browser comes back to the app.
func TestCertifiedLogout(t *testing.T) {
	t.Parallel()
	w, idp, p := certifiedWorld(t)
	b, err := browser.New(browser.Config{})
	must(t, err)
	signOn := func(q *phone) {
		t.Helper()
		q.start("flow", "door")
		var data struct{ AuthorizationRequestURI string }
		must(t, json.Unmarshal(q.view.NextStep.Data, &data))
		page, err := b.Open(w.ctx, data.AuthorizationRequestURI)
		must(t, err)
		for page.Handed == nil {
			values, button := map[string]string(nil), "Continue"
			if strings.Contains(string(page.Body), `name="login"`) {
				values, button = map[string]string{"login": "jane", "password": "any"}, "Sign-in"
			}
			page, err = page.Submit(w.ctx, button, values)
			must(t, err)
		}
		if r := q.post(q.view.NextStep.forward(), map[string]any{"queryString": page.Handed.RawQuery}); r.view.Flow.Status != "completed" {
			t.Fatalf("%d %s", r.status, r.body)
		}
	}
	other := newPhone(t, w, "phone")
	signOn(p)
	signOn(other)
	rests := &guest{other, other.view.Result.Session}
	if !rests.lives() {
		t.Fatal("there is no session")
	}
	r := p.signOut()
	var to struct{ EndSessionURI, State string }
	must(t, json.Unmarshal([]byte(r.body), &to))
	if !strings.HasPrefix(to.EndSessionURI, idp.Issuer+"/session/end?") {
		t.Fatalf("%d %s", r.status, r.body)
	}
	page, err := b.Open(w.ctx, to.EndSessionURI)
	must(t, err)
	for i := range page.Forms { // the button stands outside the form that it is of
		page.Forms[i].Buttons = append(page.Forms[i].Buttons, browser.Button{Name: "logout", Value: "yes", Text: "Yes, sign me out"})
	}
	page, err = page.Submit(w.ctx, "Yes, sign me out", nil)
	must(t, err)
	if page.Handed == nil || page.Handed.String() != "com.bank.app:/signed-out?state="+url.QueryEscape(to.State) {
		t.Errorf("came back with %v", page.Handed)
	}
	w.waits(t, flows.EventProviderLogout)
	if rests.lives() {
		t.Error("a session that rested on the one there goes on")
	}
}
