// Package devicejws opens the two signatures that a device makes with its
// device-bound key: the one that binds the key to an account, and the one that
// authenticates with it.
//
// Both are JWS in compact form (RFC 7515 §7.1), ES256 and nothing else, made for
// one challenge of one step of one run, and good for at most [Lifetime].
//
//	binding         {"typ":"devbind+jwt","alg":"ES256","jwk":{"kty":"EC","crv":"P-256","x":..,"y":..}}
//	                {"aud":..,"nonce":..,"flow":..,"step":..,"jkt":..,"iat":..,"exp":..}
//	authentication  {"typ":"devauth+jwt","alg":"ES256","kid":<key id>}
//	                {"aud":..,"iss":<client id>,"sub":<key id>,"flow":..,"step":..,"nonce":..,"iat":..,"exp":..}
//	                and "txn", the hash of what was shown, if and only if a transaction is approved
//
// The members are these and no others, each exactly once: a header that brings
// "crit", "jku", "x5c" or "b64", or a claim given twice, is refused before any
// cryptography (RFC 8725 §2.10, §3.1, §3.11). A key id is the RFC 7638 SHA-256
// thumbprint of the key.
//
// Whatever is wrong comes back as a [Refusal]. The package is a leaf without
// state: all functions are safe for concurrent use.
package devicejws

// Refusal says, in one closed word, why a signature was not accepted. It is
// fit for audit and metrics; clients are not told.
type Refusal string

// The reasons.
const (
	Malformed    Refusal = "malformed"     // not a compact JWS with exactly the promised members
	WrongKind    Refusal = "wrong_kind"    // another typ or alg
	WrongKey     Refusal = "wrong_key"     // a key of another form, or one that no device may hold
	BadSignature Refusal = "wrong"         // not signed by the key
	WrongContext Refusal = "wrong_context" // made for another audience, client, run, step, challenge or key
	Stale        Refusal = "stale"         // made too early, too late, or for too long
)

// Error returns "devicejws: " and the word.
func (r Refusal) Error() string { return "devicejws: " + string(r) }
