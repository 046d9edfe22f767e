package pin_test

import (
	"context"
	"encoding/json"
	"errors"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/stile-auth/stile/flows"
	"github.com/stile-auth/stile/flows/account"
	"github.com/stile-auth/stile/flows/assurance"
	"github.com/stile-auth/stile/flows/store/memory"
	"github.com/stile-auth/stile/steps/pin"
	"github.com/stile-auth/stile/steps/steptest"
)

const (
	subject = "subject-of-jane"
	secret  = "83710426"
	phone   = "thumbprint-of-janes-phone"
)

var now = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

// repository can fail on demand, and counts the transactions.
type repository struct {
	*memory.Accounts
	down    bool
	updates atomic.Int32
}

func (r *repository) UpdateAuthenticator(ctx context.Context, id string, fn func(*account.Authenticator) error) error {
	r.updates.Add(1)
	return r.Accounts.UpdateAuthenticator(ctx, id, fn)
}

var errDown = errors.New("database is down")

func (r *repository) Authenticators(ctx context.Context, subject string) ([]account.Authenticator, error) {
	if r.down {
		return nil, errDown
	}
	return r.Accounts.Authenticators(ctx, subject)
}

// hasher counts the work that is done, and lets a test do something meanwhile.
type hasher struct {
	*account.Hasher
	work   int
	during func()
	err    error
}

func (h *hasher) Verify(ctx context.Context, hash, secret string) error {
	h.work++
	if h.during != nil {
		h.during()
	}
	if h.err != nil {
		return h.err
	}
	return h.Hasher.Verify(ctx, hash, secret)
}

func (h *hasher) VerifyDummy(ctx context.Context, secret string) error {
	h.work++
	if h.err != nil {
		return h.err
	}
	return h.Hasher.VerifyDummy(ctx, secret)
}

func newHasher(t testing.TB) *account.Hasher {
	t.Helper()
	h, err := account.NewHasher(account.HasherConfig{
		Params: account.Params{Memory: 8, Time: 1, Threads: 1}, Pepper: make([]byte, 32),
	})
	if err != nil {
		t.Fatal(err)
	}
	return h
}

func jane(t testing.TB, h *account.Hasher, pin string, edit func(*account.Authenticator)) *repository {
	t.Helper()
	hash, err := h.Hash(t.Context(), pin)
	if err != nil {
		t.Fatal(err)
	}
	data, err := json.Marshal(account.PINData{Hash: hash, Digits: len(pin)})
	if err != nil {
		t.Fatal(err)
	}
	a := account.Authenticator{
		ID: "pin-1", Subject: subject, Type: account.TypePIN, Status: account.Active, Binding: "aal2", Data: data, Created: now,
	}
	if edit != nil {
		edit(&a)
	}
	r := &repository{Accounts: memory.New().Accounts()}
	who := account.Account{Subject: subject, Status: account.Active, Logins: []string{"jane"}, Created: now}
	if err := r.CreateAccount(t.Context(), who, []account.Authenticator{a}, nil); err != nil {
		t.Fatal(err)
	}
	return r
}

// config is a step's empty configuration.
type config struct{}

func (config) Decode(any) error { return nil }

func newStep(t testing.TB, as pin.Authenticators, h pin.Hasher) flows.Step {
	t.Helper()
	s, err := pin.Type(as, h).New(config{})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func visit(claimed string) *flows.Visit {
	return flows.NewVisit(flows.Visit{RunID: "run-1", StepID: "pin", Now: now, Identifier: "typed", Claimed: claimed, Key: phone}, "owner", nil)
}

func play(t testing.TB, s flows.Step, v *flows.Visit, body string) (flows.Outcome, error) {
	t.Helper()
	if _, err := s.Enter(t.Context(), v); err != nil {
		t.Fatal(err)
	}
	return s.Answer(t.Context(), v, flows.Input(body))
}

func TestConformance(t *testing.T) {
	steptest.Run(t, func(t *testing.T) steptest.Case {
		h := newHasher(t)
		r := jane(t, h, secret, nil)
		return steptest.Case{
			Type:  pin.Type(r, h),
			Visit: flows.Visit{StepID: "pin", Turn: 1, Attempt: 1, Now: now, Claimed: subject, Key: phone},
			Answer: func(_ json.RawMessage, _ *flows.Visit, how string) flows.Input {
				if how == "ok" {
					return flows.Input(`{"pin":"` + secret + `"}`)
				}
				return flows.Input(`{"pin":"83710427"}`)
			},
			Secrets:  []string{secret},
			Break:    func() { r.down = true },
			Reusable: true,
		}
	})
}

func TestType(t *testing.T) {
	t.Parallel()
	typ := pin.Type(nil, nil)
	if !typ.NeedsDevice || !typ.Guessable || typ.HardLimit != 10 {
		t.Errorf("device %v, guessable %v, limit %d", typ.NeedsDevice, typ.Guessable, typ.HardLimit)
	}
}

// Whatever the reason that nobody can be let in, it takes one hash, no
// transaction, and gets one answer (T-50, T-51).
func TestNobodyLooksLikeWrong(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		claimed, key, pin string
		edit              func(*account.Authenticator)
	}{
		"wrong PIN":         {subject, phone, "83710427", nil},
		"unknown account":   {"", phone, secret, nil},
		"no PIN":            {subject, phone, secret, func(a *account.Authenticator) { a.Type = account.TypePassword }},
		"disabled":          {subject, phone, secret, func(a *account.Authenticator) { a.Status = account.Disabled }},
		"status unheard of": {subject, phone, secret, func(a *account.Authenticator) { a.Status = "frozen" }},
		"another phone's":   {subject, phone, secret, func(a *account.Authenticator) { a.Key = "another-phone" }},
		"run without a key": {subject, "", secret, nil},
	} {
		h := &hasher{Hasher: newHasher(t)}
		r := jane(t, h.Hasher, secret, c.edit)
		v := visit(c.claimed)
		v.Key = c.key
		out, err := play(t, newStep(t, r, h), v, `{"pin":"`+c.pin+`"}`)
		if reason, ok := out.Rejected(); err != nil || !ok || reason != "wrong" {
			t.Errorf("%s: got %+v, %v", name, out, err)
		}
		if h.work != 1 || r.updates.Load() != 0 {
			t.Errorf("%s: %d hashes and %d transactions, want 1 and 0", name, h.work, r.updates.Load())
		}
	}
}

// An authenticator without an account must not let in a run that claims nobody.
func TestEmptySubjectIsNobody(t *testing.T) {
	t.Parallel()
	h := newHasher(t)
	out, err := play(t, newStep(t, orphans{jane(t, h, secret, nil)}, h), visit(""), `{"pin":"`+secret+`"}`)
	if _, ok := out.Rejected(); err != nil || !ok {
		t.Errorf("got %+v, %v", out, err)
	}
}

// orphans returns Jane's authenticators for whomever is asked.
type orphans struct{ *repository }

func (o orphans) Authenticators(ctx context.Context, _ string) ([]account.Authenticator, error) {
	return o.repository.Authenticators(ctx, subject)
}

// The phone's own PIN comes before one that belongs to no phone.
func TestPhonesOwnPIN(t *testing.T) {
	t.Parallel()
	h := newHasher(t)
	r := jane(t, h, "27184590", nil)
	hash, err := h.Hash(t.Context(), secret)
	if err != nil {
		t.Fatal(err)
	}
	data, err := json.Marshal(account.PINData{Hash: hash, Digits: len(secret)})
	if err != nil {
		t.Fatal(err)
	}
	own := account.Authenticator{ID: "pin-2", Subject: subject, Type: account.TypePIN, Status: account.Active, Key: phone, Data: data, Created: now}
	if err := r.AddAuthenticator(t.Context(), own); err != nil {
		t.Fatal(err)
	}
	s := newStep(t, r, h)
	out, err := play(t, s, visit(subject), `{"pin":"`+secret+`"}`)
	if err != nil || out.Passed() == nil || out.Passed().Evidence.Authenticator != "pin-2" {
		t.Errorf("own PIN: %+v, %v", out, err)
	}
	if out, err := play(t, s, visit(subject), `{"pin":"27184590"}`); err != nil || out.Passed() != nil {
		t.Errorf("general PIN on a phone with one of its own: %+v, %v", out, err)
	}
}

func TestDisabledWhileBeingVerified(t *testing.T) {
	t.Parallel()
	h := &hasher{Hasher: newHasher(t)}
	r := jane(t, h.Hasher, secret, nil)
	h.during = func() {
		if err := r.UpdateAuthenticator(t.Context(), "pin-1", func(a *account.Authenticator) error {
			a.Status = account.Disabled
			return nil
		}); err != nil {
			t.Error(err)
		}
	}
	out, err := play(t, newStep(t, r, h), visit(subject), `{"pin":"`+secret+`"}`)
	if _, ok := out.Rejected(); err != nil || !ok {
		t.Errorf("got %+v, %v", out, err)
	}
}

func TestBodyOutOfBounds(t *testing.T) {
	t.Parallel()
	h := &hasher{Hasher: newHasher(t)}
	s := newStep(t, jane(t, h.Hasher, secret, nil), h)
	for _, pin := range []string{"", "83710", "8371042683710", "8371042a", "83710 26", "-8371042", "\u0668\u0663\u0667\u0661\u0660\u0664"} {
		if out, err := play(t, s, visit(subject), `{"pin":"`+pin+`"}`); !errors.Is(err, flows.ErrMalformed) {
			t.Errorf("%q: got %+v, %v", pin, out, err)
		}
	}
	if h.work != 0 {
		t.Errorf("%d hashes of what no PIN can be", h.work)
	}
}

func TestTooManyHashesAtOnceIsNoWrongAnswer(t *testing.T) {
	t.Parallel()
	h := &hasher{Hasher: newHasher(t), err: account.ErrBusy}
	s := newStep(t, jane(t, h.Hasher, secret, nil), h)
	for _, claimed := range []string{subject, ""} {
		if _, err := play(t, s, visit(claimed), `{"pin":"`+secret+`"}`); !errors.Is(err, flows.ErrUnavailable) {
			t.Errorf("claimed %q: got %v, want ErrUnavailable", claimed, err)
		}
	}
}

// Under eight digits a PIN earns nothing (SP 800-63B-4 §3.1.1.2).
func TestEvidence(t *testing.T) {
	t.Parallel()
	for pin, low := range map[string]bool{"837104": true, "8371042": true, "83710426": false, "837104268371": false} {
		h := newHasher(t)
		out, err := play(t, newStep(t, jane(t, h, pin, nil), h), visit(subject), `{"pin":"`+pin+`"}`)
		if err != nil {
			t.Fatal(err)
		}
		want := &flows.Proof{Evidence: assurance.Evidence{
			Method: assurance.PIN, Authenticator: "pin-1", Categories: []assurance.Category{assurance.Knowledge},
			LowEntropy: low, Binding: assurance.AAL2, Cap: assurance.AAL3,
		}}
		if diff := cmp.Diff(want, out.Passed()); diff != "" {
			t.Errorf("%s: -want +got:\n%s", pin, diff)
		}
	}
}
