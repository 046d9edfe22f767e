package contract_test

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"html"
	"io"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/coreos/go-oidc/v3/oidc"
	"golang.org/x/oauth2"

	"github.com/stile-auth/stile/oidcclient/oidctest"
)

const shopSecret = "a secret that a generator has made, with 256 bits of it"

func hashed(secret string) string {
	sum := sha256.Sum256([]byte(secret))
	return hex.EncodeToString(sum[:])
}

// shop is definitions with a relying party: its tokens are for an API of its own.
func shop(more string) string {
	return fmt.Sprintf(`flows:
  sign-in:
    steps:
      - { id: password, type: password }
  sso:
    steps:
      - { id: sso, type: sso, with: { provider: corporate } }
  strong:
    steps:
      - { id: password, type: password }
      - { id: code, type: totp }
targets:
  orders:
    flow: sign-in
    propagate: { type: bearer_jwt, audience: "https://orders.example", claims: { branch: account.attributes.branch } }
  payments:
    flow: strong
    requires: { acr: aal2 }
    propagate: { type: bearer_jwt, audience: "https://payments.example" }
  sso-orders:
    flow: sso
    propagate: { type: bearer_jwt, audience: "https://sso-orders.example" }
providers:
  corporate: { issuer: "https://idp.example", client_id: stile, client_secret: { env: NONE }, scopes: [openid, email] }
clients:
  shop:
    flows: [sign-in, strong, sso]
    targets: [orders, payments, sso-orders]
    redirect_uris: ["https://shop.example/back", "http://127.0.0.1/back"]
    dpop: optional
    oauth:
      grants: [authorization_code, refresh_token, client_credentials]
      auth: client_secret_basic
      secret_hash: %s
      scopes: [openid, offline_access, orders.read, orders.write]
      post_logout_redirect_uris: ["https://shop.example/bye"]
  other:
    flows: [sign-in]
    targets: [orders]
    redirect_uris: ["https://other.example/back"]
    dpop: optional
    oauth: { auth: none, grants: [authorization_code, refresh_token], scopes: [openid] }
%s`, hashed(shopSecret), more)
}

// visitor is a person's browser: it keeps cookies, and stops where it is sent to somebody else.
type visitor struct {
	t      *testing.T
	w      *world
	client *http.Client
	gone   *url.URL // where the server has sent it
	page   string
	policy string
	status int
}

func newVisitor(t *testing.T, w *world) *visitor {
	t.Helper()
	jar, err := cookiejar.New(nil)
	must(t, err)
	b := &visitor{t: t, w: w}
	own, err := url.Parse(w.node.URL())
	must(t, err)
	b.client = &http.Client{Jar: jar, CheckRedirect: func(r *http.Request, _ []*http.Request) error {
		if r.URL.Host != own.Host {
			b.gone = r.URL
			return http.ErrUseLastResponse
		}
		return nil
	}}
	return b
}

func (b *visitor) did(r *http.Response, err error) {
	b.t.Helper()
	must(b.t, err)
	text, err := io.ReadAll(r.Body)
	must(b.t, errJoin(err, r.Body.Close()))
	b.page, b.policy, b.status = string(text), r.Header.Get("Content-Security-Policy"), r.StatusCode
}

func errJoin(errs ...error) error {
	for _, err := range errs {
		if err != nil {
			return err
		}
	}
	return nil
}

func (b *visitor) open(address string) {
	b.t.Helper()
	b.gone = nil
	r, err := http.NewRequestWithContext(b.t.Context(), http.MethodGet, address, nil)
	must(b.t, err)
	r.Header.Set("Accept", "text/html")
	b.did(b.client.Do(r))
}

var hiddenField = regexp.MustCompile(`name="(_turn|_token)" value="([^"]*)"`)

// submit fills in the form of the page.
func (b *visitor) submit(values map[string]string) {
	b.t.Helper()
	b.gone = nil
	form := url.Values{}
	for _, m := range hiddenField.FindAllStringSubmatch(b.page, -1) {
		form.Set(m[1], html.UnescapeString(m[2]))
	}
	for k, v := range values {
		form.Set(k, v)
	}
	r, err := http.NewRequestWithContext(b.t.Context(), http.MethodPost, b.w.node.URL()+"/sign-in", strings.NewReader(form.Encode()))
	must(b.t, err)
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	r.Header.Set("Origin", b.w.node.URL())
	b.did(b.client.Do(r))
}

var postedField = regexp.MustCompile(`<input type="hidden" name="([^"]*)" value="([^"]*)">`)

// fields are those that the page posts by itself.
func (b *visitor) fields() map[string]string {
	out := map[string]string{}
	for _, m := range postedField.FindAllStringSubmatch(b.page, -1) {
		out[m[1]] = html.UnescapeString(m[2])
	}
	return out
}

// party is a relying party made of libraries of others.
type party struct {
	oauth2.Config
	provider *oidc.Provider
	verifier string
	ctx      context.Context //nolint:containedctx // of the test
	clock    *clock
}

func newParty(t *testing.T, w *world, id, secret, redirect string, scopes ...string) *party {
	t.Helper()
	provider, err := oidc.NewProvider(t.Context(), w.node.URL())
	must(t, err)
	p := &party{ctx: t.Context(), provider: provider, verifier: oauth2.GenerateVerifier(), clock: w.clock}
	p.Config = oauth2.Config{ClientID: id, ClientSecret: secret, Endpoint: provider.Endpoint(), RedirectURL: redirect, Scopes: scopes}
	p.Endpoint.AuthStyle = oauth2.AuthStyleInHeader
	if secret == "" {
		p.Endpoint.AuthStyle = oauth2.AuthStyleInParams
	}
	return p
}

func (p *party) address(options ...string) string {
	all := []oauth2.AuthCodeOption{oauth2.S256ChallengeOption(p.verifier), oauth2.SetAuthURLParam("nonce", "n-1")}
	for i := 0; i+1 < len(options); i += 2 {
		all = append(all, oauth2.SetAuthURLParam(options[i], options[i+1]))
	}
	return p.AuthCodeURL("state-1", all...)
}

func (p *party) checks() *oidc.Config { return &oidc.Config{ClientID: p.ClientID, Now: p.clock.now} }

func (p *party) trade(code string) (*oauth2.Token, error) {
	return p.Exchange(p.ctx, code, oauth2.VerifierOption(p.verifier))
}

type idToken struct {
	Nonce, ACR string
	AMR        []string
	AuthTime   int64 `json:"auth_time"`
	SID        string
	Branch     string
	Subject    string `json:"sub"`
}

func (p *party) reads(t *testing.T, token *oauth2.Token) idToken {
	t.Helper()
	text, ok := token.Extra("id_token").(string)
	if !ok {
		t.Fatal("there is no ID token")
	}
	verified, err := p.provider.Verifier(p.checks()).Verify(p.ctx, text)
	must(t, err)
	var out idToken
	must(t, verified.Claims(&out))
	return out
}

// codeOf is the code that the browser carries to the relying party.
func (b *visitor) code() string {
	b.t.Helper()
	if b.gone == nil {
		b.t.Fatalf("the browser is still here: %d\n%s", b.status, b.page)
	}
	q := b.gone.Query()
	if q.Get("iss") != b.w.node.URL() || q.Get("state") != "state-1" || q.Get("error") != "" {
		b.t.Fatalf("sent to %s", b.gone)
	}
	return q.Get("code")
}

func (b *visitor) failure() string {
	b.t.Helper()
	if b.gone == nil {
		b.t.Fatalf("the browser is still here: %d\n%s", b.status, b.page)
	}
	if q := b.gone.Query(); q.Get("iss") != b.w.node.URL() || q.Get("code") != "" {
		b.t.Fatalf("sent to %s", b.gone)
	}
	return b.gone.Query().Get("error")
}

func (b *visitor) signIn() {
	b.t.Helper()
	if !strings.Contains(b.page, `name="password"`) {
		b.t.Fatalf("no password is asked for: %d, sent to %v\n%s", b.status, b.gone, b.page)
	}
	answer := map[string]string{"password": password}
	if strings.Contains(b.page, `name="username"`) { // else it is known who claims to be here
		answer["username"] = login
	}
	b.submit(answer)
}

// A relying party signs somebody on, with libraries of others: code with PKCE, ID token,
// access token, user info, refresh; the second sign-on asks nothing, a stronger one what is missing.
func TestRelyingPartySignsOn(t *testing.T) {
	t.Parallel()
	for _, store := range stores() {
		t.Run(store, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, t, setup{definitions: shop(""), store: store})
			t.Cleanup(func() { w.close(t) })
			p := newParty(t, w, "shop", shopSecret, "https://shop.example/back", "openid", "orders.read", "unknown")
			b := newVisitor(t, w)
			b.open(p.address("resource", "https://orders.example"))
			b.submit(map[string]string{"username": login, "password": "wrong"})
			if b.status != http.StatusUnprocessableEntity || !strings.Contains(b.page, "role=\"alert\"") {
				t.Fatalf("a wrong password: %d\n%s", b.status, b.page)
			}
			w.clock.pass(time.Minute)
			b.signIn()
			code := b.code()
			token, err := p.trade(code)
			must(t, err)
			said := p.reads(t, token)
			if said.Nonce != "n-1" || said.ACR != "aal1" || !slices.Equal(said.AMR, []string{"pwd"}) || said.Branch != "Zurich" || said.SID == "" {
				t.Errorf("%+v", said)
			}
			if token.Extra("scope") != "openid orders.read" || token.TokenType != "Bearer" || token.RefreshToken == "" {
				t.Errorf("%+v", token)
			}
			info, err := p.provider.UserInfo(t.Context(), p.TokenSource(t.Context(), token))
			must(t, err)
			if info.Subject != said.Subject {
				t.Errorf("user info of %s", info.Subject)
			}
			// The session of the browser does the next time.
			b.open(p.address("resource", "https://orders.example", "prompt", "none"))
			again, err := p.trade(b.code())
			must(t, err)
			if second := p.reads(t, again); second.Subject != said.Subject || second.SID != said.SID || second.AuthTime != said.AuthTime {
				t.Errorf("%+v, then %+v", said, second)
			}
			// What is missing is asked for.
			b.open(p.address("resource", "https://payments.example"))
			one, err := w.code()
			must(t, err)
			b.submit(map[string]string{"code": one})
			strong, err := p.trade(b.code())
			must(t, err)
			if third := p.reads(t, strong); third.ACR != "aal2" || !slices.Equal(third.AMR, []string{"mfa", "otp", "pwd"}) {
				t.Errorf("%+v", third)
			}
			// Refresh tokens rotate; one that was used ends all.
			refreshed, err := p.TokenSource(t.Context(), &oauth2.Token{RefreshToken: token.RefreshToken}).Token()
			must(t, err)
			if refreshed.RefreshToken == token.RefreshToken || p.reads(t, refreshed).Nonce != "" {
				t.Errorf("%+v", refreshed)
			}
			w.clock.pass(time.Minute)
			if _, err := p.TokenSource(t.Context(), &oauth2.Token{RefreshToken: token.RefreshToken}).Token(); !isError(err, "invalid_grant") {
				t.Errorf("a used refresh token: %v", err)
			}
			if _, err := p.TokenSource(t.Context(), &oauth2.Token{RefreshToken: refreshed.RefreshToken}).Token(); !isError(err, "invalid_grant") {
				t.Errorf("what came of it: %v", err)
			}
		})
	}
}

func isError(err error, code string) bool {
	e, ok := err.(*oauth2.RetrieveError) //nolint:errorlint // it is not wrapped
	return ok && e.ErrorCode == code
}

// A code is good once, for the client that asked for it, with its verifier and its redirect URI.
func TestCodes(t *testing.T) {
	t.Parallel()
	w := newWorld(t, t, setup{definitions: shop("")})
	t.Cleanup(func() { w.close(t) })
	fresh := func(t *testing.T) (*party, string) {
		t.Helper()
		p := newParty(t, w, "shop", shopSecret, "https://shop.example/back", "openid")
		b := newVisitor(t, w)
		b.open(p.address("resource", "https://orders.example"))
		b.signIn()
		return p, b.code()
	}
	for name, attack := range map[string]func(*party){
		"RFC 7636 4.6: another verifier":       func(p *party) { p.verifier = oauth2.GenerateVerifier() },
		"RFC 7636 4.6: no verifier":            func(p *party) { p.verifier = "" },
		"RFC 6749 4.1.3: another redirect URI": func(p *party) { p.RedirectURL = "http://127.0.0.1/back" },
		"RFC 6749 4.1.3: another client": func(p *party) {
			p.ClientID, p.ClientSecret, p.Endpoint.AuthStyle = "other", "", oauth2.AuthStyleInParams
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p, code := fresh(t)
			right := *p
			attack(p)
			if _, err := p.trade(code); !isError(err, "invalid_grant") {
				t.Fatalf("%v", err)
			}
			if _, err := right.trade(code); err != nil { // nobody takes a code away from whose it is
				t.Fatalf("afterwards: %v", err)
			}
		})
	}
	t.Run("RFC 6749 4.1.2: twice", func(t *testing.T) {
		t.Parallel()
		p, code := fresh(t)
		token, err := p.trade(code)
		must(t, err)
		if _, err := p.trade(code); !isError(err, "invalid_grant") {
			t.Fatalf("%v", err)
		}
		if _, err := p.TokenSource(t.Context(), &oauth2.Token{RefreshToken: token.RefreshToken}).Token(); !isError(err, "invalid_grant") {
			t.Fatalf("what came of it: %v", err)
		}
	})
	t.Run("OIDC Core 9: wrong secret", func(t *testing.T) {
		t.Parallel()
		p, code := fresh(t)
		p.ClientSecret = "wrong"
		if _, err := p.trade(code); !isError(err, "invalid_client") {
			t.Fatalf("%v", err)
		}
	})
	t.Run("a hundred at once", func(t *testing.T) {
		t.Parallel()
		p, code := fresh(t)
		got := make(chan error, 100)
		for range cap(got) {
			go func() { _, err := p.trade(code); got <- err }()
		}
		good := 0
		for range cap(got) {
			if <-got == nil {
				good++
			}
		}
		if good > 1 {
			t.Fatalf("traded %d times", good)
		}
	})
	t.Run("RFC 6749 4.1.2: expired", func(t *testing.T) {
		t.Parallel()
		own := newWorld(t, t, setup{definitions: shop("")})
		t.Cleanup(func() { own.close(t) })
		p := newParty(t, own, "shop", shopSecret, "https://shop.example/back", "openid")
		b := newVisitor(t, own)
		b.open(p.address("resource", "https://orders.example"))
		b.signIn()
		own.clock.pass(time.Minute)
		if _, err := p.trade(b.code()); !isError(err, "invalid_grant") {
			t.Fatalf("%v", err)
		}
	})
}

// Requests that are not right: what the client may be told it is told, and nothing is sent to an address that is not its own.
func TestAuthorizationRequests(t *testing.T) {
	t.Parallel()
	w := newWorld(t, t, setup{definitions: shop("")})
	t.Cleanup(func() { w.close(t) })
	p := newParty(t, w, "shop", shopSecret, "https://shop.example/back", "openid")
	for name, c := range map[string]struct {
		change []string // parameters; with an empty value: removed
		want   string   // "" : the person is told
	}{
		"RFC 6749 4.1.2.1: unknown client":           {[]string{"client_id", "nobody"}, ""},
		"no relying party":                           {[]string{"client_id", "phone"}, ""},
		"another redirect URI":                       {[]string{"redirect_uri", "https://evil.example/back"}, ""},
		"RFC 9700 2.1: redirect URI below":           {[]string{"redirect_uri", "https://shop.example/back/x"}, ""},
		"OIDC Core 3.1.2.1: redirect URI with query": {[]string{"redirect_uri", "https://shop.example/back?x=y"}, ""},
		"redirect URI with user":                     {[]string{"redirect_uri", "https://shop.example@evil.example/back"}, ""},
		"OIDC Core 3.1.2.1: no redirect URI":         {[]string{"redirect_uri", ""}, ""},
		"localhost by name":                          {[]string{"redirect_uri", "http://localhost/back"}, ""},
		"implicit":                                   {[]string{"response_type", "token"}, "unsupported_response_type"},
		"hybrid":                                     {[]string{"response_type", "code id_token"}, "unsupported_response_type"},
		"OIDC Core 3.1.2.6: no response type":        {[]string{"response_type", ""}, "unsupported_response_type"},
		"RFC 7636 4.4.1: no PKCE":                    {[]string{"code_challenge", ""}, "invalid_request"},
		"RFC 7636 4.4.1: plain PKCE":                 {[]string{"code_challenge_method", "plain"}, "invalid_request"},
		"short challenge":                            {[]string{"code_challenge", "abc"}, "invalid_request"},
		"no method":                                  {[]string{"code_challenge_method", ""}, "invalid_request"},
		"fragment":                                   {[]string{"response_mode", "fragment"}, "invalid_request"},
		"OIDC Core 3.1.2.6: request object":          {[]string{"request", "e30.e30."}, "request_not_supported"},
		"OIDC Core 3.1.2.6: request URI":             {[]string{"request_uri", "https://shop.example/r"}, "request_uri_not_supported"},
		"RFC 8707 2: another resource":               {[]string{"resource", "https://else.example"}, "invalid_target"},
		"no resource":                                {[]string{"resource", ""}, "invalid_target"},
		"OIDC Core 3.1.2.1: none and login":          {[]string{"prompt", "none login"}, "invalid_request"},
		"another prompt":                             {[]string{"prompt", "create"}, "invalid_request"},
		"nobody is here":                             {[]string{"prompt", "none"}, "login_required"},
		"negative age":                               {[]string{"max_age", "-1"}, "invalid_request"},
		"claims":                                     {[]string{"claims", "{"}, "invalid_request"},
		"foreign hint":                               {[]string{"id_token_hint", "e30.e30.e30"}, "invalid_request"},
		"a level that is not":                        {[]string{"claims", `{"id_token":{"acr":{"essential":true,"values":["urn:gold"]}}}`}, "unmet_authentication_requirements"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			u, err := url.Parse(p.address("resource", "https://orders.example"))
			must(t, err)
			q := u.Query()
			for i := 0; i+1 < len(c.change); i += 2 {
				if q.Set(c.change[i], c.change[i+1]); c.change[i+1] == "" {
					q.Del(c.change[i])
				}
			}
			u.RawQuery = q.Encode()
			b := newVisitor(t, w)
			b.open(u.String())
			if c.want == "" {
				if b.gone != nil || b.status != http.StatusBadRequest || strings.Contains(b.page, "evil") {
					t.Fatalf("%d, sent to %v\n%s", b.status, b.gone, b.page)
				}
				return
			}
			if got := b.failure(); got != c.want || b.gone.Host != "shop.example" || b.gone.Query().Get("state") != "state-1" {
				t.Fatalf("%s, want %s", b.gone, c.want)
			}
		})
	}
	t.Run("twice", func(t *testing.T) {
		t.Parallel()
		b := newVisitor(t, w)
		b.open(p.address("resource", "https://orders.example") + "&state=other")
		if got := b.failure(); got != "invalid_request" {
			t.Fatal(b.gone)
		}
		b.open(p.address("resource", "https://orders.example") + "&redirect_uri=https%3A%2F%2Fevil.example%2F")
		if b.gone != nil || b.status != http.StatusBadRequest {
			t.Fatalf("%d, sent to %v", b.status, b.gone)
		}
	})
	t.Run("RFC 8252 7.3: any port of this machine", func(t *testing.T) {
		t.Parallel()
		own := newParty(t, w, "shop", shopSecret, "http://127.0.0.1:54321/back", "openid")
		b := newVisitor(t, w)
		b.open(own.address("resource", "https://orders.example"))
		b.signIn()
		if _, err := own.trade(b.code()); err != nil {
			t.Fatal(err)
		}
	})
}

// direct sends a form to an endpoint and returns its answer.
func (w *world) direct(t *testing.T, path string, form url.Values, basic bool) (int, map[string]any) {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, w.node.URL()+path, strings.NewReader(form.Encode()))
	must(t, err)
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	if basic {
		r.SetBasicAuth("shop", url.QueryEscape(shopSecret))
	}
	resp, err := http.DefaultClient.Do(r)
	must(t, err)
	defer resp.Body.Close()
	if resp.Header.Get("Cache-Control") != "no-store" {
		t.Errorf("%s may be cached", path)
	}
	var out map[string]any
	must(t, json.NewDecoder(resp.Body).Decode(&out))
	return resp.StatusCode, out
}

// A client acts for itself; the token says nothing of a person.
func TestClientCredentials(t *testing.T) {
	t.Parallel()
	w := newWorld(t, t, setup{definitions: shop("")})
	t.Cleanup(func() { w.close(t) })
	form := url.Values{"grant_type": {"client_credentials"}, "scope": {"orders.read openid"}, "resource": {"https://orders.example"}}
	status, out := w.direct(t, "/oauth2/token", form, true)
	if status != http.StatusOK || out["scope"] != "orders.read" || out["refresh_token"] != nil || out["id_token"] != nil {
		t.Fatalf("%d %v", status, out)
	}
	access, _ := out["access_token"].(string)
	status, told := w.direct(t, "/oauth2/introspect", url.Values{"token": {access}}, true)
	if status != http.StatusOK || told["active"] != true || told["sub"] != "client:shop" || told["acr"] != nil || told["sid"] != nil || told["aud"] != "https://orders.example" {
		t.Errorf("%d %v", status, told)
	}
	for name, c := range map[string]struct {
		form   url.Values
		basic  bool
		status int
		want   string
	}{
		"RFC 9700 2.4: password":        {url.Values{"grant_type": {"password"}, "username": {"jane"}, "password": {"x"}}, true, 400, "unsupported_grant_type"},
		"implicit":                      {url.Values{"grant_type": {"implicit"}}, true, 400, "unsupported_grant_type"},
		"no grant":                      {url.Values{}, true, 400, "invalid_request"},
		"twice":                         {url.Values{"grant_type": {"client_credentials", "client_credentials"}}, true, 400, "invalid_request"},
		"nobody":                        {form, false, 401, "invalid_client"},
		"public":                        {url.Values{"grant_type": {"client_credentials"}, "client_id": {"other"}}, false, 400, "unauthorized_client"},
		"OIDC Core 9: by post":          {url.Values{"grant_type": {"client_credentials"}, "client_id": {"shop"}, "client_secret": {shopSecret}}, false, 401, "invalid_client"},
		"RFC 6749 2.3: two ways":        {url.Values{"grant_type": {"client_credentials"}, "client_id": {"shop"}, "client_secret": {shopSecret}}, true, 401, "invalid_client"},
		"RFC 6749 5.2: another's scope": {url.Values{"grant_type": {"client_credentials"}, "scope": {"admin"}, "resource": {"https://orders.example"}}, true, 400, "invalid_scope"},
		"no resource":                   {url.Values{"grant_type": {"client_credentials"}}, true, 400, "invalid_target"},
		"no code":                       {url.Values{"grant_type": {"authorization_code"}}, true, 400, "invalid_grant"},
		"rubbish":                       {url.Values{"grant_type": {"refresh_token"}, "refresh_token": {strings.Repeat("x.", 5000)}}, true, 400, "invalid_grant"},
	} {
		status, out := w.direct(t, "/oauth2/token", c.form, c.basic)
		if status != c.status || out["error"] != c.want || out["access_token"] != nil {
			t.Errorf("%s: %d %v", name, status, out)
		}
	}
}

// What rests on an account that is disabled, or on a session that has ended, is over.
func TestGrantsEnd(t *testing.T) {
	t.Parallel()
	w := newWorld(t, t, setup{definitions: shop("")})
	t.Cleanup(func() { w.close(t) })
	signedOn := func() (*party, *visitor, *oauth2.Token) {
		p := newParty(t, w, "shop", shopSecret, "https://shop.example/back", "openid")
		b := newVisitor(t, w)
		b.open(p.address("resource", "https://orders.example"))
		b.signIn()
		token, err := p.trade(b.code())
		must(t, err)
		return p, b, token
	}
	active := func(token string) bool {
		_, told := w.direct(t, "/oauth2/introspect", url.Values{"token": {token}}, true)
		return told["active"] == true
	}
	p, b, token := signedOn()
	if !active(token.AccessToken) || !active(token.RefreshToken) || active("rubbish") {
		t.Fatal("tokens that are good are not active, or others are")
	}
	id, _ := token.Extra("id_token").(string)
	b.open(w.node.URL() + "/oauth2/logout?state=s&post_logout_redirect_uri=https%3A%2F%2Fshop.example%2Fbye&id_token_hint=" + id)
	if b.gone == nil || b.gone.String() != "https://shop.example/bye?state=s" {
		t.Errorf("after the sign-out: %v %d\n%s", b.gone, b.status, b.page)
	}
	if _, err := p.TokenSource(t.Context(), &oauth2.Token{RefreshToken: token.RefreshToken}).Token(); !isError(err, "invalid_grant") {
		t.Errorf("after the sign-out: %v", err)
	}
	if active(token.AccessToken) || active(token.RefreshToken) {
		t.Error("tokens are active after the sign-out")
	}
	b.open(p.address("resource", "https://orders.example", "prompt", "none"))
	if got := b.failure(); got != "login_required" {
		t.Errorf("after the sign-out: %s", got)
	}
	p, _, token = signedOn()
	status, _ := w.direct(t, "/oauth2/revoke", url.Values{"token": {token.RefreshToken}}, true)
	if status != http.StatusOK || active(token.RefreshToken) {
		t.Errorf("revoked: %d", status)
	}
	if _, err := p.TokenSource(t.Context(), &oauth2.Token{RefreshToken: token.RefreshToken}).Token(); !isError(err, "invalid_grant") {
		t.Errorf("revoked: %v", err)
	}
}

// In a browser too a sign-on at a provider is a step: the provider sends the browser back to
// an address of ours, one for each provider, and only the browser that began can go on.
func TestRelyingPartySignsOnElsewhere(t *testing.T) {
	t.Parallel()
	clock := newClock()
	address := free(t)
	idp, err := oidctest.Start(oidctest.Config{
		Now: clock.now,
		Clients: []oidctest.Client{{
			ID: "stile", Secret: clientSecret, RedirectURIs: []string{"http://" + address + "/v1/callback/corporate"}, AllowedScopes: []string{"openid", "email"},
		}},
		Users: []oidctest.User{{Username: providerUser, Password: providerPassword, Subject: providerSubject}},
	})
	must(t, err)
	t.Cleanup(func() { must(t, idp.Close()) })
	w := newWorld(t, t, setup{definitions: shop(""), clock: clock, provider: idp, address: address})
	t.Cleanup(func() { w.close(t) })
	p := newParty(t, w, "shop", shopSecret, "https://shop.example/back", "openid")
	b, other := newVisitor(t, w), newVisitor(t, w)
	b.open(p.address("resource", "https://sso-orders.example"))
	link := onward.FindStringSubmatch(b.page)
	if link == nil {
		t.Fatalf("the page leads nowhere: %d\n%s", b.status, b.page)
	}
	person := newPhone(t, w, "shop").browser
	back, err := person.Open(t.Context(), html.UnescapeString(link[1]), w.node.URL()+"/v1/callback/corporate")
	must(t, err)
	other.open(back)
	if other.gone != nil || other.status != http.StatusNotFound {
		t.Fatalf("another browser: %d, sent to %v", other.status, other.gone)
	}
	b.open(strings.Replace(back, "/corporate?", "/another?", 1))
	if b.gone != nil {
		t.Fatalf("another provider's address: sent to %v", b.gone)
	}
	for range 6 { // another site opens it: nothing that it makes up is an answer
		b.open(w.node.URL() + "/v1/callback/corporate?code=x&state=y&iss=z")
	}
	b.open(back)
	token, err := p.trade(b.code())
	must(t, err)
	if said := p.reads(t, token); said.ACR != "aal1" || said.SID == "" {
		t.Errorf("%+v", said)
	}
}

var onward = regexp.MustCompile(`<a href="([^"]*)"`)
