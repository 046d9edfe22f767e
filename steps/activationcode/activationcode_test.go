package activationcode_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"sync"
	"testing"
	"testing/fstest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/stile-auth/stile/flowdefs"
	"github.com/stile-auth/stile/flows"
	"github.com/stile-auth/stile/flows/account"
	"github.com/stile-auth/stile/flows/assurance"
	"github.com/stile-auth/stile/flows/store/memory"
	"github.com/stile-auth/stile/steps/activationcode"
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
	r.mu.Unlock()
	return r.Accounts.UpdateAuthenticator(ctx, id, fn)
}

// issue makes an authenticator of a code that went to Jane by that way and level.
func issue(t testing.TB, channel, binding string) (account.Authenticator, string) {
	t.Helper()
	code, id := account.NewActivationCode(), "code by "+channel+" "+binding
	d, err := account.NewActivationData(key, subject, id, code)
	if err != nil {
		t.Fatal(err)
	}
	d.Channel, d.Expires = channel, now.Add(time.Hour)
	data, err := json.Marshal(d)
	if err != nil {
		t.Fatal(err)
	}
	return account.Authenticator{
		ID: id, Subject: subject, Type: account.TypeActivation, Status: account.Active, Binding: binding, Data: data, Created: now,
	}, code
}

func jane(t testing.TB, auths ...account.Authenticator) *repository {
	t.Helper()
	r := &repository{Accounts: memory.New().Accounts()}
	if err := r.CreateAccount(t.Context(), account.Account{Subject: subject, Status: account.Active, Created: now}, auths, nil); err != nil {
		t.Fatal(err)
	}
	return r
}

func newStep(t testing.TB, r activationcode.Authenticators, with string) (flows.Step, error) {
	t.Helper()
	typ := activationcode.Type(r, key)
	reg, err := flows.NewRegistry(typ)
	if err != nil {
		t.Fatal(err)
	}
	text := "flows: {f: {steps: [{id: it, type: activation_code, with: {" + with + "}}]}}"
	set, err := flowdefs.Load(fstest.MapFS{"f.yaml": {Data: []byte(text)}}, ".", reg)
	if err != nil {
		return nil, err
	}
	return typ.New(set.Flows["f"].Steps[0].With)
}

func must(t testing.TB, r activationcode.Authenticators, with string) flows.Step {
	t.Helper()
	s, err := newStep(t, r, with)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func visit(run, claimed string) *flows.Visit {
	return flows.NewVisit(flows.Visit{RunID: run, StepID: "letter", Now: now, Claimed: claimed}, "owner in "+run, nil)
}

// try answers in a run of that name, and says what became of it.
func try(t testing.TB, s flows.Step, run, claimed string, codes ...string) string {
	t.Helper()
	body := map[string]string{"code": codes[0]}
	if len(codes) > 1 {
		body["second"] = codes[1]
	}
	in, err := json.Marshal(body)
	if err != nil {
		t.Fatal(err)
	}
	out, err := s.Answer(t.Context(), visit(run, claimed), in)
	if errors.Is(err, flows.ErrMalformed) {
		return "malformed"
	}
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
		a, code := issue(t, account.ByLetter, "aal2")
		r := jane(t, a)
		return steptest.Case{
			Type: activationcode.Type(r, key), With: "{}",
			Visit: flows.Visit{StepID: "letter", Turn: 1, Attempt: 1, Now: now, Claimed: subject},
			Answer: func(_ json.RawMessage, _ *flows.Visit, how string) flows.Input {
				if how == "ok" {
					return flows.Input(`{"code":"` + code + `"}`)
				}
				return flows.Input(`{"code":"` + account.NewActivationCode() + `"}`)
			},
			Secrets: []string{code}, Break: func() { r.down = true },
		}
	})
}

// A code is good once, in one run only, and its account has it no more.
func TestGoodOnce(t *testing.T) {
	t.Parallel()
	a, code := issue(t, account.ByBranch, "aal2")
	r := jane(t, a)
	s := must(t, r, "")
	for _, c := range []struct{ run, want string }{{"run-1", "passed"}, {"run-1", "passed"}, {"run-2", "replayed"}} {
		if got := try(t, s, c.run, subject, code); got != c.want {
			t.Errorf("%s: %s, want %s", c.run, got, c.want)
		}
	}
	all, err := r.Authenticators(t.Context(), subject)
	if err != nil || all[0].Status != account.Disabled {
		t.Errorf("%+v, %v", all, err)
	}
}

// Two codes are two only if one theft cannot have got both; and none is used for nothing.
func TestTwoCodes(t *testing.T) {
	t.Parallel()
	letter, byLetter := issue(t, account.ByLetter, "aal2")
	letter2, byLetter2 := issue(t, account.ByLetter, "aal1")
	phone, byPhone := issue(t, account.ByTelephone, "aal2")
	r := jane(t, letter, letter2, phone)
	s := must(t, r, "codes: 2")
	for name, c := range map[string]struct {
		codes []string
		want  string
	}{
		"one alone":                {[]string{byLetter}, "malformed"},
		"one twice":                {[]string{byLetter, byLetter}, "wrong"},
		"out of the same envelope": {[]string{byLetter, byLetter2}, "wrong"},
		"the second wrong":         {[]string{byLetter, account.NewActivationCode()}, "wrong"},
		"the first wrong":          {[]string{account.NewActivationCode(), byPhone}, "wrong"},
	} {
		if got := try(t, s, name, subject, c.codes...); got != c.want {
			t.Errorf("%s: %s, want %s", name, got, c.want)
		}
	}
	if r.update != 0 {
		t.Errorf("%d codes were used for nothing", r.update)
	}
	if got := try(t, s, "both", subject, byPhone, byLetter); got != "passed" {
		t.Errorf("both: %s", got)
	}
	if got := try(t, must(t, r, ""), "one more", subject, byPhone, byLetter2); got != "malformed" {
		t.Errorf("two where one is asked for: %s", got)
	}
}

// Whatever the reason that nobody can be let in, the answer is that of a wrong code, without a transaction (T-50).
func TestNobodyLooksLikeWrong(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		claimed string
		edit    func(*account.Authenticator)
	}{
		"unknown account": {"", nil},
		"no code":         {subject, func(a *account.Authenticator) { a.Type = account.TypePIN }},
		"withdrawn":       {subject, func(a *account.Authenticator) { a.Status = account.Disabled }},
		"pending":         {subject, func(a *account.Authenticator) { a.Status = account.Pending }},
	} {
		a, code := issue(t, account.ByLetter, "aal2")
		if c.edit != nil {
			c.edit(&a)
		}
		r := jane(t, a)
		if got := try(t, must(t, r, ""), "run-1", c.claimed, code); got != "wrong" || r.update != 0 {
			t.Errorf("%s: %s, %d transactions", name, got, r.update)
		}
	}
}

// orphans returns Jane's authenticators for whomever is asked.
type orphans struct{ *repository }

func (o orphans) Authenticators(ctx context.Context, _ string) ([]account.Authenticator, error) {
	return o.repository.Authenticators(ctx, subject)
}

func TestEmptySubjectIsNobody(t *testing.T) {
	t.Parallel()
	a, code := issue(t, account.ByLetter, "aal2")
	if got := try(t, must(t, orphans{jane(t, a)}, ""), "run-1", "", code); got != "wrong" {
		t.Errorf("got %s", got)
	}
}

// Worth the least that was said of the codes.
func TestEvidence(t *testing.T) {
	t.Parallel()
	letter, byLetter := issue(t, account.ByLetter, "aal2")
	phone, byPhone := issue(t, account.ByTelephone, "aal1")
	in, err := json.Marshal(map[string]string{"code": byLetter, "second": byPhone})
	if err != nil {
		t.Fatal(err)
	}
	out, err := must(t, jane(t, letter, phone), "codes: 2").Answer(t.Context(), visit("r", subject), in)
	if err != nil {
		t.Fatal(err)
	}
	want := &flows.Proof{Evidence: assurance.Evidence{
		Method: assurance.Activation, Authenticator: letter.ID, Categories: []assurance.Category{assurance.Possession},
		ReplayResistant: true, Binding: assurance.AAL1, Cap: assurance.AAL2,
	}}
	if diff := cmp.Diff(want, out.Passed()); diff != "" {
		t.Error(diff)
	}
}

func TestConfiguration(t *testing.T) {
	t.Parallel()
	for _, bad := range []string{"codes: 0", "codes: 3", "code: 1"} {
		if _, err := newStep(t, jane(t), bad); err == nil {
			t.Errorf("%s: loads", bad)
		}
	}
	if _, err := activationcode.Type(nil, key[:31]).New(nothing{}); err == nil {
		t.Error("a short key")
	}
}

type nothing struct{}

func (nothing) Decode(any) error { return nil }

// Fifty parallel submits of one code: exactly one success.
func TestFiftyAtOnce(t *testing.T) {
	t.Parallel()
	a, code := issue(t, account.ByLetter, "aal2")
	s := must(t, jane(t, a), "")
	var wg sync.WaitGroup
	passed := make(chan string, 50)
	for i := range 50 {
		wg.Go(func() {
			run := fmt.Sprint("run-", i)
			if try(t, s, run, subject, code) == "passed" {
				passed <- run
			}
		})
	}
	wg.Wait()
	if len(passed) != 1 {
		t.Errorf("%d of 50 got through", len(passed))
	}
}
