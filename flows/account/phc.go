package account

import (
	"encoding/base64"
	"errors"
	"fmt"
	"strings"

	"golang.org/x/crypto/argon2"
)

// ErrHash reports a stored hash that cannot be used: no argon2id, or parameters
// outside of the bounds. It is a fault of the data, not of what the person typed.
var ErrHash = errors.New("account: unusable password hash")

// Params are the costs of argon2id (RFC 9106 §3.1).
type Params struct {
	Memory  uint32 // KiB
	Time    uint32 // passes
	Threads uint8
}

// Bounds of what a stored hash may ask of this process.
const (
	maxMemory  = 128 * 1024
	maxTime    = 10
	maxThreads = 8
	minSalt    = 8
	maxSalt    = 64
	minTag     = 16
	maxTag     = 64
	maxPHC     = 512
)

// check bounds the parameters, so that a hash cannot exhaust memory or time.
func (p Params) check() error {
	if p.Threads < 1 || p.Threads > maxThreads || p.Time < 1 || p.Time > maxTime {
		return fmt.Errorf("%w: time or threads out of bounds", ErrHash)
	}
	if p.Memory < 8*uint32(p.Threads) || p.Memory > maxMemory {
		return fmt.Errorf("%w: memory out of bounds", ErrHash)
	}
	return nil
}

// phc is a parsed PHC string of argon2id.
type phc struct {
	params Params
	salt   []byte
	tag    []byte
}

// String returns the PHC form, `$argon2id$v=19$m=..,t=..,p=..$salt$tag`.
func (h phc) String() string {
	b64 := base64.RawStdEncoding
	return fmt.Sprintf("$argon2id$v=%d$m=%d,t=%d,p=%d$%s$%s", argon2.Version,
		h.params.Memory, h.params.Time, h.params.Threads, b64.EncodeToString(h.salt), b64.EncodeToString(h.tag))
}

// parsePHC reads a PHC string and bounds every part of it. Only the very form
// that String writes is read.
func parsePHC(s string) (phc, error) {
	parts := strings.Split(s, "$")
	if len(s) > maxPHC || len(parts) != 6 || parts[0] != "" || parts[1] != "argon2id" {
		return phc{}, fmt.Errorf("%w: no argon2id PHC string", ErrHash)
	}
	var h phc
	if _, err := fmt.Sscanf(parts[3], "m=%d,t=%d,p=%d", &h.params.Memory, &h.params.Time, &h.params.Threads); err != nil {
		return phc{}, fmt.Errorf("%w: parameters", ErrHash)
	}
	if err := h.params.check(); err != nil {
		return phc{}, err
	}
	var err error
	if h.salt, err = decodeBounded(parts[4], minSalt, maxSalt); err != nil {
		return phc{}, err
	}
	if h.tag, err = decodeBounded(parts[5], minTag, maxTag); err != nil {
		return phc{}, err
	}
	if h.String() != s {
		return phc{}, fmt.Errorf("%w: not in canonical form", ErrHash)
	}
	return h, nil
}

func decodeBounded(s string, least, most int) ([]byte, error) {
	b, err := base64.RawStdEncoding.Strict().DecodeString(s)
	if err != nil || len(b) < least || len(b) > most {
		return nil, fmt.Errorf("%w: salt or tag", ErrHash)
	}
	return b, nil
}
