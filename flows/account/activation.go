package account

import (
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base32"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"
)

// ErrActivationCode reports what cannot be an activation code, whoever it might belong to.
var ErrActivationCode = errors.New("account: not an activation code")

// The ways by which activation codes reach people, as whoever issues one says.
const (
	ByBranch    = "branch" // handed over in person
	ByLetter    = "letter"
	ByTelephone = "telephone"
	ByMail      = "email"
	BySMS       = "sms"
)

// ActivationChannels are the ways by which activation codes reach people.
func ActivationChannels() []string { return []string{ByBranch, ByLetter, ByTelephone, ByMail, BySMS} }

// ActivationData is the data of a [TypeActivation] authenticator: one code that
// an administrator issued, with which somebody gets in for the first time.
type ActivationData struct {
	Hash    []byte    `json:"hash"`    // see NewActivationData
	Channel string    `json:"channel"` // how it went to the person
	Expires time.Time `json:"expires"`
	Owner   string    `json:"owner,omitempty"` // who has used it: the same owner may use it again
}

// activation is base32 without the letters I, L, O and U, which are mistaken for
// digits or make words.
//
//nolint:gochecknoglobals // a table
var activation = base32.NewEncoding("0123456789ABCDEFGHJKMNPQRSTVWXYZ").WithPadding(base32.NoPadding)

// activationBytes is 80 bits, as many as a recovery code has.
const activationBytes = 10

// NewActivationCode returns a new code as people read it, in groups of four characters.
func NewActivationCode() string {
	b := make([]byte, activationBytes)
	_, _ = rand.Read(b) // never fails
	text := activation.EncodeToString(b)
	return strings.Join([]string{text[:4], text[4:8], text[8:12], text[12:]}, "-")
}

// ParseActivationCode returns the one spelling of a code, however it was typed:
// capitals, without spaces and hyphens, with digits for the letters that look
// like them. [ErrActivationCode].
func ParseActivationCode(text string) (string, error) {
	code := strings.NewReplacer("-", "", " ", "", "O", "0", "I", "1", "L", "1").Replace(strings.ToUpper(text))
	b, err := activation.DecodeString(code)
	if err != nil || len(b) != activationBytes || activation.EncodeToString(b) != code {
		return "", ErrActivationCode
	}
	return code, nil
}

// NewActivationData keeps a code for that account and authenticator as a hash
// under a key. [ErrActivationCode] for what is none.
func NewActivationData(key []byte, subject, authenticator, text string) (ActivationData, error) {
	code, err := ParseActivationCode(text)
	if err != nil {
		return ActivationData{}, err
	}
	return ActivationData{Hash: activationHash(key, subject, authenticator, code)}, nil
}

func activationHash(key []byte, subject, authenticator, code string) []byte {
	mac := hmac.New(sha256.New, key)
	for _, part := range []string{"activation_code", subject, authenticator, code} {
		mac.Write(binary.BigEndian.AppendUint32(nil, uint32(len(part)))) //nolint:gosec // none is that long
		mac.Write([]byte(part))
	}
	return mac.Sum(nil)
}

// UseActivationCode uses up a code, as [ParseActivationCode] returns it, on a,
// which is over with that. It is what a caller passes to a repository's
// UpdateAuthenticator, which makes it atomic. [ErrWrong], also of a code that has
// expired; [ErrUsed] if anybody but this owner has used it; any other error means
// that the system failed. On an error a is unchanged.
func UseActivationCode(a *Authenticator, key []byte, now time.Time, code, owner string) error {
	if a.Type != TypeActivation || a.Status == Pending {
		return ErrWrong
	}
	if owner == "" {
		return errors.New("account: use of an activation code without an owner")
	}
	var d ActivationData
	if err := json.Unmarshal(a.Data, &d); err != nil {
		return fmt.Errorf("account: activation code: %w", err)
	}
	switch right := subtle.ConstantTimeCompare(d.Hash, activationHash(key, a.Subject, a.ID, code)) == 1; {
	case !right, !now.Before(d.Expires):
		return ErrWrong
	case d.Owner == owner:
		return nil
	case d.Owner != "":
		return ErrUsed
	case a.Status != Active: // withdrawn
		return ErrWrong
	}
	d.Owner = owner
	data, err := json.Marshal(d)
	if err != nil {
		return fmt.Errorf("account: activation code: %w", err)
	}
	a.Data, a.Status, a.LastUsed = data, Disabled, now.UTC()
	return nil
}

// ActivationChannel is how the code of an authenticator went to the person.
func ActivationChannel(a Authenticator) (string, error) {
	var d ActivationData
	if err := json.Unmarshal(a.Data, &d); err != nil {
		return "", fmt.Errorf("account: activation code: %w", err)
	}
	return d.Channel, nil
}
