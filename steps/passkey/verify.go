package passkey

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"encoding/json"
	"fmt"

	"github.com/go-webauthn/webauthn/protocol/webauthncbor"
	"github.com/go-webauthn/webauthn/protocol/webauthncose"

	"github.com/stile-auth/stile/flows"
	"github.com/stile-auth/stile/flows/account"
	"github.com/stile-auth/stile/flows/assurance"
	"github.com/stile-auth/stile/steps/webauthn"
)

// verify returns what the assertion proves. It verifies one also where there is
// no key to verify it with.
func (s *step) verify(ctx context.Context, v *flows.Visit, credential []byte, want webauthn.Want) (flows.Proof, error) {
	assertion, err := webauthn.ParseAssertion(credential)
	if err != nil {
		return flows.Proof{}, err
	}
	subject := whose(v, assertion)
	found, data, err := s.find(ctx, subject, assertion.ClaimedCredential())
	if err != nil {
		return flows.Proof{}, err
	}
	key, known := s.decoy, found.ID != ""
	if known {
		key = data.Key
	}
	used, err := assertion.Verify(key, want)
	if err == nil && !known {
		err = webauthn.BadSignature
	}
	if err != nil {
		return flows.Proof{}, err
	}
	if handle := assertion.ClaimedHandle(); handle != nil && !bytes.Equal(handle, []byte(found.Subject)) {
		return flows.Proof{}, webauthn.WrongHandle
	}
	if err := s.accounts.UpdateAuthenticator(ctx, found.ID, s.use(v, used)); err != nil {
		return flows.Proof{}, err
	}
	return flows.Proof{Subject: found.Subject, Evidence: s.evidence(found, data, used)}, nil
}

// whose is the account that the assertion is held against: the one that is
// claimed, and only where nobody is named the one that the passkey tells.
func whose(v *flows.Visit, a webauthn.Assertion) string {
	if named(v) {
		return v.Claimed
	}
	return webauthn.Subject(a.ClaimedHandle())
}

// named reports whether somebody is named, also somebody who is nobody.
func named(v *flows.Visit) bool { return v.Claimed != "" || v.Identifier != "" }

// find looks the credential up among the active ones of the account, and nowhere
// else. It asks also for no account at all, so that the look-up takes its time.
func (s *step) find(ctx context.Context, subject string, credential []byte) (account.Authenticator, account.PasskeyData, error) {
	all, err := s.accounts.Authenticators(ctx, subject)
	if err != nil {
		return account.Authenticator{}, account.PasskeyData{}, err
	}
	for _, a := range all {
		if subject == "" || a.ID != webauthn.ID(credential) {
			continue
		}
		if a.Type != account.TypePasskey || a.Status != account.Active {
			continue
		}
		data, err := stored(a)
		return a, data, err
	}
	return account.Authenticator{}, account.PasskeyData{}, nil
}

// stored reads the credential record of an authenticator; its id must be the credential's own.
func stored(a account.Authenticator) (account.PasskeyData, error) {
	var d account.PasskeyData
	if err := json.Unmarshal(a.Data, &d); err != nil {
		return d, fmt.Errorf("data of authenticator %s: %w", a.ID, err)
	}
	if webauthn.ID(d.Credential) != a.ID {
		return d, fmt.Errorf("authenticator %s has another credential", a.ID)
	}
	return d, nil
}

// use holds the assertion against the record as it is at this instant, and
// writes down what it says (§7.2 steps 18, 22 and 24). The same request may come
// again after a crash.
func (s *step) use(v *flows.Visit, used webauthn.Used) func(*account.Authenticator) error {
	return func(a *account.Authenticator) error {
		d, err := stored(*a)
		if err != nil {
			return err
		}
		if a.Status != account.Active {
			return webauthn.BadSignature // disabled while it was being verified
		}
		if used.BackupEligible != d.BackupEligible {
			return webauthn.WrongBackup
		}
		if s.counts(d) && d.Owner != v.Owner() && (used.Counter != 0 || d.Counter != 0) && used.Counter <= d.Counter {
			return webauthn.Counted
		}
		d.Counter, d.BackedUp, d.Owner = max(used.Counter, d.Counter), used.BackedUp, v.Owner()
		a.LastUsed = v.Now.UTC()
		a.Data, err = json.Marshal(d)
		return err
	}
}

// counts says whether the counter of a passkey has to grow. One that is on many
// devices has a counter on each of them, if any.
func (s *step) counts(d account.PasskeyData) bool { return s.Counter == always || !d.BackupEligible }

func (s *step) evidence(a account.Authenticator, d account.PasskeyData, used webauthn.Used) assurance.Evidence {
	binding, _ := assurance.ParseLevel(a.Binding) // of an unknown name: None, which earns nothing
	return assurance.Evidence{
		Method:            assurance.Passkey,
		Authenticator:     a.ID,
		Categories:        categories(s.verified()),
		PhishingResistant: true,
		ReplayResistant:   true,
		HardwareBound:     d.Attested && d.Hardware && !used.BackupEligible,
		Exportable:        used.BackupEligible,
		Attested:          d.Attested,
		UserPresent:       true,
		UserVerified:      s.verified(),
		Binding:           binding,
		Cap:               assurance.AAL3,
	}
}

// newDecoy makes a public key of which nobody has the private part.
func newDecoy() ([]byte, error) {
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, fmt.Errorf("passkey: decoy: %w", err)
	}
	point, err := private.PublicKey.Bytes()
	if err != nil {
		return nil, fmt.Errorf("passkey: decoy: %w", err)
	}
	return webauthncbor.Marshal(webauthncose.EC2PublicKeyData{
		PublicKeyData: webauthncose.PublicKeyData{KeyType: int64(webauthncose.EllipticKey), Algorithm: int64(webauthncose.AlgES256)},
		Curve:         int64(webauthncose.P256), XCoord: point[1:33], YCoord: point[33:],
	})
}
