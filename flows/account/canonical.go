package account

import (
	"errors"
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"

	"golang.org/x/text/unicode/norm"
)

// MaxLogin is the greatest length of a login identifier in bytes, before and after Canonical.
const MaxLogin = 256

// ErrLogin reports a login identifier that cannot be one.
var ErrLogin = errors.New("account: not a login identifier")

// Canonical returns the form of a login identifier under which accounts are
// stored and found: NFKC, lower case, no white space around it. Two spellings
// that people take for the same identifier become the same string, so that an
// account has one set of counters however its login is typed.
//
// [ErrLogin] if the identifier is empty, longer than [MaxLogin] bytes, no UTF-8,
// or holds a control, format, private or line-breaking character.
// Canonical of a canonical identifier is itself.
func Canonical(login string) (string, error) {
	if len(login) > MaxLogin {
		return "", fmt.Errorf("%w: longer than %d bytes", ErrLogin, MaxLogin)
	}
	if !utf8.ValidString(login) {
		return "", fmt.Errorf("%w: no UTF-8", ErrLogin)
	}
	out, err := settle(login)
	if err != nil {
		return "", err
	}
	if out == "" || len(out) > MaxLogin {
		return "", fmt.Errorf("%w: empty or longer than %d bytes", ErrLogin, MaxLogin)
	}
	for _, r := range out {
		if unfitForLogin(r) {
			return "", fmt.Errorf("%w: character %U", ErrLogin, r)
		}
	}
	return out, nil
}

// settle folds until nothing changes: lower-casing can make a string that NFKC changes again.
func settle(s string) (string, error) {
	for range 4 {
		next := strings.TrimSpace(norm.NFKC.String(strings.ToLower(norm.NFKC.String(s))))
		if next == s {
			return s, nil
		}
		s = next
	}
	return "", fmt.Errorf("%w: no canonical form", ErrLogin)
}

// unfitForLogin is true for what cannot be seen, or breaks lines in logs and lists.
func unfitForLogin(r rune) bool {
	return r == utf8.RuneError || unicode.In(r, unicode.C, unicode.Zl, unicode.Zp)
}

// maxName is in code points.
const maxName = 64

// ErrName reports a name that nobody can give to an authenticator.
var ErrName = errors.New("account: not a name of an authenticator")

// CheckName returns [ErrName] for what could not be shown to its owner as it
// stands, or would rearrange the text around it. No name at all is fine.
func CheckName(name string) error {
	if utf8.RuneCountInString(name) > maxName {
		return fmt.Errorf("%w: longer than %d characters", ErrName, maxName)
	}
	for _, r := range name {
		if unicode.In(r, unicode.Cc, unicode.Zl, unicode.Zp, unicode.Bidi_Control) {
			return fmt.Errorf("%w: character %U", ErrName, r)
		}
	}
	return nil
}
