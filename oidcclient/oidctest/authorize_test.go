package oidctest_test

import (
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/stile-auth/stile/oidcclient/oidctest"
)

// What is wrong with client or redirect URI is shown and never redirected
// (T-34, RFC 6749 section 3.1.2.4).
func TestRedirectURINegatives(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	for name, address := range map[string]string{
		"missing":              w.request("redirect_uri", ""),
		"unknown client":       w.request("client_id", "nobody"),
		"no client":            w.request("client_id", ""),
		"other client's":       w.request("redirect_uri", webURI),
		"user information":     w.webRequest("redirect_uri", "https://web.example@evil.example/callback"),
		"suffix host":          w.webRequest("redirect_uri", "https://web.example.evil.com/callback"),
		"scheme-relative":      w.webRequest("redirect_uri", "//evil.example/callback"),
		"backslash":            w.webRequest("redirect_uri", `https:\\web.example\callback`),
		"dot segments":         w.webRequest("redirect_uri", "https://web.example/callback/../x"),
		"path below":           w.webRequest("redirect_uri", webURI+"/x"),
		"extra query":          w.webRequest("redirect_uri", webURI+"?next=evil"),
		"fragment":             w.webRequest("redirect_uri", webURI+"#x"),
		"case":                 w.webRequest("redirect_uri", "https://web.example/Callback"),
		"host case":            w.webRequest("redirect_uri", "https://WEB.example/callback"),
		"port":                 w.webRequest("redirect_uri", "https://web.example:8443/callback"),
		"default port":         w.webRequest("redirect_uri", "https://web.example:443/callback"),
		"http":                 w.webRequest("redirect_uri", "http://web.example/callback"),
		"script":               w.request("redirect_uri", "javascript:alert(1)"),
		"scheme without dot":   w.request("redirect_uri", "app:/oauth2"),
		"private scheme, path": w.request("redirect_uri", "com.example.app:/oauth2/x"),
		"private scheme, //":   w.request("redirect_uri", "com.example.app://oauth2"),
		"loopback path":        w.request("redirect_uri", "http://127.0.0.1:8080/other"),
		"loopback https":       w.request("redirect_uri", "https://127.0.0.1:8080/callback"),
		"loopback name":        w.request("redirect_uri", "http://localhost:8080/callback"),
		"loopback other IP":    w.request("redirect_uri", "http://127.0.0.2:8080/callback"),
		"loopback user":        w.request("redirect_uri", "http://127.0.0.1:80@evil.example/callback"),
		"loopback suffix":      w.request("redirect_uri", "http://127.0.0.1.evil.example/callback"),
		"loopback port 0":      w.request("redirect_uri", "http://127.0.0.1:0/callback"),
		"loopback port 70000":  w.request("redirect_uri", "http://127.0.0.1:70000/callback"),
		"loopback query":       w.request("redirect_uri", "http://127.0.0.1:8080/callback?x=1"),
		"two clients":          w.request() + "&client_id=web",
		"two URIs":             w.request() + "&redirect_uri=" + url.QueryEscape("https://evil.example/"),
		"broken query":         w.request() + "&x=%zz",
	} {
		a := w.do(w.newRequest(http.MethodGet, address, ""))
		if a.Status != http.StatusBadRequest || a.Header.Get("Location") != "" {
			t.Errorf("%s: %d %q", name, a.Status, a.Header.Get("Location"))
		}
		if !strings.HasPrefix(a.Header.Get("Content-Type"), "text/html") || strings.Contains(a.Body, "evil") {
			t.Errorf("%s: %s", name, a.Body)
		}
	}
}

// A loopback IP matches with any port (RFC 8252 section 7.3).
func TestRedirectURIPositives(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	for _, uri := range []string{
		appURI, "http://127.0.0.1/callback", "http://127.0.0.1:1/callback", "http://127.0.0.1:65535/callback", "http://[::1]:8080/callback",
	} {
		a := w.do(w.newRequest(http.MethodGet, w.request("redirect_uri", uri, "prompt", "none"), ""))
		if got := a.Header.Get("Location"); !strings.HasPrefix(got, uri+"?error=login_required&") {
			t.Errorf("%s: %d %s", uri, a.Status, got)
		}
	}
}

// What else is wrong goes back to the client, with state and iss.
func TestAuthorizationErrors(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	for name, c := range map[string]struct{ address, want string }{
		"no response_type":      {w.request("response_type", ""), "invalid_request"},
		"implicit":              {w.request("response_type", "token"), "unsupported_response_type"},
		"hybrid":                {w.request("response_type", "code id_token"), "unsupported_response_type"},
		"no scope":              {w.request("scope", ""), "invalid_scope"},
		"no openid":             {w.request("scope", "profile"), "invalid_scope"},
		"scope of others":       {w.request("scope", "openid ledger"), "invalid_scope"},
		"no challenge":          {w.request("code_challenge", "", "code_challenge_method", ""), "invalid_request"},
		"method alone":          {w.webRequest("code_challenge_method", "S256"), "invalid_request"},
		"plain":                 {w.request("code_challenge_method", "plain"), "invalid_request"},
		"plain by default":      {w.request("code_challenge_method", ""), "invalid_request"},
		"plain, confidential":   {w.webRequest("code_challenge", challenge, "code_challenge_method", "plain"), "invalid_request"},
		"short challenge":       {w.request("code_challenge", "abc"), "invalid_request"},
		"response mode":         {w.request("response_mode", "web_message"), "invalid_request"},
		"prompt":                {w.request("prompt", "create"), "invalid_request"},
		"none and more":         {w.request("prompt", "none login"), "invalid_request"},
		"max_age":               {w.request("max_age", "-1"), "invalid_request"},
		"max_age word":          {w.request("max_age", "soon"), "invalid_request"},
		"request object":        {w.request("request", "e30.e30."), "request_not_supported"},
		"request_uri":           {w.request("request_uri", "https://x.example/"), "request_uri_not_supported"},
		"registration":          {w.request("registration", "{}"), "registration_not_supported"},
		"repeated":              {w.request() + "&nonce=other", "invalid_request"},
		"repeated, unknown":     {w.request("x", "1") + "&x=2", "invalid_request"},
		"repeated, empty":       {w.request("max_age", "5") + "&max_age=", "invalid_request"},
		"hint that is no token": {w.request("id_token_hint", "x"), "invalid_request"},
	} {
		a := w.do(w.newRequest(http.MethodGet, c.address, ""))
		u, err := url.Parse(a.Header.Get("Location"))
		if err != nil || a.Status != http.StatusSeeOther {
			t.Errorf("%s: %d %q", name, a.Status, a.Header.Get("Location"))
			continue
		}
		q := u.Query()
		q.Del("error_description")
		want := url.Values{"error": {c.want}, "iss": {w.Issuer()}, "state": {"the-state"}}
		if diff := cmp.Diff(want, q); diff != "" {
			t.Errorf("%s: %s", name, diff)
		}
	}
}

func TestRepeatedStateIsNotSentBack(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	got := w.handed(w.open(w.request() + "&state=other"))
	if got.Get("error") != "invalid_request" || got.Has("state") {
		t.Errorf("response: %v", got)
	}
}

func TestUnknownScopesAreIgnored(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	a := w.tokens("scope", "openid phone openid")
	if got := a.text("scope"); got != "openid" {
		t.Errorf("scope is %q", got)
	}
}

func TestAuthorizeByPost(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	_, query, _ := strings.Cut(w.request("prompt", "none"), "?")
	a := w.post("/authorize", query)
	if a.Status != http.StatusSeeOther || !strings.Contains(a.Header.Get("Location"), "error=login_required") {
		t.Errorf("POST: %d %s", a.Status, a.Header.Get("Location"))
	}
	if got := w.Calls(oidctest.EndpointAuthorize); got != 1 {
		t.Errorf("calls: %d", got)
	}
}
