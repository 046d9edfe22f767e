package contract_test

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/stile-auth/stile/propagation/rp"
)

const (
	shopPage = "https://shop.bank.example"
	goods    = "https://goods.bank.example"
)

// handing are targets that hand the same token on in every way.
const handing = `
flows:
  local: { steps: [{ id: password, type: password }] }
targets:
  front: { flow: local, propagate: { type: header, audience: "https://goods.bank.example", ttl: 2m, header: X-Identity } }
  page:
    flow: local
    propagate: { type: cookie, audience: "https://goods.bank.example", ttl: 2m, cookie: { name: __Secure-shop, domain: bank.example, path: /goods, same_site: strict } }
providers:
  corporate: { issuer: "https://idp.example", client_id: stile, client_secret: { env: NONE }, scopes: [openid] }
clients:
  phone: { flows: [local], targets: [front], dpop: required }
  spa: { flows: [local], targets: [page, front], dpop: optional, origins: ["https://shop.bank.example"] }
  other: { flows: [local], targets: [front], dpop: optional, origins: ["https://other.bank.example"] }
`

func goodsGuard(t *testing.T, w *world) *rp.Guard {
	t.Helper()
	g, err := rp.New(rp.Config{Issuer: w.node.URL(), Audience: goods, Keys: newResourceKeys(t, w), Now: w.clock.now})
	must(t, err)
	return g
}

// lets says whether a resource takes a token as a bearer token.
func lets(g *rp.Guard, token string) bool {
	r := httptest.NewRequest(http.MethodGet, "/", http.NoBody)
	r.Header.Set("Authorization", "Bearer "+token)
	rec := httptest.NewRecorder()
	g.Require(rp.Rule{}, http.HandlerFunc(func(http.ResponseWriter, *http.Request) {})).ServeHTTP(rec, r)
	return rec.Code == http.StatusOK
}

// A header says in the result where its token belongs, and is as good as any other access token.
func TestHeaderForAGateway(t *testing.T) {
	t.Parallel()
	w := newWorld(t, t, setup{definitions: handing})
	defer w.close(t)
	for client, scheme := range map[string]string{"spa": "", "phone": "DPoP"} {
		p := newPhone(t, w, client)
		if scheme == "" {
			p.key = nil
		}
		p.start("target", "front")
		r := p.post(p.view.NextStep.forward(), p.right())
		if !strings.Contains(r.body, `"type":"header","token":"ey`) || !strings.Contains(r.body, `"header":"X-Identity"`) || strings.Contains(r.body, `"scheme"`) != (scheme != "") {
			t.Fatalf("%s: %d %s", client, r.status, r.body)
		}
		token := r.view.Result.Grant.Token
		if _, bound := w.claimsOf(t, token)["cnf"]; bound != (scheme != "") || lets(goodsGuard(t, w), token) == bound {
			t.Errorf("%s: bound %v", client, bound)
		}
	}
}

// shopScript is a script of the shop's page.
func shopScript(t *testing.T, w *world) *phone {
	t.Helper()
	p := newPhone(t, w, "spa")
	p.key = nil
	return p
}

func origin(o string) func(*http.Request) { return header("Origin", o) }

// A cookie goes to the browser alone, for as long as the token lives, and is gone with the session.
func TestCookieOfATarget(t *testing.T) {
	t.Parallel()
	for _, store := range stores() {
		t.Run(store, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, t, setup{definitions: handing, store: store})
			defer w.close(t)
			p := shopScript(t, w)
			p.post("/v1/flows", map[string]any{"clientId": "spa", "target": "page"}, origin(shopPage))
			key := header("Idempotency-Key", "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA")
			href, body, old := p.view.NextStep.forward(), p.right(), p.handle
			first := p.post(href, body, key, origin(shopPage))
			set := first.header.Get("Set-Cookie")
			value, attributes, _ := strings.Cut(strings.TrimPrefix(set, "__Secure-shop="), ";")
			if first.status != http.StatusOK || attributes != " Path=/goods; Domain=bank.example; Max-Age=120; HttpOnly; Secure; SameSite=Strict" {
				t.Fatalf("%d %s\n%s", first.status, first.body, set)
			}
			if strings.Contains(first.body, value) || strings.Contains(first.body, `"token"`) || !strings.Contains(first.body, `"cookie":{"name":"__Secure-shop"`) {
				t.Errorf("the body: %s", first.body)
			}
			if first.header.Get("Access-Control-Allow-Credentials") != "true" || first.header.Get("Access-Control-Allow-Origin") != shopPage {
				t.Error("the browser does not keep the cookie")
			}
			if claims := w.claimsOf(t, value); claims["cnf"] != nil || claims["aud"] != goods || !lets(goodsGuard(t, w), value) {
				t.Errorf("%v", claims)
			}
			p.handle = old
			w.clock.pass(30 * time.Second)
			again := p.send(http.MethodPost, href, text(t, body), key, origin(shopPage))
			if got := again.header.Get("Set-Cookie"); !strings.HasPrefix(got, "__Secure-shop="+value+";") || !strings.Contains(got, "Max-Age=90;") || again.body != first.body {
				t.Errorf("the repeat: %d %s\n%s", again.status, again.body, got)
			}
			p.handle = ""
			out := p.send(http.MethodDelete, "/v1/session", "", header("Authorization", "Session "+first.view.Result.Session), origin(shopPage))
			if got := out.header.Get("Set-Cookie"); out.status != http.StatusNoContent || !strings.HasPrefix(got, "__Secure-shop=; Path=/goods; Domain=bank.example; Max-Age=0;") {
				t.Errorf("sign-out: %d %s", out.status, got)
			}
		})
	}
}

// Whoever is no page of the client, or has a key, is told at the start, and gets nothing at the end.
func TestCookiesAreForPages(t *testing.T) {
	t.Parallel()
	w := newWorld(t, t, setup{definitions: handing})
	defer w.close(t)
	start := map[string]any{"clientId": "spa", "target": "page"}
	for name, edits := range map[string][]func(*http.Request){
		"no page":               nil,
		"another site":          {origin("https://evil.example")},
		"another client's":      {origin("https://other.bank.example")},
		"no origin to speak of": {origin("null")},
	} {
		p := shopScript(t, w)
		if r := p.post("/v1/flows", start, edits...); !r.is(400, "browser_required") {
			t.Errorf("%s: %d %s", name, r.status, r.body)
		}
	}
	keyed := newPhone(t, w, "spa")
	if r := keyed.post("/v1/flows", start, origin(shopPage)); !r.is(400, "invalid_dpop_proof") {
		t.Errorf("a key: %d %s", r.status, r.body)
	}
	p := shopScript(t, w)
	p.post("/v1/flows", start, origin(shopPage))
	r := p.post(p.view.NextStep.forward(), p.right())
	if !r.is(403, "not_propagated") || r.header.Get("Set-Cookie") != "" || strings.Contains(r.body, `"result"`) {
		t.Errorf("the end: %d %s", r.status, r.body)
	}
	other := newPhone(t, w, "other")
	other.key = nil
	if r := other.post("/v1/flows", map[string]any{"clientId": "other", "target": "front"}, origin("https://other.bank.example")); r.header.Get("Access-Control-Allow-Credentials") != "" {
		t.Error("an origin without cookies may send some")
	}
}

// Who signs out in the browser leaves no cookie of a target there; a link alone takes none.
func TestSignOutTakesCookies(t *testing.T) {
	t.Parallel()
	w := newWorld(t, t, setup{definitions: strings.Replace(shop(""), "providers:\n",
		"  page: { flow: sign-in, propagate: { type: cookie, audience: \"https://page.example\", cookie: { name: __Host-shop } } }\nproviders:\n", 1)})
	defer w.close(t)
	_, b, id := hinted(t, w)
	gone := func(address string, client *http.Client) bool {
		t.Helper()
		r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, address, nil)
		must(t, err)
		resp, err := client.Do(r)
		must(t, errJoin(err))
		must(t, resp.Body.Close())
		return strings.Contains(strings.Join(resp.Header.Values("Set-Cookie"), "\n"), "__Host-shop=; Path=/; Max-Age=0;")
	}
	logout := w.node.URL() + "/oauth2/logout"
	for name, taken := range map[string]bool{
		"a browser without a session": gone(logout, newVisitor(t, w).client),
		"who is still to be asked":    gone(logout, b.client),
		"who leaves":                  !gone(logout+"?id_token_hint="+id, b.client),
	} {
		if taken {
			t.Error(name)
		}
	}
}

// A relying party gets access tokens: where its person's run turns into something else, it gets nothing.
func TestRelyingPartiesGetAccessTokensAlone(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct{ entries, want string }{
		"an access token": {`{ if: acr >= level.aal1, type: bearer_jwt, audience: "https://mixed.example" }, { type: header, audience: "https://mixed.example", header: X-Who }`, ""},
		"a header":        {`{ if: acr >= level.aal2, type: bearer_jwt, audience: "https://mixed.example" }, { type: header, audience: "https://mixed.example", header: X-Who }`, "access_denied"},
		"a one-time code": {`{ if: acr >= level.aal2, type: bearer_jwt, audience: "https://mixed.example" }, { type: one_time_code, audience: "https://mixed.example", redeemer: shop }`, "access_denied"},
		"none at all":     {`{ type: header, audience: "https://mixed.example", header: X-Who }`, "invalid_target"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			text := strings.Replace(shop(""), "targets:\n", "targets:\n  mixed: { flow: sign-in, propagate: ["+c.entries+"] }\n", 1)
			w := newWorld(t, t, setup{definitions: strings.Replace(text, "targets: [orders, payments", "targets: [mixed, orders, payments", 1)})
			defer w.close(t)
			p, b := newParty(t, w, "shop", shopSecret, "https://shop.example/back", "openid"), newVisitor(t, w)
			b.open(p.address("resource", "https://mixed.example"))
			if b.gone == nil {
				b.signIn()
			}
			if got := b.gone.Query().Get("error"); got != c.want || (b.gone.Query().Get("code") == "") != (c.want != "") {
				t.Errorf("sent to %v", b.gone)
			}
		})
	}
}

// The repeat of an answer sets the cookie again for pages of the client alone, too: else somebody who
// has signed himself in could have another page do it in whoever's browser.
func TestRepeatedCookiesAreForPages(t *testing.T) {
	t.Parallel()
	w := newWorld(t, t, setup{definitions: handing})
	defer w.close(t)
	p := shopScript(t, w)
	p.post("/v1/flows", map[string]any{"clientId": "spa", "target": "page"}, origin(shopPage))
	key := header("Idempotency-Key", "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA")
	href, body, old := p.view.NextStep.forward(), text(t, p.right()), p.handle
	if r := p.send(http.MethodPost, href, body, key, origin(shopPage)); r.status != http.StatusOK || r.header.Get("Set-Cookie") == "" {
		t.Fatalf("%d %s", r.status, r.body)
	}
	for _, o := range []string{"https://other.bank.example", "https://evil.example", "null", ""} {
		p.handle = old
		edits := []func(*http.Request){key, origin(o)}
		if o == "" {
			edits = edits[:1]
		}
		r := p.send(http.MethodPost, href, body, edits...)
		if !r.is(400, "browser_required") || r.header.Get("Set-Cookie") != "" || strings.Contains(r.body, `"result"`) {
			t.Errorf("%q: %d %s %s", o, r.status, r.body, r.header.Get("Set-Cookie"))
		}
	}
	p.handle = old
	if r := p.send(http.MethodPost, href, body, key, origin(shopPage)); r.status != http.StatusOK || r.header.Get("Set-Cookie") == "" {
		t.Errorf("its own page: %d %s", r.status, r.body)
	}
}
