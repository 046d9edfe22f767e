package contract_test

import (
	"fmt"
	"net/http"
	"slices"
	"testing"
	"time"

	"github.com/coreos/go-oidc/v3/oidc"

	"github.com/stile-auth/stile/oidcclient/oidctest"
)

// assuranceFlows has a target for each scenario of the standards.
const assuranceFlows = `
levels:
  bank:
    - { name: "urn:bank:silver" }
    - { name: "urn:bank:gold", requires: aal2, max_age: 1h }
flows:
  sign-on: { steps: [{ id: sso, type: sso, with: { provider: corporate } }] }
  asks: { steps: [{ id: sso, type: sso, with: { provider: corporate, acr_values: ["urn:idp:mfa"], unmet: exit } }] }
  both: { steps: [{ id: sso, type: sso, with: { provider: corporate } }, { id: code, type: totp, if: acr < level.aal2 }] }
  local: { steps: [{ id: password, type: password }, { id: code, type: totp, if: target != "low" }] }
targets:
  up: { flow: sign-on, propagate: { type: bearer_jwt, audience: "https://rp.example" } }
  asked: { flow: asks, propagate: { type: bearer_jwt, audience: "https://rp.example" } }
  then: { flow: both, requires: { acr: aal2 }, propagate: { type: bearer_jwt, audience: "https://rp.example" } }
  low: { flow: local, propagate: { type: bearer_jwt, audience: "https://rp.example" } }
  high: { flow: local, requires: { acr: aal2 }, propagate: { type: bearer_jwt, audience: "https://rp.example" } }
  own: { flow: local, requires: { acr: "urn:bank:silver" }, propagate: { type: bearer_jwt, audience: "https://rp.example" } }
providers:
  corporate:
    issuer: "https://idp.bank.example"
    client_id: stile
    client_secret: { file: secret }
    assurance:
      categories: [knowledge]
      cap: aal2
      map: [{ acr: ["urn:idp:mfa"], categories: [knowledge, possession], grants: [otp, pwd], replay_resistant: true }]
clients:
  phone: { flows: [sign-on, asks, both, local], targets: [up, asked, then, low, high, own], redirect_uris: ["com.bank.app:/oauth2"] }
`

// saw is what a relying party reads.
type saw struct {
	ACR      string   `json:"acr"`
	AMR      []string `json:"amr"`
	AuthTime int64    `json:"auth_time"`
}

// reads verifies a token as any relying party would: by discovery, with a
// library that knows nothing of Stile.
func (w *world) reads(t *testing.T, token string) saw {
	t.Helper()
	provider, err := oidc.NewProvider(t.Context(), w.node.URL())
	must(t, err)
	verified, err := provider.VerifierContext(t.Context(), &oidc.Config{ClientID: "https://rp.example", Now: w.clock.now}).Verify(t.Context(), token)
	must(t, err)
	var s saw
	must(t, verified.Claims(&s))
	return s
}

// A relying party gets the right answer in each scenario of the standards.
func TestRelyingParty(t *testing.T) {
	t.Parallel()
	says := func(claims map[string]any) func(*world) {
		return func(w *world) {
			for name, value := range claims {
				w.provider.Misbehave(oidctest.SetClaim(name, value))
			}
		}
	}
	for name, c := range map[string]struct {
		given  func(*world)
		target string
		ask    map[string]any // of the start
		acr    string
		amr    []string
		code   string // instead of a token
	}{
		"OIDC Core 2: a provider that says nothing is one factor":           {target: "up", acr: "aal1", amr: []string{"pwd"}},
		"ASVS 6.8.4: an acr that is not mapped is one factor":               {given: says(map[string]any{"acr": "urn:idp:other", "amr": []string{"mfa", "hwk"}}), target: "up", acr: "aal1", amr: []string{"pwd"}},
		"ASVS 6.8.4: an acr that is mapped is what the map says":            {given: says(map[string]any{"acr": "urn:idp:mfa"}), target: "up", acr: "aal2", amr: []string{"mfa", "otp", "pwd"}},
		"OIDC Core 5.5.1.1: what was asked of a provider is checked":        {given: says(map[string]any{"acr": "urn:idp:low"}), target: "asked", code: "unmet_authentication_requirements"},
		"OIDC Core 5.5.1.1: and goes on if it is met":                       {given: says(map[string]any{"acr": "urn:idp:mfa"}), target: "asked", acr: "aal2", amr: []string{"mfa", "otp", "pwd"}},
		"SP 800-63B-4 2.2.1: a provider and a local factor are two":         {target: "then", acr: "aal2", amr: []string{"mfa", "otp", "pwd"}},
		"SP 800-63B-4 2.1.1: a password is aal1":                            {target: "low", acr: "aal1", amr: []string{"pwd"}},
		"SP 800-63B-4 2.2.1: a password and a code are aal2":                {target: "high", acr: "aal2", amr: []string{"mfa", "otp", "pwd"}},
		"RFC 9470 5: the first requested value that is met":                 {target: "high", ask: map[string]any{"acrValues": []string{"aal3", "aal1", "aal2"}}, acr: "aal1", amr: []string{"mfa", "otp", "pwd"}},
		"RFC 9470 5: none is met":                                           {target: "high", ask: map[string]any{"acrValues": []string{"aal3", "phr"}}, code: "unmet_authentication_requirements"},
		"OIDC Core 5.5.1.1: an essential claim that cannot be met":          {target: "low", ask: map[string]any{"claims": map[string]any{"id_token": map[string]any{"acr": map[string]any{"essential": true, "values": []string{"phr"}}}}}, code: "unmet_authentication_requirements"},
		"OIDC Core 5.5.1.1: a claim that is only wished for":                {target: "low", ask: map[string]any{"claims": map[string]any{"id_token": map[string]any{"acr": map[string]any{"values": []string{"phr"}}}}}, acr: "aal1", amr: []string{"pwd"}},
		"OIDC Core 3.1.2.1: values that are wished for":                     {target: "low", ask: map[string]any{"acrValues": []string{"phr"}, "acrEssential": false}, acr: "aal1", amr: []string{"pwd"}},
		"EAP ACR Values 1.0: phr is refused where nothing resists phishing": {target: "high", ask: map[string]any{"acrValues": []string{"phr", "phrh"}}, code: "unmet_authentication_requirements"},
		"a scale of one's own":                                              {target: "own", acr: "urn:bank:gold", amr: []string{"mfa", "otp", "pwd"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, t, setup{definitions: assuranceFlows})
			t.Cleanup(func() { w.close(t) })
			if c.given != nil {
				c.given(w)
			}
			p := newPhone(t, w, "phone")
			begun := w.clock.now()
			body := map[string]any{"clientId": "phone", "target": c.target}
			for k, v := range c.ask {
				body[k] = v
			}
			r := p.post("/v1/flows", body)
			for r.status < 300 && p.view.Flow.Status == "in_progress" {
				r = p.post(p.view.NextStep.forward(), p.right())
			}
			if c.code != "" {
				if !r.is(http.StatusForbidden, c.code) {
					t.Errorf("%d %s", r.status, r.body)
				}
				return
			}
			if r.status >= 300 {
				t.Fatalf("%d %s", r.status, r.body)
			}
			got := w.reads(t, p.view.Result.Grant.Token)
			if got.ACR != c.acr || !slices.Equal(got.AMR, c.amr) || got.AuthTime < begun.Unix()-1 || got.AuthTime > w.clock.now().Unix() {
				t.Errorf("reads %+v, want %s %v", got, c.acr, c.amr)
			}
		})
	}
}

// What a session proved is worth less with time, and a relying party sees it:
// auth_time stays that of the proof, and what decayed is asked for again (SP
// 800-63B-4 2.2.3, OpenID Connect Core 2).
func TestDecay(t *testing.T) {
	t.Parallel()
	w := newWorld(t, t, setup{definitions: assuranceFlows, more: "runs: { session_ttl: 240h }\n"})
	defer w.close(t)
	p := newPhone(t, w, "phone")
	proved := w.clock.now()
	p.start("target", "high")
	first := w.reads(t, p.finish())
	session := p.view.Result.Session
	if first.ACR != "aal2" {
		t.Fatalf("%+v", first)
	}
	for _, c := range []struct {
		after  time.Duration
		target string
		asked  bool
		acr    string
	}{
		{30 * time.Minute, "high", false, "aal2"},
		{31 * time.Minute, "own", false, "urn:bank:silver"}, // gold is good for an hour
		{61 * time.Minute, "high", true, ""},                // rested for more than an hour: too long for aal2
		{61 * time.Minute, "low", false, "aal1"},            // and not for aal1
	} {
		w.clock.pass(c.after)
		q := newPhone(t, w, "phone")
		q.key = p.key
		q.start("target", c.target, "session", session)
		if asked := q.view.NextStep != nil; asked != c.asked {
			t.Fatalf("%s after %s: asked %v", c.target, c.after, asked)
		}
		if c.asked {
			continue
		}
		got := w.reads(t, q.view.Result.Grant.Token)
		if got.ACR != c.acr || got.AuthTime != proved.Unix() {
			t.Errorf("%s after %s: %+v, want %s of %s", c.target, c.after, got, c.acr, fmt.Sprint(proved))
		}
		session = q.view.Result.Session
	}
}
