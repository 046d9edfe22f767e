package flows

import (
	"context"
	"errors"
	"fmt"
	"slices"
)

// errReplayed carries the answer to an idempotent repeat past the pipeline.
var errReplayed = errors.New("flows: replayed")

// Show returns the current view.
func (e *Engine) Show(ctx context.Context, h Secret, c Caller) (View, error) {
	x, v, err := e.open(ctx, h, Caller{Key: c.Key, RequestID: c.RequestID})
	if err == nil {
		v = e.view(x.r, x.p)
	}
	return v, e.problem(ctx, c, x, err)
}

// Answer answers the current step: stepID and turn as the href had them.
func (e *Engine) Answer(ctx context.Context, h Secret, c Caller, stepID string, turn int, in Input) (View, error) {
	return e.change(ctx, h, c, func(x *exchange) error { return x.answer(ctx, stepID, turn, in) })
}

// Back returns to the previous prompt that has no completed evidence.
func (e *Engine) Back(ctx context.Context, h Secret, c Caller, turn int) (View, error) {
	return e.change(ctx, h, c, func(x *exchange) error {
		if turn != x.r.State.Turn {
			return x.conflict(CodeStaleTurn)
		}
		return x.drive(ctx, signal{kind: sigBack})
	})
}

// Cancel ends the run; the view says cancelled.
func (e *Engine) Cancel(ctx context.Context, h Secret, c Caller) (View, error) {
	return e.change(ctx, h, c, func(x *exchange) error { return x.drive(ctx, signal{kind: sigCancel}) })
}

// Restart starts the same flow anew with the same client and key; the old run
// ends. What was counted per account stays counted.
func (e *Engine) Restart(ctx context.Context, h Secret, c Caller) (View, error) {
	return e.change(ctx, h, c, func(x *exchange) error { return x.restart(ctx) })
}

// change runs one request that changes a run.
func (e *Engine) change(ctx context.Context, h Secret, c Caller, do func(*exchange) error) (View, error) {
	x, v, err := e.open(ctx, h, c)
	if errors.Is(err, errReplayed) {
		return v, nil
	}
	if err == nil {
		if err = do(x); err == nil {
			v, err = x.commit(ctx)
		}
		if errors.Is(err, ErrConflict) {
			v, err = e.lost(ctx, h, c)
		}
	}
	return v, e.problem(ctx, c, x, err)
}

// lost answers a request that lost the compare-and-swap: if what won was the
// same request, it gets the same answer.
func (e *Engine) lost(ctx context.Context, h Secret, c Caller) (View, error) {
	x, v, err := e.open(ctx, h, c)
	if errors.Is(err, errReplayed) {
		return v, nil
	}
	if err != nil {
		return View{}, err
	}
	return View{}, x.conflict(CodeStaleTurn)
}

// open finds the run of a handle, and answers what is no new request. Whatever
// is not right about the handle or the key, the answer is one and the same.
func (e *Engine) open(ctx context.Context, h Secret, c Caller) (*exchange, View, error) {
	alias, err := parseSecret(h)
	if err != nil {
		return nil, View{}, notFound(err)
	}
	rec, err := e.cfg.Store.Load(ctx, alias, e.cfg.Now())
	if errors.Is(err, ErrNotFound) {
		return nil, View{}, notFound(err)
	}
	if err != nil {
		return nil, View{}, err
	}
	r, err := e.openRecord(rec)
	if err != nil {
		e.cfg.Logger.Error("run does not open")
		return nil, View{}, notFound(err)
	}
	retired := r.Retired != nil && *r.Retired == alias
	if r.Key != c.Key || !retired && r.Handle != alias {
		return nil, View{}, notFound(nil)
	}
	again, pr := r.isRepeat(c)
	if retired && !again {
		return nil, View{}, notFound(nil)
	}
	x := &exchange{e: e, c: c, r: r, presented: string(h)}
	if pr != nil {
		return x, View{}, pr
	}
	return e.resume(ctx, x, again)
}

// resume makes a loaded run ready: its definition, its client, its facts.
func (e *Engine) resume(ctx context.Context, x *exchange, again bool) (*exchange, View, error) {
	r := x.r
	var err error
	if x.p, err = e.program(ctx, r.Definition); err != nil {
		return nil, View{}, &Problem{Kind: KindUnavailable, Code: CodeDefinitionGone, Detail: "Try again later.", Err: err}
	}
	if err := e.recordEffects(ctx, r); err != nil {
		return x, View{}, err
	}
	if again {
		v, err := e.replay(r, x.p, x.presented)
		if err == nil {
			err = errReplayed
		}
		x.refused = refusedBy(err)
		return x, v, err
	}
	if r.State.Status != InProgress {
		v := e.view(r, x.p)
		return x, View{}, &Problem{Kind: KindFinished, Code: CodeFinished, Detail: "The flow has ended.", View: &v}
	}
	client, ok := e.cfg.Definitions.Clients[r.Client]
	if !ok || !slices.Contains(client.Flows, r.Flow) {
		return x, View{}, &Problem{Kind: KindFailed, Code: CodeNotAllowed, Detail: "The client may not run this flow any more."}
	}
	x.client = client
	if err := x.look(ctx); err != nil {
		return x, View{}, err
	}
	return x, View{}, nil
}

// refusedBy marks a replayed problem as one that was recorded when it happened.
func refusedBy(err error) *Problem {
	var pr *Problem
	if errors.As(err, &pr) {
		return pr
	}
	return nil
}

// answer takes a client's answer to the prompt that waits.
func (x *exchange) answer(ctx context.Context, stepID string, turn int, in Input) error {
	s := &x.r.State
	n, isStep := x.p.current(s)
	if n == nil {
		return fmt.Errorf("flows: run %s waits nowhere", x.r.ID)
	}
	other := isStep && s.Other && x.p.nodes[n.parent].def.ID == stepID
	switch {
	case stepID != s.At && !other:
		return x.conflict(CodeNotCurrent)
	case turn != s.Turn:
		return x.conflict(CodeStaleTurn)
	}
	if s.Subject != "" && x.w.account.Status != AccountActive {
		x.events = append(x.events, Event{Type: EventRunFailed, Reason: CodeDenied})
		s.leave()
		s.Status, s.Failure = Failed, CodeDenied
		x.final()
		return nil
	}
	switch {
	case other:
		return x.reopen(ctx, in)
	case !isStep:
		return x.pick(ctx, in)
	}
	return x.submit(ctx, n, in)
}

func (x *exchange) reopen(ctx context.Context, in Input) error {
	if err := in.Decode(&struct{}{}); err != nil {
		return err
	}
	return x.drive(ctx, signal{kind: sigReopen})
}

func (x *exchange) pick(ctx context.Context, in Input) error {
	var body struct {
		Select string `json:"select"`
	}
	if err := in.Decode(&body); err != nil {
		return err
	}
	return x.drive(ctx, signal{kind: sigPick, option: body.Select})
}

// submit gives an answer to the current step: claim, reserve, check, in this order.
func (x *exchange) submit(ctx context.Context, n *node, in Input) error {
	x.input = in
	named, err := x.claim(ctx, n, in)
	if err != nil {
		return err
	}
	counter, locked, err := x.e.reserve(ctx, x.r, n)
	if err != nil {
		return x.withView(err)
	}
	v := x.visit(n, x.r.State.Turn)
	if locked {
		v.Claimed, v.Subject = "", "" // the work of a check, for nobody
	}
	out, err := n.step.Answer(ctx, v, in)
	if err != nil {
		return errors.Join(err, x.release(ctx, counter))
	}
	if locked {
		out = Reject(lostLocked, nil)
	}
	sig, err := x.signal(ctx, n, out)
	if err != nil {
		return errors.Join(err, x.release(ctx, counter))
	}
	if locked && x.r.State.Subject != "" {
		sig = signal{kind: sigLock}
	}
	if sig.outcome.kind == outcomePass && counter != "" {
		x.passed = append(x.passed, counter)
	}
	if sig.outcome.kind != outcomePass && named {
		x.r.State.Named, x.r.State.Claimed = "", "" // who mistyped may name somebody else
		if err := x.lookUp(ctx, ""); err != nil {
			return err
		}
	}
	return x.drive(ctx, sig)
}

// claim takes in whom the answer names, and says whether it did. Only before the first proof.
func (x *exchange) claim(ctx context.Context, n *node, in Input) (named bool, err error) {
	claimer, ok := n.step.(Claimer)
	if !ok || x.r.State.Subject != "" {
		return false, nil
	}
	identifier, err := claimer.Claim(in)
	if err != nil || identifier == "" {
		return false, err
	}
	if x.r.State.Named != "" || x.r.State.Session != nil {
		return false, malformed("the account is named already")
	}
	if err := x.e.claim(ctx, &x.r.State, identifier); err != nil {
		return false, err
	}
	return true, x.lookUp(ctx, x.r.State.Claimed)
}

// release gives a reserved attempt back: nothing was checked.
func (x *exchange) release(ctx context.Context, counter string) error {
	if counter == "" {
		return nil
	}
	return x.e.cfg.Throttle.Release(context.WithoutCancel(ctx), counter)
}

func (x *exchange) withView(err error) error {
	var pr *Problem
	if errors.As(err, &pr) && pr.View == nil {
		v := x.e.view(x.r, x.p)
		pr.View = &v
	}
	return err
}

// restart ends this run and begins another on the definition that is live now.
func (x *exchange) restart(ctx context.Context) error {
	r := x.r
	p := x.e.live[r.Flow]
	if p == nil {
		return x.conflict(CodeNotPossibleHere)
	}
	q := StartRequest{
		ClientID: r.Client, Flow: r.Flow, Target: r.Target, ACRValues: r.ACRValues,
		MaxAge: r.MaxAge, Locale: r.Locale, Capabilities: r.Draws,
	}
	next := x.e.newRun(Caller{Key: r.Key}, q, p)
	next.State.Session = r.State.Session
	if ps := next.State.Session; ps != nil {
		next.State.Claimed = ps.Subject
	}
	if err := x.e.pin(ctx, p.flow); err != nil {
		return err
	}
	v, err := x.e.launch(ctx, Caller{Key: r.Key}, next, p, x.client)
	if err != nil {
		return err
	}
	if err := x.drive(ctx, signal{kind: sigCancel}); err != nil {
		return err
	}
	x.instead = &v
	return nil
}
