package pinenrolment_test

import (
	"context"
	"encoding/json"
	"errors"
	"testing"
	"time"

	"github.com/stile-auth/stile/flows"
	"github.com/stile-auth/stile/flows/account"
	"github.com/stile-auth/stile/flows/assurance"
	"github.com/stile-auth/stile/flows/store/memory"
	"github.com/stile-auth/stile/steps/pin"
	"github.com/stile-auth/stile/steps/pinenrolment"
	"github.com/stile-auth/stile/steps/steptest"
)

const (
	subject = "subject-of-jane"
	phone   = "thumbprint-of-the-runs-key"
	good    = "83710426"
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

func newRepository(t testing.TB) *repository {
	t.Helper()
	r := &repository{Accounts: memory.New().Accounts()}
	a := account.Account{Subject: subject, Status: account.Active, Logins: []string{"+41443334455"}, Created: now}
	data, err := json.Marshal(account.PhoneData{Number: "+41791274956"})
	if err != nil {
		t.Fatal(err)
	}
	number := account.Authenticator{ID: "number", Subject: subject, Type: account.TypePhone, Status: account.Active, Binding: "aal1", Data: data, Created: now}
	if err := r.CreateAccount(t.Context(), a, []account.Authenticator{number}, nil); err != nil {
		t.Fatal(err)
	}
	return r
}

func hasher(t testing.TB) *account.Hasher {
	t.Helper()
	h, err := account.NewHasher(account.HasherConfig{
		Params: account.Params{Memory: 8, Time: 1, Threads: 1}, Pepper: make([]byte, 32), MaxConcurrent: 8, MaxWait: time.Minute,
	})
	if err != nil {
		t.Fatal(err)
	}
	return h
}

type config struct{}

func (config) Decode(any) error { return nil }

func newStep(t testing.TB, typ flows.StepType) flows.Step {
	t.Helper()
	s, err := typ.New(config{})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

var run = flows.Visit{
	RunID: "run-1", StepID: "choose", Turn: 3, Attempt: 1, Now: now, Key: phone, Subject: subject, Claimed: subject, Level: assurance.AAL2,
}

func visit(owner string, edit func(*flows.Visit)) *flows.Visit {
	v := run
	if edit != nil {
		edit(&v)
	}
	return flows.NewVisit(v, owner, memory.New())
}

func TestConformance(t *testing.T) {
	steptest.Run(t, func(t *testing.T) steptest.Case {
		r := newRepository(t)
		return steptest.Case{
			Type:  pinenrolment.Type(r, r, hasher(t)),
			Visit: run,
			Answer: func(_ json.RawMessage, _ *flows.Visit, how string) flows.Input {
				if how == "ok" {
					return flows.Input(`{"pin":"` + good + `"}`)
				}
				return flows.Input(`{"pin":"123456"}`)
			},
			Break:        func() { r.down = true },
			NeedsSubject: true,
			Reusable:     true,
		}
	})
}

// What is easy to guess is not taken, with a reason.
func TestEasyToGuess(t *testing.T) {
	t.Parallel()
	r := newRepository(t)
	s := newStep(t, pinenrolment.Type(r, r, hasher(t)))
	for text, want := range map[string]string{
		"123456": "pin.sequence", "987654": "pin.sequence", "777777": "pin.sequence", "12341234": "pin.sequence", "890123": "pin.sequence",
		"310199": "pin.date", "19991231": "pin.date", "24121987": "pin.date", "12241987": "pin.date", "991224": "pin.date",
		"274956": "pin.personal", "79127495": "", "3334455": "pin.personal", good: "", "837104": "",
	} {
		out, err := s.Answer(t.Context(), visit("owner of "+text, nil), flows.Input(`{"pin":"`+text+`"}`))
		if err != nil {
			t.Fatal(err)
		}
		got := ""
		if p := out.Again(); p != nil {
			data, _ := json.Marshal(p.Data)
			var d struct{ Refused string }
			if err := json.Unmarshal(data, &d); err != nil {
				t.Fatal(err)
			}
			got = d.Refused
		}
		if got != want || (out.EnrolledID() == "") != (want != "") {
			t.Errorf("%s: %+v, want %q", text, out, want)
		}
	}
	for _, text := range []string{"12345", "1234567890123", "12a456", ""} {
		if _, err := s.Answer(t.Context(), visit("owner", nil), flows.Input(`{"pin":"`+text+`"}`)); !errors.Is(err, flows.ErrMalformed) {
			t.Errorf("%q: %v", text, err)
		}
	}
}

// The authenticator belongs to this phone and waits for the run to be completed; it
// is bound at the run's level, and the hash is all that is kept of the PIN.
func TestBinding(t *testing.T) {
	t.Parallel()
	r := newRepository(t)
	s := newStep(t, pinenrolment.Type(r, r, hasher(t)))
	ids := map[string]bool{}
	for range 2 { // the same answer comes again
		out, err := s.Answer(t.Context(), visit("owner", nil), flows.Input(`{"pin":"`+good+`"}`))
		if err != nil || out.EnrolledID() == "" {
			t.Fatalf("%+v %v", out, err)
		}
		ids[out.EnrolledID()] = true
	}
	all, err := r.Accounts.Authenticators(t.Context(), subject)
	if err != nil || len(ids) != 1 || len(all) != 2 {
		t.Fatalf("%v: %+v %v", ids, all, err)
	}
	for _, a := range all {
		if a.Type == account.TypePIN && (a.Key != phone || a.Status != account.Pending || a.Binding != "aal2" || !ids[a.ID]) {
			t.Errorf("%+v", a)
		}
	}
	// Another answer in the same turn is another PIN.
	out, err := s.Answer(t.Context(), visit("another owner", nil), flows.Input(`{"pin":"27182846"}`))
	if err != nil || ids[out.EnrolledID()] {
		t.Errorf("%+v %v", out, err)
	}
}

// The PIN that was set last is the one that counts, on this phone.
func TestSetAgain(t *testing.T) {
	t.Parallel()
	r, h := newRepository(t), hasher(t)
	set := newStep(t, pinenrolment.Type(r, r, h))
	use := newStep(t, pin.Type(r, h))
	for i, text := range []string{"27182846", good} {
		out, err := set.Answer(t.Context(), visit(text, func(v *flows.Visit) { v.Now = now.Add(time.Duration(i) * time.Hour) }), flows.Input(`{"pin":"`+text+`"}`))
		if err != nil {
			t.Fatal(err)
		}
		err = r.UpdateAuthenticator(t.Context(), out.EnrolledID(), func(a *account.Authenticator) error { a.Status = account.Active; return nil })
		if err != nil {
			t.Fatal(err)
		}
	}
	for text, right := range map[string]bool{"27182846": false, good: true} {
		out, err := use.Answer(t.Context(), visit("", nil), flows.Input(`{"pin":"`+text+`"}`))
		if err != nil || (out.Passed() != nil) != right {
			t.Errorf("%s: %+v %v", text, out, err)
		}
	}
}

func TestNobody(t *testing.T) {
	t.Parallel()
	r := newRepository(t)
	s := newStep(t, pinenrolment.Type(r, r, hasher(t)))
	for name, edit := range map[string]func(*flows.Visit){
		"no subject": func(v *flows.Visit) { v.Subject = "" }, "no key": func(v *flows.Visit) { v.Key = "" },
	} {
		if _, err := s.Enter(t.Context(), visit("", edit)); !errors.Is(err, pinenrolment.ErrNobody) {
			t.Errorf("%s: %v", name, err)
		}
		if _, err := s.Answer(t.Context(), visit("", edit), flows.Input(`{"pin":"`+good+`"}`)); !errors.Is(err, pinenrolment.ErrNobody) {
			t.Errorf("%s: %v", name, err)
		}
	}
}
