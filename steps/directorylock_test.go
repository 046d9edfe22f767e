package steps_test

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"testing/fstest"
	"time"

	"go.uber.org/zap"

	"github.com/stile-auth/stile/flowdefs"
	"github.com/stile-auth/stile/flows"
	"github.com/stile-auth/stile/flows/account"
	"github.com/stile-auth/stile/flows/assurance"
	"github.com/stile-auth/stile/flows/seal"
	"github.com/stile-auth/stile/flows/store/memory"
	"github.com/stile-auth/stile/steps"
	"github.com/stile-auth/stile/steps/ldappassword"
)

// people is a directory with one entry that has two logins.
type people struct{}

func (people) ByLogin(_ context.Context, login, password string) (ldappassword.Entry, error) {
	if (login != "newbie" && login != "newbie@bank.example") || password != "right" {
		return ldappassword.Entry{}, account.ErrWrong
	}
	return ldappassword.Entry{ID: "entry-1"}, nil
}

func (p people) ByID(ctx context.Context, id, password string) (ldappassword.Entry, error) {
	if id != "entry-1" {
		return ldappassword.Entry{}, account.ErrWrong
	}
	return p.ByLogin(ctx, "newbie", password)
}

type office struct {
	*flows.Engine
	at time.Time
}

func newOffice(t *testing.T) *office {
	t.Helper()
	o, store, key := &office{at: now}, memory.New(), make([]byte, seal.KeySize)
	h, err1 := account.NewHasher(account.HasherConfig{Params: account.Params{Memory: 8, Time: 1, Threads: 1}, Pepper: key})
	sealer, err2 := seal.New(seal.Key{ID: "k", Secret: key})
	accounts := store.Accounts()
	registry, err3 := flows.NewRegistry(steps.Builtin(steps.Deps{
		Authenticators: accounts, Hasher: h, Seeds: sealer, Codes: key, Issuer: "https://stile.example", Entries: accounts,
		Directories: ldappassword.Directories{"staff": {Verifier: people{}, Provision: flowdefs.ProvisionCreate, Binding: assurance.AAL1}},
	})...)
	if err := errors.Join(err1, err2, err3); err != nil {
		t.Fatal(err)
	}
	set, err := flowdefs.Load(fstest.MapFS{"a.yaml": {Data: []byte(`
flows:
  f: { steps: [{ id: login, type: ldap_password, with: { directory: staff } }] }
directories:
  staff:
    url: ldaps://ldap.bank.example
    bind_dn: cn=stile,dc=example
    bind_password: { env: STAFF }
    base: dc=example
    logins: [uid, mail]
    provision: create
clients:
  app: { flows: [f], dpop: optional }
`)}}, ".", registry)
	if err != nil {
		t.Fatal(err)
	}
	o.Engine, err = flows.NewEngine(flows.EngineConfig{
		Definitions: set, Registry: registry, Store: store, Texts: store, Sessions: store, Throttle: store, Marks: store,
		Accounts: steps.Accounts(accounts), Recorder: discard{}, Sealer: sealer, Logger: zap.NewNop(),
		Now: func() time.Time { return o.at }, DecoyKey: key,
	})
	if err != nil {
		t.Fatal(err)
	}
	return o
}

// try signs in, in a run of its own, and says whether it was let in.
func (o *office) try(t *testing.T, login, password string) bool {
	t.Helper()
	v, err := o.Start(t.Context(), flows.Caller{}, flows.StartRequest{ClientID: "app", Flow: "f"})
	if err != nil {
		t.Fatal(err)
	}
	out, err := o.Answer(t.Context(), v.Handle, flows.Caller{}, v.NextStep.StepID, v.Flow.Turn,
		flows.Input(fmt.Sprintf(`{"username":%q,"password":%q}`, login, password)))
	return err == nil && out.Flow.Status == flows.Completed
}

// lock makes so many wrong attempts on a login that none is left.
func (o *office) lock(t *testing.T, login string) {
	t.Helper()
	for range 20 {
		if o.try(t, login, "wrong") {
			t.Fatal("let in")
		}
		o.at = o.at.Add(16 * time.Minute)
	}
}

// Where no attempt is left the right password is as good as a wrong one, and
// leaves nothing behind that the next attempt is better off for (NIST SP 800-63B-4
// §3.2.2): else the hard limit bounds nothing.
func TestLockedStrangerOfADirectory(t *testing.T) {
	t.Parallel()
	o := newOffice(t)
	o.lock(t, "newbie")
	for i := range 100 { // all at the same instant: nothing is throttled any more
		if o.try(t, "newbie", fmt.Sprint("guess ", i)) {
			t.Fatal("let in")
		}
	}
	if o.try(t, "newbie", "right") {
		t.Fatal("let in at once")
	}
	if o.try(t, "newbie", "right") {
		t.Error("let in by the next attempt: the one that was refused has made the account, whose counter is new")
	}
}

// Attempts are counted on the account, not on what was typed (CVE-2025-24806).
func TestLockedEntryByItsOtherLogin(t *testing.T) {
	t.Parallel()
	o := newOffice(t)
	if !o.try(t, "newbie", "right") {
		t.Fatal("not let in")
	}
	o.lock(t, "newbie")
	if o.try(t, "newbie", "right") {
		t.Fatal("not locked")
	}
	if o.try(t, "newbie@bank.example", "right") {
		t.Error("let in by another login of the same entry")
	}
}
