package oidcclient_test

import (
	"context"
	"encoding/json"
	"maps"
	"net/http"
	"slices"
	"strings"
	"testing"

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
	// A server gets no fragment: it is answered in the query.
	server := newWorld(t, func(c *oidcclient.Config) { c.ResponseMode = oidcclient.ModeFragment })
	a := server.request(t, oidcclient.RequestOptions{Server: true})
	if _, sent := a.Parameters["response_mode"]; a.Mode != oidcclient.ModeQuery || sent {
		t.Errorf("to a server: mode %s, parameters %v", a.Mode, a.Parameters)
	}
	if _, err := server.finish(t.Context(), a.Request, server.visit(t, a)); err != nil {
		t.Errorf("to a server: %v", err)
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
