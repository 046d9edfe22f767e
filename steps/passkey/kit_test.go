package passkey_test

import (
	"context"
	"encoding/json"
	"errors"
	"testing"
	"testing/fstest"
	"time"

	"github.com/stile-auth/stile/flowdefs"
	"github.com/stile-auth/stile/flows"
	"github.com/stile-auth/stile/flows/account"
	"github.com/stile-auth/stile/flows/assurance"
	"github.com/stile-auth/stile/flows/store/memory"
	"github.com/stile-auth/stile/steps/passkey"
	"github.com/stile-auth/stile/steps/passkeyenrolment"
	"github.com/stile-auth/stile/steps/webauthn"
	"github.com/stile-auth/stile/steps/webauthntest"
)

const (
	jane   = "subject-of-jane"
	john   = "subject-of-john"
	origin = "https://login.bank.example"
	app    = "android:apk-key-hash:47DEQpj8HBSa-_TImW-5JCeuQeRkm5NMpJWZG3hSuFU"
)

var (
	now   = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	party = webauthn.Party{ID: "bank.example", Name: "Bank", Origins: []string{origin, app}}
)

// configured is a step with that configuration, loaded from a definition.
func configured(t testing.TB, typ flows.StepType, with string) (flowdefs.Config, error) {
	t.Helper()
	registry, err := flows.NewRegistry(typ)
	if err != nil {
		t.Fatal(err)
	}
	text := "flows: { f: { steps: [{ id: it, type: " + typ.Name + ", with: " + with + " }] } }"
	set, err := flowdefs.Load(fstest.MapFS{"f.yaml": {Data: []byte(text)}}, ".", registry)
	if err != nil {
		return nil, err
	}
	return set.Flows["f"].Steps[0].With, nil
}

func made(t testing.TB, typ flows.StepType, with string) flows.Step {
	t.Helper()
	cfg, err := configured(t, typ, with)
	if err != nil {
		t.Fatal(err)
	}
	s, err := typ.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// repository can fail on demand.
type repository struct {
	*memory.Accounts
	down    bool
	updates int
}

func (r *repository) UpdateAuthenticator(ctx context.Context, id string, fn func(*account.Authenticator) error) error {
	r.updates++
	return r.Accounts.UpdateAuthenticator(ctx, id, fn)
}

func (r *repository) Authenticators(ctx context.Context, subject string) ([]account.Authenticator, error) {
	if r.down {
		return nil, errors.New("database is down")
	}
	return r.Accounts.Authenticators(ctx, subject)
}

// world is two accounts, each with a passkey that was really enrolled.
type world struct {
	*repository
	jane, john *webauthntest.Authenticator
}

func newWorld(t testing.TB, change ...func(*webauthntest.Authenticator)) world {
	t.Helper()
	w := world{&repository{Accounts: memory.New().Accounts()}, webauthntest.New(origin), webauthntest.New(origin)}
	w.jane.Counts, w.john.Counts = true, true
	for _, f := range change {
		f(w.jane)
	}
	for subject, soft := range map[string]*webauthntest.Authenticator{jane: w.jane, john: w.john} {
		if err := w.CreateAccount(t.Context(), account.Account{Subject: subject, Status: account.Active, Created: now}, nil, nil); err != nil {
			t.Fatal(err)
		}
		w.enrol(t, subject, soft)
	}
	return w
}

// enrol binds a new passkey, and returns its id.
func (w world) enrol(t testing.TB, subject string, soft *webauthntest.Authenticator) string {
	t.Helper()
	s := made(t, passkeyenrolment.Type(w, nil, party), "{}")
	v := flows.NewVisit(flows.Visit{RunID: "first", StepID: "bind", Now: now, Subject: subject, Claimed: subject, Level: assurance.AAL2}, "enrolment of "+subject, memory.New())
	credential, err := soft.Create(enter(t, s, v))
	if err != nil {
		t.Fatal(err)
	}
	out, err := s.Answer(t.Context(), v, body(credential))
	if err != nil || out.EnrolledID() == "" {
		t.Fatalf("%+v, %v", out, err)
	}
	w.edit(t, out.EnrolledID(), func(a *account.Authenticator) { a.Status = account.Active })
	return out.EnrolledID()
}

func (w world) edit(t testing.TB, id string, f func(*account.Authenticator)) {
	t.Helper()
	if err := w.Accounts.UpdateAuthenticator(t.Context(), id, func(a *account.Authenticator) error { f(a); return nil }); err != nil {
		t.Fatal(err)
	}
}

// of returns the one passkey of an account.
func (w world) of(t testing.TB, subject string) (account.Authenticator, account.PasskeyData) {
	t.Helper()
	all, err := w.Accounts.Authenticators(t.Context(), subject)
	var d account.PasskeyData
	if err != nil || len(all) != 1 || json.Unmarshal(all[0].Data, &d) != nil {
		t.Fatalf("%+v, %v", all, err)
	}
	return all[0], d
}

// known is a run of whose account the name is known; open one of nobody's.
var (
	known = flows.Visit{RunID: "run-1", StepID: "key", Turn: 2, Attempt: 1, Now: now, Claimed: jane, Identifier: "jane"}
	open  = flows.Visit{RunID: "run-1", StepID: "key", Turn: 1, Attempt: 1, Now: now}
)

func visit(v flows.Visit, owner string) *flows.Visit { return flows.NewVisit(v, owner, memory.New()) }

func newStep(t testing.TB, w world, with string) flows.Step {
	t.Helper()
	return made(t, passkey.Type(w, party), with)
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

func body(credential json.RawMessage) flows.Input {
	return flows.Input(`{"credential":` + string(credential) + `}`)
}

func answer(t testing.TB, s flows.Step, v *flows.Visit, credential json.RawMessage, err error) flows.Outcome {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
	out, err := s.Answer(t.Context(), v, body(credential))
	if err != nil {
		t.Fatal(err)
	}
	return out
}

func refused(t testing.TB, out flows.Outcome, want webauthn.Refusal) {
	t.Helper()
	if got, ok := out.Rejected(); !ok || got != string(want) {
		t.Errorf("rejected %v with %q, want %q; passed %+v", ok, got, want, out.Passed())
	}
	if out.Again() == nil {
		t.Error("the challenge is not replaced")
	}
}
