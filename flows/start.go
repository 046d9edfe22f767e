package flows

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"slices"
	"time"

	"github.com/stile-auth/stile/flowdefs"
	"github.com/stile-auth/stile/flows/assurance"
)

// StartRequest starts a run. Exactly one of Flow and Target is set.
type StartRequest struct {
	ClientID     string
	Flow         string
	Target       string
	ACRValues    []string       // the first most; the run fails if none is met (RFC 9470 §5)
	Voluntary    bool           // ACRValues are wished for, and no reason to fail (OpenID Connect Core §3.1.2.1)
	MaxAge       *time.Duration // what the session proved longer ago does not count; 0: authenticate now
	LoginHint    string
	Provider     string // where the person signed on the last time: preselects it where it is offered
	RedirectURI  string // where the browser comes back to: one of the client's; "": its first
	Locale       string
	Capabilities []string // step codes that the client can draw; empty: all
	Session      Secret
	Activate     []string // ids of steps that run only if the client asks for them
	// Transaction is what is to be approved, by name: exactly what the steps of the
	// flow show. It is the client's word until the person has signed it.
	Transaction map[string]string
	// Code asks for an authorization code instead of a token: a browser runs the flow for
	// the client, a relying party, which redeems the code ([Engine.Redeem]). It is kept, and shown to
	// the adapter in [View.Request] and when the code is redeemed. nil: no code.
	Code json.RawMessage
	// CodeChallenge is what the code verifier of a one-time code has to be made for (RFC 7636
	// §4.2, S256): the target's server gets both from the app. Needed for targets that give
	// such codes; otherwise it says nothing.
	CodeChallenge string
}

// Start starts a run. Every error is a *[Problem].
func (e *Engine) Start(ctx context.Context, c Caller, q StartRequest) (View, error) {
	ctx, cancel := lasting(ctx)
	defer cancel()
	v, err := e.start(ctx, c, q)
	return v, e.problem(ctx, c, nil, err)
}

func (e *Engine) start(ctx context.Context, c Caller, q StartRequest) (View, error) {
	a := e.active.Load()
	client, p, err := e.admit(ctx, a, c, q)
	if err != nil {
		return View{}, err
	}
	r := e.newRun(a, c, q, client, p)
	if c.IdempotencyKey != "" {
		alias := startAlias(client.ID, c.IdempotencyKey)
		r.Begun, r.BegunBody = &alias, sha256.Sum256(c.Body)
		if v, done, err := e.startedBefore(ctx, c, a, alias); done || err != nil {
			return v, err
		}
	}
	if err := p.undrawable(&world{drawable: q.Capabilities, web: e.pages(client, q.Capabilities)}); err != nil {
		return View{}, err
	}
	if r.State.Activated, err = p.activated(q.Activate); err != nil {
		return View{}, err
	}
	if err := p.shows(q.Transaction); err != nil {
		return View{}, err
	}
	if err := e.present(ctx, r, q); err != nil {
		return View{}, err
	}
	r.State.Tags = a.setBy(r.State.Tags)
	return e.launch(ctx, c, a, r, p, client)
}

// launch makes the first moves of a new run and stores it.
func (e *Engine) launch(ctx context.Context, c Caller, a *active, r *run, p *program, client *flowdefs.Client) (View, error) {
	r.client = client
	x := &exchange{e: e, a: a, c: c, r: r, p: p, client: client, presented: c.IdempotencyKey, fresh: true}
	x.handle, r.Handle = newHandle()
	if err := e.pin(ctx, p.flow, r.Expires); err != nil {
		return View{}, err
	}
	if err := x.look(ctx); err != nil {
		return View{}, err
	}
	if err := x.entitled(); err != nil {
		return View{}, err
	}
	x.events = append(x.events, Event{Type: EventRunStarted})
	if r.ignored {
		x.events = append(x.events, Event{Type: EventSessionIgnored})
	}
	if err := x.drive(ctx, signal{kind: sigBegin}); err != nil {
		return View{}, err
	}
	v, err := x.commit(ctx)
	if back := x.unspend(ctx); back != nil {
		return View{}, errors.Join(err, back)
	}
	if errors.Is(err, ErrExists) && r.Begun != nil { // the same start, sent twice at once
		v, done, err := e.startedBefore(ctx, c, a, *r.Begun)
		if !done && err == nil {
			err = ErrConflict
		}
		return v, err
	}
	return v, err
}

// entitled holds what a self-service flow asks of the session that it is started with.
func (x *exchange) entitled() error {
	f := x.p.flow
	if f.Kind != flowdefs.SelfService {
		return nil
	}
	ps := x.r.State.Session
	if ps == nil || x.w.over || x.w.account.Status != AccountActive {
		return &Problem{Kind: KindFailed, Code: CodeLoginRequired, Detail: "This flow needs a session."}
	}
	var notBefore time.Time
	if age := f.Requires.MaxAge; age > 0 {
		notBefore = x.w.now.Add(-age)
	}
	requires := cmp.Or(f.Requires.ACR, assurance.AAL1.String())
	if ps.level(x.w.now, x.w.since(notBefore)) < x.w.scales.Floor(requires) ||
		x.w.scales.Reach(requires, ps.Evidence, x.w.now, x.w.since(notBefore)) != nil {
		return &Problem{Kind: KindFailed, Code: CodeInsufficient, Detail: "The session has not reached what this flow needs."}
	}
	return nil
}

// startable is the program that a run for a flow or target starts on; nil if there is none.
func (a *active) startable(flow, target string) *program {
	if target != "" {
		return a.targets[target]
	}
	return a.flows[flow]
}

// admit checks who may start what.
func (e *Engine) admit(ctx context.Context, a *active, c Caller, q StartRequest) (*flowdefs.Client, *program, error) {
	found, err := e.ownClient(ctx, a, q.ClientID)
	if errors.Is(err, ErrNotFound) {
		return nil, nil, &Problem{Kind: KindMalformed, Code: CodeUnknownClient, Detail: "No client of that id."}
	}
	if err != nil {
		return nil, nil, err
	}
	client := found.Client
	if (q.Flow == "") == (q.Target == "") {
		return nil, nil, &Problem{Kind: KindMalformed, Code: CodeMalformed, Detail: "Name either a flow or a target."}
	}
	allowed := slices.Contains(client.Flows, q.Flow)
	if q.Target != "" {
		t, known := a.set.Targets[q.Target]
		allowed = known && slices.Contains(client.Targets, q.Target) && slices.Contains(client.Flows, t.Flow)
	}
	p := a.startable(q.Flow, q.Target)
	if !allowed || p == nil || p.flow.Kind == flowdefs.Authorization {
		return nil, nil, &Problem{Kind: KindMalformed, Code: CodeNotAllowed, Detail: "This client may not start that."}
	}
	if q.RedirectURI != "" && !client.Redirects(q.RedirectURI) {
		return nil, nil, &Problem{Kind: KindMalformed, Code: CodeMalformed, Detail: "No redirect URI of this client."}
	}
	if client.DPoPRequired && c.Key == "" && q.Code == nil {
		return nil, nil, &Problem{Kind: KindMalformed, Code: CodeProofRequired, Detail: "This client must send a DPoP proof."}
	}
	return client, p, a.settable(c, q, client)
}

// settable refuses a start whose end could not be given: a one-time code is worth nothing
// without its verifier, cookies are for pages of the client, and no cookie is bound to a key.
func (a *active) settable(c Caller, q StartRequest, client *flowdefs.Client) error {
	t := a.set.Targets[q.Target]
	if t == nil || q.Code != nil {
		return nil
	}
	if _, ok := parseSecret(Secret(q.CodeChallenge)); t.Coded() && !ok {
		return &Problem{Kind: KindMalformed, Code: CodeMalformed, Detail: "The target gives a one-time code: send a codeChallenge by S256."}
	}
	if len(t.Cookies()) == 0 {
		return nil
	}
	if !slices.Contains(client.Origins, c.Origin) {
		return errNoPage()
	}
	if c.Key != "" {
		return &Problem{Kind: KindMalformed, Code: CodeProofRequired, Detail: "The target sets a cookie, which is bound to no key: start without a DPoP proof."}
	}
	return nil
}

func errNoPage() *Problem {
	return &Problem{Kind: KindMalformed, Code: CodeBrowserRequired, Detail: "The target sets a cookie: its runs are for scripts of the client's origins."}
}

func (e *Engine) newRun(a *active, c Caller, q StartRequest, client *flowdefs.Client, p *program) *run {
	ttl := p.flow.Timeout
	if ttl <= 0 {
		ttl = e.cfg.RunTTL
	}
	now := e.cfg.Now().UTC()
	r := &run{
		Code: q.Code, Challenge: q.CodeChallenge,
		ID: newID(), Flow: p.flow.Name, Definition: p.flow.Hash, Client: q.ClientID, Target: q.Target,
		Key: c.Key, Locale: q.Locale, Redirect: q.RedirectURI, Transaction: q.Transaction, Draws: q.Capabilities, ACRValues: q.ACRValues, Voluntary: q.Voluntary,
		Started: now, Expires: now.Add(ttl),
		State: State{Status: InProgress, Provider: q.Provider},
	}
	if t := a.set.Targets[q.Target]; t != nil {
		r.Requires, r.Scale = t.Requires.ACR, t.Scale
		r.within(t.Requires.MaxAge)
	}
	for _, least := range []flowdefs.Requirement{client.Requires, client.Least} {
		if least.ACR != "" {
			r.Wants = append(r.Wants, least.ACR)
		}
		r.within(least.MaxAge)
	}
	if q.MaxAge != nil && (r.MaxAge == nil || *q.MaxAge < *r.MaxAge) {
		r.MaxAge = q.MaxAge
	}
	return r
}

// within bounds how old proofs may be; 0 is no bound.
func (r *run) within(age time.Duration) {
	if age > 0 && (r.MaxAge == nil || age < *r.MaxAge) {
		r.MaxAge = &age
	}
}

// startedBefore answers the repeat of a start. It is honoured only with a proof
// of the same key and for the same request.
func (e *Engine) startedBefore(ctx context.Context, c Caller, a *active, alias Alias) (View, bool, error) {
	rec, err := e.cfg.Store.Load(ctx, alias, e.cfg.Now())
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
	p, err := e.program(ctx, a, r.Definition)
	if err != nil {
		return View{}, false, err
	}
	if err := e.findClient(ctx, a, r); err != nil {
		return View{}, false, err
	}
	if err := e.recordEffects(ctx, r); err != nil {
		return View{}, false, err
	}
	v, err := e.replay(a, r, p, c.IdempotencyKey)
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
		r.ignored = true
	}
	if q.LoginHint == "" {
		return nil
	}
	return e.claim(ctx, &r.State, q.LoginHint)
}

// session finds the session that a start presents: bound to its client and key.
// One that is unknown, ended or foreign is the same as none.
func (e *Engine) session(ctx context.Context, r *run, s Secret) (*presented, error) {
	alias, ok := parseSecret(s)
	if !ok {
		return nil, nil
	}
	found, err := e.cfg.Sessions.Session(ctx, alias, e.cfg.Now())
	if errors.Is(err, ErrNotFound) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	if found.Key != r.Key || found.Client != r.sessionClient() {
		return nil, nil
	}
	r.State.Tags = found.Tags
	return &presented{ID: found.ID, Secret: alias, Subject: found.Subject, Created: found.Created, Seen: found.Seen, Evidence: found.Evidence, Tags: found.Tags}, nil
}

// claim notes who a client says that the person is. Nobody learns whether that account exists.
func (e *Engine) claim(ctx context.Context, s *State, identifier string) error {
	subject, canonical, err := e.cfg.Accounts.Resolve(ctx, identifier)
	if err != nil {
		return err
	}
	s.Named, s.Claimed, s.Shadow = identifier, subject, canonical
	return nil
}

// undrawable refuses a start that must lead to a prompt that neither the client nor a page can draw.
func (p *program) undrawable(w *world) error {
	for i := range p.nodes {
		n := &p.nodes[i]
		if n.main && n.def.If == nil && !n.def.Activate && !p.passable(w, n) {
			return &Problem{Kind: KindMalformed, Code: CodeCannotDraw, Detail: "The flow has a step that this client cannot draw."}
		}
	}
	return nil
}

// passable says whether there may be a way past a node, by what can be drawn alone.
func (p *program) passable(w *world, n *node) bool {
	switch n.def.Kind {
	case flowdefs.Step:
		return w.takes(n.typ)
	case flowdefs.Group:
		return p.passable(w, &p.nodes[n.first])
	case flowdefs.Choose:
		if p.handles(n, exitNone) || n.otherwise != end && p.passable(w, &p.nodes[n.otherwise]) {
			return true
		}
		left := 0
		for _, o := range n.options {
			if p.passable(w, &p.nodes[o]) {
				left++
			}
		}
		return left >= n.def.Any
	default: // the others ask nothing, or what every client can wait for
		return true
	}
}

// activated checks the steps that a client activates with its start.
func (p *program) activated(ids []string) ([]string, error) {
	known := p.activations(&State{})
	for _, id := range ids {
		if !slices.Contains(known, id) {
			return nil, &Problem{Kind: KindMalformed, Code: CodeMalformed, Detail: "No such step can be activated."}
		}
	}
	return ids, nil
}
