package account

import (
	"crypto/pbkdf2"
	"crypto/sha1" //nolint:gosec // what others have stored
	"crypto/sha256"
	"crypto/sha512"
	"crypto/subtle"
	"encoding/base64"
	"fmt"
	"hash"
	"regexp"
	"strconv"
	"strings"

	"github.com/go-crypt/crypt/algorithm/shacrypt"
	"golang.org/x/crypto/argon2"
	"golang.org/x/crypto/bcrypt"
	"golang.org/x/crypto/scrypt"
)

// Bounds of what an imported hash may ask of this process, beside those of
// argon2id. Each is about a second of one core at most.
const (
	maxBcryptCost  = 14
	maxBcryptBytes = 72 // bcrypt looks at no more: a longer password would be cut off
	maxScryptLog   = 17
	maxScryptR     = 32
	maxScryptP     = 4
	maxPBKDF2      = 2_000_000
	maxSHACrypt    = 1_000_000
	saltForm       = `[!-#%-~]{1,64}` // printable, without the dollar sign
	base64Form     = `[A-Za-z0-9+/.]{2,172}`
)

// foreign is a hash that another system made: without our pepper, of the bytes
// that the person typed there.
type foreign struct {
	memory uint32 // KiB that a check needs
	match  func(secret []byte) bool
}

// A format is one way in which others write hashes. read gets the groups of
// form; every number in it is bounded before anything is computed.
type format struct {
	form *regexp.Regexp
	read func(groups []string) (foreign, error)
}

func formats() []format {
	return []format{
		{regexp.MustCompile(`^\$2[aby]\$([0-9]{2})\$[./A-Za-z0-9]{53}$`), readBcrypt},
		{regexp.MustCompile(`^\$argon2(id?)\$v=19\$m=([0-9]{1,9}),t=([0-9]{1,9}),p=([0-9]{1,3})\$(` + base64Form + `)\$(` + base64Form + `)$`), readArgon2},
		{regexp.MustCompile(`^\$scrypt\$ln=([0-9]{1,2}),r=([0-9]{1,3}),p=([0-9]{1,3})\$(` + base64Form + `)\$(` + base64Form + `)$`), readScrypt},
		{regexp.MustCompile(`^\$pbkdf2(|-sha1|-sha256|-sha512)\$(?:i=)?([0-9]{1,9})(?:,l=[0-9]{1,3})?\$(` + base64Form + `)\$(` + base64Form + `)$`), readPBKDF2},
		{regexp.MustCompile(`^pbkdf2_(sha1|sha256)\$([0-9]{1,9})\$(` + saltForm + `)\$([A-Za-z0-9+/]{2,86}={0,2})$`), readDjango},
		{regexp.MustCompile(`^\$[56]\$(?:rounds=([0-9]{1,9})\$)?[./A-Za-z0-9]{1,16}\$[./A-Za-z0-9]{43,86}$`), readSHACrypt},
		{regexp.MustCompile(`^\{(SSHA|SSHA256|SSHA512)\}([A-Za-z0-9+/]{28,172}={0,2})$`), readSalted},
	}
}

// parseForeign reads what another system has stored. [ErrHash] if it is in no
// known form, or asks for more than the bounds.
func parseForeign(s string) (foreign, error) {
	if len(s) > maxPHC {
		return foreign{}, fmt.Errorf("%w: too long", ErrHash)
	}
	for _, f := range formats() {
		if groups := f.form.FindStringSubmatch(s); groups != nil {
			return f.read(groups)
		}
	}
	return foreign{}, fmt.Errorf("%w: no known form", ErrHash)
}

func readBcrypt(g []string) (foreign, error) {
	if err := within("cost", g[1], bcrypt.MinCost, maxBcryptCost); err != nil {
		return foreign{}, err
	}
	return foreign{8, func(secret []byte) bool {
		fits := len(secret) <= maxBcryptBytes
		return bcrypt.CompareHashAndPassword([]byte(g[0]), secret[:min(len(secret), maxBcryptBytes)]) == nil && fits
	}}, nil
}

func readArgon2(g []string) (foreign, error) {
	memory, passes, threads := number(g[2]), number(g[3]), number(g[4])
	if threads > maxThreads {
		return foreign{}, fmt.Errorf("%w: threads out of bounds", ErrHash)
	}
	p := Params{Memory: uint32(memory), Time: uint32(passes), Threads: uint8(threads)} //nolint:gosec // nine digits at most; threads above
	if err := p.check(); err != nil {
		return foreign{}, err
	}
	return salted(g[5], g[6], p.Memory, func(secret, salt []byte, size int) []byte {
		if g[1] == "id" {
			return argon2.IDKey(secret, salt, p.Time, p.Memory, p.Threads, uint32(size)) //nolint:gosec // maxTag at most
		}
		return argon2.Key(secret, salt, p.Time, p.Memory, p.Threads, uint32(size)) //nolint:gosec // maxTag at most
	})
}

func readScrypt(g []string) (foreign, error) {
	for _, err := range []error{within("ln", g[1], 1, maxScryptLog), within("r", g[2], 1, maxScryptR), within("p", g[3], 1, maxScryptP)} {
		if err != nil {
			return foreign{}, err
		}
	}
	n, r, p := 1<<number(g[1]), number(g[2]), number(g[3])
	memory := 128 * n * r / 1024 // RFC 7914 §2
	if memory > maxMemory {
		return foreign{}, fmt.Errorf("%w: memory out of bounds", ErrHash)
	}
	return salted(g[4], g[5], uint32(memory), func(secret, salt []byte, size int) []byte { //nolint:gosec // bounded above
		key, err := scrypt.Key(secret, salt, n, r, p, size)
		if err != nil {
			return nil // equal to no tag
		}
		return key
	})
}

func readPBKDF2(g []string) (foreign, error) {
	if err := within("iterations", g[2], 1, maxPBKDF2); err != nil {
		return foreign{}, err
	}
	sum := map[string]func() hash.Hash{"": sha1.New, "-sha1": sha1.New, "-sha256": sha256.New, "-sha512": sha512.New}[g[1]]
	// passlib writes a dot where base64 has a plus sign
	return salted(strings.ReplaceAll(g[3], ".", "+"), strings.ReplaceAll(g[4], ".", "+"), 1, stretched(sum, number(g[2])))
}

func readDjango(g []string) (foreign, error) {
	if err := within("iterations", g[2], 1, maxPBKDF2); err != nil {
		return foreign{}, err
	}
	sum := map[string]func() hash.Hash{"sha1": sha1.New, "sha256": sha256.New}[g[1]]
	tag, err := base64.StdEncoding.Strict().DecodeString(g[4])
	if err != nil || len(tag) != sum().Size() {
		return foreign{}, fmt.Errorf("%w: tag", ErrHash)
	}
	return compared(1, tag, []byte(g[3]), stretched(sum, number(g[2]))), nil
}

func stretched(sum func() hash.Hash, iterations int) func(secret, salt []byte, size int) []byte {
	return func(secret, salt []byte, size int) []byte {
		key, err := pbkdf2.Key(sum, string(secret), salt, iterations, size)
		if err != nil {
			return nil // equal to no tag
		}
		return key
	}
}

// readSHACrypt reads the crypt of glibc. An omitted count is 5000 rounds.
func readSHACrypt(g []string) (foreign, error) {
	if err := within("rounds", g[1], 1000, maxSHACrypt); g[1] != "" && err != nil {
		return foreign{}, err
	}
	d, err := shacrypt.Decode(g[0])
	if err != nil {
		return foreign{}, fmt.Errorf("%w: sha-crypt", ErrHash)
	}
	return foreign{1, d.MatchBytes}, nil
}

// readSalted reads the salted hashes of LDAP directories: the hash, then the salt.
func readSalted(g []string) (foreign, error) {
	sum := map[string]func() hash.Hash{"SSHA": sha1.New, "SSHA256": sha256.New, "SSHA512": sha512.New}[g[1]]
	raw, err := base64.StdEncoding.Strict().DecodeString(g[2])
	if n := sum().Size(); err != nil || len(raw) < n+4 || len(raw) > n+maxSalt {
		return foreign{}, fmt.Errorf("%w: salt or tag", ErrHash)
	}
	n := sum().Size()
	return compared(1, raw[:n], raw[n:], func(secret, salt []byte, _ int) []byte {
		h := sum()
		h.Write(secret)
		h.Write(salt)
		return h.Sum(nil)
	}), nil
}

// salted reads salt and tag, in base64 without padding.
func salted(salt, tag string, memory uint32, derive func(secret, salt []byte, size int) []byte) (foreign, error) {
	s, err := decodeBounded(salt, minSalt, maxSalt)
	if err != nil {
		return foreign{}, err
	}
	t, err := decodeBounded(tag, minTag, maxTag)
	if err != nil {
		return foreign{}, err
	}
	return compared(memory, t, s, derive), nil
}

func compared(memory uint32, tag, salt []byte, derive func(secret, salt []byte, size int) []byte) foreign {
	return foreign{memory, func(secret []byte) bool {
		return subtle.ConstantTimeCompare(derive(secret, salt, len(tag)), tag) == 1
	}}
}

// number reads digits that a form has counted.
func number(digits string) int {
	n, err := strconv.Atoi(digits)
	if err != nil {
		return -1
	}
	return n
}

func within(what, digits string, least, most int) error {
	if n := number(digits); n < least || n > most {
		return fmt.Errorf("%w: %s out of bounds", ErrHash, what)
	}
	return nil
}
