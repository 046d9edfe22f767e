package memory

import (
	"context"
	"time"

	"github.com/stile-auth/stile/flows"
)

type mark struct {
	owner   string
	expires time.Time
}

// TakeMark implements [flows.Marks].
func (s *Store) TakeMark(ctx context.Context, name, owner string, now, expires time.Time) error {
	if err := done(ctx); err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	old, ok := s.marks[name]
	if ok && old.owner != owner && now.Before(old.expires) {
		return flows.ErrTaken
	}
	if ok && old.owner == owner && old.expires.After(expires) {
		expires = old.expires
	}
	s.marks[name] = mark{owner: owner, expires: expires}
	return nil
}

// DeleteExpiredMarks implements [flows.Marks].
func (s *Store) DeleteExpiredMarks(ctx context.Context, now time.Time, limit int) (int, error) {
	if err := done(ctx); err != nil {
		return 0, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	n := 0
	for name, m := range s.marks {
		if n >= limit {
			break
		}
		if !now.Before(m.expires) {
			delete(s.marks, name)
			n++
		}
	}
	return n, nil
}
