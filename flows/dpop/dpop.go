// Package dpop verifies DPoP proofs: RFC 9449, the server's side of section 4.3.
//
// A proof is a JWT that a client makes for one HTTP request and signs with a
// key of its own. [Verifier.Verify] answers whose key that is, as the RFC 7638
// thumbprint; the caller compares it with the key that a run, a session or an
// access token is bound to.
//
// Every proof is good for one request: its key and "jti" are remembered until
// it is too old to be taken. Where they are remembered is the caller's business,
// so that all nodes share it.
package dpop

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"
)

// ErrProof reports that there is no acceptable proof: the "invalid_dpop_proof"
// of RFC 9449 §5. What was wrong with it is for logs.
var ErrProof = errors.New("dpop: no acceptable proof")

// ErrReplayed is an [ErrProof]: the proof was used before.
var ErrReplayed = fmt.Errorf("%w: used before", ErrProof)

const (
	defaultMaxAge = 60 * time.Second
	defaultSkew   = 5 * time.Second
	maxProof      = 8 << 10 // bytes
	maxID         = 256     // bytes of a jti
)

// Config says what proofs are acceptable.
type Config struct {
	// Algorithms are the accepted values of "alg": of ES256, ES384, EdDSA
	// (Ed25519) and PS256. Default: ES256, EdDSA and PS256.
	Algorithms []string
	// MaxAge is how long after "iat" a proof is taken. Default: 60 seconds.
	MaxAge time.Duration
	// Skew is how far in the future "iat" may be. Default: 5 seconds.
	Skew time.Duration
	// Nonces are asked for in every proof (RFC 9449 §8). Default: none.
	Nonces *Nonces
	// Now is the clock. Required.
	Now func() time.Time
	// Taken remembers, atomically, that the proof with that key and jti was
	// used, until expires. It returns [ErrReplayed] if it was before. Any other
	// error means that this could not be found out: Verify returns it wrapped,
	// and it is not an [ErrProof]. Required.
	Taken func(ctx context.Context, thumbprint, jti string, expires time.Time) error
}

// Verifier verifies proofs. It is safe for concurrent use.
type Verifier struct {
	cfg Config
}

// New returns a verifier. Missing functions, negative durations and unknown
// algorithms are errors.
func New(cfg Config) (*Verifier, error) {
	if cfg.Now == nil || cfg.Taken == nil {
		return nil, errors.New("dpop: Now and Taken are required")
	}
	if cfg.MaxAge < 0 || cfg.Skew < 0 {
		return nil, errors.New("dpop: MaxAge and Skew must not be negative")
	}
	if cfg.MaxAge == 0 {
		cfg.MaxAge = defaultMaxAge
	}
	if cfg.Skew == 0 {
		cfg.Skew = defaultSkew
	}
	cfg.Algorithms = slices.Clone(cfg.Algorithms)
	if len(cfg.Algorithms) == 0 {
		cfg.Algorithms = []string{"ES256", "EdDSA", "PS256"}
	}
	for _, name := range cfg.Algorithms {
		if _, err := algorithmOf(name); err != nil {
			return nil, err
		}
	}
	return &Verifier{cfg: cfg}, nil
}

// Verify checks the proof of one request and returns the RFC 7638 SHA-256
// thumbprint of the key that signed it.
//
// headers are all values of the request's DPoP header. method is the request's
// method, url its URL as clients know it: from configuration, never from the
// Host header. accessToken is the token that came with the request, "" if none
// (then "ath" is not looked at). Whether the key is the right one (check 12 of
// §4.3, "cnf.jkt") is left to the caller.
//
// The error is [ErrProof], [ErrNonce] or [ErrReplayed] if the client is to blame.
func (v *Verifier) Verify(ctx context.Context, headers []string, method, url, accessToken string) (thumbprint string, err error) {
	if len(headers) != 1 {
		return "", refuse("%d DPoP headers instead of one", len(headers))
	}
	p, err := parse(headers[0], v.cfg.Algorithms)
	if err != nil {
		return "", err
	}
	if err := p.matchesRequest(method, url); err != nil {
		return "", err
	}
	if accessToken != "" {
		if err := p.matchesToken(accessToken); err != nil {
			return "", err
		}
	}
	if err := v.checkAge(p.issued); err != nil {
		return "", err
	}
	if v.cfg.Nonces != nil && !v.cfg.Nonces.good(p.nonce) {
		return "", ErrNonce
	}
	if err := v.take(ctx, p); err != nil {
		return "", err
	}
	return p.thumbprint, nil
}

// checkAge holds "iat" against the clock: RFC 9449 §4.3 check 11, §11.1.
func (v *Verifier) checkAge(issued time.Time) error {
	now := v.cfg.Now()
	if issued.After(now.Add(v.cfg.Skew)) {
		return refuse("iat in the future")
	}
	if !now.Before(issued.Add(v.cfg.MaxAge)) {
		return refuse("too old")
	}
	return nil
}

// take comes last, so that only proofs which are good in all else leave a mark.
// The mark outlives the proof by the skew between nodes.
func (v *Verifier) take(ctx context.Context, p proof) error {
	err := v.cfg.Taken(ctx, p.thumbprint, p.id, p.issued.Add(v.cfg.MaxAge+v.cfg.Skew))
	if err != nil && !errors.Is(err, ErrReplayed) {
		return fmt.Errorf("dpop: replay check: %w", err)
	}
	return err
}

func refuse(format string, args ...any) error {
	return fmt.Errorf("%w: "+format, append([]any{ErrProof}, args...)...)
}
