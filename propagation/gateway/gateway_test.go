package gateway_test

import (
	"context"
	"errors"
	"maps"
	"net/http"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stile-auth/stile/flows"
	"github.com/stile-auth/stile/propagation/gateway"
	"github.com/stile-auth/stile/propagation/rp"
)

// What each resource lets in, and how it answers others.
func TestResources(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	g := w.gateway()
	reader := "Authorization: Bearer " + w.token(nil)
	writer := "Authorization: Bearer " + w.token(func(id *flows.Identity) { id.Scope, id.ACR = []string{"orders.write"}, "aal2" })
	stale := "Authorization: Bearer " + w.token(func(id *flows.Identity) {
		id.Scope, id.ACR, id.AuthTime = []string{"orders.write"}, "aal2", w.now.Add(-time.Hour)
	})
	other := "Authorization: Bearer " + w.token(func(id *flows.Identity) { id.Audience = "https://bank.example" })
	admin := "Authorization: Bearer " + w.token(func(id *flows.Identity) { id.Claims = map[string]any{"roles": []string{"administrator"}} })
	app := rp.HeaderAPIKey + ": " + w.appKey
	for name, c := range map[string]struct {
		method, uri, header string
		status              int
		challenge           string // the line has it
	}{
		"everyone":                       {"GET", "/news", "X-Nothing: ", 200, ""},
		"everyone, with a bad token":     {"GET", "/news/today?x=1", "Authorization: Bearer x", 200, ""},
		"an app":                         {"GET", "/prices", app, 200, ""},
		"an app without a key":           {"GET", "/prices", "X-Nothing: ", 401, "APIKey"},
		"an app with a bad key":          {"GET", "/prices", rp.HeaderAPIKey + ": x", 401, "APIKey"},
		"an app with another's resource": {"GET", "/stock", app, 403, ""},
		"a token is no key":              {"GET", "/prices", reader, 401, "APIKey"},
		"a key is no token":              {"GET", "/orders", app, 401, "Bearer"},
		"a token":                        {"GET", "/orders", reader, 200, ""},
		"for HEAD what is for GET":       {"HEAD", "/orders/7", reader, 200, ""},
		"no token":                       {"GET", "/orders", "X-Nothing: ", 401, `Bearer realm="api.shop.example"`},
		"a bad token":                    {"GET", "/orders", "Authorization: Bearer x", 401, `error="invalid_token"`},
		"two tokens":                     {"GET", "/orders", "Authorization: Bearer x y", 400, `error="invalid_request"`},
		"in the query":                   {"GET", "/orders?access_token=x", reader, 400, `error="invalid_request"`},
		"for another audience":           {"GET", "/orders", other, 401, `error="invalid_token"`},
		"another scope":                  {"GET", "/orders", writer, 403, `scope="orders.read"`},
		"more is asked for POST":         {"POST", "/orders", reader, 403, `scope="orders.write"`},
		"and had":                        {"POST", "/orders", writer, 200, ""},
		"too long ago":                   {"POST", "/orders", stale, 401, `acr_values="aal2", max_age="300"`},
		"a method that is for nobody":    {"DELETE", "/orders", writer, 403, ""},
		"a role":                         {"DELETE", "/admin/users", admin, 200, ""},
		"without the role":               {"GET", "/admin/users", reader, 403, `error="insufficient_scope"`},
		"the longer path decides":        {"GET", "/admin/help/x", "X-Nothing: ", 200, ""},
		"nothing":                        {"GET", "/", reader, 403, ""},
		"a longer name":                  {"GET", "/newsroom", reader, 403, ""},
	} {
		rec := answer(g, asked(c.method, c.uri, c.header))
		if rec.Code != c.status || !strings.Contains(rec.Header().Get("WWW-Authenticate"), c.challenge) || rec.Header().Get("Cache-Control") != "no-store" {
			t.Errorf("%s: %d %q, want %d %q", name, rec.Code, rec.Header().Values("WWW-Authenticate"), c.status, c.challenge)
		}
		if rec.Code != 200 && rec.Header().Get(gateway.HeaderSubject) != "" {
			t.Errorf("%s: who is refused is named", name)
		}
	}
}

// The application is told who is there, and every answer has every header, so that
// none that the client has sent is left.
func TestIdentity(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	g := w.gateway()
	token := w.token(func(id *flows.Identity) {
		id.AMR = []string{"pwd", "otp"}
		id.Claims = map[string]any{"roles": []string{"teller", "shift lead", "a\r\nB: c"}, "entitlements": []string{"x"}}
	})
	want := map[string]string{
		gateway.HeaderSubject: "jane", gateway.HeaderClient: "shop-app", gateway.HeaderSession: "s1", gateway.HeaderACR: "aal1", gateway.HeaderAMR: "pwd otp",
		gateway.HeaderAuthTime: "1789999940", gateway.HeaderScope: "orders.read", gateway.HeaderRoles: "teller", gateway.HeaderEntitlements: "x", gateway.HeaderApp: "",
	}
	for name, c := range map[string]struct {
		rec  http.Header
		want map[string]string
	}{
		"a person": {answer(g, asked("GET", "/orders", "Authorization: Bearer "+token)).Header(), want},
		"an app":   {answer(g, asked("GET", "/prices", rp.HeaderAPIKey+": "+w.appKey)).Header(), map[string]string{gateway.HeaderApp: "till"}},
		"everyone": {answer(g, asked("GET", "/news", "Authorization: Bearer "+token)).Header(), nil},
	} {
		for _, h := range gateway.Headers() {
			if got := c.rec[h]; len(got) != 1 || got[0] != c.want[h] {
				t.Errorf("%s: %s is %q, want %q", name, h, got, c.want[h])
			}
		}
	}
	if len(want) != len(gateway.Headers()) {
		t.Error("a header is not looked at")
	}
}

// A client sends headers that only the gateway says, or that give the request
// another method, another address: what does not remove them does not get an answer.
func TestSmuggledHeaders(t *testing.T) {
	t.Parallel()
	g := newWorld(t).gateway()
	for _, name := range append(gateway.Headers(), "stile-subject", "Stile_Subject", "STILE_subject", "Stile-Whatever",
		"X-HTTP-Method-Override", "X-Http-Method-Override", "X_HTTP_Method_Override", "X-HTTP-Method", "X-Method-Override", "X-Rewrite-URL", "X-Original-URL", "X_Original_URL") {
		if rec := answer(g, asked("GET", "/news", name+": DELETE")); rec.Code != http.StatusForbidden {
			t.Errorf("%s: %d", name, rec.Code)
		}
	}
	if rec := answer(g, asked("GET", "/news")); rec.Code != http.StatusOK {
		t.Errorf("without: %d", rec.Code)
	}
}

// Only a proxy is answered, by what this kind of proxy says itself, once.
func TestQuestions(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.cfg.Proxies = []netip.Prefix{netip.MustParsePrefix("10.1.0.0/16")}
	g := w.gateway()
	nginx := []string{"X-Original-Method: GET", "X-Original-Host: shop.example", "X-Original-Uri: /news"}
	caddy := []string{"X-Forwarded-Method: GET", "X-Forwarded-Host: shop.example", "X-Forwarded-Uri: /news"}
	for name, c := range map[string]struct {
		address string
		headers []string
		want    int
	}{
		"nginx":                         {gateway.PathNginx, nginx, 200},
		"Caddy":                         {gateway.PathForwarded, caddy, 200},
		"the headers of the other":      {gateway.PathNginx, caddy, 403},
		"and of the one":                {gateway.PathForwarded, nginx, 403},
		"both, and the other's counts":  {gateway.PathNginx, append(slices.Clone(caddy), "X-Original-Method: GET", "X-Original-Host: shop.example", "X-Original-Uri: /admin"), 401},
		"two addresses":                 {gateway.PathNginx, append(slices.Clone(nginx), "X-Original-Uri: /news"), 403},
		"two hosts":                     {gateway.PathForwarded, append(slices.Clone(caddy), "X-Forwarded-Host: shop.example"), 403},
		"two hosts in one line":         {gateway.PathForwarded, append(slices.Clone(caddy[:1]), "X-Forwarded-Host: shop.example, shop.example", caddy[2]), 403},
		"two methods in one line":       {gateway.PathForwarded, append(slices.Clone(caddy[1:]), "X-Forwarded-Method: GET, DELETE"), 403},
		"no method":                     {gateway.PathForwarded, caddy[1:], 403},
		"an empty address":              {gateway.PathForwarded, append(slices.Clone(caddy[:2]), "X-Forwarded-Uri: "), 403},
		"another host":                  {gateway.PathForwarded, append(slices.Clone(caddy[:1]), "X-Forwarded-Host: other.example", caddy[2]), 403},
		"the host in capitals":          {gateway.PathForwarded, append(slices.Clone(caddy[:1]), "X-Forwarded-Host: SHOP.example:443", caddy[2]), 200},
		"another port":                  {gateway.PathForwarded, append(slices.Clone(caddy[:1]), "X-Forwarded-Host: shop.example:8443", caddy[2]), 403},
		"no question":                   {"/", caddy, 403},
		"the request itself":            {"/news", nil, 403},
		"below the path of the proxies": {gateway.PathNginx + "/", nginx, 403},
	} {
		r := question(http.MethodGet, c.address, c.headers...)
		r.RemoteAddr = "10.1.2.3:4567"
		if rec := answer(g, r); rec.Code != c.want {
			t.Errorf("%s: %d, want %d", name, rec.Code, c.want)
		}
	}
	for remote, want := range map[string]int{"[::ffff:10.1.2.3]:1": 200, "10.2.0.1:1": 403, "127.0.0.1:1": 403, "": 403, "@": 403} {
		r := question(http.MethodGet, gateway.PathForwarded, caddy...)
		r.RemoteAddr = remote
		if rec := answer(g, r); rec.Code != want {
			t.Errorf("from %q: %d, want %d", remote, rec.Code, want)
		}
	}
}

// Who got another to read a path in another way would get in by the rule of the one
// and to the resource of the other.
func TestPathsWithTwoReadings(t *testing.T) {
	t.Parallel()
	g := newWorld(t).gateway()
	for _, uri := range []string{
		"/news/../admin", "/news/..", "/news/./x", "/news/%2e%2e/admin", "/news/%2E%2E/admin", "/news/.%2e/admin", "/news/%252e%252e/admin",
		"//admin", "/news//x", "/news%2f..%2fadmin", "/news%2Fx", "/news%5c..%5cadmin", `/news\..\admin`, "/news;/../admin", "/news/..;/admin", "/news;x=1", "/news%3bx",
		"/%6eews", "/news/%", "/news/%2", "/news/%zz", "/news/%00", "/news/%0a", "/news/%7f", "/news/%ff", "/news/%c0%ae", "/news/ü", "/news/a b", "/news#/x", "/news%23", "/news%3f",
		"/NEWS", "/News/x", "/ADMIN/help", "/admin/HELP", "news", "", "*", "https://shop.example/news", "http://shop.example/news", "/news/" + strings.Repeat("a", 9<<10),
	} {
		if rec := answer(g, asked("GET", uri)); rec.Code != http.StatusForbidden {
			t.Errorf("%s: %d", uri, rec.Code)
		}
	}
	for _, uri := range []string{"/news", "/news/", "/news?", "/news?../../admin", "/news/x.y-z_~!$&'()+,=:@", "/news/%C3%BC", "/news/a%20b", "/news/..."} {
		if rec := answer(g, asked("GET", uri)); rec.Code != http.StatusOK {
			t.Errorf("%s: %d", uri, rec.Code)
		}
	}
}

// Envoy's question is like the request, below a path of its own.
func TestEnvoy(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	g := w.gateway()
	ask := func(method, uri string, headers ...string) int {
		r := question(method, uri, headers...)
		r.Host = "shop.example"
		return answer(g, r).Code
	}
	token := "Authorization: Bearer " + w.token(nil)
	for uri, want := range map[string]int{
		"/envoy/orders?page=2": 200, "/envoy/admin": 403, "/envoy/news": 200, "/envoy/news/../admin": 403, "/envoy//news": 403, "/envoy": 403, "/orders": 403, "/envoyorders": 403,
	} {
		if got := ask("GET", uri, token, "X-Forwarded-Uri: /news", "X-Original-Uri: /news"); got != want {
			t.Errorf("%s: %d, want %d", uri, got, want)
		}
	}
	if got := ask("DELETE", "/envoy/orders", token); got != 403 {
		t.Errorf("the method: %d", got)
	}
}

// A token that is bound to a key passes with a proof for the request that the client
// has made, once.
func TestBoundTokens(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	g := w.gateway()
	token := w.bound()
	good := w.proof(token, "GET", origin+"/orders")
	for _, c := range []struct {
		name, scheme, proof string
		want                int
	}{
		{"for another path", "DPoP", w.proof(token, "GET", origin+"/news"), 401},
		{"for the question", "DPoP", w.proof(token, "GET", "http://127.0.0.1:9191/forwarded"), 401},
		{"for another method", "DPoP", w.proof(token, "POST", origin+"/orders"), 401},
		{"as if it were not bound", "Bearer", good, 401},
		{"with its proof", "DPoP", good, 200},
		{"with its proof again", "DPoP", good, 401},
	} {
		if rec := answer(g, asked("GET", "/orders?page=2", "Authorization: "+c.scheme+" "+token, "Dpop: "+c.proof)); rec.Code != c.want {
			t.Errorf("%s: %d, want %d", c.name, rec.Code, c.want)
		}
	}
}

// A decision ends with the token, and with the key that has signed it; without the
// keys there is none.
func TestDecisionsEnd(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		change func(*world)
		want   int
	}{
		"nothing":              {func(*world) {}, 200},
		"the token expires":    {func(w *world) { w.now = w.now.Add(5 * time.Minute) }, 401},
		"the key is gone":      {func(w *world) { w.rotate() }, 401},
		"the keys are unknown": {func(w *world) { w.keys.err = errors.New("disk") }, 503},
	} {
		w := newWorld(t)
		g := w.gateway()
		token := "Authorization: Bearer " + w.token(nil)
		for range 2 {
			if rec := answer(g, asked("GET", "/orders", token)); rec.Code != 200 {
				t.Fatalf("%s: %d", name, rec.Code)
			}
		}
		c.change(w)
		if rec := answer(g, asked("GET", "/orders", token)); rec.Code != c.want {
			t.Errorf("%s: %d, want %d", name, rec.Code, c.want)
		}
	}
}

// nginx knows 401 and 403 alone, and hands on one line of challenges.
func TestForNginx(t *testing.T) {
	t.Parallel()
	g := newWorld(t).gateway()
	for authorization, want := range map[string]string{"": "Bearer realm=", "Bearer a b": `error="invalid_request"`} {
		r := question(http.MethodGet, gateway.PathNginx, "X-Original-Method: GET", "X-Original-Host: shop.example", "X-Original-Uri: /orders")
		if authorization != "" {
			r.Header.Set("Authorization", authorization)
		}
		rec := answer(g, r)
		if lines := rec.Header().Values("WWW-Authenticate"); rec.Code != 401 || len(lines) != 1 || !strings.Contains(lines[0], want) {
			t.Errorf("%q: %d %q", authorization, rec.Code, lines)
		}
	}
}

// Where all of a host is for everyone, a part of it is still for some alone: nobody
// gets to that part as a part of the whole, by another spelling or another method.
func TestPartOfAWhole(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.cfg.Resources = append(w.cfg.Resources, gateway.Resource{Name: "all", Origin: origin, Path: "/", For: gateway.ForEveryone})
	g := w.gateway()
	for question, want := range map[string]int{
		"GET /": 200, "GET /about": 200, "GET /adminx": 200, "GET /admin": 401, "GET /ADMIN": 403, "GET /Admin/users": 403, "DELETE /orders": 403, "DELETE /about": 200,
	} {
		method, uri, _ := strings.Cut(question, " ")
		if rec := answer(g, asked(method, uri)); rec.Code != want {
			t.Errorf("%s: %d, want %d", question, rec.Code, want)
		}
	}
}

func TestNew(t *testing.T) {
	t.Parallel()
	resource := func(change func(*gateway.Resource)) func(*gateway.Config) {
		return func(c *gateway.Config) { change(&c.Resources[3]) }
	}
	for want, change := range map[string]func(*gateway.Config){
		"required":                        func(c *gateway.Config) { c.Keys = nil },
		`the origin is not one`:           resource(func(r *gateway.Resource) { r.Origin = "https://shop.example/" }),
		`but "shop.example"`:              resource(func(r *gateway.Resource) { r.Origin = "shop.example" }),
		`but "/orders/"`:                  resource(func(r *gateway.Resource) { r.Path = "/orders/" }),
		`but "/a/../b"`:                   resource(func(r *gateway.Resource) { r.Path = "/a/../b" }),
		`but "/a%20b"`:                    resource(func(r *gateway.Resource) { r.Path = "/a%20b" }),
		`"get" is no method`:              resource(func(r *gateway.Resource) { r.Methods = []string{"get"} }),
		"names no audience":               resource(func(r *gateway.Resource) { r.Audience = "" }),
		"asks for tokens":                 resource(func(r *gateway.Resource) { r.For = gateway.ForEveryone }),
		`it is for ""`:                    resource(func(r *gateway.Resource) { r.For = "" }),
		`in a rule`:                       resource(func(r *gateway.Resource) { r.Rule.ACR = []string{`a"b`} }),
		"two resources news":              resource(func(r *gateway.Resource) { r.Name = "news" }),
		"place are for the same requests": resource(func(r *gateway.Resource) { r.Methods = []string{"POST"} }),
		"admin are for the same requests": resource(func(r *gateway.Resource) { r.Path, r.Methods = "/Admin", nil }),
		"have one host and two origins":   resource(func(r *gateway.Resource) { r.Origin = "http://shop.example" }),
		`is for the resource "news"`:      func(c *gateway.Config) { c.APIKeys[0].Uses = []string{"news"} },
		"none of SHA-256":                 func(c *gateway.Config) { c.APIKeys[0].Hash = "x" },
		"Remember is negative":            func(c *gateway.Config) { c.Remember = -1 },
	} {
		w := newWorld(t)
		change(&w.cfg)
		if _, err := gateway.New(w.cfg); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", want, err)
		}
	}
}

// The memory of proofs may be shared; that it cannot be asked lets nobody in.
func TestSharedProofs(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.cfg.Taken = func(context.Context, string, string, time.Time) error { return errors.New("no route") }
	token := w.bound()
	rec := answer(w.gateway(), asked("GET", "/orders", "Authorization: DPoP "+token, "Dpop: "+w.proof(token, "GET", origin+"/orders")))
	if rec.Code != http.StatusServiceUnavailable || rec.Header().Get("Retry-After") == "" {
		t.Errorf("%d %v", rec.Code, maps.Clone(rec.Header()))
	}
}
