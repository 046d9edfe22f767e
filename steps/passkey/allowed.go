package passkey

import (
	"context"
	"crypto/hmac"
	"crypto/sha512"

	"github.com/stile-auth/stile/flows"
	"github.com/stile-auth/stile/flows/account"
	"github.com/stile-auth/stile/steps/webauthn"
)

// allowed lists the passkeys that may answer: those of the account that is
// named; of nobody, if nobody is: then any may. How to reach an authenticator is
// told only to who has proved to be there, because a list that is made up has to
// look like one that is not.
func (s *step) allowed(ctx context.Context, v *flows.Visit) ([]webauthn.Descriptor, error) {
	out := []webauthn.Descriptor{}
	if !named(v) {
		return out, nil
	}
	all, err := s.accounts.Authenticators(ctx, v.Claimed)
	if err != nil {
		return nil, err
	}
	for _, a := range all {
		if v.Claimed == "" || a.Type != account.TypePasskey || a.Status != account.Active {
			continue
		}
		d, err := stored(a)
		if err != nil {
			return nil, err
		}
		if v.Subject == "" {
			d.Transports = nil
		}
		out = append(out, webauthn.Describe(d.Credential, d.Transports))
	}
	if len(out) == 0 && v.Subject == "" {
		out = decoys(v.Decoy())
	}
	return out, nil
}

// decoys are credentials that nobody has, always the same for one name
// (invariant: personal-looking data of unknown accounts is a keyed hash). Their
// number and length are as different as those of real ones are.
func decoys(seed []byte) []webauthn.Descriptor {
	mac := hmac.New(sha512.New, seed)
	mac.Write([]byte("passkey: how many, how long"))
	shape := mac.Sum(nil)
	count := 1
	if shape[0] < 64 { // one account in four has two
		count = 2
	}
	var out []webauthn.Descriptor
	for i := range count {
		mac.Reset()
		mac.Write([]byte{'p', 'k', byte(i)})
		length := []int{16, 20, 32, 64}[shape[1+i]%4]
		out = append(out, webauthn.Describe(mac.Sum(nil)[:length], nil))
	}
	return out
}
