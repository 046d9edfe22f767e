// Package devicepinenrolment is the step "device_pin_enrolment": it binds a key that
// a PIN unlocks on the phone.
package devicepinenrolment

import (
	"github.com/stile-auth/stile/flows"
	"github.com/stile-auth/stile/flows/account"
	"github.com/stile-auth/stile/steps/devicekey"
)

const doc = `Binds a key of the phone that a PIN unlocks there.

The person chooses a PIN in the app: at least six digits, not a sequence, a
repetition or a date. The app makes a P-256 key that opens with this PIN only, and
signs the challenge with it; the server learns neither the PIN nor how long it is.
The run must have a DPoP key, and somebody must have proved to be there: a run
without either fails.

	prompt  DEVICE_PIN_ENROLMENT_REQUIRED
	        {"challenge", "audience", "flow", "step", "algorithms": ["ES256"], "expiresAt"}
	answer  {"jws": "<compact JWS>", "name": "Jane's phone"}

	header  {"typ": "devbind+jwt", "alg": "ES256", "jwk": {"kty": "EC", "crv": "P-256", "x", "y"}}
	payload {"aud": audience, "nonce": challenge, "flow", "step",
	         "jkt": RFC 7638 thumbprint of the run's DPoP key, "iat", "exp": at most iat + 60}

The name is optional, up to 64 characters. A challenge is good for two minutes
and one answer. The key's thumbprint becomes the authenticator's id; a key that
any account has or had, also one that biometrics open, is refused. The
authenticator belongs to the run's DPoP key, and the level that the run has now
caps it for ever (SP 800-63B-4 §4.1.2). Another PIN is another key.

	with  attestation  none (default), preferred or required, as with device_enrolment

Attested is where the key is kept, not what opens it: the PIN is the app's own.
Enrolling proves nothing in this run. The step has no exits.
`

// Type returns the step type. The audience is Stile's issuer URL; by verifies what
// phones say of their keys.
func Type(as devicekey.Binder, audience string, by devicekey.Attestation) flows.StepType {
	return devicekey.Bind{
		Name: "device_pin_enrolment", Doc: doc, Code: "DEVICE_PIN_ENROLMENT_REQUIRED", Authenticator: account.TypeDevicePIN,
	}.Type(as, audience, by)
}
