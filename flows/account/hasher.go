package account

import (
	"context"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"errors"
	"fmt"
	"io"
	"time"

	"golang.org/x/crypto/argon2"
	"golang.org/x/sync/semaphore"
)

// Errors of a [Hasher].
var (
	// ErrWrong says that the secret is not the one that was hashed.
	ErrWrong = errors.New("account: wrong secret")
	// ErrBusy says that too many hashes are being computed; nothing was checked.
	ErrBusy = errors.New("account: too many password checks at once")
)

// HasherConfig configures a [Hasher].
type HasherConfig struct {
	Params        Params        // of new hashes; zero: 19456 KiB, 2 passes, 1 thread
	Pepper        []byte        // secret key outside of the database, at least 32 bytes; required
	MaxConcurrent int           // hashes computed at once, each needs Params.Memory; default 4
	MaxWait       time.Duration // how long a call waits for its turn before [ErrBusy]; default 2 s
	Rand          io.Reader     // of salts; default crypto/rand
}

// Hasher hashes passwords and PINs with argon2id, after HMAC-SHA-256 under a
// pepper: without the pepper a stolen database does not tell even a six-digit
// PIN. Safe for concurrent use.
type Hasher struct {
	params  Params
	pepper  []byte
	turns   *semaphore.Weighted
	maxWait time.Duration
	rand    io.Reader
	dummy   phc
}

const (
	saltBytes = 16
	tagBytes  = 32
	minPepper = 32
)

// NewHasher checks the configuration.
func NewHasher(cfg HasherConfig) (*Hasher, error) {
	if cfg.Params == (Params{}) {
		cfg.Params = Params{Memory: 19456, Time: 2, Threads: 1}
	}
	if err := cfg.Params.check(); err != nil {
		return nil, err
	}
	if len(cfg.Pepper) < minPepper {
		return nil, fmt.Errorf("account: pepper has %d bytes, want at least %d", len(cfg.Pepper), minPepper)
	}
	if cfg.MaxConcurrent < 0 || cfg.MaxWait < 0 {
		return nil, errors.New("account: negative MaxConcurrent or MaxWait")
	}
	h := &Hasher{params: cfg.Params, pepper: append([]byte(nil), cfg.Pepper...), maxWait: cfg.MaxWait, rand: cfg.Rand}
	if cfg.MaxConcurrent == 0 {
		cfg.MaxConcurrent = 4
	}
	if h.maxWait == 0 {
		h.maxWait = 2 * time.Second
	}
	if h.rand == nil {
		h.rand = rand.Reader
	}
	h.turns = semaphore.NewWeighted(int64(cfg.MaxConcurrent))
	h.dummy = phc{params: cfg.Params, salt: make([]byte, saltBytes), tag: make([]byte, tagBytes)}
	return h, nil
}

// Hash returns the PHC string of a secret. The caller has checked the secret
// with [CheckPassword] or [CheckPIN]. [ErrBusy], [ErrUnfit], or the context's error.
func (h *Hasher) Hash(ctx context.Context, secret string) (string, error) {
	text, err := h.begin(ctx, secret)
	if err != nil {
		return "", err
	}
	defer h.turns.Release(1)
	out := phc{params: h.params, salt: make([]byte, saltBytes), tag: make([]byte, tagBytes)}
	if _, err := io.ReadFull(h.rand, out.salt); err != nil {
		return "", fmt.Errorf("account: salt: %w", err)
	}
	out.tag = h.derive(out, text)
	return out.String(), nil
}

// Verify returns nil if hash was made of this secret and [ErrWrong] if not.
// [ErrUnfit] for what no secret can be (over 1024 bytes, no UTF-8), before any
// work; [ErrHash] for an unusable hash; [ErrBusy] or the context's error if
// nothing was checked.
func (h *Hasher) Verify(ctx context.Context, hash, secret string) error {
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

func (h *Hasher) compare(ctx context.Context, stored phc, secret string) error {
	text, err := h.begin(ctx, secret)
	if err != nil {
		return err
	}
	defer h.turns.Release(1)
	if subtle.ConstantTimeCompare(h.derive(stored, text), stored.tag) != 1 {
		return ErrWrong
	}
	return nil
}

// derive computes the tag that a secret has under the salt and costs of p.
func (h *Hasher) derive(p phc, text string) []byte {
	mac := hmac.New(sha256.New, h.pepper)
	mac.Write([]byte(text))
	return argon2.IDKey(mac.Sum(nil), p.salt, p.params.Time, p.params.Memory, p.params.Threads, uint32(len(p.tag))) //nolint:gosec // maxTag at most
}

// begin returns the form of the secret that is hashed and takes a turn, which the caller gives back.
func (h *Hasher) begin(ctx context.Context, secret string) (string, error) {
	text, err := normal(secret)
	if err != nil {
		return "", err
	}
	waiting, cancel := context.WithTimeout(ctx, h.maxWait)
	defer cancel()
	if err := h.turns.Acquire(waiting, 1); err == nil {
		return text, nil
	}
	if err := ctx.Err(); err != nil {
		return "", fmt.Errorf("account: waiting for a turn: %w", err)
	}
	return "", ErrBusy
}
