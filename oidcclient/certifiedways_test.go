package oidcclient_test

import (
	"crypto"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"net/http"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/stile-auth/stile/oidcclient"
	"github.com/stile-auth/stile/oidcclient/oidctest/browser"
	"github.com/stile-auth/stile/oidcclient/oidctest/certified"
)

// elsewhere is the provider that others wrote, and one of its clients.
type elsewhere struct {
	*certified.Provider
	wire   *http.Transport
	client *oidcclient.Provider
}

func (e *elsewhere) as(t *testing.T, id string, change func(*oidcclient.Config)) *elsewhere {
	t.Helper()
	cfg := oidcclient.Config{
		Issuer: e.Issuer, ClientID: id, Authentication: oidcclient.Authentication{Secret: e.ClientSecret},
		Scopes: []string{"openid", "email"}, UserInfo: true, Network: oidcclient.Loopback, Transport: e.wire, Now: time.Now,
	}
	if change != nil {
		change(&cfg)
	}
	client, err := oidcclient.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	return &elsewhere{e.Provider, e.wire, client}
}

// signOn goes through its pages, and returns who came back.
func (e *elsewhere) signOn(t *testing.T) (oidcclient.Identity, error) {
	t.Helper()
	a, err := e.client.AuthorizationRequest(t.Context(), oidcclient.RequestOptions{RedirectURI: e.RedirectURI})
	if err != nil {
		return oidcclient.Identity{}, err
	}
	b, err := browser.New(browser.Config{Transport: e.wire})
	if err != nil {
		t.Fatal(err)
	}
	page, err := b.Open(t.Context(), a.URL)
	if err != nil {
		t.Fatal(err)
	}
	for _, button := range []string{"Sign-in", "Continue"} {
		values := map[string]string(nil)
		if button == "Sign-in" {
			values = map[string]string{"login": "jane", "password": "any"}
		}
		if page, err = page.Submit(t.Context(), button, values); err != nil {
			t.Fatal(err)
		}
	}
	code, err := e.client.Receive(t.Context(), a.Request, came(t, page, a.Mode))
	if err != nil {
		return oidcclient.Identity{}, err
	}
	return e.client.Redeem(t.Context(), a.Request, code)
}

// came is the response that the browser has brought.
func came(t *testing.T, page *browser.Page, mode oidcclient.ResponseMode) string {
	t.Helper()
	switch {
	case mode == oidcclient.ModeFormPost && len(page.Forms) == 1: // a script sends it
		return page.Forms[0].Fields.Encode()
	case page.Handed == nil:
		t.Fatalf("a page was shown: %s", page.Body)
	case mode == oidcclient.ModeFragment:
		return page.Handed.EscapedFragment()
	}
	return page.Handed.RawQuery
}

func TestCertifiedWays(t *testing.T) {
	t.Parallel()
	idp := &elsewhere{Provider: certified.Open(t, os.Getenv), wire: &http.Transport{DisableKeepAlives: true}}
	block, _ := pem.Decode([]byte(idp.ClientKey))
	parsed, err := x509.ParsePKCS8PrivateKey(block.Bytes)
	if err != nil {
		t.Fatal(err)
	}
	key, _ := parsed.(crypto.Signer)
	mode := func(m oidcclient.ResponseMode) func(*oidcclient.Config) {
		return func(c *oidcclient.Config) { c.ResponseMode = m }
	}
	signed := func(alg string) func(*oidcclient.Config) {
		return func(c *oidcclient.Config) { c.Algorithms = []string{alg} }
	}
	for name, test := range map[string]struct {
		client string
		change func(*oidcclient.Config)
	}{
		"secret in the form":  {"post", func(c *oidcclient.Config) { c.Authentication.Method = oidcclient.AuthPost }},
		"a signed assertion":  {"key", func(c *oidcclient.Config) { c.Authentication = oidcclient.Authentication{Key: key, KeyID: "stile-1"} }},
		"a public client":     {"public", func(c *oidcclient.Config) { c.Authentication = oidcclient.Authentication{} }},
		"requests are pushed": {"pushed", func(c *oidcclient.Config) { c.Push = oidcclient.PushAlways }},
		"requests are not":    {"stile", func(c *oidcclient.Config) { c.Push = oidcclient.PushNever }},
		"tokens are bound":    {"bound", func(c *oidcclient.Config) { c.DPoP = true }},
		"query":               {"stile", mode(oidcclient.ModeQuery)},
		"fragment":            {"stile", mode(oidcclient.ModeFragment)},
		"form_post":           {"stile", mode(oidcclient.ModeFormPost)},
		"endpoints by hand": {"stile", func(c *oidcclient.Config) {
			c.Endpoints = &oidcclient.Endpoints{Authorization: c.Issuer + "/auth", Token: c.Issuer + "/token", Keys: c.Issuer + "/jwks", UserInfo: c.Issuer + "/me"}
		}},
		"signed ES256": {"alg-ES256", nil},
		"signed ES384": {"alg-ES384", nil},
		"signed RS256": {"alg-RS256", nil},
		"signed PS256": {"alg-PS256", nil},
		"signed EdDSA": {"alg-EdDSA", nil},
		"signed RS384": {"alg-RS384", signed("RS384")},
		"signed RS512": {"alg-RS512", signed("RS512")},
		"signed PS384": {"alg-PS384", signed("PS384")},
		"signed PS512": {"alg-PS512", signed("PS512")},
		"signed ES512": {"alg-ES512", signed("ES512")},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			who, err := idp.as(t, test.client, test.change).signOn(t)
			if err != nil || who.Subject != "jane" || who.Email != "jane@bank.example" {
				t.Errorf("%+v, %v", who, err)
			}
		})
	}
	for name, test := range map[string]struct {
		client string
		change func(*oidcclient.Config)
	}{
		"T-99 an assertion by another key": {"key", func(c *oidcclient.Config) {
			c.Authentication = oidcclient.Authentication{Key: keysOfAllKinds(t)["P-256"], KeyID: "stile-1"}
		}},
		"signed with the client's secret":    {"alg-HS256", nil},
		"tokens that have to be bound":       {"bound", nil},
		"a pushed request by another secret": {"pushed", func(c *oidcclient.Config) { c.Authentication.Secret = "wrong" }},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if who, err := idp.as(t, test.client, test.change).signOn(t); err == nil {
				t.Errorf("signed on as %+v", who)
			}
		})
	}
}

// What is not configured is refused, by its name: whoever set the provider up sees what is missing.
func TestCertifiedAlgorithms(t *testing.T) {
	t.Parallel()
	idp := &elsewhere{Provider: certified.Open(t, os.Getenv), wire: &http.Transport{DisableKeepAlives: true}}
	for _, alg := range []string{"RS384", "RS512", "PS384", "PS512", "ES512"} {
		_, err := idp.as(t, "alg-"+alg, nil).signOn(t)
		if wantsClass(t, err, oidcclient.ErrRefused); !errors.Is(err, oidcclient.ErrAlgorithm) || !strings.HasSuffix(err.Error(), "it is "+alg) {
			t.Errorf("%s: %v", alg, err)
		}
	}
	_, err := idp.as(t, "alg-RS384", func(c *oidcclient.Config) { c.Algorithms = []string{"RS256", "RS512"} }).signOn(t)
	if !errors.Is(err, oidcclient.ErrAlgorithm) {
		t.Errorf("another one is configured: %v", err)
	}
}

// The provider changes its key while it runs; who has the old one fetches the new.
func TestCertifiedRotation(t *testing.T) {
	t.Parallel()
	idp := &elsewhere{Provider: certified.Open(t, os.Getenv), wire: &http.Transport{DisableKeepAlives: true}}
	us := idp.as(t, "stile", nil)
	for range 2 {
		if who, err := us.signOn(t); err != nil || who.Subject != "jane" {
			t.Fatalf("%+v, %v", who, err)
		}
		if err := idp.Rotate(); err != nil {
			t.Fatal(err)
		}
	}
}

// A client that has a certificate shows it where the metadata say (RFC 8705 §5).
func TestCertifiedCertificate(t *testing.T) {
	t.Parallel()
	authority := certified.Pair(t, "authority", nil)
	pool := x509.NewCertPool()
	pool.AddCert(authority.Leaf)
	idp := &elsewhere{Provider: certified.OpenTLS(t, os.Getenv, authority), wire: &http.Transport{DisableKeepAlives: true}}
	for name, test := range map[string]struct {
		shows *tls.Certificate
		ok    bool
	}{
		"ours":                    {certified.Pair(t, "stile", authority), true},
		"another's":               {certified.Pair(t, "other", authority), false},
		"of an unknown authority": {certified.Pair(t, "stile", nil), false},
	} {
		who, err := idp.as(t, "tls", func(c *oidcclient.Config) {
			c.Transport, c.RootCAs, c.Authentication = nil, pool, oidcclient.Authentication{Certificate: test.shows}
		}).signOn(t)
		if (err == nil) != test.ok || test.ok && who.Subject != "jane" {
			t.Errorf("%s: %+v, %v", name, who, err)
		}
	}
}
