package account

import (
	"errors"
	"fmt"
	"strings"
)

// PhoneData is the data of a [TypePhone] authenticator: a telephone number that codes are sent to.
type PhoneData struct {
	Number string `json:"number"` // as ParsePhone returns it
}

// ErrPhone reports what is no telephone number that can be written to.
var ErrPhone = errors.New("account: not a telephone number")

// Bounds of numbers in digits: ITU-T E.164 §6 has the upper one; no country has
// numbers as short as the lower one.
const (
	minPhone = 7
	maxPhone = 15
)

// ParsePhone returns the one spelling of an international telephone number
// (ITU-T E.164): a plus sign and digits, the first of which is not zero. Spaces
// and the signs with which people group digits are passed over. [ErrPhone] for
// anything else: a number without a country would be guessed at.
func ParsePhone(text string) (string, error) {
	number := strings.NewReplacer(" ", "", "-", "", ".", "", "(", "", ")", "").Replace(text)
	digits, ok := strings.CutPrefix(number, "+")
	if !ok || strings.Trim(digits, "0123456789") != "" || strings.HasPrefix(digits, "0") || len(text) > 2*maxPhone {
		return "", fmt.Errorf("%w: expected + and digits, the country's first", ErrPhone)
	}
	if len(digits) < minPhone || len(digits) > maxPhone {
		return "", fmt.Errorf("%w: expected %d to %d digits", ErrPhone, minPhone, maxPhone)
	}
	return number, nil
}

// MaskPhone is a number as it may be shown to who has to find the telephone: its
// last two digits, and not even how long it is.
func MaskPhone(number string) string {
	if len(number) < 2 {
		return ""
	}
	return "***" + number[len(number)-2:]
}
