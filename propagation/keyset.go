package propagation

import (
	"fmt"
	"slices"
)

// KeySet is the active key and those that are published beside it. It is
// immutable and safe for concurrent use.
type KeySet struct {
	keys []*Key // the active one first
}

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

// Active returns the key that signs.
func (s *KeySet) Active() *Key { return s.keys[0] }

// Keys returns all keys, the active one first.
func (s *KeySet) Keys() []*Key { return slices.Clone(s.keys) }

// Algorithms returns the algorithms of the set's keys, sorted, each once.
func (s *KeySet) Algorithms() []string {
	var algs []string
	for _, k := range s.keys {
		algs = append(algs, k.alg)
	}
	slices.Sort(algs)
	return slices.Compact(algs)
}

// with returns the set with k as the last of the published ones.
func (s *KeySet) with(k *Key) (*KeySet, error) {
	return NewKeySet(s.Active(), append(s.keys[1:len(s.keys):len(s.keys)], k)...)
}

// activate returns the set with the key of that id as the active one.
func (s *KeySet) activate(id string) (*KeySet, error) {
	i, err := s.index(id)
	if err != nil {
		return nil, err
	}
	rest := slices.Delete(s.Keys(), i, i+1)
	return NewKeySet(s.keys[i], rest...)
}

// without returns the set less the key of that id, which must not be the active one.
func (s *KeySet) without(id string) (*KeySet, error) {
	i, err := s.index(id)
	if err != nil {
		return nil, err
	}
	if i == 0 {
		return nil, fmt.Errorf("%w: %s is the active key; activate another one first", ErrKey, id)
	}
	rest := slices.Delete(s.Keys(), i, i+1)
	return NewKeySet(rest[0], rest[1:]...)
}

func (s *KeySet) index(id string) (int, error) {
	i := slices.IndexFunc(s.keys, func(k *Key) bool { return k.ID() == id })
	if i < 0 {
		return 0, fmt.Errorf("%w: there is no key %q", ErrKey, id)
	}
	return i, nil
}
