// Package propagation turns a proved identity into something that target
// applications accept, and publishes what they need to check it.
//
// # Keys
//
// A [Key] signs with exactly one algorithm (RFC 8725 §3.1) and is known by its
// RFC 7638 thumbprint. A [Keeper] keeps the keys that all nodes have: [KeyFile] in a
// file, [KeyStore] in the store, others elsewhere. A [Ring] is the keys with the times
// of their lives: a key is published twenty minutes before it signs, signs until the next one does, and
// goes when its last token has expired. A [Keyring] is what a node has of it: it reads the ring again and
// again, rotates it by a [Policy], and says which keys there are now.
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
