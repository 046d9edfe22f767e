package sso_test

import (
	"context"
	"maps"
	"sync"
	"testing"

	"github.com/stile-auth/stile/flowdefs"
	"github.com/stile-auth/stile/flows"
	"github.com/stile-auth/stile/flows/account"
	"github.com/stile-auth/stile/oidcclient/oidctest"
)

func provisions(p flowdefs.Provision) func(*kit) {
	return func(k *kit) { k.def.Provision = p }
}

// nobody makes the provider vouch for somebody who has no account here.
func (k *kit) nobody() { k.idp.Misbehave(oidctest.SetClaim("sub", "stranger")) }

// the provider's own UserInfo follows the ID token.
func (k *kit) stranger() {
	k.nobody()
	k.idp.Misbehave(oidctest.SetMember(oidctest.EndpointUserInfo, "sub", "stranger"))
}

func TestUnknownIdentity(t *testing.T) {
	t.Parallel()
	for _, p := range []flowdefs.Provision{flowdefs.ProvisionNever, flowdefs.ProvisionLinkOnly, ""} {
		k := newKit(t, provisions(p))
		k.nobody()
		tk := k.start(t, flows.StartRequest{})
		wants(t, tk.answer(t, tk.visit(t)), flows.KindFailed)
		if all, err := k.people.Accounts.Accounts(t.Context(), "", 10); err != nil || len(all) != 1 {
			t.Errorf("%q: %d accounts, %v", p, len(all), err)
		}
	}
}

// T-33: the same subject at another provider is somebody else.
func TestSameSubjectElsewhere(t *testing.T) {
	t.Parallel()
	k := newKit(t, func(k *kit) {
		k.idp.Misbehave(oidctest.SetClaim("sub", "42"))
		k.link(t, "somebody", "https://other.example", "42")
	})
	tk := k.start(t, flows.StartRequest{})
	wants(t, tk.answer(t, tk.visit(t)), flows.KindFailed)
}

func TestCreate(t *testing.T) {
	t.Parallel()
	k := newKit(t, provisions(flowdefs.ProvisionCreate))
	k.stranger()
	k.start(t, flows.StartRequest{}).completes(t)
	made, err := k.people.AccountByLink(t.Context(), k.idp.Issuer(), "stranger")
	if err != nil {
		t.Fatal(err)
	}
	want := map[string]string{"email": oidctest.DefaultUser().Email}
	if made.Subject == "stranger" || len(made.Subject) < 20 || made.Status != account.Active || !maps.Equal(made.Attributes, want) || !made.Created.Equal(k.clock.Now()) {
		t.Errorf("made %+v", made)
	}
	k.start(t, flows.StartRequest{}).completes(t)
	if all, err := k.people.Accounts.Accounts(t.Context(), "", 10); err != nil || len(all) != 2 {
		t.Errorf("%d accounts, %v", len(all), err)
	}
}

// T-32, CVE-2026-15611: an address is no account, and one that was not verified is not even noted.
func TestEmailIsNoKey(t *testing.T) {
	t.Parallel()
	for name, value := range map[string]any{"not verified": false, "the word true": "true", "absent": nil} {
		k := newKit(t, provisions(flowdefs.ProvisionCreate))
		k.stranger()
		k.idp.Misbehave(oidctest.SetMember(oidctest.EndpointUserInfo, "email_verified", value))
		k.start(t, flows.StartRequest{}).completes(t)
		made, err := k.people.AccountByLink(t.Context(), k.idp.Issuer(), "stranger")
		if err != nil || made.Subject == jane || len(made.Attributes) != 0 {
			t.Errorf("%s: %+v, %v", name, made, err)
		}
	}
}

// T-28: UserInfo of somebody else lets nobody in.
func TestUserInfoOfSomebodyElse(t *testing.T) {
	t.Parallel()
	k := newKit(t, provisions(flowdefs.ProvisionCreate))
	k.nobody() // in the ID token alone
	tk := k.start(t, flows.StartRequest{})
	wants(t, tk.answer(t, tk.visit(t)), flows.KindRejected)
}

// racing makes the account while the step is at it.
type racing struct {
	*repository
	once  sync.Once
	other func()
}

func (r *racing) CreateAccount(ctx context.Context, a account.Account, auths []account.Authenticator, links []account.Link) error {
	r.once.Do(r.other)
	return r.repository.CreateAccount(ctx, a, auths, links)
}

// Two first sign-ons at once make one account.
func TestCreateTwiceAtOnce(t *testing.T) {
	t.Parallel()
	k := newKit(t, provisions(flowdefs.ProvisionCreate))
	k.stranger()
	k.links = &racing{repository: k.people, other: func() { k.link(t, "the-other", k.idp.Issuer(), "stranger") }}
	k.engine = k.newEngine(t, load(t))
	k.start(t, flows.StartRequest{}).completes(t)
	found, err := k.people.AccountByLink(t.Context(), k.idp.Issuer(), "stranger")
	if err != nil || found.Subject != "the-other" {
		t.Errorf("%+v, %v", found, err)
	}
}

// CVE-2025-64521: a disabled account is not opened by a provider either.
func TestDisabledAccount(t *testing.T) {
	t.Parallel()
	k := newKit(t)
	if err := k.people.SetStatus(t.Context(), jane, account.Disabled); err != nil {
		t.Fatal(err)
	}
	tk := k.start(t, flows.StartRequest{})
	wants(t, tk.answer(t, tk.visit(t)), flows.KindFailed)
}
