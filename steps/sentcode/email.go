package sentcode

import (
	"encoding/json"

	"github.com/stile-auth/stile/flows/account"
	"github.com/stile-auth/stile/flows/assurance"
)

// Email is a kind that sends by e-mail. To NIST that is no factor (SP 800-63B-4 §3.1.3.1).
func Email(name, doc, code string) Kind {
	return Kind{
		Name: name, Doc: doc, Code: code, Channel: "email",
		Authenticator: account.TypeEmail, Stored: storedEmail, Parse: account.ParseEmail, Mask: account.MaskEmail,
		Blank:    blankEmail,
		Evidence: assurance.Evidence{Method: assurance.Email, Channel: "mail", ReplayResistant: true, Cap: assurance.AAL1},
	}
}

func storedEmail(data []byte) (string, error) {
	var d account.EmailData
	err := json.Unmarshal(data, &d)
	return d.Address, err
}

// blankEmail is what is shown of every address before the first proof. The letters
// of a real one go with the name of its owner, and made-up ones would not.
const blankEmail = "***@***"
