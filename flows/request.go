package flows

import (
	"context"
	"errors"
	"slices"
	"time"

	"go.uber.org/zap"

	"github.com/stile-auth/stile/flowdefs"
)

// Show returns the current view. A prompt that has timed out is left first.
func (e *Engine) Show(ctx context.Context, h Secret, c Caller) (View, error) {
	c.IdempotencyKey = ""
	x, err := e.open(ctx, h, c)
	if err == nil && x.overdue() {
		return e.change(ctx, h, c, func(ctx context.Context, x *exchange) error {
			if !x.overdue() {
				return nil
			}
			return x.drive(ctx, signal{kind: sigTime})
		})
	}
	if err != nil {
		return View{}, e.problem(ctx, c, x, err)
	}
	return e.view(x.a, x.r, x.p), nil
}

// Standing returns the view of a run for an adapter that refuses a request on
// its own; nil if the handle or the key is not right. It changes and records nothing.
func (e *Engine) Standing(ctx context.Context, h Secret, c Caller) *View {
	c.IdempotencyKey = ""
	x, err := e.open(ctx, h, c)
	var pr *Problem
	switch {
	case errors.As(err, &pr):
		return pr.View
	case err != nil:
		return nil
	}
	v := e.view(x.a, x.r, x.p)
	return &v
}

// Answer answers the current step: stepID and turn as the href had them.
func (e *Engine) Answer(ctx context.Context, h Secret, c Caller, stepID string, turn int, in Input) (View, error) {
	return e.change(ctx, h, c, func(ctx context.Context, x *exchange) error { return x.answer(ctx, stepID, turn, in) })
}

// Back returns to the previous prompt that has no completed evidence.
func (e *Engine) Back(ctx context.Context, h Secret, c Caller, turn int) (View, error) {
	return e.change(ctx, h, c, func(ctx context.Context, x *exchange) error { return x.turned(ctx, turn, signal{kind: sigBack}) })
}

// Resend lets the step that waits send once more what it sent. Too early, or with
// the budget spent, it is a [KindThrottled] that says when.
func (e *Engine) Resend(ctx context.Context, h Secret, c Caller, turn int) (View, error) {
	return e.change(ctx, h, c, func(ctx context.Context, x *exchange) error {
		if turn == x.r.State.Turn && x.overdue() {
			return x.drive(ctx, signal{kind: sigTime})
		}
		return x.turned(ctx, turn, signal{kind: sigResend})
	})
}

// Activate lets a later step run that runs only if the client asks for it.
func (e *Engine) Activate(ctx context.Context, h Secret, c Caller, turn int, in Input) (View, error) {
	return e.change(ctx, h, c, func(ctx context.Context, x *exchange) error {
		var body struct {
			Step string `json:"step"`
		}
		if err := in.Decode(&body); err != nil {
			return err
		}
		return x.turned(ctx, turn, signal{kind: sigActivate, name: body.Step})
	})
}

// Cancel ends the run; the view says cancelled.
func (e *Engine) Cancel(ctx context.Context, h Secret, c Caller) (View, error) {
	return e.change(ctx, h, c, func(ctx context.Context, x *exchange) error { return x.drive(ctx, signal{kind: sigCancel}) })
}

// Restart starts the same flow anew with the same client and key; the old run
// ends. What was counted per account stays counted.
func (e *Engine) Restart(ctx context.Context, h Secret, c Caller, turn int) (View, error) {
	return e.change(ctx, h, c, func(ctx context.Context, x *exchange) error {
		if turn != x.r.State.Turn {
			return x.conflict(CodeStaleTurn)
		}
		return x.restart(ctx)
	})
}

// SignOut ends the session of that secret and every other of its id. One that is
// unknown, or bound to another key, is the same as none. It returns where the person
// signs out of what the session rested on; nil if there is no such place, or none that
// can be found now.
func (e *Engine) SignOut(ctx context.Context, session Secret, c Caller) (*Departure, error) {
	to, err := e.signOut(ctx, session, c)
	if err == nil {
		return to, nil
	}
	return nil, e.problem(ctx, c, nil, err)
}

// SignOutOf ends the session of that secret if it is the one of that id. Another is left
// alone: [ErrOther]. None at all is no error.
func (e *Engine) SignOutOf(ctx context.Context, session Secret, id string, c Caller) error {
	alias, ok := parseSecret(session)
	if !ok {
		return ErrNotFound
	}
	s, err := e.cfg.Sessions.Session(ctx, alias, e.cfg.Now())
	switch {
	case errors.Is(err, ErrNotFound):
		return nil
	case err == nil && s.ID != id:
		return ErrOther
	}
	if err != nil {
		return e.problem(ctx, c, nil, err)
	}
	_, err = e.SignOut(ctx, session, c)
	return err
}

func (e *Engine) signOut(ctx context.Context, session Secret, c Caller) (*Departure, error) {
	alias, ok := parseSecret(session)
	if !ok {
		return nil, nil //nolint:nilnil // there is nowhere to go
	}
	s, err := e.cfg.Sessions.Session(ctx, alias, e.cfg.Now())
	if errors.Is(err, ErrNotFound) || err == nil && s.Key != c.Key {
		return nil, nil //nolint:nilnil // likewise
	}
	if err != nil {
		return nil, err
	}
	to := e.departure(ctx, s)
	if err := e.cfg.Sessions.EndSession(ctx, s.ID); err != nil {
		return nil, err
	}
	e.ended()
	return to, e.cfg.Recorder.Record(ctx, Event{
		ID: newID(), Time: e.cfg.Now().UTC(), Type: EventSignedOut, Client: s.Client, Subject: s.Subject, Request: c.RequestID,
	})
}

// departure is where the person goes on to sign out. That nobody can say does not keep
// them from signing out here.
func (e *Engine) departure(ctx context.Context, s Session) *Departure {
	if e.cfg.Departures == nil {
		return nil
	}
	var client flowdefs.Client
	if found, err := e.OwnClient(ctx, s.Client); err == nil {
		client = *found.Client
	}
	to, err := e.cfg.Departures.Depart(ctx, s, client)
	if err != nil {
		e.cfg.Logger.Warn("no address to sign out at", zap.Error(err))
		return nil
	}
	return to
}

// change runs one request that changes a run.
func (e *Engine) change(ctx context.Context, h Secret, c Caller, do func(context.Context, *exchange) error) (View, error) {
	ctx, cancel := lasting(ctx)
	defer cancel()
	x, err := e.open(ctx, h, c)
	if err == nil && x.replayed != nil {
		return *x.replayed, nil
	}
	var v View
	if err == nil {
		if err = do(ctx, x); err == nil {
			v, err = x.commit(ctx)
		}
		if back := x.unspend(ctx); back != nil {
			err = errors.Join(err, back)
		}
		if errors.Is(err, ErrConflict) {
			v, err = e.lost(ctx, h, c)
		}
	}
	return v, e.problem(ctx, c, x, err)
}

// longest is how long one request may take.
const longest = 30 * time.Second

// lasting lets a request that changes something go on when its client hangs up:
// nobody can have an attempt counted and then keep it from being recorded.
func lasting(ctx context.Context) (context.Context, context.CancelFunc) {
	return context.WithTimeout(context.WithoutCancel(ctx), longest)
}

// lost answers a request that lost the compare-and-swap: if what won was the
// same request, it gets the same answer.
func (e *Engine) lost(ctx context.Context, h Secret, c Caller) (View, error) {
	x, err := e.open(ctx, h, c)
	if err != nil {
		return View{}, err
	}
	if x.replayed != nil {
		return *x.replayed, nil
	}
	return View{}, x.conflict(CodeStaleTurn)
}

// open finds the run of a handle, and answers what is no new request. Whatever
// is not right about the handle or the key, the answer is one and the same.
func (e *Engine) open(ctx context.Context, h Secret, c Caller) (*exchange, error) {
	alias, ok := parseSecret(h)
	if !ok {
		return nil, notFound(nil)
	}
	rec, err := e.cfg.Store.Load(ctx, alias, e.cfg.Now())
	if errors.Is(err, ErrNotFound) {
		return nil, notFound(err)
	}
	if err != nil {
		return nil, err
	}
	r, err := e.openRecord(rec)
	if err != nil {
		e.cfg.Logger.Error("run does not open")
		return nil, notFound(err)
	}
	retired := r.Retired != nil && *r.Retired == alias
	if r.Key != c.Key || !retired && r.Handle != alias {
		return nil, notFound(nil)
	}
	again, pr := r.isRepeat(c)
	if retired && !again {
		return nil, notFound(nil)
	}
	x := &exchange{e: e, a: e.active.Load(), c: c, r: r, presented: string(h)}
	x, err = e.resume(ctx, x, again)
	if pr != nil && err == nil {
		err = pr
	}
	return x, err
}

// resume makes a loaded run ready: its definition, its client, its facts.
func (e *Engine) resume(ctx context.Context, x *exchange, again bool) (*exchange, error) {
	r := x.r
	var err error
	if x.p, err = e.program(ctx, x.a, r.Definition); err != nil {
		return nil, &Problem{Kind: KindUnavailable, Code: CodeDefinitionGone, Detail: "Try again later.", Err: err}
	}
	if err := e.findClient(ctx, x.a, r); err != nil {
		return nil, err
	}
	if err := e.recordEffects(ctx, r); err != nil {
		return x, err
	}
	if again {
		v, err := e.replay(x.a, r, x.p, x.presented)
		if errors.Is(err, errOtherSecret) {
			return x, x.conflict(CodeStaleTurn)
		}
		if v.cookie() != nil && (r.client == nil || !slices.Contains(r.client.Origins, x.c.Origin)) {
			return x, errNoPage()
		}
		x.replayed = &v
		return x, err
	}
	if r.State.Status != InProgress {
		v := e.view(x.a, r, x.p)
		return x, &Problem{Kind: KindFinished, Code: CodeFinished, Detail: "The flow has ended.", View: &v}
	}
	if r.client == nil || !slices.Contains(r.client.Flows, r.Flow) {
		return x, &Problem{Kind: KindFailed, Code: CodeNotAllowed, Detail: "The client may not run this flow any more."}
	}
	x.client, x.before = r.client, r.State
	return x, x.look(ctx)
}
