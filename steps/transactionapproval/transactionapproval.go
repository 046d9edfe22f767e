// Package transactionapproval is the step "transaction_approval": a signature by
// the key of a bound phone over a transaction that the phone has shown.
package transactionapproval

import (
	"github.com/stile-auth/stile/flows"
	"github.com/stile-auth/stile/flows/account"
	"github.com/stile-auth/stile/steps/devicekey"
)

const doc = `Shows a transaction, and asks a bound phone for a signature over what was shown.

It stands in flows of the kind transaction alone. The app names the transaction when
it starts the run, and the server writes the text: nobody but the person has to
believe what the app says of it, because the person reads it before they sign.

	start   {"transaction": {"payee": "Ann Example", "amount": "12.50 CHF"}}
	prompt  TRANSACTION_APPROVAL_REQUIRED
	        {"challenge", "audience", "flow", "step", "expiresAt", "message": "approve-payment", "locale": "en",
	         "text": "Pay 12.50 CHF to Ann Example?", "arguments": {"payee", "amount"}, "txn": <hash>}
	answer  {"jws": "<compact JWS>"}

	with    text:   id of the message, which has to have a text
	        fields: the members of the transaction, 1 to 16; all of them stand in the text

	header  {"typ": "devauth+jwt", "alg": "ES256", "kid": <authenticator id>}
	payload {"aud": audience, "iss": <client id>, "sub": <authenticator id>, "flow", "step",
	         "nonce": challenge, "txn", "iat", "exp": at most iat + 60}

A transaction has exactly the members that the flow's steps show, each one line of 1
to 256 bytes without characters that nobody sees. txn is the SHA-256, in base64url, of
the JSON object of arguments, locale, message and text as RFC 8785 writes it. The app
shows the text, computes the hash of what it shows, and signs nothing else.

The key is that of device_biometric: it was bound by device_enrolment and belongs to
the run's DPoP key. A signature without txn, or over another transaction, is wrong, and
one with txn is no answer to device_biometric. A challenge is good for two minutes and
one answer.

It proves one factor, possession, replay-resistant, with the person present. The token
of the run has what was signed in authorization_details (RFC 9396 §9.1), as a member of
type transaction_approval with step, message, locale, text, arguments and hash: the
target application compares it with what it is asked to do. The step has no exits.
`

// Type returns the step type. The audience is Stile's issuer URL.
func Type(as devicekey.Authenticators, audience string) flows.StepType {
	return devicekey.Use{
		Name: "transaction_approval", Doc: doc, Code: "TRANSACTION_APPROVAL_REQUIRED", Authenticator: account.TypeDevice,
	}.Approving(as, audience)
}
