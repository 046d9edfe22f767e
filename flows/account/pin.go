package account

import (
	"encoding/json"
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
	Hash       string   `json:"hash"`                 // of a Hasher, or of another system: see CheckHash
	MustChange bool     `json:"mustChange,omitempty"` // it lets nobody in before it is changed
	Before     []string `json:"before,omitempty"`     // hashes of the passwords that it was before, the last one first
	Owner      string   `json:"owner,omitempty"`      // who set it: the same owner may set it again
}

// LDAPData is the data of a [TypeLDAP] authenticator: an entry of a directory, which has the password.
type LDAPData struct {
	Directory string `json:"directory"`
	ID        string `json:"id"` // what stays when the person is renamed
}

// PINData is the data of a [TypePIN] authenticator.
type PINData struct {
	Hash   string `json:"hash"`   // PHC string of a Hasher
	Digits int    `json:"digits"` // how long the PIN is
}

// DeviceData is the data of a [TypeDevice] authenticator: a key that a device holds.
type DeviceData struct {
	JWK      json.RawMessage `json:"jwk"`      // public key, RFC 7517
	Attested bool            `json:"attested"` // the device's maker vouched for where the key is kept
}

// The reasons of [CheckPIN], to be looked up as texts.
const (
	PINForm     = "form"     // not the right number of digits
	PINSequence = "sequence" // neighbours, or a group again and again
	PINDate     = "date"     // somebody's birthday
	PINPersonal = "personal" // digits of the person's own telephone or login
)

// UnfitPINError is why a PIN may not be set; errors.Is finds [ErrUnfit].
type UnfitPINError string

// Error implements error.
func (u UnfitPINError) Error() string { return "account: unfit PIN: " + string(u) }

// Unwrap makes it an [ErrUnfit].
func (UnfitPINError) Unwrap() error { return ErrUnfit }

// CheckPIN says whether a PIN may be set: [MinPIN] to [MaxPIN] ASCII digits, no
// run of neighbours (123456, 987654, also over nine and zero), no repeated group
// (111111, 121212, 12341234), no date of the twentieth or twenty-first century,
// and nothing that ends one of the person's own numbers. [UnfitPINError] otherwise.
func CheckPIN(pin string, personal ...string) error {
	if len(pin) < MinPIN || len(pin) > MaxPIN || strings.Trim(pin, "0123456789") != "" {
		return UnfitPINError(PINForm)
	}
	if isRun(pin, 1) || isRun(pin, 9) {
		return UnfitPINError(PINSequence)
	}
	for n := 1; n <= len(pin)/2; n++ {
		if len(pin)%n == 0 && strings.Repeat(pin[:n], len(pin)/n) == pin {
			return UnfitPINError(PINSequence)
		}
	}
	for _, layout := range []string{"020106", "010206", "060102", "02012006", "01022006", "20060102"} {
		if at, err := time.Parse(layout, pin); err == nil && at.Year() >= 1900 && at.Year() < 2100 {
			return UnfitPINError(PINDate)
		}
	}
	for _, number := range personal {
		if strings.HasSuffix(digits(number), pin) {
			return UnfitPINError(PINPersonal)
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
