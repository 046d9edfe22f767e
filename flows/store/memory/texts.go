package memory

import (
	"bytes"
	"context"
	"time"

	"github.com/stile-auth/stile/flows"
)

type text struct {
	source []byte
	until  time.Time
}

// PutText implements [flows.Texts]. The first text of a hash stays.
func (s *Store) PutText(ctx context.Context, hash string, source []byte, until time.Time) error {
	if err := done(ctx); err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	one, ok := s.texts[hash]
	if !ok {
		one.source = bytes.Clone(source)
	}
	if until.After(one.until) {
		one.until = until
	}
	s.texts[hash] = one
	return nil
}

// Text implements [flows.Texts].
func (s *Store) Text(ctx context.Context, hash string) ([]byte, error) {
	if err := done(ctx); err != nil {
		return nil, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	one, ok := s.texts[hash]
	if !ok {
		return nil, flows.ErrNotFound
	}
	return bytes.Clone(one.source), nil
}

// DeleteExpiredTexts implements [flows.Texts].
func (s *Store) DeleteExpiredTexts(ctx context.Context, now time.Time, limit int) (int, error) {
	if err := done(ctx); err != nil {
		return 0, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	n := 0
	for hash, one := range s.texts {
		if n >= limit {
			break
		}
		if !now.Before(one.until) {
			delete(s.texts, hash)
			n++
		}
	}
	return n, nil
}
