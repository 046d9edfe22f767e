package account

import (
	"cmp"
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

// RecoveryCodes is how many codes a set has.
const RecoveryCodes = 10

// ErrRecoveryCode reports what cannot be a recovery code, whoever it might belong to.
var ErrRecoveryCode = errors.New("account: not a recovery code")

// RecoveryData is the data of a [TypeRecovery] authenticator: look-up secrets
// (SP 800-63B-4 §3.1.2) that a person was told once, to keep them.
type RecoveryData struct {
	Number int            `json:"number"` // of the set among those of its account, the later the greater
	Codes  []RecoveryCode `json:"codes"`
}

// RecoveryCode is one of them.
type RecoveryCode struct {
	Hash  []byte `json:"hash"`            // see NewRecoveryData
	Owner string `json:"owner,omitempty"` // who has used it: the same owner may use it again
}

// recoveryBytes is 80 bits: no more than 16 characters to write down, and
// nothing to be guessed from a hash.
const recoveryBytes = 10

// NewRecoveryCodes returns new codes as people read them, in groups of four characters.
func NewRecoveryCodes() []string {
	codes := make([]string, RecoveryCodes)
	for i := range codes {
		b := make([]byte, recoveryBytes)
		_, _ = rand.Read(b) // never fails
		text := base32.StdEncoding.EncodeToString(b)
		codes[i] = strings.Join([]string{text[:4], text[4:8], text[8:12], text[12:]}, "-")
	}
	return codes
}

// ParseRecoveryCode returns the one spelling of a code, however it was typed:
// capitals, without spaces and hyphens. [ErrRecoveryCode].
func ParseRecoveryCode(text string) (string, error) {
	code := strings.ToUpper(strings.NewReplacer("-", "", " ", "").Replace(text))
	b, err := base32.StdEncoding.DecodeString(code)
	if err != nil || len(b) != recoveryBytes || base32.StdEncoding.EncodeToString(b) != code {
		return "", ErrRecoveryCode
	}
	return code, nil
}

// NewRecoveryData keeps codes for that account and authenticator as hashes under
// a key, so that neither a stolen database nor another account's row tells or moves one.
func NewRecoveryData(key []byte, subject, authenticator string, codes []string) (RecoveryData, error) {
	var d RecoveryData
	for _, text := range codes {
		code, err := ParseRecoveryCode(text)
		if err != nil {
			return RecoveryData{}, err
		}
		d.Codes = append(d.Codes, RecoveryCode{Hash: recoveryHash(key, subject, authenticator, code)})
	}
	return d, nil
}

func recoveryHash(key []byte, subject, authenticator, code string) []byte {
	mac := hmac.New(sha256.New, key)
	for _, part := range []string{"recovery_code", subject, authenticator, code} {
		mac.Write(binary.BigEndian.AppendUint32(nil, uint32(len(part)))) //nolint:gosec // none is that long
		mac.Write([]byte(part))
	}
	return mac.Sum(nil)
}

// Find returns the place of a code, as [ParseRecoveryCode] returns it, or [ErrWrong].
// It takes as long whether or not there is one.
func (d RecoveryData) Find(key []byte, subject, authenticator, code string) (int, error) {
	hash, found := recoveryHash(key, subject, authenticator, code), -1
	for i, c := range d.Codes {
		if subtle.ConstantTimeCompare(hash, c.Hash) == 1 {
			found = i
		}
	}
	if found < 0 {
		return 0, ErrWrong
	}
	return found, nil
}

// Left is how many codes are not used yet.
func (d RecoveryData) Left() int {
	n := 0
	for _, c := range d.Codes {
		if c.Owner == "" {
			n++
		}
	}
	return n
}

// UseRecoveryCode uses a code up, on a. It is what a caller passes to a
// repository's UpdateAuthenticator, which makes it atomic. [ErrWrong], [ErrUsed]
// if anybody but this owner has used it; any other error means that the system
// failed. On an error a is unchanged.
func UseRecoveryCode(a *Authenticator, key []byte, now time.Time, code, owner string) error {
	if a.Type != TypeRecovery || a.Status != Active {
		return ErrWrong
	}
	if owner == "" {
		return errors.New("account: use of a recovery code without an owner")
	}
	var d RecoveryData
	if err := json.Unmarshal(a.Data, &d); err != nil {
		return fmt.Errorf("account: recovery codes: %w", err)
	}
	i, err := d.Find(key, a.Subject, a.ID, code)
	if err != nil {
		return err
	}
	if by := d.Codes[i].Owner; by != "" && by != owner {
		return ErrUsed
	}
	d.Codes[i].Owner = owner
	data, err := json.Marshal(d)
	if err != nil {
		return fmt.Errorf("account: recovery codes: %w", err)
	}
	a.Data, a.LastUsed = data, now.UTC()
	return nil
}

// LastRecoverySet returns the set of codes that was bound last, the only one
// that counts: a new set replaces those before it in the same instant in which it
// becomes active. If that set was removed there is none: an older one does not
// come back. [ErrNotFound]; any other error means that the data cannot be read.
func LastRecoverySet(all []Authenticator) (Authenticator, error) {
	var last Authenticator
	var number int
	for _, a := range all {
		if a.Type != TypeRecovery || a.Status == Pending {
			continue
		}
		n, err := recoveryNumber(a)
		if err != nil {
			return Authenticator{}, err
		}
		if last.ID == "" || cmp.Or(cmp.Compare(n, number), a.Created.Compare(last.Created), strings.Compare(a.ID, last.ID)) > 0 {
			last, number = a, n
		}
	}
	if last.Status != Active {
		return Authenticator{}, ErrNotFound
	}
	return last, nil
}

// NextRecoveryNumber is the number of the account's next set, given its authenticators.
func NextRecoveryNumber(all []Authenticator) (int, error) {
	next := 1
	for _, a := range all {
		if a.Type != TypeRecovery {
			continue
		}
		n, err := recoveryNumber(a)
		if err != nil {
			return 0, err
		}
		next = max(next, n+1)
	}
	return next, nil
}

func recoveryNumber(a Authenticator) (int, error) {
	var d RecoveryData
	if err := json.Unmarshal(a.Data, &d); err != nil {
		return 0, fmt.Errorf("account: recovery codes: %w", err)
	}
	return d.Number, nil
}
