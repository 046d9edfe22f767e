package sentcode

import (
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"math/big"
	"strings"
	"time"

	"github.com/stile-auth/stile/flows"
	"github.com/stile-auth/stile/flows/account"
)

// newCode returns random decimal digits, each as likely as any other.
func newCode(digits int) string {
	limit := new(big.Int).Exp(big.NewInt(10), big.NewInt(int64(digits)), nil)
	n, err := rand.Int(rand.Reader, limit)
	if err != nil {
		panic("sentcode: " + err.Error()) // never: the source does not fail
	}
	return fmt.Sprintf("%0*d", digits, n)
}

// sealed is what a run keeps of a code: enough to recognise it, not to say it.
type sealed struct {
	Authenticator string    `json:"authenticator"`
	Expires       time.Time `json:"expires"`
	Salt          []byte    `json:"salt"`
	Hash          []byte    `json:"hash"`
}

// seal binds a code to what it was made for.
func (s *step) seal(v *flows.Visit, to mailbox, code string, expires time.Time) sealed {
	salt := make([]byte, 16)
	_, _ = rand.Read(salt) // never fails
	return sealed{to.authenticator.ID, expires, salt, s.hash(v, to, salt, code)}
}

// opens compares in constant time, also where nothing was sent.
func (s *step) opens(kept sealed, v *flows.Visit, to mailbox, code string) bool {
	return hmac.Equal(kept.Hash, s.hash(v, to, kept.Salt, code))
}

// hash is of the code with run, step, visit, purpose and destination: a code is
// good for what it was sent for and for nothing else.
func (s *step) hash(v *flows.Visit, to mailbox, salt []byte, code string) []byte {
	mac := hmac.New(sha256.New, s.key)
	for _, part := range []string{
		s.kind.Name, "prove", v.RunID, v.StepID, fmt.Sprint(v.Attempt), v.Claimed, to.authenticator.ID, to.address, string(salt), code,
	} {
		mac.Write(binary.BigEndian.AppendUint32(nil, uint32(len(part)))) //nolint:gosec // none is that long
		mac.Write([]byte(part))
	}
	return mac.Sum(nil)
}

// addressOf is where the authenticator's codes go, "" if what is stored is no
// address: a failure would tell that there is an account.
func (s *step) addressOf(a account.Authenticator) string {
	stored, err := s.kind.Stored(a.Data)
	if err != nil {
		return ""
	}
	address, err := s.kind.Parse(stored)
	if err != nil {
		return ""
	}
	return address
}

// shown is the destination as the client sees it. Before the first proof it
// tells nothing of the account: who was named by an address is shown that one,
// whoever it belongs to.
func (s *step) shown(m mailbox, v *flows.Visit) string {
	if typed, err := s.kind.Parse(strings.TrimSpace(v.Identifier)); err == nil && v.Subject == "" {
		return s.kind.Mask(typed)
	}
	if s.kind.Blank != "" && v.Subject == "" {
		return s.kind.Blank
	}
	if m.address != "" {
		return s.kind.Mask(m.address)
	}
	if s.kind.Blank != "" {
		return s.kind.Blank
	}
	return s.kind.Mask(s.kind.Decoy(v.Decoy()))
}
