package node

import (
	"context"
	"crypto/rand"
	"fmt"
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
		account.TypeEmail, account.TypePhone, account.TypeRecovery, account.TypeActivation,
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
		event := flows.Event{ID: rand.Text(), Time: now().UTC(), Type: users.EventUnlocked, Subject: found.Subject, Reason: typ}
		if err := b.Recorder.Record(ctx, event); err != nil {
			return "", fmt.Errorf("node: audit: %w", err)
		}
		if err := engine.Unlock(ctx, found.Subject, typ); err != nil {
			return "", err
		}
	}
	return found.Subject, nil
}

// idle makes an engine that runs no flow. It counts as every other does.
func (b *Base) idle(now func() time.Time) (*flows.Engine, error) {
	registry, err := flows.NewRegistry()
	if err != nil {
		return nil, err
	}
	return flows.NewEngine(flows.EngineConfig{
		Definitions: &flowdefs.Set{}, Registry: registry,
		Store: b.Store, Texts: b.Store, Sessions: b.Store, Throttle: b.Store, Marks: b.Store,
		Accounts: accountsOf(b), Recorder: b.Recorder, Sealer: b.Sealer,
		Logger: zap.NewNop(), Now: now, DecoyKey: b.decoy,
	})
}
