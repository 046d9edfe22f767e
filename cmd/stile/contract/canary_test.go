package contract_test

import (
	"bytes"
	"encoding/base32"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"io"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"

	"github.com/stile-auth/stile/cmd/stile/demo/app"
	"github.com/stile-auth/stile/oidcclient/oidctest"
)

// aviary collects every secret that passes, and everything that must not hold one.
type aviary struct {
	mu       sync.Mutex
	secrets  map[string]string // secret to what it is
	problems []string
	log      bytes.Buffer
}

func (a *aviary) add(what, secret string) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if len(secret) >= 6 {
		a.secrets[secret] = what
	}
}

// Write takes log lines.
func (a *aviary) Write(line []byte) (int, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.log.Write(line)
}

// members of bodies, parameters and forms that are secret.
func secretName(name string) bool {
	switch name {
	case "handle", "session", "token", "password", "pin", "code", "jws", "state", "nonce", "code_verifier", "client_secret",
		"access_token", "id_token", "refresh_token", "queryString", "challenge", "csrf", "transaction":
		return true
	}
	return false
}

// see is a hook on every wire.
func (a *aviary) see(e app.Exchange) {
	a.json(e.RequestBody, "")
	public := ""
	if strings.HasPrefix(e.ResponseHeader.Get("Content-Type"), "application/problem+json") {
		a.mu.Lock()
		a.problems = append(a.problems, string(e.ResponseBody))
		a.mu.Unlock()
		public = "code" // of the problem
	}
	a.json(e.ResponseBody, public)
	a.query("form", string(e.RequestBody))
	for _, address := range []string{e.URL, e.ResponseHeader.Get("Location")} {
		if _, query, ok := strings.Cut(address, "?"); ok {
			a.query("parameter", query)
		}
	}
	for _, name := range []string{"Authorization", "Dpop", "Cookie", "Idempotency-Key"} {
		for _, v := range e.RequestHeader[name] {
			_, value, ok := strings.Cut(v, " ")
			if !ok || name == "Cookie" {
				value = v
			}
			a.add(name, value)
		}
	}
	for _, c := range (&http.Response{Header: e.ResponseHeader}).Cookies() {
		a.add("cookie", c.Value)
	}
}

// json takes the secret members of a body; the one at its top named public is none.
func (a *aviary) json(body []byte, public string) {
	var v map[string]any
	if json.Unmarshal(body, &v) == nil {
		delete(v, public)
		a.walk("", v)
	}
}

func (a *aviary) walk(name string, v any) {
	switch v := v.(type) {
	case map[string]any:
		for k, member := range v {
			a.walk(k, member)
		}
	case []any:
		for _, member := range v {
			a.walk(name, member)
		}
	case string:
		if secretName(name) {
			a.add(name, v)
		}
	}
}

func (a *aviary) query(what, query string) {
	values, err := url.ParseQuery(query)
	if err != nil {
		return
	}
	for name, all := range values {
		for _, v := range all {
			if secretName(name) {
				a.add(what+" "+name, v)
			}
		}
	}
}

func (a *aviary) wire(who string) http.RoundTripper { return &app.Wire{Who: who, Trace: a.see} }

// find reports every secret that a text holds, as it is or encoded.
func (a *aviary) find(t *testing.T, where, text string) {
	t.Helper()
	for secret, what := range a.secrets {
		forms := []string{secret, url.QueryEscape(secret), base64.StdEncoding.EncodeToString([]byte(secret)), hex.EncodeToString([]byte(secret))}
		for _, form := range forms {
			if len(form) < 10 { // codes and PINs: whole numbers only, not a part of one
				if regexp.MustCompile(`(^|[^0-9.A-Za-z_-])` + regexp.QuoteMeta(form) + `($|[^0-9A-Za-z_-])`).MatchString(text) {
					t.Errorf("%s holds the %s %q", where, what, form)
					break
				}
			} else if strings.Contains(text, form) {
				t.Errorf("%s holds the %s %q", where, what, form)
				break
			}
		}
	}
}

// No log line, audit event, metric or problem document holds a secret, and no
// file does: neither of runs that go well, nor of those that fail in many ways.
func TestNoSecretLeaksAnywhere(t *testing.T) {
	t.Parallel()
	a := &aviary{secrets: map[string]string{}}
	logger := zap.New(zapcore.NewCore(zapcore.NewJSONEncoder(zap.NewProductionEncoderConfig()), zapcore.AddSync(a), zapcore.DebugLevel),
		zap.AddStacktrace(zapcore.DebugLevel))
	w := newWorld(t, t, setup{store: "sqlite", logger: logger, transport: a.wire("client"), more: "keys: { signing: signing.pem }"})
	for what, secret := range map[string]string{
		"password": password, "PIN": pin, "provider's password": providerPassword, "client secret": clientSecret, "seed": w.seed(),
		"seed in hex": hex.EncodeToString(w.added.Seed), "seed as bytes": string(w.added.Seed),
		"seed in base32": base32.StdEncoding.EncodeToString(w.added.Seed), "otpauth URI": w.added.URI,
	} {
		a.add(what, secret)
	}
	for _, name := range []string{w.cfg.Keys.Signing, filepath.Join(w.cfg.DataDir, "master.key")} {
		key, err := os.ReadFile(name)
		must(t, err)
		a.add(filepath.Base(name), strings.TrimSpace(string(key)))
	}
	a.theFourRuns(t, w)
	a.manyMistakes(t, w)
	if len(a.secrets) < 100 || len(a.problems) < 20 || a.log.Len() < 10_000 {
		t.Errorf("only %d secrets, %d problems, %d bytes of log: nothing was looked at", len(a.secrets), len(a.problems), a.log.Len())
	}
	a.problems = append(a.problems, w.get(t, "/metrics"), w.get(t, "/readyz"), w.get(t, "/.well-known/openid-configuration"))
	events := text(t, w.events(t))
	a.atRest(t, w)
	w.close(t)
	a.find(t, "the log", a.log.String())
	a.find(t, "the audit trail", events)
	a.withoutOwn(t)
}

// withoutOwn: a problem may hold what it exists to hand over, a new handle or
// the next prompt's challenge and request, and nothing else.
func (a *aviary) withoutOwn(t *testing.T) {
	t.Helper()
	for _, body := range a.problems {
		var doc map[string]any
		if json.Unmarshal([]byte(body), &doc) == nil {
			delete(doc, "handle")
			delete(doc, "nextStep")
			body = text(t, doc)
		}
		a.find(t, "a problem", body)
	}
}

func (w *world) get(t *testing.T, path string) string {
	t.Helper()
	resp, err := http.Get(w.node.URL() + path)
	must(t, err)
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	must(t, err)
	return string(body)
}

// theFourRuns are those of the demo, and the one of passwords.
func (a *aviary) theFourRuns(t *testing.T, w *world) {
	t.Helper()
	device, err := app.NewDevice(app.DeviceConfig{Now: w.clock.now, Biometrics: func() bool { return true }})
	must(t, err)
	browser, err := app.NewBrowser(app.BrowserConfig{Transport: a.wire("browser"), Person: app.Person{Username: providerUser, Password: providerPassword}})
	must(t, err)
	choice := ""
	phone, err := app.New(app.Config{
		StileURL: w.node.URL(), ClientID: "bank-app", RedirectURI: redirectURI, Device: device, Browser: browser, Now: w.clock.now,
		HTTPClient: &http.Client{Transport: a.wire("app")},
		User:       app.User{Username: login, Password: password, PIN: pin, TOTP: func(time.Time) (string, error) { return w.code() }},
		Choose:     func([]app.Option) string { return choice },
	})
	must(t, err)
	session := ""
	for _, run := range []struct{ target, choice string }{
		{"accounts", ""}, {"payments", ""}, {"balance", "pin"}, {"payments", "biometric"}, {"ledger", ""},
	} {
		choice = run.choice
		result, err := phone.Run(w.ctx, app.StartOptions{Target: run.target, Session: session})
		must(t, err)
		session = result.Session
		if run.target != "accounts" {
			session = ""
		}
	}
}

// manyMistakes sends secrets to where they do not belong, in every way that is refused.
func (a *aviary) manyMistakes(t *testing.T, w *world) {
	t.Helper()
	p := newPhone(t, w, "bank-app")
	p.http = &http.Client{Transport: a.wire("app")}
	p.start("target", "ledger")
	href := p.view.NextStep.forward()
	for _, body := range []string{
		`{"username":"jane","password":"canary-mistyped-one"}`, `{"username":"jane","password":1,"canary-member":"canary-value"}`,
		`{"username":"canary-login-name","password":"canary-mistyped-two"}`, `{"password":"canary-broken`, `canary-no-json`,
	} {
		r := p.send(http.MethodPost, href, body)
		if r.view.NextStep != nil {
			href = r.view.NextStep.forward()
		}
	}
	for _, canary := range []string{"canary-mistyped-one", "canary-mistyped-two", "canary-value", "canary-member", "canary-broken", "canary-no-json", "canary-login-name"} {
		a.add("input", canary)
	}
	p.view = p.show().view
	w.clock.pass(time.Minute)
	p.until("OTP_REQUIRED")
	a.add("wrong code", "918273")
	p.post(p.view.NextStep.forward(), map[string]any{"code": "918273"})
	p.other().show()
	p.show(header("Authorization", "Flow "+p.handle, "Flow "+p.handle))
	p.show(header("DPoP", "canary.proof.of-nothing"))
	a.add("bad proof", "canary.proof.of-nothing")
	p.send(http.MethodPost, "/v1/flow/steps/code?turn=3&handle="+p.handle, `{"code":"918273"}`)
	p.send(http.MethodGet, "/v1/flow/"+p.handle, "")
	p.send(http.MethodPost, "/v1/flow/steps/"+p.handle+"?turn=3", `{"code":"918273"}`)
	p.send(http.MethodPost, "/v1/flows", `{"clientId":"`+p.handle+`","flow":"`+p.handle+`"}`)
	p.send(http.MethodPost, "/v1/flows", `{"clientId":"bank-app","flow":"single-sign-on","session":"`+p.handle+`"}`)
	p.send(http.MethodPost, "/v1/flow/restart?turn=1", `{"code":"918273"}`)
	a.lyingProvider(t, w)
}

func (a *aviary) lyingProvider(t *testing.T, w *world) {
	t.Helper()
	faults := lies(t)
	faults["failing"] = oidctest.Body(oidctest.EndpointToken, "application/json", `{"error":"canary-error-code","error_description":"canary-description"}`)
	faults["speaking"] = oidctest.SetClaim("nonce", "canary-nonce-claim")
	faults["elsewhere"] = oidctest.RedirectTo(oidctest.EndpointToken, "http://127.0.0.1:1/canary-location")
	faults["down"] = oidctest.Cut(oidctest.EndpointToken)
	for _, canary := range []string{"canary-error-code", "canary-description", "canary-nonce-claim", "canary-location"} {
		a.add("what a provider says", canary)
	}
	for _, fault := range faults {
		p := newPhone(t, w, "bank-app")
		p.http = &http.Client{Transport: a.wire("app")}
		p.start("target", "accounts")
		query := p.signOn()
		w.provider.Misbehave(fault)
		forwards(query)(p)
		forwards("code=canary-code-one&state=canary-state-one&iss=canary-issuer")(p)
		forwards("error=canary_error&state=x")(p)
		w.provider.Behave()
	}
}

// atRest: the store's files hold no secret as it is. What a person may read in
// them, such as names, is no secret.
func (a *aviary) atRest(t *testing.T, w *world) {
	t.Helper()
	files, err := filepath.Glob(w.cfg.Store.Path + "*")
	must(t, err)
	if len(files) < 2 {
		t.Errorf("files %v", files)
	}
	for _, name := range files {
		data, err := os.ReadFile(name)
		must(t, err)
		for secret, what := range a.secrets {
			if len(secret) >= 12 && what != "what a provider says" && bytes.Contains(data, []byte(secret)) {
				t.Errorf("%s holds the %s %q", filepath.Base(name), what, secret)
			}
		}
	}
}
