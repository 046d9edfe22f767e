package account

import (
	"encoding/base64"
	"errors"
	"fmt"
	"regexp"
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
	maxKeyID   = 8
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

// phc is a parsed PHC string of argon2id that was made here: its key id says so.
type phc struct {
	params Params
	key    string // id of the pepper
	salt   []byte
	tag    []byte
}

var ourForm = regexp.MustCompile(`^\$argon2id\$v=19\$m=([0-9]{1,9}),t=([0-9]{1,9}),p=([0-9]{1,3}),keyid=([A-Za-z0-9+/]{2,11})\$([A-Za-z0-9+/]+)\$([A-Za-z0-9+/]+)$`)

// ours reports whether a hash says that it was made with a pepper. What does not was made elsewhere.
func ours(s string) bool {
	head, _, _ := strings.Cut(strings.TrimPrefix(s, "$argon2id$v=19$"), "$")
	return strings.Contains(head, "keyid=")
}

// String returns the PHC form, `$argon2id$v=19$m=..,t=..,p=..,keyid=..$salt$tag`.
func (h phc) String() string {
	b64 := base64.RawStdEncoding
	return fmt.Sprintf("$argon2id$v=%d$m=%d,t=%d,p=%d,keyid=%s$%s$%s", argon2.Version,
		h.params.Memory, h.params.Time, h.params.Threads, b64.EncodeToString([]byte(h.key)),
		b64.EncodeToString(h.salt), b64.EncodeToString(h.tag))
}

// parsePHC reads a PHC string and bounds every part of it. Only the very form
// that String writes is read.
func parsePHC(s string) (phc, error) {
	g := ourForm.FindStringSubmatch(s)
	if len(s) > maxPHC || g == nil {
		return phc{}, fmt.Errorf("%w: no argon2id PHC string", ErrHash)
	}
	threads := number(g[3])
	if threads > maxThreads {
		return phc{}, fmt.Errorf("%w: threads out of bounds", ErrHash)
	}
	h := phc{params: Params{Memory: uint32(number(g[1])), Time: uint32(number(g[2])), Threads: uint8(threads)}} //nolint:gosec // nine digits at most; threads above
	if err := h.params.check(); err != nil {
		return phc{}, err
	}
	key, err := decodeBounded(g[4], 1, maxKeyID)
	if err != nil {
		return phc{}, err
	}
	h.key = string(key)
	if h.salt, err = decodeBounded(g[5], minSalt, maxSalt); err != nil {
		return phc{}, err
	}
	if h.tag, err = decodeBounded(g[6], minTag, maxTag); err != nil {
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
