package flows

import (
	"context"
	"crypto/sha256"
	"errors"
	"slices"
	"time"

	"github.com/stile-auth/stile/flowdefs"
)

// StartRequest starts a run. Exactly one of Flow and Target is set.
type StartRequest struct {
	ClientID     string
	Flow         string
	Target       string
	ACRValues    []string       // necessary: the run fails if none is met (RFC 9470 §5)
	MaxAge       *time.Duration // what the session proved longer ago does not count; 0: authenticate now
	LoginHint    string
	Locale       string
	Capabilities []string // step codes that the client can draw; empty: all
	Session      Secret
}

// Start starts a run. Every error is a *[Problem].
func (e *Engine) Start(ctx context.Context, c Caller, q StartRequest) (View, error) {
	v, err := e.start(ctx, c, q)
	return v, e.problem(ctx, c, nil, err)
}

func (e *Engine) start(ctx context.Context, c Caller, q StartRequest) (View, error) {
	client, name, err := e.admit(c, q)
	if err != nil {
		return View{}, err
	}
	p := e.live[name]
	r := e.newRun(c, q, p)
	if c.IdempotencyKey != "" {
		a := startAlias(client.ID, c.IdempotencyKey)
		r.Begun, r.BegunBody = &a, sha256.Sum256(c.Body)
		if v, done, err := e.startedBefore(ctx, c, a); done || err != nil {
			return v, err
		}
	}
	if err := e.undrawable(p, q.Capabilities); err != nil {
		return View{}, err
	}
	if err := e.present(ctx, r, q); err != nil {
		return View{}, err
	}
	if err := e.pin(ctx, p.flow); err != nil {
		return View{}, err
	}
	return e.launch(ctx, c, r, p, client)
}

// launch makes the first moves of a new run and stores it.
func (e *Engine) launch(ctx context.Context, c Caller, r *run, p *program, client *flowdefs.Client) (View, error) {
	x := &exchange{e: e, c: c, r: r, p: p, client: client, presented: c.IdempotencyKey, fresh: true}
	x.handle, r.Handle = newHandle()
	if err := x.look(ctx); err != nil {
		return View{}, err
	}
	x.events = append(x.events, Event{Type: EventRunStarted})
	if err := x.drive(ctx, signal{kind: sigBegin}); err != nil {
		return View{}, err
	}
	v, err := x.commit(ctx)
	if errors.Is(err, ErrExists) && r.Begun != nil { // the same start, sent twice at once
		v, done, err := e.startedBefore(ctx, c, *r.Begun)
		if !done && err == nil {
			err = ErrConflict
		}
		return v, err
	}
	return v, err
}

// admit checks who may start what.
func (e *Engine) admit(c Caller, q StartRequest) (*flowdefs.Client, string, error) {
	client, ok := e.cfg.Definitions.Clients[q.ClientID]
	if !ok {
		return nil, "", &Problem{Kind: KindMalformed, Code: CodeUnknownClient, Detail: "No client of that id."}
	}
	if (q.Flow == "") == (q.Target == "") {
		return nil, "", &Problem{Kind: KindMalformed, Code: CodeMalformed, Detail: "Name either a flow or a target."}
	}
	name := q.Flow
	allowed := slices.Contains(client.Flows, q.Flow)
	if q.Target != "" {
		t, known := e.cfg.Definitions.Targets[q.Target]
		allowed = known && slices.Contains(client.Targets, q.Target) && slices.Contains(client.Flows, t.Flow)
		if known {
			name = t.Flow
		}
	}
	if !allowed || e.live[name] == nil {
		return nil, "", &Problem{Kind: KindMalformed, Code: CodeNotAllowed, Detail: "This client may not start that."}
	}
	if client.DPoPRequired && c.Key == "" {
		return nil, "", &Problem{Kind: KindMalformed, Code: CodeProofRequired, Detail: "This client must send a DPoP proof."}
	}
	return client, name, nil
}

func (e *Engine) newRun(c Caller, q StartRequest, p *program) *run {
	ttl := p.flow.Timeout
	if ttl <= 0 {
		ttl = e.cfg.RunTTL
	}
	now := e.cfg.Now().UTC()
	r := &run{
		ID: newID(), Flow: p.flow.Name, Definition: p.flow.Hash, Client: q.ClientID, Target: q.Target,
		Key: c.Key, Locale: q.Locale, Draws: q.Capabilities, ACRValues: q.ACRValues,
		Started: now, Expires: now.Add(ttl),
		State: State{Status: InProgress},
	}
	if t := e.cfg.Definitions.Targets[q.Target]; t != nil {
		r.Requires = t.Requires.ACR
		if age := t.Requires.MaxAge; age > 0 {
			r.MaxAge = &age
		}
	}
	if q.MaxAge != nil && (r.MaxAge == nil || *q.MaxAge < *r.MaxAge) {
		r.MaxAge = q.MaxAge
	}
	return r
}

// startedBefore answers the repeat of a start. It is honoured only with a proof
// of the same key and for the same request.
func (e *Engine) startedBefore(ctx context.Context, c Caller, a Alias) (View, bool, error) {
	rec, err := e.cfg.Store.Load(ctx, a, e.cfg.Now())
	if errors.Is(err, ErrNotFound) {
		return View{}, false, nil
	}
	if err != nil {
		return View{}, false, err
	}
	r, err := e.openRecord(rec)
	if err != nil {
		return View{}, false, err
	}
	body := sha256.Sum256(c.Body)
	if r.Key != c.Key || r.BegunBody != body {
		return View{}, false, &Problem{Kind: KindRejected, Code: CodeKeyReused, Detail: "The idempotency key was used for another request."}
	}
	again, pr := r.isRepeat(c)
	if pr != nil {
		return View{}, false, pr
	}
	if !again || r.version != 1 {
		return View{}, false, &Problem{Kind: KindConflict, Code: CodeStaleTurn, Detail: "That run has gone on."}
	}
	p, err := e.program(ctx, r.Definition)
	if err != nil {
		return View{}, false, err
	}
	if err := e.recordEffects(ctx, r); err != nil {
		return View{}, false, err
	}
	v, err := e.replay(r, p, c.IdempotencyKey)
	return v, err == nil, err
}

// present takes in what the client says of the person: a session, or a name.
func (e *Engine) present(ctx context.Context, r *run, q StartRequest) error {
	if q.Session != "" {
		ps, err := e.session(ctx, r, q.Session)
		if err != nil {
			return err
		}
		if ps != nil {
			r.State.Session, r.State.Claimed = ps, ps.Subject
			return nil
		}
	}
	if q.LoginHint == "" {
		return nil
	}
	return e.claim(ctx, &r.State, q.LoginHint)
}

// session finds the session that a start presents: bound to its client and key.
// One that is unknown, ended or foreign is the same as none.
func (e *Engine) session(ctx context.Context, r *run, s Secret) (*presented, error) {
	alias, err := parseSecret(s)
	if err != nil {
		return nil, nil
	}
	found, err := e.cfg.Sessions.Session(ctx, alias, e.cfg.Now())
	if errors.Is(err, ErrNotFound) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	if found.Key != r.Key || found.Client != r.Client {
		return nil, nil
	}
	return &presented{ID: found.ID, Secret: alias, Subject: found.Subject, Created: found.Created, Evidence: found.Evidence}, nil
}

// claim notes who a client says that the person is. Nobody learns whether that account exists.
func (e *Engine) claim(ctx context.Context, s *State, identifier string) error {
	subject, err := e.cfg.Accounts.Resolve(ctx, identifier)
	if err != nil && !errors.Is(err, ErrNotFound) {
		return err
	}
	s.Named, s.Claimed = identifier, subject
	return nil
}

// undrawable refuses a start that must lead to a prompt that the client cannot draw.
func (e *Engine) undrawable(p *program, draws []string) error {
	w := world{drawable: draws}
	for i := range p.nodes {
		n := &p.nodes[i]
		if n.parent == end && n.def.Kind == flowdefs.Step && n.def.If == nil && !w.draws(n.typ.Code) {
			return &Problem{Kind: KindMalformed, Code: CodeCannotDraw, Detail: "The flow has a step that this client cannot draw."}
		}
	}
	return nil
}
