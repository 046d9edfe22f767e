package webauthn

import (
	"bytes"
	"context"
	"crypto/sha256"
	"slices"

	"github.com/go-webauthn/webauthn/metadata"
	"github.com/go-webauthn/webauthn/protocol"
	"github.com/go-webauthn/webauthn/protocol/webauthncbor"
	"github.com/go-webauthn/webauthn/protocol/webauthncose"
	"github.com/google/uuid"
)

// Policy is what a new credential has to be like.
type Policy struct {
	Algorithms []int    // COSE algorithms that were asked for
	Attested   bool     // a maker that the metadata know has to vouch for the authenticator
	Models     []string // AAGUIDs that are allowed; none: all. Means something only with Attested
	Resident   bool     // the credential has to be discoverable
}

// Created is what a verified creation says.
type Created struct {
	Credential     []byte
	Key            []byte // COSE_Key
	Algorithm      int
	Model          string // AAGUID; nobody vouches for it unless Attested
	Transports     []string
	Counter        uint32
	BackupEligible bool
	BackedUp       bool
	Verified       bool
	Attested       bool // a maker that the metadata know vouches for the authenticator
	Hardware       bool // and says that keys do not leave its hardware
}

// Creation is a new credential that has the right form and is not yet verified.
type Creation struct {
	parsed *protocol.ParsedCredentialCreationData
}

// ParseCreation reads a RegistrationResponseJSON (§5.1, toJSON).
func ParseCreation(credential []byte) (Creation, error) {
	p, err := protocol.ParseCredentialCreationResponseBytes(credential)
	if err != nil {
		return Creation{}, Malformed
	}
	return Creation{p}, nil
}

// Verify checks that the credential was made for want and is as policy asks
// (§7.1). Whether somebody has it already is left to who keeps credentials.
func (c Creation) Verify(ctx context.Context, want Want, policy Policy) (Created, error) {
	r := c.parsed.Response
	auth := r.AttestationObject.AuthData
	if err := want.client(r.CollectedClientData, protocol.CreateCeremony); err != nil {
		return Created{}, err
	}
	if err := want.authenticator(auth); err != nil {
		return Created{}, err
	}
	var key webauthncose.PublicKeyData
	if err := webauthncbor.Unmarshal(auth.AttData.CredentialPublicKey, &key); err != nil {
		return Created{}, Malformed
	}
	if !slices.Contains(policy.Algorithms, int(key.Algorithm)) {
		return Created{}, WrongAlgorithm
	}
	if _, err := webauthncose.ParsePublicKey(auth.AttData.CredentialPublicKey); err != nil {
		return Created{}, Malformed // for one: a point that is not on its curve
	}
	if !bytes.Equal(c.parsed.RawID, auth.AttData.CredentialID) {
		return Created{}, Malformed
	}
	if props := c.parsed.ClientExtensionResults.CredProps; policy.Resident && props != nil && props.RK != nil && !*props.RK {
		return Created{}, NotResident
	}
	made, err := c.attested(ctx, want.Party, policy)
	if err != nil {
		return Created{}, err
	}
	made.Credential, made.Key, made.Algorithm = auth.AttData.CredentialID, auth.AttData.CredentialPublicKey, int(key.Algorithm)
	made.Counter, made.Verified = auth.Counter, auth.Flags.HasUserVerified()
	made.BackupEligible, made.BackedUp = auth.Flags.HasBackupEligible(), auth.Flags.HasBackupState()
	for _, t := range r.Transports {
		made.Transports = append(made.Transports, string(t))
	}
	return made, nil
}

// attested verifies the attestation statement (§7.1 steps 21 to 24). One that
// nobody asked for has to be right too, and still vouches for nothing.
func (c Creation) attested(ctx context.Context, party Party, policy Policy) (Created, error) {
	object := c.parsed.Response.AttestationObject
	model, err := uuid.FromBytes(object.AuthData.AttData.AAGUID)
	if err != nil {
		return Created{}, Malformed
	}
	out := Created{Model: model.String()}
	client := sha256.Sum256(c.parsed.Raw.AttestationResponse.ClientDataJSON)
	var known metadata.Provider
	if policy.Attested {
		if known = party.Metadata; known == nil {
			return Created{}, NotAttested
		}
	}
	if err := object.VerifyAttestation(client[:], known, protocol.AttestationPolicy{}, protocol.SignaturePolicy{}); err != nil {
		return Created{}, NotAttested
	}
	if !policy.Attested {
		return out, nil
	}
	if object.Type == string(metadata.None) || object.Type == string(metadata.BasicSurrogate) {
		return Created{}, NotAttested // nobody, or the credential itself, vouches for it
	}
	if len(policy.Models) > 0 && !slices.Contains(policy.Models, out.Model) {
		return Created{}, WrongModel
	}
	entry, err := known.GetEntry(ctx, model)
	if err != nil || entry == nil {
		return Created{}, NotAttested
	}
	out.Attested = true
	out.Hardware = !object.AuthData.Flags.HasBackupEligible() && slices.ContainsFunc(entry.MetadataStatement.KeyProtection, inHardware)
	return out, nil
}

// inHardware: FIDO Registry of Predefined Values §3.2.
func inHardware(protection string) bool {
	return protection == "hardware" || protection == "tee" || protection == "secure_element"
}
