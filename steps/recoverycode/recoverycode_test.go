package recoverycode_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/stile-auth/stile/flows"
	"github.com/stile-auth/stile/flows/account"
	"github.com/stile-auth/stile/flows/assurance"
	"github.com/stile-auth/stile/flows/store/memory"
	"github.com/stile-auth/stile/steps/recoverycode"
	"github.com/stile-auth/stile/steps/steptest"
)

const subject = "subject-of-jane"

var (
	now = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	key = []byte("the key of the hashes, 32 bytes.")
)

// repository can fail on demand, and counts the transactions.
type repository struct {
	*memory.Accounts
	mu     sync.Mutex
	down   bool
	update int
	before func()
}

func (r *repository) Authenticators(ctx context.Context, subject string) ([]account.Authenticator, error) {
	if r.down {
		return nil, errors.New("database is down")
	}
	return r.Accounts.Authenticators(ctx, subject)
}

func (r *repository) UpdateAuthenticator(ctx context.Context, id string, fn func(*account.Authenticator) error) error {
	r.mu.Lock()
	r.update++
	before := r.before
	r.before = nil
	r.mu.Unlock()
	if before != nil {
		before()
	}
	return r.Accounts.UpdateAuthenticator(ctx, id, fn)
}

func set(t testing.TB, id string, number int, codes []string) account.Authenticator {
	t.Helper()
	d, err := account.NewRecoveryData(key, subject, id, codes)
	if err != nil {
		t.Fatal(err)
	}
	d.Number = number
	data, err := json.Marshal(d)
	if err != nil {
		t.Fatal(err)
	}
	return account.Authenticator{
		ID: id, Subject: subject, Type: account.TypeRecovery, Status: account.Active, Binding: "aal2", Data: data, Created: now,
	}
}

func jane(t testing.TB, auths ...account.Authenticator) *repository {
	t.Helper()
	r := &repository{Accounts: memory.New().Accounts()}
	if err := r.CreateAccount(t.Context(), account.Account{Subject: subject, Status: account.Active, Created: now}, auths, nil); err != nil {
		t.Fatal(err)
	}
	return r
}

// config is a step's empty configuration.
type config struct{}

func (config) Decode(any) error { return nil }

func newStep(t testing.TB, r recoverycode.Authenticators) flows.Step {
	t.Helper()
	s, err := recoverycode.Type(r, key).New(config{})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// try answers in a run of that name, and says what became of it.
func try(t testing.TB, s flows.Step, run, claimed, code string) string {
	t.Helper()
	v := flows.NewVisit(flows.Visit{RunID: run, StepID: "kept", Now: now, Claimed: claimed}, "owner in "+run, nil)
	out, err := s.Answer(t.Context(), v, flows.Input(`{"code":"`+code+`"}`))
	if err != nil {
		return err.Error()
	}
	if reason, ok := out.Rejected(); ok {
		return reason
	}
	if out.Passed() != nil {
		return "passed"
	}
	return "?"
}

func TestConformance(t *testing.T) {
	steptest.Run(t, func(t *testing.T) steptest.Case {
		codes := account.NewRecoveryCodes()
		r := jane(t, set(t, "set-1", 1, codes))
		return steptest.Case{
			Type:  recoverycode.Type(r, key),
			Visit: flows.Visit{StepID: "kept", Turn: 1, Attempt: 1, Now: now, Claimed: subject},
			Answer: func(_ json.RawMessage, _ *flows.Visit, how string) flows.Input {
				if how == "ok" {
					return flows.Input(`{"code":"` + codes[3] + `"}`)
				}
				return flows.Input(`{"code":"` + account.NewRecoveryCodes()[0] + `"}`)
			},
			Secrets: codes, Break: func() { r.down = true },
		}
	})
}

// Each of the ten is good once, however it is typed, and in one run only (T-48).
func TestEachCodeIsGoodOnce(t *testing.T) {
	t.Parallel()
	codes := account.NewRecoveryCodes()
	s := newStep(t, jane(t, set(t, "set-1", 1, codes)))
	for i, code := range codes {
		spelled := []string{code, strings.ToLower(code), strings.ReplaceAll(code, "-", ""), " " + strings.ReplaceAll(code, "-", " ")}[i%4]
		if got := try(t, s, "run-1", subject, spelled); got != "passed" {
			t.Errorf("code %d: %s", i, got)
		}
		if got := try(t, s, "run-1", subject, code); got != "passed" {
			t.Errorf("code %d, the same request again: %s", i, got)
		}
		if got := try(t, s, "run-2", subject, code); got != "replayed" {
			t.Errorf("code %d, in another run: %s", i, got)
		}
	}
}

// Between looking and taking, somebody else may have used the code.
func TestCodeIsTakenAtomically(t *testing.T) {
	t.Parallel()
	codes := account.NewRecoveryCodes()
	r := jane(t, set(t, "set-1", 1, codes))
	s := newStep(t, r)
	r.before = func() {
		if got := try(t, s, "run-2", subject, codes[0]); got != "passed" {
			t.Errorf("the other run: %s", got)
		}
	}
	if got := try(t, s, "run-1", subject, codes[0]); got != "replayed" {
		t.Errorf("got %s", got)
	}
}

// Twenty parallel submits of one code: exactly one success (T-48).
func TestTwentyAtOnce(t *testing.T) {
	t.Parallel()
	codes := account.NewRecoveryCodes()
	s := newStep(t, jane(t, set(t, "set-1", 1, codes)))
	var wg sync.WaitGroup
	passed := make(chan string, 20)
	for i := range 20 {
		wg.Go(func() {
			run := fmt.Sprintf("run-%d", i)
			if try(t, s, run, subject, codes[0]) == "passed" {
				passed <- run
			}
		})
	}
	wg.Wait()
	if len(passed) != 1 {
		t.Errorf("%d of 20 got through", len(passed))
	}
}

// A new set replaces the old one when it becomes active, and the old one never comes back.
func TestOnlyTheLastSetCounts(t *testing.T) {
	t.Parallel()
	older, newer := account.NewRecoveryCodes(), account.NewRecoveryCodes()
	first, second := set(t, "set-2", 1, older), set(t, "set-1", 2, newer)
	for status, want := range map[account.Status][2]string{
		account.Active:   {"wrong", "passed"},
		account.Pending:  {"passed", "wrong"},
		account.Disabled: {"wrong", "wrong"},
		"frozen":         {"wrong", "wrong"},
	} {
		second.Status = status
		s := newStep(t, jane(t, first, second))
		if got := [2]string{try(t, s, "run-1", subject, older[0]), try(t, s, "run-1", subject, newer[0])}; got != want {
			t.Errorf("%s: the old and the new code: %v, want %v", status, got, want)
		}
	}
}

// Whatever the reason that nobody can be let in, the answer is the same and there is no transaction (T-50).
func TestNobodyLooksLikeWrong(t *testing.T) {
	t.Parallel()
	codes := account.NewRecoveryCodes()
	for name, c := range map[string]struct {
		claimed, code string
		edit          func(*account.Authenticator)
	}{
		"wrong code":      {subject, account.NewRecoveryCodes()[0], nil},
		"unknown account": {"", codes[0], nil},
		"another type":    {subject, codes[0], func(a *account.Authenticator) { a.Type = account.TypePIN }},
		"removed":         {subject, codes[0], func(a *account.Authenticator) { a.Status = account.Disabled }},
	} {
		a := set(t, "set-1", 1, codes)
		if c.edit != nil {
			c.edit(&a)
		}
		r := jane(t, a)
		if got := try(t, newStep(t, orphans{r}), "run-1", c.claimed, c.code); got != "wrong" || r.update != 0 {
			t.Errorf("%s: %s after %d transactions", name, got, r.update)
		}
	}
}

// orphans returns Jane's authenticators for whomever is asked.
type orphans struct{ *repository }

func (o orphans) Authenticators(ctx context.Context, _ string) ([]account.Authenticator, error) {
	return o.repository.Authenticators(ctx, subject)
}

// A row that is moved to another account, or under another id, opens nothing there.
func TestRowsCannotBeMoved(t *testing.T) {
	t.Parallel()
	codes := account.NewRecoveryCodes()
	moved := set(t, "set-1", 1, codes)
	moved.ID = "set-2"
	if got := try(t, newStep(t, jane(t, moved)), "run-1", subject, codes[0]); got != "wrong" {
		t.Errorf("under another id: %s", got)
	}
}

// A recovery code is a possession, and alone or with a password never more than aal1 (T-49).
func TestEvidence(t *testing.T) {
	t.Parallel()
	codes := account.NewRecoveryCodes()
	s := newStep(t, jane(t, set(t, "set-1", 1, codes)))
	v := flows.NewVisit(flows.Visit{RunID: "run-1", StepID: "kept", Now: now, Claimed: subject}, "owner", nil)
	out, err := s.Answer(t.Context(), v, flows.Input(`{"code":"`+codes[0]+`"}`))
	if err != nil || out.Passed() == nil {
		t.Fatal(err)
	}
	e := out.Passed().Evidence
	want := assurance.Evidence{
		Method: assurance.Recovery, Authenticator: "set-1", Categories: []assurance.Category{assurance.Possession},
		ReplayResistant: true, Binding: assurance.AAL2, Cap: assurance.AAL1,
	}
	if diff := cmp.Diff(want, e); diff != "" {
		t.Error(diff)
	}
	e.At = now
	password := assurance.Evidence{
		Method: assurance.Password, Authenticator: "p", At: now, Categories: []assurance.Category{assurance.Knowledge},
		Binding: assurance.AAL3, Cap: assurance.AAL3,
	}
	res := assurance.Assess([]assurance.Evidence{e, password}, now, assurance.Policy{})
	if diff := cmp.Diff([]string{"mfa", "otp", "pwd", "urn:stile-auth:amr:recovery"}, res.AMR); diff != "" || res.Level != assurance.AAL1 {
		t.Errorf("%s: %s", res.Level, diff)
	}
}

func TestMalformed(t *testing.T) {
	t.Parallel()
	s := newStep(t, jane(t))
	for _, code := range []string{"", "ABCD-EFGH-IJKL-MNO", "ABCD-EFGH-IJKL-MNOPQ", "ABCD-EFGH-IJKL-MN01", "ABCD-EFGH-IJKL-MNO=", strings.Repeat(" ", 64) + "ABCD-EFGH-IJKL-MNOP"} {
		v := flows.NewVisit(flows.Visit{Now: now, Claimed: subject}, "owner", nil)
		if _, err := s.Answer(t.Context(), v, flows.Input(`{"code":"`+code+`"}`)); !errors.Is(err, flows.ErrMalformed) {
			t.Errorf("%q: %v", code, err)
		}
	}
	if _, err := recoverycode.Type(nil, key[:31]).New(config{}); err == nil {
		t.Error("a short key is taken")
	}
}
