package deviceenrolment_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"maps"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/stile-auth/stile/flows"
	"github.com/stile-auth/stile/flows/account"
	"github.com/stile-auth/stile/flows/assurance"
	"github.com/stile-auth/stile/flows/store/memory"
	"github.com/stile-auth/stile/steps/deviceenrolment"
	"github.com/stile-auth/stile/steps/devicejws"
	"github.com/stile-auth/stile/steps/devicekey"
	"github.com/stile-auth/stile/steps/devicepinenrolment"
	"github.com/stile-auth/stile/steps/steptest"
)

const (
	subject  = "subject-of-jane"
	other    = "subject-of-john"
	audience = "https://stile.example"
	phone    = "thumbprint-of-the-runs-key"
)

var now = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

// repository can fail on demand.
type repository struct {
	*memory.Accounts
	down bool
}

func (r *repository) AddAuthenticator(ctx context.Context, a account.Authenticator) error {
	if r.down {
		return errors.New("database is down")
	}
	return r.Accounts.AddAuthenticator(ctx, a)
}

func newRepository(t testing.TB) *repository {
	t.Helper()
	r := &repository{Accounts: memory.New().Accounts()}
	for _, s := range []string{subject, other} {
		if err := r.CreateAccount(t.Context(), account.Account{Subject: s, Status: account.Pending, Created: now}, nil, nil); err != nil {
			t.Fatal(err)
		}
	}
	return r
}

// config is a step's empty configuration.
type config struct{}

func (config) Decode(any) error { return nil }

func newStep(t testing.TB, as devicekey.Binder) flows.Step {
	t.Helper()
	s, err := deviceenrolment.Type(as, audience, devicekey.Attestation{}).New(config{})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

var run = flows.Visit{
	RunID: "run-1", StepID: "bind", Turn: 3, Attempt: 1, Now: now, Key: phone, Subject: subject, Claimed: subject, Level: assurance.AAL2,
}

func visit(edit func(*flows.Visit)) *flows.Visit {
	v := run
	if edit != nil {
		edit(&v)
	}
	return flows.NewVisit(v, "owner", memory.New())
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

func (d device) id(t testing.TB) string {
	t.Helper()
	k, err := devicejws.NewKey(&d.key.PublicKey)
	if err != nil {
		t.Fatal(err)
	}
	return k.ID()
}

// claims are what the prompt asks a device to sign, on a run with that key.
func claims(t testing.TB, prompt json.RawMessage, jkt string) map[string]any {
	t.Helper()
	var p struct{ Challenge, Audience, Flow, Step string }
	if err := json.Unmarshal(prompt, &p); err != nil {
		t.Fatal(err)
	}
	return map[string]any{
		"aud": p.Audience, "nonce": p.Challenge, "flow": p.Flow, "step": p.Step, "jkt": jkt,
		"iat": now.Unix(), "exp": now.Unix() + 60,
	}
}

// sign makes the JWS; the header says that the key is of the named device.
func (d device) sign(t testing.TB, named device, claims map[string]any) string {
	t.Helper()
	k, err := devicejws.NewKey(&named.key.PublicKey)
	if err != nil {
		t.Fatal(err)
	}
	text := part(t, map[string]any{"typ": "devbind+jwt", "alg": "ES256", "jwk": k}) + "." + part(t, claims)
	hash := sha256.Sum256([]byte(text))
	r, s, err := ecdsa.Sign(rand.Reader, d.key, hash[:])
	if err != nil {
		t.Fatal(err)
	}
	signature := make([]byte, 64)
	r.FillBytes(signature[:32])
	s.FillBytes(signature[32:])
	return text + "." + base64.RawURLEncoding.EncodeToString(signature)
}

func part(t testing.TB, v any) string {
	t.Helper()
	data, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return base64.RawURLEncoding.EncodeToString(data)
}

func body(jws string) flows.Input { return flows.Input(`{"jws":"` + jws + `","name":"Jane's phone"}`) }

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

// enrol plays the whole step with an honest device.
func enrol(t testing.TB, s flows.Step, v *flows.Visit, d device) (flows.Outcome, error) {
	t.Helper()
	return s.Answer(t.Context(), v, body(d.sign(t, d, claims(t, enter(t, s, v), v.Key))))
}

func TestConformance(t *testing.T) {
	for name, typ := range map[string]func(devicekey.Binder, string, devicekey.Attestation) flows.StepType{
		"device_enrolment": deviceenrolment.Type, "device_pin_enrolment": devicepinenrolment.Type,
	} {
		t.Run(name, func(t *testing.T) {
			steptest.Run(t, func(t *testing.T) steptest.Case {
				r := newRepository(t)
				return steptest.Case{
					Type:  typ(r, audience, devicekey.Attestation{}),
					Visit: run,
					Answer: func(prompt json.RawMessage, v *flows.Visit, how string) flows.Input {
						d := newDevice(t)
						if how == "ok" {
							return body(d.sign(t, d, claims(t, prompt, v.Key)))
						}
						return body(d.sign(t, newDevice(t), claims(t, prompt, v.Key)))
					},
					Break:        func() { r.down = true },
					NeedsSubject: true,
				}
			})
		})
	}
}

// A key that is bound for biometrics is not bound for a PIN as well, nor the other way.
func TestBoundForOneThing(t *testing.T) {
	t.Parallel()
	r, d := newRepository(t), newDevice(t)
	for i, typ := range []flows.StepType{deviceenrolment.Type(r, audience, devicekey.Attestation{}), devicepinenrolment.Type(r, audience, devicekey.Attestation{}), deviceenrolment.Type(r, audience, devicekey.Attestation{})} {
		s, err := typ.New(config{})
		if err != nil {
			t.Fatal(err)
		}
		v := visit(nil)
		out, err := s.Answer(t.Context(), v, body(d.sign(t, d, claims(t, enter(t, s, v), v.Key))))
		if reason, refused := out.Rejected(); err != nil || refused != (i == 1) || refused && reason != "taken" {
			t.Errorf("%d: %+v, %v", i, out, err)
		}
	}
}

func TestType(t *testing.T) {
	t.Parallel()
	typ := deviceenrolment.Type(nil, audience, devicekey.Attestation{})
	if !typ.Enrols || len(typ.Evidence) != 0 {
		t.Errorf("enrols %v, evidence %v: enrolling is never a proof", typ.Enrols, typ.Evidence)
	}
	if _, err := deviceenrolment.Type(nil, "", devicekey.Attestation{}).New(config{}); err == nil {
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
	want := map[string]any{
		"audience": audience, "flow": "run-1", "step": "bind", "algorithms": []any{"ES256"}, "expiresAt": "2026-03-01T12:02:00Z",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
}

func TestBoundDevice(t *testing.T) {
	t.Parallel()
	r, d := newRepository(t), newDevice(t)
	out, err := enrol(t, newStep(t, r), visit(nil), d)
	if err != nil || out.EnrolledID() != d.id(t) || out.Passed() != nil {
		t.Fatalf("got %+v, %v", out, err)
	}
	all, err := r.Authenticators(t.Context(), subject)
	if err != nil || len(all) != 1 {
		t.Fatalf("%d authenticators, %v", len(all), err)
	}
	k, err := devicejws.NewKey(&d.key.PublicKey)
	if err != nil {
		t.Fatal(err)
	}
	jwk, err := json.Marshal(k)
	if err != nil {
		t.Fatal(err)
	}
	want := account.Authenticator{
		ID: d.id(t), Subject: subject, Type: account.TypeDevice, Name: "Jane's phone", Status: account.Pending,
		Binding: "aal2", Key: phone, Data: []byte(`{"jwk":` + string(jwk) + `,"attested":false}`), Created: now,
	}
	if diff := cmp.Diff(want, all[0]); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
}

// A device is bound at the level that the run has, never above it.
func TestLevelAtBinding(t *testing.T) {
	t.Parallel()
	for _, level := range []assurance.Level{assurance.None, assurance.AAL1, assurance.AAL3} {
		r := newRepository(t)
		if _, err := enrol(t, newStep(t, r), visit(func(v *flows.Visit) { v.Level = level }), newDevice(t)); err != nil {
			t.Fatal(err)
		}
		all, err := r.Authenticators(t.Context(), subject)
		if err != nil || all[0].Binding != level.String() {
			t.Errorf("%v: bound at %v, %v", level, all, err)
		}
	}
}

func TestRunThatNothingCanBeBoundTo(t *testing.T) {
	t.Parallel()
	for name, edit := range map[string]func(*flows.Visit){
		"no key":     func(v *flows.Visit) { v.Key = "" },
		"no subject": func(v *flows.Visit) { v.Subject = "" },
	} {
		r := newRepository(t)
		s, d := newStep(t, r), newDevice(t)
		v := visit(edit)
		if out, err := s.Enter(t.Context(), v); !errors.Is(err, devicekey.ErrNoKey) {
			t.Errorf("%s: enter: %+v, %v", name, out, err)
		}
		// Even where a challenge was kept while all was well.
		good := visit(nil)
		prompt := enter(t, s, good)
		var c devicejws.Challenge
		if err := good.Kept(&c); err != nil {
			t.Fatal(err)
		}
		if err := v.Keep(c); err != nil {
			t.Fatal(err)
		}
		if out, err := s.Answer(t.Context(), v, body(d.sign(t, d, claims(t, prompt, v.Key)))); !errors.Is(err, devicekey.ErrNoKey) {
			t.Errorf("%s: answer: %+v, %v", name, out, err)
		}
	}
}

// What is signed for another run, step, audience, key or challenge binds nothing (T-107, T-108, T-114).
func TestSignedForSomethingElse(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		claim string
		value any
	}{
		"another run":       {"flow", "run-2"},
		"another step":      {"step", "other"},
		"another audience":  {"aud", "https://staging.stile.example"},
		"another key":       {"jkt", "thumbprint-of-an-attacker"},
		"another challenge": {"nonce", strings.Repeat("A", 43)},
		"long ago":          {"iat", now.Add(-time.Hour).Unix()},
		"good for an hour":  {"exp", now.Add(time.Hour).Unix()},
	} {
		r := newRepository(t)
		s, v, d := newStep(t, r), visit(nil), newDevice(t)
		signed := maps.Clone(claims(t, enter(t, s, v), phone))
		signed[c.claim] = c.value
		out, err := s.Answer(t.Context(), v, body(d.sign(t, d, signed)))
		if _, ok := out.Rejected(); err != nil || !ok {
			t.Errorf("%s: %+v, %v", name, out, err)
		}
		if all, err := r.Authenticators(t.Context(), subject); err != nil || len(all) != 0 {
			t.Errorf("%s: bound %v, %v", name, all, err)
		}
	}
}

// A challenge is spent by the answer that it gets, right or wrong.
func TestChallengeIsAnsweredOnce(t *testing.T) {
	t.Parallel()
	s, v, d := newStep(t, newRepository(t)), visit(nil), newDevice(t)
	good := claims(t, enter(t, s, v), phone)
	if out, err := s.Answer(t.Context(), v, body("a.b.c")); err != nil {
		t.Fatalf("%+v, %v", out, err)
	}
	out, err := s.Answer(t.Context(), v, body(d.sign(t, d, good)))
	if reason, ok := out.Rejected(); err != nil || !ok || reason != string(devicejws.WrongContext) {
		t.Errorf("the old challenge after a wrong answer: %+v, %v", out, err)
	}
}

func TestOldChallengeIsAskedAgain(t *testing.T) {
	t.Parallel()
	s, v, d := newStep(t, newRepository(t)), visit(nil), newDevice(t)
	signed := claims(t, enter(t, s, v), phone)
	v.Now = now.Add(devicejws.ChallengeLife)
	signed["iat"], signed["exp"] = v.Now.Unix(), v.Now.Unix()+60
	out, err := s.Answer(t.Context(), v, body(d.sign(t, d, signed)))
	if err != nil || out.Asked() == nil {
		t.Errorf("got %+v, %v; want a fresh challenge", out, err)
	}
}

// A key belongs to one account, for ever (T-107).
func TestKeyThatIsTaken(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		first, second func(*flows.Visit)
		between       func(*account.Authenticator) error
		reason        string
	}{
		"by another account": {second: func(v *flows.Visit) { v.Subject, v.Claimed = other, other }, reason: "taken"},
		"by another phone":   {second: func(v *flows.Visit) { v.Key = "another-phone" }, reason: "taken"},
		"and was revoked": {between: func(a *account.Authenticator) error {
			a.Status = account.Disabled
			return nil
		}, reason: "taken"},
		"by this very request": {},
	} {
		r, d := newRepository(t), newDevice(t)
		s := newStep(t, r)
		if _, err := enrol(t, s, visit(c.first), d); err != nil {
			t.Fatal(err)
		}
		if c.between != nil {
			if err := r.UpdateAuthenticator(t.Context(), d.id(t), c.between); err != nil {
				t.Fatal(err)
			}
		}
		out, err := enrol(t, s, visit(c.second), d)
		reason, _ := out.Rejected()
		if err != nil || reason != c.reason || (out.EnrolledID() != "") != (c.reason == "") {
			t.Errorf("%s: %+v, %v", name, out, err)
		}
	}
}

func TestNames(t *testing.T) {
	t.Parallel()
	for name, fit := range map[string]bool{
		"": true, "Jane's phone": true, strings.Repeat("é", 64): true, strings.Repeat("é", 65): false,
		`a\nb`: false, `\u0000`: false, `\u202egnp`: false, `line\u2028end`: false, `👩\u200d💻`: true,
	} {
		s, v, d := newStep(t, newRepository(t)), visit(nil), newDevice(t)
		jws := d.sign(t, d, claims(t, enter(t, s, v), phone))
		out, err := s.Answer(t.Context(), v, flows.Input(`{"jws":"`+jws+`","name":"`+name+`"}`))
		if fit && (err != nil || out.EnrolledID() == "") || !fit && !errors.Is(err, flows.ErrMalformed) {
			t.Errorf("%q: %+v, %v", name, out, err)
		}
	}
}

// One challenge binds one key, however many keys answer it at once.
func TestOneChallengeBindsOneKey(t *testing.T) {
	t.Parallel()
	r := newRepository(t)
	s, v := newStep(t, r), visit(nil)
	prompt := enter(t, s, v)
	answer := func(d device, owner string) error {
		w := flows.NewVisit(*v, owner, sameMarks)
		var kept any
		if err := v.Kept(&kept); err != nil {
			t.Fatal(err)
		}
		if err := w.Keep(kept); err != nil {
			t.Fatal(err)
		}
		_, err := s.Answer(t.Context(), w, body(d.sign(t, d, claims(t, prompt, phone))))
		return err
	}
	first, second := newDevice(t), newDevice(t)
	if err := answer(first, "one request"); err != nil {
		t.Fatal(err)
	}
	if err := answer(second, "another request"); !errors.Is(err, flows.ErrTaken) {
		t.Errorf("a second key on the same challenge: %v", err)
	}
	if err := answer(first, "one request"); err != nil {
		t.Errorf("the same request again: %v", err)
	}
	if all, err := r.Authenticators(t.Context(), subject); err != nil || len(all) != 1 {
		t.Errorf("%d keys are bound, %v", len(all), err)
	}
}

// The key that signs every request proves nobody's presence: it cannot be the device's.
func TestRequestKeyCannotBeBound(t *testing.T) {
	t.Parallel()
	d := newDevice(t)
	s, v := newStep(t, newRepository(t)), visit(nil)
	v.Key = d.id(t)
	out, err := s.Answer(t.Context(), v, body(d.sign(t, d, claims(t, enter(t, s, v), d.id(t)))))
	if _, refused := out.Rejected(); err != nil || !refused {
		t.Errorf("got %+v, %v", out, err)
	}
}

// sameMarks are the marks of requests to the same run.
var sameMarks = memory.New()
