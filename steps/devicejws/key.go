package devicejws

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"encoding/base64"
	"encoding/json"

	"github.com/go-jose/go-jose/v4"
)

const coordinate = 32 // bytes of a P-256 coordinate, RFC 7518 §6.2.1.2

// Key is a public P-256 key that a device holds.
type Key struct {
	public *ecdsa.PublicKey
	id     string
}

// jwk is an RFC 7517 key with the members that RFC 7638 §3.2 counts and no
// other: a private part has nowhere to go.
type jwk struct {
	Type  string `json:"kty"`
	Curve string `json:"crv"`
	X     string `json:"x"`
	Y     string `json:"y"`
}

// NewKey wraps a public key; [WrongKey] if it is not a point on P-256.
func NewKey(public *ecdsa.PublicKey) (Key, error) {
	if public == nil || public.Curve != elliptic.P256() {
		return Key{}, WrongKey
	}
	if _, err := public.ECDH(); err != nil { // not on the curve
		return Key{}, WrongKey
	}
	thumbprint, err := (&jose.JSONWebKey{Key: public}).Thumbprint(crypto.SHA256)
	if err != nil {
		return Key{}, WrongKey
	}
	return Key{public, base64.RawURLEncoding.EncodeToString(thumbprint)}, nil
}

// ParseKey reads a JWK as [Key.MarshalJSON] writes it.
func ParseKey(data []byte) (Key, error) {
	var j jwk
	if err := decode(data, &j); err != nil {
		return Key{}, err
	}
	return j.key()
}

// ID returns the RFC 7638 SHA-256 thumbprint in base64url.
func (k Key) ID() string { return k.id }

// Public returns the key itself; nil of the zero value.
func (k Key) Public() *ecdsa.PublicKey { return k.public }

// MarshalJSON writes the public JWK with kty, crv, x and y.
func (k Key) MarshalJSON() ([]byte, error) {
	if k.public == nil {
		return nil, WrongKey
	}
	point, err := k.public.Bytes()
	if err != nil {
		return nil, WrongKey
	}
	b64 := base64.RawURLEncoding.EncodeToString
	return json.Marshal(jwk{"EC", "P-256", b64(point[1 : 1+coordinate]), b64(point[1+coordinate:])})
}

// key checks the form and that the point is on the curve (RFC 8725 §3.4).
func (j jwk) key() (Key, error) {
	if j.Type != "EC" || j.Curve != "P-256" {
		return Key{}, WrongKey
	}
	point := []byte{4} // SEC 1 §2.3.3: uncompressed
	for _, s := range []string{j.X, j.Y} {
		c, err := base64.RawURLEncoding.Strict().DecodeString(s)
		if err != nil || len(c) != coordinate {
			return Key{}, WrongKey
		}
		point = append(point, c...)
	}
	public, err := ecdsa.ParseUncompressedPublicKey(elliptic.P256(), point)
	if err != nil {
		return Key{}, WrongKey
	}
	return NewKey(public)
}
