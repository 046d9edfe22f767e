package contract_test

import (
	"testing"

	"golang.org/x/oauth2"

	"github.com/stile-auth/stile/flows/account"
)

const agreeing = `
flows:
  agree:
    steps:
      - { id: password, type: password }
      - { id: may, type: consent, with: { scopes: [orders.read] } }
targets:
  orders: { flow: agree, propagate: { type: bearer_jwt, audience: "https://orders.example" } }
providers:
  corporate: { issuer: "https://idp.bank.example", client_id: stile }
clients:
  shop:
    flows: [agree]
    targets: [orders]
    redirect_uris: ["https://shop.example/back"]
    dpop: optional
    oauth: { auth: none, grants: [authorization_code, refresh_token], scopes: [openid, offline_access, orders.read] }
`

// What a person has agreed to is remembered; once it was taken back, the app gets nothing by
// what it has, and has to ask again.
func TestConsentThatIsTakenBack(t *testing.T) {
	t.Parallel()
	for _, store := range stores() {
		t.Run(store, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, t, setup{definitions: agreeing, store: store})
			t.Cleanup(func() { w.close(t) })
			p := newParty(t, w, "shop", "", "https://shop.example/back", "openid", "offline_access", "orders.read")
			b := newVisitor(t, w)
			b.open(p.address())
			b.signIn()
			b.submit(map[string]string{"_answer": "true"})
			token, err := p.trade(b.code())
			must(t, err)
			refresh := func() error {
				next, err := p.TokenSource(t.Context(), &oauth2.Token{RefreshToken: token.RefreshToken}).Token()
				if err == nil {
					token = next
				}
				return err
			}
			must(t, refresh())
			b.open(p.address("prompt", "none")) // nothing is asked again
			_, err = p.trade(b.code())
			must(t, err)

			r, err := w.node.Base.Registrar("Stile", w.clock.now)
			must(t, err)
			_, err = r.Revoke(t.Context(), login, account.Consent, "shop")
			must(t, err)
			if err := refresh(); !isError(err, "invalid_grant") {
				t.Errorf("refreshed: %v", err)
			}
			b.open(p.address("prompt", "none"))
			if got := b.failure(); got != "interaction_required" {
				t.Errorf("asked again: %s", got)
			}
		})
	}
}
