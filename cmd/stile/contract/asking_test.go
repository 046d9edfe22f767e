package contract_test

import (
	"errors"
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/stile-auth/stile/propagation/rp"
)

// A resource that asks the server about tokens takes access tokens for itself alone, and
// none whose session has ended.
func TestResourceThatAsks(t *testing.T) {
	t.Parallel()
	w := newWorld(t, t, setup{definitions: shop("")})
	t.Cleanup(func() { w.close(t) })
	guard := func(audience, secret string) *rp.Guard {
		g, err := rp.New(rp.Config{Issuer: w.node.URL(), Audience: audience, Now: w.clock.now, Introspection: &rp.Introspection{
			Endpoint: w.node.URL() + "/oauth2/introspect", ClientID: "shop", ClientSecret: secret,
		}})
		must(t, err)
		return g
	}
	orders := guard("https://orders.example", shopSecret)
	check := func(what string, g *rp.Guard, token string, want int) {
		t.Helper()
		r := httptest.NewRequest(http.MethodGet, "/orders", http.NoBody)
		r.Header.Set("Authorization", "Bearer "+token)
		_, err := g.Check(r, rp.Rule{ACR: []string{"aal1"}})
		var refused *rp.Refusal
		if want == http.StatusOK && err != nil || want != http.StatusOK && (!errors.As(err, &refused) || refused.Status != want) {
			t.Errorf("%s: %v, want %d", what, err, want)
		}
	}
	p := newParty(t, w, "shop", shopSecret, "https://shop.example/back", "openid")
	b := newVisitor(t, w)
	b.open(p.address("resource", "https://orders.example"))
	b.signIn()
	token, err := p.trade(b.code())
	must(t, err)
	id, _ := token.Extra("id_token").(string)
	if token.RefreshToken == "" || id == "" {
		t.Fatal("there are no other tokens")
	}
	check("an access token", orders, token.AccessToken, http.StatusOK)
	check("for another resource", guard("https://payments.example", shopSecret), token.AccessToken, http.StatusUnauthorized)
	check("a refresh token", orders, token.RefreshToken, http.StatusUnauthorized)
	check("an ID token", orders, id, http.StatusUnauthorized)
	check("rubbish", orders, "rubbish", http.StatusUnauthorized)
	check("with another secret", guard("https://orders.example", "guessed"), token.AccessToken, http.StatusServiceUnavailable)
	b.open(w.node.URL() + "/oauth2/logout?id_token_hint=" + id)
	check("after the sign-out", orders, token.AccessToken, http.StatusUnauthorized)
}
