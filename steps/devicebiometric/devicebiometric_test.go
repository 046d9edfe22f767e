package devicebiometric_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/stile-auth/stile/flowdefs"
	"github.com/stile-auth/stile/flows"
	"github.com/stile-auth/stile/flows/account"
	"github.com/stile-auth/stile/flows/assurance"
	"github.com/stile-auth/stile/flows/store/memory"
	"github.com/stile-auth/stile/steps/devicebiometric"
	"github.com/stile-auth/stile/steps/devicejws"
	"github.com/stile-auth/stile/steps/devicekey"
	"github.com/stile-auth/stile/steps/devicepin"
	"github.com/stile-auth/stile/steps/steptest"
)

const (
	subject  = "subject-of-jane"
	other    = "subject-of-john"
	audience = "https://stile.example"
	phone    = "thumbprint-of-the-runs-key"
)

var now = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

// repository can fail on demand, and lets a test do something between look-up and use.
type repository struct {
	*memory.Accounts
	down    bool
	before  func()
	updates atomic.Int32
}

func (r *repository) Authenticators(ctx context.Context, subject string) ([]account.Authenticator, error) {
	if r.down {
		return nil, errors.New("database is down")
	}
	return r.Accounts.Authenticators(ctx, subject)
}

func (r *repository) UpdateAuthenticator(ctx context.Context, id string, fn func(*account.Authenticator) error) error {
	r.updates.Add(1)
	if r.before != nil {
		r.before()
	}
	return r.Accounts.UpdateAuthenticator(ctx, id, fn)
}

// device is a phone with one key.
type device struct{ key *ecdsa.PrivateKey }

func newDevice(t testing.TB) device {
	t.Helper()
	k, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return device{k}
}

func (d device) public(t testing.TB) devicejws.Key {
	t.Helper()
	k, err := devicejws.NewKey(&d.key.PublicKey)
	if err != nil {
		t.Fatal(err)
	}
	return k
}

func (d device) id(t testing.TB) string { t.Helper(); return d.public(t).ID() }

// bound returns a device's authenticator.
func (d device) bound(t testing.TB, owner string) account.Authenticator {
	t.Helper()
	jwk, err := json.Marshal(d.public(t))
	if err != nil {
		t.Fatal(err)
	}
	data, err := json.Marshal(account.DeviceData{JWK: jwk})
	if err != nil {
		t.Fatal(err)
	}
	return account.Authenticator{
		ID: d.id(t), Subject: owner, Type: account.TypeDevice, Status: account.Active, Binding: "aal2", Key: phone, Data: data, Created: now,
	}
}

// newRepository has Jane and John with these authenticators.
func newRepository(t testing.TB, auths ...account.Authenticator) *repository {
	t.Helper()
	r := &repository{Accounts: memory.New().Accounts()}
	for _, s := range []string{subject, other} {
		if err := r.CreateAccount(t.Context(), account.Account{Subject: s, Status: account.Active, Created: now}, nil, nil); err != nil {
			t.Fatal(err)
		}
	}
	for _, a := range auths {
		if err := r.AddAuthenticator(t.Context(), a); err != nil {
			t.Fatal(err)
		}
	}
	return r
}

// config is a step's empty configuration.
type config struct{}

func (config) Decode(any) error { return nil }

func newStep(t testing.TB, as devicekey.Authenticators) flows.Step {
	t.Helper()
	s, err := devicebiometric.Type(as, audience, devicekey.Attestation{}).New(config{})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

var run = flows.Visit{
	RunID: "run-1", StepID: "phone", Turn: 2, Attempt: 1, Now: now, Key: phone, Claimed: subject, Client: flowdefs.Client{ID: "bank-app"},
}

func visit(edit func(*flows.Visit)) *flows.Visit {
	v := run
	if edit != nil {
		edit(&v)
	}
	return flows.NewVisit(v, "owner", nil)
}

// claims are what the prompt asks a device of that id to sign.
func claims(t testing.TB, prompt json.RawMessage, id string) map[string]any {
	t.Helper()
	var p struct{ Challenge, Audience, Flow, Step string }
	if err := json.Unmarshal(prompt, &p); err != nil {
		t.Fatal(err)
	}
	return map[string]any{
		"aud": p.Audience, "iss": "bank-app", "sub": id, "nonce": p.Challenge, "flow": p.Flow, "step": p.Step,
		"iat": now.Unix(), "exp": now.Unix() + 60,
	}
}

func (d device) sign(t testing.TB, kid string, claims map[string]any) flows.Input {
	t.Helper()
	text := part(t, map[string]any{"typ": "devauth+jwt", "alg": "ES256", "kid": kid}) + "." + part(t, claims)
	hash := sha256.Sum256([]byte(text))
	r, s, err := ecdsa.Sign(rand.Reader, d.key, hash[:])
	if err != nil {
		t.Fatal(err)
	}
	signature := make([]byte, 64)
	r.FillBytes(signature[:32])
	s.FillBytes(signature[32:])
	return flows.Input(`{"jws":"` + text + "." + base64.RawURLEncoding.EncodeToString(signature) + `"}`)
}

func part(t testing.TB, v any) string {
	t.Helper()
	data, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return base64.RawURLEncoding.EncodeToString(data)
}

func enter(t testing.TB, s flows.Step, v *flows.Visit) json.RawMessage {
	t.Helper()
	out, err := s.Enter(t.Context(), v)
	if err != nil {
		t.Fatal(err)
	}
	data, err := json.Marshal(out.Asked().Data)
	if err != nil {
		t.Fatal(err)
	}
	return data
}

// play plays the whole step with a device that signs in its own name.
func play(t testing.TB, s flows.Step, v *flows.Visit, d device) (flows.Outcome, error) {
	t.Helper()
	return s.Answer(t.Context(), v, d.sign(t, d.id(t), claims(t, enter(t, s, v), d.id(t))))
}

func TestConformance(t *testing.T) {
	for name, typ := range kinds() {
		t.Run(name, func(t *testing.T) {
			steptest.Run(t, func(t *testing.T) steptest.Case {
				d := newDevice(t)
				a := d.bound(t, subject)
				a.Type = typ(nil, audience, devicekey.Attestation{}).Authenticator
				r := newRepository(t, a)
				return steptest.Case{
					Type:  typ(r, audience, devicekey.Attestation{}),
					Visit: run,
					Answer: func(prompt json.RawMessage, _ *flows.Visit, how string) flows.Input {
						if how == "ok" {
							return d.sign(t, d.id(t), claims(t, prompt, d.id(t)))
						}
						return newDevice(t).sign(t, d.id(t), claims(t, prompt, d.id(t)))
					},
					Break: func() { r.down = true },
				}
			})
		})
	}
}

// kinds are the steps that ask a phone's keys.
func kinds() map[string]func(devicekey.Authenticators, string, devicekey.Attestation) flows.StepType {
	return map[string]func(devicekey.Authenticators, string, devicekey.Attestation) flows.StepType{
		"device_biometric": devicebiometric.Type, "device_pin": devicepin.Type,
	}
}

// A key that biometrics open does not answer for one that a PIN opens, nor the other way.
func TestKindsDoNotMix(t *testing.T) {
	t.Parallel()
	for name, typ := range kinds() {
		for other, otherType := range kinds() {
			d := newDevice(t)
			a := d.bound(t, subject)
			a.Type = otherType(nil, audience, devicekey.Attestation{}).Authenticator
			s, err := typ(newRepository(t, a), audience, devicekey.Attestation{}).New(config{})
			if err != nil {
				t.Fatal(err)
			}
			out, err := play(t, s, visit(nil), d)
			if err != nil || (out.Passed() != nil) != (name == other) {
				t.Errorf("%s with a key of %s: %+v, %v", name, other, out, err)
			}
		}
	}
}

// What opens the key is said by the step that asks for it, and by no other.
func TestUnlock(t *testing.T) {
	t.Parallel()
	for name, want := range map[string]assurance.Unlock{"device_biometric": "", "device_pin": assurance.UnlockPIN} {
		typ := kinds()[name]
		d := newDevice(t)
		a := d.bound(t, subject)
		a.Type = typ(nil, audience, devicekey.Attestation{}).Authenticator
		s, err := typ(newRepository(t, a), audience, devicekey.Attestation{}).New(config{})
		if err != nil {
			t.Fatal(err)
		}
		out, err := play(t, s, visit(nil), d)
		if err != nil || out.Passed() == nil || out.Passed().Evidence.Unlock != want || len(out.Passed().Evidence.Categories) != 1 {
			t.Errorf("%s: %+v, %v", name, out, err)
		}
	}
}

func TestType(t *testing.T) {
	t.Parallel()
	typ := devicebiometric.Type(nil, audience, devicekey.Attestation{})
	if !typ.NeedsDevice || typ.Authenticator != "device" || typ.Guessable {
		t.Errorf("device %v, authenticator %q, guessable %v", typ.NeedsDevice, typ.Authenticator, typ.Guessable)
	}
	for _, c := range typ.Ceilings(config{}, nil) {
		if c.Attested || c.HardwareBound || c.UserVerified || c.PhishingResistant {
			t.Errorf("%+v claims what is not attested", c)
		}
	}
	if _, err := devicebiometric.Type(nil, "", devicekey.Attestation{}).New(config{}); err == nil {
		t.Error("a step without an audience was made")
	}
}

func TestPrompt(t *testing.T) {
	t.Parallel()
	s, v := newStep(t, newRepository(t)), visit(nil)
	var got, again map[string]any
	for _, p := range []*map[string]any{&got, &again} {
		if err := json.Unmarshal(enter(t, s, v), p); err != nil {
			t.Fatal(err)
		}
	}
	if got["challenge"] == again["challenge"] {
		t.Error("two arrivals have one challenge")
	}
	delete(got, "challenge")
	want := map[string]any{"audience": audience, "flow": "run-1", "step": "phone", "expiresAt": "2026-03-01T12:02:00Z"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
}

func TestEvidence(t *testing.T) {
	t.Parallel()
	for binding, level := range map[string]assurance.Level{"aal1": assurance.AAL1, "aal2": assurance.AAL2, "gold": assurance.None} {
		d := newDevice(t)
		a := d.bound(t, subject)
		a.Binding = binding
		r := newRepository(t, a)
		out, err := play(t, newStep(t, r), visit(nil), d)
		if err != nil {
			t.Fatal(err)
		}
		want := &flows.Proof{Evidence: assurance.Evidence{
			Method: assurance.DeviceKey, Authenticator: d.id(t), Device: phone, Categories: []assurance.Category{assurance.Possession},
			ReplayResistant: true, UserPresent: true, Binding: level, Cap: assurance.AAL3,
		}}
		if diff := cmp.Diff(want, out.Passed()); diff != "" {
			t.Errorf("%s: -want +got:\n%s", binding, diff)
		}
		all, err := r.Authenticators(t.Context(), subject)
		if err != nil || !all[0].LastUsed.Equal(now) {
			t.Errorf("last used: %v, %v", all, err)
		}
	}
}

// A key that is not this account's on this very phone is answered like a wrong signature (T-115, T-120).
func TestKeyThatDoesNotCount(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		owner string
		edit  func(*account.Authenticator)
		run   func(*flows.Visit)
	}{
		"of another account":  {owner: other},
		"of nobody":           {owner: ""},
		"revoked":             {owner: subject, edit: func(a *account.Authenticator) { a.Status = account.Disabled }},
		"status unheard of":   {owner: subject, edit: func(a *account.Authenticator) { a.Status = "frozen" }},
		"of another type":     {owner: subject, edit: func(a *account.Authenticator) { a.Type = account.TypeTOTP }},
		"of another phone":    {owner: subject, edit: func(a *account.Authenticator) { a.Key = "another-phone" }},
		"of no phone":         {owner: subject, edit: func(a *account.Authenticator) { a.Key = "" }, run: func(v *flows.Visit) { v.Key = "" }},
		"of unknown claimant": {owner: subject, run: func(v *flows.Visit) { v.Claimed = "" }},
	} {
		d := newDevice(t)
		r := newRepository(t)
		if c.owner != "" {
			a := d.bound(t, c.owner)
			if c.edit != nil {
				c.edit(&a)
			}
			if err := r.AddAuthenticator(t.Context(), a); err != nil {
				t.Fatal(err)
			}
		}
		out, err := play(t, newStep(t, r), visit(c.run), d)
		if reason, ok := out.Rejected(); err != nil || !ok || reason != "wrong" {
			t.Errorf("%s: got %+v, %v", name, out, err)
		}
		if n := r.updates.Load(); n != 0 {
			t.Errorf("%s: %d transactions, want none", name, n)
		}
	}
}

// Authenticators of whomever must not let in a run that claims nobody.
func TestEmptySubjectIsNobody(t *testing.T) {
	t.Parallel()
	d := newDevice(t)
	s := newStep(t, orphans{newRepository(t, d.bound(t, subject))})
	out, err := play(t, s, visit(func(v *flows.Visit) { v.Claimed = "" }), d)
	if _, ok := out.Rejected(); err != nil || !ok {
		t.Errorf("got %+v, %v", out, err)
	}
}

// orphans returns Jane's authenticators for whomever is asked.
type orphans struct{ *repository }

func (o orphans) Authenticators(ctx context.Context, _ string) ([]account.Authenticator, error) {
	return o.repository.Authenticators(ctx, subject)
}

func TestRevokedWhileBeingVerified(t *testing.T) {
	t.Parallel()
	d := newDevice(t)
	r := newRepository(t, d.bound(t, subject))
	r.before = func() {
		if err := r.Accounts.UpdateAuthenticator(t.Context(), d.id(t), func(a *account.Authenticator) error {
			a.Status = account.Disabled
			return nil
		}); err != nil {
			t.Error(err)
		}
	}
	out, err := play(t, newStep(t, r), visit(nil), d)
	if reason, ok := out.Rejected(); err != nil || !ok || reason != "wrong" {
		t.Errorf("got %+v, %v", out, err)
	}
}

// What is signed for anything else is refused (T-107, T-114).
func TestSignedForSomethingElse(t *testing.T) {
	t.Parallel()
	d := newDevice(t)
	for name, c := range map[string]struct {
		claim string
		value any
	}{
		"another run":       {"flow", "run-2"},
		"another step":      {"step", "tablet"},
		"another audience":  {"aud", "https://staging.stile.example"},
		"another client":    {"iss", "other-app"},
		"another subject":   {"sub", "somebody"},
		"another challenge": {"nonce", strings.Repeat("A", 43)},
		"long ago":          {"iat", now.Add(-time.Hour).Unix()},
		"good for an hour":  {"exp", now.Add(time.Hour).Unix()},
	} {
		s, v := newStep(t, newRepository(t, d.bound(t, subject))), visit(nil)
		signed := claims(t, enter(t, s, v), d.id(t))
		signed[c.claim] = c.value
		out, err := s.Answer(t.Context(), v, d.sign(t, d.id(t), signed))
		if _, ok := out.Rejected(); err != nil || !ok {
			t.Errorf("%s: %+v, %v", name, out, err)
		}
	}
}

// A challenge is spent by the answer that it gets, right or wrong.
func TestChallengeIsAnsweredOnce(t *testing.T) {
	t.Parallel()
	d := newDevice(t)
	s, v := newStep(t, newRepository(t, d.bound(t, subject))), visit(nil)
	good := d.sign(t, d.id(t), claims(t, enter(t, s, v), d.id(t)))
	if out, err := s.Answer(t.Context(), v, flows.Input(`{"jws":"a.b.c"}`)); err != nil {
		t.Fatalf("%+v, %v", out, err)
	}
	out, err := s.Answer(t.Context(), v, good)
	if reason, ok := out.Rejected(); err != nil || !ok || reason != string(devicejws.WrongContext) {
		t.Errorf("the old challenge after a wrong answer: %+v, %v", out, err)
	}
}

func TestOldChallengeIsAskedAgain(t *testing.T) {
	t.Parallel()
	d := newDevice(t)
	s, v := newStep(t, newRepository(t, d.bound(t, subject))), visit(nil)
	signed := claims(t, enter(t, s, v), d.id(t))
	v.Now = now.Add(devicejws.ChallengeLife)
	signed["iat"], signed["exp"] = v.Now.Unix(), v.Now.Unix()+60
	out, err := s.Answer(t.Context(), v, d.sign(t, d.id(t), signed))
	if err != nil || out.Asked() == nil {
		t.Errorf("got %+v, %v; want a fresh challenge", out, err)
	}
}

// Data that cannot be read, or that belongs to another key, is our fault and lets nobody in.
func TestUnreadableKeyIsAnError(t *testing.T) {
	t.Parallel()
	d := newDevice(t)
	swapped := d.bound(t, subject)
	attacker := newDevice(t)
	swapped.Data = attacker.bound(t, subject).Data
	unreadable := d.bound(t, subject)
	unreadable.Data = []byte(`{"jwk":{"kty":"EC"}}`)
	for name, a := range map[string]account.Authenticator{"another key": swapped, "no key": unreadable} {
		s, v := newStep(t, newRepository(t, a)), visit(nil)
		out, err := s.Answer(t.Context(), v, attacker.sign(t, d.id(t), claims(t, enter(t, s, v), d.id(t))))
		if err == nil || errors.Is(err, flows.ErrUnavailable) || errors.Is(err, flows.ErrMalformed) {
			t.Errorf("%s: got %+v, %v", name, out, err)
		}
	}
}
