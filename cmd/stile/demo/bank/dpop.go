package bank

import (
	"crypto"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"errors"
	"fmt"
	"net/http"
	"sync"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/go-jose/go-jose/v4/json"
)

const (
	proofLife = time.Minute // how far iat may be from now, either way
	maxJTI    = 256         // bytes
)

// proofs checks DPoP proofs (RFC 9449 section 4.3) and remembers them as long
// as they could be replayed. Safe for concurrent use.
type proofs struct {
	now func() time.Time

	mu   sync.Mutex
	seen map[[32]byte]time.Time // hash of key and jti -> until
}

func newProofs(now func() time.Time) *proofs {
	return &proofs{now: now, seen: map[[32]byte]time.Time{}}
}

// check says whether the request has a proof by the key with that thumbprint,
// made for it and for the token, and not seen before.
func (p *proofs) check(req *http.Request, url, token, thumbprint string) error {
	lines := req.Header.Values("DPoP")
	if len(lines) != 1 {
		return fmt.Errorf("bank: %d DPoP headers", len(lines))
	}
	payload, signer, err := openProof(lines[0])
	if err != nil {
		return err
	}
	if subtle.ConstantTimeCompare([]byte(signer), []byte(thumbprint)) != 1 {
		return errors.New("bank: the proof is by another key")
	}
	var c struct {
		ID     string   `json:"jti"`
		Method string   `json:"htm"`
		URL    string   `json:"htu"`
		Issued *float64 `json:"iat"`
		Token  string   `json:"ath"`
	}
	if err := json.Unmarshal(payload, &c); err != nil {
		return fmt.Errorf("bank: proof: %w", err)
	}
	sum := sha256.Sum256([]byte(token))
	switch {
	case c.Method != req.Method:
		return errors.New("bank: the proof is for another method")
	case c.URL != url:
		return errors.New("bank: the proof is for another URL")
	case c.Token != base64.RawURLEncoding.EncodeToString(sum[:]):
		return errors.New("bank: the proof is for another token")
	case c.Issued == nil || p.now().Sub(instant(*c.Issued)).Abs() > proofLife:
		return errors.New("bank: the proof is not of this minute")
	case c.ID == "" || len(c.ID) > maxJTI:
		return errors.New("bank: the proof has no usable jti")
	}
	return p.take(thumbprint+"\n"+c.ID, instant(*c.Issued).Add(proofLife))
}

// openProof verifies the signature by the key in the header and returns that
// key's thumbprint.
func openProof(proof string) (payload []byte, thumbprint string, err error) {
	jws, err := jose.ParseSignedCompact(proof, []jose.SignatureAlgorithm{jose.ES256})
	if err != nil {
		return nil, "", fmt.Errorf("bank: proof: %w", err)
	}
	header := jws.Signatures[0].Protected
	if header.ExtraHeaders[jose.HeaderType] != "dpop+jwt" {
		return nil, "", errors.New("bank: not a DPoP proof")
	}
	key := header.JSONWebKey
	if key == nil || !key.Valid() || !key.IsPublic() {
		return nil, "", errors.New("bank: the proof does not bring a public key")
	}
	payload, err = jws.Verify(key)
	if err != nil {
		return nil, "", fmt.Errorf("bank: proof: %w", err)
	}
	sum, err := key.Thumbprint(crypto.SHA256)
	if err != nil {
		return nil, "", fmt.Errorf("bank: proof: %w", err)
	}
	return payload, base64.RawURLEncoding.EncodeToString(sum), nil
}

func (p *proofs) take(id string, until time.Time) error {
	now, mark := p.now(), sha256.Sum256([]byte(id))
	p.mu.Lock()
	defer p.mu.Unlock()
	for old, end := range p.seen {
		if end.Before(now) {
			delete(p.seen, old)
		}
	}
	if _, again := p.seen[mark]; again {
		return errors.New("bank: the proof was used before")
	}
	p.seen[mark] = until
	return nil
}
