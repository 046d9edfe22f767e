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

// The step types that ask a web service, or a directory, which the stage answers itself.
const (
	typeCall   = "http_call"
	typeLookup = "directory_lookup"
)

// The answers of a web service besides the exits of the step type.
const (
	callOK   = "ok"
	callDown = "down"
)

// answerCalls puts in the place of web services and directories what a scenario says
// that they answer: nothing leaves the machine. The configuration of the steps is
// checked as ever.
func (p *play) answerCalls(types []flows.StepType) error {
	known := []string{callOK, callDown}
	for i := range types {
		if t := &types[i]; t.Name == typeCall || t.Name == typeLookup {
			p.answerType(t)
			known = append(known, t.Exits...)
		}
	}
	for step, answer := range p.cast.Given.Calls {
		if !slices.Contains(known, answer) && !strings.HasPrefix(answer, "{") {
			return fmt.Errorf("calls: %s: nobody answers %q; known: %v", step, answer, known)
		}
	}
	return nil
}

func (p *play) answerType(t *flows.StepType) {
	check, ok := t.New, `{"outcome":"ok"}`
	if t.Name == typeLookup { // an entry that has nothing
		ok = "{}"
	}
	t.New = func(cfg flowdefs.Config) (flows.Step, error) {
		step, err := check(cfg)
		if err != nil {
			return nil, err
		}
		reads, can := step.(reader)
		if !can {
			return nil, fmt.Errorf("stage: steps of type %s read no answers", t.Name)
		}
		return called{reads, ok, t.Exits, p.cast.Given.Calls}, nil
	}
}

// reader is a step that knows what an answer comes to.
type reader interface {
	Decide(ctx context.Context, answer []byte) (flows.Outcome, error)
}

// called is a step that asks no service: it has been told what one would answer,
// a word or a JSON document.
type called struct {
	reader

	ok      string // what it is told if the scenario says nothing
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
	return c.Decide(ctx, []byte(c.ok))
}

// Answer is never called: the step asks nobody.
func (called) Answer(context.Context, *flows.Visit, flows.Input) (flows.Outcome, error) {
	return flows.Outcome{}, fmt.Errorf("%w: nothing was asked", flows.ErrMalformed)
}
