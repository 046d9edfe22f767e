// Package propagation turns a proved identity into something that target
// applications accept, and publishes what they need to check it.
//
// # Keys
//
// A [Key] signs with exactly one algorithm (RFC 8725 §3.1) and is known by its
// RFC 7638 thumbprint. A [KeySet] has one active key, which signs, and others,
// which are published only: keys that are about to sign, and keys whose last
// tokens are still alive. [LoadOrCreateKeys] keeps a set in a file of PKCS#8
// PEM blocks, the active key first, readable by its owner alone.
//
// To rotate, add a key ([AddKey]), wait until every relying party has fetched
// it (the key set is served with a max-age of ten minutes), make it the active
// one ([ActivateKey]), and remove the old one ([RemoveKey]) when its last token
// has expired.
//
// # Tokens
//
// [BearerJWT] makes JWT access tokens (RFC 9068, "typ": "at+jwt"), one
// audience each. What they say comes from a [flows.Identity], which only the
// engine's assurance gate makes; the claims that a target maps can never take
// the name of a reserved claim, in any letter case.
//
// # Documents
//
// [Documents] renders the key set and the metadata documents (RFC 8414, OpenID
// Connect Discovery 1.0) once, and serves them as plain HTTP handlers.
package propagation
