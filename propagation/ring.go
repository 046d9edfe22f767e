package propagation

import (
	"errors"
	"fmt"
	"slices"
	"time"
)

// The times of a rotation. A token that was just signed can be verified with a
// key set that was fetched a cache lifetime ago, whichever node answered,
// because lead > CacheAge + stale + the difference of two clocks.
const (
	CacheAge = 10 * time.Minute // how long caches may keep the published keys
	stale    = 5 * time.Minute  // a node that has not read the keys for so long neither signs nor publishes
	lead     = 20 * time.Minute // from a key's publication to its first signature
	grace    = 10 * time.Minute // how long a key stays published after its last token; clocks differ
	maxKeys  = 16
)

// Entry is a key of a [Ring] and the times of its life.
type Entry struct {
	*Key
	Made  time.Time // published from then on; zero: not known
	Signs time.Time // it signs from then on, until another one does; zero: not known, long ago
}

// Ring is all keys with their times, the one that signs last first. It is a
// value: what changes it returns another one.
type Ring struct {
	entries []Entry
	version int64 // of the keeper, as it was read
}

// NewRing makes a ring. The entries are in order, those that sign later first,
// and no key occurs twice; else [ErrKey].
func NewRing(entries ...Entry) (Ring, error) {
	if len(entries) == 0 {
		return Ring{}, fmt.Errorf("%w: there is none", ErrKey)
	}
	if len(entries) > maxKeys {
		return Ring{}, fmt.Errorf("%w: more than %d keys; retire some", ErrKey, maxKeys)
	}
	for i, e := range entries[1:] {
		if e.Signs.After(entries[i].Signs) {
			return Ring{}, fmt.Errorf("%w: the order is wrong: %s signs after %s", ErrKey, e.ID(), entries[i].ID())
		}
	}
	r := Ring{entries: slices.Clone(entries)}
	_, err := r.At(time.Time{})
	return r, err
}

// Entries returns the keys, the one that signs last first.
func (r Ring) Entries() []Entry { return slices.Clone(r.entries) }

// active is the index of the key that signs at that moment: the newest one whose
// time has come, and before the time of the first of all, that one.
func (r Ring) active(now time.Time) int {
	for i, e := range r.entries {
		if !e.Signs.After(now) {
			return i
		}
	}
	return len(r.entries) - 1
}

// At returns the keys as they are at that moment.
func (r Ring) At(now time.Time) (*KeySet, error) {
	i := r.active(now)
	keys := []*Key{r.entries[i].Key}
	for j, e := range r.entries {
		if j != i {
			keys = append(keys, e.Key)
		}
	}
	return NewKeySet(keys[0], keys[1:]...)
}

// until is when At will return another set; zero: never.
func (r Ring) until(now time.Time) time.Time {
	if i := r.active(now); i > 0 && r.entries[i-1].Signs.After(now) {
		return r.entries[i-1].Signs
	}
	return time.Time{}
}

// Policy says how keys come and go.
type Policy struct {
	Algorithm string        // of new keys, one of [Algorithms]; default ES256
	Every     time.Duration // how long a key signs; 0: until somebody rotates
	Longest   time.Duration // the longest lifetime of a token; required
}

// due says whether it is time to publish the next key.
func (r Ring) due(p Policy, now time.Time) bool {
	newest := r.entries[0]
	return p.Every > 0 && !newest.Signs.After(now) && !newest.Signs.Add(p.Every-lead).After(now)
}

// over is when the last token of the i-th key has expired for everybody; zero
// if it signs still, or will, or nobody knows since when it does not.
func (r Ring) over(i int, p Policy) time.Time {
	if i == 0 || r.entries[i-1].Signs.IsZero() {
		return time.Time{}
	}
	return r.entries[i-1].Signs.Add(p.Longest + grace)
}

// Rotate returns the ring with a key that is published now and signs as soon as
// nobody can have a key set without it. A ring with a key that waits for its turn is [ErrPending].
func (r Ring) Rotate(k *Key, now time.Time) (Ring, error) {
	if next := r.entries[0]; next.Signs.After(now) {
		return Ring{}, fmt.Errorf("%w: %s signs from %s on", ErrPending, next.ID(), next.Signs.UTC().Format(time.RFC3339))
	}
	return r.with(Entry{k, now, now.Add(lead)})
}

func (r Ring) with(e Entry) (Ring, error) {
	out, err := NewRing(append([]Entry{e}, r.entries...)...)
	out.version = r.version
	return out, err
}

// Errors of changes of a [Ring].
var (
	ErrPending = errors.New("propagation: a new key is published already")
	ErrInUse   = errors.New("propagation: there may be tokens of that key")
)

// Retire returns the ring without the key of that id: from now on nobody accepts
// what it signed. A key whose tokens may still be in use is [ErrInUse], unless
// force says that they must not be. The ring may end up without a key, with
// [ErrKey]: put another one in before ([Ring.Replace]).
func (r Ring) Retire(id string, p Policy, now time.Time, force bool) (Ring, error) {
	i := slices.IndexFunc(r.entries, func(e Entry) bool { return e.ID() == id })
	if i < 0 {
		return Ring{}, fmt.Errorf("%w: there is no key %q", ErrKey, id)
	}
	waits := r.entries[i].Signs.After(now) && i < len(r.entries)-1
	if over := r.over(i, p); !force && !waits && (over.IsZero() || over.After(now)) {
		return Ring{}, fmt.Errorf("%w: %s", ErrInUse, id)
	}
	out, err := NewRing(slices.Delete(r.Entries(), i, i+1)...)
	out.version = r.version
	return out, err
}

// Replace returns the ring with a key that signs at once, before caches know it:
// for a key that somebody else has got hold of. What waited for its turn is dropped.
func (r Ring) Replace(k *Key, now time.Time) (Ring, error) {
	for len(r.entries) > 1 && r.entries[0].Signs.After(now) {
		r.entries = r.entries[1:]
	}
	return r.with(Entry{k, now, now})
}

// trimmed returns the ring without keys whose last token has expired.
func (r Ring) trimmed(p Policy, now time.Time) Ring {
	kept := []Entry{r.entries[0]}
	for i, e := range r.entries[1:] {
		if over := r.over(i+1, p); over.IsZero() || over.After(now) {
			kept = append(kept, e)
		}
	}
	return Ring{entries: kept, version: r.version}
}

// same says whether two rings hold the same keys at the same times.
func (r Ring) same(other Ring) bool {
	return slices.EqualFunc(r.entries, other.entries, func(a, b Entry) bool {
		return a.ID() == b.ID() && a.Algorithm() == b.Algorithm() && a.Signs.Equal(b.Signs)
	})
}
