// Package emailcode is the step "email_code": a code that is sent to the account's e-mail address.
package emailcode

import (
	"github.com/stile-auth/stile/flows"
	"github.com/stile-auth/stile/steps/sentcode"
)

const doc = `Sends a code to the account's e-mail address and asks for it.

	prompt  EMAIL_CODE_REQUIRED   {"destination": "j***@b***", "digits": 6, "sent": true,
	                               "expiresAt": "...", "resendAt": "..."}
	answer  {"code": "123456"}

	with    digits:    6 to 8; default 6
	        lifetime:  how long a code is good, from 30s to 10m; default 10m

A code is good once, for this run, this step and this address, until it expires,
another one is sent, or the step is left. How often another one is sent says resend of the step, and
on top of it the budgets of the account and of the address. If nothing could be
sent when the run arrived, sent is false, and resendAt says when it can be;
without resendAt there will be no other code in this run.

The address is that of the account, never one of a request. destination shows the
first letters of it. Before anybody was proved to be there it gives nothing away:
who was named by an e-mail address is shown that one, and anybody else ***@***: the
letters of an address go with the name of its owner, so that made-up ones would
tell who is known. An unknown account, one
without an address and a disabled one get the same work, the same prompt and, to
every answer, that of a wrong code. After 20 consecutive failures the
authenticator stays locked until an administrator acts.

To NIST e-mail is no factor (SP 800-63B-4 §3.1.3.1): the step proves an address and
earns nothing towards a level. A deployment can depart from that (email_is_factor of
assurance.deviations): then it is one factor of aal1, and never the second of two.
Tokens say otp and urn:stile-auth:amr:email in amr. It has no exits.
`

// Type returns the step type. The key, of 32 bytes, keys the hashes of codes.
func Type(as sentcode.Authenticators, key []byte) flows.StepType {
	return sentcode.Type(sentcode.Email("email_code", doc, "EMAIL_CODE_REQUIRED"), as, key)
}
