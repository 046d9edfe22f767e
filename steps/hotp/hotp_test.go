package hotp_test

import (
	"context"
	"encoding/base32"
	"encoding/json"
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/pquerna/otp"
	otphotp "github.com/pquerna/otp/hotp"

	"github.com/stile-auth/stile/flows"
	"github.com/stile-auth/stile/flows/account"
	"github.com/stile-auth/stile/flows/assurance"
	"github.com/stile-auth/stile/flows/seal"
	"github.com/stile-auth/stile/flows/store/memory"
	"github.com/stile-auth/stile/steps/hotp"
	"github.com/stile-auth/stile/steps/onetime"
	"github.com/stile-auth/stile/steps/steptest"
)

const subject = "subject-of-jane"

var (
	now  = time.Date(2026, 3, 1, 12, 0, 10, 0, time.UTC)
	seed = []byte("12345678901234567890") // RFC 4226 appendix D
)

// code is what the token shows when it was pressed that often.
func code(t testing.TB, counter uint64) string {
	t.Helper()
	c, err := otphotp.GenerateCodeCustom(base32.StdEncoding.EncodeToString(seed), counter, otphotp.ValidateOpts{Digits: otp.DigitsSix})
	if err != nil {
		t.Fatal(err)
	}
	return c
}

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

// sealer counts the work that is done.
type sealer struct {
	account.Sealer
	mu     sync.Mutex
	opened int
}

func (s *sealer) Open(sealed, aad []byte) ([]byte, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.opened++
	return s.Sealer.Open(sealed, aad)
}

func newSealer(t testing.TB) *sealer {
	t.Helper()
	s, err := seal.New(seal.Key{ID: "k1", Secret: make([]byte, seal.KeySize)})
	if err != nil {
		t.Fatal(err)
	}
	return &sealer{Sealer: s}
}

func token(t testing.TB, s account.Sealer) account.Authenticator {
	t.Helper()
	sealed, err := account.SealSeed(s, subject, "hotp-1", seed)
	if err != nil {
		t.Fatal(err)
	}
	data, err := json.Marshal(account.HOTPData{Seed: sealed, Digits: 6})
	if err != nil {
		t.Fatal(err)
	}
	return account.Authenticator{
		ID: "hotp-1", Subject: subject, Type: account.TypeHOTP, Status: account.Active, Binding: "aal2", Data: data, Created: now,
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

func newStep(t testing.TB, as onetime.Authenticators, s account.Sealer) flows.Step {
	t.Helper()
	step, err := hotp.Type(as, s).New(config{})
	if err != nil {
		t.Fatal(err)
	}
	return step
}

// try answers in a run of that name, and says what became of it.
func try(t testing.TB, s flows.Step, run, claimed string, codes ...string) string {
	t.Helper()
	body := map[string]string{"code": codes[0]}
	if len(codes) > 1 {
		body["next"] = codes[1]
	}
	in, err := json.Marshal(body)
	if err != nil {
		t.Fatal(err)
	}
	v := flows.NewVisit(flows.Visit{RunID: run, StepID: "token", Now: now, Claimed: claimed}, "owner in "+run, nil)
	out, err := s.Answer(t.Context(), v, in)
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
		s := newSealer(t)
		r := jane(t, token(t, s))
		return steptest.Case{
			Type:  hotp.Type(r, s),
			Visit: flows.Visit{StepID: "token", Turn: 1, Attempt: 1, Now: now, Claimed: subject},
			Answer: func(_ json.RawMessage, _ *flows.Visit, how string) flows.Input {
				if how == "ok" {
					return flows.Input(`{"code":"` + code(t, 3) + `"}`)
				}
				return flows.Input(`{"code":"000000"}`)
			},
			Secrets: []string{string(seed), base32.StdEncoding.EncodeToString(seed), code(t, 3), code(t, 4)},
			Break:   func() { r.down = true },
		}
	})
}

// The counter never goes back: only what follows the last code is good (T-44).
func TestCounterNeverGoesBack(t *testing.T) {
	t.Parallel()
	sealer := newSealer(t)
	s := newStep(t, jane(t, token(t, sealer)), sealer)
	for i, c := range []struct {
		counter uint64
		want    string
	}{{9, "passed"}, {10, "passed"}, {10, "replayed"}, {9, "wrong"}, {0, "wrong"}, {21, "wrong"}, {20, "passed"}, {11, "wrong"}, {30, "passed"}} {
		if got := try(t, s, fmt.Sprint("run-", i), subject, code(t, c.counter)); got != c.want {
			t.Errorf("%d: counter %d: %s, want %s", i, c.counter, got, c.want)
		}
	}
}

// A token that was pressed too often comes back by two codes in a row, and not by one.
func TestTwoCodesInARow(t *testing.T) {
	t.Parallel()
	sealer := newSealer(t)
	s := newStep(t, jane(t, token(t, sealer)), sealer)
	for i, c := range []struct {
		codes []string
		want  string
	}{
		{[]string{code(t, 50)}, "wrong"},
		{[]string{code(t, 50), code(t, 52)}, "wrong"},
		{[]string{code(t, 50), code(t, 51)}, "passed"},
		{[]string{code(t, 50), code(t, 51)}, "replayed"},
		{[]string{code(t, 51)}, "replayed"},
		{[]string{code(t, 52)}, "passed"},
	} {
		if got := try(t, s, fmt.Sprint("run-", i), subject, c.codes...); got != c.want {
			t.Errorf("%d: %s, want %s", i, got, c.want)
		}
	}
}

// Whatever the reason that nobody can be let in, the same work is done and the answer is the same (T-50, T-51).
func TestNobodyLooksLikeWrong(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		claimed, code string
		edit          func(*account.Authenticator)
	}{
		"wrong code":       {subject, "000000", nil},
		"unknown account":  {"", code(t, 0), nil},
		"no authenticator": {subject, code(t, 0), func(a *account.Authenticator) { a.Type = account.TypeTOTP }},
		"disabled":         {subject, code(t, 0), func(a *account.Authenticator) { a.Status = account.Disabled }},
	} {
		sealer := newSealer(t)
		a := token(t, sealer)
		if c.edit != nil {
			c.edit(&a)
		}
		r := jane(t, a)
		if got := try(t, newStep(t, r, sealer), "run-1", c.claimed, c.code); got != "wrong" {
			t.Errorf("%s: %s", name, got)
		}
		if sealer.opened != 1 || r.update != 0 {
			t.Errorf("%s: %d seeds opened and %d transactions, want 1 and 0", name, sealer.opened, r.update)
		}
	}
}

func TestBodyOutOfBounds(t *testing.T) {
	t.Parallel()
	sealer := newSealer(t)
	step := newStep(t, jane(t, token(t, sealer)), sealer)
	v := flows.NewVisit(flows.Visit{RunID: "r", StepID: "token", Now: now, Claimed: subject}, "owner", nil)
	for _, in := range []string{`{"code":"12345"}`, `{"code":"1234567"}`, `{"code":"12345a"}`, `{"code":"123456","next":"12345"}`, `{"next":"123456"}`} {
		if out, err := step.Answer(t.Context(), v, flows.Input(in)); !errors.Is(err, flows.ErrMalformed) {
			t.Errorf("%s: %+v, %v", in, out, err)
		}
	}
}

func TestEvidence(t *testing.T) {
	t.Parallel()
	sealer := newSealer(t)
	v := flows.NewVisit(flows.Visit{RunID: "r", StepID: "token", Now: now, Claimed: subject}, "owner", nil)
	out, err := newStep(t, jane(t, token(t, sealer)), sealer).Answer(t.Context(), v, flows.Input(`{"code":"`+code(t, 0)+`"}`))
	if err != nil {
		t.Fatal(err)
	}
	want := &flows.Proof{Evidence: assurance.Evidence{
		Method: assurance.HOTP, Authenticator: "hotp-1", Categories: []assurance.Category{assurance.Possession},
		ReplayResistant: true, Binding: assurance.AAL2, Cap: assurance.AAL3,
	}}
	if diff := cmp.Diff(want, out.Passed()); diff != "" {
		t.Error(diff)
	}
}

// Fifty parallel submits of one code: exactly one success.
func TestFiftyAtOnce(t *testing.T) {
	t.Parallel()
	sealer := newSealer(t)
	s := newStep(t, jane(t, token(t, sealer)), sealer)
	right := code(t, 0)
	var wg sync.WaitGroup
	passed := make(chan string, 50)
	for i := range 50 {
		wg.Go(func() {
			run := fmt.Sprint("run-", i)
			if try(t, s, run, subject, right) == "passed" {
				passed <- run
			}
		})
	}
	wg.Wait()
	if len(passed) != 1 {
		t.Errorf("%d of 50 got through", len(passed))
	}
}
