package memory

import (
	"bytes"
	"context"
	"maps"
	"slices"

	"github.com/stile-auth/stile/flows"
)

// StoredClient implements [flows.StoredClients].
func (s *Store) StoredClient(ctx context.Context, id string) (flows.StoredClient, error) {
	if err := done(ctx); err != nil {
		return flows.StoredClient{}, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	c, there := s.clients[id]
	if !there {
		return flows.StoredClient{}, flows.ErrNotFound
	}
	return cloneClient(c), nil
}

// StoredClients implements [flows.StoredClients].
func (s *Store) StoredClients(ctx context.Context, after string, limit int) ([]flows.StoredClient, error) {
	if err := done(ctx); err != nil {
		return nil, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	var out []flows.StoredClient
	for _, id := range slices.Sorted(maps.Keys(s.clients)) {
		if id > after && len(out) < limit {
			out = append(out, cloneClient(s.clients[id]))
		}
	}
	return out, nil
}

// PutClient implements [flows.StoredClients].
func (s *Store) PutClient(ctx context.Context, c flows.StoredClient) error {
	if err := done(ctx); err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if c.Version < 1 || s.clients[c.ID].Version != c.Version-1 {
		return flows.ErrConflict
	}
	s.clients[c.ID] = cloneClient(c)
	return nil
}

// RemoveClient implements [flows.StoredClients].
func (s *Store) RemoveClient(ctx context.Context, id string) error {
	if err := done(ctx); err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.clients, id)
	return nil
}

func cloneClient(c flows.StoredClient) flows.StoredClient {
	c.Text, c.Created, c.Changed = bytes.Clone(c.Text), utc(c.Created), utc(c.Changed)
	return c
}
