package passkey_test

import (
	"encoding/json"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/stile-auth/stile/flows"
	"github.com/stile-auth/stile/flows/account"
	"github.com/stile-auth/stile/flows/assurance"
	"github.com/stile-auth/stile/steps/passkey"
	"github.com/stile-auth/stile/steps/steptest"
	"github.com/stile-auth/stile/steps/webauthn"
	"github.com/stile-auth/stile/steps/webauthntest"
)

func TestConformance(t *testing.T) {
	steptest.Run(t, func(t *testing.T) steptest.Case {
		w := newWorld(t)
		return steptest.Case{
			Type:  passkey.Type(w, party),
			Visit: known,
			Answer: func(prompt json.RawMessage, _ *flows.Visit, how string) flows.Input {
				credential, err := w.jane.Answer(prompt, func(d *webauthntest.Draft) { d.Damage = how == "wrong" })
				if err != nil {
					t.Fatal(err)
				}
				return body(credential)
			},
			Break: func() { w.down = true },
		}
	})
}

// Who is named is asked for their own passkeys, nobody for any.
func TestProof(t *testing.T) {
	t.Parallel()
	for name, run := range map[string]flows.Visit{"known": known, "open": open} {
		w := newWorld(t)
		s := newStep(t, w, "{}")
		v := visit(run, "owner")
		credential, err := w.jane.Get(enter(t, s, v))
		p := answer(t, s, v, credential, err).Passed()
		if p == nil {
			t.Fatalf("%s: not accepted", name)
		}
		bound, data := w.of(t, jane)
		want := flows.Proof{Subject: jane, Evidence: assurance.Evidence{
			Method: assurance.Passkey, Authenticator: bound.ID, Categories: []assurance.Category{assurance.Possession, assurance.Inherence},
			PhishingResistant: true, ReplayResistant: true, UserPresent: true, UserVerified: true, Binding: assurance.AAL2, Cap: assurance.AAL3,
		}}
		if diff := cmp.Diff(want, *p); diff != "" {
			t.Errorf("%s: -want +got:\n%s", name, diff)
		}
		if data.Counter != 2 || !bound.LastUsed.Equal(now) {
			t.Errorf("%s: counter %d, last used %s", name, data.Counter, bound.LastUsed)
		}
	}
}

// What a person was not asked for does not count, even if it was done.
func TestUnaskedVerificationDoesNotCount(t *testing.T) {
	t.Parallel()
	for _, with := range []string{"{ user_verification: preferred }", "{ user_verification: discouraged }"} {
		w := newWorld(t)
		s, v := newStep(t, w, with), visit(known, "owner")
		credential, err := w.jane.Get(enter(t, s, v))
		e := answer(t, s, v, credential, err).Passed().Evidence
		if e.UserVerified || !slices.Equal(e.Categories, []assurance.Category{assurance.Possession}) {
			t.Errorf("%s: %+v", with, e)
		}
		cfg, err := configured(t, passkey.Type(w, party), with)
		if err != nil {
			t.Fatal(err)
		}
		ceilings := passkey.Type(w, party).Ceilings(cfg, nil)
		if len(ceilings) != 1 || ceilings[0].UserVerified || len(ceilings[0].Categories) != 1 {
			t.Errorf("%s: %+v", with, ceilings)
		}
		v = visit(known, "later")
		credential, err = w.jane.Get(enter(t, s, v), func(d *webauthntest.Draft) { d.Flags = webauthntest.Present })
		if answer(t, s, v, credential, err).Passed() == nil {
			t.Errorf("%s: verification is asked for all the same", with)
		}
	}
}

// A key that can leave its device is exportable, whatever its maker says.
func TestWhereTheKeyIs(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		flags                          byte
		attested, hardware             bool
		wantBound, wantExp, wantAttest bool
	}{
		"nobody vouches":        {0, false, false, false, false, false},
		"hardware, no vouching": {0, false, true, false, false, false},
		"attested":              {0, true, false, false, false, true},
		"attested in hardware":  {0, true, true, true, false, true},
		"synced":                {webauthntest.Eligible | webauthntest.BackedUp, false, false, false, true, false},
		"synced, they say hw":   {webauthntest.Eligible, true, true, false, true, true},
	} {
		w := newWorld(t, func(a *webauthntest.Authenticator) { a.Flags |= c.flags })
		bound, _ := w.of(t, jane)
		w.edit(t, bound.ID, func(a *account.Authenticator) {
			var d account.PasskeyData
			if err := json.Unmarshal(a.Data, &d); err != nil {
				t.Error(err)
			}
			d.Attested, d.Hardware = c.attested, c.hardware
			a.Data, _ = json.Marshal(d)
		})
		s, v := newStep(t, w, "{}"), visit(known, "owner")
		credential, err := w.jane.Get(enter(t, s, v))
		e := answer(t, s, v, credential, err).Passed().Evidence
		if e.HardwareBound != c.wantBound || e.Exportable != c.wantExp || e.Attested != c.wantAttest {
			t.Errorf("%s: %+v", name, e)
		}
	}
}

// An Android app answers from its own origin.
func TestApp(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.jane.Origin = app
	s, v := newStep(t, w, "{}"), visit(open, "owner")
	credential, err := w.jane.Get(enter(t, s, v))
	if answer(t, s, v, credential, err).Passed() == nil {
		t.Error("not accepted")
	}
}

func TestPrompt(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	type shown struct {
		Challenge, RPID, UserVerification string
		Timeout                           int
		AllowCredentials                  []webauthn.Descriptor
	}
	look := func(v flows.Visit) (p shown) {
		if err := json.Unmarshal(enter(t, newStep(t, w, "{}"), visit(v, "owner")), &p); err != nil {
			t.Fatal(err)
		}
		return p
	}
	_, data := w.of(t, jane)
	p := look(known)
	if len(p.Challenge) != 43 || p.RPID != "bank.example" || p.UserVerification != "required" || p.Timeout != 300_000 {
		t.Errorf("%+v", p)
	}
	if diff := cmp.Diff([]webauthn.Descriptor{webauthn.Describe(data.Credential, nil)}, p.AllowCredentials); diff != "" {
		t.Errorf("before the first proof: %s", diff)
	}
	proved := known
	proved.Subject = jane
	if p := look(proved); len(p.AllowCredentials) != 1 || !slices.Equal(p.AllowCredentials[0].Transports, []string{"internal", "hybrid"}) {
		t.Errorf("after it: %+v", p.AllowCredentials)
	}
	if p := look(open); p.AllowCredentials == nil || len(p.AllowCredentials) != 0 {
		t.Errorf("of nobody: %+v", p.AllowCredentials)
	}
	if one, two := look(known), look(known); one.Challenge == two.Challenge {
		t.Error("one challenge twice")
	}
}

// Names that nobody has, and accounts without a usable passkey, look alike and
// always the same.
func TestDecoys(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	bound, _ := w.of(t, jane)
	w.edit(t, bound.ID, func(a *account.Authenticator) { a.Status = account.Disabled })
	list := func(claimed, identifier, subject string) (out []webauthn.Descriptor) {
		v := known
		v.Claimed, v.Identifier, v.Subject = claimed, identifier, subject
		var p struct {
			AllowCredentials []webauthn.Descriptor `json:"allowCredentials"`
		}
		if err := json.Unmarshal(enter(t, newStep(t, w, "{}"), visit(v, "owner")), &p); err != nil {
			t.Fatal(err)
		}
		return p.AllowCredentials
	}
	for name, subject := range map[string]string{"nobody": "", "jane": jane} {
		one, two := list(subject, name, ""), list(subject, name, "")
		if len(one) == 0 || !cmp.Equal(one, two) {
			t.Errorf("%s: %+v, then %+v", name, one, two)
		}
	}
	if cmp.Equal(list("", "nobody", ""), list("", "somebody", "")) {
		t.Error("all names have the same decoys")
	}
	counts := map[int]bool{}
	for _, name := range []string{"a", "b", "c", "d", "e", "f", "g", "h", "i", "j", "k", "l", "m", "n", "o", "p"} {
		counts[len(list("", name, ""))] = true
	}
	if !counts[1] || !counts[2] {
		t.Errorf("the number of decoys tells them: %v", counts)
	}
	if out := list(jane, "jane", jane); len(out) != 0 {
		t.Errorf("who has proved to be there is shown %+v", out)
	}
}

func TestPartyIsRequired(t *testing.T) {
	t.Parallel()
	if _, err := configured(t, passkey.Type(nil, webauthn.Party{}), "{}"); err == nil || !strings.Contains(err.Error(), webauthn.ErrParty.Error()) {
		t.Errorf("got %v", err)
	}
}

func TestConfigurationThatCannotBe(t *testing.T) {
	t.Parallel()
	for _, with := range []string{"{ user_verification: never }", "{ counter: sometimes }"} {
		if _, err := configured(t, passkey.Type(nil, party), with); err == nil || !strings.Contains(err.Error(), webauthn.ErrWord.Error()) {
			t.Errorf("%s: %v", with, err)
		}
	}
}
