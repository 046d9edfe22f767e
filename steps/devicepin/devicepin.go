// Package devicepin is the step "device_pin": a signature by a key that a PIN
// unlocks on a bound phone.
package devicepin

import (
	"github.com/stile-auth/stile/flows"
	"github.com/stile-auth/stile/flows/account"
	"github.com/stile-auth/stile/flows/assurance"
	"github.com/stile-auth/stile/steps/devicekey"
)

const doc = `Asks a bound phone for a signature by a key that a PIN unlocks there.

The PIN never leaves the phone: it opens a key that device_pin_enrolment bound,
and that belongs to the run's DPoP key. The app counts wrong PINs, and destroys
the key after ten at most (SP 800-63B-4 §3.2.10). The signature is made for this
challenge, this step and this run.

	prompt  DEVICE_PIN_REQUIRED
	        {"challenge", "audience", "flow", "step", "expiresAt"}
	answer  {"jws": "<compact JWS>", "assertion": App Attest over the JWS, in base64url}

	header  {"typ": "devauth+jwt", "alg": "ES256", "kid": <authenticator id>}
	payload {"aud": audience, "iss": <client id>, "sub": <authenticator id>, "flow", "step",
	         "nonce": challenge, "iat", "exp": at most iat + 60}

A challenge is good for two minutes and one answer. An unknown key, a key of
another account or another phone, one that biometrics open and a revoked key get
the same work and the same answer as a wrong signature.

It proves one factor, possession, replay-resistant, with the person present;
tokens say pin beside the key's value in amr (RFC 8176 §2). That a PIN was asked
for is the phone's word, not a proof: it earns no second factor.

	with  attested  none (default): all keys prove the same;
	                preferred: keys that were attested when they were bound prove more;
	                required: other keys are refused

An attested key is hardware-bound and resistant to phishing; the PIN of the app is
not attested. A key that was bound with App Attest signs with an assertion, as
with device_biometric. The step has no exits.
`

// Type returns the step type. The audience is Stile's issuer URL; by verifies what
// phones say of their keys.
func Type(as devicekey.Authenticators, audience string, by devicekey.Attestation) flows.StepType {
	return devicekey.Use{
		Name: "device_pin", Doc: doc, Code: "DEVICE_PIN_REQUIRED", Authenticator: account.TypeDevicePIN, Unlock: assurance.UnlockPIN,
	}.Type(as, audience, by)
}
