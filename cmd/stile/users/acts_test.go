package users_test

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/stile-auth/stile/cmd/stile/users"
	"github.com/stile-auth/stile/flows"
	"github.com/stile-auth/stile/flows/account"
	"github.com/stile-auth/stile/flows/assurance"
)

// statuses are the authenticators of jane, by type.
func statuses(t *testing.T, k *kit) map[string][]account.Status {
	t.Helper()
	shown, err := registrar(t, k).Show(t.Context(), "jane")
	if err != nil {
		t.Fatal(err)
	}
	out := map[string][]account.Status{}
	for _, a := range shown.Authenticators {
		if a.Data != nil {
			t.Errorf("%s shows its data", a.Type)
		}
		out[a.Type] = append(out[a.Type], a.Status)
	}
	return out
}

// last is the act that was done last.
func last(t *testing.T, k *kit) flows.Act {
	t.Helper()
	if len(k.acts.done) == 0 {
		t.Fatal("nothing was done")
	}
	return k.acts.done[len(k.acts.done)-1]
}

func withJane(t *testing.T, p users.Person) *kit {
	t.Helper()
	k := newKit(t)
	p.Login = "jane"
	if _, err := k.add(t, p); err != nil {
		t.Fatal(err)
	}
	return k
}

// An account that is disabled lets nobody in, keeps no session, and its owner hears of it.
func TestEnable(t *testing.T) {
	t.Parallel()
	k := withJane(t, users.Person{})
	for _, usable := range []bool{false, true} {
		if _, err := registrar(t, k).Enable(t.Context(), "Jane", usable); err != nil {
			t.Fatal(err)
		}
		a, err := k.accounts.AccountByLogin(t.Context(), "jane")
		if err != nil || (a.Status == account.Active) != usable {
			t.Errorf("%+v, %v", a, err)
		}
		act, notice := last(t, k), map[bool]flows.Notice{false: flows.NoticeDisabled, true: flows.NoticeEnabled}[usable]
		if act.Ends == usable || act.Notice != notice || act.Event.Subject != a.Subject {
			t.Errorf("%+v", act)
		}
	}
	if _, err := registrar(t, k).Enable(t.Context(), "nobody", false); !errors.Is(err, account.ErrNotFound) {
		t.Errorf("%v", err)
	}
}

// Of two passwords the one that was set counts, bound as the administrator says.
func TestSetPassword(t *testing.T) {
	t.Parallel()
	k := withJane(t, users.Person{Password: "three quiet green hills", Email: "jane@bank.example", Binding: assurance.AAL2})
	set := func(p users.Password) error {
		p.Login = "jane"
		_, err := registrar(t, k).SetPassword(t.Context(), p)
		return err
	}
	if err := set(users.Password{Password: "password"}); !errors.Is(err, account.ErrUnfit) {
		t.Errorf("a common one: %v", err)
	}
	if err := set(users.Password{Hash: "md5"}); !errors.Is(err, account.ErrHash) {
		t.Errorf("no hash: %v", err)
	}
	if err := set(users.Password{Password: "four quiet green hills", MustChange: true}); err != nil {
		t.Fatal(err)
	}
	want := map[string][]account.Status{account.TypePassword: {account.Disabled, account.Active}, account.TypeEmail: {account.Active}}
	got := statuses(t, k)
	if got[account.TypePassword][0] == account.Active { // made at the same instant
		got[account.TypePassword][0], got[account.TypePassword][1] = got[account.TypePassword][1], got[account.TypePassword][0]
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	act := last(t, k)
	if !act.Ends || act.Notice != flows.NoticePassword || act.Event.ACR != "aal1" || act.Event.Type != users.EventIssued {
		t.Errorf("%+v", act)
	}
}

// A lost phone goes with all that is on it, each with a trace of its own.
func TestRemove(t *testing.T) {
	t.Parallel()
	k := withJane(t, users.Person{Password: "three quiet green hills", TOTP: true})
	subject, removed, err := registrar(t, k).Remove(t.Context(), "jane", "", account.TypeTOTP)
	if err != nil || len(removed) != 1 || subject == "" {
		t.Fatalf("%v, %v", removed, err)
	}
	want := map[string][]account.Status{account.TypePassword: {account.Active}, account.TypeTOTP: {account.Disabled}}
	if diff := cmp.Diff(want, statuses(t, k)); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if act := last(t, k); !act.Ends || act.Notice != flows.NoticeRemoved || act.About != account.TypeTOTP || act.Event.Reason != account.TypeTOTP {
		t.Errorf("%+v", act)
	}
	if _, again, err := registrar(t, k).Remove(t.Context(), "jane", removed[0], ""); err != nil || len(again) != 1 || !last(t, k).Ends {
		t.Errorf("again: %v, %v", again, err)
	}
	if _, _, err := registrar(t, k).Remove(t.Context(), "jane", "another", ""); !errors.Is(err, users.ErrIssue) {
		t.Errorf("another: %v", err)
	}
}

// A code that is sent is seen by nobody here, and goes where the account is reached.
func TestCodeIsSent(t *testing.T) {
	t.Parallel()
	k := withJane(t, users.Person{Email: "jane@bank.example", Phone: "+41791234567"})
	for channel, to := range map[string]string{account.ByMail: "jane@bank.example", account.BySMS: "+41791234567"} {
		issued, err := registrar(t, k).IssueCode(t.Context(), users.Code{Login: "jane", Channel: channel, Lifetime: time.Hour, Send: true})
		if err != nil || issued.Code != "" || issued.Channel != channel {
			t.Fatalf("%+v, %v", issued, err)
		}
		sent := last(t, k).Send
		if len(sent) != 1 || sent[0].To != to || sent[0].Channel != channel || !sent[0].Expires.Equal(issued.Expires) {
			t.Fatalf("%+v", sent)
		}
		code, err := account.ParseActivationCode(sent[0].Args["code"])
		if err != nil {
			t.Fatal(err)
		}
		if !k.opens(t, code) {
			t.Errorf("%s: the code that was sent is not the one that was issued", channel)
		}
	}
	for _, channel := range []string{account.ByLetter, account.ByTelephone} {
		if _, err := registrar(t, k).IssueCode(t.Context(), users.Code{Login: "jane", Channel: channel, Lifetime: time.Hour, Send: true}); !errors.Is(err, users.ErrIssue) {
			t.Errorf("%s: %v", channel, err)
		}
	}
	bare := withJane(t, users.Person{})
	_, err := registrar(t, bare).IssueCode(t.Context(), users.Code{Login: "jane", Channel: account.ByMail, Lifetime: time.Hour, Send: true})
	if !errors.Is(err, users.ErrIssue) || !strings.Contains(err.Error(), "email") || len(bare.acts.done) > 0 {
		t.Errorf("nowhere to go: %v", err)
	}
}

// opens says whether one of jane's activation codes is this.
func (k *kit) opens(t *testing.T, code string) bool {
	t.Helper()
	who, err := k.accounts.AccountByLogin(t.Context(), "jane")
	if err != nil {
		t.Fatal(err)
	}
	all, err := k.accounts.Authenticators(t.Context(), who.Subject)
	if err != nil {
		t.Fatal(err)
	}
	for _, a := range all {
		if a.Type == account.TypeActivation && account.UseActivationCode(&a, k.config.Codes, k.config.Now(), code, "o") == nil {
			return true
		}
	}
	return false
}
