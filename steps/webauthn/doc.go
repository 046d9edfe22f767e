// Package webauthn checks the two answers of WebAuthn authenticators (W3C Web
// Authentication Level 3): the assertion of a credential (§7.2), and the creation
// of one (§7.1).
//
// Parsing, keys, signatures and attestation statements are those of go-webauthn.
// What the answer has to be about (challenge, origin, relying party, flags) is
// checked here, each with a word of its own, so that the audit trail tells a
// phishing page from a typing mistake. Whatever is wrong comes back as a
// [Refusal].
//
// The package holds no state: all functions are safe for concurrent use.
package webauthn

// Refusal says, in one closed word, why an answer was not accepted. It is fit
// for audit and metrics; clients are not told.
type Refusal string

// The reasons.
const (
	Malformed      Refusal = "malformed"       // not a credential as JSON, or not the promised CBOR
	WrongType      Refusal = "wrong_type"      // made by the other ceremony
	WrongChallenge Refusal = "wrong_challenge" // made for another run, step or attempt
	WrongOrigin    Refusal = "wrong_origin"    // made for another site or app
	CrossOrigin    Refusal = "cross_origin"    // made in a frame of another site
	WrongParty     Refusal = "wrong_party"     // rpIdHash of another relying party
	NotPresent     Refusal = "not_present"     // nobody touched the authenticator
	NotVerified    Refusal = "not_verified"    // the authenticator did not verify the person
	WrongBackup    Refusal = "wrong_backup"    // backed up and not eligible, or eligibility has changed
	BadSignature   Refusal = "wrong"           // not signed by the credential, or no such credential
	WrongHandle    Refusal = "wrong_handle"    // the credential says that it is of another account
	Counted        Refusal = "counted"         // the signature counter did not grow: there may be a copy
	WrongAlgorithm Refusal = "wrong_algorithm" // a key of an algorithm that was not asked for
	NotAttested    Refusal = "not_attested"    // the attestation is wrong, or not of a maker that is known
	WrongModel     Refusal = "wrong_model"     // an authenticator of a model that is not allowed
	NotResident    Refusal = "not_resident"    // not discoverable, though it had to be
)

// Error returns "webauthn: " and the word.
func (r Refusal) Error() string { return "webauthn: " + string(r) }
