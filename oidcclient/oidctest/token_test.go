package oidctest_test

import (
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stile-auth/stile/oidcclient/oidctest"
)

// want checks an error of the token endpoint.
func (w *world) want(name string, a answer, status int, code string) {
	w.t.Helper()
	if a.Status != status || a.text("error") != code {
		w.t.Errorf("%s: %d %s, want %d %s", name, a.Status, a.Body, status, code)
	}
	if a.Header.Get("Cache-Control") != "no-store" {
		w.t.Errorf("%s: may be cached", name)
	}
}

func (w *world) alive(access string) bool {
	w.t.Helper()
	return w.get("/userinfo", "Authorization", "Bearer "+access).Status == http.StatusOK
}

// Each request is wrong in one thing, and none of them spends the code.
func TestCodeGrantErrors(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	code := w.authorize(w.request()).Get("code")
	formType := []string{"Content-Type", "application/x-www-form-urlencoded"}
	for name, c := range map[string]struct {
		body   string
		header []string
		status int
		want   string
	}{
		"no verifier":       {codeForm(code, "code_verifier", ""), formType, 400, "invalid_grant"},
		"wrong verifier":    {codeForm(code, "code_verifier", verifier[:42]+"l"), formType, 400, "invalid_grant"},
		"the challenge":     {codeForm(code, "code_verifier", challenge), formType, 400, "invalid_grant"},
		"short verifier":    {codeForm(code, "code_verifier", verifier[:42]), formType, 400, "invalid_request"},
		"other redirect":    {codeForm(code, "redirect_uri", "http://127.0.0.1/callback"), formType, 400, "invalid_grant"},
		"no redirect":       {codeForm(code, "redirect_uri", ""), formType, 400, "invalid_grant"},
		"no code":           {codeForm(code, "code", ""), formType, 400, "invalid_request"},
		"cut code":          {codeForm(code[:42]), formType, 400, "invalid_grant"},
		"no grant":          {codeForm(code, "grant_type", ""), formType, 400, "invalid_request"},
		"other grant":       {codeForm(code, "grant_type", "password"), formType, 400, "unsupported_grant_type"},
		"no client":         {codeForm(code, "client_id", ""), formType, 401, "invalid_client"},
		"unknown client":    {codeForm(code, "client_id", "nobody"), formType, 401, "invalid_client"},
		"public, secret":    {codeForm(code, "client_secret", "x"), formType, 401, "invalid_client"},
		"other client":      {codeForm(code, "client_id", "web", "client_secret", webSecret), formType, 400, "invalid_grant"},
		"repeated":          {codeForm(code) + "&code=x", formType, 400, "invalid_request"},
		"repeated, unknown": {codeForm(code) + "&x=1&x=2", formType, 400, "invalid_request"},
		"broken form":       {codeForm(code) + "&x=%zz", formType, 400, "invalid_request"},
		"JSON":              {codeForm(code), []string{"Content-Type", "application/json"}, 400, "invalid_request"},
		"no type":           {codeForm(code), nil, 400, "invalid_request"},
	} {
		w.want(name, w.do(w.newRequest(http.MethodPost, "/token", c.body, c.header...)), c.status, c.want)
	}
	w.want("in the query", w.post("/token?"+codeForm(code), ""), 401, "invalid_client")
	if a := w.post("/token", codeForm(code)); a.Status != http.StatusOK {
		t.Errorf("the good request: %d %s", a.Status, a.Body)
	}
}

func TestClientAuthentication(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	code := w.authorize(w.webRequest()).Get("code")
	body := func(more ...string) string {
		return form(append([]string{"grant_type", "authorization_code", "redirect_uri", webURI, "code", code}, more...)...)
	}
	id := []string{"client_id", "web"}
	w.want("no secret", w.post("/token", body(id...)), 401, "invalid_client")
	w.want("wrong secret", w.post("/token", body("client_id", "web", "client_secret", "x")), 401, "invalid_client")
	w.want("wrong Basic", w.post("/token", body(), "Authorization", basic("web", "x")), 401, "invalid_client")
	w.want("empty Basic", w.post("/token", body(), "Authorization", basic("web", "")), 401, "invalid_client")
	w.want("public Basic", w.post("/token", body(), "Authorization", basic("app", "")), 401, "invalid_client")
	w.want("Bearer", w.post("/token", body(id...), "Authorization", "Bearer x"), 401, "invalid_client")
	w.want("bad escape", w.post("/token", body(), "Authorization", "Basic JTp4"), 401, "invalid_client")
	w.want("two ways", w.post("/token", body("client_id", "web", "client_secret", webSecret), "Authorization", basic("web", webSecret)), 400, "invalid_request")
	w.want("two clients", w.post("/token", body("client_id", "app"), "Authorization", basic("web", webSecret)), 400, "invalid_request")
	w.want("verifier without challenge", w.post("/token", body("code_verifier", verifier), "Authorization", basic("web", webSecret)), 400, "invalid_request")
	a := w.post("/token", body(), "Authorization", basic("web", "x"))
	if got := a.Header.Get("WWW-Authenticate"); !strings.HasPrefix(got, "Basic ") {
		t.Errorf("WWW-Authenticate is %q", got)
	}
	if a := w.post("/token", body("client_id", "web", "client_secret", webSecret)); a.Status != http.StatusOK {
		t.Errorf("client_secret_post: %d %s", a.Status, a.Body)
	}
}

func TestPKCEOfConfidentialClientIsVerified(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	code := w.authorize(w.webRequest("code_challenge", challenge, "code_challenge_method", "S256")).Get("code")
	body := func(v string) string {
		return form("grant_type", "authorization_code", "redirect_uri", webURI, "code", code, "code_verifier", v)
	}
	w.want("none", w.post("/token", body(""), "Authorization", basic("web", webSecret)), 400, "invalid_grant")
	if a := w.post("/token", body(verifier), "Authorization", basic("web", webSecret)); a.Status != http.StatusOK {
		t.Errorf("right verifier: %d %s", a.Status, a.Body)
	}
}

func TestCodeReuseRevokes(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	code := w.authorize(w.request()).Get("code")
	a := w.post("/token", codeForm(code))
	b := w.post("/token", refreshForm(a.text("refresh_token")))
	// A replay by somebody who lacks the verifier must not harm the user.
	w.want("replay without verifier", w.post("/token", codeForm(code, "code_verifier", "")), 400, "invalid_grant")
	if !w.alive(a.text("access_token")) {
		t.Fatal("a bad replay revoked the tokens")
	}
	w.clock.advance(2 * time.Minute) // also when the code has long expired
	w.want("replay", w.post("/token", codeForm(code)), 400, "invalid_grant")
	if w.alive(a.text("access_token")) || w.alive(b.text("access_token")) {
		t.Error("the tokens live after the replay")
	}
	w.want("refresh", w.post("/token", refreshForm(b.text("refresh_token"))), 400, "invalid_grant")
}

func TestCodeExpires(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	code := w.authorize(w.request()).Get("code")
	w.clock.advance(60 * time.Second)
	w.want("after 60 s", w.post("/token", codeForm(code)), 400, "invalid_grant")
}

func TestCodeIsSpentOnceByMany(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	code := w.authorize(w.request()).Get("code")
	var mu sync.Mutex
	var wg sync.WaitGroup
	good := 0
	for range 16 {
		wg.Go(func() {
			if a := w.post("/token", codeForm(code)); a.Status == http.StatusOK {
				mu.Lock()
				defer mu.Unlock()
				good++
			}
		})
	}
	wg.Wait()
	if good != 1 {
		t.Errorf("%d redemptions of one code", good)
	}
}

func TestRefresh(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	first := w.tokens()
	w.clock.advance(5 * time.Minute)
	second := w.post("/token", refreshForm(first.text("refresh_token")))
	if second.Status != http.StatusOK {
		t.Fatalf("refresh: %d %s", second.Status, second.Body)
	}
	was, is := part(t, first.text("id_token"), 1), part(t, second.text("id_token"), 1)
	for _, same := range []string{"iss", "sub", "aud", "auth_time", "sid", "acr"} {
		if was[same] != is[same] {
			t.Errorf("%s changed from %v to %v", same, was[same], is[same])
		}
	}
	if is["nonce"] != nil || is["iat"] == was["iat"] || is["at_hash"] == was["at_hash"] {
		t.Errorf("refreshed claims: %v", is)
	}
	narrow := w.post("/token", refreshForm(second.text("refresh_token"), "scope", "openid"))
	if narrow.text("scope") != "openid" {
		t.Errorf("narrowed scope: %s", narrow.Body)
	}
	w.want("wider scope", w.post("/token", refreshForm(narrow.text("refresh_token"), "scope", "openid ledger")), 400, "invalid_scope")
	w.want("other client", w.post("/token", refreshForm(narrow.text("refresh_token"), "client_id", "web", "client_secret", webSecret)), 400, "invalid_grant")
	w.want("no token", w.post("/token", refreshForm("")), 400, "invalid_request")
	w.want("an access token", w.post("/token", refreshForm(narrow.text("access_token"))), 400, "invalid_grant")
	wide := w.post("/token", refreshForm(narrow.text("refresh_token")))
	if wide.text("scope") != "openid profile email" {
		t.Errorf("the full scope was lost: %s", wide.Body)
	}
	w.clock.advance(31 * 24 * time.Hour)
	w.want("expired", w.post("/token", refreshForm(wide.text("refresh_token"))), 400, "invalid_grant")
}

func TestRefreshReuseRevokesFamily(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	other := w.tokens()
	first := w.post("/token", codeForm(w.handed(w.open(w.request())).Get("code")))
	second := w.post("/token", refreshForm(first.text("refresh_token")))
	w.want("reuse", w.post("/token", refreshForm(first.text("refresh_token"))), 400, "invalid_grant")
	w.want("successor", w.post("/token", refreshForm(second.text("refresh_token"))), 400, "invalid_grant")
	if w.alive(second.text("access_token")) {
		t.Error("an access token of the family lives")
	}
	if !w.alive(other.text("access_token")) {
		t.Error("a token of another grant died")
	}
}

func TestUserInfo(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	access := w.tokens("scope", "openid email").text("access_token")
	a := w.get("/userinfo", "Authorization", "Bearer "+access)
	if a.text("sub") != "248289761001" || a.text("email") != "alice@example.test" || a.JSON["email_verified"] != true || a.JSON["name"] != nil {
		t.Errorf("scope email: %s", a.Body)
	}
	if a := w.post("/userinfo", form("access_token", access)); a.Status != http.StatusOK {
		t.Errorf("POST: %d", a.Status)
	}
	for name, c := range map[string]struct {
		a         answer
		status    int
		challenge string
	}{
		"none":     {w.get("/userinfo"), 401, `Bearer realm="oidctest"`},
		"wrong":    {w.get("/userinfo", "Authorization", "Bearer "+access[:42]), 401, `error="invalid_token"`},
		"query":    {w.get("/userinfo?access_token=" + access), 401, `Bearer realm="oidctest"`},
		"two ways": {w.post("/userinfo", form("access_token", access), "Authorization", "Bearer "+access), 400, `error="invalid_request"`},
		"two":      {w.post("/userinfo", form("access_token", access)+"&access_token=x"), 400, `error="invalid_request"`},
	} {
		if got := c.a.Header.Get("WWW-Authenticate"); c.a.Status != c.status || !strings.Contains(got, c.challenge) {
			t.Errorf("%s: %d %s", name, c.a.Status, got)
		}
	}
	w.clock.advance(10 * time.Minute)
	if w.alive(access) {
		t.Error("an expired token lives")
	}
}

func TestUserInfoNeedsOpenID(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	a := w.post("/token", refreshForm(w.tokens().text("refresh_token"), "scope", "email"))
	if a.JSON["id_token"] != nil {
		t.Error("an ID token without the scope openid")
	}
	a = w.get("/userinfo", "Authorization", "Bearer "+a.text("access_token"))
	if a.Status != http.StatusForbidden || !strings.Contains(a.Header.Get("WWW-Authenticate"), `error="insufficient_scope"`) {
		t.Errorf("%d %s", a.Status, a.Header.Get("WWW-Authenticate"))
	}
}

func TestRevoke(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	first := w.tokens()
	revoke := func(token string, client ...string) int {
		return w.post("/revoke", form(append([]string{"token", token}, client...)...)).Status
	}
	if got := revoke(first.text("refresh_token"), "client_id", "web", "client_secret", webSecret); got != http.StatusOK {
		t.Errorf("another client's token: %d", got)
	}
	revoke(first.text("access_token"), "client_id", "web", "client_secret", webSecret)
	if got := revoke("unknown", "client_id", "app"); got != http.StatusOK {
		t.Errorf("unknown token: %d", got)
	}
	if got := revoke(first.text("access_token"), "client_id", "web"); got != http.StatusUnauthorized {
		t.Errorf("unauthenticated: %d", got)
	}
	if !w.alive(first.text("access_token")) {
		t.Fatal("revoked by a stranger")
	}
	second := w.post("/token", refreshForm(first.text("refresh_token")))
	revoke(first.text("access_token"), "client_id", "app")
	if w.alive(first.text("access_token")) || !w.alive(second.text("access_token")) {
		t.Error("an access token is revoked alone")
	}
	revoke(second.text("refresh_token"), "client_id", "app", "token_type_hint", "access_token")
	if w.alive(second.text("access_token")) {
		t.Error("a refresh token is revoked with its family")
	}
	w.want("no token", w.post("/revoke", form("client_id", "app")), 400, "invalid_request")
}

func TestLogout(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	online := w.tokens()
	page := w.open(w.request("scope", "openid offline_access"))
	offline := w.post("/token", codeForm(w.handed(w.submit(page, "Allow", nil)).Get("code")))
	signedIn := func() bool { return w.handed(w.open(w.request("prompt", "none"))).Get("error") == "" }

	asked := w.open(w.Issuer() + "/logout")
	if len(asked.Forms) != 1 || !signedIn() {
		t.Fatalf("signed out without being asked: %s", asked.Body)
	}
	if w.post("/logout", form("csrf", "guess"), "Cookie", w.cookies()); !signedIn() {
		t.Fatal("signed out by a forged form")
	}
	bad := w.open(w.Issuer() + "/logout?" + form("post_logout_redirect_uri", "https://evil.example/", "id_token_hint", online.text("id_token")))
	if bad.Status != http.StatusBadRequest || !signedIn() {
		t.Errorf("unregistered address: %d, handed %v", bad.Status, bad.Handed)
	}
	if a := w.open(w.Issuer() + "/logout?id_token_hint=x"); a.Status != http.StatusBadRequest {
		t.Errorf("bad hint: %d", a.Status)
	}
	done := w.open(w.Issuer() + "/logout?" + form("post_logout_redirect_uri", appURI, "id_token_hint", online.text("id_token"), "state", "x y"))
	if done.Handed == nil || done.Handed.String() != appURI+"?state=x+y" || signedIn() {
		t.Errorf("with a hint: handed %v, status %d", done.Handed, done.Status)
	}
	if w.alive(online.text("access_token")) || !w.alive(offline.text("access_token")) {
		t.Error("signing out revokes what is not for offline use, and only that")
	}

	w.logIn(w.open(w.request()))
	if w.submit(w.open(w.Issuer()+"/logout"), "Sign out", nil); signedIn() {
		t.Error("still signed in after the form")
	}
	if got := w.Calls(oidctest.EndpointLogout); got != 7 {
		t.Errorf("calls: %d", got)
	}
}
