package propagation

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
)

// ES256 is ECDSA on P-256 with SHA-256 (RFC 7518 §3.4).
const ES256 = "ES256"

// ErrKey marks a key that cannot be used here: an algorithm, curve or file
// that is refused.
var ErrKey = errors.New("propagation: unusable key")

// Key is one signing key with its one algorithm. It is immutable and safe for
// concurrent use if its signer is.
type Key struct {
	signer crypto.Signer
	alg    string
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
}

// GenerateKey makes a new ES256 key from the system's random source.
func GenerateKey() (*Key, error) {
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	return NewKey(private)
}

// NewKey makes a key of a signer, which may live in hardware or far away. The
// algorithm follows from the public key: P-256 signs ES256. Every other kind
// of key is [ErrKey].
func NewKey(signer crypto.Signer) (*Key, error) {
	if signer == nil {
		return nil, fmt.Errorf("%w: no signer", ErrKey)
	}
	switch public := signer.Public().(type) {
	case *ecdsa.PublicKey:
		return newECKey(signer, public)
	default:
		return nil, fmt.Errorf("%w: %T is not supported", ErrKey, public)
	}
}

func newECKey(signer crypto.Signer, public *ecdsa.PublicKey) (*Key, error) {
	if public.Curve != elliptic.P256() {
		return nil, fmt.Errorf("%w: of the elliptic curves only P-256 is supported", ErrKey)
	}
	point, err := public.Bytes() // 4, X, Y; fails for a point that is not on the curve
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrKey, err)
	}
	size := (len(point) - 1) / 2
	j := jwk{Kty: "EC", Use: "sig", Alg: ES256, Crv: "P-256", X: encode(point[1 : 1+size]), Y: encode(point[1+size:])}
	if j.Kid, err = thumbprint(map[string]string{"crv": j.Crv, "kty": j.Kty, "x": j.X, "y": j.Y}); err != nil {
		return nil, err
	}
	return &Key{signer: signer, alg: ES256, public: j}, nil
}

// ID returns the key's id, its RFC 7638 thumbprint: 43 characters of base64url.
func (k *Key) ID() string { return k.public.Kid }

// Algorithm returns the JWS algorithm that the key signs with.
func (k *Key) Algorithm() string { return k.alg }

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
