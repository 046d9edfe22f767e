package account

import (
	"crypto/subtle"
	"encoding/base32"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/pquerna/otp"
	"github.com/pquerna/otp/hotp"
)

// ErrUsed says that a one-time code, or a later one, was accepted before (RFC 6238 §5.2).
var ErrUsed = errors.New("account: one-time code was used before")

// TOTPData is the data of a [TypeTOTP] authenticator (RFC 6238).
type TOTPData struct {
	Seed      []byte `json:"seed"`      // sealed, see SealSeed
	Algorithm string `json:"algorithm"` // "SHA1", "SHA256" or "SHA512"
	Digits    int    `json:"digits"`    // 6 to 8
	Period    int    `json:"period"`    // seconds
	Drift     int    `json:"drift"`     // how many steps the device's clock is ahead, as its binding and its use have found (§6): 0 or 1
	LastStep  int64  `json:"lastStep"`  // the last time step that was accepted; 0: none
	Owner     string `json:"owner"`     // who used LastStep: the same owner may use it again
}

// Sealer encrypts and authenticates; aad binds a ciphertext to its place.
type Sealer interface {
	Seal(plaintext, aad []byte) ([]byte, error)
	Open(sealed, aad []byte) ([]byte, error)
}

// seedBytes is the recommended 160 bits (RFC 4226 §4, R6); minSeed the required 128.
const (
	seedBytes = 20
	minSeed   = 16
)

// NewSeed returns 160 random bits.
func NewSeed(rand io.Reader) ([]byte, error) { return NewSeedFor(rand, "SHA1") }

// NewSeedFor returns as many random bits as the hash has (RFC 6238 §5.1).
func NewSeedFor(rand io.Reader, algorithm string) ([]byte, error) {
	n, ok := map[string]int{"SHA1": seedBytes, "SHA256": 32, "SHA512": 64}[algorithm]
	if !ok {
		return nil, fmt.Errorf("account: unknown TOTP algorithm %q", algorithm)
	}
	seed := make([]byte, n)
	if _, err := io.ReadFull(rand, seed); err != nil {
		return nil, fmt.Errorf("account: seed: %w", err)
	}
	return seed, nil
}

// SealSeed seals a seed for the authenticator of that account and id: in another
// row, or under another account, it does not open.
func SealSeed(s Sealer, subject, authenticator string, seed []byte) ([]byte, error) {
	if len(seed) < minSeed {
		return nil, fmt.Errorf("account: seed has %d bytes, want at least %d", len(seed), minSeed)
	}
	return s.Seal(seed, seedAAD(subject, authenticator))
}

// OpenSeed opens what [SealSeed] sealed for the same account and authenticator.
func OpenSeed(s Sealer, subject, authenticator string, sealed []byte) ([]byte, error) {
	return s.Open(sealed, seedAAD(subject, authenticator))
}

// seedAAD is injective: the length keeps subject and id apart.
func seedAAD(subject, authenticator string) []byte {
	return fmt.Appendf(nil, "totp-seed %d %s %s", len(subject), subject, authenticator)
}

// VerifyTOTP returns the time step that code belongs to: the current one or the
// one before (RFC 6238 §5.2), and the next one only if the device is known to
// be ahead. [ErrWrong] if it belongs to none. It does not look at what was used
// before: see [TOTPData.Use].
func VerifyTOTP(d TOTPData, seed []byte, now time.Time, code string) (int64, error) {
	if d.Period < 15 || d.Period > 120 || d.Digits < 6 || d.Digits > 8 || len(seed) < minSeed {
		return 0, errors.New("account: unusable TOTP data")
	}
	opts, err := d.options()
	if err != nil {
		return 0, err
	}
	current, newest := now.Unix()/int64(d.Period), int64(0)
	if d.Drift > 0 {
		newest = 1
	}
	matched, secret := int64(-1), base32.StdEncoding.EncodeToString(seed)
	for step := current - 1; step <= current+newest; step++ {
		want, err := hotp.GenerateCodeCustom(secret, uint64(step), opts) //nolint:gosec // counted from 1970, which is past
		if err != nil {
			return 0, fmt.Errorf("account: one-time code: %w", err)
		}
		// Every candidate is computed and compared, so that time does not tell which one matched.
		if subtle.ConstantTimeCompare([]byte(want), []byte(code)) == 1 {
			matched = step
		}
	}
	if matched < 0 {
		return 0, ErrWrong
	}
	return matched, nil
}

func (d TOTPData) options() (hotp.ValidateOpts, error) {
	algorithms := map[string]otp.Algorithm{"SHA1": otp.AlgorithmSHA1, "SHA256": otp.AlgorithmSHA256, "SHA512": otp.AlgorithmSHA512}
	a, ok := algorithms[d.Algorithm]
	if !ok {
		return hotp.ValidateOpts{}, fmt.Errorf("account: unknown TOTP algorithm %q", d.Algorithm)
	}
	return hotp.ValidateOpts{Digits: otp.Digits(d.Digits), Algorithm: a}, nil
}

// Use records that owner used the code of step. [ErrUsed] if this or a later
// step was used before, unless it was this very step by this very owner: a
// request that is repeated after a crash must not cost its code.
func (d *TOTPData) Use(step int64, owner string) error {
	if owner == "" {
		return errors.New("account: use of a one-time code without an owner")
	}
	if step < d.LastStep || (step == d.LastStep && owner != d.Owner) {
		return ErrUsed
	}
	d.LastStep, d.Owner = step, owner
	return nil
}

// First takes the code that binds an authenticator and returns the data with it
// used. There the code of the next time step is good as well: it is the only code
// that a person makes while somebody looks on, so it tells how far the device's
// clock is ahead (RFC 6238 §6), and the window of later codes goes by that.
func (d TOTPData) First(seed []byte, now time.Time, code, owner string) (TOTPData, error) {
	ahead := d.Drift
	d.Drift = 1
	step, err := VerifyTOTP(d, seed, now, code)
	if err != nil {
		return TOTPData{}, err
	}
	if step <= now.Unix()/int64(d.Period) {
		d.Drift = ahead
	}
	return d, d.Use(step, owner)
}

// learn takes in how far ahead the code was that has just been used (RFC 6238 §6).
// One of the time step before was not made by a clock that is ahead: from then on the
// code of the next step is good no more. It never makes later codes good that were
// not: only the binding does, where somebody has proved to be there; and a code of
// before is no sign of a clock that is behind, but of somebody who types slowly.
func (d *TOTPData) learn(ahead int64) {
	if ahead < 0 {
		d.Drift = 0
	}
}

// UseTOTP verifies a code and uses it, all on a. It is what a caller passes to a
// repository's UpdateAuthenticator, which makes it atomic. [ErrWrong], [ErrUsed];
// any other error means that the system failed. On an error a is unchanged.
func UseTOTP(a *Authenticator, s Sealer, now time.Time, code, owner string) error {
	if a.Type != TypeTOTP || a.Status != Active {
		return ErrWrong
	}
	var d TOTPData
	if err := json.Unmarshal(a.Data, &d); err != nil {
		return fmt.Errorf("account: TOTP data: %w", err)
	}
	seed, err := OpenSeed(s, a.Subject, a.ID, d.Seed)
	if err != nil {
		return fmt.Errorf("account: TOTP seed: %w", err)
	}
	step, err := VerifyTOTP(d, seed, now, code)
	if err != nil {
		return err
	}
	if err := d.Use(step, owner); err != nil {
		return err
	}
	d.learn(step - now.Unix()/int64(d.Period))
	data, err := json.Marshal(d)
	if err != nil {
		return fmt.Errorf("account: TOTP data: %w", err)
	}
	a.Data, a.LastUsed = data, now.UTC()
	return nil
}

// URI returns the otpauth URI that authenticator apps read. It holds the seed: show it once, to its owner.
func (d TOTPData) URI(seed []byte, issuer, login string) (string, error) {
	return otpauth(TypeTOTP, seed, issuer, login, url.Values{
		"algorithm": {d.Algorithm},
		"digits":    {strconv.Itoa(d.Digits)},
		"period":    {strconv.Itoa(d.Period)},
	})
}

// otpauth is the URI that authenticator apps agree on for both kinds of codes.
func otpauth(kind string, seed []byte, issuer, login string, q url.Values) (string, error) {
	if issuer == "" || login == "" || strings.Contains(issuer+login, ":") {
		return "", errors.New("account: issuer and login of an otpauth URI must not be empty or hold a colon")
	}
	q.Set("secret", base32.StdEncoding.WithPadding(base32.NoPadding).EncodeToString(seed))
	q.Set("issuer", issuer)
	// Apps read %20, not the plus sign of forms.
	query := strings.ReplaceAll(q.Encode(), "+", "%20")
	return "otpauth://" + kind + "/" + url.PathEscape(issuer) + ":" + url.PathEscape(login) + "?" + query, nil
}
