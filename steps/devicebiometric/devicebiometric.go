// Package devicebiometric is the step "device_biometric": a signature by the key
// of a bound phone, which the phone makes after a biometric check.
package devicebiometric

import (
	"github.com/stile-auth/stile/flows"
	"github.com/stile-auth/stile/flows/account"
	"github.com/stile-auth/stile/steps/devicekey"
)

const doc = `Asks a bound phone for a signature that it makes after a biometric check.

The key was bound by device_enrolment and belongs to the run's DPoP key. The
signature is made for this challenge, this step and this run.

	prompt  BIOMETRIC_ATTESTATION_REQUIRED
	        {"challenge", "audience", "flow", "step", "expiresAt"}
	answer  {"jws": "<compact JWS>"}

	header  {"typ": "devauth+jwt", "alg": "ES256", "kid": <authenticator id>}
	payload {"aud": audience, "iss": <client id>, "sub": <authenticator id>, "flow", "step",
	         "nonce": challenge, "iat", "exp": at most iat + 60}

A challenge is good for two minutes and one answer. An unknown key, a key of
another account or another phone and a revoked key get the same work and the same
answer as a wrong signature.

It proves one factor, possession, replay-resistant, with the person present. That
biometrics were checked is the phone's word, not a proof, as long as the key is
not attested: it earns nothing more. The step takes no configuration and has no exits.
`

// Type returns the step type. The audience is Stile's issuer URL; by verifies what
// phones say of their keys.
func Type(as devicekey.Authenticators, audience string, by devicekey.Attestation) flows.StepType {
	return devicekey.Use{
		Name: "device_biometric", Doc: doc, Code: "BIOMETRIC_ATTESTATION_REQUIRED", Authenticator: account.TypeDevice,
		Biometric: true,
	}.Type(as, audience, by)
}
