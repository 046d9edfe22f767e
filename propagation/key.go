package propagation

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"math/big"
	"slices"
)

// The algorithms that tokens are signed with (RFC 7518 §3.1, RFC 8037 §3.1).
const (
	ES256 = "ES256"
	ES384 = "ES384"
	EdDSA = "EdDSA" // with Ed25519
	PS256 = "PS256"
	RS256 = "RS256"
)

const (
	rsaBits    = 3072 // of new keys: 128 bits of security (NIST SP 800-57 part 1, table 2)
	minRSABits = 2048 // RFC 7518 §3.3
)

// Algorithms are those that a key can have, the default first.
func Algorithms() []string { return []string{ES256, EdDSA, ES384, PS256, RS256} }

// ErrKey marks a key that cannot be used here: an algorithm, curve or file
// that is refused.
var ErrKey = errors.New("propagation: unusable key")

// Key is one signing key with its one algorithm (RFC 8725 §3.1). It is immutable
// and safe for concurrent use if its signer is.
type Key struct {
	signer crypto.Signer
	method method
	public jwk
}

// jwk is the public half of a key as RFC 7517 writes it. It has no field that
// could hold a private parameter.
type jwk struct {
	Kty string `json:"kty"`
	Use string `json:"use"`
	Alg string `json:"alg"`
	Kid string `json:"kid"`
	Crv string `json:"crv,omitempty"`
	X   string `json:"x,omitempty"`
	Y   string `json:"y,omitempty"`
	N   string `json:"n,omitempty"`
	E   string `json:"e,omitempty"`
}

// GenerateKey makes a new key for an algorithm from the system's random source.
// An algorithm that is none of [Algorithms] is [ErrKey].
func GenerateKey(algorithm string) (*Key, error) {
	var signer crypto.Signer
	var err error
	switch algorithm {
	case ES256:
		signer, err = ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	case ES384:
		signer, err = ecdsa.GenerateKey(elliptic.P384(), rand.Reader)
	case EdDSA:
		_, signer, err = ed25519.GenerateKey(rand.Reader)
	case PS256, RS256:
		signer, err = rsa.GenerateKey(rand.Reader, rsaBits)
	default:
		return nil, fmt.Errorf("%w: algorithm %q", ErrKey, algorithm)
	}
	if err != nil {
		return nil, err
	}
	return NewKey(signer, algorithm)
}

// NewKey makes a key of a signer, which may live in hardware or far away. An
// empty algorithm stands for the usual one of that kind of key: ES256 for
// P-256, ES384 for P-384, EdDSA for Ed25519, PS256 for RSA. A kind of key that has no
// algorithm, an algorithm of another kind, and RSA of less than 2048 bits
// are [ErrKey].
func NewKey(signer crypto.Signer, algorithm string) (*Key, error) {
	if signer == nil {
		return nil, fmt.Errorf("%w: no signer", ErrKey)
	}
	public, members, algorithms, err := describe(signer.Public())
	if err != nil {
		return nil, err
	}
	if algorithm == "" {
		algorithm = algorithms[0]
	}
	if !slices.Contains(algorithms, algorithm) {
		return nil, fmt.Errorf("%w: a key of type %s does not sign %q", ErrKey, public.Kty, algorithm)
	}
	public.Use, public.Alg = "sig", algorithm
	if public.Kid, err = thumbprint(members); err != nil {
		return nil, err
	}
	return &Key{signer: signer, method: methodOf(algorithm), public: public}, nil
}

// describe writes a public key as a JWK, names the members that make its
// thumbprint, and the algorithms that it can sign with, the usual one first.
func describe(key crypto.PublicKey) (j jwk, members map[string]string, algorithms []string, err error) {
	switch public := key.(type) {
	case *ecdsa.PublicKey:
		return describeEC(public)
	case ed25519.PublicKey:
		j = jwk{Kty: "OKP", Crv: "Ed25519", X: encode(public)}
		return j, map[string]string{"crv": j.Crv, "kty": j.Kty, "x": j.X}, []string{EdDSA}, nil // RFC 8037 §2
	case *rsa.PublicKey:
		if bits := public.N.BitLen(); bits < minRSABits {
			return j, nil, nil, fmt.Errorf("%w: RSA with %d bits, less than %d", ErrKey, bits, minRSABits)
		}
		j = jwk{Kty: "RSA", N: encode(public.N.Bytes()), E: encode(big.NewInt(int64(public.E)).Bytes())}
		return j, map[string]string{"e": j.E, "kty": j.Kty, "n": j.N}, []string{PS256, RS256}, nil
	default:
		return j, nil, nil, fmt.Errorf("%w: %T is not supported", ErrKey, public)
	}
}

func describeEC(public *ecdsa.PublicKey) (j jwk, members map[string]string, algorithms []string, err error) {
	j = jwk{Kty: "EC"}
	switch public.Curve {
	case elliptic.P256():
		j.Crv, algorithms = "P-256", []string{ES256}
	case elliptic.P384():
		j.Crv, algorithms = "P-384", []string{ES384}
	default:
		return j, nil, nil, fmt.Errorf("%w: of the elliptic curves P-256 and P-384 are supported", ErrKey)
	}
	point, err := public.Bytes() // 4, X, Y; fails for a point that is not on the curve
	if err != nil {
		return j, nil, nil, fmt.Errorf("%w: %w", ErrKey, err)
	}
	size := (len(point) - 1) / 2
	j.X, j.Y = encode(point[1:1+size]), encode(point[1+size:])
	return j, map[string]string{"crv": j.Crv, "kty": j.Kty, "x": j.X, "y": j.Y}, algorithms, nil
}

// ID returns the key's id, its RFC 7638 thumbprint: 43 characters of base64url.
func (k *Key) ID() string { return k.public.Kid }

// Algorithm returns the JWS algorithm that the key signs with.
func (k *Key) Algorithm() string { return k.public.Alg }

// Public returns the public half.
func (k *Key) Public() crypto.PublicKey { return k.signer.Public() }

// thumbprint computes RFC 7638 §3: members must be the required ones of the
// key type. encoding/json writes the members of a map in the order that the
// RFC asks for.
func thumbprint(members map[string]string) (string, error) {
	text, err := json.Marshal(members)
	if err != nil {
		return "", err
	}
	sum := sha256.Sum256(text)
	return encode(sum[:]), nil
}

func encode(b []byte) string { return base64.RawURLEncoding.EncodeToString(b) }
