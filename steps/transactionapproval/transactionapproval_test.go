package transactionapproval_test

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
	"testing"
	"testing/fstest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/stile-auth/stile/flowdefs"
	"github.com/stile-auth/stile/flows"
	"github.com/stile-auth/stile/flows/account"
	"github.com/stile-auth/stile/flows/store/memory"
	"github.com/stile-auth/stile/steps/devicebiometric"
	"github.com/stile-auth/stile/steps/devicejws"
	"github.com/stile-auth/stile/steps/devicekey"
	"github.com/stile-auth/stile/steps/steptest"
	"github.com/stile-auth/stile/steps/transactionapproval"
)

const (
	subject  = "subject-of-jane"
	audience = "https://stile.example"
	phone    = "thumbprint-of-the-runs-key"
	texts    = "messages:\n  en: { pay: \"Pay {amount} to {payee}?\" }\n  de: { pay: \"{amount} an {payee} zahlen?\" }\n"
)

var now = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

// repository fails on demand.
type repository struct {
	*memory.Accounts
	down bool
}

func (r *repository) Authenticators(ctx context.Context, subject string) ([]account.Authenticator, error) {
	if r.down {
		return nil, errors.New("database is down")
	}
	return r.Accounts.Authenticators(ctx, subject)
}

// world has Jane, whose phone has one key.
type world struct {
	repository *repository
	key        *ecdsa.PrivateKey
	id         string
	messages   *flowdefs.Messages
}

func newWorld(t testing.TB) *world {
	t.Helper()
	k, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	public, err := devicejws.NewKey(&k.PublicKey)
	if err != nil {
		t.Fatal(err)
	}
	jwk, err := json.Marshal(public)
	if err != nil {
		t.Fatal(err)
	}
	data, err := json.Marshal(account.DeviceData{JWK: jwk})
	if err != nil {
		t.Fatal(err)
	}
	w := &world{repository: &repository{Accounts: memory.New().Accounts()}, key: k, id: public.ID()}
	if err := w.repository.CreateAccount(t.Context(), account.Account{Subject: subject, Status: account.Active, Created: now}, []account.Authenticator{{
		ID: w.id, Subject: subject, Type: account.TypeDevice, Status: account.Active, Binding: "aal2", Key: phone, Data: data, Created: now,
	}}, nil); err != nil {
		t.Fatal(err)
	}
	w.messages = w.load(t, texts).Messages
	return w
}

func (w *world) load(t testing.TB, texts string) *flowdefs.Set {
	t.Helper()
	registry, err := flows.NewRegistry(transactionapproval.Type(w.repository, audience))
	if err != nil {
		t.Fatal(err)
	}
	text := "flows:\n  f:\n    kind: transaction\n    steps:\n      - { id: it, type: transaction_approval, with: { text: pay, fields: [amount, payee] } }\n" + texts
	set, err := flowdefs.Load(fstest.MapFS{"f.yaml": {Data: []byte(text)}}, ".", registry)
	if err != nil {
		t.Fatal(err)
	}
	return set
}

func (w *world) step(t testing.TB) flows.Step {
	t.Helper()
	s, err := transactionapproval.Type(w.repository, audience).New(w.load(t, texts).Flows["f"].Steps[0].With)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func (w *world) visit(edit func(*flows.Visit)) *flows.Visit {
	v := flows.Visit{
		RunID: "run-1", StepID: "sign", Turn: 2, Attempt: 1, Now: now, Key: phone, Claimed: subject, Client: flowdefs.Client{ID: "bank-app"},
		Transaction: map[string]string{"amount": "12.50 CHF", "payee": "Ann <ann@example.org> & \"Co\" \\ Zoë"}, Messages: w.messages,
	}
	if edit != nil {
		edit(&v)
	}
	return flows.NewVisit(v, "owner", nil)
}

// sign makes the answer to a prompt, with the members of the payload that edit changes.
func (w *world) sign(t testing.TB, prompt json.RawMessage, edit map[string]any) flows.Input {
	t.Helper()
	return w.signAs(t, w.id, prompt, edit)
}

func (w *world) signAs(t testing.TB, id string, prompt json.RawMessage, edit map[string]any) flows.Input {
	t.Helper()
	var p struct{ Challenge, Audience, Flow, Step, Txn string }
	if err := json.Unmarshal(prompt, &p); err != nil {
		t.Fatal(err)
	}
	claims := map[string]any{
		"aud": p.Audience, "iss": "bank-app", "sub": id, "nonce": p.Challenge, "flow": p.Flow, "step": p.Step,
		"iat": now.Unix(), "exp": now.Unix() + 60, "txn": p.Txn,
	}
	maps.Copy(claims, edit)
	maps.DeleteFunc(claims, func(_ string, v any) bool { return v == nil })
	text := part(t, map[string]any{"typ": "devauth+jwt", "alg": "ES256", "kid": id}) + "." + part(t, claims)
	hash := sha256.Sum256([]byte(text))
	r, s, err := ecdsa.Sign(rand.Reader, w.key, hash[:])
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

func TestConformance(t *testing.T) {
	steptest.Run(t, func(t *testing.T) steptest.Case {
		w := newWorld(t)
		return steptest.Case{
			Type:  transactionapproval.Type(w.repository, audience),
			With:  "{ text: pay, fields: [amount, payee] }",
			More:  texts,
			Visit: *w.visit(nil),
			Answer: func(prompt json.RawMessage, _ *flows.Visit, how string) flows.Input {
				if how == "ok" {
					return w.sign(t, prompt, nil)
				}
				return newWorld(t).signAs(t, w.id, prompt, nil)
			},
			Break: func() { w.repository.down = true },
		}
	})
}

// What is shown is the server's text with the client's words in it, and its hash
// can be computed from the prompt alone.
func TestShown(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	var p struct {
		Message, Locale, Text, Txn string
		Arguments                  map[string]string
	}
	if err := json.Unmarshal(enter(t, w.step(t), w.visit(func(v *flows.Visit) { v.Locale = "de-AT" })), &p); err != nil {
		t.Fatal(err)
	}
	if p.Locale != "de" || p.Text != `12.50 CHF an Ann <ann@example.org> & "Co" \ Zoë zahlen?` {
		t.Errorf("%s: %s", p.Locale, p.Text)
	}
	canonical := `{"arguments":{"amount":"12.50 CHF","payee":"Ann <ann@example.org> & \"Co\" \\ Zoë"},` +
		`"locale":"de","message":"pay","text":"12.50 CHF an Ann <ann@example.org> & \"Co\" \\ Zoë zahlen?"}`
	sum := sha256.Sum256([]byte(canonical))
	if want := base64.RawURLEncoding.EncodeToString(sum[:]); p.Txn != want {
		t.Errorf("txn %s, want %s", p.Txn, want)
	}
}

func TestAttacks(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	s := w.step(t)
	other := func(t *testing.T, edit func(*flows.Visit)) string {
		t.Helper()
		var p struct{ Txn string }
		if err := json.Unmarshal(enter(t, s, w.visit(edit)), &p); err != nil {
			t.Fatal(err)
		}
		return p.Txn
	}
	for name, edit := range map[string]map[string]any{
		"no transaction": {"txn": nil},
		"an empty one":   {"txn": ""},
		"another amount": {"txn": other(t, func(v *flows.Visit) { v.Transaction["amount"] = "1250 CHF" })},
		"another text":   {"txn": other(t, func(v *flows.Visit) { v.Locale = "de" })},
		"another run":    {"flow": "run-2"},
		"another step":   {"step": "other"},
	} {
		v := w.visit(nil)
		out, err := s.Answer(t.Context(), v, w.sign(t, enter(t, s, v), edit))
		if _, rejected := out.Rejected(); err != nil || !rejected || out.Passed() != nil {
			t.Errorf("%s: %+v, %v", name, out, err)
		}
	}
}

// What is approved is what was shown, also if the texts changed in the meantime.
func TestTextsChange(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	s, v := w.step(t), w.visit(nil)
	prompt := enter(t, s, v)
	v.Messages = w.load(t, "messages:\n  en: { pay: \"Do not pay {amount} to {payee}?\" }\n").Messages
	out, err := s.Answer(t.Context(), v, w.sign(t, prompt, nil))
	if err != nil || out.Passed() == nil {
		t.Fatalf("%+v, %v", out, err)
	}
	want, err := flows.NewApproval("pay", "en", `Pay 12.50 CHF to Ann <ann@example.org> & "Co" \ Zoë?`, v.Transaction)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(&want, out.Passed().Approved); diff != "" {
		t.Errorf("approved (-want +got):\n%s", diff)
	}
}

// A signature that approves is none that authenticates.
func TestApprovalIsNoAuthentication(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	s, err := devicebiometric.Type(w.repository, audience, devicekey.Attestation{}).New(none{})
	if err != nil {
		t.Fatal(err)
	}
	v := w.visit(nil)
	prompt := enter(t, s, v)
	out, err := s.Answer(t.Context(), v, w.sign(t, prompt, map[string]any{"txn": "hash"}))
	if _, rejected := out.Rejected(); err != nil || !rejected {
		t.Errorf("%+v, %v", out, err)
	}
	v = w.visit(nil)
	out, err = s.Answer(t.Context(), v, w.sign(t, enter(t, s, v), map[string]any{"txn": nil}))
	if err != nil || out.Passed() == nil || out.Passed().Approved != nil {
		t.Errorf("without a transaction: %+v, %v", out, err)
	}
}

type none struct{}

func (none) Decode(any) error { return nil }

func TestBadConfiguration(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	registry, err := flows.NewRegistry(transactionapproval.Type(w.repository, audience))
	if err != nil {
		t.Fatal(err)
	}
	for name, with := range map[string]string{
		"twice":             "{ text: pay, fields: [amount, amount, payee] }",
		"no argument":       "{ text: pay, fields: [amount, payee, 'IBAN!'] }",
		"not in the text":   "{ text: pay, fields: [amount, payee, iban] }",
		"more in the text":  "{ text: pay, fields: [amount] }",
		"no text":           "{ text: pay-that, fields: [amount] }",
		"too many":          "{ text: pay, fields: [a, b, c, d, e, f, g, h, i, j, k, l, m, n, o, p, q] }",
		"nothing is signed": "{ text: pay }",
	} {
		text := "flows:\n  f:\n    kind: transaction\n    steps:\n      - { id: it, type: transaction_approval, with: " + with + " }\n" + texts
		if _, err := flowdefs.Load(fstest.MapFS{"f.yaml": {Data: []byte(text)}}, ".", registry); err == nil {
			t.Errorf("%s: loads", name)
		}
	}
	without := "flows:\n  f:\n    kind: transaction\n    steps:\n      - { id: it, type: transaction_approval, with: { text: pay, fields: [amount] } }\n"
	for name, text := range map[string]string{
		"no texts at all":          without,
		"a text about nothing":     "flows:\n  f:\n    kind: transaction\n    steps:\n      - { id: it, type: transaction_approval, with: { text: pay, fields: [] } }\nmessages:\n  en: { pay: \"Do it?\" }\n",
		"a flow of another kind":   "flows:\n  f:\n    steps:\n      - { id: it, type: transaction_approval, with: { text: pay, fields: [amount, payee] } }\n" + texts,
		"one language hides a sum": "flows:\n  f:\n    kind: transaction\n    steps:\n      - { id: it, type: transaction_approval, with: { text: pay, fields: [amount] } }\nmessages:\n  en: { pay: \"Pay {amount}?\" }\n  de: { pay: \"Zahlen?\" }\n",
	} {
		if _, err := flowdefs.Load(fstest.MapFS{"f.yaml": {Data: []byte(text)}}, ".", registry); err == nil {
			t.Errorf("%s: loads", name)
		}
	}
}
