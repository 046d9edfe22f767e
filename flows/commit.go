package flows

import (
	"context"
	"errors"
	"fmt"

	"go.uber.org/zap"

	"github.com/stile-auth/stile/flows/assurance"
)

// commit stores what the exchange changed, with one compare-and-swap, then
// records its audit events, then answers. Whoever loses the swap changes nothing.
func (x *exchange) commit(ctx context.Context) (View, error) {
	r := x.r
	r.Retired = nil
	if x.handle == "" && x.rotates() {
		if x.c.IdempotencyKey != "" {
			retired := r.Handle // answers the repeat of this request, and nothing else
			r.Retired = &retired
		}
		x.handle, r.Handle = newHandle()
	}
	if r.Handover != nil && r.Handover.Turn != r.State.Turn {
		r.Handover = nil
	}
	v := x.e.view(x.a, r, x.p)
	v.Handle, v.Result = x.handle, x.result
	v.link(x.link)
	if x.instead != nil {
		v = *x.instead
	}
	if err := r.remember(x.c, x.presented, v, x.link, x.refused); err != nil {
		return View{}, err
	}
	r.Ends = x.endOthers()
	x.stamp()
	if err := x.store(ctx); err != nil {
		return View{}, err
	}
	if err := x.e.recordEffects(ctx, r); err != nil {
		return View{}, err
	}
	x.clear(ctx)
	if x.refused != nil {
		pr := *x.refused
		pr.View, pr.recorded = &v, true
		return View{}, &pr
	}
	return v, nil
}

// rotates: the handle is replaced at the first successful proof and again at completion.
func (x *exchange) rotates() bool {
	s := &x.r.State
	return s.Status == Completed || s.Subject != "" && !x.r.Proved
}

// store writes the run, and before it the session and the code that it leaves: one
// whose secret nobody was told is harmless, a told one that is missing is not.
func (x *exchange) store(ctx context.Context) error {
	r := x.r
	r.Proved = r.State.Subject != ""
	if x.session != nil {
		if err := x.e.cfg.Sessions.PutSession(ctx, *x.session); err != nil {
			return err
		}
	}
	if x.code != nil {
		if err := x.e.cfg.Store.Create(ctx, *x.code, x.w.now); err != nil {
			return err
		}
	}
	if err := x.keeps(ctx); err != nil {
		return err
	}
	if err := x.handDown(ctx); err != nil {
		return err
	}
	rec, err := x.e.record(r, r.version+1)
	if err != nil {
		return err
	}
	if x.fresh {
		err = x.e.cfg.Store.Create(ctx, rec, x.w.now)
	} else {
		err = x.e.cfg.Store.Update(ctx, rec)
	}
	if err != nil {
		return err
	}
	r.version, x.stored = rec.Version, true
	return nil
}

// stamp completes the events of this change and lists them in the run, so that
// whoever loads it next records them if this node dies before it did.
func (x *exchange) stamp() {
	r := x.r
	x.arrived()
	for i := range x.events {
		ev := &x.events[i]
		ev.ID = fmt.Sprintf("%s.%d.%d", r.ID, r.version+1, i)
		ev.Time, ev.Run, ev.Flow, ev.Client, ev.Target = x.w.now, r.ID, r.Flow, r.Client, r.Target
		ev.Turn, ev.Subject, ev.Request = r.State.Turn, r.State.Subject, x.c.RequestID
	}
	r.Effects, r.Activate, r.Remove, r.Messages, r.Notices = x.events, x.enrolled, x.removed, x.messages, x.notices
}

// recordEffects does what the run's last change lists: audit events, the
// authenticators that it makes active or takes out of use, the messages that it sends, and its notices. It does
// nothing if this node knows that it is done.
func (e *Engine) recordEffects(ctx context.Context, r *run) error {
	if len(r.Effects)+len(r.Activate)+len(r.Remove)+len(r.Messages)+len(r.Notices) == 0 && r.Ends == nil {
		return nil
	}
	key := fmt.Sprintf("%s.%d", r.ID, r.version)
	if e.recorded.has(key) {
		return nil
	}
	if err := e.cfg.Recorder.Record(ctx, r.Effects...); err != nil {
		return fmt.Errorf("%w: audit: %w", ErrUnavailable, err)
	}
	for _, id := range r.Activate {
		if err := e.cfg.Accounts.Activate(ctx, id); err != nil {
			return fmt.Errorf("%w: activation: %w", ErrUnavailable, err)
		}
	}
	for _, id := range r.Remove {
		if err := e.cfg.Accounts.Disable(ctx, id); err != nil {
			return fmt.Errorf("%w: removal: %w", ErrUnavailable, err)
		}
	}
	if r.Ends != nil { // behind the removal: with what was removed nobody begins a run any more
		if err := e.cfg.Sessions.EndSessions(ctx, *r.Ends); err != nil {
			return fmt.Errorf("%w: sessions: %w", ErrUnavailable, err)
		}
		e.ended()
	}
	if err := e.handOver(ctx, key, r.Messages); err != nil {
		return err
	}
	if err := e.notify(ctx, key, r.Notices); err != nil {
		return err
	}
	e.recorded.add(key)
	return nil
}

// clear does what follows from a stored change and may fail without harm: it
// resets the counters of what was proved, and ends the session that a new one
// replaces. What is left over costs the person a delay, never the login.
func (x *exchange) clear(ctx context.Context) {
	var errs []error
	for _, key := range x.passed {
		errs = append(errs, x.e.cfg.Throttle.Change(ctx, key, clearCounter))
	}
	if x.session != nil && x.r.State.Session != nil {
		errs = append(errs, x.e.cfg.Sessions.RemoveSession(ctx, x.r.State.Session.Secret))
	}
	if err := errors.Join(errs...); err != nil {
		x.e.cfg.Logger.Warn("not cleaned up", zap.String("run", x.r.ID), zap.Error(err))
	}
}

// conflict is the answer to something that is not possible now; nothing changed.
func (x *exchange) conflict(code string) *Problem {
	v := x.e.view(x.a, x.r, x.p)
	kind := KindConflict
	switch code {
	case CodeMalformed:
		kind = KindMalformed
	case CodeInternal:
		kind = KindInternal
	}
	return &Problem{Kind: kind, Code: code, Detail: "Not possible now.", View: &v}
}

func notFound(err error) *Problem {
	return &Problem{Kind: KindNotFound, Code: CodeNotFound, Detail: "No such flow.", Err: err}
}

// problem makes every error one that may be shown, and leaves one audit event
// for each request that changed nothing.
func (e *Engine) problem(ctx context.Context, c Caller, x *exchange, err error) error {
	if err == nil {
		return nil
	}
	var pr *Problem
	if !errors.As(err, &pr) {
		pr = classify(err)
	}
	if pr.Kind == KindInternal {
		e.cfg.Logger.Error("internal error", zap.String("request", c.RequestID), zap.Error(err))
	}
	if pr.recorded {
		return pr
	}
	if pr.View == nil && x != nil && x.client != nil && !x.fresh { // nothing changed: what is stored is what is shown
		x.r.State = x.before
		v := e.view(x.a, x.r, x.p)
		shown := *pr
		shown.View = &v
		pr = &shown
	}
	ev := Event{ID: newID(), Time: e.cfg.Now().UTC(), Type: EventRefused, Reason: pr.Code, Request: c.RequestID}
	if errors.Is(err, assurance.ErrAboveCeiling) {
		ev.Type = EventAboveCeiling
	}
	if x != nil && x.r != nil {
		ev.Run, ev.Flow, ev.Step, ev.Client = x.r.ID, x.r.Flow, x.r.State.At, x.r.Client
	}
	if rerr := e.cfg.Recorder.Record(ctx, ev); rerr != nil {
		return &Problem{Kind: KindUnavailable, Code: CodeUnavailable, Detail: "Try again later.", Err: errors.Join(err, rerr)}
	}
	return pr
}

func classify(err error) *Problem {
	switch {
	case errors.Is(err, ErrMalformed):
		return &Problem{Kind: KindMalformed, Code: CodeMalformed, Detail: "The request has not the promised form.", Err: err}
	case errors.Is(err, ErrTaken), errors.Is(err, ErrConflict), errors.Is(err, ErrEnded): // sent again, it learns that it is over
		return &Problem{Kind: KindConflict, Code: CodeInFlight, Detail: "The same is being done already.", Err: err}
	case errors.Is(err, ErrUnavailable), errors.Is(err, context.DeadlineExceeded), errors.Is(err, context.Canceled):
		return &Problem{Kind: KindUnavailable, Code: CodeUnavailable, Detail: "Try again later.", Err: err}
	}
	return &Problem{Kind: KindInternal, Code: CodeInternal, Detail: "Internal error.", Err: err}
}
