package oidctest_test

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"io"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/coreos/go-oidc/v3/oidc"
	"golang.org/x/oauth2"

	"github.com/stile-auth/stile/oidcclient/oidctest"
	"github.com/stile-auth/stile/oidcclient/oidctest/browser"
)

const (
	appURI    = "com.example.app:/oauth2"
	webURI    = "https://web.example/callback"
	loopback  = "127.0.0.1:54321" // an app on this port; the browser hands over instead of connecting
	webSecret = "a secret/with:signs+%"
	password  = "correct horse"
	verifier  = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk" // RFC 7636 appendix B
	challenge = "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM"
)

// clock is a time that only the test moves.
type clock struct {
	mu  sync.Mutex
	now time.Time
}

func (c *clock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now
}

func (c *clock) advance(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = c.now.Add(d)
}

// world is a provider, a person with a browser, and a standard relying party.
type world struct {
	*oidctest.Provider
	t     *testing.T
	clock *clock
	b     *browser.Browser
	http  *http.Client
}

func newWorld(t *testing.T, change ...func(*oidctest.Config)) *world {
	t.Helper()
	w := &world{t: t, clock: &clock{now: time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)}}
	bob := oidctest.User{Username: "bob", Password: "bob's password", Email: "bob@example.test", ACR: "urn:example:acr:strong", AMR: []string{"pwd", "otp", "mfa"}}
	cfg := oidctest.Config{
		Now:   w.clock.Now,
		Users: []oidctest.User{oidctest.DefaultUser(), bob},
		Clients: []oidctest.Client{
			{ID: "app", RedirectURIs: []string{appURI, "http://127.0.0.1/callback", "http://[::1]/callback"}, PostLogoutRedirectURIs: []string{appURI}},
			{ID: "web", Secret: webSecret, RedirectURIs: []string{webURI, webURI + "?keep=1"}, AllowedScopes: []string{"openid", "email", "ledger"}},
		},
	}
	for _, f := range change {
		f(&cfg)
	}
	var err error
	if w.Provider, err = oidctest.Start(cfg); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := w.Close(); err != nil {
			t.Error(err)
		}
	})
	transport := &http.Transport{}
	t.Cleanup(transport.CloseIdleConnections)
	w.http = &http.Client{
		Transport:     transport,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	w.b = w.newBrowser()
	return w
}

func (w *world) newBrowser() *browser.Browser {
	w.t.Helper()
	b, err := browser.New(browser.Config{
		Transport: w.http.Transport,
		Claimed:   func(u *url.URL) bool { return u.Host == "web.example" || u.Host == loopback },
	})
	if err != nil {
		w.t.Fatal(err)
	}
	return b
}

// ctx is the context in which go-oidc and oauth2 use the test's HTTP client.
func (w *world) ctx() context.Context { return oidc.ClientContext(w.t.Context(), w.http) }

// request is a good authorization request of the public client, with changes:
// "" removes a parameter.
func (w *world) request(changes ...string) string {
	q := url.Values{
		"response_type": {"code"}, "client_id": {"app"}, "redirect_uri": {appURI},
		"scope": {"openid profile email"}, "state": {"the-state"}, "nonce": {"the-nonce"},
		"code_challenge": {challenge}, "code_challenge_method": {"S256"},
	}
	for i := 0; i < len(changes); i += 2 {
		if changes[i+1] == "" {
			q.Del(changes[i])
			continue
		}
		q.Set(changes[i], changes[i+1])
	}
	return w.Issuer() + "/authorize?" + q.Encode()
}

func (w *world) webRequest(changes ...string) string {
	base := []string{"client_id", "web", "redirect_uri", webURI, "scope", "openid email", "code_challenge", "", "code_challenge_method", ""}
	return w.request(append(base, changes...)...)
}

func (w *world) open(address string) *browser.Page {
	w.t.Helper()
	page, err := w.b.Open(w.t.Context(), address)
	if err != nil {
		w.t.Fatal(err)
	}
	return page
}

func (w *world) submit(page *browser.Page, button string, values map[string]string) *browser.Page {
	w.t.Helper()
	next, err := page.Submit(w.t.Context(), button, values)
	if err != nil {
		w.t.Fatalf("%v\n%s", err, page.Body)
	}
	return next
}

func (w *world) logIn(page *browser.Page) *browser.Page {
	w.t.Helper()
	return w.submit(page, "Sign in", map[string]string{"username": "alice", "password": password})
}

// authorize plays a whole login with consent and returns what the app gets.
func (w *world) authorize(address string) url.Values {
	w.t.Helper()
	return w.handed(w.submit(w.logIn(w.open(address)), "Allow", nil))
}

// handed is the authorization response in the query.
func (w *world) handed(page *browser.Page) url.Values {
	w.t.Helper()
	if page.Handed == nil {
		w.t.Fatalf("nothing handed to the app, but status %d:\n%s", page.Status, page.Body)
	}
	return page.Handed.Query()
}

// answer is what a JSON endpoint said.
type answer struct {
	Status int
	Header http.Header
	Body   string
	JSON   map[string]any
}

func (a answer) text(name string) string {
	s, _ := a.JSON[name].(string)
	return s
}

func (w *world) do(req *http.Request) answer {
	w.t.Helper()
	res, err := w.http.Do(req)
	if err != nil {
		w.t.Fatal(err)
	}
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	if err != nil {
		w.t.Fatal(err)
	}
	a := answer{Status: res.StatusCode, Header: res.Header, Body: string(body)}
	_ = json.Unmarshal(body, &a.JSON) // JSON stays nil if it is none
	return a
}

func (w *world) get(path string, header ...string) answer {
	w.t.Helper()
	return w.do(w.newRequest(http.MethodGet, path, "", header...))
}

// post sends a form that is already encoded.
func (w *world) post(path, body string, header ...string) answer {
	w.t.Helper()
	return w.do(w.newRequest(http.MethodPost, path, body, append([]string{"Content-Type", "application/x-www-form-urlencoded"}, header...)...))
}

func (w *world) newRequest(method, path, body string, header ...string) *http.Request {
	w.t.Helper()
	if strings.HasPrefix(path, "/") {
		path = w.Issuer() + path
	}
	req, err := http.NewRequestWithContext(w.t.Context(), method, path, strings.NewReader(body))
	if err != nil {
		w.t.Fatal(err)
	}
	for i := 0; i < len(header); i += 2 {
		req.Header.Set(header[i], header[i+1])
	}
	return req
}

// codeForm is a good token request for a code of the public client.
func codeForm(code string, changes ...string) string {
	return form(append([]string{
		"grant_type", "authorization_code", "client_id", "app", "redirect_uri", appURI,
		"code", code, "code_verifier", verifier,
	}, changes...)...)
}

func refreshForm(token string, changes ...string) string {
	return form(append([]string{"grant_type", "refresh_token", "client_id", "app", "refresh_token", token}, changes...)...)
}

// form encodes pairs; later ones replace earlier ones, "" removes.
func form(pairs ...string) string {
	v := url.Values{}
	for i := 0; i < len(pairs); i += 2 {
		if v.Set(pairs[i], pairs[i+1]); pairs[i+1] == "" {
			v.Del(pairs[i])
		}
	}
	return v.Encode()
}

// tokens signs in and trades the code.
func (w *world) tokens(changes ...string) answer {
	w.t.Helper()
	a := w.post("/token", codeForm(w.authorize(w.request(changes...)).Get("code")))
	if a.Status != http.StatusOK {
		w.t.Fatalf("token endpoint: %d %s", a.Status, a.Body)
	}
	return a
}

// part decodes a part of a compact JWS.
func part(t *testing.T, token string, i int) map[string]any {
	t.Helper()
	parts := strings.Split(token, ".")
	if len(parts) != 3 {
		t.Fatalf("not a compact JWS: %q", token)
	}
	raw, err := base64.RawURLEncoding.DecodeString(parts[i])
	if err != nil {
		t.Fatal(err)
	}
	var m map[string]any
	if err := json.Unmarshal(raw, &m); err != nil {
		t.Fatal(err)
	}
	return m
}

// verify checks an ID token as a relying party with go-oidc does.
func (w *world) verify(token string) (*oidc.IDToken, error) {
	w.t.Helper()
	provider, err := oidc.NewProvider(w.ctx(), w.Issuer())
	if err != nil {
		return nil, err
	}
	return provider.Verifier(&oidc.Config{ClientID: "app", Now: w.clock.Now}).Verify(w.ctx(), token)
}

func basic(id, secret string) string {
	return "Basic " + base64.StdEncoding.EncodeToString([]byte(url.QueryEscape(id)+":"+url.QueryEscape(secret)))
}

func webConfig(w *world, endpoint oauth2.Endpoint) oauth2.Config {
	endpoint.AuthStyle = oauth2.AuthStyleInHeader
	return oauth2.Config{ClientID: "web", ClientSecret: webSecret, Endpoint: endpoint, RedirectURL: webURI, Scopes: []string{"openid", "email"}}
}
