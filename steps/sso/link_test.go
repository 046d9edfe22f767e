package sso_test

import (
	"context"
	"encoding/json"
	"strings"
	"testing"
	"testing/fstest"
	"time"

	"github.com/stile-auth/stile/flowdefs"
	"github.com/stile-auth/stile/flows"
	"github.com/stile-auth/stile/flows/account"
	"github.com/stile-auth/stile/flows/assurance"
	"github.com/stile-auth/stile/oidcclient/oidctest"
	"github.com/stile-auth/stile/steps/sso"
)

const (
	external = "stranger"
	address  = "jane.doe@bank.example"
)

// local is a step that proves whoever the answer names: what an account has of its own.
func local() flows.StepType {
	ceiling := assurance.Ceiling{Method: assurance.Password, Categories: []assurance.Category{assurance.Knowledge}}
	return flows.StepType{
		Name: "local", Doc: "Proves who is named.", Code: "PASSWORD_REQUIRED", Authenticator: "password",
		Config: flowdefs.SchemaFor[struct{}](), Prompt: flowdefs.SchemaFor[struct{}](), Input: flowdefs.SchemaFor[named](),
		Evidence: []assurance.Ceiling{ceiling}, Discovers: true,
		New: func(flowdefs.Config) (flows.Step, error) { return named{}, nil },
	}
}

type named struct {
	Who string `json:"who"`
}

func (named) Enter(_ context.Context, _ *flows.Visit) (flows.Outcome, error) {
	return flows.Ask(flows.Prompt{}), nil
}

func (named) Answer(_ context.Context, _ *flows.Visit, in flows.Input) (flows.Outcome, error) {
	var n named
	if err := in.Decode(&n); err != nil {
		return flows.Outcome{}, err
	}
	return flows.Pass(flows.Proof{Subject: n.Who, Evidence: assurance.Evidence{
		Method: assurance.Password, Authenticator: n.Who + " password", Categories: []assurance.Category{assurance.Knowledge}, Binding: assurance.AAL1, Cap: assurance.AAL3,
	}}), nil
}

// newLinkKit is a kit with a flow that links.
func newLinkKit(t *testing.T, changes ...func(*kit)) *kit {
	t.Helper()
	k := newKit(t, changes...)
	k.engine = k.newLinkEngine(t)
	return k
}

// newLinkEngine is an engine with that flow, and with the provider as it is now.
func (k *kit) newLinkEngine(t *testing.T) *flows.Engine {
	t.Helper()
	registry, err := flows.NewRegistry(sso.Type(nil, nil), sso.LinkType(nil, nil), local())
	if err != nil {
		t.Fatal(err)
	}
	text := strings.Replace(definitions, "flows:", `flows:
  link:
    steps:
      - { id: local, type: local }
      - { id: sso, type: account_link, with: { provider: corporate } }`, 1)
	text = strings.Replace(text, "flows: [sign-on,", "flows: [link, sign-on,", 1)
	set, err := flowdefs.Load(fstest.MapFS{"a.yaml": {Data: []byte(text)}}, ".", registry)
	if err != nil {
		t.Fatal(err)
	}
	set.Providers["corporate"].Categories = k.def.Categories
	return k.newEngine(t, set)
}

// add makes an account of its own, with an address that it has proved.
func (k *kit) add(t *testing.T, subject, login string, bound ...string) {
	t.Helper()
	a := account.Account{Subject: subject, Status: account.Active, Created: k.clock.Now()}
	if login != "" {
		a.Logins = []string{login}
	}
	var has []account.Authenticator
	for _, to := range bound {
		data, _ := json.Marshal(account.EmailData{Address: to})
		has = append(has, account.Authenticator{
			ID: subject + to, Subject: subject, Type: account.TypeEmail, Status: account.Active, Binding: "aal1", Data: data, Created: k.clock.Now(),
		})
	}
	if err := k.people.CreateAccount(t.Context(), a, has, nil); err != nil {
		t.Fatal(err)
	}
}

// proves is somebody in front of the step that links.
func (k *kit) proves(t *testing.T, who string) *talk {
	t.Helper()
	tk := k.start(t, flows.StartRequest{Flow: "link"})
	v, err := k.engine.Answer(t.Context(), tk.handle, flows.Caller{}, "local", tk.view.Flow.Turn, flows.Input(`{"who":"`+who+`"}`))
	if err != nil {
		t.Fatal(err)
	}
	tk.view, tk.handle = v, v.Handle
	return tk
}

func (k *kit) wantOwner(t *testing.T, want string) {
	t.Helper()
	tk := k.start(t, flows.StartRequest{})
	err := tk.answer(t, tk.visit(t))
	if want == "" {
		wants(t, err, flows.KindFailed)
		return
	}
	if err != nil {
		t.Fatal(err)
	}
	if got := k.subjects(t); got != want {
		t.Errorf("signed on as %q, want %q", got, want)
	}
}

// subjects is whose run completed last.
func (k *kit) subjects(t *testing.T) (last string) {
	t.Helper()
	events, _, err := k.store.Events(t.Context(), 0, 1000)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range events {
		if e.Type == flows.EventRunCompleted {
			last = e.Subject
		}
	}
	return last
}

func TestLink(t *testing.T) {
	t.Parallel()
	k := newLinkKit(t)
	k.stranger()
	k.add(t, "alice", "")
	k.wantOwner(t, "")
	k.proves(t, "alice").completes(t)
	k.wantOwner(t, "alice")
	k.proves(t, "alice").completes(t) // linked already
	all, err := k.people.Authenticators(t.Context(), "alice")
	if err != nil || len(all) != 1 || all[0].Type != account.TypeIdentity || all[0].Status != account.Active {
		t.Fatalf("%+v, %v", all, err)
	}
	err = k.people.UpdateAuthenticator(t.Context(), all[0].ID, func(a *account.Authenticator) error {
		a.Status = account.Disabled
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	k.wantOwner(t, "") // unlinked
	k.proves(t, "alice").completes(t)
	k.wantOwner(t, "alice")
}

// An identity that is linked, or was, is nobody else's: the second of two gets nothing.
func TestLinkOfSomebodyElse(t *testing.T) {
	t.Parallel()
	for name, status := range map[string]account.Status{"in use": account.Active, "waiting": account.Pending, "unlinked": account.Disabled} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			k := newLinkKit(t)
			k.stranger()
			k.add(t, "alice", "")
			k.add(t, "mallory", "")
			k.proves(t, "alice").completes(t)
			err := k.people.UpdateAuthenticator(t.Context(), k.idp.Issuer()+" "+external, func(a *account.Authenticator) error {
				a.Status = status
				return nil
			})
			if err != nil {
				t.Fatal(err)
			}
			tk := k.proves(t, "mallory")
			wants(t, tk.answer(t, tk.visit(t)), flows.KindFailed)
			if all, err := k.people.Authenticators(t.Context(), "mallory"); err != nil || len(all) != 0 {
				t.Errorf("%+v, %v", all, err)
			}
		})
	}
}

// What an administrator has linked stays where it is.
func TestLinkOfAnAdministrator(t *testing.T) {
	t.Parallel()
	k := newLinkKit(t)
	k.add(t, "mallory", "")
	tk := k.proves(t, "mallory")
	wants(t, tk.answer(t, tk.visit(t)), flows.KindFailed)
	k.wantOwner(t, jane)
}

// The answer to the request of another run links nothing: nobody gets an identity slipped in.
func TestLinkOfAnotherRun(t *testing.T) {
	t.Parallel()
	k := newLinkKit(t)
	k.stranger()
	k.add(t, "alice", "")
	k.add(t, "mallory", "")
	query := k.proves(t, "mallory").visit(t)
	wants(t, k.proves(t, "alice").answer(t, query), flows.KindRejected)
	k.wantOwner(t, "")
}

// Two runs of two people that end at the same provider: one of them gets the identity.
func TestLinkRace(t *testing.T) {
	t.Parallel()
	k := newLinkKit(t)
	k.stranger()
	k.add(t, "alice", "")
	k.add(t, "bob", "")
	done := make(chan error, 2)
	for _, who := range []string{"alice", "bob"} {
		tk := k.proves(t, who)
		query := tk.visit(t)
		go func() { done <- tk.submit(t, body(query)) }()
	}
	if first, second := <-done, <-done; (first == nil) == (second == nil) {
		t.Errorf("%v, %v", first, second)
	}
}

// A link that a run of aal1 has made is not worth aal2 afterwards, whatever the provider is trusted for.
func TestLinkIsWorthItsRun(t *testing.T) {
	t.Parallel()
	k := newLinkKit(t, func(k *kit) {
		k.def.Categories = []assurance.Category{assurance.Knowledge, assurance.Possession}
	})
	k.start(t, flows.StartRequest{ACRValues: []string{"aal2"}}).completes(t)
	k.stranger()
	k.add(t, "alice", "")
	k.proves(t, "alice").completes(t)
	k.wantOwner(t, "alice")
	tk := k.start(t, flows.StartRequest{ACRValues: []string{"aal2"}})
	wants(t, tk.answer(t, tk.visit(t)), flows.KindFailed)
}

// An address links where the provider is the one to ask about its domain, and the account
// has proved to have it; nowhere else.
func TestLinkByAddress(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		edit func(t *testing.T, k *kit)
		want string
	}{
		"its own": {nil, "alice"},
		"not verified": {func(_ *testing.T, k *kit) {
			k.idp.Misbehave(oidctest.SetMember(oidctest.EndpointUserInfo, "email_verified", false))
		}, ""},
		"not said to be verified": {func(_ *testing.T, k *kit) {
			k.idp.Misbehave(oidctest.SetMember(oidctest.EndpointUserInfo, "email_verified", nil))
		}, ""},
		"another domain":    {has("jane.doe@other.example"), ""},
		"a domain below":    {has("jane.doe@mail.bank.example"), ""},
		"a domain behind":   {has("jane.doe@evilbank.example"), ""},
		"a domain above":    {says("jane.doe@example"), ""},
		"a domain like it":  {says("jane.doe@bаnk.example"), ""}, // Cyrillic
		"full width":        {says("ｊane.doe@bank.example"), ""},
		"another case":      {says("Jane.Doe@bank.example"), ""}, // whose it is only the receiver knows
		"two addresses":     {says("mallory@bank.example,jane.doe@bank.example"), ""},
		"nobody asked":      {func(_ *testing.T, k *kit) { k.def.Authoritative = nil }, ""},
		"never":             {func(_ *testing.T, k *kit) { k.def.Provision = flowdefs.ProvisionNever }, ""},
		"domain's own case": {says("jane.doe@BANK.example"), "alice"},
		"disabled": {func(t *testing.T, k *kit) {
			t.Helper()
			if err := k.people.SetStatus(t.Context(), "alice", account.Disabled); err != nil {
				t.Fatal(err)
			}
		}, ""},
		"the address is not in use": {func(t *testing.T, k *kit) {
			t.Helper()
			err := k.people.UpdateAuthenticator(t.Context(), "alice"+address, func(a *account.Authenticator) error {
				a.Status = account.Disabled
				return nil
			})
			if err != nil {
				t.Fatal(err)
			}
		}, ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			k := newLinkKit(t, believes, func(k *kit) {
				k.stranger()
				says(address)(t, k)
				k.add(t, "alice", address, address)
				k.add(t, "bob", "", address) // has it too, and not as a login
				if c.edit != nil {
					c.edit(t, k)
				}
			})
			k.wantOwner(t, c.want)
			k.clock.advance(time.Minute)
			k.wantOwner(t, c.want)
			if c.want == "" {
				k.wantUnlinked(t, "alice")
				k.wantUnlinked(t, "carol")
			}
		})
	}
}

// An address that the provider gives to the next person does not bring them the account of the last one.
func TestLinkByAddressOfTheNextPerson(t *testing.T) {
	t.Parallel()
	k := newLinkKit(t, believes, func(k *kit) {
		k.stranger()
		says(address)(t, k)
		k.add(t, "alice", address, address)
	})
	k.wantOwner(t, "alice")
	k.idp.Misbehave(oidctest.SetClaim("sub", "the next"))
	k.idp.Misbehave(oidctest.SetMember(oidctest.EndpointUserInfo, "sub", "the next"))
	k.wantOwner(t, "")
}

// A disabled person does not come back as somebody new.
func TestCreateNobodyWhoIsDisabled(t *testing.T) {
	t.Parallel()
	k := newLinkKit(t, believes, provisions(flowdefs.ProvisionCreate), func(k *kit) {
		k.stranger()
		says(address)(t, k)
		k.add(t, "alice", address, address)
	})
	if err := k.people.SetStatus(t.Context(), "alice", account.Disabled); err != nil {
		t.Fatal(err)
	}
	k.wantOwner(t, "")
	k.wantUnlinked(t, "alice")
	if all, err := k.people.Accounts.Accounts(t.Context(), "", 10); err != nil || len(all) != 2 {
		t.Errorf("%d accounts, %v", len(all), err)
	}
}

// Who has unlinked an identity does not get a new account by it.
func TestCreateAfterUnlinking(t *testing.T) {
	t.Parallel()
	k := newLinkKit(t, provisions(flowdefs.ProvisionCreate))
	k.stranger()
	k.start(t, flows.StartRequest{}).completes(t)
	err := k.people.UpdateAuthenticator(t.Context(), k.idp.Issuer()+" "+external, func(a *account.Authenticator) error {
		a.Status = account.Disabled
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	k.wantOwner(t, "")
	if all, err := k.people.Accounts.Accounts(t.Context(), "", 10); err != nil || len(all) != 2 {
		t.Errorf("%d accounts, %v", len(all), err)
	}
}

func believes(k *kit) {
	k.def.Provision, k.def.Authoritative = flowdefs.ProvisionLinkOnly, []string{"bank.example"}
}

// says makes the provider say another address.
func says(text string) func(*testing.T, *kit) {
	return func(_ *testing.T, k *kit) {
		k.idp.Misbehave(oidctest.SetMember(oidctest.EndpointUserInfo, "email", text))
	}
}

// has is somebody else, who has that address, and whom the provider says it of.
func has(text string) func(*testing.T, *kit) {
	return func(t *testing.T, k *kit) {
		t.Helper()
		k.add(t, "carol", text, text)
		says(text)(t, k)
	}
}

// wantUnlinked checks that an account has no identity, in use or not.
func (k *kit) wantUnlinked(t *testing.T, subject string) {
	t.Helper()
	all, err := k.people.Authenticators(t.Context(), subject)
	if err != nil {
		t.Fatal(err)
	}
	for _, a := range all {
		if a.Type == account.TypeIdentity {
			t.Errorf("%s has %s", subject, a.ID)
		}
	}
}

// Whose account an identity came to by an address is told once: at the first sign-on.
func TestLinkByAddressIsTold(t *testing.T) {
	t.Parallel()
	k := newLinkKit(t, believes, func(k *kit) {
		k.stranger()
		says(address)(t, k)
		k.add(t, "alice", address, address)
	})
	for range 2 {
		k.wantOwner(t, "alice")
		k.clock.advance(time.Minute)
	}
	events, _, err := k.store.Events(t.Context(), 0, 1000)
	if err != nil {
		t.Fatal(err)
	}
	told := 0
	for _, e := range events {
		if e.Type == flows.EventBound && e.Reason == account.TypeIdentity {
			told++
		}
	}
	if told != 1 {
		t.Errorf("told %d times", told)
	}
}
