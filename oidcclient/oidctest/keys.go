package oidctest

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"slices"
	"sync"

	"github.com/go-jose/go-jose/v4"
	"github.com/golang-jwt/jwt/v5"
)

// Key is a signing key together with the one algorithm that it is used with.
// A Key is not changed after it was made.
type Key struct {
	// ID is the kid: the RFC 7638 SHA-256 thumbprint of the public key.
	ID string
	// Alg is the JWS algorithm.
	Alg string
	// Private is an *ecdsa.PrivateKey, *rsa.PrivateKey or ed25519.PrivateKey.
	Private crypto.Signer
}

// NewKey generates a key for one of the algorithms of Config.Alg.
func NewKey(alg string) (Key, error) {
	private, err := generate(alg)
	if err != nil {
		return Key{}, fmt.Errorf("oidctest: generate %s key: %w", alg, err)
	}
	k := Key{Alg: alg, Private: private}
	thumbprint, err := k.jose().Thumbprint(crypto.SHA256)
	if err != nil {
		return Key{}, fmt.Errorf("oidctest: thumbprint: %w", err)
	}
	k.ID = base64.RawURLEncoding.EncodeToString(thumbprint)
	return k, nil
}

func generate(alg string) (crypto.Signer, error) {
	switch alg {
	case "ES256":
		return ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	case "ES384":
		return ecdsa.GenerateKey(elliptic.P384(), rand.Reader)
	case "ES512":
		return ecdsa.GenerateKey(elliptic.P521(), rand.Reader)
	case "RS256", "PS256", "RS384", "PS384", "RS512", "PS512":
		return rsa.GenerateKey(rand.Reader, 2048)
	case "EdDSA":
		_, private, err := ed25519.GenerateKey(rand.Reader)
		return private, err
	}
	return nil, fmt.Errorf("algorithm %q is not supported", alg)
}

func (k Key) jose() *jose.JSONWebKey {
	return &jose.JSONWebKey{Key: k.Private.Public(), KeyID: k.ID, Algorithm: k.Alg, Use: "sig"}
}

// Sign makes the JWS signature of a signing input (RFC 7515 section 5.1).
func (k Key) Sign(input string) ([]byte, error) {
	return jwt.GetSigningMethod(k.Alg).Sign(input, k.Private)
}

// JWK is the public key in the form in which /jwks shows it (RFC 7517).
func (k Key) JWK() (json.RawMessage, error) { return k.jose().MarshalJSON() }

// PEM is the public key as a PKIX block.
func (k Key) PEM() ([]byte, error) {
	der, err := x509.MarshalPKIXPublicKey(k.Private.Public())
	if err != nil {
		return nil, err
	}
	return pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der}), nil
}

// hash is the hash function of the algorithm, as at_hash needs it (OpenID
// Connect Core section 3.1.3.6; for Ed25519 the SHA-512 within the algorithm).
func (k Key) hash() crypto.Hash {
	switch k.Alg {
	case "ES384", "RS384", "PS384":
		return crypto.SHA384
	case "EdDSA", "ES512", "RS512", "PS512":
		return crypto.SHA512
	}
	return crypto.SHA256
}

// keyring is the provider's keys, the signing key first.
type keyring struct {
	mu   sync.RWMutex
	keys []Key
}

func (r *keyring) rotate(alg string) error {
	k, err := NewKey(alg)
	if err != nil {
		return err
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.keys = slices.Insert(r.keys, 0, k)
	return nil
}

func (r *keyring) dropOld() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.keys = r.keys[:1:1]
}

func (r *keyring) signing() Key {
	r.mu.RLock()
	defer r.mu.RUnlock()
	return r.keys[0]
}

func (r *keyring) all() []Key {
	r.mu.RLock()
	defer r.mu.RUnlock()
	return slices.Clone(r.keys)
}

// RotateKeys makes a new key that signs from now on. The old ones stay
// published until DropOldKeys.
func (p *Provider) RotateKeys() error { return p.keys.rotate(p.cfg.Alg) }

// DropOldKeys withdraws every key but the one that signs.
func (p *Provider) DropOldKeys() { p.keys.dropOld() }
