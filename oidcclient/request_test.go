package oidcclient_test

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"net/url"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/stile-auth/stile/oidcclient"
	"github.com/stile-auth/stile/oidcclient/oidctest"
)

func TestAuthorizationRequest(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	age := 5 * time.Minute
	a := w.request(t, oidcclient.RequestOptions{
		LoginHint: "jane@bank.example", ACRValues: []string{"high", "low"}, RequireACR: true,
		MaxAge: &age, Prompt: "login", Locales: []string{"de-CH", "en"},
	})
	sum := sha256.Sum256([]byte(a.Request.Verifier))
	want := map[string]string{
		"response_type": "code", "client_id": "stile", "redirect_uri": redirectURI, "scope": "openid email",
		"state": a.Request.State, "nonce": a.Request.Nonce,
		"code_challenge": base64.RawURLEncoding.EncodeToString(sum[:]), "code_challenge_method": "S256",
		"login_hint": "jane@bank.example", "acr_values": "high low", "max_age": "300", "prompt": "login", "ui_locales": "de-CH en",
		"claims": `{"id_token":{"acr":{"essential":true,"values":["high","low"]}}}`,
	}
	if diff := cmp.Diff(want, a.Parameters); diff != "" {
		t.Errorf("parameters, -want +got:\n%s", diff)
	}
	u, err := url.Parse(a.URL)
	if err != nil || a.Endpoint != w.Issuer()+"/authorize" || u.Query().Get("state") != a.Request.State {
		t.Errorf("URL %s, endpoint %s, %v", a.URL, a.Endpoint, err)
	}
	if !a.Request.IssuedAt.Equal(w.clock.Now()) || a.Request.Issuer != w.Issuer() || a.Request.RedirectURI != redirectURI {
		t.Errorf("request %+v", a.Request)
	}
}

// What the client needs later, and nothing that it does not.
func TestRequestSurvivesJSON(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	age := time.Duration(0)
	a := w.request(t, oidcclient.RequestOptions{MaxAge: &age, ACRValues: []string{"wish"}})
	text, err := json.Marshal(a.Request)
	if err != nil {
		t.Fatal(err)
	}
	var again oidcclient.Request
	if err := json.Unmarshal(text, &again); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(a.Request, again); diff != "" {
		t.Errorf("-before +after:\n%s", diff)
	}
	if again.MaxAge == nil || again.ACRValues != nil {
		t.Errorf("max age %v, required acr %v", again.MaxAge, again.ACRValues)
	}
}

// Three values of 256 bits, none of which is used twice, and none of the
// others may be told by one that the browser sees.
func TestRequestsAreTheirOwn(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	seen := map[string]bool{}
	for range 10 {
		r := w.request(t, oidcclient.RequestOptions{}).Request
		for _, value := range []string{r.State, r.Nonce, r.Verifier} {
			raw, err := base64.RawURLEncoding.DecodeString(value)
			if err != nil || len(raw) != 32 || seen[value] {
				t.Fatalf("%d bytes, seen %v, %v", len(raw), seen[value], err)
			}
			seen[value] = true
		}
	}
}

func TestBadRequestOptions(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	for name, o := range map[string]oidcclient.RequestOptions{
		"no redirect URI": {},
		"relative":        {RedirectURI: "/callback"},
		"fragment":        {RedirectURI: "https://app.example/#x"},
		"acr of nothing":  {RedirectURI: redirectURI, RequireACR: true},
	} {
		if _, err := w.client.AuthorizationRequest(t.Context(), o); err == nil {
			t.Errorf("%s: accepted", name)
		}
	}
}

// An endpoint may have a query, but not one that doubles what we send.
func TestEndpointWithQuery(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.Misbehave(oidctest.SetMember(oidctest.EndpointDiscovery, "authorization_endpoint", w.Issuer()+"/authorize?tenant=7"))
	if a := w.request(t, oidcclient.RequestOptions{}); a.Parameters["tenant"] != "7" || a.Parameters["state"] == "" {
		t.Errorf("parameters %v", a.Parameters)
	}
	double := newWorld(t)
	double.Misbehave(oidctest.SetMember(oidctest.EndpointDiscovery, "authorization_endpoint", double.Issuer()+"/authorize?state=mine"))
	_, err := double.client.AuthorizationRequest(t.Context(), oidcclient.RequestOptions{RedirectURI: redirectURI})
	double.wants(t, err, oidcclient.ErrUnavailable, 0)
}

func TestConfig(t *testing.T) {
	t.Parallel()
	now := time.Now
	good := oidcclient.Config{Issuer: "https://idp.example", ClientID: "stile", Now: now, Network: oidcclient.Loopback}
	for name, change := range map[string]func(*oidcclient.Config){
		"no issuer":          func(c *oidcclient.Config) { c.Issuer = "" },
		"http":               func(c *oidcclient.Config) { c.Issuer = "http://idp.example" },
		"http private":       func(c *oidcclient.Config) { c.Issuer = "http://10.0.0.1" },
		"http like loopback": func(c *oidcclient.Config) { c.Issuer = "http://127.0.0.1.evil.example" },
		"http without the switch": func(c *oidcclient.Config) {
			c.Issuer, c.Network = "http://127.0.0.1:1", oidcclient.Public
		},
		"http in a private network": func(c *oidcclient.Config) {
			c.Issuer, c.Network = "http://127.0.0.1:1", oidcclient.Private
		},
		"other scheme":     func(c *oidcclient.Config) { c.Issuer = "file:///etc/passwd" },
		"user":             func(c *oidcclient.Config) { c.Issuer = "https://x@idp.example" },
		"query":            func(c *oidcclient.Config) { c.Issuer = "https://idp.example?x" },
		"empty query":      func(c *oidcclient.Config) { c.Issuer = "https://idp.example?" },
		"fragment":         func(c *oidcclient.Config) { c.Issuer = "https://idp.example#" },
		"no client":        func(c *oidcclient.Config) { c.ClientID = "" },
		"no clock":         func(c *oidcclient.Config) { c.Now = nil },
		"much leeway":      func(c *oidcclient.Config) { c.Leeway = 61 * time.Second },
		"negative leeway":  func(c *oidcclient.Config) { c.Leeway = -1 },
		"negative timeout": func(c *oidcclient.Config) { c.Timeout = -1 },
		"none":             func(c *oidcclient.Config) { c.Algorithms = []string{"none"} },
		"symmetric":        func(c *oidcclient.Config) { c.Algorithms = []string{"ES256", "HS256"} },
	} {
		cfg := good
		change(&cfg)
		if _, err := oidcclient.New(cfg); err == nil {
			t.Errorf("%s: accepted", name)
		}
	}
	for _, issuer := range []string{"https://idp.example/tenant", "http://127.0.0.1:1", "http://[::1]:1", "http://localhost:1"} {
		cfg := good
		cfg.Issuer = issuer
		if p, err := oidcclient.New(cfg); err != nil || p.Issuer() != issuer {
			t.Errorf("%s: %v", issuer, err)
		}
	}
}
