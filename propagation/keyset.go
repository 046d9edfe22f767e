package propagation

import (
	"context"
	"fmt"
	"slices"
)

// Source yields the keys of this moment. Safe for concurrent use.
type Source interface {
	// Current returns the keys as they are now: one that signs, and all that are
	// published. As long as nothing has changed it returns the same set. An error
	// means that nothing may be signed or published.
	Current(ctx context.Context) (*KeySet, error)
}

// KeySet is the keys of one moment: the active one, which signs, and those that
// are published beside it. It is immutable and safe for concurrent use.
type KeySet struct {
	keys []*Key // the active one first
}

var _ Source = (*KeySet)(nil)

// NewKeySet makes a set. active signs; the others are published only. A key
// that occurs twice is [ErrKey].
func NewKeySet(active *Key, published ...*Key) (*KeySet, error) {
	keys := append([]*Key{active}, published...)
	seen := map[string]bool{}
	for _, k := range keys {
		if k == nil {
			return nil, fmt.Errorf("%w: a key set needs an active key and no empty ones", ErrKey)
		}
		if seen[k.ID()] {
			return nil, fmt.Errorf("%w: %s occurs twice", ErrKey, k.ID())
		}
		seen[k.ID()] = true
	}
	return &KeySet{keys: keys}, nil
}

// Current returns the set itself: it is the source of keys that never change.
func (s *KeySet) Current(context.Context) (*KeySet, error) { return s, nil }

// Active returns the key that signs.
func (s *KeySet) Active() *Key { return s.keys[0] }

// Keys returns all keys, the active one first.
func (s *KeySet) Keys() []*Key { return slices.Clone(s.keys) }

// Algorithms returns the algorithms of the set's keys, sorted, each once.
func (s *KeySet) Algorithms() []string {
	var algs []string
	for _, k := range s.keys {
		algs = append(algs, k.Algorithm())
	}
	slices.Sort(algs)
	return slices.Compact(algs)
}
