// Package steptest is the harness that every step type must pass.
//
//	func TestConformance(t *testing.T) {
//		steptest.Run(t, func(t *testing.T) steptest.Case {
//			...
//			return steptest.Case{Type: totp.Type(repository, sealer), ...}
//		})
//	}
//
// It holds a step type to what package flows promises of it: that it is
// documented and its schemas tell the truth; that bad input is malformed and a
// wrong answer is an outcome; that an unknown account looks like a known one;
// that a proof is good once, except for the request that made it; that a
// failing dependency never lets anybody through; that no secret gets out; that
// what it sends goes to nobody else; and that many runs may use one step at once.
package steptest

import (
	"context"
	"encoding/json"
	"testing"

	"go.uber.org/goleak"

	"github.com/stile-auth/stile/flows"
)

// Case is a step type in a world of its own, with one account that can answer it.
type Case struct {
	Type flows.StepType
	With string // YAML of the step's configuration, e.g. "{ provider: corporate }"; "": none
	More string // YAML of other top-level sections that it refers to

	// Visit is a run that has come to the step. Its claimed account, subject and
	// key are such that it can be answered.
	Visit flows.Visit
	// Answer makes the body that answers a prompt, given its data as JSON. how is
	// "ok" or "wrong": right in form, wrong in substance.
	Answer func(prompt json.RawMessage, v *flows.Visit, how string) flows.Input
	// Secrets must not be seen anywhere: neither in prompts nor in errors.
	Secrets []string
	// Break makes every dependency of the step fail from now on.
	Break func()
	// Sent counts the messages that the step has sent; nil: it sends none.
	Sent func() int

	Reusable     bool // the answer is a secret that is good again and again, such as a password
	NeedsSubject bool // the step fails where nobody has proved to be there
}

// Check is one thing that must hold of every step type. Run returns what is
// wrong. The case must be fresh: a check uses it up.
type Check struct {
	Name string
	Run  func(ctx context.Context, c Case) error
}

// Checks returns all checks.
func Checks() []Check {
	return []Check{
		{"documented", documented},
		{"unknown configuration is refused", strictConfig},
		{"prompt holds no secret", quietPrompt},
		{"prompt is as its schema says", honestPrompt},
		{"entering twice is harmless", enterTwice},
		{"sends what its type says", sends},
		{"malformed answers are refused", strictAnswer},
		{"schema tells the truth", honestSchema},
		{"right answer is accepted within the ceilings", accepts},
		{"wrong answer is an outcome", rejects},
		{"unknown account looks like a known one", hidesUnknown},
		{"proof is good once", once},
		{"repeated request is accepted", repeats},
		{"failure lets nobody through", failsClosed},
		{"many runs at once", concurrent},
	}
}

// Run runs all checks, each on a fresh case, and looks for goroutines that are
// left. The calling test must not be parallel.
func Run(t *testing.T, open func(t *testing.T) Case) {
	t.Helper()
	before := goleak.IgnoreCurrent()
	for _, check := range Checks() {
		t.Run(check.Name, func(t *testing.T) {
			if err := check.Run(t.Context(), open(t)); err != nil {
				t.Error(err)
			}
		})
	}
	goleak.VerifyNone(t, before)
}
