package account

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"net/mail"
	"strings"
	"unicode/utf8"

	"golang.org/x/net/idna"
)

// EmailData is the data of a [TypeEmail] authenticator: an address that codes are sent to.
type EmailData struct {
	Address string `json:"address"` // as ParseEmail returns it
}

// ErrEmail reports what is no e-mail address that can be written to.
var ErrEmail = errors.New("account: not an e-mail address")

const maxEmail = 254 // RFC 5321 §4.5.3.1.3, without the angle brackets

// ParseEmail returns the one spelling of an e-mail address: the bare address
// (RFC 5322 addr-spec), its local part as it is (only the receiver knows what it
// means), its domain in lower-case ASCII. [ErrEmail] for anything else, above all
// for what could be more than one address or a line of a message.
func ParseEmail(text string) (string, error) {
	if len(text) > maxEmail || !utf8.ValidString(text) || strings.ContainsFunc(text, unfitForEmail) {
		return "", fmt.Errorf("%w: too long, or with characters that it cannot have", ErrEmail)
	}
	parsed, err := mail.ParseAddress(text)
	if err != nil || parsed.Address != text { // a name, brackets or a comment beside it
		return "", fmt.Errorf("%w: expected name@domain and nothing else", ErrEmail)
	}
	at := strings.LastIndexByte(text, '@')
	local, domain := text[:at], text[at+1:]
	ascii, err := idna.Lookup.ToASCII(domain)
	if err != nil || !strings.Contains(ascii, ".") || strings.HasSuffix(ascii, ".") {
		return "", fmt.Errorf("%w: its domain cannot be one", ErrEmail)
	}
	return local + "@" + ascii, nil
}

// FirstAddress is the active address that was bound first, "" if there is none:
// where an account's owner is told what changes.
func FirstAddress(all []Authenticator) string {
	var d EmailData
	if a := first(all, TypeEmail); a == nil || json.Unmarshal(a.Data, &d) != nil {
		return ""
	}
	return d.Address
}

// FirstNumber is the same for telephone numbers.
func FirstNumber(all []Authenticator) string {
	var d PhoneData
	if a := first(all, TypePhone); a == nil || json.Unmarshal(a.Data, &d) != nil {
		return ""
	}
	return d.Number
}

// first is the active authenticator of a type that was bound first, nil if there is none.
func first(all []Authenticator, typ string) *Authenticator {
	var found *Authenticator
	for i, a := range all {
		if a.Type != typ || a.Status != Active {
			continue
		}
		if found == nil || cmp.Or(a.Created.Compare(found.Created), strings.Compare(a.ID, found.ID)) < 0 {
			found = &all[i]
		}
	}
	return found
}

// unfitForEmail are the characters that no address has in its plain form.
func unfitForEmail(r rune) bool {
	return r <= ' ' || r >= 0x7f && r < 0xa0 || unfitForLogin(r) || strings.ContainsRune(`"(),:;<>[\]`, r)
}

// MaskEmail is an address as it may be shown to who has to find the mail: the
// first letters of its parts and nothing else, not even how long they are.
func MaskEmail(address string) string {
	at := strings.LastIndexByte(address, '@')
	if at < 0 {
		return ""
	}
	return initial(address[:at]) + "***@" + initial(address[at+1:]) + "***"
}

func initial(s string) string {
	r, size := utf8.DecodeRuneInString(s)
	if r == utf8.RuneError {
		return ""
	}
	return s[:size]
}
