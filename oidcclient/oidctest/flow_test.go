package oidctest_test

import (
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/coreos/go-oidc/v3/oidc"
	"github.com/google/go-cmp/cmp"
	"golang.org/x/oauth2"

	"github.com/stile-auth/stile/oidcclient/oidctest"
)

// A standard relying party gets through, with every algorithm.
func TestStandardRelyingParty(t *testing.T) {
	t.Parallel()
	for _, alg := range []string{"ES256", "ES384", "RS256", "PS256", "EdDSA"} {
		t.Run(alg, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, func(c *oidctest.Config) { c.Alg = alg })
			provider, err := oidc.NewProvider(w.ctx(), w.Issuer())
			if err != nil {
				t.Fatal(err)
			}
			cfg := oauth2.Config{
				ClientID: "app", Endpoint: provider.Endpoint(), RedirectURL: "http://" + loopback + "/callback",
				Scopes: []string{"openid", "profile", "email"},
			}
			secret := oauth2.GenerateVerifier()
			response := w.authorize(cfg.AuthCodeURL("s", oauth2.S256ChallengeOption(secret), oidc.Nonce("n")))
			tok, err := cfg.Exchange(w.ctx(), response.Get("code"), oauth2.VerifierOption(secret))
			if err != nil {
				t.Fatal(err)
			}
			raw, _ := tok.Extra("id_token").(string)
			id, err := provider.Verifier(&oidc.Config{ClientID: "app", Now: w.clock.Now}).Verify(w.ctx(), raw)
			if err != nil {
				t.Fatal(err)
			}
			if err := id.VerifyAccessToken(tok.AccessToken); err != nil {
				t.Error(err)
			}
			if id.Nonce != "n" {
				t.Errorf("nonce is %q", id.Nonce)
			}
			if got := part(t, raw, 0)["alg"]; got != alg {
				t.Errorf("alg is %v", got)
			}
			info, err := provider.UserInfo(w.ctx(), oauth2.StaticTokenSource(tok))
			if err != nil {
				t.Fatal(err)
			}
			if info.Subject != id.Subject || info.Email != "alice@example.test" || !info.EmailVerified {
				t.Errorf("userinfo: %+v", info)
			}
		})
	}
}

// cookies are what the person's browser sends to the provider.
func (w *world) cookies() string {
	w.t.Helper()
	u, err := url.Parse(w.Issuer())
	if err != nil {
		w.t.Fatal(err)
	}
	var list []string
	for _, c := range w.b.Cookies(u) {
		list = append(list, c.Name+"="+c.Value)
	}
	return strings.Join(list, "; ")
}

func TestConfidentialClientWithBasic(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	provider, err := oidc.NewProvider(w.ctx(), w.Issuer())
	if err != nil {
		t.Fatal(err)
	}
	cfg := webConfig(w, provider.Endpoint())
	tok, err := cfg.Exchange(w.ctx(), w.authorize(cfg.AuthCodeURL("s")).Get("code"))
	if err != nil {
		t.Fatal(err)
	}
	again, err := cfg.TokenSource(w.ctx(), &oauth2.Token{RefreshToken: tok.RefreshToken}).Token()
	if err != nil {
		t.Fatal(err)
	}
	if again.AccessToken == tok.AccessToken || again.RefreshToken == tok.RefreshToken {
		t.Error("refreshing changed nothing")
	}
}

func TestIDTokenClaims(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	a := w.tokens("acr_values", "urn:example:acr:password")
	claims := part(t, a.text("id_token"), 1)
	now := float64(w.clock.Now().Unix())
	for _, random := range []string{"sid", "at_hash"} {
		if s, _ := claims[random].(string); s == "" {
			t.Errorf("%s is missing", random)
		}
		delete(claims, random)
	}
	want := map[string]any{
		"iss": w.Issuer(), "sub": "248289761001", "aud": "app", "nonce": "the-nonce",
		"iat": now, "auth_time": now, "exp": now + 300,
		"acr": "urn:example:acr:password", "amr": []any{"pwd"},
	}
	if diff := cmp.Diff(want, claims); diff != "" {
		t.Error(diff)
	}
	if got := a.Header.Get("Cache-Control"); got != "no-store" {
		t.Errorf("Cache-Control is %q", got)
	}
	if a.text("token_type") != "Bearer" || a.JSON["expires_in"] != float64(600) || a.text("scope") != "openid profile email" {
		t.Errorf("token answer: %s", a.Body)
	}
}

func TestResponseCarriesStateAndIssuer(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	got := w.authorize(w.request())
	if got.Get("state") != "the-state" || got.Get("iss") != w.Issuer() || got.Get("code") == "" {
		t.Errorf("response: %v", got)
	}
}

func TestResponseModes(t *testing.T) {
	t.Parallel()
	t.Run("fragment", func(t *testing.T) {
		t.Parallel()
		w := newWorld(t)
		page := w.submit(w.logIn(w.open(w.request("response_mode", "fragment"))), "Allow", nil)
		fragment, err := url.ParseQuery(page.Handed.Fragment)
		if err != nil || fragment.Get("code") == "" || page.Handed.RawQuery != "" {
			t.Errorf("handed: %v", page.Handed)
		}
	})
	t.Run("form_post", func(t *testing.T) {
		t.Parallel()
		w := newWorld(t)
		page := w.submit(w.logIn(w.open(w.webRequest("response_mode", "form_post"))), "Allow", nil)
		page = w.submit(page, "Continue", nil)
		if page.Handed == nil || page.Handed.String() != webURI || page.Posted.Get("code") == "" || page.Posted.Get("iss") != w.Issuer() {
			t.Errorf("handed %v with %v", page.Handed, page.Posted)
		}
	})
	t.Run("form_post to a private scheme", func(t *testing.T) {
		t.Parallel()
		w := newWorld(t)
		page := w.submit(w.logIn(w.open(w.request("response_mode", "form_post"))), "Allow", nil)
		if page = w.submit(page, "Continue", nil); page.Handed == nil || page.Handed.Scheme != "com.example.app" {
			t.Errorf("handed %v", page.Handed)
		}
	})
	t.Run("query is kept", func(t *testing.T) {
		t.Parallel()
		w := newWorld(t)
		got := w.authorize(w.webRequest("redirect_uri", webURI+"?keep=1"))
		if got.Get("keep") != "1" || got.Get("code") == "" {
			t.Errorf("response: %v", got)
		}
	})
}

func TestSessionSkipsLoginAndConsent(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.authorize(w.request())
	if w.handed(w.open(w.request())).Get("code") == "" {
		t.Error("the second request did not go through")
	}
	// More scopes than allowed before: asked again, but no login.
	page := w.open(w.request("scope", "openid profile email offline_access"))
	if page.Handed != nil || !strings.Contains(string(page.Body), "offline_access") {
		t.Fatalf("no consent page: %s", page.Body)
	}
	// Another client: asked again.
	if page := w.open(w.webRequest()); page.Handed != nil {
		t.Error("consent of one client served another")
	}
}

func TestPromptAndMaxAge(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	none := func(extra ...string) string {
		return w.handed(w.open(w.request(append([]string{"prompt", "none"}, extra...)...))).Get("error")
	}
	if got := none(); got != "login_required" {
		t.Errorf("without a session: %q", got)
	}
	page := w.logIn(w.open(w.request()))
	if got := none(); got != "consent_required" {
		t.Errorf("without consent: %q", got)
	}
	w.submit(page, "Allow", nil)
	if got := none(); got != "" {
		t.Errorf("with both: %q", got)
	}
	w.clock.advance(time.Minute)
	if got := none("max_age", "61"); got != "" {
		t.Errorf("young enough: %q", got)
	}
	if got := none("max_age", "60"); got != "login_required" {
		t.Errorf("too old: %q", got)
	}
	for _, again := range [][]string{{"prompt", "login"}, {"max_age", "60"}, {"max_age", "0"}, {"prompt", "select_account"}} {
		page := w.open(w.request(again...))
		if page.Handed != nil {
			t.Fatalf("%v: no login page", again)
		}
		a := w.post("/token", codeForm(w.handed(w.logIn(page)).Get("code")))
		if got := part(t, a.text("id_token"), 1)["auth_time"]; got != float64(w.clock.Now().Unix()) {
			t.Errorf("%v: auth_time %v", again, got)
		}
		w.clock.advance(time.Minute)
	}
	page = w.open(w.request("prompt", "consent"))
	if w.handed(w.submit(page, "Allow", nil)).Get("code") == "" {
		t.Error("prompt=consent did not go through")
	}
}

func TestAuthTimeIsOfTheLogin(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.authorize(w.request())
	login := w.clock.Now()
	w.clock.advance(time.Hour)
	a := w.post("/token", codeForm(w.handed(w.open(w.request())).Get("code")))
	if got := part(t, a.text("id_token"), 1)["auth_time"]; got != float64(login.Unix()) {
		t.Errorf("auth_time %v, want %d", got, login.Unix())
	}
}

func TestIDTokenHint(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	hint := w.tokens().text("id_token")
	w.clock.advance(time.Hour) // an expired hint is still one
	if got := w.handed(w.open(w.request("prompt", "none", "id_token_hint", hint))); got.Get("code") == "" {
		t.Errorf("same user: %v", got)
	}
	page := w.open(w.request("prompt", "login", "id_token_hint", hint))
	page = w.submit(page, "Sign in", map[string]string{"username": "bob", "password": "bob's password"})
	if got := w.handed(page).Get("error"); got != "login_required" {
		t.Errorf("another user signed in: %q", got)
	}
	if got := w.handed(w.open(w.request("prompt", "none", "id_token_hint", hint))).Get("error"); got != "login_required" {
		t.Errorf("another user's session: %q", got)
	}
	if got := w.handed(w.open(w.request("id_token_hint", hint[:len(hint)-8]+"AAAAAAAA"))).Get("error"); got != "invalid_request" {
		t.Errorf("forged hint: %q", got)
	}
	w.Misbehave(oidctest.SetClaim("iss", "https://other.example"))
	foreign := w.post("/token", codeForm(w.authorize(w.request("prompt", "login consent")).Get("code"))).text("id_token")
	if got := w.handed(w.open(w.request("id_token_hint", foreign))).Get("error"); got != "invalid_request" {
		t.Errorf("another issuer's hint: %q", got)
	}
}
