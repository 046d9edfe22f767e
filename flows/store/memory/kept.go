package memory

import (
	"context"
	"slices"
	"strings"
	"time"

	"github.com/stile-auth/stile/flows"
)

// PutKept implements [flows.Leftovers].
func (s *Store) PutKept(ctx context.Context, k flows.Kept) error {
	if err := done(ctx); err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if _, there := s.kept[k.ID]; there {
		return flows.ErrExists
	}
	s.kept[k.ID] = cloneKept(k)
	return nil
}

// KeptBy implements [flows.Leftovers].
func (s *Store) KeptBy(ctx context.Context, owners ...string) ([]flows.Kept, error) {
	if err := done(ctx); err != nil {
		return nil, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	var out []flows.Kept
	for _, k := range s.kept {
		if slices.Contains(owners, k.Owner) {
			out = append(out, cloneKept(k))
		}
	}
	slices.SortFunc(out, func(a, b flows.Kept) int { return strings.Compare(a.ID, b.ID) })
	return out, nil
}

// UpdateKept implements [flows.Leftovers].
func (s *Store) UpdateKept(ctx context.Context, k flows.Kept) error {
	if err := done(ctx); err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	old, there := s.kept[k.ID]
	switch {
	case !there:
		return flows.ErrNotFound
	case old.Version != k.Version-1:
		return flows.ErrConflict
	}
	s.kept[k.ID] = cloneKept(k)
	return nil
}

// Forsaken implements [flows.Leftovers].
func (s *Store) Forsaken(ctx context.Context, now time.Time, limit int) ([]flows.Kept, error) {
	if err := done(ctx); err != nil {
		return nil, err
	}
	owners := s.sessions.alive(now)
	s.mu.Lock()
	defer s.mu.Unlock()
	var out []flows.Kept
	for _, k := range s.kept {
		if !owners[k.Owner] && !now.Before(k.Until) {
			out = append(out, cloneKept(k))
		}
	}
	slices.SortFunc(out, func(a, b flows.Kept) int { return a.Until.Compare(b.Until) })
	return out[:min(len(out), limit)], nil
}

// alive are the IDs of the sessions that there are.
func (m *sessions) alive(now time.Time) map[string]bool {
	m.mu.RLock()
	defer m.mu.RUnlock()
	ids := map[string]bool{}
	for _, session := range m.bySecret {
		if now.Before(session.Expires) {
			ids[session.ID] = true
		}
	}
	return ids
}

// DeleteKept implements [flows.Leftovers].
func (s *Store) DeleteKept(ctx context.Context, id string) error {
	if err := done(ctx); err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.kept, id)
	return nil
}

func cloneKept(k flows.Kept) flows.Kept {
	k.Until, k.Data = utc(k.Until), slices.Clone(k.Data)
	return k
}
