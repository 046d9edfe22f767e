package contract_test

import (
	"net/http"
	"slices"
	"testing"
	"time"

	"github.com/stile-auth/stile/oidcclient/oidctest"
)

// chain is a sign-on at a provider, a local factor, and a token; what the provider
// counts for goes in between.
func chain(with, assurance string) string {
	return `
flows:
  chain: { steps: [{ id: sso, type: sso, with: { provider: corporate` + with + ` } }, { id: code, type: totp }] }
targets:
  rp: { flow: chain, propagate: { type: bearer_jwt, audience: "https://rp.example" } }
providers:
  corporate: { issuer: "https://idp.bank.example", client_id: stile, client_secret: { file: secret }` + assurance + ` }
clients:
  phone: { flows: [chain], targets: [rp], redirect_uris: ["com.bank.app:/oauth2"] }
`
}

// What a relying party reads after a sign-on and a one-time code is what was
// proved, whatever the provider says, or leaves out (OpenID Connect Core §2 and
// §3.1.2.1, ASVS 6.8.4).
func TestChain(t *testing.T) {
	t.Parallel()
	const (
		mapped = `, assurance: { categories: [knowledge], cap: aal2, map: [{ acr: ["urn:idp:mfa"], categories: [knowledge, possession], grants: [hwk, pwd], phishing_resistant: true, replay_resistant: true }] }`
		capped = `, assurance: { categories: [knowledge], cap: aal1, map: [{ acr: ["urn:idp:mfa"], categories: [knowledge, possession], grants: [hwk, pwd], phishing_resistant: true, replay_resistant: true }] }`
		fresh  = ", max_age: 5m"
	)
	mfa := map[string]any{"acr": "urn:idp:mfa", "amr": []string{"hwk", "mfa", "pwd"}}
	for name, c := range map[string]struct {
		with, assurance string
		claims          map[string]any // nil removes one
		acr             string         // "": the sign-on is refused
		amr             []string
	}{
		"unmapped provider":    {"", "", mfa, "aal1", []string{"mfa", "otp", "pwd"}},
		"mapped MFA provider":  {"", mapped, mfa, "aal2", []string{"hwk", "mfa", "otp", "pwd"}},
		"capped provider":      {"", capped, mfa, "aal1", []string{"hwk", "mfa", "otp", "pwd"}},
		"missing acr":          {"", mapped, map[string]any{"acr": nil}, "aal2", []string{"mfa", "otp", "pwd"}},
		"acr in other letters": {"", mapped, map[string]any{"acr": "urn:idp:MFA"}, "aal2", []string{"mfa", "otp", "pwd"}},
		"fresh auth_time":      {fresh, mapped, mfa, "aal2", []string{"hwk", "mfa", "otp", "pwd"}},
		"stale auth_time":      {fresh, mapped, map[string]any{"acr": "urn:idp:mfa", "auth_time": time.Now().Add(-time.Hour).Unix()}, "", nil},
		"missing auth_time":    {fresh, mapped, map[string]any{"acr": "urn:idp:mfa", "auth_time": nil}, "", nil},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, t, setup{definitions: chain(c.with, c.assurance)})
			t.Cleanup(func() { w.close(t) })
			for claim, value := range c.claims {
				if value == nil {
					w.provider.Misbehave(oidctest.DropClaims(claim))
				} else {
					w.provider.Misbehave(oidctest.SetClaim(claim, value))
				}
			}
			p := newPhone(t, w, "phone")
			begun := w.clock.now()
			p.post("/v1/flows", map[string]any{"clientId": "phone", "target": "rp"})
			r := p.post(p.view.NextStep.forward(), p.right())
			if c.acr == "" {
				if !r.is(http.StatusUnprocessableEntity, "wrong_answer") {
					t.Errorf("%d %s", r.status, r.body)
				}
				return
			}
			if r.status >= 300 {
				t.Fatalf("%d %s", r.status, r.body)
			}
			got := w.reads(t, p.finish())
			if got.ACR != c.acr || !slices.Equal(got.AMR, c.amr) || got.AuthTime < begun.Unix()-1 || got.AuthTime > w.clock.now().Unix() {
				t.Errorf("reads %+v, want %s %v", got, c.acr, c.amr)
			}
		})
	}
}
