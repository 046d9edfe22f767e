// Package androidkeytest makes Android Key Attestations as phones do, under roots
// of its own, and wrong in any single point that a test asks for.
//
// The form is that of KeyMint 3 (attestation version 300): the order of the tags,
// what the secure hardware vouches for and what Android adds, the subjects and the
// number of the certificates. It shares no code with the verifier. Harnesses
// only: a real phone's key cannot be had in this way.
package androidkeytest
