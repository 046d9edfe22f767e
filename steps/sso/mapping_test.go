package sso_test

import (
	"encoding/json"
	"slices"
	"testing"

	"github.com/stile-auth/stile/flowdefs"
	"github.com/stile-auth/stile/flows"
	"github.com/stile-auth/stile/flows/assurance"
	"github.com/stile-auth/stile/oidcclient/oidctest"
	"github.com/stile-auth/stile/steps/sso"
)

// visited enters a step with that configuration and answers it as a person who
// signs on at the provider; it goes on for as long as the step asks again.
func (k *kit) visited(t *testing.T, cfg flowdefs.Config, answers int) (flows.Outcome, []asked) {
	t.Helper()
	step, err := sso.Type(sso.Providers{"corporate": k.provider(t)}, k.people).New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	v := flows.NewVisit(flows.Visit{StepID: "sso", Now: k.clock.Now(), Client: flowdefs.Client{RedirectURIs: []string{redirectURI}}}, "owner", k.store)
	out, err := step.Enter(t.Context(), v)
	if err != nil {
		t.Fatal(err)
	}
	var requests []asked
	for range answers {
		if out.Asked() == nil {
			break
		}
		data, err := json.Marshal(out.Asked().Data)
		if err != nil {
			t.Fatal(err)
		}
		var a asked
		if err := json.Unmarshal(data, &a); err != nil {
			t.Fatal(err)
		}
		requests = append(requests, a)
		if out, err = step.Answer(t.Context(), v, body(k.visit(t, a.RequestURI))); err != nil {
			t.Fatal(err)
		}
	}
	return out, requests
}

type configured struct{ ACRValues, Unmet string }

func (c configured) Decode(dst any) error {
	text, err := json.Marshal(map[string]any{"Provider": "corporate", "ACRValues": []string{c.ACRValues}, "Unmet": c.Unmet})
	if err != nil {
		return err
	}
	return json.Unmarshal(text, dst)
}

// What a provider says counts by its mapping alone: what fits nothing is the
// least, and nothing is above the provider's cap (standards of ASVS 6.8.4).
func TestMapping(t *testing.T) {
	t.Parallel()
	k, p := assurance.Knowledge, assurance.Possession
	mapping := []flowdefs.Mapping{
		{ACR: []string{"urn:idp:phishing-resistant"}, Categories: []assurance.Category{k, p}, Grants: []string{"hwk"}, PhishingResistant: true, ReplayResistant: true, Cap: assurance.AAL3},
		{ACR: []string{"urn:idp:mfa"}, AMR: []string{"otp"}, Categories: []assurance.Category{k, p}, Grants: []string{"otp", "pwd"}, ReplayResistant: true, Cap: assurance.AAL2},
		{AMR: []string{"pwd"}, Categories: []assurance.Category{k}, Cap: assurance.AAL1},
	}
	tests := []struct {
		name  string
		acr   any
		amr   []string
		cap   assurance.Level
		level assurance.Level
		says  []string
	}{
		{"an MFA sign-on", "urn:idp:mfa", []string{"otp", "pwd"}, assurance.AAL2, assurance.AAL2, []string{"mfa", "otp", "pwd"}},
		{"another acr", "urn:idp:mfa2", []string{"otp", "pwd"}, assurance.AAL2, assurance.AAL1, []string{"pwd"}},
		{"an amr is missing", "urn:idp:mfa", []string{"pwd"}, assurance.AAL2, assurance.AAL1, []string{"pwd"}},
		{"nothing is said", nil, nil, assurance.AAL2, assurance.AAL1, []string{"pwd"}},
		{"capped", "urn:idp:mfa", []string{"otp"}, assurance.AAL1, assurance.AAL1, []string{"mfa", "otp", "pwd"}},
		{"the first that fits", "urn:idp:phishing-resistant", []string{"pwd"}, assurance.AAL2, assurance.AAL2, []string{"hwk", "mfa"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			kit := newKit(t, func(k *kit) { k.def.Cap, k.def.Mapping = tt.cap, mapping })
			if tt.acr != nil {
				kit.idp.Misbehave(oidctest.SetClaim("acr", tt.acr))
			}
			if tt.amr != nil {
				kit.idp.Misbehave(oidctest.SetClaim("amr", tt.amr))
			}
			out, _ := kit.visited(t, config{}, 1)
			if out.Passed() == nil {
				t.Fatal("nothing was proved")
			}
			e := at(out.Passed().Evidence, kit.clock.Now())
			got := assurance.Assess([]assurance.Evidence{e}, kit.clock.Now(), assurance.Policy{})
			if got.Level != tt.level || !slices.Equal(got.AMR, tt.says) {
				t.Errorf("%s %v, want %s %v", got.Level, got.AMR, tt.level, tt.says)
			}
			typ := sso.Type(nil, nil)
			ceilings := typ.Ceilings(config{}, map[string]*flowdefs.Provider{"corporate": &kit.def})
			if err := assurance.CheckCeilings(ceilings, e); err != nil {
				t.Error("the step proves more than it says:", err)
			}
			if err := assurance.CheckCeilings(typ.Evidence, e); err != nil {
				t.Error("the type proves more than it says:", err)
			}
		})
	}
}

// What was asked of the provider is checked in its answer (Core §5.5.1.1): a
// person is sent back once, and then the step is left.
func TestUnmet(t *testing.T) {
	t.Parallel()
	for unmet, want := range map[string]int{"accept": 1, "again": 2, "exit": 1} {
		t.Run(unmet, func(t *testing.T) {
			t.Parallel()
			k := newKit(t)
			k.idp.Misbehave(oidctest.SetClaim("acr", "urn:idp:low"))
			out, requests := k.visited(t, configured{"urn:idp:high", unmet}, 5)
			if len(requests) != want {
				t.Fatalf("%d requests, want %d", len(requests), want)
			}
			if got := requests[0].Parameters["acr_values"]; got != "urn:idp:high" {
				t.Errorf("acr_values %q", got)
			}
			if _, asked := requests[0].Parameters["prompt"]; asked {
				t.Error("the first request has a prompt")
			}
			if want == 2 && requests[1].Parameters["prompt"] != "login" {
				t.Error("the second request does not ask for a new sign-on")
			}
			if passed := out.Passed() != nil; passed != (unmet == "accept") || !passed && out.Exited() != "unmet" {
				t.Errorf("passed %v, exit %q", passed, out.Exited())
			}
		})
	}
}

// A second sign-on that reaches what was asked for is enough.
func TestUnmetThenMet(t *testing.T) {
	t.Parallel()
	k := newKit(t)
	k.idp.Misbehave(oidctest.SetClaim("acr", "urn:idp:low"))
	step, err := sso.Type(sso.Providers{"corporate": k.provider(t)}, k.people).New(configured{"urn:idp:high", "again"})
	if err != nil {
		t.Fatal(err)
	}
	v := flows.NewVisit(flows.Visit{StepID: "sso", Now: k.clock.Now(), Client: flowdefs.Client{RedirectURIs: []string{redirectURI}}}, "owner", k.store)
	out, err := step.Enter(t.Context(), v)
	for _, acr := range []string{"urn:idp:low", "urn:idp:high"} {
		if err != nil || out.Asked() == nil {
			t.Fatal(err)
		}
		data, _ := json.Marshal(out.Asked().Data)
		var a asked
		if err := json.Unmarshal(data, &a); err != nil {
			t.Fatal(err)
		}
		k.idp.Misbehave(oidctest.SetClaim("acr", acr))
		out, err = step.Answer(t.Context(), v, body(k.visit(t, a.RequestURI)))
	}
	if err != nil || out.Passed() == nil {
		t.Errorf("nothing was proved: %v", err)
	}
}
