package users_test

import (
	"errors"
	"testing"
	"time"

	"github.com/stile-auth/stile/cmd/stile/users"
	"github.com/stile-auth/stile/flows/account"
	"github.com/stile-auth/stile/flows/assurance"
)

func registrar(t *testing.T, k *kit) *users.Registrar {
	t.Helper()
	r, err := users.New(k.config)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func newest(t *testing.T, k *kit, subject string) account.Authenticator {
	t.Helper()
	all, err := k.accounts.Authenticators(t.Context(), subject)
	if err != nil || len(all) != 1 {
		t.Fatalf("%d authenticators, %v", len(all), err)
	}
	return all[0]
}

// A code is worth the least unless somebody says otherwise, audited, and lets in until it expires.
func TestIssueCode(t *testing.T) {
	t.Parallel()
	k := newKit(t)
	added, err := k.add(t, users.Person{Login: "jane"})
	if err != nil {
		t.Fatal(err)
	}
	issued, err := registrar(t, k).IssueCode(t.Context(), users.Code{Login: " JANE", Channel: account.ByLetter, Lifetime: time.Hour})
	if err != nil || issued.Subject != added.Subject || issued.Binding != assurance.AAL1 {
		t.Fatalf("%+v, %v", issued, err)
	}
	a := newest(t, k, added.Subject)
	if a.Type != account.TypeActivation || a.Binding != "aal1" || a.Status != account.Active {
		t.Errorf("%+v", a)
	}
	code, err := account.ParseActivationCode(issued.Code)
	if err != nil {
		t.Fatal(err)
	}
	expired := a
	if err := account.UseActivationCode(&expired, k.config.Codes, issued.Expires, code, "o"); !errors.Is(err, account.ErrWrong) {
		t.Errorf("at its end: %v", err)
	}
	if err := account.UseActivationCode(&a, k.config.Codes, issued.Expires.Add(-1), code, "o"); err != nil {
		t.Errorf("before it: %v", err)
	}
	events := k.events.Events()
	if e := events[len(events)-1]; e.Type != users.EventIssued || e.Reason != account.TypeActivation || e.ACR != "aal1" || e.Subject != added.Subject {
		t.Errorf("%+v", e)
	}
}

func TestAddToken(t *testing.T) {
	t.Parallel()
	k := newKit(t)
	added, err := k.add(t, users.Person{Login: "jane"})
	if err != nil {
		t.Fatal(err)
	}
	seed := []byte("12345678901234567890") // RFC 4226 appendix D
	token := users.Token{Login: "jane", Type: account.TypeHOTP, Seed: seed, Digits: 6, Counter: 3, Name: "4711", Binding: assurance.AAL2}
	if _, err := registrar(t, k).AddToken(t.Context(), token); err != nil {
		t.Fatal(err)
	}
	a := newest(t, k, added.Subject)
	if a.Binding != "aal2" || a.Name != "4711" {
		t.Errorf("%+v", a)
	}
	for code, want := range map[string]error{"359152": account.ErrUsed, "969429": nil} { // counters 2 and 3
		attempt := a
		if err := account.UseHOTP(&attempt, k.config.Sealer, time.Now(), account.HOTPCodes{Code: code}, "o"); !errors.Is(err, want) {
			t.Errorf("%s: %v", code, err)
		}
	}
}

// What is taken back is asked for again, and there is a trace of it.
func TestRevoke(t *testing.T) {
	t.Parallel()
	k := newKit(t)
	added, err := k.add(t, users.Person{Login: "jane"})
	if err != nil {
		t.Fatal(err)
	}
	given := account.Agreement{Subject: added.Subject, Kind: account.Consent, Name: "app", Scopes: []string{"accounts"}}
	if err := k.accounts.Agree(t.Context(), given); err != nil {
		t.Fatal(err)
	}
	if shown, err := registrar(t, k).Show(t.Context(), "jane"); err != nil || len(shown.Agreements) != 1 || shown.Agreements[0].Name != "app" {
		t.Errorf("%+v, %v", shown, err)
	}
	if _, err := registrar(t, k).Revoke(t.Context(), "jane", account.Consent, "app"); err != nil {
		t.Fatal(err)
	}
	if all, err := k.accounts.Agreements(t.Context(), added.Subject); err != nil || len(all) != 0 {
		t.Errorf("%+v, %v", all, err)
	}
	events := k.events.Events()
	if e := events[len(events)-1]; e.Type != users.EventRevoked || e.Reason != account.Consent || e.Subject != added.Subject {
		t.Errorf("%+v", e)
	}
	if _, err := registrar(t, k).Revoke(t.Context(), "joe", account.Consent, "app"); !errors.Is(err, account.ErrNotFound) {
		t.Errorf("of nobody: %v", err)
	}
}

func TestNothingIsIssued(t *testing.T) {
	t.Parallel()
	k := newKit(t)
	added, err := k.add(t, users.Person{Login: "jane"})
	if err != nil {
		t.Fatal(err)
	}
	r := registrar(t, k)
	good := users.Token{Login: "jane", Type: account.TypeHOTP, Seed: make([]byte, 20), Digits: 6}
	for name, c := range map[string]struct {
		edit func(*users.Token)
		want error
	}{
		"short seed":    {func(x *users.Token) { x.Seed = x.Seed[:15] }, users.ErrIssue},
		"five digits":   {func(x *users.Token) { x.Digits = 5 }, users.ErrIssue},
		"another type":  {func(x *users.Token) { x.Type = account.TypePIN }, users.ErrIssue},
		"no period":     {func(x *users.Token) { x.Type = account.TypeTOTP }, users.ErrIssue},
		"endless":       {func(x *users.Token) { x.Counter = 1 << 63 }, users.ErrIssue},
		"nobody":        {func(x *users.Token) { x.Login = "joe" }, account.ErrNotFound},
		"no login ever": {func(x *users.Token) { x.Login = " " }, account.ErrLogin},
	} {
		bad := good
		c.edit(&bad)
		if _, err := r.AddToken(t.Context(), bad); !errors.Is(err, c.want) {
			t.Errorf("%s: %v", name, err)
		}
	}
	code := users.Code{Login: "jane", Channel: account.ByBranch, Lifetime: time.Hour}
	for name, c := range map[string]struct {
		edit func(*users.Code)
		want error
	}{
		"by pigeon":  {func(x *users.Code) { x.Channel = "pigeon" }, users.ErrIssue},
		"for ever":   {func(x *users.Code) { x.Lifetime = 91 * 24 * time.Hour }, users.ErrIssue},
		"at once":    {func(x *users.Code) { x.Lifetime = 0 }, users.ErrIssue},
		"aal3":       {func(x *users.Code) { x.Binding = assurance.AAL3 }, users.ErrIssue},
		"for nobody": {func(x *users.Code) { x.Login = "joe" }, account.ErrNotFound},
	} {
		bad := code
		c.edit(&bad)
		if _, err := r.IssueCode(t.Context(), bad); !errors.Is(err, c.want) {
			t.Errorf("%s: %v", name, err)
		}
	}
	k.config.Recorder = broken{}
	if _, err := registrar(t, k).IssueCode(t.Context(), code); err == nil {
		t.Error("a code without an audit event")
	}
	if all, err := k.accounts.Authenticators(t.Context(), added.Subject); err != nil || len(all) != 0 {
		t.Errorf("%d authenticators, %v", len(all), err)
	}
}
