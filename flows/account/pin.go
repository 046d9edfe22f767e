package account

import (
	"strings"
	"time"
)

// Bounds of PINs, in digits. Under eight digits SP 800-63B-4 §3.1.1 gives no credit for a factor.
const (
	MinPIN = 6
	MaxPIN = 12
)

// PasswordData is the data of a [TypePassword] authenticator.
type PasswordData struct {
	Hash string `json:"hash"` // PHC string of a Hasher
}

// PINData is the data of a [TypePIN] authenticator.
type PINData struct {
	Hash   string `json:"hash"`   // PHC string of a Hasher
	Digits int    `json:"digits"` // how long the PIN is
}

// The reasons of [CheckPIN], to be looked up as texts.
const (
	PINForm     = "form"     // not the right number of digits
	PINSequence = "sequence" // neighbours, or a group again and again
	PINDate     = "date"     // somebody's birthday
	PINPersonal = "personal" // digits of the person's own telephone or login
)

// UnfitPIN is why a PIN may not be set; errors.Is finds [ErrUnfit].
type UnfitPIN string

// Error implements error.
func (u UnfitPIN) Error() string { return "account: unfit PIN: " + string(u) }

// Unwrap makes it an [ErrUnfit].
func (UnfitPIN) Unwrap() error { return ErrUnfit }

// CheckPIN says whether a PIN may be set: [MinPIN] to [MaxPIN] ASCII digits, no
// run of neighbours (123456, 987654, also over nine and zero), no repeated group
// (111111, 121212, 12341234), no date of the twentieth or twenty-first century,
// and nothing that ends one of the person's own numbers. [UnfitPIN] otherwise.
func CheckPIN(pin string, personal ...string) error {
	if len(pin) < MinPIN || len(pin) > MaxPIN || strings.Trim(pin, "0123456789") != "" {
		return UnfitPIN(PINForm)
	}
	if isRun(pin, 1) || isRun(pin, 9) {
		return UnfitPIN(PINSequence)
	}
	for n := 1; n <= len(pin)/2; n++ {
		if len(pin)%n == 0 && strings.Repeat(pin[:n], len(pin)/n) == pin {
			return UnfitPIN(PINSequence)
		}
	}
	for _, layout := range []string{"020106", "010206", "060102", "02012006", "01022006", "20060102"} {
		if at, err := time.Parse(layout, pin); err == nil && at.Year() >= 1900 && at.Year() < 2100 {
			return UnfitPIN(PINDate)
		}
	}
	for _, number := range personal {
		if strings.HasSuffix(digits(number), pin) {
			return UnfitPIN(PINPersonal)
		}
	}
	return nil
}

// digits are those of a text, in order.
func digits(text string) string {
	return strings.Map(func(r rune) rune {
		if r < '0' || r > '9' {
			return -1
		}
		return r
	}, text)
}

// isRun is true if each digit is the one before plus step, modulo ten.
func isRun(pin string, step int) bool {
	for i := 1; i < len(pin); i++ {
		if (int(pin[i-1]-'0')+step)%10 != int(pin[i]-'0') {
			return false
		}
	}
	return true
}
