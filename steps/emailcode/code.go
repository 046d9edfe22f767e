package emailcode

import (
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/binary"
	"encoding/json"
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
		panic("emailcode: " + err.Error()) // never: the source does not fail
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
		"email_code", "prove", v.RunID, v.StepID, fmt.Sprint(v.Attempt), v.Claimed, to.authenticator.ID, to.address, string(salt), code,
	} {
		mac.Write(binary.BigEndian.AppendUint32(nil, uint32(len(part)))) //nolint:gosec // none is that long
		mac.Write([]byte(part))
	}
	return mac.Sum(nil)
}

// addressOf is where the authenticator's codes go, "" if what is stored is no
// address: a failure would tell that there is an account.
func addressOf(a account.Authenticator) string {
	var data account.EmailData
	if json.Unmarshal(a.Data, &data) != nil {
		return ""
	}
	address, err := account.ParseEmail(data.Address)
	if err != nil {
		return ""
	}
	return address
}

// shown is the destination as the client sees it. Before the first proof it
// tells nothing of the account: who was named by an address is shown that one,
// whoever it belongs to.
func (m mailbox) shown(v *flows.Visit) string {
	if typed, err := account.ParseEmail(strings.TrimSpace(v.Identifier)); err == nil && v.Subject == "" {
		return account.MaskEmail(typed)
	}
	if m.address != "" {
		return account.MaskEmail(m.address)
	}
	return account.MaskEmail(decoy(v.Decoy()))
}

// decoy makes an address out of what looks random, with the first letters that
// addresses have.
func decoy(seed []byte) string {
	const letters = "aaaabbcccddeeefgghiijjjjkkklllmmmmmnnooppprrrrsssstttuvwyz"
	sum := sha256.Sum256(seed)
	return letters[int(sum[0])%len(letters):][:1] + "@" + letters[int(sum[1])%len(letters):][:1]
}
