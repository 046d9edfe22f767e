package devicekey_test

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"errors"
	"testing"
	"time"

	"github.com/stile-auth/stile/flowdefs"
	"github.com/stile-auth/stile/flows"
	"github.com/stile-auth/stile/flows/account"
	"github.com/stile-auth/stile/flows/assurance"
	"github.com/stile-auth/stile/flows/store/memory"
	"github.com/stile-auth/stile/steps/androidkey"
	"github.com/stile-auth/stile/steps/androidkeytest"
	"github.com/stile-auth/stile/steps/appattest"
	"github.com/stile-auth/stile/steps/appattesttest"
	"github.com/stile-auth/stile/steps/devicebiometric"
	"github.com/stile-auth/stile/steps/deviceenrolment"
	"github.com/stile-auth/stile/steps/devicejws"
	"github.com/stile-auth/stile/steps/devicekey"
)

const (
	subject    = "subject-of-jane"
	audience   = "https://stile.example"
	phoneKey   = "thumbprint-of-the-runs-key"
	androidApp = "com.bank.app"
	appleApp   = "ABCDE12345.com.bank.app"
)

var (
	now    = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	digest = bytes.Repeat([]byte{7}, 32)
)

// world is a server that knows both kinds of phones, and who makes them.
type world struct {
	t        testing.TB
	google   *androidkeytest.Maker
	apple    *appattesttest.Maker
	android  androidkey.Config
	accounts *memory.Accounts
	by       devicekey.Attestation
}

func newWorld(t testing.TB) *world {
	t.Helper()
	w := &world{t: t, accounts: memory.New().Accounts()}
	var err error
	if w.google, err = androidkeytest.NewRemote(now); err != nil {
		t.Fatal(err)
	}
	if w.apple, err = appattesttest.New(func() time.Time { return now }); err != nil {
		t.Fatal(err)
	}
	w.android = androidkey.Config{Roots: []*x509.Certificate{w.google.Root()}, Apps: []androidkey.App{{Package: androidApp, Certificate: digest}}}
	if w.by.Android, err = androidkey.New(w.android); err != nil {
		t.Fatal(err)
	}
	if w.by.Apple, err = appattest.New(appattest.Config{Roots: []*x509.Certificate{w.apple.Root()}, Apps: []string{appleApp}}); err != nil {
		t.Fatal(err)
	}
	if err := w.accounts.CreateAccount(t.Context(), account.Account{Subject: subject, Status: account.Active, Created: now}, nil, nil); err != nil {
		t.Fatal(err)
	}
	return w
}

// config is a step's configuration as JSON, by the names of the fields.
type config string

func (c config) Decode(dst any) error { return json.Unmarshal([]byte(c), dst) }

func (w *world) binder(mode string) flows.Step {
	w.t.Helper()
	return w.step(deviceenrolment.Type(w.accounts, audience, w.by), config(`{"Attestation":"`+mode+`"}`))
}

func (w *world) user(mode string) flows.Step {
	w.t.Helper()
	return w.step(devicebiometric.Type(w.accounts, audience, w.by), config(`{"Attested":"`+mode+`"}`))
}

func (w *world) step(typ flows.StepType, with config) flows.Step {
	w.t.Helper()
	s, err := typ.New(with)
	if err != nil {
		w.t.Fatal(err)
	}
	return s
}

func (w *world) visit(edit func(*flows.Visit)) *flows.Visit {
	v := flows.Visit{
		RunID: "run-1", StepID: "phone", Turn: 3, Attempt: 1, Now: now, Key: phoneKey, Subject: subject, Claimed: subject,
		Level: assurance.AAL3, Client: flowdefs.Client{ID: "bank-app"},
	}
	if edit != nil {
		edit(&v)
	}
	return flows.NewVisit(v, rand.Text(), memory.New())
}

// phone has a key, and on iPhones one of App Attest beside it.
type phone struct {
	key *ecdsa.PrivateKey
	own *appattesttest.Device
}

func (w *world) phone() *phone {
	w.t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		w.t.Fatal(err)
	}
	own, err := w.apple.Device(appleApp)
	if err != nil {
		w.t.Fatal(err)
	}
	return &phone{key, own}
}

func (p *phone) id(t testing.TB) string { t.Helper(); return p.public(t).ID() }

func (p *phone) public(t testing.TB) devicejws.Key {
	t.Helper()
	k, err := devicejws.NewKey(&p.key.PublicKey)
	if err != nil {
		t.Fatal(err)
	}
	return k
}

func (p *phone) sign(t testing.TB, header, claims map[string]any) string {
	t.Helper()
	text := part(t, header) + "." + part(t, claims)
	hash := sha256.Sum256([]byte(text))
	r, s, err := ecdsa.Sign(rand.Reader, p.key, hash[:])
	if err != nil {
		t.Fatal(err)
	}
	signature := make([]byte, 64)
	r.FillBytes(signature[:32])
	s.FillBytes(signature[32:])
	return text + "." + encode(signature)
}

func part(t testing.TB, v any) string {
	t.Helper()
	data, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return encode(data)
}

func encode(b []byte) string { return base64.RawURLEncoding.EncodeToString(b) }

// prompt is what both steps show.
type prompt struct {
	Challenge, Audience, Flow, Step string
	Attestation                     map[string]json.RawMessage
}

func enter(t testing.TB, s flows.Step, v *flows.Visit) prompt {
	t.Helper()
	out, err := s.Enter(t.Context(), v)
	if err != nil {
		t.Fatal(err)
	}
	data, err := json.Marshal(out.Asked().Data)
	if err != nil {
		t.Fatal(err)
	}
	var p prompt
	if err := json.Unmarshal(data, &p); err != nil {
		t.Fatal(err)
	}
	return p
}

func (p prompt) claims(more map[string]any) map[string]any {
	out := map[string]any{"aud": p.Audience, "nonce": p.Challenge, "flow": p.Flow, "step": p.Step, "iat": now.Unix(), "exp": now.Unix() + 60}
	for name, value := range more {
		out[name] = value
	}
	return out
}

func (p *phone) binding(t testing.TB, q prompt) string {
	t.Helper()
	return p.sign(t, map[string]any{"typ": "devbind+jwt", "alg": "ES256", "jwk": p.public(t)}, q.claims(map[string]any{"jkt": phoneKey}))
}

func (p *phone) authentication(t testing.TB, q prompt) string {
	t.Helper()
	id := p.id(t)
	return p.sign(t, map[string]any{"typ": "devauth+jwt", "alg": "ES256", "kid": id}, q.claims(map[string]any{"iss": "bank-app", "sub": id}))
}

// android is the statement of a phone with Android.
func (w *world) androidSays(p *phone, q prompt, edits ...func(*androidkeytest.Draft)) map[string]any {
	w.t.Helper()
	challenge, err := base64.RawURLEncoding.DecodeString(q.Challenge)
	if err != nil {
		w.t.Fatal(err)
	}
	chain, err := w.google.Attest(&p.key.PublicKey, challenge, androidApp, digest, edits...)
	if err != nil {
		w.t.Fatal(err)
	}
	var text []string
	for _, der := range chain {
		text = append(text, encode(der))
	}
	return map[string]any{"format": "android-key", "chain": text}
}

// apple is the statement of an iPhone about a signature.
func (w *world) appleSays(p *phone, q prompt, jws string, edits ...func(*appattesttest.Draft)) map[string]any {
	w.t.Helper()
	challenge, err := base64.RawURLEncoding.DecodeString(q.Challenge)
	if err != nil {
		w.t.Fatal(err)
	}
	object, err := p.own.Attest(challenge, edits...)
	if err != nil {
		w.t.Fatal(err)
	}
	return map[string]any{"format": "apple-appattest", "object": encode(object), "assertion": p.assertion(w.t, jws)}
}

func (p *phone) assertion(t testing.TB, jws string, edits ...func(*appattesttest.Draft)) string {
	t.Helper()
	raw, err := p.own.Assert([]byte(jws), edits...)
	if err != nil {
		t.Fatal(err)
	}
	return encode(raw)
}

func body(t testing.TB, members map[string]any) flows.Input {
	t.Helper()
	data, err := json.Marshal(members)
	if err != nil {
		t.Fatal(err)
	}
	return data
}

// enrol binds a phone that says what it says.
func (w *world) enrol(mode string, p *phone, says func(q prompt, jws string) map[string]any) (flows.Outcome, error) {
	w.t.Helper()
	s, v := w.binder(mode), w.visit(nil)
	q := enter(w.t, s, v)
	members := map[string]any{"jws": p.binding(w.t, q)}
	if says != nil {
		members["attestation"] = says(q, members["jws"].(string))
	}
	return s.Answer(w.t.Context(), v, body(w.t, members))
}

// bound binds a phone, and completes the binding.
func (w *world) bound(platform string) *phone {
	w.t.Helper()
	p := w.phone()
	says := map[string]func(prompt, string) map[string]any{
		account.PlatformAndroid: func(q prompt, _ string) map[string]any { return w.androidSays(p, q) },
		account.PlatformIOS:     func(q prompt, jws string) map[string]any { return w.appleSays(p, q, jws) },
	}[platform]
	out, err := w.enrol("preferred", p, says)
	if err != nil || out.EnrolledID() == "" {
		w.t.Fatalf("%s: %+v, %v", platform, out, err)
	}
	w.activate(p)
	return p
}

// activate completes the binding of a phone.
func (w *world) activate(p *phone) {
	w.t.Helper()
	err := w.accounts.UpdateAuthenticator(w.t.Context(), p.id(w.t), func(a *account.Authenticator) error {
		a.Status = account.Active
		return nil
	})
	if err != nil {
		w.t.Fatal(err)
	}
}

// data is what is stored of a phone.
func (w *world) data(p *phone) (d account.DeviceData) {
	w.t.Helper()
	all, err := w.accounts.Authenticators(context.Background(), subject)
	if err != nil {
		w.t.Fatal(err)
	}
	for _, a := range all {
		if a.ID == p.id(w.t) {
			if err := json.Unmarshal(a.Data, &d); err != nil {
				w.t.Fatal(err)
			}
			return d
		}
	}
	w.t.Fatal(errors.New("the phone is not bound"))
	return d
}
