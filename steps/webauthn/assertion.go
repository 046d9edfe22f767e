package webauthn

import (
	"crypto/sha256"
	"slices"

	"github.com/go-webauthn/webauthn/protocol"
	"github.com/go-webauthn/webauthn/protocol/webauthncose"
)

// Assertion is an answer of a credential that has the right form and is not yet verified.
type Assertion struct {
	parsed *protocol.ParsedCredentialAssertionData
}

// ParseAssertion reads an AuthenticationResponseJSON (§5.1, toJSON).
func ParseAssertion(credential []byte) (Assertion, error) {
	p, err := protocol.ParseCredentialRequestResponseBytes(credential)
	if err != nil {
		return Assertion{}, Malformed
	}
	return Assertion{p}, nil
}

// ClaimedCredential returns the credential by which to look the key up. It proves nothing.
func (a Assertion) ClaimedCredential() []byte { return a.parsed.RawID }

// ClaimedHandle returns the userHandle, nil if the answer has none. It proves nothing.
func (a Assertion) ClaimedHandle() []byte { return a.parsed.Response.UserHandle }

// Used is what a verified assertion says.
type Used struct {
	Counter        uint32
	BackupEligible bool // the key can leave the authenticator
	BackedUp       bool
	Verified       bool
}

// Verify checks that key, a COSE_Key, made the assertion for want (§7.2). Whose
// the key is, whether its eligibility for backup has changed and whether the
// counter has grown is left to who knows the credential.
func (a Assertion) Verify(key []byte, want Want) (Used, error) {
	r := a.parsed.Response
	if err := want.client(r.CollectedClientData, protocol.AssertCeremony); err != nil {
		return Used{}, err
	}
	if err := want.authenticator(r.AuthenticatorData); err != nil {
		return Used{}, err
	}
	if err := a.signedBy(key); err != nil {
		return Used{}, err
	}
	flags := r.AuthenticatorData.Flags
	return Used{
		Counter: r.AuthenticatorData.Counter, BackupEligible: flags.HasBackupEligible(),
		BackedUp: flags.HasBackupState(), Verified: flags.HasUserVerified(),
	}, nil
}

// signedBy checks the signature over authenticator data and client data (§7.2 steps 20, 21).
func (a Assertion) signedBy(key []byte) error {
	public, err := webauthncose.ParsePublicKey(key)
	if err != nil {
		return BadSignature
	}
	raw := a.parsed.Raw.AssertionResponse
	client := sha256.Sum256(raw.ClientDataJSON)
	valid, err := webauthncose.VerifySignature(public, slices.Concat(raw.AuthenticatorData, client[:]), a.parsed.Response.Signature)
	if err != nil || !valid {
		return BadSignature
	}
	return nil
}
