package stage

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/stile-auth/stile/flowdefs"
	"github.com/stile-auth/stile/flows"
)

// typeCall is the step type that asks a web service, which the stage answers itself.
const typeCall = "http_call"

// The answers of a web service besides the exits of the step type.
const (
	callOK   = "ok"
	callDown = "down"
)

// answerCalls puts in the place of web services what a scenario says that they
// answer: nothing leaves the machine. The configuration of the steps is checked as ever.
func (p *play) answerCalls(types []flows.StepType) error {
	i := slices.IndexFunc(types, func(t flows.StepType) bool { return t.Name == typeCall })
	if i < 0 {
		return nil
	}
	t, check := &types[i], types[i].New
	known := append([]string{callOK, callDown}, t.Exits...)
	for step, answer := range p.cast.Given.Calls {
		if !slices.Contains(known, answer) && !strings.HasPrefix(answer, "{") {
			return fmt.Errorf("calls: %s: no service answers %q; known: %v", step, answer, known)
		}
	}
	t.New = func(cfg flowdefs.Config) (flows.Step, error) {
		step, err := check(cfg)
		if err != nil {
			return nil, err
		}
		reads, ok := step.(reader)
		if !ok {
			return nil, fmt.Errorf("stage: steps of type %s read no answers", typeCall)
		}
		return called{reads, t.Exits, p.cast.Given.Calls}, nil
	}
	return nil
}

// reader is a step that knows what an answer comes to.
type reader interface {
	Decide(ctx context.Context, answer []byte) (flows.Outcome, error)
}

// called is a step that asks no service: it has been told what one would answer,
// a word or a JSON document.
type called struct {
	reader

	exits   []string
	answers map[string]string
}

// Enter answers as the service of this step would.
func (c called) Enter(ctx context.Context, v *flows.Visit) (flows.Outcome, error) {
	answer := cmp.Or(c.answers[v.StepID], callOK)
	switch {
	case answer == callDown:
		return flows.Outcome{}, fmt.Errorf("%w: the scenario says so", flows.ErrUnavailable)
	case slices.Contains(c.exits, answer): // however its configuration reads that off an answer
		return flows.Exit(answer), nil
	case strings.HasPrefix(answer, "{"):
		return c.Decide(ctx, []byte(answer))
	}
	return c.Decide(ctx, []byte(`{"outcome":"`+answer+`"}`))
}

// Answer is never called: the step asks nobody.
func (called) Answer(context.Context, *flows.Visit, flows.Input) (flows.Outcome, error) {
	return flows.Outcome{}, fmt.Errorf("%w: nothing was asked", flows.ErrMalformed)
}
