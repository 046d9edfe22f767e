package propagation

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"
)

// Errors of a [Keeper] and of [Keyring.Current].
var (
	ErrNoKeys  = errors.New("propagation: no keys were ever made")
	ErrChanged = errors.New("propagation: somebody else has changed the keys")
	ErrStale   = errors.New("propagation: the keys could not be read for too long")
)

// Keeper keeps the keys of all nodes: in a file, in a database, or in a service
// that lets no private key out. Safe for concurrent use.
type Keeper interface {
	// Load returns the keys; [ErrNoKeys] if none were ever stored.
	Load(ctx context.Context) (Ring, error)
	// Generate makes a key that Store can keep.
	Generate(ctx context.Context, algorithm string) (*Key, error)
	// Store keeps next if what is kept is still old, which Load has returned (the zero
	// Ring: nothing is kept yet); else [ErrChanged].
	Store(ctx context.Context, old, next Ring) error
}

// KeyringConfig is what a [Keyring] needs.
type KeyringConfig struct {
	Keeper Keeper
	Policy Policy
	Now    func() time.Time
}

// Keyring is the keys of a node: it reads what the keeper has, and rotates by
// the policy. Several nodes with one keeper sign with the same keys, and one of them
// rotates for all. It is safe for concurrent use.
type Keyring struct {
	cfg KeyringConfig

	refreshing sync.Mutex
	mu         sync.Mutex
	ring       Ring
	read       time.Time
	set        *KeySet
	until      time.Time
}

var _ Source = (*Keyring)(nil)

// OpenKeyring reads the keys, and makes the first one if there is none.
func OpenKeyring(ctx context.Context, cfg KeyringConfig) (*Keyring, error) {
	if cfg.Keeper == nil || cfg.Now == nil || cfg.Policy.Longest <= 0 {
		return nil, fmt.Errorf("%w: a key ring needs a keeper, a clock and the longest lifetime of a token", ErrKey)
	}
	if cfg.Policy.Algorithm == "" {
		cfg.Policy.Algorithm = ES256
	}
	k := &Keyring{cfg: cfg}
	if err := k.Refresh(ctx); err != nil && k.set == nil {
		return nil, err
	}
	return k, nil
}

// Refresh reads the keys anew and rotates if it is time. To be called more often than
// every minute. If the keys could be read and not be changed, they are used, and the error says why.
func (k *Keyring) Refresh(ctx context.Context) error {
	k.refreshing.Lock()
	defer k.refreshing.Unlock()
	for {
		ring, err := k.turn(ctx)
		if errors.Is(err, ErrChanged) && ctx.Err() == nil {
			continue // the other one has rotated
		}
		if len(ring.entries) == 0 {
			return err
		}
		return errors.Join(k.use(ring), err)
	}
}

// turn reads the keys and stores what has to be changed. It returns what is kept
// now, also beside an error if that is known.
func (k *Keyring) turn(ctx context.Context) (Ring, error) {
	now := k.cfg.Now()
	kept, err := k.cfg.Keeper.Load(ctx)
	if err != nil && !errors.Is(err, ErrNoKeys) {
		return Ring{}, err
	}
	next, err := k.next(ctx, kept, now)
	if err != nil || next.same(kept) {
		return kept, err
	}
	if err := k.cfg.Keeper.Store(ctx, kept, next); err != nil {
		return kept, err
	}
	return next, nil
}

func (k *Keyring) next(ctx context.Context, kept Ring, now time.Time) (Ring, error) {
	first := len(kept.entries) == 0
	if !first {
		kept = kept.trimmed(k.cfg.Policy, now)
	}
	if !first && !kept.due(k.cfg.Policy, now) {
		return kept, nil
	}
	key, err := k.cfg.Keeper.Generate(ctx, k.cfg.Policy.Algorithm)
	if err != nil {
		return Ring{}, err
	}
	if first {
		return NewRing(Entry{key, now, now})
	}
	return kept.Rotate(key, now)
}

func (k *Keyring) use(ring Ring) error {
	k.mu.Lock()
	defer k.mu.Unlock()
	now := k.cfg.Now()
	k.read = now
	if k.set != nil && ring.same(k.ring) && (k.until.IsZero() || now.Before(k.until)) {
		return nil // the same set, so that what was made of it stays
	}
	set, err := ring.At(now)
	if err != nil {
		return err
	}
	k.ring, k.set, k.until = ring, set, ring.until(now)
	return nil
}

// Current implements [Source]. Keys that were not read for five minutes are read
// at once; if that fails too: [ErrStale].
func (k *Keyring) Current(ctx context.Context) (*KeySet, error) {
	if set, err := k.current(); err == nil {
		return set, nil
	}
	ctx, cancel := context.WithTimeout(ctx, time.Second)
	defer cancel()
	failed := k.Refresh(ctx)
	set, err := k.current()
	if err != nil {
		return nil, errors.Join(err, failed)
	}
	return set, nil
}

func (k *Keyring) current() (*KeySet, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	now := k.cfg.Now()
	if now.Sub(k.read) > stale {
		return nil, ErrStale
	}
	if k.until.IsZero() || now.Before(k.until) {
		return k.set, nil
	}
	set, err := k.ring.At(now)
	if err != nil {
		return nil, err
	}
	k.set, k.until = set, k.ring.until(now)
	return set, nil
}
