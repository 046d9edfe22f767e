package sso_test

import (
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"

	"github.com/stile-auth/stile/flows"
	"github.com/stile-auth/stile/flows/account"
	"github.com/stile-auth/stile/steps/sso"
	"github.com/stile-auth/stile/steps/steptest"
)

// One of the checks does not fit: the code of a request is not sent again, also by the
// request that has sent it (see TestExchangeThatDied).
func TestLinkConformance(t *testing.T) {
	before := goleak.IgnoreCurrent()
	for _, check := range steptest.Checks() {
		if check.Name == "repeated request is accepted" {
			continue
		}
		t.Run(check.Name, func(t *testing.T) {
			k := newKit(t)
			k.stranger()
			k.add(t, "alice", "")
			c := testCase(t, k)
			c.Type = sso.LinkType(sso.Providers{"corporate": k.provider(t)}, k.people)
			c.Visit.Subject, c.NeedsSubject = "alice", true
			if err := check.Run(t.Context(), c); err != nil {
				t.Error(err)
			}
		})
	}
	goleak.VerifyNone(t, before)
}

// identities are the status of each identity that an account has.
func (k *kit) identities(t *testing.T, subject string) (out []account.Status) {
	t.Helper()
	all, err := k.people.Authenticators(t.Context(), subject)
	if err != nil {
		t.Fatal(err)
	}
	for _, a := range all {
		if a.Type == account.TypeIdentity {
			out = append(out, a.Status)
		}
	}
	return out
}

// A node that dies before the run is stored has linked nothing: until the next sign-on is
// told of, nobody enters by it. The one that waits is taken up, and told of once.
func TestLinkByAddressThatDied(t *testing.T) {
	t.Parallel()
	k := newLinkKit(t, believes, func(k *kit) {
		k.stranger()
		says(address)(t, k)
		k.add(t, "alice", address, address)
	})
	tk := k.start(t, flows.StartRequest{})
	query := tk.visit(t)
	k.store.dieOnUpdate(true)
	if err := tk.answer(t, query); err == nil {
		t.Fatal("the node did not die")
	}
	k.store.dieOnUpdate(false)
	if diff := cmp.Diff([]account.Status{account.Pending}, k.identities(t, "alice")); diff != "" {
		t.Error(diff)
	}
	authoritative := k.def.Authoritative
	k.def.Authoritative = nil // what waits opens nothing by itself
	k.engine = k.newLinkEngine(t)
	k.wantOwner(t, "")
	k.def.Authoritative = authoritative
	k.engine = k.newLinkEngine(t)
	for range 2 {
		k.clock.advance(time.Minute)
		k.wantOwner(t, "alice")
	}
	if diff := cmp.Diff([]account.Status{account.Active}, k.identities(t, "alice")); diff != "" {
		t.Error(diff)
	}
	events, _, err := k.store.Events(t.Context(), 0, 1000)
	told := slices.DeleteFunc(events, func(e flows.Event) bool { return e.Type != flows.EventBound })
	if err != nil || len(told) != 1 {
		t.Errorf("told %d times, %v", len(told), err)
	}
}

// What its owner has unlinked stays so, also if the provider still says the address.
func TestLinkByAddressOfWhatWasUnlinked(t *testing.T) {
	t.Parallel()
	k := newLinkKit(t, believes, func(k *kit) {
		k.stranger()
		says(address)(t, k)
		k.add(t, "alice", address, address)
	})
	k.wantOwner(t, "alice")
	err := k.people.UpdateAuthenticator(t.Context(), k.idp.Issuer()+" "+external, func(a *account.Authenticator) error {
		a.Status = account.Disabled
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	k.wantOwner(t, "")
	if diff := cmp.Diff([]account.Status{account.Disabled}, k.identities(t, "alice")); diff != "" {
		t.Error(diff)
	}
}
