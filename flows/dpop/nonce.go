package dpop

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"fmt"
	"time"
)

// ErrNonce is an [ErrProof]: all else is good, but the proof lacks a nonce that is good
// now. It is the "use_dpop_nonce" of RFC 9449 §8; the client is given a nonce and tries again.
var ErrNonce = fmt.Errorf("%w: no nonce that is good now", ErrProof)

// nonceLife is how long one nonce is handed out. It is taken for as long again.
const nonceLife = 2 * time.Minute

// Nonces are what proofs must contain, so that nobody makes them in advance (RFC 9449
// §11.2). All servers with the same key hand out and take the same; nothing is
// stored. Without the key none can be foreseen. It is safe for concurrent use.
type Nonces struct {
	key []byte
	now func() time.Time
}

// NewNonces makes them with a key of at least 256 bits, which is used for nothing else.
func NewNonces(key []byte, now func() time.Time) (*Nonces, error) {
	if len(key) < sha256.Size || now == nil {
		return nil, errors.New("dpop: nonces need a key of 256 bits and a clock")
	}
	return &Nonces{key, now}, nil
}

// Fresh is what is handed out now.
func (n *Nonces) Fresh() string { return n.at(n.period()) }

func (n *Nonces) period() int64 { return n.now().Unix() / int64(nonceLife/time.Second) }

func (n *Nonces) at(period int64) string {
	mac := hmac.New(sha256.New, n.key)
	mac.Write(binary.BigEndian.AppendUint64(nil, uint64(period))) //nolint:gosec // the bits are what counts
	return base64.RawURLEncoding.EncodeToString(mac.Sum(nil))
}

func (n *Nonces) good(nonce string) bool {
	now := n.period()
	return hmac.Equal([]byte(nonce), []byte(n.at(now))) || hmac.Equal([]byte(nonce), []byte(n.at(now-1)))
}
