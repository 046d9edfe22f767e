package account

import (
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"errors"
	"fmt"
	"io"
	"maps"
	"time"

	"golang.org/x/crypto/argon2"
)

// Errors of a [Hasher].
var (
	// ErrWrong says that the secret is not the one that was hashed.
	ErrWrong = errors.New("account: wrong secret")
	// ErrBusy says that too many hashes are being computed, or wait for it; nothing was checked.
	ErrBusy = errors.New("account: too many password checks at once")
)

// HasherConfig configures a [Hasher].
type HasherConfig struct {
	Params        Params            // of new hashes; zero: 19456 KiB, 2 passes, 1 thread
	Pepper        []byte            // secret key outside of the database, at least 32 bytes; required
	PepperID      string            // names Pepper in the hashes that are made with it; default "1"
	OldPeppers    map[string][]byte // keys by id that hashes were made with before
	MaxConcurrent int               // hashes computed at once; default: one for each core
	MaxMemory     uint32            // KiB that all of them may take together; default 262144
	MaxQueue      int               // calls that wait; one more gets [ErrBusy] at once; default 64 for each turn
	MaxWait       time.Duration     // how long a call waits for its turn before [ErrBusy]; default 2 s
	Rand          io.Reader         // of salts; default crypto/rand
}

// Hasher hashes passwords and PINs with argon2id, after HMAC-SHA-256 under a
// pepper: without the pepper a stolen database does not tell even a six-digit
// PIN. It verifies what other systems have made as well ([CheckHash]). Safe for
// concurrent use.
type Hasher struct {
	params   Params
	pepperID string
	peppers  map[string][]byte
	turns    *turns
	rand     io.Reader
	dummy    phc
}

const (
	saltBytes = 16
	tagBytes  = 32
	minPepper = 32
	firstID   = "1"
)

// NewHasher checks the configuration.
func NewHasher(cfg HasherConfig) (*Hasher, error) {
	if cfg.Params == (Params{}) {
		cfg.Params = Params{Memory: 19456, Time: 2, Threads: 1}
	}
	if err := cfg.Params.check(); err != nil {
		return nil, err
	}
	if cfg.PepperID == "" {
		cfg.PepperID = firstID
	}
	peppers, err := peppersOf(cfg)
	if err != nil {
		return nil, err
	}
	h := &Hasher{params: cfg.Params, pepperID: cfg.PepperID, peppers: peppers, rand: cfg.Rand}
	if h.turns, err = newTurns(cfg); err != nil {
		return nil, err
	}
	if h.rand == nil {
		h.rand = rand.Reader
	}
	h.dummy = phc{params: cfg.Params, key: cfg.PepperID, salt: make([]byte, saltBytes), tag: make([]byte, tagBytes)}
	return h, nil
}

func peppersOf(cfg HasherConfig) (map[string][]byte, error) {
	all := maps.Clone(cfg.OldPeppers)
	if all == nil {
		all = map[string][]byte{}
	}
	if _, twice := all[cfg.PepperID]; twice {
		return nil, fmt.Errorf("account: two peppers have the id %q", cfg.PepperID)
	}
	all[cfg.PepperID] = cfg.Pepper
	for id, key := range all {
		if len(key) < minPepper {
			return nil, fmt.Errorf("account: pepper %q has %d bytes, want at least %d", id, len(key), minPepper)
		}
		if len(id) < 1 || len(id) > maxKeyID {
			return nil, fmt.Errorf("account: id %q of a pepper has not 1 to %d bytes", id, maxKeyID)
		}
		all[id] = bytes.Clone(key)
	}
	return all, nil
}

// Hash returns the PHC string of a secret. The caller has checked the secret
// with [PasswordRules] or [CheckPIN]. [ErrBusy], [ErrUnfit], or the context's error.
func (h *Hasher) Hash(ctx context.Context, secret string) (string, error) {
	text, err := normal(secret)
	if err != nil {
		return "", err
	}
	out := phc{params: h.params, key: h.pepperID, salt: make([]byte, saltBytes), tag: make([]byte, tagBytes)}
	if err := h.turns.take(ctx, h.params.Memory); err != nil {
		return "", err
	}
	defer h.turns.giveBack(h.params.Memory)
	if _, err := io.ReadFull(h.rand, out.salt); err != nil {
		return "", fmt.Errorf("account: salt: %w", err)
	}
	makeRoom()
	aside(func() { out.tag = derive(out, h.peppers[h.pepperID], text) })
	return out.String(), nil
}

// Verify returns nil if hash was made of this secret and [ErrWrong] if not.
// [ErrUnfit] for what no secret can be (over 1024 bytes, no UTF-8), before any
// work; [ErrHash] for an unusable hash; [ErrBusy] or the context's error if
// nothing was checked.
func (h *Hasher) Verify(ctx context.Context, hash, secret string) error {
	if !ours(hash) {
		f, err := parseForeign(hash)
		if err != nil {
			return err
		}
		return h.verifyForeign(ctx, f, secret)
	}
	stored, err := parsePHC(hash)
	if err != nil {
		return err
	}
	return h.compare(ctx, stored, secret)
}

// VerifyDummy does the work of Verify for an account or authenticator that does
// not exist, and fails like it: [ErrWrong], or what Verify returns when nothing was checked.
func (h *Hasher) VerifyDummy(ctx context.Context, secret string) error {
	if err := h.compare(ctx, h.dummy, secret); err != nil {
		return err
	}
	return ErrWrong
}

// Stale says whether a hash was made otherwise than Hash makes them now: by
// another system, at other costs, or with an old pepper. Who has just verified
// the secret makes a new hash of it then.
func (h *Hasher) Stale(hash string) bool {
	if !ours(hash) {
		return true
	}
	stored, err := parsePHC(hash)
	return err != nil || stored.params != h.params || stored.key != h.pepperID || len(stored.tag) != tagBytes
}

// CheckHash says whether a hash of another system can be taken over as it
// stands: bcrypt, argon2id and argon2i, scrypt, PBKDF2, sha-crypt, or a salted
// hash of an LDAP directory, within the bounds of what may be computed.
// [ErrHash] says why not.
func CheckHash(hash string) error {
	if ours(hash) {
		return fmt.Errorf("%w: made with a pepper", ErrHash)
	}
	_, err := parseForeign(hash)
	return err
}

func (h *Hasher) compare(ctx context.Context, stored phc, secret string) error {
	text, err := normal(secret)
	if err != nil {
		return err
	}
	pepper, known := h.peppers[stored.key]
	if !known {
		return fmt.Errorf("%w: made with the pepper %q, which is not configured", ErrHash, stored.key)
	}
	return h.turn(ctx, stored.params.Memory, func() bool {
		return subtle.ConstantTimeCompare(derive(stored, pepper, text), stored.tag) == 1
	})
}

// verifyForeign compares with what another system made: of the bytes that were
// typed, since nobody knows what that system made of them.
func (h *Hasher) verifyForeign(ctx context.Context, f foreign, secret string) error {
	if _, err := normal(secret); err != nil {
		return err
	}
	return h.turn(ctx, f.memory, func() bool { return f.match([]byte(secret)) })
}

// turn waits for a turn, and returns [ErrWrong] if what it does then says no.
func (h *Hasher) turn(ctx context.Context, memory uint32, match func() bool) error {
	if err := h.turns.take(ctx, memory); err != nil {
		return err
	}
	defer h.turns.giveBack(memory)
	right := false
	makeRoom()
	aside(func() { right = match() })
	if !right {
		return ErrWrong
	}
	return nil
}

// derive computes the tag that a secret has under the salt and costs of p.
func derive(p phc, pepper []byte, text string) []byte {
	mac := hmac.New(sha256.New, pepper)
	mac.Write([]byte(text))
	return argon2.IDKey(mac.Sum(nil), p.salt, p.params.Time, p.params.Memory, p.params.Threads, uint32(len(p.tag))) //nolint:gosec // maxTag at most
}
