package memory

import (
	"context"
	"slices"
	"sync"
	"time"

	"github.com/stile-auth/stile/flows"
	"github.com/stile-auth/stile/flows/assurance"
)

type sessions struct {
	mu       sync.RWMutex
	bySecret map[flows.Alias]flows.Session
	ends     map[string]flows.SessionsEnd // by subject
	rootEnds map[flows.Alias]flows.RootEnd
}

// PutSession implements [flows.Sessions].
func (s *Store) PutSession(ctx context.Context, session flows.Session) error {
	if err := done(ctx); err != nil {
		return err
	}
	m := &s.sessions
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.ends[session.Subject].Ends(session.ID, session.Began) {
		return flows.ErrEnded
	}
	if m.rootless(session.Roots) {
		return flows.ErrEnded
	}
	m.bySecret[session.Secret] = cloneSession(session)
	return nil
}

// Session implements [flows.Sessions].
func (s *Store) Session(ctx context.Context, secret flows.Alias, now time.Time) (flows.Session, error) {
	if err := done(ctx); err != nil {
		return flows.Session{}, err
	}
	m := &s.sessions
	m.mu.RLock()
	defer m.mu.RUnlock()
	session, ok := m.bySecret[secret]
	if !ok || !now.Before(session.Expires) {
		return flows.Session{}, flows.ErrNotFound
	}
	return cloneSession(session), nil
}

// SessionByID implements [flows.Sessions].
func (s *Store) SessionByID(ctx context.Context, id string, now time.Time) (flows.Session, error) {
	if err := done(ctx); err != nil {
		return flows.Session{}, err
	}
	m := &s.sessions
	m.mu.RLock()
	defer m.mu.RUnlock()
	for _, session := range m.bySecret {
		if session.ID == id && now.Before(session.Expires) {
			return cloneSession(session), nil
		}
	}
	return flows.Session{}, flows.ErrNotFound
}

// RemoveSession implements [flows.Sessions].
func (s *Store) RemoveSession(ctx context.Context, secret flows.Alias) error {
	if err := done(ctx); err != nil {
		return err
	}
	m := &s.sessions
	m.mu.Lock()
	defer m.mu.Unlock()
	delete(m.bySecret, secret)
	return nil
}

// EndSession implements [flows.Sessions].
func (s *Store) EndSession(ctx context.Context, id string) error {
	if err := done(ctx); err != nil {
		return err
	}
	m := &s.sessions
	m.mu.Lock()
	defer m.mu.Unlock()
	for secret, session := range m.bySecret {
		if session.ID == id {
			delete(m.bySecret, secret)
		}
	}
	return nil
}

// EndSessions implements [flows.Sessions].
func (s *Store) EndSessions(ctx context.Context, end flows.SessionsEnd) error {
	if err := done(ctx); err != nil {
		return err
	}
	m := &s.sessions
	m.mu.Lock()
	defer m.mu.Unlock()
	for secret, session := range m.bySecret {
		if session.Subject == end.Subject && end.Ends(session.ID, session.Began) {
			delete(m.bySecret, secret)
		}
	}
	if before, found := m.ends[end.Subject]; !found || before.At.Before(end.At) {
		end.At, end.Until = utc(end.At), utc(end.Until)
		m.ends[end.Subject] = end
	}
	return nil
}

// SessionsEnded implements [flows.Sessions].
func (s *Store) SessionsEnded(ctx context.Context, subject string, now time.Time) (flows.SessionsEnd, error) {
	if err := done(ctx); err != nil {
		return flows.SessionsEnd{}, err
	}
	m := &s.sessions
	m.mu.RLock()
	defer m.mu.RUnlock()
	if end := m.ends[subject]; now.Before(end.Until) {
		return end, nil
	}
	return flows.SessionsEnd{}, nil
}

// DeleteExpiredSessions implements [flows.Sessions].
func (s *Store) DeleteExpiredSessions(ctx context.Context, now time.Time, limit int) (int, error) {
	if err := done(ctx); err != nil {
		return 0, err
	}
	m := &s.sessions
	m.mu.Lock()
	defer m.mu.Unlock()
	n := 0
	for secret, session := range m.bySecret {
		if n >= limit {
			break
		}
		if !now.Before(session.Expires) {
			delete(m.bySecret, secret)
			n++
		}
	}
	ends := 0
	for subject, end := range m.ends {
		if ends < limit && !now.Before(end.Until) {
			delete(m.ends, subject)
			ends++
		}
	}
	m.forgetRoots(now, limit)
	return n, nil
}

func cloneSession(s flows.Session) flows.Session {
	s.Created, s.Began, s.Seen, s.Expires = utc(s.Created), utc(s.Began), utc(s.Seen), utc(s.Expires)
	s.Evidence = slices.Clone(s.Evidence)
	for i := range s.Evidence {
		s.Evidence[i] = cloneEvidence(s.Evidence[i])
	}
	s.Roots = slices.Clone(s.Roots)
	for i := range s.Roots {
		s.Roots[i].Began = utc(s.Roots[i].Began)
	}
	s.Tags = slices.Clone(s.Tags)
	for i := range s.Tags {
		s.Tags[i].Until = utc(s.Tags[i].Until)
	}
	return s
}

func cloneEvidence(e assurance.Evidence) assurance.Evidence {
	e.At, e.Expires = utc(e.At), utc(e.Expires)
	e.Categories = slices.Clone(e.Categories)
	if e.Upstream != nil {
		up := *e.Upstream
		up.AMR, up.AuthTime = slices.Clone(up.AMR), utc(up.AuthTime)
		up.Began = utc(up.Began)
		e.Upstream = &up
	}
	return e
}
