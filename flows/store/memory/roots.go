package memory

import (
	"context"
	"slices"
	"time"

	"github.com/stile-auth/stile/flows"
)

// EndRooted implements [flows.RootEnds].
func (s *Store) EndRooted(ctx context.Context, end flows.RootEnd) ([]flows.Session, error) {
	if err := done(ctx); err != nil {
		return nil, err
	}
	m := &s.sessions
	m.mu.Lock()
	defer m.mu.Unlock()
	var over []flows.Session
	for secret, session := range m.bySecret {
		if slices.ContainsFunc(session.Roots, end.Ends) {
			over = append(over, cloneSession(session))
			delete(m.bySecret, secret)
		}
	}
	if before, found := m.rootEnds[end.Key]; !found || before.At.Before(end.At) {
		end.At, end.Until = utc(end.At), utc(end.Until)
		m.rootEnds[end.Key] = end
	}
	return over, nil
}

// Rootless implements [flows.RootEnds].
func (s *Store) Rootless(ctx context.Context, roots []flows.Root, _ time.Time) (bool, error) {
	if err := done(ctx); err != nil {
		return false, err
	}
	m := &s.sessions
	m.mu.RLock()
	defer m.mu.RUnlock()
	return m.rootless(roots), nil
}

// rootless says whether one of these has ended. The caller holds mu.
func (m *sessions) rootless(roots []flows.Root) bool {
	return slices.ContainsFunc(roots, func(r flows.Root) bool { return m.rootEnds[r.Key].Ends(r) })
}

// forgetRoots forgets at most limit ends that are of no more use. The caller holds mu.
func (m *sessions) forgetRoots(now time.Time, limit int) {
	n := 0
	for key, end := range m.rootEnds {
		if n < limit && !now.Before(end.Until) {
			delete(m.rootEnds, key)
			n++
		}
	}
}
