package app

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"fmt"

	"github.com/golang-jwt/jwt/v5"
)

// deviceKey is a P-256 key with its public half in the forms that go over the
// wire. It never leaves the device.
type deviceKey struct {
	private    *ecdsa.PrivateKey
	jwk        map[string]string // public members only, RFC 7518 section 6.2.1
	thumbprint string            // RFC 7638, SHA-256
}

func newKey() (*deviceKey, error) {
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, fmt.Errorf("app: make a key: %w", err)
	}
	point, err := private.PublicKey.Bytes()
	if err != nil {
		return nil, fmt.Errorf("app: encode a key: %w", err)
	}
	x, y := encode(point[1:33]), encode(point[33:]) // 0x04, X, Y
	// RFC 7638 section 3.2: required members only, in lexical order, no spaces.
	sum := sha256.Sum256([]byte(`{"crv":"P-256","kty":"EC","x":"` + x + `","y":"` + y + `"}`))
	return &deviceKey{
		private:    private,
		jwk:        map[string]string{"kty": "EC", "crv": "P-256", "x": x, "y": y},
		thumbprint: encode(sum[:]),
	}, nil
}

// sign makes a compact JWS (RFC 7515) with the header members given besides alg.
func (k *deviceKey) sign(header map[string]any, claims jwt.MapClaims) (string, error) {
	token := jwt.NewWithClaims(jwt.SigningMethodES256, claims)
	for name, value := range header {
		token.Header[name] = value
	}
	signed, err := token.SignedString(k.private)
	if err != nil {
		return "", fmt.Errorf("app: sign: %w", err)
	}
	return signed, nil
}

func encode(b []byte) string { return base64.RawURLEncoding.EncodeToString(b) }

// random returns 128 random bits as text.
func random() string {
	var b [16]byte
	_, _ = rand.Read(b[:]) // never fails: crypto/rand ends the program instead
	return encode(b[:])
}
