package devicejws

import (
	"crypto/ecdsa"
	"encoding/base64"
	"regexp"
	"strings"

	"github.com/go-jose/go-jose/v4"

	"github.com/stile-auth/stile/flows"
)

// MaxSize is the length in bytes of the longest JWS that is looked at.
const MaxSize = 8 << 10

const algorithm = "ES256"

// compactForm is stricter than a base64 decoder, which skips line ends (RFC 8725 §3.14).
var compactForm = regexp.MustCompile(`^[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+$`)

// split returns the decoded header and payload of a compact JWS. Every part
// has one spelling only: an ending with stray bits is refused.
func split(compact string) (header, payload []byte, err error) {
	if len(compact) > MaxSize || !compactForm.MatchString(compact) {
		return nil, nil, Malformed
	}
	parts := strings.Split(compact, ".")
	var decoded [3][]byte
	for i, part := range parts {
		if decoded[i], err = base64.RawURLEncoding.Strict().DecodeString(part); err != nil {
			return nil, nil, Malformed
		}
	}
	return decoded[0], decoded[1], nil
}

// decode fills dst with exactly the members that it has tags for.
func decode(data []byte, dst any) error {
	if err := flows.DecodeStrict(data, dst); err != nil {
		return Malformed
	}
	return nil
}

// verify checks the signature, as ES256 whatever the header may say (RFC 8725 §3.1).
func verify(compact string, key *ecdsa.PublicKey) error {
	jws, err := jose.ParseSignedCompact(compact, []jose.SignatureAlgorithm{jose.ES256})
	if err != nil {
		return Malformed
	}
	if _, err := jws.Verify(key); err != nil {
		return BadSignature
	}
	return nil
}
