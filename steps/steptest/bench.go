package steptest

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing/fstest"
	"time"

	"github.com/stile-auth/stile/flowdefs"
	"github.com/stile-auth/stile/flows"
	"github.com/stile-auth/stile/flows/assurance"
)

// bench holds a step that was made as an engine would make it.
type bench struct {
	Case
	step  flows.Step
	marks *marks
}

func setUp(c Case) (*bench, error) {
	cfg, err := load(c, c.With)
	if err != nil {
		return nil, err
	}
	step, err := c.Type.New(cfg)
	if err != nil {
		return nil, fmt.Errorf("new step: %w", err)
	}
	return &bench{c, step, &marks{owners: map[string]string{}}}, nil
}

// load returns the configuration of a step, from a definition that holds it alone.
func load(c Case, with string) (flowdefs.Config, error) {
	registry, err := flows.NewRegistry(c.Type)
	if err != nil {
		return nil, err
	}
	kind := ""
	if c.Type.Transaction != nil {
		kind = "    kind: transaction\n"
	}
	text := "flows:\n  test:\n" + kind + "    steps:\n      - id: it\n        type: " + c.Type.Name + "\n"
	if with != "" {
		text += "        with: " + with + "\n"
	}
	files := fstest.MapFS{"test.yaml": {Data: []byte(text)}}
	if c.More != "" {
		files["more.yaml"] = &fstest.MapFile{Data: []byte(c.More)}
	}
	set, err := flowdefs.Load(files, ".", registry)
	if err != nil {
		return nil, err
	}
	return set.Flows["test"].Steps[0].With, nil
}

// visit returns the case's visit as another run of that name.
func (b *bench) visit(run string) *flows.Visit {
	v := b.Visit
	v.RunID = run
	return flows.NewVisit(v, "owner of "+run, b.marks)
}

// again returns the same visit for that owner, with a memory of its own that holds the same.
func (b *bench) again(v *flows.Visit, owner string) (*flows.Visit, error) {
	fresh := flows.NewVisit(*v, owner, b.marks)
	var memory json.RawMessage
	if err := v.Kept(&memory); errors.Is(err, flows.ErrNotFound) {
		return fresh, nil
	} else if err != nil {
		return nil, err
	}
	return fresh, fresh.Keep(memory)
}

// enter returns the data of the prompt that the step asks with.
func (b *bench) enter(ctx context.Context, v *flows.Visit) (json.RawMessage, error) {
	out, err := b.step.Enter(ctx, v)
	if err != nil {
		return nil, fmt.Errorf("enter: %w", err)
	}
	p := out.Asked()
	if p == nil {
		return nil, errors.New("enter did not ask")
	}
	return b.data(p)
}

func (b *bench) data(p *flows.Prompt) (json.RawMessage, error) {
	if p.Data == nil {
		return json.RawMessage("{}"), nil
	}
	data, err := json.Marshal(p.Data)
	if err != nil {
		return nil, fmt.Errorf("prompt: %w", err)
	}
	return data, b.quiet("prompt", string(data))
}

// errLeak tells the harness's own complaint from a step's error.
var errLeak = errors.New("a secret is in")

// quiet returns an error if the text holds a secret.
func (b *bench) quiet(what, text string) error {
	for _, secret := range b.Secrets {
		if strings.Contains(text, secret) {
			return fmt.Errorf("%w the %s", errLeak, what)
		}
	}
	return nil
}

// hushed returns the error, or another one instead if it tells a secret.
func (b *bench) hushed(err error) error {
	if leak := b.quiet("error", err.Error()); leak != nil {
		return leak
	}
	return err
}

// answer gives the step the body, as an engine would, and checks that the
// outcome is one that the step type has declared.
func (b *bench) answer(ctx context.Context, v *flows.Visit, body flows.Input) (flows.Outcome, error) {
	if c, ok := b.step.(flows.Claimer); ok {
		if _, err := c.Claim(body); err != nil {
			return flows.Outcome{}, b.hushed(err)
		}
	}
	out, err := b.step.Answer(ctx, v, body)
	if err != nil {
		if decided(out) != "nothing" {
			return out, fmt.Errorf("an error and an outcome (%s) at once: %w", decided(out), err)
		}
		return out, b.hushed(err)
	}
	return out, b.declared(v, out)
}

var reasonForm = regexp.MustCompile(`^[a-z][a-z_]{0,31}$`)

// declared checks an outcome against what the step type declares.
func (b *bench) declared(v *flows.Visit, out flows.Outcome) error {
	if reason, ok := out.Rejected(); ok && !reasonForm.MatchString(reason) {
		return fmt.Errorf("reason %q is not a closed word", reason)
	}
	if e := out.Exited(); e != "" && !slices.Contains(b.Type.Exits, e) {
		return fmt.Errorf("undeclared exit %q", e)
	}
	if p := out.Asked(); p != nil {
		_, err := b.data(p)
		return err
	}
	if out.EnrolledID() != "" && !b.Type.Enrols {
		return errors.New("enrolled, but the step type does not say that it does")
	}
	if p := out.Passed(); p != nil {
		return b.proof(v, p)
	}
	return nil
}

func (b *bench) proof(v *flows.Visit, p *flows.Proof) error {
	e := p.Evidence
	if err := assurance.CheckCeilings(b.Type.Evidence, e); err != nil {
		return err
	}
	if e.Authenticator == "" {
		return errors.New("evidence does not name the authenticator")
	}
	if e.Step != "" || e.StepType != "" || e.Config != "" || !e.At.IsZero() {
		return errors.New("evidence holds what the engine has to fill in")
	}
	if v.Claimed == "" && p.Subject == "" {
		return errors.New("proof of nobody")
	}
	if v.Claimed != "" && p.Subject != "" && p.Subject != v.Claimed {
		return errors.New("proof of somebody else than who was claimed")
	}
	return nil
}

// decided names the kind of an outcome.
func decided(out flows.Outcome) string {
	_, rejected := out.Rejected()
	switch {
	case rejected:
		return "reject"
	case out.Passed() != nil:
		return "pass"
	case out.IsDone():
		return "done"
	case out.Exited() != "":
		return "exit"
	case out.Asked() != nil:
		return "ask"
	}
	return "nothing"
}

// completed reports whether the outcome takes the run on.
func completed(out flows.Outcome) bool {
	return decided(out) == "pass" || decided(out) == "done"
}

// marks are one-time marks in a map; they never expire.
type marks struct {
	mu     sync.Mutex
	owners map[string]string
}

var _ flows.Marks = (*marks)(nil)

func (m *marks) TakeMark(_ context.Context, mark, owner string, _, _ time.Time) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	holder, held := m.owners[mark]
	if held && holder != owner {
		return flows.ErrTaken
	}
	m.owners[mark] = owner
	return nil
}

func (m *marks) DeleteExpiredMarks(context.Context, time.Time, int) (int, error) { return 0, nil }
