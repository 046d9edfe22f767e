// Package deviceenrolment is the step "device_enrolment": it binds a phone's new key to the account.
package deviceenrolment

import (
	"github.com/stile-auth/stile/flows"
	"github.com/stile-auth/stile/flows/account"
	"github.com/stile-auth/stile/steps/devicekey"
)

const doc = `Binds a new device key to the account.

The app makes a P-256 key that the phone opens by biometrics only, and signs the
challenge with it. The run must have a DPoP key, and somebody must have proved to
be there: a run without either fails.

	prompt  DEVICE_ENROLMENT_REQUIRED
	        {"challenge", "audience", "flow", "step", "algorithms": ["ES256"], "expiresAt"}
	answer  {"jws": "<compact JWS>", "name": "Jane's phone"}

	header  {"typ": "devbind+jwt", "alg": "ES256", "jwk": {"kty": "EC", "crv": "P-256", "x", "y"}}
	payload {"aud": audience, "nonce": challenge, "flow", "step",
	         "jkt": RFC 7638 thumbprint of the run's DPoP key, "iat", "exp": at most iat + 60}

The name is optional, up to 64 characters. A challenge is good for two minutes
and one answer. The key's thumbprint becomes the authenticator's id; a key that
any account has or had is refused. The authenticator belongs to the run's DPoP
key, and the level that the run has now caps it for ever (SP 800-63B-4 §4.1.2).

	with  attestation  none (default): nobody is asked;
	                   preferred: a statement is verified if there is one;
	                   required: without one nothing is bound

Where that is asked for, the prompt has "attestation": {"mode", "android": {"challenge"},
"ios": {"challenge"}}, each kind of phone only if an app of it is configured (devices
in the configuration of the server), and the answer has "attestation":

	{"format": "android-key", "chain": [certificates in base64url, the key's own first]}
	{"format": "apple-appattest", "object": attestation in base64url,
	 "assertion": App Attest over the JWS, in base64url}

The bytes of the challenge are what Android's key is made with, and the client data
that the App Attest key is attested over. On Android the key itself is attested:
made in secure hardware, to sign and nothing else, by our app, on a phone that is
locked and runs verified software, and open to biometrics only. On an iPhone the app is attested, and its
word for the key is taken. A statement that is wrong binds nothing, also where it
is only preferred. With attestation required, and no app configured, the step
answers 503.

Enrolling proves nothing in this run. The step has no exits.
`

// Type returns the step type. The audience is Stile's issuer URL; by verifies what
// phones say of their keys.
func Type(as devicekey.Binder, audience string, by devicekey.Attestation) flows.StepType {
	return devicekey.Bind{
		Name: "device_enrolment", Doc: doc, Code: "DEVICE_ENROLMENT_REQUIRED", Authenticator: account.TypeDevice,
		Biometric: true,
	}.Type(as, audience, by)
}
