package webauthn

import (
	"crypto/sha256"
	"crypto/subtle"

	"github.com/go-webauthn/webauthn/protocol"
)

// client checks what the browser or the operating system says of the ceremony:
// §7.1 steps 7 to 11, §7.2 steps 10 to 14.
func (w Want) client(c protocol.CollectedClientData, ceremony protocol.CeremonyType) error {
	if c.Type != ceremony {
		return WrongType
	}
	if w.Challenge == "" || subtle.ConstantTimeCompare([]byte(c.Challenge), []byte(w.Challenge)) != 1 {
		return WrongChallenge
	}
	if !w.Party.accepts(c.Origin) {
		return WrongOrigin
	}
	if c.CrossOrigin || c.TopOrigin != "" {
		return CrossOrigin
	}
	return nil
}

// authenticator checks what the authenticator says of itself: §7.1 steps 14 to
// 18, §7.2 steps 15 to 18.
func (w Want) authenticator(a protocol.AuthenticatorData) error {
	party := sha256.Sum256([]byte(w.Party.ID))
	if subtle.ConstantTimeCompare(a.RPIDHash, party[:]) != 1 {
		return WrongParty
	}
	if !a.Flags.HasUserPresent() {
		return NotPresent
	}
	if w.Verified && !a.Flags.HasUserVerified() {
		return NotVerified
	}
	if a.Flags.HasBackupState() && !a.Flags.HasBackupEligible() {
		return WrongBackup
	}
	return nil
}
