package devicekey

import (
	"fmt"
	"slices"
	"time"

	"github.com/stile-auth/stile/flowdefs"
	"github.com/stile-auth/stile/flows"
)

// Approving is [Use] for a step that shows a transaction, and takes only a
// signature over what it has shown.
func (u Use) Approving(as Authenticators, audience string) flows.StepType {
	t := u.Type(as, audience, Attestation{})
	t.Evidence, t.Ceilings = u.ceilings(none), nil
	t.Config, t.Prompt = flowdefs.SchemaFor[approving](), flowdefs.SchemaFor[approvalPrompt]()
	t.Transaction = func(cfg flowdefs.Config) []string {
		var c approving
		if cfg.Decode(&c) != nil { // it does not load
			return nil
		}
		return slices.Clone(c.Fields)
	}
	t.New = func(cfg flowdefs.Config) (flows.Step, error) {
		var c approving
		if err := cfg.Decode(&c); err != nil {
			return nil, err
		}
		if err := c.check(); err != nil {
			return nil, err
		}
		return u.step(as, audience, Attestation{}, none, asks{c.show, approval})
	}
	return t
}

type approving struct {
	Text   string   `yaml:"text" pattern:"^[a-z][a-z0-9._-]{0,63}$" ref:"text" arguments:"fields" doc:"Id of the message that shows the transaction."`
	Fields []string `yaml:"fields" doc:"Members of the transaction, all of which stand in the text."`
}

func (c approving) check() error {
	if len(c.Fields) == 0 || len(c.Fields) > flows.MaxTransaction {
		return fmt.Errorf("fields: expected 1 to %d names", flows.MaxTransaction)
	}
	for i, name := range c.Fields {
		if !flowdefs.IsArgument(name) || slices.Contains(c.Fields[:i], name) {
			return fmt.Errorf("fields: %q is the name of no argument of a message, or stands twice", name)
		}
	}
	return nil
}

// show puts the run's transaction into the text, in the person's language.
func (c approving) show(v *flows.Visit) (flows.Approval, error) {
	arguments := make(map[string]string, len(c.Fields))
	for _, name := range c.Fields {
		value, ok := v.Transaction[name]
		if !ok {
			return flows.Approval{}, fmt.Errorf("devicekey: the run's transaction has no %q", name)
		}
		arguments[name] = value
	}
	locale := v.Messages.Match(v.Locale)
	text, ok := v.Messages.Text(locale, c.Text, arguments)
	if !ok {
		return flows.Approval{}, fmt.Errorf("%w: there is no text %q to show", flows.ErrUnavailable, c.Text)
	}
	return flows.NewApproval(c.Text, locale, text, arguments)
}

type approvalPrompt struct {
	Challenge string            `json:"challenge" doc:"What is to be signed: the nonce of the payload."`
	Audience  string            `json:"audience" doc:"aud of the payload."`
	Flow      string            `json:"flow" doc:"flow of the payload."`
	Step      string            `json:"step" doc:"step of the payload."`
	ExpiresAt time.Time         `json:"expiresAt" doc:"How long the challenge is good."`
	Message   string            `json:"message" doc:"Id of the message."`
	Locale    string            `json:"locale" doc:"Language of the text."`
	Text      string            `json:"text" doc:"What the person has to be shown, as it is."`
	Arguments map[string]string `json:"arguments" doc:"What stands in the text, by name."`
	Txn       string            `json:"txn" doc:"Hash of arguments, locale, message and text: txn of the payload."`
}

func approval(c challenge, a *flows.Approval) any {
	return approvalPrompt{
		c.Challenge, c.Audience, c.Flow, c.Step, c.ExpiresAt, a.Message, a.Locale, a.Text, a.Arguments, a.Hash,
	}
}
