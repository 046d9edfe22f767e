package account

import (
	"crypto/subtle"
	"encoding/base32"
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"strconv"
	"time"

	"github.com/pquerna/otp"
	"github.com/pquerna/otp/hotp"
)

// HOTPData is the data of a [TypeHOTP] authenticator: a token with a button,
// whose codes follow from a counter (RFC 4226).
type HOTPData struct {
	Seed   []byte `json:"seed"`   // sealed, see SealSeed
	Digits int    `json:"digits"` // 6 to 8
	Next   uint64 `json:"next"`   // the lowest counter whose code is still good; it never goes down
	Owner  string `json:"owner"`  // who used the code before Next: the same owner may use it again
}

// How far the counter of a token may be ahead of ours.
const (
	hotpAhead  = 10  // for a code alone: the window s of RFC 4226 §7.2
	hotpResync = 100 // for two codes in a row (§7.4), which nobody guesses: 100 in 10^12
)

// HOTPCodes are what a person typed: a code, or that code and the one after it,
// which bring a token back that is too far ahead.
type HOTPCodes struct{ Code, Next string }

// VerifyHOTP returns the counter after that of the last code. [ErrWrong] if there
// is none; [ErrUsed] if only the code before them fits, unless by its very owner.
//
// Every candidate is computed, so that time does not tell which one fitted.
func VerifyHOTP(d HOTPData, seed []byte, c HOTPCodes, owner string) (uint64, error) {
	if d.Digits < 6 || d.Digits > 8 || len(seed) < minSeed || d.Next > 1<<62 {
		return 0, errors.New("account: unusable HOTP data")
	}
	if owner == "" {
		return 0, errors.New("account: use of a one-time code without an owner")
	}
	ahead, length := uint64(hotpAhead), uint64(1)
	if c.Next != "" {
		ahead, length = hotpResync, 2
	}
	from := d.Next - min(d.Next, length) // the codes that were used last are known again
	after, used := uint64(0), false
	for n := from; n < d.Next+ahead; n++ {
		fits, err := d.fits(seed, n, c)
		if err != nil {
			return 0, err
		}
		switch {
		case !fits:
		case n+length == d.Next:
			used = true
		case n < d.Next: // one of the two was used
		case after == 0:
			after = n + length
		}
	}
	switch {
	case used && owner == d.Owner:
		return d.Next, nil
	case after > 0:
		return after, nil
	case used:
		return 0, ErrUsed
	}
	return 0, ErrWrong
}

// fits says whether the codes are those of counter n and, if there are two, the one after it.
func (d HOTPData) fits(seed []byte, n uint64, c HOTPCodes) (bool, error) {
	equal := 1
	for i, code := range []string{c.Code, c.Next} {
		if i == 1 && code == "" {
			break
		}
		want, err := hotp.GenerateCodeCustom(base32.StdEncoding.EncodeToString(seed), n+uint64(i),
			hotp.ValidateOpts{Digits: otp.Digits(d.Digits), Algorithm: otp.AlgorithmSHA1})
		if err != nil {
			return false, fmt.Errorf("account: one-time code: %w", err)
		}
		equal &= subtle.ConstantTimeCompare([]byte(want), []byte(code))
	}
	return equal == 1, nil
}

// Use verifies codes and returns the data with them used: neither they nor any
// before them are good again. [ErrWrong], [ErrUsed].
func (d HOTPData) Use(seed []byte, c HOTPCodes, owner string) (HOTPData, error) {
	after, err := VerifyHOTP(d, seed, c, owner)
	if err != nil {
		return HOTPData{}, err
	}
	d.Next, d.Owner = after, owner
	return d, nil
}

// UseHOTP verifies codes and uses them, all on a. It is what a caller passes to a
// repository's UpdateAuthenticator, which makes it atomic. [ErrWrong], [ErrUsed];
// any other error means that the system failed. On an error a is unchanged.
func UseHOTP(a *Authenticator, s Sealer, now time.Time, c HOTPCodes, owner string) error {
	if a.Type != TypeHOTP || a.Status != Active {
		return ErrWrong
	}
	var d HOTPData
	if err := json.Unmarshal(a.Data, &d); err != nil {
		return fmt.Errorf("account: HOTP data: %w", err)
	}
	seed, err := OpenSeed(s, a.Subject, a.ID, d.Seed)
	if err != nil {
		return fmt.Errorf("account: HOTP seed: %w", err)
	}
	if d, err = d.Use(seed, c, owner); err != nil {
		return err
	}
	data, err := json.Marshal(d)
	if err != nil {
		return fmt.Errorf("account: HOTP data: %w", err)
	}
	a.Data, a.LastUsed = data, now.UTC()
	return nil
}

// URI returns the otpauth URI that authenticator apps read. It holds the seed: show it once, to its owner.
func (d HOTPData) URI(seed []byte, issuer, login string) (string, error) {
	return otpauth(TypeHOTP, seed, issuer, login, url.Values{
		"algorithm": {"SHA1"},
		"digits":    {strconv.Itoa(d.Digits)},
		"counter":   {strconv.FormatUint(d.Next, 10)},
	})
}
