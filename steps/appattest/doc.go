// Package appattest verifies what iPhones say of the apps on them: Apple App Attest
// ("Validating apps that connect to your server" in Apple's documentation).
//
// An attestation ([Verifier.Attest]) proves that a key was made by Apple's
// hardware for our app. An assertion ([Verifier.Assert]) is a signature by such a
// key over some data, with a counter that has to rise from one to the next.
//
// Both prove that our app is there, unchanged and on a genuine device. They prove
// nothing of a person: the key of App Attest signs without asking anybody.
//
// Whatever is wrong comes back as a [Refusal]. A [Verifier] is safe for concurrent use.
package appattest

// Refusal says, in one closed word, why something was not accepted. It is fit for
// audit and metrics; clients are not told.
type Refusal string

// The reasons.
const (
	Malformed        Refusal = "attestation_malformed"         // not the promised CBOR, or something follows it
	WrongFormat      Refusal = "attestation_wrong_format"      // of another attestation
	BadChain         Refusal = "attestation_bad_chain"         // does not lead to Apple, or not at this time
	WrongChallenge   Refusal = "attestation_wrong_challenge"   // made over something else
	WrongKey         Refusal = "attestation_wrong_key"         // the key and what names it are not the same
	WrongApp         Refusal = "attestation_wrong_app"         // no app of ours
	Used             Refusal = "attestation_used"              // of a key that has signed before
	WrongEnvironment Refusal = "attestation_wrong_environment" // made by a development build, or by something unheard of
	BadAssertion     Refusal = "assertion_wrong"               // not signed by the key over this data
	AssertionApp     Refusal = "assertion_wrong_app"           // signed for another app
)

// Error returns "appattest: " and the word.
func (r Refusal) Error() string { return "appattest: " + string(r) }
