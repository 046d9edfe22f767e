package rp

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"net/http"
	"slices"
)

// HeaderAPIKey is the request header of keys.
const HeaderAPIKey = "X-API-Key" //nolint:gosec // a name

// APIKey is the key of one application or tool, as it is stored.
type APIKey struct {
	Name string // of who has it
	Hash string // as [NewAPIKey] and [HashAPIKey] make it
	Uses []string
}

// NewAPIKey makes a key of 256 random bits, and the hash that is stored of it.
func NewAPIKey() (key, hash string) {
	b := make([]byte, 32)
	_, _ = rand.Read(b) // never fails
	key = base64.RawURLEncoding.EncodeToString(b)
	return key, HashAPIKey(key)
}

// HashAPIKey is the SHA-256 of a key, base64url: keys are random, so no more is needed.
func HashAPIKey(key string) string {
	sum := sha256.Sum256([]byte(key))
	return base64.RawURLEncoding.EncodeToString(sum[:])
}

// APIKeys guards resources that need no user. It is safe for concurrent use.
type APIKeys struct {
	byHash map[string]APIKey
}

// NewAPIKeys checks the keys. A key may be named twice, so that one can replace
// the other; no hash may stand there twice.
func NewAPIKeys(keys []APIKey) (*APIKeys, error) {
	a := &APIKeys{byHash: map[string]APIKey{}}
	var errs []error
	for _, k := range keys {
		if sum, err := base64.RawURLEncoding.Strict().DecodeString(k.Hash); err != nil || len(sum) != sha256.Size {
			errs = append(errs, fmt.Errorf("rp: the hash of the key %q is none of SHA-256 in base64url", k.Name))
		}
		if _, twice := a.byHash[k.Hash]; twice || k.Name == "" {
			errs = append(errs, fmt.Errorf("rp: the key %q has no name, or its hash stands there twice", k.Name))
		}
		a.byHash[k.Hash] = k
	}
	return a, errors.Join(errs...)
}

// Require lets a request go on to next only with a key that is for this use, and
// answers 401 or 403 to all others. next finds the key with [KeyFrom].
func (a *APIKeys) Require(use string, next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		k, err := a.Check(r, use)
		if err != nil {
			Refuse(w, err)
			return
		}
		next.ServeHTTP(w, r.WithContext(context.WithValue(r.Context(), keyKey{}, k)))
	})
}

// Check returns the key of a request if it is for this use. The error is a
// *[Refusal]. What is compared are hashes: its time tells nothing about keys.
func (a *APIKeys) Check(r *http.Request, use string) (APIKey, error) {
	lines := r.Header.Values(HeaderAPIKey)
	unauthorized := &Refusal{Status: http.StatusUnauthorized, Challenges: []string{`APIKey header="` + HeaderAPIKey + `"`}}
	if len(lines) == 0 {
		return APIKey{}, unauthorized
	}
	unauthorized.Code, unauthorized.Detail = codeAPIKey, "The API key is not valid."
	if len(lines) > 1 {
		return APIKey{}, unauthorized
	}
	k, known := a.byHash[HashAPIKey(lines[0])]
	switch {
	case !known:
		return APIKey{}, unauthorized
	case !slices.Contains(k.Uses, use):
		return APIKey{}, &Refusal{Status: http.StatusForbidden, Code: codeScope, Detail: "The API key does not allow that."}
	}
	return k, nil
}

type keyKey struct{}

// KeyFrom returns the key that [APIKeys.Require] has found, or [ErrNoToken].
func KeyFrom(ctx context.Context) (APIKey, error) {
	k, ok := ctx.Value(keyKey{}).(APIKey)
	if !ok {
		return APIKey{}, ErrNoToken
	}
	return k, nil
}
