package gateway_test

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stile-auth/stile/flows/seal"
	"github.com/stile-auth/stile/propagation/gateway"
)

// server is an authorization server that has one code and rotates refresh tokens.
type server struct {
	mu        sync.Mutex
	w         *world
	code      string
	challenge string
	refresh   string // the good one
	revoked   string
	asked     []string // grant types and paths
	hold      chan struct{}
	kind      string // token_type
	err       error
}

// RoundTrip implements [http.RoundTripper].
func (s *server) RoundTrip(r *http.Request) (*http.Response, error) {
	if s.hold != nil {
		<-s.hold
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.err != nil {
		return nil, s.err
	}
	text, _ := io.ReadAll(r.Body)
	q, _ := url.ParseQuery(string(text))
	id, secret, _ := r.BasicAuth()
	secret, _ = url.QueryUnescape(secret) // RFC 6749 §2.3.1
	s.asked = append(s.asked, r.URL.String()+" "+q.Get("grant_type"))
	status, body := http.StatusBadRequest, map[string]any{"error": "invalid_grant"}
	sum := sha256.Sum256([]byte(q.Get("code_verifier")))
	good := q.Get("grant_type") == "authorization_code" && s.code != "" && q.Get("code") == s.code && base64.RawURLEncoding.EncodeToString(sum[:]) == s.challenge && q.Get("redirect_uri") == origin+"/bff/callback" ||
		q.Get("grant_type") == "refresh_token" && s.refresh != "" && q.Get("refresh_token") == s.refresh
	switch {
	case id != "shop-bff" || secret != "not+a/secret":
		status, body = http.StatusUnauthorized, map[string]any{"error": "invalid_client"}
	case r.URL.Path == "/oauth2/revoke":
		s.revoked = q.Get("token")
		status, body = http.StatusOK, nil
	case good:
		s.code, s.refresh = "", rand.Text()
		status, body = http.StatusOK, map[string]any{"access_token": s.w.token(nil), "token_type": s.kind, "refresh_token": s.refresh, "expires_in": 300}
	}
	out, err := json.Marshal(body)
	return &http.Response{StatusCode: status, Body: io.NopCloser(strings.NewReader(string(out))), Header: http.Header{}}, err
}

// withApp is a world whose shop runs in browsers.
func (w *world) withApp() (*world, *server) {
	w.tb.Helper()
	s := &server{w: w, kind: "Bearer"}
	w.withCookies()
	sealer, err := seal.New(seal.Key{ID: "1", Secret: make([]byte, seal.KeySize)})
	if err != nil {
		w.tb.Fatal(err)
	}
	w.cfg.Sealer, w.cfg.Server = sealer, s
	w.cfg.Apps = []gateway.App{{Name: "shop", Origin: origin, Client: "shop-bff", Secret: "not+a/secret", Audience: audience, Scopes: []string{"orders.read"}, Cookie: cookie}}
	return w, s
}

// browser keeps cookies, and says where its requests come from.
type browser struct {
	g   http.Handler
	jar map[string]string
}

func (b *browser) send(method, uri string, headers ...string) *httptest.ResponseRecorder {
	r := question(method, uri, headers...)
	r.Host = "shop.example"
	if len(headers) == 0 {
		r.Header.Set("Sec-Fetch-Site", "same-origin")
	}
	for name, value := range b.jar {
		r.Header.Add("Cookie", name+"="+value)
	}
	rec := answer(b.g, r)
	for _, c := range rec.Result().Cookies() {
		if b.jar[c.Name] = c.Value; c.MaxAge < 0 {
			delete(b.jar, c.Name)
		}
	}
	return rec
}

// signIn goes to the authorization server, and comes back with its answer.
func (b *browser) signIn(t *testing.T, s *server, to string) *httptest.ResponseRecorder {
	t.Helper()
	q := b.begin(t, s, to)
	return b.send("GET", "/bff/callback?"+url.Values{"code": {s.code}, "state": {q.Get("state")}, "iss": {issuer}}.Encode(),
		"Sec-Fetch-Site: cross-site", "Sec-Fetch-Mode: navigate", "Sec-Fetch-Dest: document")
}

func (b *browser) begin(t *testing.T, s *server, to string) url.Values {
	t.Helper()
	rec := b.send("GET", "/bff/login?"+url.Values{"to": {to}, "acr_values": {"aal2"}}.Encode())
	u, err := url.Parse(rec.Header().Get("Location"))
	if err != nil || rec.Code != http.StatusSeeOther || !strings.HasPrefix(u.String(), issuer+"/oauth2/authorize?") {
		t.Fatalf("%d %v %v", rec.Code, rec.Header(), err)
	}
	s.code, s.challenge = rand.Text(), u.Query().Get("code_challenge")
	return u.Query()
}

func newBrowser(g http.Handler) *browser { return &browser{g: g, jar: map[string]string{}} }

// The whole way: the browser gets no token, and the application one with each request.
func TestApp(t *testing.T) {
	t.Parallel()
	w, s := newWorld(t).withApp()
	b := newBrowser(w.gateway())
	if rec := b.send("GET", "/bff/session"); rec.Code != http.StatusUnauthorized {
		t.Errorf("before: %d", rec.Code)
	}
	q := b.begin(t, s, "/")
	for name, want := range map[string]string{
		"response_type": "code", "client_id": "shop-bff", "redirect_uri": origin + "/bff/callback", "resource": audience, "scope": "orders.read", "code_challenge_method": "S256", "acr_values": "aal2",
	} {
		if q.Get(name) != want {
			t.Errorf("%s is %q", name, q.Get(name))
		}
	}
	rec := b.signIn(t, s, "/basket?x=1")
	if rec.Code != http.StatusSeeOther || rec.Header().Get("Location") != "/basket?x=1" {
		t.Fatalf("%d %v %s", rec.Code, rec.Header(), rec.Body)
	}
	for _, c := range rec.Result().Cookies() {
		if !c.Secure || !c.HttpOnly || c.Path != "/" || c.Domain != "" || !strings.HasPrefix(c.Name, "__Host-") || c.Value != "" && c.SameSite != http.SameSiteStrictMode || strings.Contains(c.Value, ".") {
			t.Errorf("%s", c)
		}
	}
	call := func() (int, string) {
		rec := answer(b.g, asked("POST", "/basket", "Sec-Fetch-Site: same-origin", "Cookie: "+cookie+"="+b.jar[cookie]))
		return rec.Code, rec.Header().Get("Authorization")
	}
	if code, handed := call(); code != 200 || !strings.HasPrefix(handed, "Bearer ey") {
		t.Errorf("a call: %d %s", code, handed)
	}
	rec = b.send("GET", "/bff/session")
	if rec.Code != 200 || !strings.Contains(rec.Body.String(), `"sub":"jane"`) || strings.Contains(rec.Body.String(), "ey") || rec.Header().Get("Cache-Control") != "no-store" {
		t.Errorf("%d %s", rec.Code, rec.Body)
	}
	w.now = w.now.Add(10 * time.Minute)
	if code, _ := call(); code != 401 {
		t.Errorf("an expired token: %d", code)
	}
	if rec := b.send("POST", "/bff/refresh"); rec.Code != 200 {
		t.Errorf("refresh: %d %s", rec.Code, rec.Body)
	}
	if code, _ := call(); code != 200 {
		t.Errorf("a fresh token: %d", code)
	}
	last := s.refresh
	rec = b.send("POST", "/bff/logout")
	if rec.Code != 200 || !strings.Contains(rec.Body.String(), issuer+"/oauth2/logout?") || s.revoked != last || b.jar[cookie] != "" {
		t.Errorf("%d %s, revoked %q", rec.Code, rec.Body, s.revoked)
	}
	if rec := b.send("POST", "/bff/refresh"); rec.Code != 401 {
		t.Errorf("refresh afterwards: %d", rec.Code)
	}
}

// Who is sent to the end of a sign-in that their browser has not begun stays who they were.
func TestSignInsOfOthers(t *testing.T) {
	t.Parallel()
	for name, change := range map[string]func(w *world, b *browser, q url.Values){
		"no cookie":      func(_ *world, b *browser, _ url.Values) { delete(b.jar, cookie+"-login") },
		"another state":  func(_ *world, _ *browser, q url.Values) { q.Set("state", rand.Text()) },
		"no state":       func(_ *world, _ *browser, q url.Values) { q.Del("state") },
		"another issuer": func(_ *world, _ *browser, q url.Values) { q.Set("iss", "https://evil.example") },
		"no issuer":      func(_ *world, _ *browser, q url.Values) { q.Del("iss") },
		"too late":       func(w *world, _ *browser, _ url.Values) { w.now = w.now.Add(10 * time.Minute) },
		"another's code": func(_ *world, _ *browser, q url.Values) { q.Set("code", rand.Text()) },
		"the cookie, changed": func(_ *world, b *browser, _ url.Values) {
			b.jar[cookie+"-login"] = "AQEx" + b.jar[cookie+"-login"][4:] + "AA"
		},
		"the cookie of a user": func(_ *world, b *browser, _ url.Values) { b.jar[cookie+"-login"] = b.jar[cookie] },
	} {
		w, s := newWorld(t).withApp()
		b := newBrowser(w.gateway())
		if rec := b.signIn(t, s, "/"); rec.Code != http.StatusSeeOther {
			t.Fatalf("%s: %d", name, rec.Code)
		}
		before := b.jar[cookie]
		q := b.begin(t, s, "/")
		back := url.Values{"code": {s.code}, "state": {q.Get("state")}, "iss": {issuer}}
		change(w, b, back)
		if rec := b.send("GET", "/bff/callback?"+back.Encode()); rec.Code != http.StatusBadRequest || b.jar[cookie] != before {
			t.Errorf("%s: %d %s", name, rec.Code, rec.Body)
		}
	}
	w, s := newWorld(t).withApp()
	b := newBrowser(w.gateway())
	q := b.begin(t, s, "/home")
	if rec := b.send("GET", "/bff/callback?"+url.Values{"error": {"access_denied"}, "state": {q.Get("state")}, "iss": {issuer}}.Encode()); rec.Header().Get("Location") != "/home" || b.jar[cookie] != "" {
		t.Errorf("who does not want to: %d %v", rec.Code, rec.Header())
	}
}

// The cookie is for this app, for this use, and for resources of this origin.
func TestSealedCookies(t *testing.T) {
	t.Parallel()
	w, s := newWorld(t).withApp()
	b := newBrowser(w.gateway())
	b.signIn(t, s, "/")
	b.begin(t, s, "/")
	other, _ := newWorld(t).withApp()
	other.keys = w.keys
	other.cfg.Keys = w.keys
	other.cfg.Apps[0].Client = "another"
	for name, c := range map[string]struct {
		g     http.Handler
		value string
		want  int
	}{
		"sealed":              {b.g, b.jar[cookie], 200},
		"a token as it is":    {b.g, w.token(nil), 401},
		"changed":             {b.g, b.jar[cookie][:60] + "AAAA" + b.jar[cookie][64:], 401},
		"cut off":             {b.g, b.jar[cookie][:60], 401},
		"that of the sign-in": {b.g, b.jar[cookie+"-login"], 401},
		"of another client":   {other.gateway(), b.jar[cookie], 401},
		"nothing":             {b.g, "", 401},
	} {
		if rec := answer(c.g, asked("GET", "/basket", "Cookie: "+cookie+"="+c.value)); rec.Code != c.want {
			t.Errorf("%s: %d, want %d", name, rec.Code, c.want)
		}
	}
	for _, uri := range []string{"/news", "/basket"} {
		rec := answer(b.g, asked("GET", uri, "Cookie: "+cookie+"-login=x; a=b; "+cookie+"="+b.jar[cookie]))
		if rec.Header().Get("Cookie") != "a=b" {
			t.Errorf("%s: the application gets %q", uri, rec.Header()["Cookie"])
		}
	}
}

// Pages of others sign nobody out, and get nothing fresh.
func TestAppIsNotForOthers(t *testing.T) {
	t.Parallel()
	w, s := newWorld(t).withApp()
	b := newBrowser(w.gateway())
	b.signIn(t, s, "/")
	before, calls := b.jar[cookie], len(s.asked)
	for _, headers := range [][]string{
		{"Sec-Fetch-Site: cross-site", "Sec-Fetch-Mode: navigate", "Sec-Fetch-Dest: document"}, {"Sec-Fetch-Site: same-site"}, {"Origin: https://evil.example"}, {"Origin: null"}, {"Accept: */*"},
	} {
		for _, uri := range []string{"/bff/logout", "/bff/refresh"} {
			if rec := b.send("POST", uri, headers...); rec.Code != http.StatusForbidden {
				t.Errorf("%s %q: %d", uri, headers, rec.Code)
			}
		}
	}
	for question, headers := range map[string][]string{
		"GET /bff/logout": nil, "GET /bff/refresh": nil, "POST /bff/login": nil, "GET /bff/": nil, "GET /bff/other": nil, "GET /bff/session": {"Sec-Fetch-Site: cross-site", "Sec-Fetch-Mode: cors"},
		"GET /bff/login": {"Sec-Fetch-Site: cross-site", "Sec-Fetch-Mode: no-cors", "Sec-Fetch-Dest: image"},
	} {
		method, uri, _ := strings.Cut(question, " ")
		if rec := b.send(method, uri, headers...); rec.Code != http.StatusForbidden {
			t.Errorf("%s %q: %d", question, headers, rec.Code)
		}
	}
	if b.jar[cookie] != before || len(s.asked) != calls {
		t.Errorf("something has happened: %q", s.asked)
	}
	r := question("GET", "/bff/session", "Cookie: "+cookie+"="+before)
	r.Host = "other.example"
	if rec := answer(b.g, r); rec.Code != http.StatusForbidden {
		t.Errorf("at another host: %d", rec.Code)
	}
	r.Host, r.RemoteAddr = "shop.example", "203.0.113.7:1"
	if rec := answer(b.g, r); rec.Code != http.StatusForbidden {
		t.Errorf("of no proxy: %d", rec.Code)
	}
}

// The way back after a sign-in is one of the app: else any link would lead to it and on.
func TestWayBack(t *testing.T) {
	t.Parallel()
	w, s := newWorld(t).withApp()
	b := newBrowser(w.gateway())
	for to, want := range map[string]string{
		"/basket?x=1": "/basket?x=1", "": "/", "basket": "/", "//evil.example": "/", `/\evil.example`: "/", "https://evil.example": "/", "/../x": "/", "/bff/logout": "/", "/x\r\nSet-Cookie: a=b": "/",
		"/a?b=\r\nc": "/", "javascript:alert(1)": "/", "/%2f/evil.example": "/", "/x#y": "/", "/x?y=\\": "/",
	} {
		if rec := b.signIn(t, s, to); rec.Header().Get("Location") != want {
			t.Errorf("%q leads to %q", to, rec.Header().Get("Location"))
		}
	}
}

// Requests that come at once trade a refresh token once.
func TestRefreshTogether(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w, s := newWorld(t).withApp()
		g := w.gateway()
		b := newBrowser(g)
		b.signIn(t, s, "/")
		s.hold = make(chan struct{})
		const tabs = 8
		var got [tabs]*httptest.ResponseRecorder
		var done sync.WaitGroup
		for i := range tabs {
			tab := &browser{g: g, jar: map[string]string{cookie: b.jar[cookie]}}
			done.Go(func() { got[i] = tab.send("POST", "/bff/refresh") })
		}
		synctest.Wait()
		close(s.hold)
		done.Wait()
		for i, rec := range got {
			if rec.Code != 200 || len(rec.Result().Cookies()) != 1 {
				t.Errorf("tab %d: %d %s", i, rec.Code, rec.Body)
			}
		}
		trades := 0
		for _, a := range s.asked {
			if strings.HasSuffix(a, " refresh_token") {
				trades++
			}
		}
		if trades != 1 {
			t.Errorf("traded %d times", trades)
		}
	})
}

// What the server says about a refresh decides whether the person stays signed in.
func TestRefreshFails(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		change func(*server)
		want   int
		kept   bool
	}{
		"the token is not good any more": {func(s *server) { s.refresh = "" }, 401, false},
		"the server is away":             {func(s *server) { s.err = errors.New("no route") }, 503, true},
		"the token is bound to a key":    {func(s *server) { s.kind = "DPoP" }, 503, true},
	} {
		w, s := newWorld(t).withApp()
		b := newBrowser(w.gateway())
		b.signIn(t, s, "/")
		c.change(s)
		if rec := b.send("POST", "/bff/refresh"); rec.Code != c.want || (b.jar[cookie] != "") != c.kept {
			t.Errorf("%s: %d %s", name, rec.Code, rec.Body)
		}
	}
	w, s := newWorld(t).withApp()
	w.cfg.Apps[0].Secret = "guessed"
	b := newBrowser(w.gateway())
	if rec := b.signIn(t, s, "/"); rec.Code != http.StatusServiceUnavailable || b.jar[cookie] != "" {
		t.Errorf("a wrong secret of the client: %d", rec.Code)
	}
}

func TestNewWithApps(t *testing.T) {
	t.Parallel()
	for want, change := range map[string]func(*gateway.Config){
		"Sealer and Server are required":  func(c *gateway.Config) { c.Sealer = nil },
		"and Server are required":         func(c *gateway.Config) { c.Server = nil },
		"app shop: the origin is not one": func(c *gateway.Config) { c.Apps[0].Origin = "shop.example" },
		"does not begin with __Host-":     func(c *gateway.Config) { c.Apps[0].Cookie = "__Secure-shop" },
		"its secret and the cookie are":   func(c *gateway.Config) { c.Apps[0].Secret = "" },
		"names no audience":               func(c *gateway.Config) { c.Apps[0].Audience = "" },
		"have one origin":                 func(c *gateway.Config) { c.Apps = slices.Repeat(c.Apps, 2) },
	} {
		w, _ := newWorld(t).withApp()
		change(&w.cfg)
		if _, err := gateway.New(w.cfg); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", want, err)
		}
	}
}

// Proxies hand the app's own requests on, and its cookies back.
func TestAppThroughProxies(t *testing.T) {
	t.Parallel()
	w, s := newWorld(t).withApp()
	w.now = time.Now()
	g := w.gateway()
	for _, f := range fronts(t, g) {
		if resp, _ := f.send("GET", "/bff/login?to=/basket", "Sec-Fetch-Site: none"); resp.StatusCode != http.StatusSeeOther || len(resp.Cookies()) != 1 {
			t.Errorf("%s: %d %v", f.name, resp.StatusCode, resp.Header)
		}
		b := newBrowser(g)
		b.signIn(t, s, "/")
		line := "Cookie: " + cookie + "=" + b.jar[cookie]
		if resp, _ := f.send("POST", "/bff/refresh", "Content-Length: 0", line); resp.StatusCode != http.StatusForbidden {
			t.Errorf("%s: from nowhere: %d", f.name, resp.StatusCode)
		}
		if _, got := f.send("POST", "/basket", "Sec-Fetch-Site: same-origin", "Content-Length: 0", line); got == nil || !strings.HasPrefix(got.Header.Get("Authorization"), "Bearer ey") || got.Header.Get("Cookie") != "" && f.name == "nginx" || strings.Contains(got.Header.Get("Cookie"), cookie) {
			t.Errorf("%s: %+v", f.name, got)
		}
		for _, uri := range []string{"/bff/../admin", "/bff/%2e%2e/forwarded", "/nginx", "/forwarded", "/envoy/basket", "/envoy/../bff/x", "/nginx/../bff/x", "/bff/..;/forwarded"} {
			if resp, got := f.send("GET", uri, line); got != nil || resp.StatusCode == http.StatusOK || resp.Header.Get("Authorization") != "" {
				t.Errorf("%s: %s: %d %v", f.name, uri, resp.StatusCode, resp.Header)
			}
		}
	}
}
