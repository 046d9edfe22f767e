package dpop

import (
	"crypto"
	"crypto/rsa"
	"encoding/base64"
	"encoding/json"
	"fmt"

	"github.com/go-jose/go-jose/v4"
	"github.com/golang-jwt/jwt/v5"
)

const (
	minRSA = 2048 // bits; RFC 7518 §3.5
	maxRSA = 4096 // bits; verifying with more is work that anybody could ask for
)

// algorithm ties one "alg" to one kind of key, so that a key never serves two
// algorithms (RFC 8725 §3.1).
type algorithm struct {
	method jwt.SigningMethod
	kty    string
	crv    string   // "" if the kind has no curves
	parts  []string // members that make the key, all of them required
}

// algorithmOf is the list of what can be verified: asymmetric, and no "none".
func algorithmOf(name string) (algorithm, error) {
	point := []string{"kty", "crv", "x", "y"}
	switch name {
	case "ES256":
		return algorithm{jwt.SigningMethodES256, "EC", "P-256", point}, nil
	case "ES384":
		return algorithm{jwt.SigningMethodES384, "EC", "P-384", point}, nil
	case "EdDSA":
		return algorithm{jwt.SigningMethodEdDSA, "OKP", "Ed25519", []string{"kty", "crv", "x"}}, nil
	case "PS256":
		return algorithm{jwt.SigningMethodPS256, "RSA", "", []string{"kty", "n", "e"}}, nil
	default:
		return algorithm{}, fmt.Errorf("dpop: unknown algorithm %q", name)
	}
}

// secretParts are the members of a JWK that are not for others' eyes (RFC 7518
// §6.2.2, §6.3.2, §6.4). A client that sends one has lost its key.
func secretParts() []string { return []string{"d", "p", "q", "dp", "dq", "qi", "oth", "k"} }

// key reads the public key that the algorithm needs out of a JWK, and its RFC
// 7638 thumbprint. Other members, such as certificates, are not looked at.
func (a algorithm) key(raw json.RawMessage) (key any, thumbprint string, err error) {
	jwk, err := object(raw)
	if err != nil {
		return nil, "", err
	}
	for _, name := range secretParts() {
		if _, present := jwk[name]; present {
			return nil, "", refuse("jwk with a private part")
		}
	}
	public, err := a.public(jwk)
	if err != nil {
		return nil, "", err
	}
	sum, err := public.Thumbprint(crypto.SHA256)
	if err != nil {
		return nil, "", refuse("jwk: %v", err)
	}
	return public.Key, base64.RawURLEncoding.EncodeToString(sum), nil
}

// public makes the key out of exactly the members that define it.
func (a algorithm) public(jwk members) (jose.JSONWebKey, error) {
	parts := map[string]string{}
	for _, name := range a.parts {
		value, err := jwk.text(name)
		if err != nil {
			return jose.JSONWebKey{}, err
		}
		parts[name] = value
	}
	if parts["kty"] != a.kty || parts["crv"] != a.crv {
		return jose.JSONWebKey{}, refuse("jwk is not a key for the alg")
	}
	text, err := json.Marshal(parts)
	if err != nil {
		return jose.JSONWebKey{}, fmt.Errorf("dpop: jwk: %w", err)
	}
	var public jose.JSONWebKey
	if err := public.UnmarshalJSON(text); err != nil {
		return jose.JSONWebKey{}, refuse("jwk: %v", err)
	}
	if r, ok := public.Key.(*rsa.PublicKey); ok && (r.N.BitLen() < minRSA || r.N.BitLen() > maxRSA) {
		return jose.JSONWebKey{}, refuse("RSA key of %d bits", r.N.BitLen())
	}
	return public, nil
}
