package node

import (
	"context"
	"time"

	"go.uber.org/zap"

	"github.com/stile-auth/stile/cmd/stile/users"
	"github.com/stile-auth/stile/flowdefs"
	"github.com/stile-auth/stile/flows"
	"github.com/stile-auth/stile/flows/account"
)

// Guessable are the types of authenticators whose failed attempts are counted.
func Guessable() []string {
	return []string{
		account.TypePassword, account.TypePIN, account.TypeTOTP, account.TypeHOTP,
		account.TypeEmail, account.TypePhone, account.TypeRecovery, account.TypeActivation, account.TypeLDAP,
	}
}

// Unlock forgets the failed attempts on authenticators of those types, also if
// so many were made that they are locked, and returns whose account it is.
// [account.ErrNotFound] if the login is nobody's; [account.ErrLogin]. Each type
// leaves an audit event before it is unlocked.
func (b *Base) Unlock(ctx context.Context, login string, types []string, now func() time.Time) (subject string, err error) {
	if login, err = account.Canonical(login); err != nil {
		return "", err
	}
	found, err := b.Accounts.AccountByLogin(ctx, login)
	if err != nil {
		return "", err
	}
	engine, err := b.idle(now)
	if err != nil {
		return "", err
	}
	for _, typ := range types {
		err := engine.Administer(ctx, flows.Act{
			Event: flows.Event{Type: users.EventUnlocked, Subject: found.Subject, Reason: typ},
			Do:    func(ctx context.Context) error { return engine.Unlock(ctx, found.Subject, typ) },
		})
		if err != nil {
			return "", err
		}
	}
	return found.Subject, nil
}

// idle makes an engine that runs no flow. It counts as every other does, and what
// it has to send the nodes send that serve.
func (b *Base) idle(now func() time.Time) (*flows.Engine, error) {
	registry, err := flows.NewRegistry()
	if err != nil {
		return nil, err
	}
	budget, err := budgetOf(b.told)
	if err != nil {
		return nil, err
	}
	cfg := flows.EngineConfig{
		Definitions: &flowdefs.Set{}, Registry: registry,
		Store: b.Store, Texts: b.Store, Sessions: b.Store, Throttle: b.Store, Marks: b.Store,
		Accounts: accountsOf(b), Recorder: b.Recorder, Sealer: b.Sealer,
		Logger: zap.NewNop(), Now: now, DecoyKey: b.decoy, Budget: budget, Quiet: quietOf(b.told.Quiet),
	}
	if b.told.By != "none" {
		cfg.Outbox = left{}
	}
	return flows.NewEngine(cfg)
}

// left is an outbox that leaves all to the nodes that serve: the engine keeps in
// the store what is to be told.
type left struct{}

// Put does nothing.
func (left) Put(context.Context, string, flows.Message) error { return nil }

// Delivered says that nothing is.
func (left) Delivered(context.Context, string) (bool, error) { return false, nil }
