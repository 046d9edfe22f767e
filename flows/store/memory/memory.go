// Package memory keeps everything in maps. It is for tests and trials: what it
// holds is gone with the process, and audit events are never dropped, so it grows.
//
// A [Store] implements all ports of package flows; [Store.Accounts] returns the
// repository of accounts. Both are safe for concurrent use, return copies, and
// refuse a context that is done.
package memory

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/stile-auth/stile/flows"
)

// Store is runs, texts, sessions, counters, marks and audit events. Make one with [New].
type Store struct {
	runs     runs
	sessions sessions
	accounts *Accounts

	mu       sync.Mutex // guards what follows
	texts    map[string]text
	values   map[string]value
	counters map[string]flows.Counter
	marks    map[string]mark
	events   []flows.Event
	eventIDs map[string]struct{}
	kept     map[string]flows.Kept
	clients  map[string]flows.StoredClient
}

var (
	_ flows.Store         = (*Store)(nil)
	_ flows.Texts         = (*Store)(nil)
	_ flows.Sessions      = (*Store)(nil)
	_ flows.Throttle      = (*Store)(nil)
	_ flows.Marks         = (*Store)(nil)
	_ flows.Recorder      = (*Store)(nil)
	_ flows.Leftovers     = (*Store)(nil)
	_ flows.StoredClients = (*Store)(nil)
)

// New returns an empty store.
func New() *Store {
	return &Store{
		runs:     runs{byID: map[string]flows.Record{}, byAlias: map[flows.Alias]string{}},
		sessions: sessions{bySecret: map[flows.Alias]flows.Session{}, ends: map[string]flows.SessionsEnd{}, rootEnds: map[flows.Alias]flows.RootEnd{}},
		accounts: newAccounts(),
		texts:    map[string]text{},
		values:   map[string]value{},
		counters: map[string]flows.Counter{},
		marks:    map[string]mark{},
		eventIDs: map[string]struct{}{},
		kept:     map[string]flows.Kept{},
		clients:  map[string]flows.StoredClient{},
	}
}

// Accounts returns the repository of accounts in this store.
func (s *Store) Accounts() *Accounts { return s.accounts }

// Ping returns the context's error: memory is always there.
func (s *Store) Ping(ctx context.Context) error { return done(ctx) }

func done(ctx context.Context) error {
	if err := ctx.Err(); err != nil {
		return fmt.Errorf("memory: %w", err)
	}
	return nil
}

// utc drops the zone and the monotonic clock, as every driver does.
func utc(t time.Time) time.Time {
	if t.IsZero() {
		return time.Time{}
	}
	return t.Round(0).UTC()
}
