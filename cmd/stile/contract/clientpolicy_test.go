package contract_test

import (
	"testing"
	"time"

	"golang.org/x/oauth2"
)

// A client can ask for more than its targets do, and then nobody gets in by it with less:
// not at the start, and not by a refresh token when the proofs have grown too old for it.
func TestWhatAClientRequires(t *testing.T) {
	t.Parallel()
	w := newWorld(t, t, setup{definitions: shop(`  strict:
    flows: [sign-in, strong]
    targets: [orders, payments]
    redirect_uris: ["https://strict.example/back"]
    dpop: optional
    requires: { acr: aal2, max_age: 10m }
    ttl: 90s
    oauth: { auth: none, grants: [authorization_code, refresh_token], scopes: [openid, offline_access] }
`)})
	t.Cleanup(func() { w.close(t) })
	p := newParty(t, w, "strict", "", "https://strict.example/back", "openid", "offline_access")
	b := newVisitor(t, w)
	b.open(p.address("resource", "https://orders.example"))
	if got := b.failure(); got != "unmet_authentication_requirements" {
		t.Fatalf("by a password alone: %s", got)
	}
	b.open(p.address("resource", "https://payments.example"))
	b.signIn()
	code, err := w.code()
	must(t, err)
	b.submit(map[string]string{"code": code})
	token, err := p.trade(b.code())
	must(t, err)
	if left := time.Until(token.Expiry); left > 91*time.Second {
		t.Errorf("the token is good for %v", left)
	}
	refresh := func() error {
		next, err := p.TokenSource(t.Context(), &oauth2.Token{RefreshToken: token.RefreshToken}).Token()
		if err == nil {
			token = next
		}
		return err
	}
	w.clock.pass(5 * time.Minute)
	must(t, refresh())
	w.clock.pass(6 * time.Minute)
	if err := refresh(); !isError(err, "invalid_grant") {
		t.Errorf("with proofs that are too old: %v", err)
	}
}
