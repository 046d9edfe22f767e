package sentcode

import (
	"context"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"math/big"
	"slices"
	"strings"
	"time"

	"github.com/stile-auth/stile/flows"
	"github.com/stile-auth/stile/flows/account"
	"github.com/stile-auth/stile/flows/assurance"
)

// NewCode returns random decimal digits, each as likely as any other.
func NewCode(digits int) string {
	limit := new(big.Int).Exp(big.NewInt(10), big.NewInt(int64(digits)), nil)
	n, err := rand.Int(rand.Reader, limit)
	if err != nil {
		panic("sentcode: " + err.Error()) // never: the source does not fail
	}
	return fmt.Sprintf("%0*d", digits, n)
}

// Sealed is what a run keeps of a secret: enough to recognise it, not to say it.
type Sealed struct {
	Authenticator string    `json:"authenticator"`
	Expires       time.Time `json:"expires"`
	Salt          []byte    `json:"salt"`
	Hash          []byte    `json:"hash"`
}

// Office is what the steps of one kind send with. Key, of 32 bytes, keys the hashes of what is sent.
type Office struct {
	Kind     Kind
	Accounts Authenticators
	Key      []byte
}

// Seal binds a secret to what it was made for.
func (o Office) Seal(v *flows.Visit, to Mailbox, secret string, expires time.Time) Sealed {
	salt := make([]byte, 16)
	_, _ = rand.Read(salt) // never fails
	return Sealed{to.Authenticator.ID, expires, salt, o.hash(v, to, salt, secret)}
}

// Opens says whether this is the secret that was sealed, for the same and in
// time. It compares in constant time, also where nothing was sent.
func (o Office) Opens(kept Sealed, v *flows.Visit, at Mailbox, secret string) bool {
	right := hmac.Equal(kept.Hash, o.hash(v, at, kept.Salt, secret))
	if !right || at.Address == "" || kept.Authenticator != at.Authenticator.ID || !v.Now.Before(kept.Expires) {
		return false
	}
	return true
}

// hash is of the secret with run, step, visit, purpose and destination: it is
// good for what it was sent for and for nothing else.
func (o Office) hash(v *flows.Visit, to Mailbox, salt []byte, secret string) []byte {
	mac := hmac.New(sha256.New, o.Key)
	for _, part := range []string{
		o.Kind.Name, "prove", v.RunID, v.StepID, fmt.Sprint(v.Attempt), v.Claimed, to.Authenticator.ID, to.Address, string(salt), secret,
	} {
		mac.Write(binary.BigEndian.AppendUint32(nil, uint32(len(part)))) //nolint:gosec // none is that long
		mac.Write([]byte(part))
	}
	return mac.Sum(nil)
}

// Evidence is what a right secret proves that was sent to this authenticator.
func (o Office) Evidence(a account.Authenticator) assurance.Evidence {
	binding, _ := assurance.ParseLevel(a.Binding) // of an unknown name: None, which earns nothing
	e := o.Kind.Evidence
	e.Categories, e.Authenticator, e.Binding = slices.Clone(e.Categories), a.ID, binding
	return e
}

// Mailbox is where messages of the claimed account go. The zero value is nobody's.
type Mailbox struct {
	Address       string
	Authenticator account.Authenticator
}

// Mailbox finds the active address of the claimed account; of several the one
// that was bound first. It asks also for no account at all, so that the look-up
// takes its time.
func (o Office) Mailbox(ctx context.Context, v *flows.Visit) (Mailbox, error) {
	all, err := o.Accounts.Authenticators(ctx, v.Claimed)
	if err != nil {
		return Mailbox{}, fmt.Errorf("%s: %w", o.Kind.Name, err)
	}
	all = slices.DeleteFunc(slices.Clone(all), func(a account.Authenticator) bool {
		return v.Claimed == "" || a.Type != o.Kind.Authenticator || a.Status != account.Active
	})
	if len(all) == 0 {
		return Mailbox{}, nil
	}
	found := slices.MinFunc(all, func(a, b account.Authenticator) int {
		if c := a.Created.Compare(b.Created); c != 0 {
			return c
		}
		return strings.Compare(a.ID, b.ID)
	})
	return Mailbox{o.addressOf(found), found}, nil
}

// addressOf is where the authenticator's messages go, "" if what is stored is no
// address: a failure would tell that there is an account.
func (o Office) addressOf(a account.Authenticator) string {
	stored, err := o.Kind.Stored(a.Data)
	if err != nil {
		return ""
	}
	address, err := o.Kind.Parse(stored)
	if err != nil {
		return ""
	}
	return address
}

// Shown is the destination as the client sees it. Before the first proof it
// tells nothing of the account: who was named by an address is shown that one,
// whoever it belongs to.
func (o Office) Shown(m Mailbox, v *flows.Visit) string {
	if typed, err := o.Kind.Parse(strings.TrimSpace(v.Identifier)); err == nil && v.Subject == "" {
		return o.Kind.Mask(typed)
	}
	if o.Kind.Blank != "" && v.Subject == "" {
		return o.Kind.Blank
	}
	if m.Address != "" {
		return o.Kind.Mask(m.Address)
	}
	if o.Kind.Blank != "" {
		return o.Kind.Blank
	}
	return o.Kind.Mask(o.Kind.Decoy(v.Decoy()))
}
