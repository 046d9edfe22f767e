package tour

import (
	"crypto/hmac"
	"crypto/sha1" //nolint:gosec // RFC 4226 is made of it
	"encoding/base32"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"time"
)

// generator is an authenticator app, or a token with a button: RFC 4226 and
// RFC 6238 in a few lines of its own.
type generator struct {
	seed    []byte
	counter uint64 // of the next code that it shows
}

// setUp takes the seed in, as an app does that scans the code.
func (g *generator) setUp(data json.RawMessage) error {
	var d struct{ Secret string }
	if err := json.Unmarshal(data, &d); err != nil {
		return err
	}
	seed, err := base32.StdEncoding.WithPadding(base32.NoPadding).DecodeString(d.Secret)
	if err != nil {
		return fmt.Errorf("the seed: %w", err)
	}
	g.seed, g.counter = seed, 0
	return nil
}

// atTime is the oldest code that is still good and was not shown yet: the one
// before that of now, which RFC 6238 §5.2 lets a verifier take, and then that of
// now. So nobody in a story waits for half a minute.
func (g *generator) atTime(now time.Time) (string, error) {
	current := uint64(now.Unix()) / 30 //nolint:gosec // after 1970
	if g.counter > current {
		return "", errors.New("the app has no code that is not used")
	}
	g.counter = max(g.counter, current-1)
	return g.press(), nil
}

// press is the next code (RFC 4226 §5.3).
func (g *generator) press() string {
	mac := hmac.New(sha1.New, g.seed)
	mac.Write(binary.BigEndian.AppendUint64(nil, g.counter))
	g.counter++
	sum := mac.Sum(nil)
	at := sum[len(sum)-1] & 0xf
	return fmt.Sprintf("%06d", (binary.BigEndian.Uint32(sum[at:])&0x7fffffff)%1000000)
}
