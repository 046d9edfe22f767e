package oidcclient_test

import (
	"context"
	"encoding/json"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/stile-auth/stile/oidcclient"
	"github.com/stile-auth/stile/oidcclient/oidctest"
	"github.com/stile-auth/stile/oidcclient/oidctest/browser"
)

func TestResponseModes(t *testing.T) {
	t.Parallel()
	for _, mode := range []oidcclient.ResponseMode{"", oidcclient.ModeQuery, oidcclient.ModeFragment, oidcclient.ModeFormPost} {
		w := newWorld(t, func(c *oidcclient.Config) { c.ResponseMode = mode })
		a := w.request(t, oidcclient.RequestOptions{})
		want := mode
		if mode == "" {
			want = oidcclient.ModeQuery
		}
		if _, sent := a.Parameters["response_mode"]; a.Mode != want || sent != (want != oidcclient.ModeQuery) {
			t.Errorf("%q: mode %s, parameters %v", mode, a.Mode, a.Parameters)
		}
		if _, err := w.finish(t.Context(), a.Request, w.visit(t, a)); err != nil {
			t.Errorf("%q: %v", mode, err)
		}
	}
	for mode, right := range map[oidcclient.ResponseMode]string{oidcclient.ModeQuery: "?", oidcclient.ModeFragment: "#"} {
		for _, mark := range []string{"?", "#"} {
			w := newWorld(t, func(c *oidcclient.Config) { c.ResponseMode = mode })
			a := w.request(t, oidcclient.RequestOptions{})
			if _, err := w.client.Receive(t.Context(), a.Request, mark+w.visit(t, a)); (err == nil) != (mark == right) {
				t.Errorf("%s with %s: %v", mode, mark, err)
			}
		}
	}
	w := newWorld(t, func(c *oidcclient.Config) { c.ResponseMode = oidcclient.ModeFormPost })
	w.Misbehave(oidctest.SetMember(oidctest.EndpointDiscovery, "response_modes_supported", []string{"query"}))
	w.wants(t, w.ask(t.Context()), oidcclient.ErrUnavailable, 0)
}

func TestMoreParameters(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	given := map[string]any{"userinfo": map[string]any{"email": nil}, "id_token": map[string]any{"groups": nil}}
	a := w.request(t, oidcclient.RequestOptions{
		DomainHint: "bank.example", Parameters: map[string]string{"hd": "bank.example"},
		Claims: given, ACRValues: []string{"high"}, RequireACR: true,
	})
	if a.Parameters["domain_hint"] != "bank.example" || a.Parameters["hd"] != "bank.example" {
		t.Errorf("parameters %v", a.Parameters)
	}
	var claims any
	if err := json.Unmarshal([]byte(a.Parameters["claims"]), &claims); err != nil {
		t.Fatal(err)
	}
	want := map[string]any{"userinfo": map[string]any{"email": nil}, "id_token": map[string]any{
		"groups": nil, "acr": map[string]any{"essential": true, "values": []any{"high"}},
	}}
	if diff := cmp.Diff(any(want), claims); diff != "" {
		t.Errorf("claims, -want +got:\n%s", diff)
	}
	if len(given["id_token"].(map[string]any)) != 1 {
		t.Error("what was given has changed")
	}
	for _, name := range oidcclient.Reserved() {
		_, err := w.client.AuthorizationRequest(t.Context(), oidcclient.RequestOptions{RedirectURI: redirectURI, Parameters: map[string]string{name: "x"}})
		if err == nil {
			t.Errorf("%s was set", name)
		}
	}
	for name := range a.Parameters { // what is sent by itself is nobody else's
		if name != "hd" && !slices.Contains(oidcclient.Reserved(), name) {
			t.Errorf("%s is not reserved", name)
		}
	}
}

func pushes(c *oidctest.Config) { c.PAR = true }

func TestPushedRequest(t *testing.T) {
	t.Parallel()
	w := newWorld(t, pushes)
	a := w.request(t, oidcclient.RequestOptions{LoginHint: "jane"})
	if got := slices.Sorted(maps.Keys(a.Parameters)); !slices.Equal(got, []string{"client_id", "request_uri"}) || strings.Contains(a.URL, a.Request.State) {
		t.Errorf("the browser carries %v", got)
	}
	query := w.visit(t, a)
	if _, err := w.finish(t.Context(), a.Request, query); err != nil {
		t.Error(err)
	}
	if _, err := w.open(t, a.URL); err == nil {
		t.Error("a pushed request was good twice")
	}
}

// open opens an address in a new browser; an error page is an error.
func (w *world) open(t testing.TB, address string) (*browser.Page, error) {
	t.Helper()
	b, err := browser.New(browser.Config{Transport: w.wire})
	if err != nil {
		t.Fatal(err)
	}
	page, err := b.Open(t.Context(), address)
	if err == nil && page.Handed == nil && page.Status != http.StatusOK {
		return page, context.Canceled
	}
	return page, err
}

func TestWhenRequestsArePushed(t *testing.T) {
	t.Parallel()
	required := func(c *oidctest.Config) { c.PAR, c.RequirePAR = true, true }
	way := func(p oidcclient.Push) rp { return func(c *oidcclient.Config) { c.Push = p } }
	for name, test := range map[string]struct {
		server idp
		client rp
		calls  int
		fails  bool
	}{
		"advertised":             {pushes, way(oidcclient.PushAdvertised), 1, false},
		"never":                  {pushes, way(oidcclient.PushNever), 0, false},
		"never, but required":    {required, way(oidcclient.PushNever), 1, false},
		"required":               {required, way(oidcclient.PushAdvertised), 1, false},
		"always":                 {pushes, way(oidcclient.PushAlways), 1, false},
		"always, and impossible": {func(*oidctest.Config) {}, way(oidcclient.PushAlways), 0, true},
	} {
		w := newWorld(t, test.server, test.client)
		_, err := w.client.AuthorizationRequest(t.Context(), oidcclient.RequestOptions{RedirectURI: redirectURI})
		if (err != nil) != test.fails {
			t.Errorf("%s: %v", name, err)
		}
		if n := w.Calls(oidctest.EndpointPAR); n != test.calls {
			t.Errorf("%s: %d pushed requests", name, n)
		}
	}
}

func TestPushedRequestThatFails(t *testing.T) {
	t.Parallel()
	const par = oidctest.EndpointPAR
	for name, fault := range map[string]oidctest.Fault{
		"500":            oidctest.Status(par, http.StatusInternalServerError),
		"400":            oidctest.Status(par, http.StatusBadRequest),
		"no request_uri": oidctest.DropMembers(par, "request_uri"),
		"a number":       oidctest.SetMember(par, "request_uri", 7),
		"a long one":     oidctest.SetMember(par, "request_uri", strings.Repeat("x", 3000)),
		"HTML":           oidctest.Body(par, "text/html", "<h1>Oops</h1>"),
		"redirected":     oidctest.RedirectTo(par, "https://evil.example/"),
		"endless":        oidctest.Endless(par),
	} {
		w := newWorld(t, pushes)
		w.Misbehave(fault)
		err := w.ask(t.Context())
		w.wants(t, err, oidcclient.ErrUnavailable, 0)
		if err != nil && strings.Contains(err.Error(), "Oops") {
			t.Errorf("%s: %v", name, err)
		}
	}
	w := newWorld(t, pushes)
	w.Misbehave(oidctest.SetMember(oidctest.EndpointDiscovery, "pushed_authorization_request_endpoint", "http://10.0.0.1/par"))
	w.wants(t, w.ask(t.Context()), oidcclient.ErrRefused, 0)
}

func proofs(c *oidctest.Config)          { c.DPoP = true }
func proofsWithNonce(c *oidctest.Config) { c.DPoP, c.DPoPNonce = true, true }
func proves(c *oidcclient.Config)        { c.DPoP, c.UserInfo = true, true }

func TestBoundTokens(t *testing.T) {
	t.Parallel()
	for name, server := range map[string]idp{"without nonce": proofs, "with nonces": proofsWithNonce} {
		w := newWorld(t, server, proves, idp(func(c *oidctest.Config) { c.PAR = true }))
		a := w.request(t, oidcclient.RequestOptions{})
		if text, err := json.Marshal(a.Parameters); err != nil || strings.Contains(string(text), string(a.Request.ProofKey)) {
			t.Errorf("%s: the key is shown, %v", name, err)
		}
		id, err := w.finish(t.Context(), a.Request, w.visit(t, a))
		if err != nil || id.Email == "" {
			t.Errorf("%s: %+v, %v", name, id, err)
		}
	}
	w := newWorld(t, proofsWithNonce, proves, func(c *oidcclient.Config) { c.Authentication = oidcclient.Authentication{Secret: secret} })
	for range 2 {
		if _, err := w.signOn(t, oidcclient.RequestOptions{}); err != nil {
			t.Error(err)
		}
	}
	if n := w.Calls(oidctest.EndpointToken); n != 3 { // the nonce is known by then
		t.Errorf("%d token requests", n)
	}
}

// A code that is bound to a key is worth nothing to who has another.
func TestCodeIsBoundToTheKey(t *testing.T) {
	t.Parallel()
	w := newWorld(t, proofs, proves)
	a := w.request(t, oidcclient.RequestOptions{})
	query := w.visit(t, a)
	other := a.Request
	other.ProofKey = w.request(t, oidcclient.RequestOptions{}).Request.ProofKey
	_, err := w.finish(t.Context(), other, query)
	w.wants(t, err, oidcclient.ErrRefused, 1)
	for _, key := range [][]byte{nil, []byte("nonsense")} {
		other.ProofKey = key
		_, err = w.finish(t.Context(), other, query)
		w.wants(t, err, oidcclient.ErrResponse, 1)
	}
}

func TestTokensThatAreNotBound(t *testing.T) {
	t.Parallel()
	w := newWorld(t, proves) // it takes proofs, and says that it has bound nothing
	w.Misbehave(oidctest.SetMember(oidctest.EndpointToken, "token_type", "Bearer"))
	_, err := w.signOn(t, oidcclient.RequestOptions{})
	w.wants(t, err, oidcclient.ErrRefused, 1)

	w = newWorld(t, proofs, proves)
	w.Misbehave(oidctest.SetMember(oidctest.EndpointDiscovery, "dpop_signing_alg_values_supported", []string{"ES512"}))
	w.wants(t, w.ask(t.Context()), oidcclient.ErrUnavailable, 0)

	w = newWorld(t) // who has asked for none is not given any
	w.Misbehave(oidctest.SetMember(oidctest.EndpointToken, "token_type", "DPoP"))
	_, err = w.signOn(t, oidcclient.RequestOptions{})
	w.wants(t, err, oidcclient.ErrRefused, 1)
}

// A server that always wants another nonce is asked twice, not for ever.
func TestNoncesWithoutEnd(t *testing.T) {
	t.Parallel()
	w := newWorld(t, proofs, proves)
	w.Misbehave(oidctest.Fault{Answer: func(endpoint string, a *oidctest.Answer) {
		if endpoint == oidctest.EndpointToken {
			a.Status, a.Body = http.StatusBadRequest, []byte(`{"error":"use_dpop_nonce"}`)
			a.Header.Set("DPoP-Nonce", "again")
		}
	}})
	_, err := w.signOn(t, oidcclient.RequestOptions{})
	w.wants(t, err, oidcclient.ErrUnavailable, 2)
}

func byHand(w *world) *oidcclient.Endpoints {
	return &oidcclient.Endpoints{
		Authorization: w.Issuer() + "/authorize", Token: w.Issuer() + "/token", Keys: w.Issuer() + "/jwks", UserInfo: w.Issuer() + "/userinfo",
	}
}

func TestEndpointsByHand(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.client = w.newClient(t, func(c *oidcclient.Config) { c.Endpoints = byHand(w) })
	if _, err := w.signOn(t, oidcclient.RequestOptions{}); err != nil {
		t.Error(err)
	}
	w.wantCalls(t, oidctest.EndpointDiscovery, 0)
	w.client = w.newClient(t, func(c *oidcclient.Config) {
		c.Endpoints = byHand(w)
		c.Endpoints.Token = "http://10.0.0.1/token"
	})
	w.wants(t, w.ask(t.Context()), oidcclient.ErrRefused, 1)
}

// plain is a provider that knows no OpenID Connect, and whose users are numbers.
func plain() idp {
	return func(c *oidctest.Config) {
		c.Shape = &oidctest.Shape{
			Issuer: "https://plain.example", OAuth2: true, SpentCode: "bad_verification_code", TokenForms: true,
			Endpoints: map[string]string{
				"authorize": "https://plain.example/login/oauth/authorize", "token": "https://plain.example/login/oauth/access_token",
				"userinfo": "https://api.plain.example/user",
			},
			User: map[string]any{"id": "{#subject}", "login": "{username}", "contact": map[string]any{"mail": "{email}", "sure": true}},
		}
		c.Clients[0].AllowedScopes = []string{"read:user"}
	}
}

func newPlainWorld(t testing.TB, changes ...any) *world {
	t.Helper()
	w := newWorld(t, append([]any{plain()}, changes...)...)
	w.road = w.Transport()
	w.client = w.newClient(t, append([]any{rp(func(c *oidcclient.Config) {
		c.Issuer, c.Transport, c.Network, c.Scopes = "https://plain.example", w.road, oidcclient.Public, []string{"read:user"}
		c.Endpoints = &oidcclient.Endpoints{
			Authorization: "https://plain.example/login/oauth/authorize", Token: "https://plain.example/login/oauth/access_token",
			UserInfo: "https://api.plain.example/user",
		}
		c.OAuth2 = &oidcclient.UserMapping{Subject: "id", Email: "contact.mail", EmailVerified: "contact.sure"}
		c.SpentCodes = []string{"bad_verification_code"}
	})}, changes...)...)
	return w
}

func TestPlainOAuth2(t *testing.T) {
	t.Parallel()
	w := newPlainWorld(t)
	a := w.request(t, oidcclient.RequestOptions{})
	if a.Parameters["scope"] != "read:user" || a.Parameters["nonce"] != "" || a.Parameters["code_challenge_method"] != "S256" || a.Parameters["state"] == "" {
		t.Errorf("parameters %v", a.Parameters)
	}
	query := w.visit(t, a)
	id, err := w.finish(t.Context(), a.Request, query)
	want := oidcclient.Identity{
		Issuer: "https://plain.example", Subject: oidctest.DefaultUser().Subject, Email: oidctest.DefaultUser().Email, EmailVerified: true,
	}
	got := id
	got.Claims = nil
	if diff := cmp.Diff(want, got); err != nil || diff != "" {
		t.Fatalf("%v, -want +got:\n%s", err, diff)
	}
	_, err = w.finish(t.Context(), a.Request, query)
	wantsClass(t, err, oidcclient.ErrRefused) // with the word that it has for that
	quiet(t, err, a.Request, query)
}

func TestPlainOAuth2Subject(t *testing.T) {
	t.Parallel()
	const userinfo = oidctest.EndpointUserInfo
	for name, fault := range map[string]oidctest.Fault{
		"none":         oidctest.DropMembers(userinfo, "id"),
		"null":         oidctest.SetMember(userinfo, "id", nil),
		"empty":        oidctest.SetMember(userinfo, "id", ""),
		"a fraction":   oidctest.SetMember(userinfo, "id", 1.5),
		"an exponent":  oidctest.SetMember(userinfo, "id", json.Number("1e3")),
		"a list":       oidctest.SetMember(userinfo, "id", []string{"1"}),
		"an object":    oidctest.SetMember(userinfo, "id", map[string]any{"id": 1}),
		"long":         oidctest.SetMember(userinfo, "id", strings.Repeat("x", 256)),
		"with a break": oidctest.SetMember(userinfo, "id", "a\nb"),
		"T-58 twice":   oidctest.DoubleMember(userinfo, "id", 2),
	} {
		w := newPlainWorld(t)
		w.Misbehave(fault)
		_, err := w.signOn(t, oidcclient.RequestOptions{})
		if w.wants(t, err, oidcclient.ErrRefused, 1); err == nil {
			t.Error(name)
		}
	}
	w := newPlainWorld(t)
	w.Misbehave(oidctest.SetMember(userinfo, "contact", map[string]any{"mail": "jane@bank.example", "sure": "true"}))
	if id, err := w.signOn(t, oidcclient.RequestOptions{}); err != nil || id.EmailVerified || id.Email != "jane@bank.example" {
		t.Errorf("the word true: %+v, %v", id, err)
	}
}

// tenants is a provider with an issuer for each tenant.
func tenants(tenant string) idp {
	return func(c *oidctest.Config) {
		c.Shape = &oidctest.Shape{
			Issuer: "https://login.example/common", TokenIssuer: "https://login.example/{tenantid}", Tenant: tenant, Metadata: map[string]any{},
			Endpoints: map[string]string{
				"authorize": "https://login.example/common/authorize", "token": "https://login.example/common/token", "jwks": "https://login.example/common/keys",
			},
		}
	}
}

func (w *world) ofTenants(t testing.TB, changes ...any) {
	t.Helper()
	w.road = w.Transport()
	w.client = w.newClient(t, append([]any{rp(func(c *oidcclient.Config) {
		c.Issuer, c.TokenIssuer, c.Transport, c.Network = "https://login.example/common", "https://login.example/{tenantid}", w.road, oidcclient.Public
	})}, changes...)...)
}

func TestTenants(t *testing.T) {
	t.Parallel()
	w := newWorld(t, tenants("bank"))
	w.ofTenants(t)
	id, err := w.signOn(t, oidcclient.RequestOptions{})
	if err != nil || id.Issuer != "https://login.example/bank" {
		t.Fatalf("%+v, %v", id, err)
	}
	w.ofTenants(t, func(c *oidcclient.Config) { c.Tenants = []string{"bank"} })
	if _, err := w.signOn(t, oidcclient.RequestOptions{}); err != nil {
		t.Error(err)
	}
	for name, test := range map[string]struct {
		tenant string
		fault  oidctest.Fault
	}{
		"another tenant":             {"other", oidctest.Fault{}},
		"T-91 the issuer of another": {"bank", oidctest.SetClaim("iss", "https://login.example/other")},
		"tid of another":             {"other", oidctest.SetClaim("tid", "bank")},
		"no tid":                     {"bank", oidctest.DropClaims("tid")},
		"tid twice":                  {"bank", oidctest.DuplicateClaim("tid", "other")},
		"a path for a tid":           {"a/../bank", oidctest.Fault{}},
		"the place itself":           {"bank", oidctest.SetClaim("iss", "https://login.example/{tenantid}")},
	} {
		w := newWorld(t, tenants(test.tenant))
		w.ofTenants(t, func(c *oidcclient.Config) { c.Tenants = []string{"bank"} })
		w.Misbehave(test.fault)
		_, err := w.signOn(t, oidcclient.RequestOptions{})
		if w.wants(t, err, oidcclient.ErrRefused, 1); err == nil {
			t.Error(name)
		}
	}
	w = newWorld(t, tenants("a/../bank"))
	w.ofTenants(t) // which takes any
	_, err = w.signOn(t, oidcclient.RequestOptions{})
	w.wants(t, err, oidcclient.ErrRefused, 1)
	w = newWorld(t, tenants("bank"))
	w.ofTenants(t)
	w.Misbehave(oidctest.SetMember(oidctest.EndpointDiscovery, "issuer", "https://login.example/common"))
	w.wants(t, w.ask(t.Context()), oidcclient.ErrRefused, 0)
}

// A key that says whose tokens it signs signs nobody else's.
func TestKeysOfTenants(t *testing.T) {
	t.Parallel()
	for says, class := range map[string]error{
		"": nil, "https://login.example/{tenantid}": nil, "https://login.example/bank": nil,
		"https://login.example/other": oidcclient.ErrRefused, "https://evil.example/{tenantid}": oidcclient.ErrRefused,
	} {
		w := newWorld(t, tenants("bank"), idp(func(c *oidctest.Config) { c.Shape.KeyIssuer = says }))
		w.ofTenants(t)
		_, err := w.signOn(t, oidcclient.RequestOptions{})
		if class == nil && err != nil {
			t.Errorf("%q: %v", says, err)
		}
		if class != nil {
			w.wants(t, err, class, 1)
		}
	}
	w := newWorld(t)
	w.Misbehave(oidctest.Fault{Answer: func(endpoint string, a *oidctest.Answer) {
		if endpoint == oidctest.EndpointJWKS {
			a.Body = []byte(strings.ReplaceAll(string(a.Body), `{"use"`, `{"issuer":"https://evil.example","use"`))
		}
	}})
	_, err := w.signOn(t, oidcclient.RequestOptions{})
	w.wants(t, err, oidcclient.ErrRefused, 1)
}

// A provider that fails is left in peace, and asked again by one at a time.
func TestCircuit(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	try := func() error { _, err := w.signOn(t, oidcclient.RequestOptions{}); return err }
	w.Misbehave(oidctest.Status(oidctest.EndpointToken, http.StatusBadGateway))
	for _, step := range []struct {
		later time.Duration
		calls int
	}{{0, 1}, {0, 2}, {0, 3}, {0, 4}, {0, 5}, {0, 5}, {9 * time.Second, 5}, {time.Second, 6}, {0, 6}, {10 * time.Second, 7}} {
		w.clock.advance(step.later)
		w.wants(t, try(), oidcclient.ErrUnavailable, step.calls)
	}
	w.Behave()
	w.wants(t, try(), oidcclient.ErrUnavailable, 7)
	w.clock.advance(10 * time.Second)
	gate := oidctest.NewGate()
	w.Misbehave(gate.Hold(oidctest.EndpointToken))
	first := make(chan error)
	a := w.request(t, oidcclient.RequestOptions{})
	query := w.visit(t, a)
	go func() {
		_, err := w.finish(t.Context(), a.Request, query)
		first <- err
	}()
	select {
	case <-gate.Held():
	case err := <-first:
		t.Fatalf("nobody tries: %v", err)
	}
	w.wants(t, try(), oidcclient.ErrUnavailable, 8) // while one tries, nobody else does
	gate.Release()
	if err := <-first; err != nil {
		t.Errorf("who tried: %v", err)
	}
	for range 2 {
		if err := try(); err != nil {
			t.Errorf("a provider that is well again: %v", err)
		}
	}
	w.Misbehave(oidctest.Status(oidctest.EndpointToken, http.StatusBadGateway))
	w.wants(t, try(), oidcclient.ErrUnavailable, 11)
	w.wants(t, try(), oidcclient.ErrUnavailable, 12)
}

// Codes that are no good, and people who give up, say nothing about the provider.
func TestCircuitStaysClosed(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	for i := range 10 {
		a := w.request(t, oidcclient.RequestOptions{})
		_, err := w.finish(t.Context(), a.Request, url.Values{"code": {"x"}, "state": {a.Request.State}, "iss": {w.Issuer()}}.Encode())
		w.wants(t, err, oidcclient.ErrRefused, i+1)
	}
	gate := oidctest.NewGate()
	w.Misbehave(gate.Hold(oidctest.EndpointToken))
	for range 10 {
		a := w.request(t, oidcclient.RequestOptions{})
		query := w.visit(t, a)
		gone, leave := context.WithCancel(t.Context())
		done := make(chan error)
		go func() {
			_, err := w.finish(gone, a.Request, query)
			done <- err
		}()
		select {
		case <-gate.Held():
		case err := <-done:
			t.Fatalf("it was not sent: %v", err)
		}
		leave()
		if err := <-done; err == nil {
			t.Error("who gave up has signed on")
		}
	}
	gate.Release()
	w.Behave()
	if _, err := w.signOn(t, oidcclient.RequestOptions{}); err != nil {
		t.Error(err)
	}
}
