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

// TakeMark implements [flows.Marks]. Taken again by its owner, a mark keeps the later expiry.
func (s *Store) TakeMark(ctx context.Context, name, owner string, now, expires time.Time) (bool, error) {
	if err := done(ctx); err != nil {
		return false, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	old, ok := s.marks[name]
	live := ok && now.Before(old.expires)
	if live && old.owner != owner {
		return false, flows.ErrTaken
	}
	if live && old.expires.After(expires) {
		expires = old.expires
	}
	s.marks[name] = mark{owner: owner, expires: expires}
	return live, nil
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
