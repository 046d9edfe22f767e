package flows

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/stile-auth/stile/flowdefs"
)

// answer takes a client's answer to the prompt that waits.
func (x *exchange) answer(ctx context.Context, stepID string, turn int, in Input) error {
	s := &x.r.State
	n := x.p.current(s)
	if n == nil {
		return fmt.Errorf("flows: run %s waits nowhere", x.r.ID)
	}
	other := s.Other != "" && s.Other == stepID
	switch {
	case stepID != s.At && !other:
		return x.conflict(CodeNotCurrent)
	case turn != s.Turn:
		return x.conflict(CodeStaleTurn)
	case s.Subject != "" && x.w.account.Status != AccountActive:
		return x.drive(ctx, signal{kind: sigDenied})
	case x.w.stale:
		return x.drive(ctx, signal{kind: sigEnded})
	case x.overdue():
		return x.drive(ctx, signal{kind: sigTime})
	case other:
		return x.empty(ctx, in, signal{kind: sigReopen})
	case s.Handed:
		return x.handedBack(ctx, n, in)
	}
	return x.take(ctx, n, in)
}

// take takes the answer to what waits, from whoever drew it.
func (x *exchange) take(ctx context.Context, n *node, in Input) error {
	switch n.def.Kind {
	case flowdefs.Choose:
		return x.pick(ctx, in)
	case flowdefs.Delay:
		return x.waited(ctx, in)
	default:
		return x.submit(ctx, n, in)
	}
}

// turned drives a signal that the client may send only while it sees this turn.
func (x *exchange) turned(ctx context.Context, turn int, sig signal) error {
	if turn != x.r.State.Turn {
		return x.conflict(CodeStaleTurn)
	}
	return x.drive(ctx, sig)
}

// empty drives a signal whose request has nothing to say.
func (x *exchange) empty(ctx context.Context, in Input, sig signal) error {
	if err := in.Decode(&struct{}{}); err != nil {
		return err
	}
	return x.drive(ctx, sig)
}

func (x *exchange) pick(ctx context.Context, in Input) error {
	var body struct {
		Select string `json:"select"`
	}
	if err := in.Decode(&body); err != nil {
		return err
	}
	return x.drive(ctx, signal{kind: sigPick, name: body.Select})
}

// waited goes on behind a delay, if it is over.
func (x *exchange) waited(ctx context.Context, in Input) error {
	if left := x.wait(); left > 0 {
		return &Problem{Kind: KindThrottled, Code: CodeWaitLonger, Detail: "It is too early.", RetryAfter: left}
	}
	return x.empty(ctx, in, signal{kind: sigTime})
}

// submit gives an answer to the current step: claim, reserve, check, in this order.
func (x *exchange) submit(ctx context.Context, n *node, in Input) error {
	x.input = in
	named, err := x.claim(ctx, n, in)
	if err != nil {
		return err
	}
	at, err := x.e.reserve(ctx, x, n)
	if err != nil {
		return err
	}
	counter, locked := at.key, at.locked
	v := x.visit(n, x.r.State.Turn)
	if locked {
		v.Claimed, v.Subject, v.Idle = "", "", true // the work of a check, for nobody
	}
	out, err := n.step.Answer(ctx, v, in)
	if out, err = x.routed(n, out, err); err != nil {
		return errors.Join(err, x.release(ctx, counter))
	}
	if !locked {
		locked, err = x.e.lockedElsewhere(ctx, x, n, out.proof)
	}
	if err != nil {
		return errors.Join(err, x.release(ctx, counter))
	}
	if locked {
		out = Reject(exitLocked, nil)
	}
	x.token = n.typ.Token
	sig, err := x.signal(ctx, n, out)
	if err != nil {
		return errors.Join(err, x.release(ctx, counter))
	}
	if locked && x.r.State.Subject != "" {
		sig = signal{kind: sigLock}
	}
	accepted := sig.outcome.kind == outcomePass && x.w.account.Status == AccountActive
	switch {
	case accepted && counter != "":
		x.passed = append(x.passed, counter)
		err = x.unguess(ctx)
	case slices.Contains([]outcomeKind{outcomeExit, outcomeAsk, outcomeDone}, sig.outcome.kind) && counter != "":
		err = x.release(ctx, counter)
	}
	if !accepted && (sig.outcome.kind == outcomeReject || sig.outcome.kind == outcomePass) {
		err = errors.Join(err, x.failed(ctx, n, at, sig.outcome.reason))
	}
	if !accepted && named && sig.outcome.kind != outcomeDone {
		x.r.State.Named, x.r.State.Claimed, x.r.State.Shadow = "", "", "" // who mistyped may name somebody else
		err = errors.Join(err, x.lookUp(ctx, ""))
	}
	if err != nil {
		return err
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
	err := x.unguess(ctx)
	if counter == "" {
		return err
	}
	return errors.Join(err, x.e.cfg.Throttle.Change(context.WithoutCancel(ctx), counter, giveBack(x.w.now)))
}

// restart ends this run and begins another on the definition that is live now.
func (x *exchange) restart(ctx context.Context) error {
	r := x.r
	p := x.a.startable(r.Flow, r.Target)
	if p == nil || x.p.flow.NoRestart {
		return x.conflict(CodeNotPossibleHere)
	}
	if err := p.shows(r.Transaction); err != nil { // the definition is another one by now
		return x.conflict(CodeNotPossibleHere)
	}
	q := StartRequest{
		ClientID: r.Client, Flow: r.Flow, Target: r.Target, ACRValues: r.ACRValues, Voluntary: r.Voluntary,
		MaxAge: r.MaxAge, Locale: r.Locale, RedirectURI: r.Redirect, Capabilities: r.Draws, Transaction: r.Transaction,
		CodeChallenge: r.Challenge,
	}
	next := x.e.newRun(x.a, Caller{Key: r.Key}, q, x.client, p)
	if ps := r.State.Session; ps != nil && !x.w.over {
		next.State.Session, next.State.Claimed, next.State.Tags = ps, ps.Subject, x.a.setBy(ps.Tags)
	}
	v, err := x.e.launch(ctx, Caller{Key: r.Key, RequestID: x.c.RequestID}, x.a, next, p, x.client)
	if err != nil {
		return err
	}
	if err := x.drive(ctx, signal{kind: sigCancel}); err != nil {
		return err
	}
	x.instead = &v
	return nil
}
