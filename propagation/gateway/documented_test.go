package gateway_test

import (
	"net/http"
	"slices"
	"strings"
	"testing"

	"go.yaml.in/yaml/v4"

	"github.com/stile-auth/stile/propagation/gateway"
	"github.com/stile-auth/stile/propagation/rp"
)

// The question of Traefik's ForwardAuth: a GET at the address with the headers of the
// request, and X-Forwarded-Method, -Proto, -Host, -Uri and -For, which it writes itself as long
// as trustForwardHeader is false. Of an answer 2xx it takes authResponseHeaders in the place of
// what the client sent; any other one the client gets.
func TestTraefik(t *testing.T) {
	t.Parallel()
	var page struct {
		HTTP struct {
			Middlewares map[string]struct {
				ForwardAuth struct {
					Address  string   `yaml:"address"`
					Trust    bool     `yaml:"trustForwardHeader"`
					Response []string `yaml:"authResponseHeaders"`
				} `yaml:"forwardAuth"`
			} `yaml:"middlewares"`
		} `yaml:"http"`
	}
	if err := yaml.Unmarshal([]byte(shown(t, "yaml traefik", "gate:1", "app:1")), &page); err != nil {
		t.Fatal(err)
	}
	auth := page.HTTP.Middlewares["stile"].ForwardAuth
	if auth.Address != "http://gate:1"+gateway.PathForwarded || auth.Trust || !slices.Equal(auth.Response, append(gateway.Headers(), "Authorization", "Cookie")) {
		t.Errorf("%+v", auth)
	}
	w := newWorld(t).withCookies()
	g := w.gateway()
	ask := func(method, uri string, headers ...string) *http.Response {
		r := question(http.MethodGet, auth.Address, append([]string{
			"X-Forwarded-Method: " + method, "X-Forwarded-Proto: https", "X-Forwarded-Host: shop.example", "X-Forwarded-Uri: " + uri, "X-Forwarded-For: 203.0.113.7",
			"User-Agent: curl", "Accept: */*",
		}, headers...)...)
		r.Host = "gate:1"
		return answer(g, r).Result()
	}
	token := "Authorization: Bearer " + w.token(nil)
	if got := ask("GET", "/orders?page=2", token); got.StatusCode != 200 || got.Header.Get(gateway.HeaderSubject) != "jane" {
		t.Errorf("%d %v", got.StatusCode, got.Header)
	}
	if got := ask("GET", "/orders"); got.StatusCode != 401 || len(got.Header.Values("WWW-Authenticate")) != 2 {
		t.Errorf("%d %v", got.StatusCode, got.Header)
	}
	if got := ask("POST", "/orders", token); got.StatusCode != 403 {
		t.Errorf("%d", got.StatusCode)
	}
	in := "Cookie: a=b; " + cookie + "=" + w.token(nil)
	if got := ask("POST", "/basket", in, "Origin: "+origin); got.StatusCode != 200 || !strings.HasPrefix(got.Header.Get("Authorization"), "Bearer ") || got.Header.Get("Cookie") != "a=b" {
		t.Errorf("%d %v", got.StatusCode, got.Header)
	}
	if got := ask("POST", "/basket", in, "Sec-Fetch-Site: cross-site"); got.StatusCode != 403 {
		t.Errorf("%d", got.StatusCode)
	}
}

// The question of Envoy's ext_authz over HTTP: the method of the request, its path behind
// path_prefix, its Host, no body, and of its headers those of allowed_headers.
func TestDocumentedEnvoy(t *testing.T) {
	t.Parallel()
	type patterns struct {
		Patterns []struct{ Exact, Prefix string }
	}
	var page struct {
		Config struct {
			FailOpen bool `yaml:"failure_mode_allow"`
			Service  struct {
				Prefix  string `yaml:"path_prefix"`
				Request struct {
					Allowed patterns `yaml:"allowed_headers"`
				} `yaml:"authorization_request"`
				Response struct {
					Upstream patterns `yaml:"allowed_upstream_headers"`
					Client   patterns `yaml:"allowed_client_headers"`
				} `yaml:"authorization_response"`
			} `yaml:"http_service"`
		} `yaml:"typed_config"`
	}
	if err := yaml.Unmarshal([]byte(shown(t, "yaml envoy", "gate:1", "app:1")), &page); err != nil {
		t.Fatal(err)
	}
	matches := func(p patterns, name string) bool {
		name = strings.ToLower(name)
		for _, one := range p.Patterns {
			if name == one.Exact || one.Prefix != "" && strings.HasPrefix(name, one.Prefix) {
				return true
			}
		}
		return false
	}
	service := page.Config.Service
	if page.Config.FailOpen || service.Prefix != gateway.PathEnvoy {
		t.Errorf("%+v", page)
	}
	for _, name := range append(gateway.Headers(), "Authorization", "Cookie") {
		if !matches(service.Response.Upstream, name) {
			t.Errorf("the application does not get %s", name)
		}
	}
	for _, name := range []string{"WWW-Authenticate", "Content-Type", "Retry-After"} {
		if !matches(service.Response.Client, name) {
			t.Errorf("the client does not get %s", name)
		}
	}
	w := newWorld(t).withCookies()
	g := w.gateway()
	ask := func(method, uri string, headers ...string) int {
		r := question(method, service.Prefix+uri)
		r.Host = "shop.example"
		for _, line := range headers {
			if name, value, _ := strings.Cut(line, ": "); matches(service.Request.Allowed, name) {
				r.Header.Add(name, value)
			}
		}
		return answer(g, r).Code
	}
	bound := w.bound()
	for _, c := range []struct {
		want        int
		method, uri string
		headers     []string
	}{
		{200, "GET", "/orders?page=2", []string{"Authorization: Bearer " + w.token(nil), "Cookie: a=b"}},
		{200, "GET", "/orders", []string{"Authorization: DPoP " + bound, "DPoP: " + w.proof(bound, "GET", origin+"/orders")}},
		{200, "POST", "/basket", []string{"Cookie: " + cookie + "=" + w.token(nil), "Origin: " + origin}},
		{200, "POST", "/basket", []string{"Cookie: " + cookie + "=" + w.token(nil), "Sec-Fetch-Site: same-origin"}},
		{403, "POST", "/basket", []string{"Cookie: " + cookie + "=" + w.token(nil)}},
		{403, "GET", "/basket", []string{"Cookie: " + cookie + "=" + w.token(nil), "Sec-Fetch-Site: cross-site", "Sec-Fetch-Mode: no-cors"}},
		{200, "GET", "/basket", []string{"Cookie: " + cookie + "=" + w.token(nil), "Sec-Fetch-Site: cross-site", "Sec-Fetch-Mode: navigate", "Sec-Fetch-Dest: document"}},
		{200, "GET", "/prices", []string{rp.HeaderAPIKey + ": " + w.appKey}},
		{401, "GET", "/orders", nil},
		{403, "POST", "/orders", []string{"Authorization: Bearer " + w.token(nil)}},
		{403, "GET", "/news", []string{"Stile-Subject: admin"}},
		{403, "GET", "/news", []string{"Stile_Subject: admin"}},
		{403, "GET", "/news", []string{"X-HTTP-Method-Override: DELETE"}},
		{403, "GET", "/news/../admin", nil},
	} {
		if got := ask(c.method, c.uri, c.headers...); got != c.want {
			t.Errorf("%s %s %q: %d, want %d", c.method, c.uri, c.headers, got, c.want)
		}
	}
}
