package authenticatorremoval_test

import (
	"context"
	"encoding/json"
	"errors"
	"slices"
	"sync"
	"testing"
	"testing/fstest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/stile-auth/stile/flowdefs"
	"github.com/stile-auth/stile/flows"
	"github.com/stile-auth/stile/flows/account"
	"github.com/stile-auth/stile/flows/store/memory"
	"github.com/stile-auth/stile/steps/authenticatorremoval"
	"github.com/stile-auth/stile/steps/steptest"
)

const (
	subject = "subject-of-jane"
	phone   = "thumbprint-of-janes-phone"
)

var now = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

// repository fails on demand.
type repository struct {
	*memory.Accounts
	down bool
}

func (r *repository) Authenticators(ctx context.Context, subject string) ([]account.Authenticator, error) {
	if r.down {
		return nil, errors.New("database is down")
	}
	return r.Accounts.Authenticators(ctx, subject)
}

func one(id, typ, key string) account.Authenticator {
	return account.Authenticator{ID: id, Subject: subject, Type: typ, Name: "my " + typ, Status: account.Active, Binding: "aal2", Key: key, Data: []byte("{}"), Created: now}
}

func with(t testing.TB, all ...account.Authenticator) *repository {
	t.Helper()
	r := &repository{Accounts: memory.New().Accounts()}
	if err := r.CreateAccount(t.Context(), account.Account{Subject: subject, Status: account.Active, Created: now}, all, nil); err != nil {
		t.Fatal(err)
	}
	john := one("johns", account.TypeTOTP, "")
	john.Subject = "subject-of-john"
	if err := r.CreateAccount(t.Context(), account.Account{Subject: john.Subject, Status: account.Active, Created: now}, []account.Authenticator{john}, nil); err != nil {
		t.Fatal(err)
	}
	return r
}

func newStep(t testing.TB, r *repository, cfg string) (flows.Step, error) {
	t.Helper()
	registry, err := flows.NewRegistry(authenticatorremoval.Type(r))
	if err != nil {
		t.Fatal(err)
	}
	set, err := flowdefs.Load(fstest.MapFS{"f.yaml": {Data: []byte("flows: {f: {steps: [{id: it, type: authenticator_removal, with: {" + cfg + "}}]}}")}}, ".", registry)
	if err != nil {
		return nil, err
	}
	return authenticatorremoval.Type(r).New(set.Flows["f"].Steps[0].With)
}

func must(t testing.TB, r *repository) flows.Step {
	t.Helper()
	s, err := newStep(t, r, "types: [device, device_pin, pin, totp, recovery, password]")
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// marks are one-time marks in a map.
type marks struct {
	mu sync.Mutex
	by map[string]string
}

func (m *marks) TakeMark(_ context.Context, mark, owner string, _, _ time.Time) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if who, held := m.by[mark]; held && who != owner {
		return flows.ErrTaken
	}
	m.by[mark] = owner
	return nil
}

func (m *marks) DeleteExpiredMarks(context.Context, time.Time, int) (int, error) { return 0, nil }

func newMarks() *marks { return &marks{by: map[string]string{}} }

func visit(owner string, m *marks, edit func(*flows.Visit)) *flows.Visit {
	v := flows.Visit{RunID: "run-1", StepID: "it", Turn: 1, Attempt: 1, Now: now, Subject: subject, Claimed: subject, Key: phone}
	if edit != nil {
		edit(&v)
	}
	return flows.NewVisit(v, owner, m)
}

func removal(id string) flows.Input {
	return flows.Input(`{"action":"remove","authenticator":"` + id + `"}`)
}

func TestConformance(t *testing.T) {
	steptest.Run(t, func(t *testing.T) steptest.Case {
		r := with(t, one("pw", account.TypePassword, ""), one("app", account.TypeTOTP, ""))
		return steptest.Case{
			Type:  authenticatorremoval.Type(r),
			Visit: flows.Visit{StepID: "it", Turn: 1, Attempt: 1, Now: now, Subject: subject, Claimed: subject},
			Answer: func(_ json.RawMessage, _ *flows.Visit, how string) flows.Input {
				if how == "ok" {
					return removal("app")
				}
				return removal("johns")
			},
			Break:        func() { r.down = true },
			NeedsSubject: true,
		}
	})
}

// What is removed: that one, and with the key of a phone all that the phone holds.
func TestRemoved(t *testing.T) {
	t.Parallel()
	r := with(t, one("pw", account.TypePassword, ""), one("key", account.TypeDevice, phone), one("pin", account.TypePIN, phone),
		one("key-2", account.TypeDevicePIN, phone), one("other", account.TypeDevice, "another phone"), one("app", account.TypeTOTP, ""))
	for id, want := range map[string][]string{
		"app": {"app"}, "pin": {"pin"}, "key-2": {"key-2"}, "key": {"key", "key-2", "pin"}, "other": {"other"}, "pw": {"pw"},
	} {
		out, err := must(t, r).Answer(t.Context(), visit("o", newMarks(), nil), removal(id))
		got := slices.Sorted(slices.Values(out.RemovedIDs()))
		if err != nil || cmp.Diff(want, got) != "" {
			t.Errorf("%s: removes %v, %v; want %v", id, got, err, want)
		}
	}
}

// refused is the message of a prompt that came instead of a removal.
func refused(t *testing.T, out flows.Outcome) string {
	t.Helper()
	if out.Asked() == nil || len(out.RemovedIDs()) > 0 {
		return ""
	}
	text, err := json.Marshal(out.Asked().Data)
	var d struct{ Refused string }
	if err := errors.Join(err, json.Unmarshal(text, &d)); err != nil {
		t.Fatal(err)
	}
	return d.Refused
}

// Nobody is left with an account that nobody can enter.
func TestTheLastStays(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		left   []account.Authenticator
		vouch  bool
		refuse string
	}{
		"nothing else":                   {nil, false, "removal.last"},
		"recovery codes":                 {[]account.Authenticator{one("codes", account.TypeRecovery, "")}, false, "removal.last"},
		"an activation code":             {[]account.Authenticator{one("letter", account.TypeActivation, "")}, false, "removal.last"},
		"a PIN of the phone that goes":   {[]account.Authenticator{one("pin", account.TypePIN, phone)}, false, "removal.last"},
		"a PIN of a phone without a key": {[]account.Authenticator{one("pin", account.TypePIN, "another")}, false, "removal.last"},
		"a password that was taken away": {[]account.Authenticator{func() account.Authenticator {
			a := one("pw", account.TypePassword, "")
			a.Status = account.Disabled
			return a
		}()}, false, "removal.last"},
		"a password":                      {[]account.Authenticator{one("pw", account.TypePassword, "")}, false, ""},
		"an address":                      {[]account.Authenticator{one("mail", account.TypeEmail, "")}, false, ""},
		"another phone":                   {[]account.Authenticator{one("key-2", account.TypeDevice, "another")}, false, ""},
		"a provider that vouched already": {nil, true, ""},
	} {
		r := with(t, append(tt.left, one("key", account.TypeDevice, phone))...)
		v := visit("o", newMarks(), func(v *flows.Visit) { v.Federated = tt.vouch })
		out, err := must(t, r).Answer(t.Context(), v, removal("key"))
		if err != nil || refused(t, out) != tt.refuse || (len(out.RemovedIDs()) == 0) != (tt.refuse != "") {
			t.Errorf("%s: %q, removed %v, %v", name, refused(t, out), out.RemovedIDs(), err)
		}
	}
}

// Two removals at once could each count on what the other takes away.
func TestOneAtATime(t *testing.T) {
	t.Parallel()
	r := with(t, one("key", account.TypeDevice, phone), one("app", account.TypeTOTP, ""))
	m, s := newMarks(), must(t, r)
	first, err := s.Answer(t.Context(), visit("first", m, nil), removal("key"))
	if err != nil || len(first.RemovedIDs()) != 1 {
		t.Fatalf("%+v, %v", first, err)
	}
	second, err := s.Answer(t.Context(), visit("second", m, nil), removal("app"))
	if err != nil || refused(t, second) != "removal.busy" {
		t.Errorf("%+v, %v", second, err)
	}
}

// What is not listed cannot be removed: what others have, what is out of use already, what administrators bind.
func TestNotListed(t *testing.T) {
	t.Parallel()
	gone := one("gone", account.TypeTOTP, "")
	gone.Status = account.Disabled
	r := with(t, one("pw", account.TypePassword, ""), one("mail", account.TypeEmail, ""), gone)
	for _, id := range []string{"johns", "gone", "mail", "nothing"} {
		for _, in := range []flows.Input{removal(id), flows.Input(`{"action":"rename","authenticator":"` + id + `","name":"mine"}`)} {
			out, err := must(t, r).Answer(t.Context(), visit("o", newMarks(), nil), in)
			if _, rejected := out.Rejected(); err != nil || !rejected {
				t.Errorf("%s: %+v, %v", in, out, err)
			}
		}
	}
}

func TestRename(t *testing.T) {
	t.Parallel()
	r := with(t, one("pw", account.TypePassword, ""), one("app", account.TypeTOTP, ""))
	in := flows.Input(`{"action":"rename","authenticator":"app","name":"the old app"}`)
	out, err := must(t, r).Answer(t.Context(), visit("o", newMarks(), nil), in)
	if err != nil || !out.IsDone() || len(out.RemovedIDs()) > 0 {
		t.Fatalf("%+v, %v", out, err)
	}
	all, err := r.Authenticators(t.Context(), subject)
	if err != nil || !slices.ContainsFunc(all, func(a account.Authenticator) bool {
		return a.ID == "app" && a.Name == "the old app" && a.Status == account.Active
	}) {
		t.Errorf("%+v, %v", all, err)
	}
}

func TestBadConfiguration(t *testing.T) {
	t.Parallel()
	for _, cfg := range []string{"types: []", "types: [email]", "types: [activation]", "types: [totp, totp]", "types: [ldap_password]"} {
		if _, err := newStep(t, with(t), cfg); err == nil {
			t.Errorf("%s: loads", cfg)
		}
	}
}

func TestMalformed(t *testing.T) {
	t.Parallel()
	r := with(t, one("pw", account.TypePassword, ""), one("app", account.TypeTOTP, ""))
	for _, body := range []string{
		`{"action":"remove","authenticator":"app","name":"x"}`, `{"action":"rename","authenticator":"app"}`,
		`{"action":"bind","authenticator":"app"}`, `{"action":"remove","authenticator":""}`,
		`{"action":"rename","authenticator":"app","name":"a\nb"}`, `{}`,
	} {
		if out, err := must(t, r).Answer(t.Context(), visit("o", newMarks(), nil), flows.Input(body)); !errors.Is(err, flows.ErrMalformed) {
			t.Errorf("%s: %+v, %v", body, out, err)
		}
	}
}

// A run in which a provider vouched for the person may rest on the very identity that
// goes: then something else has to be left.
func TestIdentityIsNotTheLast(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		besides []account.Authenticator
		gone    bool
	}{
		"alone":                {nil, false},
		"with recovery codes":  {[]account.Authenticator{one("codes", account.TypeRecovery, "")}, false},
		"with a password":      {[]account.Authenticator{one("pw", account.TypePassword, "")}, true},
		"with another of them": {[]account.Authenticator{one("other identity", account.TypeIdentity, "")}, true},
	} {
		r := with(t, append(c.besides, one("identity", account.TypeIdentity, ""))...)
		s, err := newStep(t, r, "types: [identity]")
		if err != nil {
			t.Fatal(err)
		}
		out, err := s.Answer(t.Context(), visit("owner", newMarks(), func(v *flows.Visit) { v.Federated = true }), removal("identity"))
		if err != nil || (len(out.RemovedIDs()) == 1) != c.gone {
			t.Errorf("%s: removed %v, %v", name, out.RemovedIDs(), err)
		}
	}
}
