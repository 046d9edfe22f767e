package totp_test

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
	otptotp "github.com/pquerna/otp/totp"

	"github.com/stile-auth/stile/flows"
	"github.com/stile-auth/stile/flows/account"
	"github.com/stile-auth/stile/flows/assurance"
	"github.com/stile-auth/stile/flows/seal"
	"github.com/stile-auth/stile/flows/store/memory"
	"github.com/stile-auth/stile/steps/onetime"
	"github.com/stile-auth/stile/steps/steptest"
	"github.com/stile-auth/stile/steps/totp"
)

const subject = "subject-of-jane"

var (
	now  = time.Date(2026, 3, 1, 12, 0, 10, 0, time.UTC)
	seed = []byte("12345678901234567890") // RFC 6238 appendix B
)

// code is what the authenticator app shows at that time.
func code(t testing.TB, at time.Time) string {
	t.Helper()
	c, err := otptotp.GenerateCodeCustom(base32.StdEncoding.EncodeToString(seed), at, otptotp.ValidateOpts{Period: 30, Digits: otp.DigitsSix})
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// repository can fail on demand, and counts the transactions.
type repository struct {
	*memory.Accounts
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
	r.update++
	if r.before != nil {
		r.before()
	}
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

func authenticator(t testing.TB, s account.Sealer, id string) account.Authenticator {
	t.Helper()
	sealed, err := account.SealSeed(s, subject, id, seed)
	if err != nil {
		t.Fatal(err)
	}
	data, err := json.Marshal(account.TOTPData{Seed: sealed, Algorithm: "SHA1", Digits: 6, Period: 30})
	if err != nil {
		t.Fatal(err)
	}
	return account.Authenticator{
		ID: id, Subject: subject, Type: account.TypeTOTP, Status: account.Active, Binding: "aal2", Data: data, Created: now,
	}
}

func jane(t testing.TB, auths ...account.Authenticator) *repository {
	t.Helper()
	r := &repository{Accounts: memory.New().Accounts()}
	who := account.Account{Subject: subject, Status: account.Active, Created: now}
	if err := r.CreateAccount(t.Context(), who, auths, nil); err != nil {
		t.Fatal(err)
	}
	return r
}

// config is a step's empty configuration.
type config struct{}

func (config) Decode(any) error { return nil }

func newStep(t testing.TB, as onetime.Authenticators, s account.Sealer) flows.Step {
	t.Helper()
	step, err := totp.Type(as, s).New(config{})
	if err != nil {
		t.Fatal(err)
	}
	return step
}

// answer sends a code in a run of that name at that time.
func answer(t testing.TB, s flows.Step, run, claimed string, at time.Time, code string) (flows.Outcome, error) {
	t.Helper()
	v := flows.NewVisit(flows.Visit{RunID: run, StepID: "code", Now: at, Claimed: claimed}, "owner in "+run, nil)
	return s.Answer(t.Context(), v, flows.Input(`{"code":"`+code+`"}`))
}

func TestConformance(t *testing.T) {
	steptest.Run(t, func(t *testing.T) steptest.Case {
		s := newSealer(t)
		r := jane(t, authenticator(t, s, "totp-1"))
		return steptest.Case{
			Type:  totp.Type(&serial{repository: r}, s),
			Visit: flows.Visit{StepID: "code", Turn: 1, Attempt: 1, Now: now, Claimed: subject},
			Answer: func(_ json.RawMessage, _ *flows.Visit, how string) flows.Input {
				right := code(t, now)
				if how == "ok" {
					return flows.Input(`{"code":"` + right + `"}`)
				}
				return flows.Input(`{"code":"` + other(right) + `"}`)
			},
			Secrets: []string{string(seed), base32.StdEncoding.EncodeToString(seed), code(t, now), code(t, now.Add(-30*time.Second))},
			Break:   func() { r.down = true },
		}
	})
}

// serial makes the counting of a repository safe for many runs at once.
type serial struct {
	*repository
	mu sync.Mutex
}

func (s *serial) UpdateAuthenticator(ctx context.Context, id string, fn func(*account.Authenticator) error) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.repository.UpdateAuthenticator(ctx, id, fn)
}

// other returns another code than the given one.
func other(code string) string {
	return string('0'+(code[0]-'0'+1)%10) + code[1:]
}

func TestType(t *testing.T) {
	t.Parallel()
	typ := totp.Type(nil, nil)
	if !typ.Guessable || typ.HardLimit != 20 {
		t.Errorf("guessable %v, limit %d", typ.Guessable, typ.HardLimit)
	}
}

// The current step and the one before, nothing else (T-43).
func TestWindow(t *testing.T) {
	t.Parallel()
	for steps, want := range map[int]bool{-2: false, -1: true, 0: true, 1: false, 2: false} {
		s := newSealer(t)
		step := newStep(t, jane(t, authenticator(t, s, "totp-1")), s)
		out, err := answer(t, step, "run-1", subject, now, code(t, now.Add(time.Duration(steps)*30*time.Second)))
		if err != nil || (out.Passed() != nil) != want {
			t.Errorf("step %+d: %+v, %v; want accepted %v", steps, out, err, want)
		}
	}
}

// A code is good once, in whichever run, and so is every older one (T-42).
func TestCodeIsUsedOnce(t *testing.T) {
	t.Parallel()
	s := newSealer(t)
	step := newStep(t, jane(t, authenticator(t, s, "totp-1")), s)
	current, older := code(t, now), code(t, now.Add(-30*time.Second))
	if out, err := answer(t, step, "run-1", subject, now, current); err != nil || out.Passed() == nil {
		t.Fatalf("first use: %+v, %v", out, err)
	}
	for name, c := range map[string]struct {
		code string
		at   time.Time
	}{
		"same instant": {current, now},
		"next step":    {current, now.Add(30 * time.Second)},
		"older code":   {older, now},
	} {
		out, err := answer(t, step, "run-2", subject, c.at, c.code)
		if reason, ok := out.Rejected(); err != nil || !ok || reason != "replayed" {
			t.Errorf("%s: %+v, %v", name, out, err)
		}
	}
	if out, err := answer(t, step, "run-2", subject, now.Add(30*time.Second), code(t, now.Add(30*time.Second))); err != nil || out.Passed() == nil {
		t.Errorf("the next code: %+v, %v", out, err)
	}
}

// Between looking and taking, somebody else may have used the code.
func TestCodeIsTakenAtomically(t *testing.T) {
	t.Parallel()
	s := newSealer(t)
	r := jane(t, authenticator(t, s, "totp-1"))
	step := newStep(t, r, s)
	r.before = func() {
		r.before = nil
		if out, err := answer(t, step, "run-2", subject, now, code(t, now)); err != nil || out.Passed() == nil {
			t.Errorf("the other run: %+v, %v", out, err)
		}
	}
	out, err := answer(t, step, "run-1", subject, now, code(t, now))
	if reason, ok := out.Rejected(); err != nil || !ok || reason != "replayed" {
		t.Errorf("got %+v, %v", out, err)
	}
}

// Whatever the reason that nobody can be let in, the same work is done and the answer is the same (T-50, T-51).
func TestNobodyLooksLikeWrong(t *testing.T) {
	t.Parallel()
	right := code(t, now)
	for name, c := range map[string]struct {
		claimed, code string
		edit          func(*account.Authenticator)
	}{
		"wrong code":        {subject, other(right), nil},
		"unknown account":   {"", right, nil},
		"no authenticator":  {subject, right, func(a *account.Authenticator) { a.Type = account.TypePIN }},
		"disabled":          {subject, right, func(a *account.Authenticator) { a.Status = account.Disabled }},
		"status unheard of": {subject, right, func(a *account.Authenticator) { a.Status = "frozen" }},
	} {
		s := newSealer(t)
		a := authenticator(t, s, "totp-1")
		if c.edit != nil {
			c.edit(&a)
		}
		r := jane(t, a)
		out, err := answer(t, newStep(t, r, s), "run-1", c.claimed, now, c.code)
		if reason, ok := out.Rejected(); err != nil || !ok || reason != "wrong" {
			t.Errorf("%s: got %+v, %v", name, out, err)
		}
		if s.opened != 1 || r.update != 0 {
			t.Errorf("%s: %d seeds opened and %d transactions, want 1 and 0", name, s.opened, r.update)
		}
	}
}

// An authenticator without an account must not let in a run that claims nobody.
func TestEmptySubjectIsNobody(t *testing.T) {
	t.Parallel()
	s := newSealer(t)
	out, err := answer(t, newStep(t, orphans{jane(t, authenticator(t, s, "totp-1"))}, s), "run-1", "", now, code(t, now))
	if _, ok := out.Rejected(); err != nil || !ok {
		t.Errorf("got %+v, %v", out, err)
	}
}

// orphans returns Jane's authenticators for whomever is asked.
type orphans struct{ *repository }

func (o orphans) Authenticators(ctx context.Context, _ string) ([]account.Authenticator, error) {
	return o.repository.Authenticators(ctx, subject)
}

func TestBodyOutOfBounds(t *testing.T) {
	t.Parallel()
	s := newSealer(t)
	step := newStep(t, jane(t, authenticator(t, s, "totp-1")), s)
	for _, code := range []string{"", "12345", "1234567", "12345a", "12 345", "-12345", "\\u0661\\u0662\\u0663"} {
		if out, err := answer(t, step, "run-1", subject, now, code); !errors.Is(err, flows.ErrMalformed) {
			t.Errorf("%q: got %+v, %v", code, out, err)
		}
	}
}

// Data that cannot be read is our fault, not a wrong code.
func TestUnreadableSeedIsAnError(t *testing.T) {
	t.Parallel()
	s := newSealer(t)
	foreign := authenticator(t, s, "totp-2")
	foreign.ID = "totp-1" // sealed for another place
	out, err := answer(t, newStep(t, jane(t, foreign), s), "run-1", subject, now, code(t, now))
	if err == nil || errors.Is(err, flows.ErrUnavailable) || errors.Is(err, flows.ErrMalformed) {
		t.Errorf("got %+v, %v", out, err)
	}
}

func TestSecondAuthenticator(t *testing.T) {
	t.Parallel()
	s := newSealer(t)
	first := authenticator(t, s, "totp-1")
	sealed, err := account.SealSeed(s, subject, "totp-1", []byte("another seed of 20 by"))
	if err != nil {
		t.Fatal(err)
	}
	if first.Data, err = json.Marshal(account.TOTPData{Seed: sealed, Algorithm: "SHA1", Digits: 6, Period: 30}); err != nil {
		t.Fatal(err)
	}
	step := newStep(t, jane(t, first, authenticator(t, s, "totp-2")), s)
	out, err := answer(t, step, "run-1", subject, now, code(t, now))
	if err != nil || out.Passed() == nil || out.Passed().Evidence.Authenticator != "totp-2" {
		t.Errorf("got %+v, %v", out, err)
	}
}

func TestEvidence(t *testing.T) {
	t.Parallel()
	for binding, level := range map[string]assurance.Level{"aal1": assurance.AAL1, "aal2": assurance.AAL2, "gold": assurance.None} {
		s := newSealer(t)
		a := authenticator(t, s, "totp-1")
		a.Binding = binding
		out, err := answer(t, newStep(t, jane(t, a), s), "run-1", subject, now, code(t, now))
		if err != nil {
			t.Fatal(err)
		}
		want := &flows.Proof{Evidence: assurance.Evidence{
			Method: assurance.TOTP, Authenticator: "totp-1", Categories: []assurance.Category{assurance.Possession},
			ReplayResistant: true, Binding: level, Cap: assurance.AAL3,
		}}
		if diff := cmp.Diff(want, out.Passed()); diff != "" {
			t.Errorf("%s: -want +got:\n%s", binding, diff)
		}
	}
}

// Fifty parallel submits of one code: exactly one success.
func TestFiftyAtOnce(t *testing.T) {
	t.Parallel()
	s := newSealer(t)
	step := newStep(t, &serial{repository: jane(t, authenticator(t, s, "totp-1"))}, s)
	right := code(t, now)
	var wg sync.WaitGroup
	passed := make(chan string, 50)
	for i := range 50 {
		wg.Go(func() {
			run := fmt.Sprintf("run-%d", i)
			out, err := answer(t, step, run, subject, now, right)
			if err != nil {
				t.Errorf("%s: %v", run, err)
			}
			if out.Passed() != nil {
				passed <- run
			}
		})
	}
	wg.Wait()
	if len(passed) != 1 {
		t.Errorf("%d of 50 got through", len(passed))
	}
}
