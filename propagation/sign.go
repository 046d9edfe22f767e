package propagation

import (
	"crypto"
	"crypto/rand"
	"crypto/sha256"
	"errors"
	"fmt"
	"math/big"

	"github.com/golang-jwt/jwt/v5"
	"golang.org/x/crypto/cryptobyte"
	"golang.org/x/crypto/cryptobyte/asn1"
)

// es256 signs with any P-256 [crypto.Signer], also one that keeps its private
// key to itself, which the library's own method does not accept.
type es256 struct{}

var _ jwt.SigningMethod = es256{}

// Alg returns "ES256".
func (es256) Alg() string { return ES256 }

// Verify leaves the check to the library's method.
func (es256) Verify(signed string, signature []byte, key any) error {
	return jwt.SigningMethodES256.Verify(signed, signature, key)
}

// Sign returns R and S, 32 bytes each (RFC 7518 §3.4). key must be a [crypto.Signer].
func (es256) Sign(text string, key any) ([]byte, error) {
	signer, ok := key.(crypto.Signer)
	if !ok {
		return nil, fmt.Errorf("%w: %T does not sign", ErrKey, key)
	}
	digest := sha256.Sum256([]byte(text))
	der, err := signer.Sign(rand.Reader, digest[:], crypto.SHA256)
	if err != nil {
		return nil, err
	}
	return rawSignature(der)
}

var errSignature = errors.New("propagation: the signer did not return an ECDSA signature")

// rawSignature turns the ASN.1 form that signers return into the one of JWS.
func rawSignature(der []byte) ([]byte, error) {
	const size = 32
	var r, s big.Int
	var inner cryptobyte.String
	input := cryptobyte.String(der)
	if !input.ReadASN1(&inner, asn1.SEQUENCE) || !input.Empty() ||
		!inner.ReadASN1Integer(&r) || !inner.ReadASN1Integer(&s) || !inner.Empty() {
		return nil, errSignature
	}
	if r.Sign() <= 0 || s.Sign() <= 0 || r.BitLen() > 8*size || s.BitLen() > 8*size {
		return nil, errSignature
	}
	raw := make([]byte, 2*size)
	r.FillBytes(raw[:size])
	s.FillBytes(raw[size:])
	return raw, nil
}

func (k *Key) method() (jwt.SigningMethod, error) {
	switch k.alg {
	case ES256:
		return es256{}, nil
	default:
		return nil, fmt.Errorf("%w: algorithm %s", ErrKey, k.alg)
	}
}
