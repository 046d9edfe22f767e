package oidcclient

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"errors"
	"net/http"
	"net/url"
	"strings"
	"sync"

	"github.com/go-jose/go-jose/v4"
	"github.com/go-jose/go-jose/v4/jwt"
)

// newProofKey makes the key that one sign-on's tokens are bound to (RFC 9449),
// in the form in which a Request carries it.
func newProofKey() ([]byte, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	return x509.MarshalPKCS8PrivateKey(key)
}

func parseProofKey(der []byte) (*ecdsa.PrivateKey, error) {
	if der == nil {
		return nil, nil //nolint:nilnil // no key is a request without proofs
	}
	key, err := x509.ParsePKCS8PrivateKey(der)
	if ec, ok := key.(*ecdsa.PrivateKey); ok && err == nil {
		return ec, nil
	}
	return nil, unfit("not a request to this provider")
}

// thumbprint is dpop_jkt: the provider binds the code to the key (RFC 9449 §10).
func thumbprint(key *ecdsa.PrivateKey) (string, error) {
	sum, err := (&jose.JSONWebKey{Key: key.Public()}).Thumbprint(crypto.SHA256)
	return base64.RawURLEncoding.EncodeToString(sum), err
}

// prover adds a DPoP proof to each request, with the nonce that the server gave
// last (RFC 9449 §8).
type prover struct {
	inner  http.RoundTripper
	p      *Provider
	key    *ecdsa.PrivateKey
	nonces *nonces
}

// RoundTrip implements [http.RoundTripper].
func (d prover) RoundTrip(req *http.Request) (*http.Response, error) {
	proof, err := d.proof(req)
	if err != nil {
		return nil, err
	}
	req = req.Clone(req.Context())
	req.Header.Set("DPoP", proof)
	resp, err := d.inner.RoundTrip(req)
	if err == nil {
		d.nonces.keep(req.URL, resp.Header)
	}
	return resp, err
}

// proof is RFC 9449 §4.2.
func (d prover) proof(req *http.Request) (string, error) {
	where := *req.URL
	where.RawQuery, where.Fragment, where.ForceQuery = "", "", false
	claims := map[string]any{"jti": random(), "htm": req.Method, "htu": where.String(), "iat": d.p.cfg.Now().Unix()}
	if nonce := d.nonces.of(req.URL); nonce != "" {
		claims["nonce"] = nonce
	}
	if token, ok := strings.CutPrefix(req.Header.Get("Authorization"), "DPoP "); ok {
		sum := sha256.Sum256([]byte(token))
		claims["ath"] = base64.RawURLEncoding.EncodeToString(sum[:])
	}
	signer, err := jose.NewSigner(jose.SigningKey{Algorithm: jose.ES256, Key: d.key},
		(&jose.SignerOptions{EmbedJWK: true}).WithType("dpop+jwt"))
	if err != nil {
		return "", errors.New("oidcclient: proof key")
	}
	return jwt.Signed(signer).Claims(claims).Serialize()
}

const maxNonce = 1 << 10

// nonces are the last nonce of each endpoint: what guards tokens and what makes them
// may be different servers behind one name.
type nonces struct {
	mu    sync.Mutex
	known map[string]string
}

func (n *nonces) of(u *url.URL) string {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.known[u.Host+u.Path]
}

func (n *nonces) keep(u *url.URL, h http.Header) {
	nonce := h.Get("DPoP-Nonce")
	if nonce == "" || len(nonce) > maxNonce {
		return
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.known == nil {
		n.known = map[string]string{}
	}
	n.known[u.Host+u.Path] = nonce // a provider's endpoints are few
}
