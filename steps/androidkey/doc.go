// Package androidkey verifies what Android says of a key that a phone has made:
// Android Key Attestation, a chain of certificates from the key to a root of
// Google whose first certificate describes the key (extension
// 1.3.6.1.4.1.11129.2.1.17, "KeyDescription" in the manual of Android's Keystore).
//
// [Verifier.Verify] accepts a key only if all of this is attested:
//
//   - the chain leads to a root that is pinned by its public key. It may end
//     with that root or, as those of remotely provisioned phones do, before it;
//   - none of its certificates is revoked or suspended, nor, where Google
//     provisions keys remotely and for a short time, expired;
//   - only the first certificate describes a key. Anybody can have a genuine
//     phone sign a made-up certificate with a genuine attested key, and would
//     otherwise be believed;
//   - the key was made in secure hardware for this challenge, to sign and nothing
//     else, on P-256, on a phone that is locked and has started verified software;
//   - it belongs to one of our apps and to that app alone;
//   - it signs only after the person was recognised, where that is asked for.
//
// Whatever is wrong comes back as a [Refusal]. A [Verifier] is safe for concurrent use.
package androidkey

// Refusal says, in one closed word, why an attestation was not accepted. It is
// fit for audit and metrics; clients are not told.
type Refusal string

// The reasons.
const (
	Malformed      Refusal = "attestation_malformed"       // not a chain of certificates with one description
	BadChain       Refusal = "attestation_bad_chain"       // a certificate was not issued by the next one
	UnknownRoot    Refusal = "attestation_unknown_root"    // leads to a root that is not pinned
	Expired        Refusal = "attestation_expired"         // outside the time that the chain was provisioned for
	Extended       Refusal = "attestation_extended"        // an issuer describes a key as well
	Revoked        Refusal = "attestation_revoked"         // its maker has withdrawn a certificate
	WrongChallenge Refusal = "attestation_wrong_challenge" // made for another run, step or attempt
	Software       Refusal = "attestation_software"        // not attested by secure hardware, or the key is not in it
	WrongOrigin    Refusal = "attestation_wrong_origin"    // the key was not made where it is kept
	WrongPurpose   Refusal = "attestation_wrong_purpose"   // the key may do something else than sign
	WrongKey       Refusal = "attestation_wrong_key"       // not a P-256 key
	Shared         Refusal = "attestation_shared"          // any app may use the key
	Unlocked       Refusal = "attestation_unlocked"        // the boot loader takes any software
	Unverified     Refusal = "attestation_unverified"      // the phone has not started verified software
	OldPatch       Refusal = "attestation_old_patch"       // security patches older than the policy
	WrongApp       Refusal = "attestation_wrong_app"       // not exactly an app of ours
	Unprotected    Refusal = "attestation_unprotected"     // signs without anybody being recognised, or by something else than biometrics
	TooLong        Refusal = "attestation_too_long"        // stays open longer than the policy after the person was recognised
)

// Error returns "androidkey: " and the word.
func (r Refusal) Error() string { return "androidkey: " + string(r) }
