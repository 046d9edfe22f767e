// Package storetest is the conformance suite of stores. A driver passes it, or
// it is no driver: what the engine promises rests on these cases.
//
//	func TestStore(t *testing.T) {
//		storetest.Run(t, func(t *testing.T) storetest.Stores { ... })
//	}
//
// One case is one function with a store of its own.
package storetest

import (
	"context"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/stile-auth/stile/flows"
	"github.com/stile-auth/stile/flows/account"
)

// Stores is what a driver offers, on one empty store. What is nil it does not keep,
// and [Run] passes over it.
type Stores struct {
	Runs           flows.Store
	Texts          flows.Texts
	Values         flows.Values
	Sessions       flows.Sessions
	Throttle       flows.Throttle
	Marks          flows.Marks
	Kept           flows.Leftovers
	Clients        flows.StoredClients
	Audit          Audit
	Accounts       Accounts
	Authenticators Authenticators
	Agreements     Agreements
	// Reopen closes the store and opens the same data again. Nil for a driver
	// that keeps nothing.
	Reopen func(t *testing.T) Stores
}

// Audit records and reads events.
type Audit interface {
	flows.Recorder
	Events(ctx context.Context, row int64, limit int) ([]flows.Event, int64, error)
}

// Accounts is the part of a repository that concerns whole accounts.
type Accounts interface {
	CreateAccount(ctx context.Context, a account.Account, auths []account.Authenticator, links []account.Link) error
	Account(ctx context.Context, subject string) (account.Account, error)
	AccountByLogin(ctx context.Context, login string) (account.Account, error)
	AccountByLink(ctx context.Context, issuer, external string) (account.Account, error)
	Accounts(ctx context.Context, after string, limit int) ([]account.Account, error)
	Changes
}

// Changes is what can be changed of an account.
type Changes interface {
	SetStatus(ctx context.Context, subject string, status account.Status) error
	SetAttributes(ctx context.Context, subject string, attributes map[string]string) error
}

// Authenticators is the part of a repository that concerns authenticators.
type Authenticators interface {
	Authenticators(ctx context.Context, subject string) ([]account.Authenticator, error)
	AddAuthenticator(ctx context.Context, a account.Authenticator) error
	UpdateAuthenticator(ctx context.Context, id string, fn func(*account.Authenticator) error) error
}

// Agreements is the part of a repository that concerns what people have agreed to.
type Agreements interface {
	Agreements(ctx context.Context, subject string) ([]account.Agreement, error)
	Agree(ctx context.Context, a account.Agreement) error
	Revoke(ctx context.Context, subject, kind, name string) error
}

// Run runs every case of what the driver keeps, each on a store that open returns.
func Run(t *testing.T, open func(t *testing.T) Stores) {
	t.Helper()
	kept := open(t)
	for _, part := range []struct {
		name  string
		has   bool
		cases []testCase
	}{
		{"runs", kept.Runs != nil, runCases()},
		{"texts", kept.Texts != nil, textCases()},
		{"values", kept.Values != nil, valueCases()},
		{"sessions", kept.Sessions != nil, sessionCases()},
		{"throttle", kept.Throttle != nil, throttleCases()},
		{"marks", kept.Marks != nil, markCases()},
		{"kept", kept.Kept != nil, keptCases()},
		{"audit", kept.Audit != nil, auditCases()},
		{"accounts", kept.Accounts != nil, accountCases()},
		{"authenticators", kept.Authenticators != nil, authenticatorCases()},
		{"agreements", kept.Agreements != nil, agreementCases()},
		{"clients", kept.Clients != nil, clientCases()},
	} {
		if !part.has {
			continue
		}
		t.Run(part.name, func(t *testing.T) {
			t.Parallel()
			for _, c := range part.cases {
				t.Run(c.name, func(t *testing.T) {
					t.Parallel()
					c.run(t, open(t))
				})
			}
		})
	}
}

// testCase is one case.
type testCase struct {
	name string
	run  func(t *testing.T, s Stores)
}

// writers is how many goroutines race in the cases about races.
const writers = 64

// rounds is how often they do where an interleaving is rare.
const rounds = 12

// start is the instant at which all cases begin: with nanoseconds, and in a zone
// whose offset is not even whole minutes. The instant must survive, not the zone.
var start = time.Date(2026, 3, 29, 2, 30, 0, 123456789, time.FixedZone("elsewhere", 5*3600+45*60+28)) //nolint:gochecknoglobals // a constant

// race runs do at the same moment in many goroutines and returns their errors.
func race(n int, do func(i int) error) []error {
	errs := make([]error, n)
	var ready, done sync.WaitGroup
	gate := make(chan struct{})
	for i := range n {
		ready.Add(1)
		done.Go(func() {
			ready.Done()
			<-gate
			errs[i] = do(i)
		})
	}
	ready.Wait()
	close(gate)
	done.Wait()
	return errs
}

// oneWinner checks that exactly one of the racers won and that all others got loss.
func oneWinner(t *testing.T, errs []error, loss error) {
	t.Helper()
	won := 0
	for _, err := range errs {
		if err == nil {
			won++
		} else {
			wantErr(t, err, loss)
		}
	}
	if won != 1 {
		t.Errorf("%d winners, want exactly 1", won)
	}
}

func ok(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func wantErr(t *testing.T, err, want error) {
	t.Helper()
	if !cmp.Equal(err, want, cmpopts.EquateErrors()) {
		t.Fatalf("error %v, want %v", err, want)
	}
}

// same compares values; nil and empty are the same, times are the same instant in UTC.
func same(t *testing.T, got, want any) {
	t.Helper()
	if diff := cmp.Diff(want, got, cmpopts.EquateEmpty()); diff != "" {
		t.Fatalf("differs (-want +got):\n%s", diff)
	}
}

// inUTC checks that a time came back in UTC.
func inUTC(t *testing.T, times ...time.Time) {
	t.Helper()
	for _, at := range times {
		if at.Location() != time.UTC {
			t.Errorf("time %v is not in UTC", at)
		}
	}
}

// cancelled is a context that is done.
func cancelled(t *testing.T) context.Context {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	return ctx
}
