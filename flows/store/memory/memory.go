// Package memory keeps everything in maps. It is for tests and trials: what it
// holds is gone with the process, and audit events are never dropped, so it grows.
//
// A [Store] implements all ports of package flows; [Store.Accounts] returns the
// repository of accounts. Both are safe for concurrent use, return copies, and
// refuse a context that is done.
package memory

import (
	"bytes"
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/stile-auth/stile/flows"
)

// Store is runs, definitions, sessions, counters, marks and audit events. Make one with [New].
type Store struct {
	runs     runs
	sessions sessions
	accounts *Accounts

	mu          sync.Mutex // guards what follows
	definitions map[string][]byte
	counters    map[string]flows.Counter
	marks       map[string]mark
	events      []flows.Event
	eventIDs    map[string]struct{}
}

var (
	_ flows.Store       = (*Store)(nil)
	_ flows.Definitions = (*Store)(nil)
	_ flows.Sessions    = (*Store)(nil)
	_ flows.Throttle    = (*Store)(nil)
	_ flows.Marks       = (*Store)(nil)
	_ flows.Recorder    = (*Store)(nil)
)

// New returns an empty store.
func New() *Store {
	return &Store{
		runs:        runs{byID: map[string]flows.Record{}, byAlias: map[flows.Alias]string{}},
		sessions:    sessions{bySecret: map[flows.Alias]flows.Session{}},
		accounts:    newAccounts(),
		definitions: map[string][]byte{},
		counters:    map[string]flows.Counter{},
		marks:       map[string]mark{},
		eventIDs:    map[string]struct{}{},
	}
}

// Accounts returns the repository of accounts in this store.
func (s *Store) Accounts() *Accounts { return s.accounts }

// Ping returns the context's error: memory is always there.
func (s *Store) Ping(ctx context.Context) error { return done(ctx) }

// PutDefinition implements [flows.Definitions].
func (s *Store) PutDefinition(ctx context.Context, hash string, source []byte) error {
	if err := done(ctx); err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if _, ok := s.definitions[hash]; !ok {
		s.definitions[hash] = bytes.Clone(source)
	}
	return nil
}

// Definition implements [flows.Definitions].
func (s *Store) Definition(ctx context.Context, hash string) ([]byte, error) {
	if err := done(ctx); err != nil {
		return nil, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	source, ok := s.definitions[hash]
	if !ok {
		return nil, flows.ErrNotFound
	}
	return bytes.Clone(source), nil
}

// Reserve implements [flows.Throttle].
func (s *Store) Reserve(ctx context.Context, key string, next func(flows.Counter) (flows.Counter, error)) (flows.Counter, error) {
	if err := done(ctx); err != nil {
		return flows.Counter{}, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	c, err := next(s.counters[key])
	if err != nil {
		return flows.Counter{}, err
	}
	c.Until = utc(c.Until)
	s.counters[key] = c
	return c, nil
}

// Release implements [flows.Throttle].
func (s *Store) Release(ctx context.Context, key string) error {
	if err := done(ctx); err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if c, ok := s.counters[key]; ok && c.Failures > 0 {
		c.Failures--
		s.counters[key] = c
	}
	return nil
}

// Reset implements [flows.Throttle].
func (s *Store) Reset(ctx context.Context, key string) error {
	if err := done(ctx); err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.counters, key)
	return nil
}

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
