package password_test

import (
	"context"
	"encoding/json"
	"errors"
	"reflect"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/stile-auth/stile/flows"
	"github.com/stile-auth/stile/flows/account"
	"github.com/stile-auth/stile/flows/assurance"
	"github.com/stile-auth/stile/flows/store/memory"
	"github.com/stile-auth/stile/steps/password"
	"github.com/stile-auth/stile/steps/steptest"
)

const (
	subject = "subject-of-jane"
	secret  = "correct horse battery staple"
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

func jane(t testing.TB, h *account.Hasher, edit func(*account.Authenticator)) *repository {
	t.Helper()
	hash, err := h.Hash(t.Context(), secret)
	if err != nil {
		t.Fatal(err)
	}
	data, err := json.Marshal(account.PasswordData{Hash: hash})
	if err != nil {
		t.Fatal(err)
	}
	a := account.Authenticator{
		ID: "password-1", Subject: subject, Type: account.TypePassword, Status: account.Active, Binding: "aal2", Data: data, Created: now,
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

func newStep(t testing.TB, as password.Authenticators, h password.Hasher) flows.Step {
	t.Helper()
	s, err := password.Type(as, h).New(config{})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func visit(claimed string) *flows.Visit {
	return flows.NewVisit(flows.Visit{RunID: "run-1", StepID: "login", Now: now, Identifier: "typed", Claimed: claimed}, "owner", nil)
}

// forcing is a configuration that lets go on whose password has to be changed.
type forcing struct{}

func (forcing) Decode(dst any) error {
	v := reflect.ValueOf(dst).Elem()
	v.FieldByName("ForcedChange").SetBool(true)
	return nil
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
		r := jane(t, h, nil)
		return steptest.Case{
			Type:  password.Type(r, h),
			Visit: flows.Visit{StepID: "login", Turn: 1, Attempt: 1, Now: now, Claimed: subject},
			Answer: func(_ json.RawMessage, _ *flows.Visit, how string) flows.Input {
				if how == "ok" {
					return flows.Input(`{"password":"` + secret + `"}`)
				}
				return flows.Input(`{"password":"` + secret + `r"}`)
			},
			Secrets:  []string{secret},
			Break:    func() { r.down = true },
			Reusable: true,
		}
	})
}

func TestIdentifierIsAskedOnlyWhereNobodyIsClaimed(t *testing.T) {
	t.Parallel()
	h := newHasher(t)
	s := newStep(t, jane(t, h, nil), h)
	const with, without = `{"username":"jane","password":"` + secret + `"}`, `{"password":"` + secret + `"}`
	for name, c := range map[string]struct {
		visit     flows.Visit
		required  bool
		good, bad string
	}{
		"nobody":          {flows.Visit{}, true, with, without},
		"known":           {flows.Visit{Subject: subject, Claimed: subject}, false, without, with},
		"claimed":         {flows.Visit{Claimed: subject, Identifier: "jane"}, false, without, with},
		"claimed unknown": {flows.Visit{Identifier: "john"}, false, without, with},
	} {
		v := flows.NewVisit(c.visit, "owner", nil)
		out, err := s.Enter(t.Context(), v)
		if err != nil {
			t.Fatal(err)
		}
		data, err := json.Marshal(out.Asked().Data)
		if err != nil {
			t.Fatal(err)
		}
		want := `{"identifierRequired":false}`
		if c.required {
			want = `{"identifierRequired":true}`
		}
		if string(data) != want {
			t.Errorf("%s: prompt %s, want %s", name, data, want)
		}
		v.Identifier = "jane" // the engine has resolved what the answer claims
		if _, err := s.Answer(t.Context(), v, flows.Input(c.bad)); !errors.Is(err, flows.ErrMalformed) {
			t.Errorf("%s: answer %s: got %v, want ErrMalformed", name, c.bad, err)
		}
		if _, err := s.Answer(t.Context(), v, flows.Input(c.good)); err != nil {
			t.Errorf("%s: answer %s: %v", name, c.good, err)
		}
	}
}

func TestClaim(t *testing.T) {
	t.Parallel()
	h := newHasher(t)
	claimer, ok := newStep(t, jane(t, h, nil), h).(flows.Claimer)
	if !ok {
		t.Fatal("the step claims nobody")
	}
	if got, err := claimer.Claim(flows.Input(`{"username":"Jane","password":"x"}`)); err != nil || got != "Jane" {
		t.Errorf("got %q, %v", got, err)
	}
	if _, err := claimer.Claim(flows.Input(`{"username":"a","username":"b","password":"x"}`)); !errors.Is(err, flows.ErrMalformed) {
		t.Errorf("two user names: got %v", err)
	}
}

// Whatever the reason that nobody can be let in, it takes one hash, no
// transaction, and gets one answer (T-50, T-51).
func TestNobodyLooksLikeWrong(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		claimed  string
		password string
		edit     func(*account.Authenticator)
	}{
		"wrong password":    {subject, "wrong", nil},
		"unknown account":   {"", secret, nil},
		"no password":       {subject, secret, func(a *account.Authenticator) { a.Type = account.TypePIN }},
		"disabled":          {subject, secret, func(a *account.Authenticator) { a.Status = account.Disabled }},
		"status unheard of": {subject, secret, func(a *account.Authenticator) { a.Status = "frozen" }},
	} {
		h := &hasher{Hasher: newHasher(t)}
		r := jane(t, h.Hasher, c.edit)
		out, err := play(t, newStep(t, r, h), visit(c.claimed), `{"password":"`+c.password+`"}`)
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
	r := jane(t, h, nil)
	s := newStep(t, orphans{r}, h)
	out, err := play(t, s, visit(""), `{"password":"`+secret+`"}`)
	if _, ok := out.Rejected(); err != nil || !ok {
		t.Errorf("got %+v, %v", out, err)
	}
}

// orphans returns Jane's authenticators for whomever is asked.
type orphans struct{ *repository }

func (o orphans) Authenticators(ctx context.Context, _ string) ([]account.Authenticator, error) {
	return o.repository.Authenticators(ctx, subject)
}

func TestDisabledWhileBeingVerified(t *testing.T) {
	t.Parallel()
	h := &hasher{Hasher: newHasher(t)}
	r := jane(t, h.Hasher, nil)
	h.during = func() {
		if err := r.UpdateAuthenticator(t.Context(), "password-1", func(a *account.Authenticator) error {
			a.Status = account.Disabled
			return nil
		}); err != nil {
			t.Error(err)
		}
	}
	out, err := play(t, newStep(t, r, h), visit(subject), `{"password":"`+secret+`"}`)
	if _, ok := out.Rejected(); err != nil || !ok {
		t.Errorf("got %+v, %v", out, err)
	}
}

func TestBodyOutOfBounds(t *testing.T) {
	t.Parallel()
	h := &hasher{Hasher: newHasher(t)}
	s := newStep(t, jane(t, h.Hasher, nil), h)
	for name, body := range map[string]string{
		"empty":      `{"password":""}`,
		"1025 bytes": `{"password":"` + strings.Repeat("a", 1025) + `"}`,
	} {
		for _, claimed := range []string{subject, ""} {
			if out, err := play(t, s, visit(claimed), body); !errors.Is(err, flows.ErrMalformed) {
				t.Errorf("%s: got %+v, %v", name, out, err)
			}
		}
	}
}

func TestTooManyHashesAtOnceIsNoWrongAnswer(t *testing.T) {
	t.Parallel()
	h := &hasher{Hasher: newHasher(t), err: account.ErrBusy}
	s := newStep(t, jane(t, h.Hasher, nil), h)
	for _, claimed := range []string{subject, ""} {
		if _, err := play(t, s, visit(claimed), `{"password":"`+secret+`"}`); !errors.Is(err, flows.ErrUnavailable) {
			t.Errorf("claimed %q: got %v, want ErrUnavailable", claimed, err)
		}
	}
}

func TestEvidence(t *testing.T) {
	t.Parallel()
	for binding, level := range map[string]assurance.Level{"aal1": assurance.AAL1, "aal2": assurance.AAL2, "gold": assurance.None} {
		h := newHasher(t)
		r := jane(t, h, func(a *account.Authenticator) { a.Binding = binding })
		out, err := play(t, newStep(t, r, h), visit(subject), `{"password":"`+secret+`"}`)
		if err != nil {
			t.Fatal(err)
		}
		want := &flows.Proof{Evidence: assurance.Evidence{
			Method: assurance.Password, Authenticator: "password-1", Categories: []assurance.Category{assurance.Knowledge},
			Binding: level, Cap: assurance.AAL3,
		}}
		if diff := cmp.Diff(want, out.Passed()); diff != "" {
			t.Errorf("%s: -want +got:\n%s", binding, diff)
		}
		all, err := r.Authenticators(t.Context(), subject)
		if err != nil || !all[0].LastUsed.Equal(now) {
			t.Errorf("last used %v, %v", all, err)
		}
	}
}

func edited(t *testing.T, edit func(*account.PasswordData)) func(*account.Authenticator) {
	return func(a *account.Authenticator) {
		d := stored(t, *a)
		edit(&d)
		data, err := json.Marshal(d)
		if err != nil {
			t.Fatal(err)
		}
		a.Data = data
	}
}

func stored(t *testing.T, a account.Authenticator) (d account.PasswordData) {
	t.Helper()
	if err := json.Unmarshal(a.Data, &d); err != nil {
		t.Fatal(err)
	}
	return d
}

func only(t *testing.T, r *repository) account.Authenticator {
	t.Helper()
	all, err := r.Authenticators(t.Context(), subject)
	if err != nil || len(all) != 1 {
		t.Fatal(all, err)
	}
	return all[0]
}

// What another system has made is replaced by the first sign-in, and by nothing less.
func TestImportedHashIsReplaced(t *testing.T) {
	t.Parallel()
	const imported = "$2b$06$abcdefghijklmnopqrstuuUdvFrqw2QzwU8HBqEH9o3SoNfoEscgq" // of "vierzig grüne Hügel"
	h := newHasher(t)
	r := jane(t, h, edited(t, func(d *account.PasswordData) { d.Hash = imported }))
	s := newStep(t, r, h)
	if out, err := play(t, s, visit(subject), `{"password":"vierzig gruene Huegel"}`); err != nil || out.Passed() != nil {
		t.Fatal(out, err)
	}
	if got := stored(t, only(t, r)).Hash; got != imported {
		t.Errorf("a wrong password has replaced the hash by %s", got)
	}
	if out, err := play(t, s, visit(subject), `{"password":"vierzig grüne Hügel"}`); err != nil || out.Passed() == nil {
		t.Fatal(out, err)
	}
	got := stored(t, only(t, r)).Hash
	if h.Stale(got) || h.Verify(t.Context(), got, "vierzig grüne Hügel") != nil {
		t.Errorf("after the sign-in the hash is %s", got)
	}
}

// A password that was changed while the old one was being verified stays changed.
func TestChangedWhileBeingVerified(t *testing.T) {
	t.Parallel()
	h := newHasher(t)
	r := jane(t, h, nil)
	changed, err := h.Hash(t.Context(), "something else altogether")
	if err != nil {
		t.Fatal(err)
	}
	during := &hasher{Hasher: h, during: func() {
		err := r.UpdateAuthenticator(t.Context(), "password-1", func(a *account.Authenticator) error {
			edited(t, func(d *account.PasswordData) { d.Hash = changed })(a)
			return nil
		})
		if err != nil {
			t.Error(err)
		}
	}}
	out, err := play(t, newStep(t, r, during), visit(subject), `{"password":"`+secret+`"}`)
	if reason, rejected := out.Rejected(); err != nil || !rejected || reason != "wrong" {
		t.Errorf("%+v, %v", out, err)
	}
	if got := stored(t, only(t, r)).Hash; got != changed {
		t.Error("the old password is back")
	}
}

// A password that has to be changed lets nobody in by itself.
func TestForcedChange(t *testing.T) {
	t.Parallel()
	h := newHasher(t)
	r := jane(t, h, edited(t, func(d *account.PasswordData) { d.MustChange = true }))
	const body = `{"password":"` + secret + `"}`
	out, err := play(t, newStep(t, r, h), visit(subject), body)
	if err != nil || out.Exited() != "denied" || out.Passed() != nil {
		t.Errorf("without forced_change: %+v, %v", out, err)
	}
	forced, err := password.Type(r, h).New(forcing{})
	if err != nil {
		t.Fatal(err)
	}
	out, err = play(t, forced, visit(subject), body)
	if err != nil || out.Passed() == nil || !reflect.DeepEqual(out.Raised(), []string{"password_change"}) {
		t.Errorf("with forced_change: %+v, %v", out, err)
	}
	out, err = play(t, forced, visit(subject), `{"password":"wrong"}`)
	if _, rejected := out.Rejected(); err != nil || !rejected || len(out.Raised()) > 0 {
		t.Errorf("a wrong password: %+v, %v", out, err)
	}
}
