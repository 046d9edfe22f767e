package account

import (
	"errors"
	"fmt"
	"unicode/utf8"

	"golang.org/x/text/unicode/norm"
)

// Bounds of passwords: code points after NFC, and bytes as sent.
const (
	MinPassword    = 8
	MaxPassword    = 256
	maxSecretBytes = 1024
)

// ErrUnfit reports a secret that may not be set: too short, too long, too easy.
// Its text says why and may be shown to the person who chose the secret.
var ErrUnfit = errors.New("account: unfit secret")

// CheckPassword says whether a password may be set: [MinPassword] to
// [MaxPassword] code points after NFC, any characters (SP 800-63B-4 §3.1.1.2).
// [ErrUnfit] otherwise.
func CheckPassword(password string) error {
	text, err := normal(password)
	if err != nil {
		return err
	}
	switch n := utf8.RuneCountInString(text); {
	case n < MinPassword:
		return fmt.Errorf("%w: shorter than %d characters", ErrUnfit, MinPassword)
	case n > MaxPassword:
		return fmt.Errorf("%w: longer than %d characters", ErrUnfit, MaxPassword)
	}
	return nil
}

// normal returns the form of a secret that is hashed. Nothing is cut off: a NUL
// and the 73rd byte count like any other.
func normal(secret string) (string, error) {
	if len(secret) > maxSecretBytes {
		return "", fmt.Errorf("%w: longer than %d bytes", ErrUnfit, maxSecretBytes)
	}
	if !utf8.ValidString(secret) {
		return "", fmt.Errorf("%w: no UTF-8", ErrUnfit)
	}
	return norm.NFC.String(secret), nil
}
