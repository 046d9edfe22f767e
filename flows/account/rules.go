package account

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"unicode/utf8"
)

// Bounds of passwords that are set (SP 800-63B-4 §3.1.1.2): code points after
// NFC, at least, and bytes, at most.
const (
	MinPassword      = 8  // where another factor stands beside it
	MinPasswordAlone = 15 // where it is all that is asked for
	MaxPassword      = 256
)

// Reason says why a password may not be set: a stable word, under which apps
// keep their texts.
type Reason string

// The reasons.
const (
	TooShort   Reason = "too_short"
	TooLong    Reason = "too_long"
	NotText    Reason = "not_text"    // no UTF-8
	Common     Reason = "common"      // many people have it, or it was found in a breach
	Contextual Reason = "contextual"  // the person's name, or the service's, with little beside it
	Unchanged  Reason = "unchanged"   // it is the password that is to be changed
	UsedBefore Reason = "used_before" // it was one of the last
)

// Reasons returns all of them.
func Reasons() []Reason {
	return []Reason{TooShort, TooLong, NotText, Common, Contextual, Unchanged, UsedBefore}
}

// UnfitError is an [ErrUnfit] with its reason.
type UnfitError struct{ Reason Reason }

// Error says why, in words that may be shown.
func (e *UnfitError) Error() string {
	return fmt.Sprintf("%v: %s", ErrUnfit, strings.ReplaceAll(string(e.Reason), "_", " "))
}

// Is makes it an [ErrUnfit].
func (e *UnfitError) Is(target error) bool { return target == ErrUnfit }

// Blocked is a list of passwords that nobody may set. Safe for concurrent use.
type Blocked interface {
	// Has reports whether the password is on the list. An error means that the list
	// cannot be read: then nothing can be set.
	Has(ctx context.Context, password string) (bool, error)
}

// PasswordRules says what may be set as a password. There are no rules of
// composition and no expiry (SP 800-63B-4 §3.1.1.2). The zero value asks for
// [MinPasswordAlone] and knows the built-in list. Safe for concurrent use.
type PasswordRules struct {
	Min     int      // code points; 0: [MinPasswordAlone]
	Blocked Blocked  // beside the built-in list; nil: none
	Words   []string // of the service: its name, its host
}

// Check says whether a password may be set. person is what is known of who sets
// it: logins, an e-mail address. An [*UnfitError] says why not; any other error
// means that nothing was decided.
func (r PasswordRules) Check(ctx context.Context, password string, person ...string) error {
	text, err := normal(password)
	if err != nil {
		if len(password) > maxSecretBytes {
			return &UnfitError{TooLong}
		}
		return &UnfitError{NotText}
	}
	least := r.Min
	if least == 0 {
		least = MinPasswordAlone
	}
	switch n := utf8.RuneCountInString(text); {
	case n < least:
		return &UnfitError{TooShort}
	case len(text) > MaxPassword:
		return &UnfitError{TooLong}
	case common(text):
		return &UnfitError{Common}
	case contextual(text, append(append([]string(nil), r.Words...), person...)):
		return &UnfitError{Contextual}
	}
	if r.Blocked == nil {
		return nil
	}
	blocked, err := r.Blocked.Has(ctx, text)
	if err != nil {
		return fmt.Errorf("account: list of blocked passwords: %w", err)
	}
	if blocked {
		return &UnfitError{Common}
	}
	return nil
}

// ReasonOf returns why a password may not be set; false if err says something else.
func ReasonOf(err error) (Reason, bool) {
	var unfit *UnfitError
	if errors.As(err, &unfit) {
		return unfit.Reason, true
	}
	return "", false
}

// fewest letters that a word of the person or the service has to have, and most
// that may stand around it.
const (
	shortWord = 4
	around    = 8
)

// contextual reports whether a password is a word of the person or the service,
// perhaps repeated, with a few characters around it.
func contextual(password string, words []string) bool {
	plain := folded(password)
	for _, word := range words {
		local, _, _ := strings.Cut(word, "@")
		for _, w := range []string{word, local} {
			w = folded(w)
			if utf8.RuneCountInString(w) < shortWord || !strings.Contains(plain, w) {
				continue
			}
			if utf8.RuneCountInString(strings.ReplaceAll(plain, w, "")) <= around {
				return true
			}
		}
	}
	return false
}
