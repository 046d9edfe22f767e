package propagation

import (
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"errors"
	"fmt"
	"math/big"

	"github.com/golang-jwt/jwt/v5"
	"golang.org/x/crypto/cryptobyte"
	"golang.org/x/crypto/cryptobyte/asn1"
)

// method signs with any [crypto.Signer], also one that keeps its private
// key to itself, which most of the library's own methods do not accept.
type method struct {
	jwt.SigningMethod // the library's, which verifies
	hash              crypto.Hash
	size              int // of R and of S; 0: the signature is used as it is
	pss               bool
}

var _ jwt.SigningMethod = method{}

// methodOf is for an algorithm of [Algorithms].
func methodOf(algorithm string) method {
	m := method{SigningMethod: jwt.GetSigningMethod(algorithm), hash: crypto.SHA256}
	switch algorithm {
	case ES256:
		m.size = 32
	case ES384:
		m.hash, m.size = crypto.SHA384, 48
	case EdDSA:
		m.hash = 0 // RFC 8032: the message is signed, not its hash
	case PS256:
		m.pss = true
	}
	return m
}

// Sign signs text. key must be a [crypto.Signer].
func (m method) Sign(text string, key any) ([]byte, error) {
	signer, ok := key.(crypto.Signer)
	if !ok {
		return nil, fmt.Errorf("%w: %T does not sign", ErrKey, key)
	}
	message := []byte(text)
	if m.hash != 0 {
		h := m.hash.New()
		h.Write(message)
		message = h.Sum(nil)
	}
	var opts crypto.SignerOpts = m.hash
	if m.pss { // RFC 7518 §3.5: the salt is as long as the hash
		opts = &rsa.PSSOptions{SaltLength: rsa.PSSSaltLengthEqualsHash, Hash: m.hash}
	}
	signature, err := signer.Sign(rand.Reader, message, opts)
	if err != nil || m.size == 0 {
		return signature, err
	}
	return rawSignature(signature, m.size)
}

// half is the left half of the hash of a token, as claims of ID tokens have it (OpenID
// Connect Core 1.0 §3.1.3.6): the hash is the one that the algorithm signs, of Ed25519 its own.
func (m method) half(token string) string {
	hash := m.hash
	if hash == 0 {
		hash = crypto.SHA512
	}
	h := hash.New()
	h.Write([]byte(token))
	return encode(h.Sum(nil)[:hash.Size()/2])
}

var errSignature = errors.New("propagation: the signer did not return an ECDSA signature")

// rawSignature turns the ASN.1 form that signers return into the one of JWS: R
// and S, size bytes each (RFC 7518 §3.4).
func rawSignature(der []byte, size int) ([]byte, error) {
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
