package contract_test

import (
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"golang.org/x/oauth2"

	"github.com/stile-auth/stile/flows/account"
)

// What a refresh token, an access token or a code is not good for.
func TestGrantsAreHeldToTheirTerms(t *testing.T) {
	t.Parallel()
	const basic = true
	refresh := func(token string, more ...string) url.Values {
		form := url.Values{"grant_type": {"refresh_token"}, "refresh_token": {token}}
		for i := 0; i+1 < len(more); i += 2 {
			form.Set(more[i], more[i+1])
		}
		return form
	}
	for name, play := range map[string]func(f *profile, token *oauth2.Token, said idToken){
		"RFC 6749 6: a refresh asks for less, not for more": func(f *profile, token *oauth2.Token, _ idToken) {
			if status, out := f.w.direct(f.T, "/oauth2/token", refresh(token.RefreshToken, "scope", "openid orders.write"), basic); status != http.StatusBadRequest || out["error"] != "invalid_scope" {
				f.Errorf("more: %d %v", status, out)
			}
			if status, out := f.w.direct(f.T, "/oauth2/token", refresh(token.RefreshToken, "scope", "openid"), basic); status != http.StatusOK || out["scope"] != "openid" {
				f.Errorf("less: %d %v", status, out)
			}
		},
		"RFC 6749 6: another client's refresh token is none": func(f *profile, token *oauth2.Token, _ idToken) {
			if status, out := f.w.direct(f.T, "/oauth2/token", refresh(token.RefreshToken, "client_id", "other"), false); status != http.StatusBadRequest || out["error"] != "invalid_grant" {
				f.Errorf("%d %v", status, out)
			}
			if status, _ := f.w.direct(f.T, "/oauth2/token", refresh(token.RefreshToken), basic); status != http.StatusOK {
				f.Errorf("its own, afterwards: %d", status)
			}
		},
		"RFC 7009 2.1: another client revokes nothing, and is told nothing": func(f *profile, token *oauth2.Token, _ idToken) {
			if status, out := f.w.direct(f.T, "/oauth2/revoke", url.Values{"token": {token.RefreshToken}, "client_id": {"other"}}, false); status != http.StatusOK || len(out) > 0 {
				f.Errorf("%d %v", status, out)
			}
			if status, _ := f.w.direct(f.T, "/oauth2/token", refresh(token.RefreshToken), basic); status != http.StatusOK {
				f.Errorf("afterwards: %d", status)
			}
		},
		"RFC 7662 2.2: a token that has expired is not active": func(f *profile, token *oauth2.Token, _ idToken) {
			f.w.clock.pass(time.Until(token.Expiry) + time.Second)
			if _, out := f.w.direct(f.T, "/oauth2/introspect", url.Values{"token": {token.AccessToken}}, basic); out["active"] != false || len(out) > 1 {
				f.Errorf("%v", out)
			}
			if resp, _ := f.get(http.MethodGet, f.w.node.URL()+"/oauth2/userinfo", "Bearer", token.AccessToken); resp.StatusCode != http.StatusUnauthorized {
				f.Errorf("user info: %d", resp.StatusCode)
			}
		},
		"RFC 7662 2.1: who has not proved who it is may not ask": func(f *profile, token *oauth2.Token, _ idToken) {
			if status, out := f.w.direct(f.T, "/oauth2/introspect", url.Values{"token": {token.AccessToken}, "client_id": {"other"}}, false); status != http.StatusUnauthorized || out["active"] != nil {
				f.Errorf("%d %v", status, out)
			}
		},
		"RFC 9700 4.14: a person who is disabled refreshes nothing": func(f *profile, token *oauth2.Token, said idToken) {
			must(f, setStatus(f.w, said.Subject, account.Disabled))
			if status, out := f.w.direct(f.T, "/oauth2/introspect", url.Values{"token": {token.AccessToken}}, basic); out["active"] != false {
				f.Errorf("active: %d %v", status, out)
			}
			if status, out := f.w.direct(f.T, "/oauth2/token", refresh(token.RefreshToken), basic); status != http.StatusBadRequest || out["error"] != "invalid_grant" {
				f.Errorf("%d %v", status, out)
			}
		},
		"RFC 9449 10: a code is for the key that the request named": func(f *profile, _ *oauth2.Token, _ idToken) {
			f.ask("prompt", "none", "dpop_jkt", newSigner(f).thumbprint)
			if _, err := f.p.trade(f.b.code()); !isError(err, "invalid_dpop_proof") {
				f.Errorf("without a proof: %v", err)
			}
		},
		"RP-Initiated Logout 2: the ID token is the client's that is named": func(f *profile, token *oauth2.Token, _ idToken) {
			f.b.open(f.w.node.URL() + "/oauth2/logout?" + url.Values{"id_token_hint": {idOf(token)}, "client_id": {"other"}}.Encode())
			if !strings.Contains(f.b.page, "<form") { // the person is asked
				f.Errorf("%d\n%s", f.b.status, f.b.page)
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, t, setup{definitions: shop("")})
			t.Cleanup(func() { w.close(t) })
			f := &profile{t, w, newParty(t, w, "shop", shopSecret, "https://shop.example/back", "openid", "orders.read"), newVisitor(t, w)}
			token, said := f.signsOn()
			play(f, token, said)
		})
	}
}
