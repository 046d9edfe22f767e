package memory

import (
	"bytes"
	"cmp"
	"context"
	"slices"
	"sync"
	"time"

	"github.com/stile-auth/stile/flows"
)

// runs keeps records by id, and which id an alias stands for.
type runs struct {
	mu      sync.RWMutex
	byID    map[string]flows.Record
	byAlias map[flows.Alias]string
}

// Create implements [flows.Store].
func (s *Store) Create(ctx context.Context, r flows.Record, now time.Time) error {
	if err := done(ctx); err != nil {
		return err
	}
	m := &s.runs
	m.mu.Lock()
	defer m.mu.Unlock()
	if !m.clear(r, now) {
		return flows.ErrExists
	}
	m.put(r)
	return nil
}

// Load implements [flows.Store].
func (s *Store) Load(ctx context.Context, a flows.Alias, now time.Time) (flows.Record, error) {
	if err := done(ctx); err != nil {
		return flows.Record{}, err
	}
	m := &s.runs
	m.mu.RLock()
	defer m.mu.RUnlock()
	id, ok := m.byAlias[a]
	if !ok {
		return flows.Record{}, flows.ErrNotFound
	}
	r := m.byID[id]
	if !now.Before(r.Expires) {
		return flows.Record{}, flows.ErrNotFound
	}
	return cloneRecord(r), nil
}

// Update implements [flows.Store]. [flows.ErrExists] if one of the aliases
// belongs to another run that is still here, even if its time is over.
func (s *Store) Update(ctx context.Context, r flows.Record) error {
	if err := done(ctx); err != nil {
		return err
	}
	m := &s.runs
	m.mu.Lock()
	defer m.mu.Unlock()
	old, ok := m.byID[r.ID]
	if !ok {
		return flows.ErrNotFound
	}
	if old.Version != r.Version-1 {
		return flows.ErrConflict
	}
	for _, a := range r.Aliases {
		if id, ok := m.byAlias[a]; ok && id != r.ID {
			return flows.ErrExists
		}
	}
	m.remove(r.ID)
	m.put(r)
	return nil
}

// Expired implements [flows.Store].
func (s *Store) Expired(ctx context.Context, now time.Time, limit int) ([]flows.Record, error) {
	if err := done(ctx); err != nil {
		return nil, err
	}
	m := &s.runs
	m.mu.RLock()
	defer m.mu.RUnlock()
	var out []flows.Record
	for _, r := range m.oldest(now, limit) {
		out = append(out, cloneRecord(r))
	}
	return out, nil
}

// DeleteExpired implements [flows.Store].
func (s *Store) DeleteExpired(ctx context.Context, now time.Time, limit int) (int, error) {
	if err := done(ctx); err != nil {
		return 0, err
	}
	m := &s.runs
	m.mu.Lock()
	defer m.mu.Unlock()
	old := m.oldest(now, limit)
	for _, r := range old {
		m.remove(r.ID)
	}
	return len(old), nil
}

// oldest returns at most limit runs that expired at or before now, in the order of their expiry.
func (m *runs) oldest(now time.Time, limit int) []flows.Record {
	var out []flows.Record
	for _, r := range m.byID {
		if !now.Before(r.Expires) {
			out = append(out, r)
		}
	}
	slices.SortFunc(out, func(a, b flows.Record) int {
		return cmp.Or(a.Expires.Compare(b.Expires), cmp.Compare(a.ID, b.ID))
	})
	return out[:min(len(out), max(limit, 0))]
}

// clear removes the runs that hold the id or an alias of r and expired at or
// before now. False if one of the holders has not: then nothing is removed.
func (m *runs) clear(r flows.Record, now time.Time) bool {
	holders := []string{r.ID}
	for _, a := range r.Aliases {
		if id, ok := m.byAlias[a]; ok {
			holders = append(holders, id)
		}
	}
	live := func(id string) bool {
		old, ok := m.byID[id]
		return ok && now.Before(old.Expires)
	}
	if slices.ContainsFunc(holders, live) {
		return false
	}
	for _, id := range holders {
		m.remove(id)
	}
	return true
}

// put stores r under its aliases.
func (m *runs) put(r flows.Record) {
	for _, a := range r.Aliases {
		m.byAlias[a] = r.ID
	}
	m.byID[r.ID] = cloneRecord(r)
}

// remove removes a run and its aliases.
func (m *runs) remove(id string) {
	for _, a := range m.byID[id].Aliases {
		delete(m.byAlias, a)
	}
	delete(m.byID, id)
}

func cloneRecord(r flows.Record) flows.Record {
	r.Aliases = slices.Clone(r.Aliases)
	r.Data = bytes.Clone(r.Data)
	r.Expires = utc(r.Expires)
	return r
}
