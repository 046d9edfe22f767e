package memory

import (
	"bytes"
	"context"

	"github.com/stile-auth/stile/flows"
)

type value struct {
	data    []byte
	version int64
}

// Value implements [flows.Values].
func (s *Store) Value(ctx context.Context, name string) ([]byte, int64, error) {
	if err := done(ctx); err != nil {
		return nil, 0, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	one, ok := s.values[name]
	if !ok {
		return nil, 0, flows.ErrNotFound
	}
	return bytes.Clone(one.data), one.version, nil
}

// PutValue implements [flows.Values].
func (s *Store) PutValue(ctx context.Context, name string, data []byte, version int64) error {
	if err := done(ctx); err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if version < 1 || s.values[name].version != version-1 {
		return flows.ErrConflict
	}
	s.values[name] = value{bytes.Clone(data), version}
	return nil
}
