package contract_test

import (
	"maps"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"testing"

	"github.com/stile-auth/stile/propagation/rp"
)

// hall is where every kind of token is made, and every door stands.
type hall struct {
	*profile
	key    *signer // of the client "key"
	apiKey string
	guard  *rp.Guard
	apps   *rp.APIKeys
}

func newHall(t *testing.T) *hall {
	t.Helper()
	key := newSigner(t)
	key.jwk["kid"], key.jwk["alg"] = "k1", "ES256"
	more := `  phone: { flows: [sign-in], targets: [orders], dpop: optional, redirect_uris: ["com.bank.app:/oauth2"] }
  key: { flows: [sign-in], targets: [orders], dpop: optional, oauth: { grants: [client_credentials], auth: private_key_jwt, keys: '` + text(t, map[string]any{"keys": []any{key.jwk}}) + `' } }
`
	w := newWorld(t, t, setup{definitions: depot(more)})
	t.Cleanup(func() { w.close(t) })
	h := &hall{profile: &profile{t, w, newParty(t, w, "shop", shopSecret, "https://shop.example/back", "openid"), newVisitor(t, w)}, key: key}
	var err error
	h.guard, err = rp.New(rp.Config{Issuer: w.node.URL(), Audience: orders, Keys: newResourceKeys(t, w), Now: w.clock.now})
	must(t, err)
	apiKey, hash := rp.NewAPIKey()
	h.apiKey = apiKey
	h.apps, err = rp.NewAPIKeys([]rp.APIKey{{Name: "app", Hash: hash, Uses: []string{"prices"}}})
	must(t, err)
	h.signsOn() // the browser has a session: codes come without a question
	return h
}

func (h *hall) code() string {
	h.ask("prompt", "none")
	return h.b.code()
}

func (h *hall) tokens() (access, id, refresh string) {
	token, err := h.p.trade(h.code())
	must(h, err)
	return token.AccessToken, idOf(token), token.RefreshToken
}

func (h *hall) phone() *phone {
	p := newPhone(h, h.w, "phone")
	p.key = nil
	p.start("target", "orders")
	return p
}

// forged is what a token says, signed by somebody else under the name of our key.
func (h *hall) forged(typ, token string) string {
	head := map[string]any{"typ": typ, "alg": "ES256", "kid": h.kid()}
	return newSigner(h).sign(h, head, h.w.claimsOf(h, token), nil)
}

func (h *hall) kid() string {
	_, keys := h.get(http.MethodGet, h.w.node.URL()+"/.well-known/jwks.json", "", "")
	list, _ := keys["keys"].([]any)
	first, _ := list[0].(map[string]any)
	kid, _ := first["kid"].(string)
	return kid
}

func (h *hall) assertion(spoil func(header, claims map[string]any)) string {
	now := h.w.clock.now().Unix()
	claims := map[string]any{"iss": "key", "sub": "key", "aud": h.w.node.URL(), "jti": b64([]byte(newSigner(h).thumbprint)), "iat": now, "exp": now + 60}
	return h.key.sign(h, map[string]any{"alg": "ES256", "kid": "k1"}, claims, spoil)
}

// proof is one for the token endpoint, with a nonce that is good.
func (h *hall) proof() string {
	s, now := newSigner(h), h.w.clock.now().Unix()
	claims := map[string]any{"jti": s.thumbprint, "htm": "POST", "htu": h.w.node.URL() + "/oauth2/token", "iat": now}
	head := map[string]any{"typ": "dpop+jwt", "alg": "ES256", "jwk": s.jwk}
	resp, _ := h.asksWith(s.sign(h, head, claims, nil))
	claims["nonce"], claims["jti"] = resp.Header.Get("DPoP-Nonce"), s.thumbprint+"2"
	return s.sign(h, head, claims, nil)
}

// asksWith asks for a token of the client's own, with a proof.
func (h *hall) asksWith(proof string) (*http.Response, error) {
	h.Helper()
	form := url.Values{"grant_type": {"client_credentials"}, "resource": {orders}}
	r, err := http.NewRequestWithContext(h.Context(), http.MethodPost, h.w.node.URL()+"/oauth2/token", strings.NewReader(form.Encode()))
	must(h, err)
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	r.Header.Set("DPoP", proof)
	r.SetBasicAuth("shop", url.QueryEscape(shopSecret))
	resp, err := http.DefaultClient.Do(r)
	must(h, err)
	return resp, resp.Body.Close()
}

// kinds make a fresh token of each kind.
func (h *hall) kinds() map[string]func() string {
	access := func() string { a, _, _ := h.tokens(); return a }
	id := func() string { _, i, _ := h.tokens(); return i }
	return map[string]func() string{
		"code":          h.code,
		"one-time code": func() string { return coded(h, h.w).view.Result.Grant.Token },
		"refresh":       func() string { _, _, r := h.tokens(); return r },
		"access token":  access,
		"ID token":      id,
		"app's token":   func() string { return h.phone().finish() },
		"client's token": func() string {
			_, out := h.w.direct(h.T, "/oauth2/token", url.Values{"grant_type": {"client_credentials"}, "resource": {orders}}, true)
			text, _ := out["access_token"].(string)
			return text
		},
		"handle": func() string { return h.phone().handle },
		"session": func() string {
			p := h.phone()
			p.finish()
			return p.view.Result.Session
		},
		"API key":             func() string { return h.apiKey },
		"proof":               h.proof,
		"assertion":           func() string { return h.assertion(nil) },
		"forged access token": func() string { return h.forged("at+jwt", access()) },
		"forged ID token":     func() string { return h.forged("JWT", id()) },
		"logout token":        func() string { return h.forged("logout+jwt", id()) },
		"nothing":             func() string { return "" },
	}
}

// served says whether a handler of a resource lets a request in.
func (h *hall) served(guarded http.Handler, header, value string) bool {
	r := httptest.NewRequest(http.MethodGet, "/", http.NoBody)
	r.Header.Set(header, value)
	w := httptest.NewRecorder()
	guarded.ServeHTTP(w, r)
	return w.Code == http.StatusOK
}

// doors present a token, each at another place, and say whether it was let in.
func (h *hall) doors() map[string]func(token string) bool {
	inside := http.HandlerFunc(func(http.ResponseWriter, *http.Request) {})
	direct := func(path string, form url.Values, basic bool) (int, map[string]any) {
		return h.w.direct(h.T, path, form, basic)
	}
	return map[string]func(string) bool{
		"token: code": func(x string) bool {
			status, _ := direct("/oauth2/token", url.Values{"grant_type": {"authorization_code"}, "code": {x}, "redirect_uri": {h.p.RedirectURL}, "code_verifier": {h.p.verifier}}, true)
			return status == http.StatusOK
		},
		"token: one-time code": func(x string) bool {
			status, _ := h.w.trades(h.T, x, "depot", depotSecret)
			return status == http.StatusOK
		},
		"token: refresh": func(x string) bool {
			status, _ := direct("/oauth2/token", url.Values{"grant_type": {"refresh_token"}, "refresh_token": {x}}, true)
			return status == http.StatusOK
		},
		"token: assertion": func(x string) bool {
			status, _ := direct("/oauth2/token", url.Values{
				"grant_type": {"client_credentials"}, "client_assertion": {x}, "client_assertion_type": {"urn:ietf:params:oauth:client-assertion-type:jwt-bearer"},
			}, false)
			return status == http.StatusOK
		},
		"token: proof": func(x string) bool {
			if x == "" {
				return false // whoever has no proof gets a token that is not bound
			}
			resp, err := h.asksWith(x)
			must(h, err)
			return resp.StatusCode == http.StatusOK
		},
		"user info": func(x string) bool {
			resp, _ := h.get(http.MethodGet, h.w.node.URL()+"/oauth2/userinfo", "Bearer", x)
			return resp.StatusCode == http.StatusOK
		},
		"introspection": func(x string) bool {
			_, out := direct("/oauth2/introspect", url.Values{"token": {x}}, true)
			return out["active"] == true
		},
		"sign-out": func(x string) bool {
			h.b.open(h.w.node.URL() + "/oauth2/logout?id_token_hint=" + url.QueryEscape(x))
			return h.b.status == http.StatusOK && !strings.Contains(h.b.page, "<form") // else the person is asked
		},
		"authorization: hint": func(x string) bool {
			if x == "" {
				return false // it is not asked for
			}
			h.ask("prompt", "none", "id_token_hint", x)
			return h.b.gone.Query().Get("error") != "invalid_request"
		},
		"flow": func(x string) bool {
			resp, _ := h.get(http.MethodGet, h.w.node.URL()+"/v1/flow", "Flow", x)
			return resp.StatusCode == http.StatusOK
		},
		"flow: session": func(x string) bool {
			p := newPhone(h, h.w, "phone")
			p.key = nil
			r := p.post("/v1/flows", map[string]any{"clientId": "phone", "target": "orders", "session": x})
			return r.view.Flow.Status == "completed"
		},
		"resource":          func(x string) bool { return h.served(h.guard.Require(rp.Rule{}, inside), "Authorization", "Bearer "+x) },
		"resource: API key": func(x string) bool { return h.served(h.apps.Require("prices", inside), rp.HeaderAPIKey, x) },
	}
}

// Every kind of token is presented at every door: only the right ones are let in.
func TestTokensAtEveryDoor(t *testing.T) {
	t.Parallel()
	right := map[string][]string{
		"token: code":          {"code"},
		"token: one-time code": {"one-time code"},
		"token: refresh":       {"refresh"},
		"token: assertion":     {"assertion"},
		"token: proof":         {"proof"},
		"user info":            {"access token"},
		"introspection":        {"access token", "app's token", "client's token", "refresh"},
		"sign-out":             {"ID token"},
		"authorization: hint":  {"ID token"},
		"flow":                 {"handle"},
		"flow: session":        {"session"},
		"resource":             {"access token", "app's token", "client's token"},
		"resource: API key":    {"API key"},
	}
	if doors := slices.Sorted(maps.Keys(newHall(t).doors())); !slices.Equal(doors, slices.Sorted(maps.Keys(right))) {
		t.Fatalf("doors: %v", doors)
	}
	for door, welcome := range right {
		t.Run(door, func(t *testing.T) {
			t.Parallel()
			for kind := range newHall(t).kinds() {
				h := newHall(t) // what was let in may have ended what others need
				if got, want := h.doors()[door](h.kinds()[kind]()), slices.Contains(welcome, kind); got != want {
					t.Errorf("%s: let in %v, want %v", kind, got, want)
				}
			}
		})
	}
}

// T-99: an assertion is for this server alone, recent, by the client's own key, and good once.
func TestAssertions(t *testing.T) {
	t.Parallel()
	h := newHall(t)
	accepted := h.doors()["token: assertion"]
	set := func(name string, value any) func(_, claims map[string]any) {
		return func(_, claims map[string]any) {
			if claims[name] = value; value == nil {
				delete(claims, name)
			}
		}
	}
	now := h.w.clock.now().Unix()
	for name, spoil := range map[string]func(header, claims map[string]any){
		"RFC 7523 3: the token endpoint as audience":    set("aud", h.w.node.URL()+"/oauth2/token"),
		"RFC 7523 3: another audience beside":           set("aud", []string{h.w.node.URL(), "https://evil.example"}),
		"RFC 7523 3: another server's":                  set("aud", "https://idp.example"),
		"RFC 7523 3: no audience":                       set("aud", nil),
		"RFC 7523 3: another issuer":                    set("iss", "shop"),
		"RFC 7523 3: another client":                    set("sub", "shop"),
		"RFC 7523 3: no jti":                            set("jti", nil),
		"RFC 7523 3: expired":                           set("exp", now-31),
		"RFC 7523 3: no expiry":                         set("exp", nil),
		"RFC 7523 3: an expiry in a year":               set("exp", now+365*86400),
		"RFC 7523 3: not yet":                           set("nbf", now+120),
		"RFC 7523 3: from the future":                   set("iat", now+120),
		"RFC 7523 3: another key's name":                func(header, _ map[string]any) { header["kid"] = "k2" },
		"RFC 7515 4.1.11: an extension that nobody has": func(header, _ map[string]any) { header["crit"] = []string{"x"}; header["x"] = 1 },
		"RFC 7518 3.6: none":                            func(header, _ map[string]any) { header["alg"] = "none" },
	} {
		if accepted(h.assertion(spoil)) {
			t.Errorf("%s: accepted", name)
		}
	}
	good := h.assertion(nil)
	if !accepted(good) {
		t.Error("a good one is refused")
	}
	if accepted(good) {
		t.Error("a good one is accepted twice")
	}
	h.key = newSigner(t)
	if accepted(h.assertion(nil)) {
		t.Error("another key is accepted")
	}
}
