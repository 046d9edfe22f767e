package contract_test

import (
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"
)

// External addresses come from the configuration. Whatever headers a request
// has, not a byte of any answer is another: of the documents, of views, of
// problems; and a proof for the address that the headers name is none.
func TestHeadersChangeNothing(t *testing.T) {
	t.Parallel()
	for _, store := range stores() {
		t.Run(store, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, t, setup{definitions: corners, store: store})
			defer w.close(t)
			p := newPhone(t, w, "phone")
			p.start("flow", "bind")
			p.until("DEVICE_ENROLMENT_REQUIRED")
			rapid.Check(t, func(rt *rapid.T) { p.t = rt; p.compare(rt) })
			p.t = t
			proofForElsewhere(t, p)
			p.finish()
			p.start("flow", "sign-on")
			rapid.Check(t, func(rt *rapid.T) { p.t = rt; p.compare(rt) })
		})
	}
}

// lie draws headers about where the server is.
func lie(rt *rapid.T) func(*http.Request) {
	values := rapid.SampledFrom([]string{
		evil, "https://" + evil, evil + ":443", "http://127.0.0.1:1", "localhost", "null", "*", "for=1.2.3.4;host=" + evil + ";proto=https",
		"https", "4711", "/" + evil, "198.51.100.7", `"` + evil + `"`, evil + ", " + evil,
	})
	names := rapid.SampledFrom([]string{
		"X-Forwarded-Host", "X-Forwarded-Proto", "X-Forwarded-Scheme", "X-Forwarded-Port", "X-Forwarded-For", "X-Forwarded-Prefix",
		"X-Forwarded-Server", "X-Forwarded-Ssl", "Front-End-Https", "X-Original-Host", "X-Original-Url", "X-Rewrite-Url", "X-Host",
		"X-Url-Scheme", "Forwarded", "Origin", "Referer", "X-Real-Ip", "True-Client-Ip", "Via", "X-Http-Method-Override", "X-Request-Id",
		"Accept", "Accept-Language", "Prefer", "Cookie", "Dnt", "X-Scheme", "X-Proxyuser-Ip", "Base-Url", "Traceparent",
	})
	set := map[string][]string{}
	for range rapid.IntRange(1, 8).Draw(rt, "headers") {
		name := names.Draw(rt, "name")
		set[name] = append(set[name], values.Draw(rt, "value"))
	}
	host := rapid.SampledFrom([]string{"", evil, evil + ":443", "localhost:1"}).Draw(rt, "host")
	return func(r *http.Request) {
		for name, v := range set {
			r.Header[name] = v
		}
		if host != "" {
			r.Host = host
		}
	}
}

// compare sends a request that changes nothing, plainly and with lies.
func (p *phone) compare(rt *rapid.T) {
	spoil := lie(rt)
	type call struct{ method, href, body string }
	c := rapid.SampledFrom([]call{
		{"GET", "/v1/flow", ""},
		{"POST", p.view.NextStep.forward(), "{}"},
		{"POST", "/v1/flow/steps/nonsense?turn=1", `{"x":1}`},
		{"POST", "/v1/flow/back?turn=99", ""},
		{"POST", "/v1/flows", `{"clientId":"nobody","flow":"x"}`},
		{"POST", "/v1/flows", `{"clientId":"phone","flow":"local","loginHint":"x","target":"y"}`},
		{"GET", "/v1/nothing", ""},
		{"PUT", "/v1/flow", ""},
		{"OPTIONS", "/v1/flow", ""},
		{"GET", "/.well-known/openid-configuration", ""},
		{"GET", "/.well-known/oauth-authorization-server", ""},
		{"GET", "/.well-known/jwks.json", ""},
		{"GET", "/readyz", ""},
	}).Draw(rt, "call")
	if c.method == http.MethodOptions {
		spoil = both(spoil, header("Access-Control-Request-Method", "POST"))
	}
	plain, bent := p.send(c.method, c.href, c.body), p.send(c.method, c.href, c.body, spoil)
	if bent.status != plain.status || bent.body != plain.body {
		rt.Errorf("%+v:\n%d %s\n%d %s", c, plain.status, plain.body, bent.status, bent.body)
	}
	for _, r := range []reply{plain, bent} {
		r.header.Del("X-Request-Id")
		r.header.Del("Date")
	}
	if a, b := fmt.Sprint(plain.header), fmt.Sprint(bent.header); a != b || strings.Contains(b, evil) {
		rt.Errorf("%+v:\n%s\n%s", c, a, b)
	}
}

func both(a, b func(*http.Request)) func(*http.Request) {
	return func(r *http.Request) { a(r); b(r) }
}

// proofForElsewhere: htu is compared with the configured address.
func proofForElsewhere(t *testing.T, p *phone) {
	t.Helper()
	for _, elsewhere := range []string{"http://" + evil, "https://" + evil, "http://localhost"} {
		p.proofSpoilt = func(_, claims map[string]any) { claims["htu"] = elsewhere + "/v1/flow" }
		r := p.send(http.MethodGet, "/v1/flow", "", func(r *http.Request) { disguise(r); r.Host = strings.TrimPrefix(elsewhere, "http://") })
		if !r.is(404, "flow_not_found") {
			t.Errorf("%s: %d %s", elsewhere, r.status, r.body)
		}
	}
}

// A node behind a proxy speaks of its configured address alone.
func TestConfiguredAddress(t *testing.T) {
	t.Parallel()
	w := newWorld(t, t, setup{definitions: corners, fixed: true})
	defer w.close(t)
	p := newPhone(t, w, "phone")
	p.http = &http.Client{Transport: roundTrip(func(r *http.Request) (*http.Response, error) {
		r = r.Clone(r.Context())
		disguise(r)
		return http.DefaultTransport.RoundTrip(r)
	}), Timeout: time.Minute}
	p.start("flow", "bind")
	p.finish()
	p.start("target", "app")
	token := p.finish()
	if iss := w.claimsOf(t, token)["iss"]; iss != w.cfg.BaseURL || iss == "" {
		t.Errorf("iss %v", iss)
	}
	p.start("target", "upstream")
	p.finish()
	resp, err := p.http.Get(w.node.URL() + "/.well-known/openid-configuration")
	must(t, err)
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	must(t, err)
	if strings.Contains(string(body), evil) || !strings.Contains(string(body), w.cfg.BaseURL) {
		t.Errorf("%s", body)
	}
}
