package rp

import (
	"context"
	"crypto"
	"crypto/sha256"
	"fmt"
	"sync"
	"time"
)

// signature says which key has signed a token; the zero one: nobody here knows.
type signature struct {
	id, algorithm string
	key           crypto.PublicKey
}

// stands says whether the issuer still publishes that key. What it has taken back
// signs nothing any more, also nothing that was verified before.
func (s signature) stands(ctx context.Context, keys Keys) (bool, error) {
	if s.key == nil {
		return true, nil
	}
	now, err := keys.Find(ctx, s.id, s.algorithm)
	if err != nil {
		return false, fmt.Errorf("%w: %w", ErrUnavailable, err)
	}
	same, ok := now.(interface{ Equal(x crypto.PublicKey) bool })
	return ok && same.Equal(s.key), nil
}

// remembered is a token that was verified.
type remembered struct {
	token Token
	by    signature
	until time.Time
}

// memory holds tokens that were verified, by the hash of their text: at most size
// of them, those that were used lately. It has two halves, and when the young one is
// full the old one is forgotten. Safe for concurrent use.
type memory struct {
	size int

	mu         sync.Mutex
	young, old map[[sha256.Size]byte]remembered
}

func newMemory(size int) *memory {
	return &memory{size: size, young: map[[sha256.Size]byte]remembered{}}
}

func (m *memory) get(id [sha256.Size]byte) (remembered, bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if r, ok := m.young[id]; ok {
		return r, true
	}
	r, ok := m.old[id]
	if ok {
		m.putLocked(id, r)
	}
	return r, ok
}

func (m *memory) put(id [sha256.Size]byte, r remembered) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.putLocked(id, r)
}

func (m *memory) putLocked(id [sha256.Size]byte, r remembered) {
	if len(m.young) >= (m.size+1)/2 {
		m.old, m.young = m.young, map[[sha256.Size]byte]remembered{}
	}
	m.young[id] = r
}

// token is what a token says, verified now or remembered: no longer than it lives,
// and only while the key that has signed it is published.
func (g *Guard) token(ctx context.Context, text string) (Token, error) {
	if g.memory == nil {
		t, _, err := g.verify(ctx, text)
		return t, err
	}
	id, now := sha256.Sum256([]byte(text)), g.cfg.Now()
	if r, ok := g.memory.get(id); ok && now.Before(r.until) {
		stands, err := r.by.stands(ctx, g.cfg.Keys)
		if err != nil {
			return Token{}, err
		}
		if stands {
			return r.token, nil
		}
	}
	t, by, err := g.verify(ctx, text)
	if err != nil {
		return Token{}, err
	}
	until := t.Expires
	if i := g.cfg.Introspection; i != nil && now.Add(i.For).Before(until) {
		until = now.Add(i.For)
	}
	g.memory.put(id, remembered{token: t, by: by, until: until})
	return t, nil
}
