package consent_test

import (
	"context"
	"encoding/json"
	"errors"
	"testing"
	"testing/fstest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/stile-auth/stile/flowdefs"
	"github.com/stile-auth/stile/flows"
	"github.com/stile-auth/stile/flows/account"
	"github.com/stile-auth/stile/flows/store/memory"
	"github.com/stile-auth/stile/steps/consent"
	"github.com/stile-auth/stile/steps/steptest"
)

const subject = "subject-of-jane"

var (
	now = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	run = flows.Visit{
		RunID: "run-1", StepID: "it", Turn: 1, Attempt: 1, Now: now, Subject: subject, Claimed: subject, Client: flowdefs.Client{ID: "app"},
	}
)

// repository can fail on demand.
type repository struct {
	*memory.Accounts
	down bool
}

func (r *repository) Agreements(ctx context.Context, subject string) ([]account.Agreement, error) {
	if r.down {
		return nil, errors.New("database is down")
	}
	return r.Accounts.Agreements(ctx, subject)
}

func (r *repository) Agree(ctx context.Context, a account.Agreement) error {
	if r.down {
		return errors.New("database is down")
	}
	return r.Accounts.Agree(ctx, a)
}

func jane(t testing.TB) *repository {
	t.Helper()
	r := &repository{Accounts: memory.New().Accounts()}
	if err := r.CreateAccount(t.Context(), account.Account{Subject: subject, Status: account.Active, Created: now}, nil, nil); err != nil {
		t.Fatal(err)
	}
	return r
}

func newStep(t testing.TB, as consent.Agreements, with string) (flows.Step, error) {
	t.Helper()
	typ := consent.Type(as)
	reg, err := flows.NewRegistry(typ)
	if err != nil {
		t.Fatal(err)
	}
	set, err := flowdefs.Load(fstest.MapFS{"f.yaml": {Data: []byte("flows: {f: {steps: [{id: it, type: consent, with: {" + with + "}}]}}")}}, ".", reg)
	if err != nil {
		return nil, err
	}
	return typ.New(set.Flows["f"].Steps[0].With)
}

// asks says what is new for that client, nil if nothing is asked.
func asks(t testing.TB, r *repository, client, with string) []string {
	t.Helper()
	out, err := must(t, r, with).Enter(t.Context(), visit(client))
	if err != nil {
		t.Fatal(err)
	}
	if out.IsDone() {
		return nil
	}
	text, err := json.Marshal(out.Asked().Data)
	var p struct {
		Client string
		New    []string
	}
	if err := errors.Join(err, json.Unmarshal(text, &p)); err != nil || p.Client != client {
		t.Fatalf("%s: %v", text, err)
	}
	return p.New
}

func must(t testing.TB, as consent.Agreements, with string) flows.Step {
	t.Helper()
	s, err := newStep(t, as, with)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func visit(client string) *flows.Visit {
	v := run
	v.Client.ID = client
	return flows.NewVisit(v, "owner", nil)
}

// There is no wrong answer, and who has agreed is not asked twice.
func TestConformance(t *testing.T) {
	t.Parallel()
	for _, check := range steptest.Checks() {
		if check.Name == "wrong answer is an outcome" || check.Name == "proof is good once" {
			continue
		}
		t.Run(check.Name, func(t *testing.T) {
			t.Parallel()
			r := jane(t)
			err := check.Run(t.Context(), steptest.Case{
				Type: consent.Type(r), With: "{ scopes: [accounts] }", Visit: run,
				Answer: func(json.RawMessage, *flows.Visit, string) flows.Input { return flows.Input(`{"accept":true}`) },
				Break:  func() { r.down = true }, Reusable: true, NeedsSubject: true,
			})
			if err != nil {
				t.Error(err)
			}
		})
	}
}

// What an app was given is remembered, for that app, until more is asked for or it is taken back.
func TestRemembered(t *testing.T) {
	t.Parallel()
	r := jane(t)
	const few, more = "scopes: [payments, accounts]", "scopes: [accounts, cards], claims: [accounts]"
	if diff := cmp.Diff([]string{"accounts", "payments"}, asks(t, r, "app", few)); diff != "" {
		t.Error(diff)
	}
	if out, err := must(t, r, few).Answer(t.Context(), visit("app"), flows.Input(`{"accept":false}`)); err != nil || out.Exited() != "declined" || asks(t, r, "app", few) == nil {
		t.Errorf("declined: %+v, %v", out, err)
	}
	if out, err := must(t, r, few).Answer(t.Context(), visit("app"), flows.Input(`{"accept":true}`)); err != nil || !out.IsDone() {
		t.Fatalf("%+v, %v", out, err)
	}
	if asks(t, r, "app", few) != nil || asks(t, r, "app", "scopes: [accounts]") != nil {
		t.Error("asks again")
	}
	if asks(t, r, "another", few) == nil {
		t.Error("given to another app")
	}
	if diff := cmp.Diff([]string{"cards", "claim:accounts"}, asks(t, r, "app", more)); diff != "" {
		t.Error(diff)
	}
	if out, err := must(t, r, more).Answer(t.Context(), visit("app"), flows.Input(`{"accept":true}`)); err != nil || !out.IsDone() {
		t.Fatalf("%+v, %v", out, err)
	}
	if asks(t, r, "app", few) != nil || asks(t, r, "app", more) != nil {
		t.Error("what was given before is gone")
	}
	if err := r.Revoke(t.Context(), subject, account.Consent, "app"); err != nil || asks(t, r, "app", few) == nil {
		t.Errorf("taken back, and not asked: %v", err)
	}
}

func TestNothingIsGiven(t *testing.T) {
	t.Parallel()
	s := must(t, jane(t), "scopes: [accounts]")
	for _, in := range []string{`{}`, `{"accept":"true"}`, `{"accept":true,"scopes":["all"]}`} {
		if out, err := s.Answer(t.Context(), visit("app"), flows.Input(in)); !errors.Is(err, flows.ErrMalformed) {
			t.Errorf("%s: %+v, %v", in, out, err)
		}
	}
	if out, err := s.Answer(t.Context(), visit(""), flows.Input(`{"accept":true}`)); err == nil {
		t.Errorf("no client: %+v", out)
	}
	if out, err := must(t, nil, "scopes: [accounts]").Enter(t.Context(), visit("app")); !errors.Is(err, flows.ErrUnavailable) {
		t.Errorf("no store: %+v, %v", out, err)
	}
}

func TestConfiguration(t *testing.T) {
	t.Parallel()
	for _, bad := range []string{"", "scopes: []", "scopes: ['a b']", "scopes: [a, a]", "scopes: ['claim:a']", "scopes: [a], claims: ['']"} {
		if _, err := newStep(t, jane(t), bad); err == nil {
			t.Errorf("%s: loads", bad)
		}
	}
}
