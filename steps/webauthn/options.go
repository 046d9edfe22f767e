package webauthn

import (
	"bytes"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"slices"
	"unicode/utf8"
)

// Descriptor names a credential: PublicKeyCredentialDescriptorJSON (§5.8.3).
type Descriptor struct {
	Type       string   `json:"type" doc:"public-key."`
	ID         string   `json:"id" doc:"The credential, in base64url."`
	Transports []string `json:"transports,omitempty" doc:"How to reach the authenticator."`
}

// Describe returns the descriptor of a credential.
func Describe(credential []byte, transports []string) Descriptor {
	return Descriptor{"public-key", base64.RawURLEncoding.EncodeToString(credential), transports}
}

// ID returns the id under which a credential is kept: a hash, because
// credentials are up to 1023 bytes long. Unlike the length, it is unique.
func ID(credential []byte) string {
	sum := sha256.Sum256(credential)
	return base64.RawURLEncoding.EncodeToString(sum[:])
}

// MaxHandle is the length of the longest user handle, in bytes (§5.4.3).
const MaxHandle = 64

// Handle returns the user handle of an account, in base64url.
func Handle(subject string) string { return base64.RawURLEncoding.EncodeToString([]byte(subject)) }

// Subject returns the account that a user handle is of, "" if it cannot be one.
func Subject(handle []byte) string {
	if len(handle) > MaxHandle || !utf8.Valid(handle) || bytes.IndexByte(handle, 0) >= 0 {
		return ""
	}
	return string(handle)
}

// The words of UserVerificationRequirement and ResidentKeyRequirement (§5.8.6, §5.4.6).
const (
	Required    = "required"
	Preferred   = "preferred"
	Discouraged = "discouraged"
)

// ErrWord reports a word that is none of those that a configuration can say.
var ErrWord = errors.New("webauthn: not one of the words that are known")

// OneOf returns nil if the value of a key is one of the words, else [ErrWord].
func OneOf(key, value string, words ...string) error {
	if !slices.Contains(words, value) {
		return fmt.Errorf("%w: %s: %q; known are %v", ErrWord, key, value, words)
	}
	return nil
}
