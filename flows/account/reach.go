package account

import (
	"errors"
	"fmt"
	"slices"
	"strings"
)

// ErrReach reports a telephone number that no message goes to.
var ErrReach = errors.New("account: no message goes to that number")

// Reach says which telephone numbers messages go to. The zero value: all but
// those that [premium] lists.
type Reach struct {
	Countries []string // the only calling codes, such as "+41"; none: all
	Refused   []string // prefixes besides those that are always refused
}

// NewReach checks the prefixes. [ErrPhone] for one that is none.
func NewReach(countries, refused []string) (Reach, error) {
	for _, p := range slices.Concat(countries, refused) {
		digits, ok := strings.CutPrefix(p, "+")
		if !ok || digits == "" || len(digits) > maxPhone || digits[0] == '0' || strings.Trim(digits, "0123456789") != "" {
			return Reach{}, fmt.Errorf("%w: %q is no + with the first digits of numbers", ErrPhone, p)
		}
	}
	for _, c := range countries {
		if CallingCode(c) != c {
			return Reach{}, fmt.Errorf("%w: %q is no country's calling code", ErrPhone, c)
		}
	}
	return Reach{slices.Clone(countries), slices.Clone(refused)}, nil
}

// Country returns the calling code of a number that messages go to, as
// [ParsePhone] returns it; [ErrReach] for any other. Numbers at which others earn
// by each message, and networks of no country, are always refused: somebody who
// has messages sent there is paid for it.
func (r Reach) Country(number string) (string, error) {
	begins := func(p string) bool { return strings.HasPrefix(number, p) }
	code := CallingCode(number)
	if code == "" || len(r.Countries) > 0 && !slices.Contains(r.Countries, code) || slices.ContainsFunc(premium(), begins) || slices.ContainsFunc(r.Refused, begins) {
		return "", ErrReach
	}
	return code, nil
}

// CallingCode returns the country code of an international number (ITU-T E.164
// §6.2.1), "" if it has none: the world is divided so that the first two digits
// tell how many there are.
func CallingCode(number string) string {
	digits, ok := strings.CutPrefix(number, "+")
	switch {
	case !ok || digits == "" || digits[0] == '0':
		return ""
	case digits[0] == '1' || digits[0] == '7':
		return number[:2]
	case len(digits) >= 2 && slices.Contains(strings.Fields(twoDigits), digits[:2]):
		return number[:3]
	case len(digits) >= 3:
		return number[:4]
	}
	return ""
}

const twoDigits = "20 27 30 31 32 33 34 36 39 40 41 43 44 45 46 47 48 49 51 52 53 54 55 56 57 58 60 61 62 63 64 65 66 81 82 84 86 90 91 92 93 94 95 98"

// premium are prefixes of numbers that cost more than a call: the international
// ones of no country (ITU-T E.164 annex A.3), and the best known national ones.
func premium() []string {
	return []string{
		"+808", "+870", "+878", "+881", "+882", "+883", "+888", "+979",
		"+1900", "+31900", "+31906", "+31909", "+3290", "+3389", "+34803", "+34806", "+34807", "+39892", "+39895", "+39899",
		"+41900", "+41901", "+41906", "+43900", "+43901", "+43930", "+43931", "+43939", "+449", "+48700", "+49900", "+611900",
	}
}
