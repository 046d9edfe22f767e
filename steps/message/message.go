// Package message is the step "message": something to read, and to acknowledge.
package message

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"regexp"

	"github.com/stile-auth/stile/flowdefs"
	"github.com/stile-auth/stile/flows"
)

const doc = `Shows a message that the person acknowledges.

The definition names the message, and the app has its text, in the person's
language: the server sends no text. Where the definitions have texts ("messages"),
they must have this one; pages of the server show it.

	prompt  ACKNOWLEDGEMENT_REQUIRED
	        {"message": "account-locked", "arguments": {"phone": "+41 44 000 00 00"}}
	answer  {}

	with    text:      id of the message, made of a-z, 0-9, ".", "_" and "-"
	        arguments: what stands in the text, by name; optional

It proves nothing and has no exits. At the end of a handler it tells why a
sign-in came to nothing; in the sequence it is what the person has to see first.

Scenarios: ok.
`

// Type returns the step type.
func Type() flows.StepType {
	return flows.StepType{
		Name:   "message",
		Doc:    doc,
		Code:   "ACKNOWLEDGEMENT_REQUIRED",
		Config: flowdefs.SchemaFor[config](),
		Prompt: flowdefs.SchemaFor[prompt](),
		Input:  flowdefs.SchemaFor[answer](),
		Typed:  true,
		New: func(cfg flowdefs.Config) (flows.Step, error) {
			var c config
			if err := cfg.Decode(&c); err != nil {
				return nil, err
			}
			if !idForm.MatchString(c.Text) || len(c.Text) > maxID {
				return nil, fmt.Errorf("message: text is the id of a message, not %q", c.Text)
			}
			return step{prompt{c.Text, c.Arguments}}, nil
		},
		Actor: actor,
	}
}

const maxID = 64

var idForm = regexp.MustCompile(`^[a-z][a-z0-9._-]*$`)

type config struct {
	Text      string            `yaml:"text" pattern:"^[a-z][a-z0-9._-]{0,63}$" ref:"message" arguments:"arguments" doc:"Id of the message."`
	Arguments map[string]string `yaml:"arguments,optional" doc:"What stands in the text, by name."`
}

type prompt struct {
	Message   string            `json:"message" doc:"Id of the message."`
	Arguments map[string]string `json:"arguments,omitempty" doc:"What stands in the text, by name."`
}

type answer struct{}

type step struct{ asks prompt }

// Enter shows the message.
func (s step) Enter(context.Context, *flows.Visit) (flows.Outcome, error) {
	return flows.Ask(flows.Prompt{Data: s.asks}), nil
}

// Answer takes the acknowledgement.
func (s step) Answer(_ context.Context, _ *flows.Visit, in flows.Input) (flows.Outcome, error) {
	if err := in.Decode(&answer{}); err != nil {
		return flows.Outcome{}, err
	}
	return flows.Done(), nil
}

func actor(_ json.RawMessage, how string) (json.RawMessage, error) {
	if how != "ok" {
		return nil, errors.New("message: the only answer is ok")
	}
	return json.RawMessage("{}"), nil
}
