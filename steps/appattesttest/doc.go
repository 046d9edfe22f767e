// Package appattesttest makes App Attest attestations and assertions as iPhones
// do, under a root of its own, and wrong in any single point that a test asks for.
// It shares no code with the verifier. Harnesses only.
package appattesttest
