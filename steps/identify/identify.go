// Package identify is the step "identify": who the person says that they are.
package identify

import (
	"context"
	"encoding/json"
	"fmt"

	"github.com/stile-auth/stile/flowdefs"
	"github.com/stile-auth/stile/flows"
)

const doc = `Asks who the person is: a login, an e-mail address or a telephone number.

	prompt  IDENTIFICATION_REQUIRED   {}
	answer  {"username": "jane"}

It proves nothing and checks nothing: any name is taken, and until somebody has
proved to be there every name looks the same, in what is asked, what is answered
and how long that takes. Steps behind it that check something ask it of the account
of that name; of a name that nobody has, every answer to them is wrong.

Who is named already, by a hint at the start, by a session or by a proof, is not
asked again. Until the first proof, going back to this step forgets the name.

Scenarios: ok, unknown (a name that nobody has).
`

// Type returns the step type.
func Type() flows.StepType {
	return flows.StepType{
		Name:   "identify",
		Doc:    doc,
		Code:   "IDENTIFICATION_REQUIRED",
		Prompt: flowdefs.SchemaFor[struct{}](),
		Input:  flowdefs.SchemaFor[answer](),
		Typed:  true,
		Names:  true,
		New:    func(cfg flowdefs.Config) (flows.Step, error) { return step{}, cfg.Decode(&struct{}{}) },
		Actor:  actor,
	}
}

type answer struct {
	Username string `json:"username" minLength:"1" maxLength:"256" doc:"Login, e-mail address or telephone number."`
}

type step struct{}

var _ flows.Claimer = step{}

// Enter asks for the name.
func (step) Enter(context.Context, *flows.Visit) (flows.Outcome, error) {
	return flows.Ask(flows.Prompt{}), nil
}

// Claim returns the name, for the engine to find the account.
func (step) Claim(in flows.Input) (string, error) {
	var a answer
	if err := in.Decode(&a); err != nil {
		return "", err
	}
	if len(a.Username) == 0 || len(a.Username) > 256 {
		return "", fmt.Errorf("%w: username: 1 to 256 bytes", flows.ErrMalformed)
	}
	return a.Username, nil
}

// Answer takes any name: whether somebody has it is nothing that anybody learns here.
func (s step) Answer(_ context.Context, _ *flows.Visit, in flows.Input) (flows.Outcome, error) {
	if _, err := s.Claim(in); err != nil {
		return flows.Outcome{}, err
	}
	return flows.Done(), nil
}

func actor(_ json.RawMessage, how string) (json.RawMessage, error) {
	name := map[string]string{"ok": "jane", "unknown": "nobody"}[how]
	if name == "" {
		return nil, fmt.Errorf("identify: the actor does not know %q", how)
	}
	return json.Marshal(answer{name})
}
