package steps_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/stile-auth/stile/flows"
	"github.com/stile-auth/stile/flows/account"
	"github.com/stile-auth/stile/flows/assurance"
	"github.com/stile-auth/stile/flows/store/memory"
	"github.com/stile-auth/stile/steps"
)

var _ steps.Repository = (*memory.Accounts)(nil)

var now = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

func TestBuiltinIsARegistry(t *testing.T) {
	t.Parallel()
	r, err := flows.NewRegistry(steps.Builtin(steps.Deps{})...)
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"password", "pin", "totp", "device_enrolment", "device_biometric", "message", "required_role", "http_call"} {
		if _, ok := r.Lookup(name); !ok {
			t.Errorf("%s is not listed", name)
		}
	}
}

// Whoever asks says what it shows, so that clients and pages can be made before it asks.
func TestEveryPromptIsDescribed(t *testing.T) {
	t.Parallel()
	for _, typ := range steps.Builtin(steps.Deps{}) {
		if typ.Code != "" && (len(typ.Prompt) == 0 || len(typ.Input) == 0) {
			t.Errorf("%s asks with %s, and does not say what it shows or takes", typ.Name, typ.Code)
		}
	}
}

func repository(t testing.TB) *memory.Accounts {
	t.Helper()
	r := memory.New().Accounts()
	auth := func(id string, edit func(*account.Authenticator)) account.Authenticator {
		a := account.Authenticator{ID: id, Subject: "s1", Type: account.TypeTOTP, Status: account.Active, Binding: "aal2", Created: now}
		edit(&a)
		return a
	}
	err := r.CreateAccount(t.Context(),
		account.Account{
			Subject: "s1", Status: account.Active, Logins: []string{"jane@bank.example"},
			Attributes: map[string]string{"branch": "Zurich"}, Created: now,
		},
		[]account.Authenticator{
			auth("a1", func(*account.Authenticator) {}),
			auth("a2", func(a *account.Authenticator) { a.Status = account.Disabled }),
			auth("a3", func(a *account.Authenticator) { a.Type, a.Key = account.TypeDevice, "phone" }),
			auth("a4", func(a *account.Authenticator) { a.Binding = "gold" }),
			auth("a6", func(a *account.Authenticator) { a.Type, a.Key = account.TypePIN, "other phone" }),
			auth("a5", func(a *account.Authenticator) { a.Status = "" }),
		}, nil)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func TestAccount(t *testing.T) {
	t.Parallel()
	got, err := steps.Accounts(repository(t)).Account(t.Context(), "s1")
	if err != nil {
		t.Fatal(err)
	}
	want := flows.Account{
		Subject: "s1", Status: flows.AccountActive, Attributes: map[string]string{"branch": "Zurich"},
		Authenticators: []flows.Authenticator{
			{ID: "a1", Type: "totp", Binding: assurance.AAL2},
			{ID: "a3", Type: "device", Binding: assurance.AAL2, Key: "phone"},
			{ID: "a4", Type: "totp", Binding: assurance.None},
			{ID: "a6", Type: "pin", Binding: assurance.AAL2},
		},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
}

// Only of keys of phones is it known that nobody vouched for them.
func TestUnattested(t *testing.T) {
	t.Parallel()
	r := repository(t)
	for id, c := range map[string]struct {
		typ, data      string
		want, attested bool
	}{
		"p1": {account.TypeDevice, `{"jwk":{},"attested":false}`, true, false},
		"p2": {account.TypeDevice, `{"jwk":{},"attested":true}`, false, true},
		"p3": {account.TypeDevicePIN, `{"jwk":{},"attested":false}`, true, false},
		"p4": {account.TypeDevice, `what is this`, false, false},
		"p5": {account.TypePasskey, `{"attested":true}`, false, false},
	} {
		err := r.AddAuthenticator(t.Context(), account.Authenticator{ID: id, Subject: "s1", Type: c.typ, Status: account.Active, Binding: "aal2", Data: []byte(c.data)})
		if err != nil {
			t.Fatal(err)
		}
		got, err := steps.Accounts(r).Account(t.Context(), "s1")
		if err != nil {
			t.Fatal(err)
		}
		for _, a := range got.Authenticators {
			if a.ID == id && (a.Unattested != c.want || a.Attested != c.attested) {
				t.Errorf("%s %s: %v, %v", c.typ, c.data, a.Unattested, a.Attested)
			}
		}
	}
}

func TestStatus(t *testing.T) {
	t.Parallel()
	for status, want := range map[account.Status]flows.AccountStatus{
		account.Active: flows.AccountActive, account.Disabled: flows.AccountDisabled, "frozen": flows.AccountDisabled, "": flows.AccountDisabled,
	} {
		r := repository(t)
		if err := r.SetStatus(t.Context(), "s1", status); err != nil {
			t.Fatal(err)
		}
		got, err := steps.Accounts(r).Account(t.Context(), "s1")
		if err != nil || got.Status != want {
			t.Errorf("%q: got %q, %v", status, got.Status, err)
		}
	}
}

func TestResolve(t *testing.T) {
	t.Parallel()
	a := steps.Accounts(repository(t))
	for _, spelling := range []string{"jane@bank.example", " Jane@Bank.Example ", "ｊａｎｅ@bank.example"} {
		if got, canonical, err := a.Resolve(t.Context(), spelling); err != nil || got != "s1" || canonical != "jane@bank.example" {
			t.Errorf("%q: got %q %q, %v", spelling, got, canonical, err)
		}
	}
	for nobody, want := range map[string]string{"": "", "Ｊohn": "john", "jane\x00": "", "jane@bank.example\u202e": ""} {
		if got, canonical, err := a.Resolve(t.Context(), nobody); err != nil || got != "" || canonical != want {
			t.Errorf("%q: got %q %q, %v", nobody, got, canonical, err)
		}
	}
	if _, err := a.Account(t.Context(), "s2"); !errors.Is(err, flows.ErrNotFound) {
		t.Errorf("unknown subject: %v", err)
	}
}

// down is a repository that cannot be reached.
type down struct{ *memory.Accounts }

var errDown = errors.New("database is down")

func (down) AccountByLogin(context.Context, string) (account.Account, error) {
	return account.Account{}, errDown
}

func (down) Authenticators(context.Context, string) ([]account.Authenticator, error) {
	return nil, errDown
}

// A repository that is down must not look like an account that is not there.
func TestFailureIsNotAbsence(t *testing.T) {
	t.Parallel()
	a := steps.Accounts(down{repository(t)})
	_, _, resolve := a.Resolve(t.Context(), "jane@bank.example")
	_, find := a.Account(t.Context(), "s1")
	for name, err := range map[string]error{"resolve": resolve, "account": find} {
		if !errors.Is(err, flows.ErrUnavailable) || errors.Is(err, flows.ErrNotFound) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// Mails go to every address that is in use, the oldest first; a telephone is told only where there is none.
func TestContacts(t *testing.T) {
	t.Parallel()
	at := func(id, typ, data string, edit func(*account.Authenticator)) account.Authenticator {
		a := account.Authenticator{ID: id, Subject: "s9", Type: typ, Status: account.Active, Binding: "aal1", Data: []byte(data), Created: now}
		if edit != nil {
			edit(&a)
		}
		return a
	}
	phone := at("n", account.TypePhone, `{"number":"+41791234567"}`, nil)
	for name, c := range map[string]struct {
		all  []account.Authenticator
		want []flows.Contact
	}{
		"nothing": {nil, nil},
		"phone":   {[]account.Authenticator{phone}, []flows.Contact{{Channel: "sms", To: "+41791234567"}}},
		"mails": {[]account.Authenticator{
			phone,
			at("b", account.TypeEmail, `{"address":"new@b.example"}`, func(a *account.Authenticator) { a.Created = now.Add(time.Hour) }),
			at("a", account.TypeEmail, `{"address":"old@b.example"}`, nil),
			at("c", account.TypeEmail, `{"address":"gone@b.example"}`, func(a *account.Authenticator) { a.Status = account.Disabled }),
			at("d", account.TypeEmail, `{"address":"unproved@b.example"}`, func(a *account.Authenticator) { a.Status = account.Pending }),
			at("e", account.TypeTOTP, `{"address":"no@b.example"}`, nil),
		}, []flows.Contact{{Channel: "email", To: "old@b.example"}, {Channel: "email", To: "new@b.example"}}},
		"only a pending one": {[]account.Authenticator{
			phone, at("d", account.TypeEmail, `{"address":"unproved@b.example"}`, func(a *account.Authenticator) { a.Status = account.Pending }),
		}, []flows.Contact{{Channel: "sms", To: "+41791234567"}}},
	} {
		r := memory.New().Accounts()
		if err := r.CreateAccount(t.Context(), account.Account{Subject: "s9", Status: account.Active, Logins: []string{"s9"}}, c.all, nil); err != nil {
			t.Fatal(err)
		}
		got, err := steps.Accounts(r).Account(t.Context(), "s9")
		if diff := cmp.Diff(c.want, got.Contacts); err != nil || diff != "" {
			t.Errorf("%s: %v\n%s", name, err, diff)
		}
	}
}
