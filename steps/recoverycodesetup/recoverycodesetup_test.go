package recoverycodesetup_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/stile-auth/stile/flows"
	"github.com/stile-auth/stile/flows/account"
	"github.com/stile-auth/stile/flows/assurance"
	"github.com/stile-auth/stile/flows/store/memory"
	"github.com/stile-auth/stile/steps/recoverycodesetup"
	"github.com/stile-auth/stile/steps/steptest"
)

const subject = "subject-of-jane"

var (
	now = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	key = []byte("the key of the hashes, 32 bytes.")
	run = flows.Visit{RunID: "run-1", StepID: "it", Turn: 1, Attempt: 1, Now: now, Subject: subject, Claimed: subject, Level: assurance.AAL2}
)

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

func jane(t testing.TB) *repository {
	t.Helper()
	r := &repository{Accounts: memory.New().Accounts()}
	if err := r.CreateAccount(t.Context(), account.Account{Subject: subject, Status: account.Active, Created: now}, nil, nil); err != nil {
		t.Fatal(err)
	}
	return r
}

// config is a step's empty configuration.
type config struct{}

func (config) Decode(any) error { return nil }

func newStep(t testing.TB, r *repository) flows.Step {
	t.Helper()
	s, err := recoverycodesetup.Type(r, key).New(config{})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func visit() *flows.Visit { return flows.NewVisit(run, "owner", nil) }

func enter(t testing.TB, s flows.Step, v *flows.Visit) []string {
	t.Helper()
	out, err := s.Enter(t.Context(), v)
	if err != nil || out.Asked() == nil {
		t.Fatalf("%+v, %v", out, err)
	}
	text, err := json.Marshal(out.Asked().Data)
	if err != nil {
		t.Fatal(err)
	}
	return codesOf(t, text)
}

func codesOf(t testing.TB, prompt json.RawMessage) []string {
	t.Helper()
	var p struct {
		Codes []string `json:"codes"`
	}
	if err := json.Unmarshal(prompt, &p); err != nil || len(p.Codes) != 10 {
		t.Fatalf("%d codes, %v", len(p.Codes), err)
	}
	return p.Codes
}

// try answers, and says what became of it.
func try(t testing.TB, s flows.Step, v *flows.Visit, code string) string {
	t.Helper()
	out, err := s.Answer(t.Context(), v, flows.Input(`{"code":"`+code+`"}`))
	if err != nil {
		return err.Error()
	}
	if reason, ok := out.Rejected(); ok {
		return reason
	}
	if out.EnrolledID() != "" {
		return "enrolled"
	}
	return "?"
}

func TestConformance(t *testing.T) {
	steptest.Run(t, func(t *testing.T) steptest.Case {
		r := jane(t)
		return steptest.Case{
			Type: recoverycodesetup.Type(r, key), Visit: run,
			Answer: func(prompt json.RawMessage, _ *flows.Visit, how string) flows.Input {
				code := codesOf(t, prompt)[9]
				if how == "wrong" {
					code = account.NewRecoveryCodes()[0]
				}
				return flows.Input(`{"code":"` + code + `"}`)
			},
			Break: func() { r.down = true }, NeedsSubject: true,
		}
	})
}

// What is stored recognises every code and says none; nobody can use it before the run has moved on.
func TestWhatIsBound(t *testing.T) {
	t.Parallel()
	r := jane(t)
	s, v := newStep(t, r), visit()
	codes := enter(t, s, v)
	if got := try(t, s, v, strings.ToLower(codes[0])); got != "enrolled" {
		t.Fatal(got)
	}
	all, err := r.Authenticators(t.Context(), subject)
	if err != nil || len(all) != 1 {
		t.Fatalf("%d sets, %v", len(all), err)
	}
	a := all[0]
	want := account.Authenticator{
		ID: a.ID, Subject: subject, Type: account.TypeRecovery, Status: account.Pending, Binding: "aal2", Data: a.Data, Created: now,
	}
	if diff := cmp.Diff(want, a); diff != "" {
		t.Error(diff)
	}
	var memory json.RawMessage
	if err := v.Kept(&memory); err != nil {
		t.Fatal(err)
	}
	a.Status = account.Active
	form := regexp.MustCompile(`^([A-Z2-7]{4}-){3}[A-Z2-7]{4}$`)
	seen := map[string]bool{}
	for _, code := range codes { // the one that was typed is good as well
		plain, err := account.ParseRecoveryCode(code)
		if err != nil || !form.MatchString(code) || seen[code] {
			t.Errorf("%s: %v", code, err)
		}
		seen[code] = true
		if bytes.Contains(a.Data, []byte(plain)) || bytes.Contains(a.Data, []byte(code)) || bytes.Contains(memory, []byte(plain)) || bytes.Contains(memory, []byte(code)) {
			t.Error("a code is stored as it is")
		}
		if err := account.UseRecoveryCode(&a, key, now, plain, "run"); err != nil {
			t.Errorf("%s: %v", code, err)
		}
	}
	var d account.RecoveryData
	if err := json.Unmarshal(a.Data, &d); err != nil || d.Left() != 0 {
		t.Errorf("%d left, %v", d.Left(), err)
	}
}

// Nothing is bound without a code of the set that is shown now.
func TestWrongCodes(t *testing.T) {
	t.Parallel()
	r := jane(t)
	s, v := newStep(t, r), visit()
	before := enter(t, s, v)
	codes := enter(t, s, v)
	for name, code := range map[string]string{"another": account.NewRecoveryCodes()[0], "of the set before": before[0]} {
		if got := try(t, s, v, code); got != "wrong" {
			t.Errorf("%s: %s", name, got)
		}
	}
	if all, err := r.Authenticators(t.Context(), subject); err != nil || len(all) != 0 {
		t.Errorf("%d were bound, %v", len(all), err)
	}
	if got := try(t, s, v, codes[5]); got != "enrolled" {
		t.Error(got)
	}
}

// After a crash any code of the set does, unless the set was removed meanwhile.
func TestAgainAfterACrash(t *testing.T) {
	t.Parallel()
	r := jane(t)
	s, v := newStep(t, r), visit()
	codes := enter(t, s, v)
	for _, code := range []string{codes[0], codes[0], codes[1]} {
		if got := try(t, s, v, code); got != "enrolled" {
			t.Error(got)
		}
	}
	all, err := r.Authenticators(t.Context(), subject)
	if err != nil || len(all) != 1 {
		t.Fatalf("%d sets, %v", len(all), err)
	}
	if err := r.UpdateAuthenticator(t.Context(), all[0].ID, func(a *account.Authenticator) error { a.Status = account.Disabled; return nil }); err != nil {
		t.Fatal(err)
	}
	if got := try(t, s, v, codes[2]); got == "enrolled" {
		t.Error("what was removed is bound again")
	}
}

func TestNobody(t *testing.T) {
	t.Parallel()
	v := visit()
	v.Subject = ""
	if _, err := newStep(t, jane(t)).Enter(t.Context(), v); !errors.Is(err, recoverycodesetup.ErrNobody) {
		t.Errorf("got %v", err)
	}
	if _, err := recoverycodesetup.Type(nil, key[:31]).New(config{}); err == nil {
		t.Error("a short key is taken")
	}
}

// Also of two sets of one instant it is known which came later.
func TestSetsAreNumbered(t *testing.T) {
	t.Parallel()
	r := jane(t)
	s := newStep(t, r)
	var last account.Authenticator
	for i := range 5 {
		v := visit()
		if got := try(t, s, v, enter(t, s, v)[0]); got != "enrolled" {
			t.Fatal(got)
		}
		all, err := r.Authenticators(t.Context(), subject)
		if err != nil || len(all) != i+1 {
			t.Fatalf("%d sets, %v", len(all), err)
		}
		for _, a := range all {
			if err := r.UpdateAuthenticator(t.Context(), a.ID, func(a *account.Authenticator) error { a.Status = account.Active; return nil }); err != nil {
				t.Fatal(err)
			}
		}
		if all, err = r.Authenticators(t.Context(), subject); err != nil {
			t.Fatal(err)
		}
		before := last.ID
		if last, err = account.LastRecoverySet(all); err != nil || last.ID == before {
			t.Errorf("after set %d: %s, %v", i, last.ID, err)
		}
	}
}
