package account

import (
	"errors"
	"fmt"
	"unicode/utf8"

	"golang.org/x/text/unicode/norm"
)

// maxSecretBytes bounds what is hashed when a secret is verified.
const maxSecretBytes = 1024

// ErrUnfit reports a secret that may not be set: too short, too long, too easy.
// Its text says why and may be shown to the person who chose the secret.
var ErrUnfit = errors.New("account: unfit secret")

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
