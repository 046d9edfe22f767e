// Package seal encrypts and authenticates data at rest with keys from the
// configuration.
//
// A [Sealer] has one active key, which seals, and any number of old ones, which
// still open. To rotate, make a new key the active one and keep the former
// among the old until nothing sealed with it is left.
//
// The caller's additional data binds a sealed value to its place: a value that
// was sealed for one record does not open as another's. Sealed values are
// AES-256-GCM with a random 96-bit nonce (NIST SP 800-38D §8.2.2), so one key
// must seal at most 2^32 values:
//
//	version (1 byte, 1) | length of key id (1 byte) | key id | nonce (12) | ciphertext | tag (16)
//
// All that stands before the nonce is authenticated too.
package seal

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/sha256"
	"errors"
	"fmt"
)

// KeySize is the length of a secret in bytes.
const KeySize = 32

const (
	version    = 1
	maxID      = 255 // its length is one byte
	headerSize = 2   // without the key id
)

// ErrOpen reports a sealed value that does not open: changed, cut off, of an
// unknown version or key, or sealed for another place. Which of these is not said.
var ErrOpen = errors.New("seal: cannot open")

// Key is a named secret.
type Key struct {
	ID     string // 1 to 255 bytes; stands unencrypted in sealed values
	Secret []byte // [KeySize] random bytes
}

// Sealer seals and opens. It is safe for concurrent use.
type Sealer struct {
	active string
	keys   map[string]cipher.AEAD
}

// New returns a sealer that seals with the active key and opens with all.
// Malformed keys and ids that occur twice are errors.
func New(active Key, old ...Key) (*Sealer, error) {
	s := &Sealer{active: active.ID, keys: make(map[string]cipher.AEAD, 1+len(old))}
	for _, k := range append([]Key{active}, old...) {
		if err := s.add(k); err != nil {
			return nil, err
		}
	}
	return s, nil
}

func (s *Sealer) add(k Key) error {
	if k.ID == "" || len(k.ID) > maxID {
		return fmt.Errorf("seal: key id of %d bytes, want 1 to %d", len(k.ID), maxID)
	}
	if len(k.Secret) != KeySize {
		return fmt.Errorf("seal: key %q has %d bytes, want %d", k.ID, len(k.Secret), KeySize)
	}
	if _, twice := s.keys[k.ID]; twice {
		return fmt.Errorf("seal: two keys have the id %q", k.ID)
	}
	block, err := aes.NewCipher(k.Secret)
	if err != nil {
		return fmt.Errorf("seal: key %q: %w", k.ID, err)
	}
	s.keys[k.ID], err = cipher.NewGCMWithRandomNonce(block)
	if err != nil {
		return fmt.Errorf("seal: key %q: %w", k.ID, err)
	}
	return nil
}

// Seal encrypts and authenticates the plaintext with the active key; aad is
// authenticated only, and the same must be given to [Sealer.Open]. Sealing the
// same twice gives different values.
func (s *Sealer) Seal(plaintext, aad []byte) ([]byte, error) {
	aead := s.keys[s.active]
	header := make([]byte, 0, headerSize+len(s.active)+len(plaintext)+aead.Overhead())
	header = append(header, version, byte(len(s.active))) //nolint:gosec // maxID at most
	header = append(header, s.active...)
	return aead.Seal(header, nil, plaintext, bind(header, aad)), nil
}

// Open returns the plaintext of a sealed value, or [ErrOpen].
func (s *Sealer) Open(sealed, aad []byte) ([]byte, error) {
	if len(sealed) < headerSize || sealed[0] != version {
		return nil, ErrOpen
	}
	end := headerSize + int(sealed[1])
	if len(sealed) < end {
		return nil, ErrOpen
	}
	aead, known := s.keys[string(sealed[headerSize:end])]
	if !known {
		return nil, ErrOpen
	}
	plaintext, err := aead.Open(nil, nil, sealed[end:], bind(sealed[:end], aad))
	if err != nil {
		return nil, ErrOpen
	}
	return plaintext, nil
}

// bind joins header and caller's data. The header states its own length, so no
// two pairs join to the same bytes.
func bind(header, aad []byte) []byte {
	joined := make([]byte, 0, len(header)+len(aad))
	return append(append(joined, header...), aad...)
}

// Derive makes a [KeySize] secret for one purpose out of another secret with
// HKDF-SHA-256 (RFC 5869). Different labels give independent secrets. The
// secret must hold at least 128 bits of entropy: nothing here makes guessing slow.
func Derive(secret []byte, label string) ([]byte, error) {
	if len(secret) < 16 {
		return nil, fmt.Errorf("seal: secret of %d bytes, want at least 16", len(secret))
	}
	if label == "" {
		return nil, errors.New("seal: secret derived for no purpose")
	}
	key, err := hkdf.Key(sha256.New, secret, nil, label, KeySize)
	if err != nil {
		return nil, fmt.Errorf("seal: %w", err)
	}
	return key, nil
}
