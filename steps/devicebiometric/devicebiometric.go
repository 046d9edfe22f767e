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
	answer  {"jws": "<compact JWS>", "assertion": App Attest over the JWS, in base64url}

	header  {"typ": "devauth+jwt", "alg": "ES256", "kid": <authenticator id>}
	payload {"aud": audience, "iss": <client id>, "sub": <authenticator id>, "flow", "step",
	         "nonce": challenge, "iat", "exp": at most iat + 60}

A challenge is good for two minutes and one answer. An unknown key, a key of
another account or another phone and a revoked key get the same work and the same
answer as a wrong signature.

	with  attested  none (default): all keys prove the same;
	                preferred: keys that were attested when they were bound prove more;
	                required: other keys are refused

A key that was bound with App Attest signs with an assertion of the attested app
over the JWS, whatever the author asks for; its counter has to rise.

It proves one factor, possession, replay-resistant, with the person present. That
biometrics were checked is the phone's word and earns nothing more, unless the key
is attested and the author asks for it: then it proves possession and inherence,
hardware-bound, and resistant to phishing, since only our own app has the key. An
iPhone carries aal2 at most: Apple vouches for the app, and not for the key that
the app has made. The step has no exits.
`

// Type returns the step type. The audience is Stile's issuer URL; by verifies what
// phones say of their keys.
func Type(as devicekey.Authenticators, audience string, by devicekey.Attestation) flows.StepType {
	return devicekey.Use{
		Name: "device_biometric", Doc: doc, Code: "BIOMETRIC_ATTESTATION_REQUIRED", Authenticator: account.TypeDevice,
		Biometric: true,
	}.Type(as, audience, by)
}
