package gateway_test

import (
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stile-auth/stile/flows"
	"github.com/stile-auth/stile/propagation/gateway"
	"github.com/stile-auth/stile/propagation/rp"
)

const cookie = "__Host-shop"

// withCookies are resources for browsers: of one the application gets the token.
func (w *world) withCookies() *world {
	basket := gateway.Resource{Name: "basket", Origin: origin, Path: "/basket", For: gateway.ForToken, Audience: audience, Cookie: cookie, Forward: gateway.ForwardToken}
	account := basket
	account.Name, account.Path, account.Forward, account.Rule = "account", "/account", "", rp.Rule{ACR: []string{"aal2"}}
	w.cfg.Resources = append(w.cfg.Resources, basket, account)
	return w
}

// The token of a cookie is looked at like any other; a request with two passes with
// neither.
func TestCookies(t *testing.T) {
	t.Parallel()
	w := newWorld(t).withCookies()
	g := w.gateway()
	good, bound := w.token(nil), w.bound()
	other := w.token(func(id *flows.Identity) { id.Audience = "https://bank.example" })
	in := "Cookie: a=b; " + cookie + "="
	for name, c := range map[string]struct {
		uri       string
		headers   []string
		status    int
		challenge string
	}{
		"a token":                       {"/basket", []string{in + good}, 200, ""},
		"among others":                  {"/basket", []string{in + good + "; x=y"}, 200, ""},
		"in lines of their own":         {"/basket", []string{"Cookie: a=b", "Cookie: " + cookie + "=" + good}, 200, ""},
		"as a bearer token":             {"/basket", []string{"Cookie: a=b", "Authorization: Bearer " + good}, 200, ""},
		"neither":                       {"/basket", []string{"Cookie: a=b"}, 401, `Bearer realm=`},
		"both":                          {"/basket", []string{in + good, "Authorization: Bearer " + good}, 400, `error="invalid_request"`},
		"both, one of another scheme":   {"/basket", []string{in + good, "Authorization: Basic eA=="}, 400, `error="invalid_request"`},
		"two cookies":                   {"/basket", []string{in + good + "; " + cookie + "=" + good}, 400, `error="invalid_request"`},
		"two cookies in two lines":      {"/basket", []string{in + good, in + other}, 400, `error="invalid_request"`},
		"an empty one":                  {"/basket", []string{in}, 400, ""},
		"no token":                      {"/basket", []string{in + "x"}, 401, `error="invalid_token"`},
		"for another audience":          {"/basket", []string{in + other}, 401, `error="invalid_token"`},
		"bound to a key":                {"/basket", []string{in + bound}, 401, `error="invalid_token"`},
		"bound to a key, with a proof":  {"/basket", []string{in + bound, "DPoP: " + w.proof(bound, "GET", origin+"/basket")}, 401, `error="invalid_token"`},
		"not enough":                    {"/account", []string{in + good}, 401, `acr_values="aal2"`},
		"where no cookie is taken":      {"/orders", []string{in + good}, 401, `Bearer realm=`},
		"in other letters":              {"/basket", []string{"Cookie: __host-Shop=" + good}, 401, `Bearer realm=`},
		"as a part of another's name":   {"/basket", []string{"Cookie: x" + cookie + "=" + good}, 401, `Bearer realm=`},
		"as the value of another":       {"/basket", []string{"Cookie: x=" + cookie + "=" + good}, 401, `Bearer realm=`},
		"with a quotation mark at ends": {"/basket", []string{in + `"` + good + `"`}, 401, `error="invalid_token"`},
	} {
		rec := answer(g, asked("GET", c.uri, c.headers...))
		if rec.Code != c.status || !strings.Contains(rec.Header().Get("WWW-Authenticate"), c.challenge) {
			t.Errorf("%s: %d %q, want %d %q", name, rec.Code, rec.Header().Values("WWW-Authenticate"), c.status, c.challenge)
		}
	}
	w.now = w.now.Add(5 * time.Minute)
	if rec := answer(g, asked("GET", "/basket", in+good)); rec.Code != 401 {
		t.Errorf("expired: %d", rec.Code)
	}
}

// A browser puts cookies on requests that a page of somebody else makes.
func TestPagesOfOthers(t *testing.T) {
	t.Parallel()
	w := newWorld(t).withCookies()
	g := w.gateway()
	token := w.token(nil)
	site := func(site, mode, dest string) []string {
		return []string{"Sec-Fetch-Site: " + site, "Sec-Fetch-Mode: " + mode, "Sec-Fetch-Dest: " + dest}
	}
	for name, c := range map[string]struct {
		method  string
		headers []string
		want    int
	}{
		"its own script":                            {"POST", append(site("same-origin", "cors", "empty"), "Origin: "+origin), 200},
		"its own script, of a browser without":      {"POST", []string{"Origin: " + origin}, 200},
		"its own script, of a browser without both": {"POST", nil, 403},
		"DELETE":                           {"DELETE", nil, 403},
		"a method nobody knows":            {"BREW", nil, 403},
		"OPTIONS":                          {"OPTIONS", nil, 403},
		"a form elsewhere":                 {"POST", append(site("cross-site", "navigate", "document"), "Origin: https://evil.example"), 403},
		"a form elsewhere without Origin":  {"POST", site("cross-site", "navigate", "document"), 403},
		"a form of nowhere":                {"POST", []string{"Origin: null"}, 403},
		"a form of a neighbour":            {"POST", append(site("same-site", "navigate", "document"), "Origin: https://evil.shop.example"), 403},
		"a form of the same host, no TLS":  {"POST", []string{"Origin: http://shop.example"}, 403},
		"headers that contradict":          {"POST", append(site("same-origin", "cors", "empty"), "Origin: https://evil.example"), 403},
		"and the other way":                {"POST", append(site("cross-site", "cors", "empty"), "Origin: "+origin), 403},
		"said twice":                       {"POST", []string{"Sec-Fetch-Site: same-origin", "Sec-Fetch-Site: cross-site"}, 403},
		"Origin twice":                     {"POST", []string{"Origin: " + origin, "Origin: https://evil.example"}, 403},
		"a form typed by nobody":           {"POST", site("none", "navigate", "document"), 403},
		"GET by its own script":            {"GET", site("same-origin", "cors", "empty"), 200},
		"GET of an old browser":            {"GET", nil, 200},
		"an address that was typed":        {"GET", site("none", "navigate", "document"), 200},
		"a link elsewhere":                 {"GET", site("cross-site", "navigate", "document"), 200},
		"a frame elsewhere":                {"GET", site("cross-site", "navigate", "iframe"), 403},
		"an image elsewhere":               {"GET", site("cross-site", "no-cors", "image"), 403},
		"an image of a neighbour":          {"GET", site("same-site", "no-cors", "image"), 403},
		"a script elsewhere":               {"GET", append(site("cross-site", "cors", "empty"), "Origin: https://evil.example"), 403},
		"a socket elsewhere":               {"GET", append(site("cross-site", "websocket", "empty"), "Origin: https://evil.example", "Upgrade: websocket"), 403},
		"a socket elsewhere, old browser":  {"GET", []string{"Origin: https://evil.example", "Upgrade: websocket"}, 403},
		"what nobody knows":                {"GET", site("same-planet", "cors", "empty"), 403},
		"HEAD elsewhere":                   {"HEAD", site("cross-site", "no-cors", "empty"), 403},
		"half of a link elsewhere, a mode": {"GET", []string{"Sec-Fetch-Site: cross-site", "Sec-Fetch-Mode: navigate"}, 403},
	} {
		rec := answer(g, asked(c.method, "/basket", append(slices.Clone(c.headers), "Cookie: "+cookie+"="+token)...))
		if rec.Code != c.want {
			t.Errorf("%s: %d, want %d", name, rec.Code, c.want)
		}
		// Who shows a token by itself is no browser that was tricked.
		if rec := answer(g, asked(c.method, "/basket", append(slices.Clone(c.headers), "Authorization: Bearer "+token)...)); rec.Code != 200 {
			t.Errorf("%s, with a bearer token: %d", name, rec.Code)
		}
	}
}

// The application gets the token of a cookie if the resource says so, and never the
// cookie, wherever it comes along.
func TestWhatIsHandedOn(t *testing.T) {
	t.Parallel()
	w := newWorld(t).withCookies()
	g := w.gateway()
	token := w.token(func(id *flows.Identity) { id.ACR = "aal2" })
	in := "Cookie: a=b; " + cookie + "=" + token + "; c=d"
	for name, c := range map[string]struct {
		uri           string
		headers       []string
		authorization string
		cookies       string
	}{
		"the token":                      {"/basket", []string{in}, "Bearer " + token, "a=b; c=d"},
		"the headers alone":              {"/account", []string{in}, "", "a=b; c=d"},
		"for everyone":                   {"/news", []string{in}, "", "a=b; c=d"},
		"no cookie but that":             {"/news", []string{"Cookie: " + cookie + "=x"}, "", ""},
		"several lines":                  {"/news", []string{"Cookie: a=b", in}, "", "a=b; a=b; c=d"},
		"what the client itself shows":   {"/basket", []string{"Authorization: Bearer " + token}, "Bearer " + token, ""},
		"what is the application's own":  {"/news", []string{"Authorization: Basic eA=="}, "Basic eA==", ""},
		"a client's where none is asked": {"/account", []string{"Authorization: Bearer " + token}, "Bearer " + token, ""},
	} {
		rec := answer(g, asked("GET", c.uri, c.headers...))
		a, k := rec.Header()["Authorization"], rec.Header()["Cookie"]
		if rec.Code != 200 || len(a) != 1 || len(k) != 1 || a[0] != c.authorization || k[0] != c.cookies {
			t.Errorf("%s: %d %q %q", name, rec.Code, a, k)
		}
	}
	if rec := answer(g, asked("POST", "/basket", in)); rec.Header().Get("Authorization") != "" || rec.Header().Get("Cookie") != "" {
		t.Errorf("who is refused is answered with %v", rec.Header())
	}
}

func TestNewWithCookies(t *testing.T) {
	t.Parallel()
	for want, change := range map[string]func(*gateway.Resource){
		"does not begin with __Host-": func(r *gateway.Resource) { r.Cookie = "__host-shop" },
		"could set it":                func(r *gateway.Resource) { r.Cookie = "__Host-" },
		"other hosts could set it":    func(r *gateway.Resource) { r.Cookie = "shop" },
		`"__Host-a b" is no name`:     func(r *gateway.Resource) { r.Cookie = "__Host-a b" },
		`forwards "x"`:                func(r *gateway.Resource) { r.Forward = "x" },
		`of no cookie`:                func(r *gateway.Resource) { r.Cookie = "" },
		"asks for tokens":             func(r *gateway.Resource) { r.For, r.Audience, r.Forward = gateway.ForEveryone, "", "" },
		"and asks":                    func(r *gateway.Resource) { r.For, r.Audience, r.Cookie = gateway.ForApp, "", "" },
	} {
		w := newWorld(t).withCookies()
		change(&w.cfg.Resources[len(w.cfg.Resources)-2])
		if _, err := gateway.New(w.cfg); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", want, err)
		}
	}
	w := newWorld(t).withCookies() // of a domain, as an authorization server at another host sets it
	w.cfg.Resources[len(w.cfg.Resources)-1].Cookie = "__Secure-shop"
	w.gateway()
	w = newWorld(t).withCookies() // on this machine, without TLS, browsers take no __Host-
	w.cfg.Resources = w.cfg.Resources[len(w.cfg.Resources)-2:]
	w.cfg.APIKeys = nil
	for i := range w.cfg.Resources {
		w.cfg.Resources[i].Origin, w.cfg.Resources[i].Cookie = "http://127.0.0.1:3000", "shop"
	}
	w.gateway()
}

// Through real proxies: the application gets the token, and not the cookie; a page of
// another site gets nothing.
func TestCookiesThroughProxies(t *testing.T) {
	t.Parallel()
	w := newWorld(t).withCookies()
	w.now = time.Now()
	token := w.token(func(id *flows.Identity) { id.ACR = "aal2" })
	own := []string{"Sec-Fetch-Site: same-origin", "Content-Length: 0"}
	for _, f := range fronts(t, w.gateway()) {
		for _, line := range []string{"Cookie: a=b; " + cookie + "=" + token + "; c=d", "Cookie: " + cookie + "=" + token, "Cookie: " + cookie + "=" + token + "; c=d"} {
			for uri, want := range map[string]string{"/basket": "Bearer " + token, "/account": "", "/news": ""} {
				resp, got := f.send("POST", uri, append(slices.Clone(own), line)...)
				if got == nil {
					t.Fatalf("%s: %s: %d %v", f.name, uri, resp.StatusCode, resp.Header)
				}
				if got.Header.Get("Authorization") != want || strings.Contains(strings.Join(got.Header["Cookie"], ";"), "shop") || strings.Contains(line, "c=d") && !strings.Contains(got.Header.Get("Cookie"), "c=d") {
					t.Errorf("%s: %s: the application got %q %q", f.name, uri, got.Header["Authorization"], got.Header["Cookie"])
				}
			}
		}
		line := "Cookie: " + cookie + "=" + token
		for name, headers := range map[string][]string{
			"another site": {"Sec-Fetch-Site: cross-site", "Content-Length: 0", line},
			"nobody knows": {"Content-Length: 0", line},
			"two tokens":   {"Sec-Fetch-Site: same-origin", "Content-Length: 0", line, "Authorization: Bearer " + token},
			"two cookies":  {"Sec-Fetch-Site: same-origin", "Content-Length: 0", line + "; " + cookie + "=x"},
		} {
			if resp, got := f.send("POST", "/basket", headers...); got != nil || resp.StatusCode == http.StatusOK {
				t.Errorf("%s: %s: %d", f.name, name, resp.StatusCode)
			}
		}
		if _, got := f.send("GET", "/news", "Authorization: Basic eA=="); got == nil || got.Header.Get("Authorization") != "Basic eA==" {
			t.Errorf("%s: what the client shows the application itself is lost: %v", f.name, got)
		}
	}
}
