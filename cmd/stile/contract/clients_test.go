package contract_test

import (
	"encoding/json"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/oauth2"

	"github.com/stile-auth/stile/cmd/stile/clients"
	"github.com/stile-auth/stile/flows"
)

const sources = `client_sources:
  partners: { from: store, flows: [sign-in], targets: [orders], grants: [authorization_code, refresh_token, client_credentials], scopes: [openid, orders.read], auth: [client_secret_basic, client_secret_post], dpop: optional }
`

const partnerText = `{"flows":["sign-in"],"targets":["orders"],"dpop":"optional","redirect_uris":["https://partner.example/back"],
	"oauth":{"auth":"client_secret_basic","grants":["authorization_code","refresh_token","client_credentials"],"scopes":["openid","orders.read"]}}`

func (w *world) registrar() *clients.Registrar {
	return &clients.Registrar{Store: w.node.Base.Store, Recorder: w.node.Base.Recorder, Definitions: w.node.Definitions(), Now: w.clock.now}
}

// asService asks for a token of its own, and returns the status and what is said.
func (w *world) asService(t *testing.T, id, secret string, form url.Values) (int, map[string]any) {
	t.Helper()
	if form == nil {
		form = url.Values{"grant_type": {"client_credentials"}, "scope": {"orders.read"}}
	}
	r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, w.node.URL()+"/oauth2/token", strings.NewReader(form.Encode()))
	must(t, err)
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	r.SetBasicAuth(url.QueryEscape(id), url.QueryEscape(secret))
	resp, err := http.DefaultClient.Do(r)
	must(t, err)
	defer resp.Body.Close()
	var out map[string]any
	must(t, json.NewDecoder(resp.Body).Decode(&out))
	return resp.StatusCode, out
}

func (w *world) active(t *testing.T, token any) bool {
	t.Helper()
	text, _ := token.(string)
	status, out := w.direct(t, "/oauth2/introspect", url.Values{"token": {text}}, true)
	if status != http.StatusOK {
		t.Fatalf("introspection: %d %v", status, out)
	}
	return out["active"] == true
}

// A client of the store signs people on like any other, from the moment that it is added;
// once it is disabled nothing of it is good any more.
func TestStoredClients(t *testing.T) {
	t.Parallel()
	for _, store := range stores() {
		t.Run(store, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, t, setup{definitions: shop(sources), store: store})
			t.Cleanup(func() { w.close(t) })
			if status, out := w.asService(t, "partner", "guess", nil); status != http.StatusUnauthorized || out["error"] != "invalid_client" {
				t.Errorf("before it is there: %d %v", status, out)
			}
			secret, err := w.registrar().Add(t.Context(), "partner", []byte(partnerText))
			must(t, err)
			p := newParty(t, w, "partner", secret, "https://partner.example/back", "openid", "orders.read", "orders.write")
			b := newVisitor(t, w)
			b.open(p.address())
			b.signIn()
			token, err := p.trade(b.code())
			must(t, err)
			if token.Extra("scope") != "openid orders.read" || !w.active(t, token.AccessToken) {
				t.Errorf("%+v", token)
			}
			token, err = p.TokenSource(t.Context(), &oauth2.Token{RefreshToken: token.RefreshToken}).Token()
			must(t, err)

			must(t, w.registrar().Enable(t.Context(), "partner", false))
			if w.active(t, token.AccessToken) {
				t.Error("the token of a disabled client is good")
			}
			if _, err := p.TokenSource(t.Context(), &oauth2.Token{RefreshToken: token.RefreshToken}).Token(); !isError(err, "invalid_client") {
				t.Errorf("a disabled client refreshes: %v", err)
			}
			if b.open(p.address()); b.gone != nil || b.status != http.StatusBadRequest {
				t.Errorf("a disabled client signs on: %d %v", b.status, b.gone)
			}
			must(t, w.registrar().Enable(t.Context(), "partner", true))
			if _, err := p.TokenSource(t.Context(), &oauth2.Token{RefreshToken: token.RefreshToken}).Token(); err != nil {
				t.Errorf("one that is enabled again: %v", err)
			}
			must(t, w.registrar().Remove(t.Context(), "partner"))
			if status, _ := w.asService(t, "partner", secret, nil); status != http.StatusUnauthorized {
				t.Errorf("a removed client: %d", status)
			}
		})
	}
}

// Two secrets are good while one takes the place of the other; the third ends the first.
func TestSecretsOfStoredClients(t *testing.T) {
	t.Parallel()
	w := newWorld(t, t, setup{definitions: shop(sources)})
	t.Cleanup(func() { w.close(t) })
	r := w.registrar()
	first, err := r.Add(t.Context(), "partner", []byte(partnerText))
	must(t, err)
	second, err := r.Secret(t.Context(), "partner")
	must(t, err)
	good := func(secret string, want bool) {
		t.Helper()
		if status, _ := w.asService(t, "partner", secret, nil); (status == http.StatusOK) != want {
			t.Errorf("%d, want %t", status, want)
		}
	}
	good(first, true)
	good(second, true)
	third, err := r.Secret(t.Context(), "partner")
	must(t, err)
	good(first, false)
	good(second, true)
	must(t, r.Retire(t.Context(), "partner"))
	good(second, false)
	good(third, true)
	good(third+"x", false)
	good("", false)
}

// The definitions come first, and say the most that others may have, whatever the store says.
func TestStoredClientsStayInTheirBounds(t *testing.T) {
	t.Parallel()
	w := newWorld(t, t, setup{definitions: shop(sources)})
	t.Cleanup(func() { w.close(t) })
	secret, hash := clients.NewSecret()
	put := func(id, text string) {
		must(t, w.node.Base.Store.PutClient(t.Context(), flows.StoredClient{ID: id, Version: 1, Text: []byte(text), Created: time.Now(), Changed: time.Now()}))
	}
	text := func(auth, targets string) string {
		return `{"targets":[` + targets + `],"dpop":"optional","oauth":{"auth":"` + auth + `","grants":["client_credentials"],"scopes":["orders.read","orders.write"],"secret_hash":"` + hash + `"}}`
	}
	put("shop", text("client_secret_basic", `"orders"`))
	if status, _ := w.asService(t, "shop", secret, nil); status != http.StatusUnauthorized {
		t.Errorf("the store has taken the name of a client of the definitions: %d", status)
	}
	put("greedy", text("client_secret_basic", `"orders","sso-orders"`))
	ask := func(resource string) (int, map[string]any) {
		return w.asService(t, "greedy", secret, url.Values{"grant_type": {"client_credentials"}, "scope": {"orders.read orders.write"}, "resource": {resource}})
	}
	if status, out := ask("https://orders.example"); status != http.StatusOK || out["scope"] != "orders.read" {
		t.Errorf("%d %v", status, out)
	}
	if !slices.ContainsFunc(w.events(t), func(e flows.Event) bool { return e.Type == flows.EventClientBounded && e.Client == "greedy" }) {
		t.Error("nobody hears that it asks for more")
	}
	if status, out := ask("https://sso-orders.example"); status != http.StatusBadRequest || out["error"] != "invalid_target" {
		t.Errorf("a target beyond its bounds: %d %v", status, out)
	}
	put("broken", `{"targets":["orders"],"oauth":{}}`)
	if status, _ := w.asService(t, "broken", secret, nil); status != http.StatusUnauthorized {
		t.Errorf("one that does not load: %d", status)
	}
	unbounded := newWorld(t, t, setup{definitions: shop("")})
	t.Cleanup(func() { unbounded.close(t) })
	must(t, unbounded.node.Base.Store.PutClient(t.Context(), flows.StoredClient{ID: "partner", Version: 1, Text: []byte(text("client_secret_basic", `"orders"`))}))
	if status, _ := unbounded.asService(t, "partner", secret, nil); status != http.StatusUnauthorized {
		t.Errorf("without client_sources: %d", status)
	}
}

// A token whose signature was verified before is looked at again all the same: when it ends, its
// client and its session.
func TestSeenTokensEnd(t *testing.T) {
	t.Parallel()
	w := newWorld(t, t, setup{definitions: shop(sources)})
	t.Cleanup(func() { w.close(t) })
	secret, err := w.registrar().Add(t.Context(), "partner", []byte(partnerText))
	must(t, err)
	ask := func() any {
		status, out := w.asService(t, "partner", secret, nil)
		if status != http.StatusOK {
			t.Fatalf("%d %v", status, out)
		}
		return out["access_token"]
	}
	token := ask()
	for range 3 {
		if !w.active(t, token) {
			t.Fatal("it is not active")
		}
	}
	w.clock.pass(5 * time.Minute)
	if w.active(t, token) {
		t.Error("it has ended")
	}
	token = ask()
	for range 2 {
		if !w.active(t, token) {
			t.Fatal("it is not active")
		}
	}
	must(t, w.registrar().Enable(t.Context(), "partner", false))
	if w.active(t, token) {
		t.Error("its client is disabled")
	}
	p := newParty(t, w, "shop", shopSecret, "https://shop.example/back", "openid")
	b := newVisitor(t, w)
	b.open(p.address("resource", "https://orders.example"))
	b.signIn()
	own, err := p.trade(b.code())
	must(t, err)
	for range 2 {
		if !w.active(t, own.AccessToken) {
			t.Fatal("it is not active")
		}
	}
	must(t, w.node.Base.Store.EndSession(t.Context(), p.reads(t, own).SID))
	if w.active(t, own.AccessToken) {
		t.Error("its session has ended")
	}
}
