// Package smscode is the step "sms_code": a code that is sent to the account's telephone.
package smscode

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/json"
	"fmt"

	"github.com/stile-auth/stile/flows"
	"github.com/stile-auth/stile/flows/account"
	"github.com/stile-auth/stile/flows/assurance"
	"github.com/stile-auth/stile/steps/sentcode"
)

const doc = `Sends a code to the account's telephone number and asks for it.

	prompt  SMS_CODE_REQUIRED   {"destination": "***67", "digits": 6, "sent": true,
	                             "expiresAt": "...", "resendAt": "..."}
	answer  {"code": "123456"}

	with    digits:    6 to 8; default 6
	        lifetime:  how long a code is good; default and at most 10m

A code is good once, for this run, this step and this number, until it expires
or another one is sent. How often another one is sent says resend of the step, and
on top of it the budgets of the account and of the number. If nothing could be
sent when the run arrived, sent is false, and resendAt says when it can be;
without resendAt there will be no other code in this run.

The number is that of the account, never one of a request. destination shows its
last two digits. Before anybody was proved to be there it gives nothing away: who
was named by a number is shown that one; for anybody else who has no number it is
made up, always the same for the same name. An unknown account, one without a
number and a disabled one get the same work, the same prompt and, to every answer,
that of a wrong code. After 20 consecutive failures the authenticator stays locked
until an administrator acts.

It proves one factor, possession, replay-resistant, over the public telephone
network, whose use is restricted (SP 800-63B-4 §3.2.9) since numbers can be taken
over: it never carries more than aal1. Offer another way beside it. Tokens say sms in amr. It has no exits.
`

// Type returns the step type. The key, of 32 bytes, keys the hashes of codes.
func Type(as sentcode.Authenticators, key []byte) flows.StepType {
	return sentcode.Type(sentcode.Kind{
		Name: "sms_code", Doc: doc, Code: "SMS_CODE_REQUIRED", Channel: "sms",
		Authenticator: account.TypePhone, Stored: stored, Parse: account.ParsePhone, Mask: account.MaskPhone, Decoy: decoy,
		Evidence: assurance.Evidence{
			Method: assurance.SMS, Categories: []assurance.Category{assurance.Possession}, Channel: "telephone",
			ReplayResistant: true, Restricted: true, Cap: assurance.AAL3,
		},
	}, as, key)
}

func stored(data []byte) (string, error) {
	var d account.PhoneData
	err := json.Unmarshal(data, &d)
	return d.Number, err
}

// decoy makes two last digits out of what looks random.
func decoy(seed []byte) string {
	sum := sha256.Sum256(seed)
	return fmt.Sprintf("+%02d", binary.BigEndian.Uint64(sum[:])%100)
}
