package propagation

import (
	"context"
	"errors"
	"fmt"

	"github.com/stile-auth/stile/flows"
)

// keysValue is the name of the value that holds the keys.
const keysValue = "signing_keys"

// KeyStore keeps keys in the store that all nodes share, sealed.
type KeyStore struct {
	values flows.Values
	sealer flows.Sealer
}

var _ Keeper = (*KeyStore)(nil)

// NewKeyStore keeps keys among the values of a store.
func NewKeyStore(values flows.Values, sealer flows.Sealer) *KeyStore {
	return &KeyStore{values: values, sealer: sealer}
}

// Load implements [Keeper].
func (s *KeyStore) Load(ctx context.Context) (Ring, error) {
	sealed, version, err := s.values.Value(ctx, keysValue)
	if errors.Is(err, flows.ErrNotFound) {
		return Ring{}, ErrNoKeys
	}
	if err != nil {
		return Ring{}, err
	}
	text, err := s.sealer.Open(sealed, []byte(keysValue))
	if err != nil {
		return Ring{}, fmt.Errorf("%w: what the store has does not open: %w", ErrKey, err)
	}
	ring, err := parseRing(text)
	ring.version = version
	return ring, err
}

// Generate implements [Keeper].
func (s *KeyStore) Generate(_ context.Context, algorithm string) (*Key, error) {
	return GenerateKey(algorithm)
}

// Store implements [Keeper].
func (s *KeyStore) Store(ctx context.Context, old, next Ring) error {
	text, err := formatRing(next)
	if err != nil {
		return err
	}
	sealed, err := s.sealer.Seal(text, []byte(keysValue))
	if err != nil {
		return err
	}
	err = s.values.PutValue(ctx, keysValue, sealed, old.version+1)
	if errors.Is(err, flows.ErrConflict) {
		return ErrChanged
	}
	return err
}
