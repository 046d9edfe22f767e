package steptest

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"slices"
	"sync"

	"github.com/stile-auth/stile/flows"
)

// play enters and answers as the named run.
func (b *bench) play(ctx context.Context, v *flows.Visit, how string) (flows.Outcome, error) {
	data, err := b.enter(ctx, v)
	if err != nil {
		return flows.Outcome{}, err
	}
	return b.answer(ctx, v, b.Answer(data, v, how))
}

func accepts(ctx context.Context, c Case) error {
	b, err := setUp(c)
	if err != nil {
		return err
	}
	out, err := b.play(ctx, b.visit("run-1"), "ok")
	if err != nil {
		return err
	}
	switch {
	case c.Type.Enrols && out.EnrolledID() == "":
		return fmt.Errorf("nothing was enrolled: %s", decided(out))
	case !c.Type.Enrols && len(c.Type.Evidence) > 0 && out.Passed() == nil:
		return fmt.Errorf("nothing was proved: %s", decided(out))
	case !completed(out):
		return fmt.Errorf("not completed: %s", decided(out))
	}
	return nil
}

// rejects also tries the right answer after the wrong one, to a prompt of its own.
func rejects(ctx context.Context, c Case) error {
	b, err := setUp(c)
	if err != nil {
		return err
	}
	v := b.visit("run-1")
	out, err := b.play(ctx, v, "wrong")
	if err != nil {
		return fmt.Errorf("a wrong answer is no error: %w", err)
	}
	if _, ok := out.Rejected(); !ok {
		return fmt.Errorf("a wrong answer was not rejected: %s", decided(out))
	}
	out, err = b.play(ctx, b.visit("run-2"), "ok")
	if err != nil || !completed(out) {
		return fmt.Errorf("the right answer after a wrong one: %s, %v", decided(out), err)
	}
	return nil
}

func hidesUnknown(ctx context.Context, c Case) error {
	b, err := setUp(c)
	if err != nil {
		return err
	}
	nobody := b.Visit
	nobody.RunID, nobody.Subject, nobody.Claimed, nobody.Identifier = "run-1", "", "", "nobody"
	v := flows.NewVisit(nobody, "owner", b.marks)
	if c.NeedsSubject {
		if _, err := b.step.Enter(ctx, v); err == nil {
			return errors.New("entered, though nobody has proved to be there")
		}
		return nil
	}
	known, stranger := b.visit("run-1"), v
	knownData, err := b.enter(ctx, known)
	if err != nil {
		return err
	}
	data, err := b.enter(ctx, stranger)
	if err != nil {
		return err
	}
	if err := alike(knownData, data); err != nil {
		return err
	}
	wrong, err := b.answer(ctx, known, b.Answer(knownData, known, "wrong"))
	if err != nil {
		return err
	}
	want, _ := wrong.Rejected()
	for _, how := range []string{"ok", "wrong"} {
		out, err := b.answer(ctx, stranger, b.Answer(data, stranger, how))
		if err != nil {
			return fmt.Errorf("unknown account: %w", err)
		}
		if reason, ok := out.Rejected(); !ok || reason != want {
			return fmt.Errorf("unknown account, %s answer: %s %q, a wrong answer gets %q", how, decided(out), reason, want)
		}
		if data, err = b.enter(ctx, stranger); err != nil {
			return err
		}
	}
	return nil
}

// alike compares the keys of two prompts, and the types of their values.
func alike(a, b json.RawMessage) error {
	var x, y map[string]any
	if err := errors.Join(json.Unmarshal(a, &x), json.Unmarshal(b, &y)); err != nil {
		return err
	}
	for key, value := range x {
		other, ok := y[key]
		if !ok || reflect.TypeOf(value) != reflect.TypeOf(other) {
			return fmt.Errorf("the prompts of known and unknown accounts differ in %q", key)
		}
	}
	if len(x) != len(y) {
		return errors.New("the prompt of an unknown account says more")
	}
	return nil
}

// once uses one answer again: in another run, and where the same run comes back to the step.
func once(ctx context.Context, c Case) error {
	b, err := setUp(c)
	if err != nil {
		return err
	}
	v := b.visit("run-1")
	data, err := b.enter(ctx, v)
	if err != nil {
		return err
	}
	body := b.Answer(data, v, "ok")
	out, err := b.answer(ctx, v, body)
	if err != nil || !completed(out) {
		return fmt.Errorf("first use: %s, %v", decided(out), err)
	}
	back := b.Visit
	back.RunID, back.Attempt, back.Turn = "run-1", back.Attempt+1, back.Turn+2
	for name, v := range map[string]*flows.Visit{
		"another run": b.visit("run-2"),
		"coming back": flows.NewVisit(back, "owner of run-1, later", b.marks),
	} {
		if _, err := b.enter(ctx, v); err != nil {
			return err
		}
		out, err := b.answer(ctx, v, body)
		if err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
		if completed(out) != c.Reusable {
			return fmt.Errorf("%s: used again: %s", name, decided(out))
		}
	}
	return nil
}

// repeats is what a crash after the check and before the run is stored comes to.
func repeats(ctx context.Context, c Case) error {
	b, err := setUp(c)
	if err != nil {
		return err
	}
	first := b.visit("run-1")
	data, err := b.enter(ctx, first)
	if err != nil {
		return err
	}
	second, err := b.again(first, first.Owner())
	if err != nil {
		return err
	}
	body := b.Answer(data, first, "ok")
	one, err := b.answer(ctx, first, body)
	if err != nil {
		return err
	}
	two, err := b.answer(ctx, second, body)
	if err != nil {
		return fmt.Errorf("the same request again: %w", err)
	}
	if !completed(one) || !reflect.DeepEqual(one, two) {
		return fmt.Errorf("the same request again: %s after %s", decided(two), decided(one))
	}
	return nil
}

func failsClosed(ctx context.Context, c Case) error {
	b, err := setUp(c)
	if err != nil {
		return err
	}
	v := b.visit("run-1")
	data, err := b.enter(ctx, v)
	if err != nil {
		return err
	}
	before, err := b.again(v, v.Owner())
	if err != nil {
		return err
	}
	c.Break()
	out, err := b.answer(ctx, v, b.Answer(data, v, "ok"))
	if err == nil || errors.Is(err, flows.ErrMalformed) || errors.Is(err, errLeak) {
		return fmt.Errorf("right answer while the dependencies fail: %s, %v; want a failure of the system", decided(out), err)
	}
	var was, is json.RawMessage
	if err := errors.Join(ignoreNotFound(before.Kept(&was)), ignoreNotFound(v.Kept(&is))); err != nil {
		return err
	}
	if string(was) != string(is) {
		return errors.New("a failure has changed the step's memory")
	}
	// A wrong answer may be found wrong without asking anybody.
	if out, err := b.answer(ctx, v, b.Answer(data, v, "wrong")); err == nil && decided(out) != "reject" {
		return fmt.Errorf("wrong answer while the dependencies fail: %s", decided(out))
	}
	return nil
}

func ignoreNotFound(err error) error {
	if errors.Is(err, flows.ErrNotFound) {
		return nil
	}
	return err
}

const parallelRuns = 8

// concurrent sends one answer to many runs at once: one of them gets through.
func concurrent(ctx context.Context, c Case) error {
	b, err := setUp(c)
	if err != nil {
		return err
	}
	visits := make([]*flows.Visit, parallelRuns)
	var body flows.Input
	for i := range visits {
		visits[i] = b.visit(fmt.Sprintf("run-%d", i))
		data, err := b.enter(ctx, visits[i])
		if err != nil {
			return err
		}
		if i == 0 {
			body = b.Answer(data, visits[i], "ok")
		}
	}
	outcomes, errs := make([]flows.Outcome, parallelRuns), make([]error, parallelRuns)
	var wg sync.WaitGroup
	for i, v := range visits {
		wg.Go(func() { outcomes[i], errs[i] = b.answer(ctx, v, slices.Clone(body)) })
	}
	wg.Wait()
	if err := errors.Join(errs...); err != nil {
		return err
	}
	want, got := 1, 0
	if c.Reusable {
		want = parallelRuns
	}
	for _, out := range outcomes {
		if completed(out) {
			got++
		}
	}
	if got != want {
		return fmt.Errorf("%d of %d runs got through with one answer, want %d", got, parallelRuns, want)
	}
	return nil
}
