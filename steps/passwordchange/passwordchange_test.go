package passwordchange_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"testing"
	"testing/fstest"
	"time"

	"github.com/stile-auth/stile/flowdefs"
	"github.com/stile-auth/stile/flows"
	"github.com/stile-auth/stile/flows/account"
	"github.com/stile-auth/stile/flows/assurance"
	"github.com/stile-auth/stile/flows/store/memory"
	"github.com/stile-auth/stile/steps/passwordchange"
	"github.com/stile-auth/stile/steps/steptest"
)

const (
	subject = "subject-of-jane"
	secret  = "correct horse battery staple"
	other   = "three quiet green hills"
)

var now = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

// repository can fail on demand.
type repository struct {
	*memory.Accounts
	down bool
}

var errDown = errors.New("database is down")

func (r *repository) Authenticators(ctx context.Context, subject string) ([]account.Authenticator, error) {
	if r.down {
		return nil, errDown
	}
	return r.Accounts.Authenticators(ctx, subject)
}

func newHasher(t testing.TB) *account.Hasher {
	t.Helper()
	h, err := account.NewHasher(account.HasherConfig{
		Params: account.Params{Memory: 8, Time: 1, Threads: 1}, Pepper: make([]byte, 32), MaxConcurrent: 64,
	})
	if err != nil {
		t.Fatal(err)
	}
	return h
}

func authenticator(t testing.TB, id, typ, binding string, data any) account.Authenticator {
	t.Helper()
	text, err := json.Marshal(data)
	if err != nil {
		t.Fatal(err)
	}
	return account.Authenticator{ID: id, Subject: subject, Type: typ, Status: account.Active, Binding: binding, Data: text, Created: now}
}

// jane has a password, bound at aal2, and an address.
func jane(t testing.TB, h *account.Hasher, edit func(*account.PasswordData)) *repository {
	t.Helper()
	hash, err := h.Hash(t.Context(), secret)
	if err != nil {
		t.Fatal(err)
	}
	d := account.PasswordData{Hash: hash}
	if edit != nil {
		edit(&d)
	}
	return with(t, authenticator(t, "password-1", account.TypePassword, "aal2", d),
		authenticator(t, "mail-1", account.TypeEmail, "aal1", account.EmailData{Address: "jane.doe@bank.example"}))
}

func with(t testing.TB, all ...account.Authenticator) *repository {
	t.Helper()
	r := &repository{Accounts: memory.New().Accounts()}
	who := account.Account{Subject: subject, Status: account.Active, Logins: []string{"jane-of-the-hills"}, Created: now}
	if err := r.CreateAccount(t.Context(), who, all, nil); err != nil {
		t.Fatal(err)
	}
	return r
}

func typeOf(r *repository, h *account.Hasher) flows.StepType {
	return passwordchange.Type(passwordchange.Config{Accounts: r, Authenticators: r, Hasher: h})
}

func newStep(t testing.TB, r *repository, h *account.Hasher, cfg string) (flows.Step, error) {
	t.Helper()
	reg, err := flows.NewRegistry(typeOf(r, h))
	if err != nil {
		t.Fatal(err)
	}
	text := "flows: {f: {steps: [{id: it, type: password_change, with: {" + cfg + "}}]}}"
	set, err := flowdefs.Load(fstest.MapFS{"f.yaml": {Data: []byte(text)}}, ".", reg)
	if err != nil {
		return nil, err
	}
	return typeOf(r, h).New(set.Flows["f"].Steps[0].With)
}

func must(t testing.TB, r *repository, h *account.Hasher, cfg string) flows.Step {
	t.Helper()
	s, err := newStep(t, r, h, cfg)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func visit(owner string, level assurance.Level) *flows.Visit {
	return flows.NewVisit(flows.Visit{
		RunID: "run-1", StepID: "it", Turn: 1, Attempt: 1, Now: now, Subject: subject, Claimed: subject, Level: level, Locale: "de",
	}, owner, nil)
}

// play enters and answers, and says what became of it.
func play(t testing.TB, s flows.Step, v *flows.Visit, current, password string) string {
	t.Helper()
	if _, err := s.Enter(t.Context(), v); err != nil {
		return err.Error()
	}
	body := map[string]string{"new": password}
	if current != "" {
		body["current"] = current
	}
	text, err := json.Marshal(body)
	if err != nil {
		t.Fatal(err)
	}
	out, err := s.Answer(t.Context(), v, text)
	reason, rejected := out.Rejected()
	switch {
	case err != nil:
		return err.Error()
	case rejected && out.Again() != nil:
		return "rejected: " + refused(t, out.Again())
	case rejected:
		return "rejected: " + reason
	case out.Asked() != nil:
		return "asked: " + refused(t, out.Asked())
	}
	return "enrolled " + out.EnrolledID()
}

func refused(t testing.TB, p *flows.Prompt) string {
	t.Helper()
	text, err := json.Marshal(p.Data)
	var d struct{ Refused string }
	if err := errors.Join(err, json.Unmarshal(text, &d)); err != nil {
		t.Fatal(err)
	}
	return d.Refused
}

// password returns the authenticators that are passwords.
func passwords(t testing.TB, r *repository) (out []account.Authenticator) {
	t.Helper()
	all, err := r.Authenticators(t.Context(), subject)
	if err != nil {
		t.Fatal(err)
	}
	for _, a := range all {
		if a.Type == account.TypePassword {
			out = append(out, a)
		}
	}
	return out
}

func dataOf(t testing.TB, a account.Authenticator) (d account.PasswordData) {
	t.Helper()
	if err := json.Unmarshal(a.Data, &d); err != nil {
		t.Fatal(err)
	}
	return d
}

func TestConformance(t *testing.T) {
	steptest.Run(t, func(t *testing.T) steptest.Case {
		h := newHasher(t)
		r := jane(t, h, nil)
		return steptest.Case{
			Type:  typeOf(r, h),
			Visit: flows.Visit{StepID: "it", Turn: 1, Attempt: 1, Now: now, Subject: subject, Claimed: subject, Level: assurance.AAL2},
			Answer: func(_ json.RawMessage, _ *flows.Visit, how string) flows.Input {
				current := secret
				if how == "wrong" {
					current = "something else"
				}
				return flows.Input(fmt.Sprintf(`{"current":%q,"new":%q}`, current, other))
			},
			Secrets:      []string{secret, other},
			Break:        func() { r.down = true },
			NeedsSubject: true,
		}
	})
}

func TestChange(t *testing.T) {
	t.Parallel()
	h := newHasher(t)
	r := jane(t, h, func(d *account.PasswordData) { d.MustChange = true })
	s, v := must(t, r, h, ""), visit("me", assurance.AAL1)
	if got := play(t, s, v, secret, other); got != "enrolled password-1" {
		t.Fatal(got)
	}
	a := passwords(t, r)[0]
	d := dataOf(t, a)
	if a.Binding != "aal2" || d.MustChange || len(d.Before) != 1 {
		t.Errorf("%+v, %+v", a, d)
	}
	if err := errors.Join(h.Verify(t.Context(), d.Hash, other), h.Verify(t.Context(), d.Before[0], secret)); err != nil {
		t.Error(err)
	}
}

func TestWhatIsRefused(t *testing.T) {
	t.Parallel()
	h := newHasher(t)
	earlier, err := h.Hash(t.Context(), "an earlier long one")
	if err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct{ cfg, current, password, want string }{
		"short":                {"", secret, "fourteen chars", "asked: password.too_short"},
		"eight is enough":      {"min_length: 8", secret, "hvzrbqkw", "enrolled password-1"},
		"common":               {"", secret, "passwordpassword", "asked: password.common"},
		"login":                {"", secret, "jane-of-the-hills1", "asked: password.contextual"},
		"address":              {"", secret, "jane.doe jane.doe", "asked: password.contextual"},
		"unchanged":            {"", secret, secret, "rejected: password.unchanged"},
		"used before":          {"", secret, "an earlier long one", "rejected: password.used_before"},
		"outside of history":   {"history: 0", secret, "an earlier long one", "enrolled password-1"},
		"unchanged in history": {"history: 0", secret, secret, "rejected: password.unchanged"},
		"wrong current":        {"", "something else", other, "rejected: wrong"},
		"wrong and used":       {"", "something else", "an earlier long one", "rejected: wrong"},
		"unasked and current":  {"current: false", "", secret, "rejected: password.unchanged"},
	} {
		r := jane(t, h, func(d *account.PasswordData) { d.Before = []string{earlier} })
		v := visit("me", assurance.AAL2)
		if got := play(t, must(t, r, h, c.cfg), v, c.current, c.password); got != c.want {
			t.Errorf("%s: %s, want %s", name, got, c.want)
		}
		if kept := dataOf(t, passwords(t, r)[0]).Hash; c.want != "enrolled password-1" && (h.Verify(t.Context(), kept, secret) != nil || v.Sent() != nil) {
			t.Errorf("%s: refused, and something happened", name)
		}
	}
}

func TestHistoryIsBounded(t *testing.T) {
	t.Parallel()
	h := newHasher(t)
	r := jane(t, h, nil)
	s, current := must(t, r, h, "history: 2"), secret
	for i := range 4 {
		next := fmt.Sprintf("%s, number %d", other, i)
		if got := play(t, s, visit(next, assurance.AAL2), current, next); got != "enrolled password-1" {
			t.Fatal(got)
		}
		current = next
	}
	if d := dataOf(t, passwords(t, r)[0]); len(d.Before) != 2 {
		t.Errorf("%d passwords are kept, want 2", len(d.Before))
	}
	if got := play(t, s, visit("me", assurance.AAL2), current, secret); got != "enrolled password-1" {
		t.Errorf("one that is out of the history: %s", got)
	}
}

// Whoever sets a password without knowing the old one has proved the run's level
// and no more: that caps it.
func TestUnverifiedChangeIsBoundAnew(t *testing.T) {
	t.Parallel()
	h := newHasher(t)
	for level, want := range map[assurance.Level]int{assurance.AAL1: 2, assurance.AAL2: 1} {
		r := jane(t, h, nil)
		if got := play(t, must(t, r, h, "current: false"), visit("me", level), "", other); len(got) < len("enrolled ") {
			t.Fatal(got)
		}
		all := passwords(t, r)
		if len(all) != want {
			t.Fatalf("at %s: %d passwords, want %d", level, len(all), want)
		}
		for _, a := range all {
			if a.ID == "password-1" && want == 2 && a.Status != account.Disabled {
				t.Error("the old password is still good")
			}
			if a.ID != "password-1" && (a.Binding != "aal1" || a.Status != account.Pending) {
				t.Errorf("%+v", a)
			}
		}
	}
}

// An account without a password gets its first one, which becomes active with the run's change.
func TestFirstPassword(t *testing.T) {
	t.Parallel()
	h := newHasher(t)
	r := with(t)
	v := visit("me", assurance.AAL1)
	if got := play(t, must(t, r, h, ""), v, "", other); got == "" || got[:9] != "enrolled " {
		t.Fatal(got)
	}
	all := passwords(t, r)
	if len(all) != 1 || all[0].Status != account.Pending || all[0].Binding != "aal1" || h.Verify(t.Context(), dataOf(t, all[0]).Hash, other) != nil || v.Sent() != nil {
		t.Errorf("%+v", all)
	}
}

// A locked authenticator is shown to the step as nobody: it does a check's work and says no.
func TestLocked(t *testing.T) {
	t.Parallel()
	h := newHasher(t)
	r := jane(t, h, nil)
	s, v := must(t, r, h, ""), visit("me", assurance.AAL2)
	if _, err := s.Enter(t.Context(), v); err != nil {
		t.Fatal(err)
	}
	v.Subject, v.Claimed = "", ""
	out, err := s.Answer(t.Context(), v, flows.Input(`{"current":"`+secret+`","new":"`+other+`"}`))
	if reason, ok := out.Rejected(); err != nil || !ok || reason != "wrong" {
		t.Errorf("%+v, %v", out, err)
	}
	if h.Verify(t.Context(), dataOf(t, passwords(t, r)[0]).Hash, secret) != nil {
		t.Error("changed all the same")
	}
}

func TestConfiguration(t *testing.T) {
	t.Parallel()
	for _, cfg := range []string{"min_length: 7", "min_length: 65", "history: -1", "history: 25"} {
		if _, err := newStep(t, jane(t, newHasher(t), nil), newHasher(t), cfg); err == nil {
			t.Errorf("%s: no error", cfg)
		}
	}
}
