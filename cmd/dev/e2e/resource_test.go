package e2e_test

import (
	"encoding/json"
	"fmt"
	"net/url"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/chromedp/chromedp"
)

// resource is an API that package rp guards, for scripts of one origin.
type resource struct{ URL, Key string }

// guarded starts one that trusts the server at issuer.
func (w *world) guarded(issuer, origin string) resource {
	w.t.Helper()
	binary := filepath.Join(w.folder, "resource")
	build := exec.Command("go", "build", "-tags", "nomsgpack", "-o", binary, "./cmd/dev/resource")
	build.Dir = filepath.Join("..", "..", "..")
	if out, err := build.CombinedOutput(); err != nil {
		w.t.Fatalf("%v: %s", err, out)
	}
	cmd := exec.Command(binary, "-issuer", issuer, "-audience", "https://api.example", "-origin", origin)
	out, err := cmd.StdoutPipe()
	must(w.t, err)
	must(w.t, cmd.Start())
	w.t.Cleanup(func() { _, _ = cmd.Process.Kill(), cmd.Wait() })
	var r resource
	must(w.t, json.NewDecoder(out).Decode(&r))
	return r
}

// asks is a script that calls the API, with headers written as members of an object.
func (r resource) asks(path, headers string) string {
	return fmt.Sprintf("return call(%q, {%s})", r.URL+path, headers)
}

const withToken = `Authorization: "Bearer " + window.token`

// A page of another origin drives a flow and calls the API with what came of it. It
// reads why it is refused: that it has to sign in, and that it may not.
func TestScriptClient(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	origin, server := w.places()
	api := w.guarded(server, origin)

	r := w.do(api.asks("/accounts", ""))
	if r.HTTP != 401 || !strings.HasPrefix(r.Challenge, "Bearer ") || r.Error != "" {
		t.Errorf("without a token: %+v", r)
	}
	r = w.do(api.asks("/accounts", `Authorization: "Bearer made-up"`))
	if r.HTTP != 401 || r.Code != "invalid_token" || !strings.Contains(r.Challenge, `error="invalid_token"`) {
		t.Errorf("with a token that was made up: %+v", r)
	}
	signsIn := `window.flow = new Flow(); await flow.start({ target: "api" });
		const r = await flow.answer({ username: "` + login + `", password: "` + password + `" }); window.token = r.token; return r`
	if r = w.do(signsIn); r.Status != "completed" || r.Token == "" || !slices.Equal(r.AMR, []string{"pwd"}) {
		t.Fatalf("%+v", r)
	}
	if r = w.do(api.asks("/accounts", withToken)); r.HTTP != 200 || r.Status != "here you are" {
		t.Errorf("with the token: %+v", r)
	}
	if r = w.do(api.asks("/admin", withToken)); r.HTTP != 403 || r.Code != "insufficient_scope" || !strings.Contains(r.Challenge, "insufficient_scope") {
		t.Errorf("where it may not: %+v", r)
	}
	if r = w.do(api.asks("/prices", `"X-API-Key": "`+api.Key+`"`)); r.HTTP != 200 {
		t.Errorf("with its key: %+v", r)
	}
	if r = w.do(api.asks("/prices", withToken)); r.HTTP != 401 {
		t.Errorf("a token is no key: %+v", r)
	}
}

// A page of an origin that is not listed reaches neither the flows nor the API: the
// browser keeps every answer from it.
func TestScriptOfAnotherOrigin(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	listed, server := w.places()
	api := w.guarded(server, listed)
	w.visit(w.serveApp() + "/?stile=" + url.QueryEscape(server))
	for name, script := range map[string]string{
		"starts a flow":            `window.flow = new Flow(); return flow.start({ target: "api" })`,
		"calls the API":            api.asks("/accounts", ""),
		"calls it with a token":    api.asks("/accounts", `Authorization: "Bearer made-up"`),
		"calls it with a good key": api.asks("/prices", `"X-API-Key": "`+api.Key+`"`),
	} {
		if r := w.do(script); r.Error != "TypeError" || r.HTTP != 0 || r.Code != "" || r.Challenge != "" {
			t.Errorf("%s: %+v", name, r)
		}
	}
	seen, err := chromedp.Run(w.ctx, chromedp.Evaluate[bool]("window.flow.handle === undefined && window.flow.view === undefined"))
	if err != nil || !seen {
		t.Errorf("it knows of a run: %v", err)
	}
}

// places are the app's origin and the server's address.
func (w *world) places() (origin, server string) {
	w.t.Helper()
	u, err := url.Parse(w.app)
	must(w.t, err)
	return u.Scheme + "://" + u.Host, u.Query().Get("stile")
}
