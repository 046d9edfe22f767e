package webauthntest

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"fmt"
)

// COSE algorithms that an [Authenticator] can be told to use (IANA registry "COSE Algorithms").
const (
	ES256 = -7
	EdDSA = -8
	RS256 = -257
)

// key is a private key and how it is spelled in COSE.
type key struct {
	signer crypto.Signer
	cose   []byte
	alg    int
}

func newKey(alg int) (key, error) {
	switch alg {
	case ES256:
		private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
		if err != nil {
			return key{}, err
		}
		point, err := private.PublicKey.Bytes()
		if err != nil {
			return key{}, err
		}
		return key{private, dict( // RFC 9053 §7.1.1
			integer(1), integer(2), integer(3), integer(ES256),
			integer(-1), integer(1), integer(-2), octets(point[1:33]), integer(-3), octets(point[33:]),
		), alg}, nil
	case EdDSA:
		public, private, err := ed25519.GenerateKey(rand.Reader)
		return key{private, dict( // RFC 9053 §7.2
			integer(1), integer(1), integer(3), integer(EdDSA), integer(-1), integer(6), integer(-2), octets(public),
		), alg}, err
	case RS256:
		private, err := rsa.GenerateKey(rand.Reader, 2048)
		if err != nil {
			return key{}, err
		}
		return key{private, dict( // RFC 8230 §4
			integer(1), integer(3), integer(3), integer(RS256), integer(-1), octets(private.N.Bytes()), integer(-2), octets([]byte{1, 0, 1}),
		), alg}, nil
	}
	return key{}, fmt.Errorf("webauthntest: no algorithm %d", alg)
}

// sign signs as the algorithm says; ECDSA in ASN.1 (Web Authentication §6.5.5).
func (k key) sign(data []byte) ([]byte, error) {
	if k.alg == EdDSA {
		return k.signer.Sign(rand.Reader, data, crypto.Hash(0))
	}
	sum := sha256.Sum256(data)
	return k.signer.Sign(rand.Reader, sum[:], crypto.SHA256)
}
