package oidctest_test

import (
	"bytes"
	"crypto"
	"encoding/base64"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"

	"github.com/go-jose/go-jose/v4"
	"github.com/google/go-cmp/cmp"

	"github.com/stile-auth/stile/oidcclient/oidctest"
)

// Each endpoint that the metadata names is there, and each list in it is what
// the provider does.
func TestDiscoveryIsTrue(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	doc := w.get("/.well-known/openid-configuration")
	if doc.text("issuer") != w.Issuer() {
		t.Errorf("issuer %q", doc.text("issuer"))
	}
	if other := w.get("/.well-known/oauth-authorization-server"); other.Body != doc.Body {
		t.Error("the RFC 8414 document differs")
	}
	answers := map[string]int{ // to an empty request
		"authorization_endpoint": 400, "token_endpoint": 400, "userinfo_endpoint": 401, "jwks_uri": 200,
		"revocation_endpoint": 400, "introspection_endpoint": 400, "end_session_endpoint": 200,
	}
	for name := range doc.JSON {
		if _, known := answers[name]; !known && (strings.HasSuffix(name, "_endpoint") || strings.HasSuffix(name, "_uri")) {
			t.Errorf("%s is named and not tested", name)
		}
	}
	for name, want := range answers {
		method := http.MethodGet
		if name == "token_endpoint" || name == "revocation_endpoint" || name == "introspection_endpoint" {
			method = http.MethodPost
		}
		if !strings.HasPrefix(doc.text(name), w.Issuer()+"/") {
			t.Errorf("%s is %q", name, doc.text(name))
			continue
		}
		if a := w.do(w.newRequest(method, doc.text(name), "")); a.Status != want {
			t.Errorf("%s answers %d", name, a.Status)
		}
	}
	for name, want := range map[string]any{
		"authorization_response_iss_parameter_supported": true,
		"request_uri_parameter_supported":                false,
		"code_challenge_methods_supported":               []any{"S256"},
		"response_types_supported":                       []any{"code"},
		"response_modes_supported":                       []any{"query", "fragment", "form_post"},
		"grant_types_supported":                          []any{"authorization_code", "refresh_token"},
		"id_token_signing_alg_values_supported":          []any{"ES256"},
		"acr_values_supported":                           []any{"urn:example:acr:password", "urn:example:acr:strong"},
		"scopes_supported":                               []any{"openid", "profile", "email", "offline_access", "ledger"},
		"token_endpoint_auth_methods_supported":          []any{"client_secret_basic", "client_secret_post", "none"},
		"subject_types_supported":                        []any{"public"},
	} {
		if diff := cmp.Diff(want, doc.JSON[name]); diff != "" {
			t.Errorf("%s: %s", name, diff)
		}
	}
}

// Every claim that is issued is announced.
func TestClaimsAreAnnounced(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	announced, _ := w.get("/.well-known/openid-configuration").JSON["claims_supported"].([]any)
	a := w.tokens()
	claims := part(t, a.text("id_token"), 1)
	for name, value := range w.get("/userinfo", "Authorization", "Bearer "+a.text("access_token")).JSON {
		claims[name] = value
	}
	for name := range claims {
		if !slices.Contains(announced, any(name)) {
			t.Errorf("%s is not announced", name)
		}
	}
	if len(claims) != len(announced) {
		t.Errorf("announced %v, issued %v", announced, claims)
	}
}

func TestKeySet(t *testing.T) {
	t.Parallel()
	for _, alg := range []string{"ES256", "RS256", "EdDSA"} {
		t.Run(alg, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, func(c *oidctest.Config) { c.Alg = alg })
			a := w.get("/jwks")
			if got := a.Header.Get("Content-Type"); got != "application/jwk-set+json" {
				t.Errorf("type %q", got)
			}
			list, _ := a.JSON["keys"].([]any)
			key, _ := list[0].(map[string]any)
			for _, private := range []string{"d", "p", "q", "dp", "dq", "qi", "k"} {
				if key[private] != nil {
					t.Errorf("the private parameter %s is published", private)
				}
			}
			if key["use"] != "sig" || key["alg"] != alg {
				t.Errorf("key %v", key)
			}
			var parsed jose.JSONWebKey
			if err := parsed.UnmarshalJSON([]byte(a.Body[len(`{"keys":[`) : len(a.Body)-len(`]}`)])); err != nil {
				t.Fatal(err)
			}
			thumbprint, err := parsed.Thumbprint(crypto.SHA256)
			if err != nil || parsed.KeyID != base64.RawURLEncoding.EncodeToString(thumbprint) {
				t.Errorf("kid %q", parsed.KeyID)
			}
		})
	}
}

func TestKeyRotation(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	before := w.tokens().text("id_token")
	if err := w.RotateKeys(); err != nil {
		t.Fatal(err)
	}
	after := w.post("/token", codeForm(w.handed(w.open(w.request())).Get("code"))).text("id_token")
	if part(t, before, 0)["kid"] == part(t, after, 0)["kid"] {
		t.Fatal("the key is the same")
	}
	for _, token := range []string{before, after} {
		if _, err := w.verify(token); err != nil {
			t.Error(err)
		}
	}
	w.DropOldKeys()
	if _, err := w.verify(before); err == nil {
		t.Error("the old key is still published")
	}
	if _, err := w.verify(after); err != nil {
		t.Error(err)
	}
}

func TestConfigProblemsAreAllReported(t *testing.T) {
	t.Parallel()
	_, err := oidctest.Start(oidctest.Config{
		Addr: "0.0.0.0:0", Alg: "HS256", CodeTTL: -1,
		Clients: []oidctest.Client{
			{ID: ""},
			{ID: "a", RedirectURIs: []string{"javascript:alert(1)", "http://example.com/cb", "https://a.example/#f", "https://u@a.example/", "app:/x", "com.example.app:opaque", ":"}},
			{ID: "a"},
		},
		Users: []oidctest.User{{Username: "u", Password: "p"}, {Username: "v", Subject: "u", Password: strings.Repeat("x", 73)}, {Password: "p"}},
	})
	if err == nil {
		t.Fatal("started")
	}
	for _, want := range []string{
		"Now is required", "0.0.0.0:0", `"HS256"`, "lifetime", `client id ""`, `client id "a"`, "javascript:alert(1)", "http://example.com/cb",
		"https://a.example/#f", "https://u@a.example/", "app:/x", "com.example.app:opaque", `redirect URI ":"`, `user "v": name`, `user "v": a password`, `user ""`,
	} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("%q is not reported in:\n%v", want, err)
		}
	}
}

func TestDefaults(t *testing.T) {
	t.Parallel()
	w := newWorld(t, func(c *oidctest.Config) { *c = oidctest.Config{Now: c.Now} })
	if got := w.authorize(w.request()); got.Get("code") == "" {
		t.Errorf("response: %v", got)
	}
	u, err := url.Parse(w.Issuer())
	if err != nil || u.Hostname() != "127.0.0.1" || u.Path != "" {
		t.Errorf("issuer %q", w.Issuer())
	}
}

func TestKeyForms(t *testing.T) {
	t.Parallel()
	for _, alg := range []string{"ES256", "PS256", "EdDSA"} {
		k, err := oidctest.NewKey(alg)
		if err != nil {
			t.Fatal(err)
		}
		text, err := k.PEM()
		if err != nil || !bytes.HasPrefix(text, []byte("-----BEGIN PUBLIC KEY-----")) {
			t.Errorf("%s: %s %v", alg, text, err)
		}
	}
	if _, err := oidctest.NewKey("HS256"); err == nil {
		t.Error("a key for HS256")
	}
}
