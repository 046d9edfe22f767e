package terms_test

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
	"github.com/stile-auth/stile/steps/steptest"
	"github.com/stile-auth/stile/steps/terms"
)

const subject = "subject-of-jane"

var (
	now = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	run = flows.Visit{RunID: "run-1", StepID: "it", Turn: 1, Attempt: 1, Now: now, Subject: subject, Claimed: subject, Locale: "de-CH"}
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

func newStep(t testing.TB, as terms.Agreements, with string) (flows.Step, error) {
	t.Helper()
	typ := terms.Type(as)
	reg, err := flows.NewRegistry(typ)
	if err != nil {
		t.Fatal(err)
	}
	set, err := flowdefs.Load(fstest.MapFS{"f.yaml": {Data: []byte("flows: {f: {steps: [{id: it, type: terms, with: {" + with + "}}]}}")}}, ".", reg)
	if err != nil {
		return nil, err
	}
	return typ.New(set.Flows["f"].Steps[0].With)
}

func must(t testing.TB, as terms.Agreements, with string) flows.Step {
	t.Helper()
	s, err := newStep(t, as, with)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func visit() *flows.Visit { return flows.NewVisit(run, "owner", nil) }

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
				Type: terms.Type(r), With: "{ document: tos-2026 }", Visit: run,
				Answer: func(json.RawMessage, *flows.Visit, string) flows.Input { return flows.Input(`{"accept":true}`) },
				Break:  func() { r.down = true }, Reusable: true, NeedsSubject: true,
			})
			if err != nil {
				t.Error(err)
			}
		})
	}
}

// Who has accepted a document is not asked again, and is asked for the next one.
func TestAcceptedOnce(t *testing.T) {
	t.Parallel()
	r := jane(t)
	s := must(t, r, "document: tos-2026, urls: { en: 'https://bank.example/en', de: 'https://bank.example/de' }")
	out, err := s.Enter(t.Context(), visit())
	if err != nil || out.Asked() == nil {
		t.Fatalf("%+v, %v", out, err)
	}
	text, err := json.Marshal(out.Asked().Data)
	if want := `{"document":"tos-2026","url":"https://bank.example/de"}`; err != nil || string(text) != want {
		t.Errorf("asks %s, %v", text, err)
	}
	if out, err := s.Answer(t.Context(), visit(), flows.Input(`{"accept":false}`)); err != nil || out.Exited() != "declined" {
		t.Errorf("declined: %+v, %v", out, err)
	}
	if all, err := r.Agreements(t.Context(), subject); err != nil || len(all) != 0 {
		t.Errorf("declined, and kept: %+v, %v", all, err)
	}
	if out, err := s.Answer(t.Context(), visit(), flows.Input(`{"accept":true}`)); err != nil || !out.IsDone() {
		t.Errorf("accepted: %+v, %v", out, err)
	}
	all, err := r.Agreements(t.Context(), subject)
	if diff := cmp.Diff([]account.Agreement{{Subject: subject, Kind: account.Terms, Name: "tos-2026", Given: now}}, all); err != nil || diff != "" {
		t.Errorf("%s, %v", diff, err)
	}
	if out, err := s.Enter(t.Context(), visit()); err != nil || !out.IsDone() {
		t.Errorf("asked again: %+v, %v", out, err)
	}
	if out, err := must(t, r, "document: tos-2027").Enter(t.Context(), visit()); err != nil || out.Asked() == nil {
		t.Errorf("a new version: %+v, %v", out, err)
	}
}

// Without an answer, somebody, or a store nothing is accepted.
func TestNothingIsAccepted(t *testing.T) {
	t.Parallel()
	r := jane(t)
	s := must(t, r, "document: tos-2026")
	for _, in := range []string{`{}`, `{"accept":"true"}`, `{"accept":null}`, `{"accept":true,"document":"x"}`} {
		if out, err := s.Answer(t.Context(), visit(), flows.Input(in)); !errors.Is(err, flows.ErrMalformed) {
			t.Errorf("%s: %+v, %v", in, out, err)
		}
	}
	nobody := visit()
	nobody.Subject = ""
	if out, err := s.Answer(t.Context(), nobody, flows.Input(`{"accept":true}`)); err == nil {
		t.Errorf("nobody: %+v", out)
	}
	if out, err := must(t, nil, "document: tos-2026").Enter(t.Context(), visit()); !errors.Is(err, flows.ErrUnavailable) {
		t.Errorf("no store: %+v, %v", out, err)
	}
}

func TestConfiguration(t *testing.T) {
	t.Parallel()
	for _, bad := range []string{
		"", "document: 'ToS 2026'", "document: a, urls: { en: 'http://bank.example' }", "document: a, urls: { en: 'https://x@bank.example' }",
		"document: a, urls: { en: 'javascript:alert(1)' }",
	} {
		if _, err := newStep(t, jane(t), bad); err == nil {
			t.Errorf("%s: loads", bad)
		}
	}
}
