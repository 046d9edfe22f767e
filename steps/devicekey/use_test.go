package devicekey_test

import (
	"context"
	"encoding/json"
	"errors"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/stile-auth/stile/flows"
	"github.com/stile-auth/stile/flows/account"
	"github.com/stile-auth/stile/flows/assurance"
	"github.com/stile-auth/stile/flows/store/memory"
	"github.com/stile-auth/stile/steps/androidkeytest"
	"github.com/stile-auth/stile/steps/appattesttest"
	"github.com/stile-auth/stile/steps/devicebiometric"
	"github.com/stile-auth/stile/steps/deviceenrolment"
	"github.com/stile-auth/stile/steps/devicekey"
	"github.com/stile-auth/stile/steps/devicepin"
	"github.com/stile-auth/stile/steps/steptest"
)

// use plays device_biometric with a phone; asserts says what App Attest adds, nil nothing.
func (w *world) use(mode string, p *phone, asserts func(jws string) string) (flows.Outcome, error) {
	w.t.Helper()
	s, v := w.user(mode), w.visit(nil)
	members := map[string]any{"jws": p.authentication(w.t, enter(w.t, s, v))}
	if asserts != nil {
		members["assertion"] = asserts(members["jws"].(string))
	}
	return s.Answer(w.t.Context(), v, body(w.t, members))
}

// What a signature proves depends on what was attested, and on what the author asks for.
func TestEvidence(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	plain := assurance.Evidence{
		Method: assurance.DeviceKey, Device: phoneKey, Categories: []assurance.Category{assurance.Possession},
		ReplayResistant: true, UserPresent: true, Binding: assurance.AAL3, Cap: assurance.AAL3,
	}
	attested := plain
	attested.Categories = []assurance.Category{assurance.Possession, assurance.Inherence}
	attested.PhishingResistant, attested.HardwareBound, attested.Attested, attested.UserVerified = true, true, true, true
	attested.Unlock = assurance.UnlockBiometric
	iphone := attested
	iphone.Cap = assurance.AAL2
	for _, c := range []struct {
		mode, platform string
		want           assurance.Evidence
		level          assurance.Level
	}{
		{"none", account.PlatformAndroid, plain, assurance.AAL1},
		{"none", account.PlatformIOS, plain, assurance.AAL1},
		{"preferred", "", plain, assurance.AAL1},
		{"preferred", account.PlatformAndroid, attested, assurance.AAL3},
		{"preferred", account.PlatformIOS, iphone, assurance.AAL2},
		{"required", account.PlatformAndroid, attested, assurance.AAL3},
		{"required", account.PlatformIOS, iphone, assurance.AAL2},
	} {
		p := w.bound(c.platform)
		var asserts func(string) string
		if c.platform == account.PlatformIOS {
			asserts = func(jws string) string { return p.assertion(t, jws) }
		}
		out, err := w.use(c.mode, p, asserts)
		if err != nil || out.Passed() == nil {
			t.Errorf("%s %s: %+v, %v", c.mode, c.platform, out, err)
			continue
		}
		got := out.Passed().Evidence
		got.At = now
		if l := assurance.Assess([]assurance.Evidence{got}, now, assurance.Policy{}).Level; l != c.level {
			t.Errorf("%s %s: reaches %v, want %v", c.mode, c.platform, l, c.level)
		}
		typ := devicebiometric.Type(nil, audience, w.by)
		if err := assurance.CheckCeilings(typ.Ceilings(config(`{"Attested":"`+c.mode+`"}`), nil), got); err != nil {
			t.Errorf("%s %s: %v", c.mode, c.platform, err)
		}
		got.Authenticator, got.At = "", c.want.At
		if diff := cmp.Diff(c.want, got); diff != "" {
			t.Errorf("%s %s: -want +got:\n%s", c.mode, c.platform, diff)
		}
	}
}

// A key that nobody vouched for is not enough where that is required, and says so only to who has it.
func TestRequired(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	p := w.bound("")
	out, err := w.use("required", p, nil)
	if reason, _ := out.Rejected(); err != nil || reason != "not_attested" {
		t.Errorf("%+v, %v", out, err)
	}
	thief := w.phone()
	s, v := w.user("required"), w.visit(nil)
	q, id := enter(t, s, v), p.id(t)
	forged := thief.sign(t, map[string]any{"typ": "devauth+jwt", "alg": "ES256", "kid": id}, q.claims(map[string]any{"iss": "bank-app", "sub": id}))
	out, err = s.Answer(t.Context(), v, body(t, map[string]any{"jws": forged}))
	if reason, _ := out.Rejected(); err != nil || reason != "wrong" {
		t.Errorf("of somebody else: %+v, %v", out, err)
	}
}

// A key that was bound with App Attest signs with it for ever, whatever the author asks for, and counts.
func TestAssertions(t *testing.T) {
	t.Parallel()
	for _, mode := range []string{"none", "preferred", "required"} {
		w := newWorld(t)
		p, other := w.bound(account.PlatformIOS), w.bound(account.PlatformIOS)
		counter := w.data(p).AppAttest.Counter
		for name, c := range map[string]struct {
			reason  string
			asserts func(jws string) string
		}{
			"none":              {"assertion_absent", nil},
			"not in base64url":  {"assertion_malformed", func(string) string { return "=" }},
			"over another":      {"assertion_wrong", func(jws string) string { return p.assertion(t, jws+"x") }},
			"by another iPhone": {"assertion_wrong", func(jws string) string { return other.assertion(t, jws) }},
			"counted before": {"assertion_counted", func(jws string) string {
				return p.assertion(t, jws, func(d *appattesttest.Draft) { d.Counter = counter })
			}},
			"counted backwards": {"assertion_counted", func(jws string) string { return p.assertion(t, jws, func(d *appattesttest.Draft) { d.Counter = 0 }) }},
		} {
			out, err := w.use(mode, p, c.asserts)
			if reason, _ := out.Rejected(); err != nil || reason != c.reason {
				t.Errorf("%s, %s: %+v, %v", mode, name, out, err)
			}
		}
		if got := w.data(p).AppAttest.Counter; got != counter {
			t.Errorf("%s: what was refused has counted: %d", mode, got)
		}
		out, err := w.use(mode, p, func(jws string) string { return p.assertion(t, jws, func(d *appattesttest.Draft) { d.Counter = 40 }) })
		if err != nil || out.Passed() == nil || w.data(p).AppAttest.Counter != 40 {
			t.Errorf("%s: %+v, %v", mode, out, err)
		}
	}
}

// A crash between the counter and the end of the request does not lock the phone out: the same request may come again.
func TestSameRequestAgain(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	p := w.bound(account.PlatformIOS)
	s, v := w.user("required"), w.visit(nil)
	jws := p.authentication(t, enter(t, s, v))
	in := body(t, map[string]any{"jws": jws, "assertion": p.assertion(t, jws)})
	for i := range 2 {
		if out, err := s.Answer(t.Context(), v, in); err != nil || out.Passed() == nil {
			t.Errorf("%d: %+v, %v", i, out, err)
		}
	}
	again := w.visit(nil)
	var kept any
	if err := v.Kept(&kept); err != nil {
		t.Fatal(err)
	}
	if err := again.Keep(kept); err != nil {
		t.Fatal(err)
	}
	if out, err := s.Answer(t.Context(), again, in); err != nil || out.Passed() != nil {
		t.Errorf("another request with the same: %+v, %v", out, err)
	}
}

// A server that forgets the iPhones it knew does not take their keys for plain ones.
func TestAppleForgotten(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	p := w.bound(account.PlatformIOS)
	w.by.Apple = nil
	if out, err := w.use("none", p, nil); !errors.Is(err, flows.ErrUnavailable) {
		t.Errorf("%+v, %v", out, err)
	}
}

// A mode unheard of is no step, and none has more than its mode allows.
func TestCeilings(t *testing.T) {
	t.Parallel()
	typ := devicebiometric.Type(nil, audience, devicekey.Attestation{})
	if _, err := typ.New(config(`{"Attested":"perhaps"}`)); err == nil {
		t.Error("a mode unheard of was taken")
	}
	if c := typ.Ceilings(config(`{"Attested":"perhaps"}`), nil); c != nil {
		t.Errorf("%+v", c)
	}
	for mode, want := range map[string][]bool{"none": {false}, "preferred": {true, false}, "required": {true}} {
		for name, typ := range map[string]flows.StepType{"biometric": typ, "pin": devicepin.Type(nil, audience, devicekey.Attestation{})} {
			var got []bool
			for _, c := range typ.Ceilings(config(`{"Attested":"`+mode+`"}`), nil) {
				got = append(got, c.Attested)
				if verified := c.Attested && name == "biometric"; c.UserVerified != verified || c.HardwareBound != c.Attested || (len(c.Categories) > 1) != verified {
					t.Errorf("%s, %s: %+v", mode, name, c)
				}
			}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("%s: -want +got:\n%s", mode, diff)
			}
		}
	}
}

// breakable can fail on demand.
type breakable struct {
	*memory.Accounts
	down bool
}

func (b *breakable) Authenticators(ctx context.Context, subject string) ([]account.Authenticator, error) {
	if b.down {
		return nil, errors.New("database is down")
	}
	return b.Accounts.Authenticators(ctx, subject)
}

func (b *breakable) AddAuthenticator(ctx context.Context, a account.Authenticator) error {
	if b.down {
		return errors.New("database is down")
	}
	return b.Accounts.AddAuthenticator(ctx, a)
}

// The steps keep the promises of all steps also where phones have to attest.
func TestConformance(t *testing.T) {
	read := func(t *testing.T, data json.RawMessage) (q prompt) {
		t.Helper()
		if err := json.Unmarshal(data, &q); err != nil {
			t.Fatal(err)
		}
		return q
	}
	t.Run("use", func(t *testing.T) {
		steptest.Run(t, func(t *testing.T) steptest.Case {
			w := newWorld(t)
			p, r := w.bound(account.PlatformIOS), &breakable{Accounts: w.accounts}
			return steptest.Case{
				Type: devicebiometric.Type(r, audience, w.by), With: "{ attested: required }", Visit: *w.visit(nil),
				Answer: func(prompt json.RawMessage, _ *flows.Visit, how string) flows.Input {
					signs := p
					if how != "ok" {
						signs = w.phone()
					}
					jws := signs.authentication(t, read(t, prompt))
					return body(t, map[string]any{"jws": jws, "assertion": p.assertion(t, jws)})
				},
				Break: func() { r.down = true },
			}
		})
	})
	t.Run("bind", func(t *testing.T) {
		steptest.Run(t, func(t *testing.T) steptest.Case {
			w := newWorld(t)
			r := &breakable{Accounts: w.accounts}
			return steptest.Case{
				Type: deviceenrolment.Type(r, audience, w.by), With: "{ attestation: required }", Visit: *w.visit(nil), NeedsSubject: true,
				Answer: func(prompt json.RawMessage, _ *flows.Visit, how string) flows.Input {
					p, q := w.phone(), read(t, prompt)
					says := w.androidSays(p, q, func(d *androidkeytest.Draft) { d.Locked = how == "ok" })
					return body(t, map[string]any{"jws": p.binding(t, q), "attestation": says})
				},
				Break: func() { r.down = true },
			}
		})
	})
}
