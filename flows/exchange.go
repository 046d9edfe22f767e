package flows

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/stile-auth/stile/flowdefs"
	"github.com/stile-auth/stile/flows/assurance"
)

// exchange is one request on one run: what was loaded, what changes, and what is answered.
type exchange struct {
	e         *Engine
	a         *active
	c         Caller
	r         *run
	p         *program
	client    *flowdefs.Client
	w         *world
	presented string // the secret that the request presented: seals the kept answer
	input     Input
	before    State // as it is stored
	replayed  *View // the answer to an idempotent repeat: nothing is to be done
	fresh     bool  // the run is not in the store yet

	handle   Secret        // a new handle, if the run gets one
	link     *handoverData // a new link to a page
	result   *Result       // of a run that completes
	instead  *View         // of the run that a restart began
	token    bool          // what was answered is another server's token
	refused  *Problem
	events   []Event
	removed  []string   // authenticators that go out of use with the change
	ends     bool       // the account's other sessions end with the change
	enrolled []string   // pending authenticators that become active with the change
	came     []arrival  // authenticators that came with a proof of this change
	messages []Message  // to be sent with the change
	notices  []Message  // to the account's owner, likewise
	spent    []string   // budgets that a message was taken from
	guesses  []string   // budgets that this answer was taken from
	stored   bool       // the change is stored
	held     time.Time  // a step was not let send before this instant: the budget is spent
	passed   []string   // counters to clear once the change is stored
	session  *Session   // to be stored with the completion
	code     *Record    // likewise
	left     []Leftover // of the proofs of this change
}

// maxMoves bounds the work of one request: no flow that loads has so many nodes.
const maxMoves = 1000

// worldOf is what the machine may see of a run, but for the account.
func (e *Engine) worldOf(a *active, r *run, p *program, client *flowdefs.Client) *world {
	w := &world{
		now: r.State.atLeast(e.cfg.Now().UTC()), key: r.Key, flow: r.Flow, kind: p.flow.Kind,
		started: r.Started, request: map[string]string{"locale": r.Locale}, drawable: r.Draws,
		scales: a.scales, departs: e.cfg.Deviations, lax: e.cfg.Unproved,
		goal: goal{named: r.Target, requires: r.requires(), scale: r.Scale, acrValues: r.ACRValues, voluntary: r.Voluntary},
	}
	if r.MaxAge != nil {
		w.goal.notBefore = r.Started.Add(-*r.MaxAge)
	}
	if client != nil {
		w.party = r.Code != nil
		w.keyed, w.web = client.DPoPRequired && r.Code == nil, e.pages(client, r.Draws)
		if slices.Contains(client.Targets, r.Target) {
			w.goal.target = a.set.Targets[r.Target]
		}
	}
	return w
}

// look gathers the facts that the machine may see.
func (x *exchange) look(ctx context.Context) error {
	x.w = x.e.worldOf(x.a, x.r, x.p, x.client)
	x.w.page = x.client != nil && slices.Contains(x.client.Origins, x.c.Origin)
	if ps := x.r.State.Session; ps != nil {
		_, err := x.e.cfg.Sessions.SessionByID(ctx, ps.ID, x.w.now)
		if err != nil && !errors.Is(err, ErrNotFound) {
			return err
		}
		x.w.over = err != nil
	}
	if err := x.lookEnd(ctx); err != nil {
		return err
	}
	return x.lookUp(ctx, cmp.Or(x.r.State.Subject, x.r.State.Claimed))
}

// lookUp takes in the account of subject. It is called again whenever a step may have changed it.
func (x *exchange) lookUp(ctx context.Context, subject string) error {
	x.w.setAccount(Account{}, nil)
	if subject == "" && x.r.State.Named == "" {
		return nil
	}
	a, err := x.e.cfg.Accounts.Account(ctx, cmp.Or(subject, "nobody")) // a name that is not there costs a look as well
	if errors.Is(err, ErrNotFound) || err == nil && subject == "" {
		return nil
	}
	if err != nil {
		return err
	}
	x.w.setAccount(a, append(slices.Clone(x.r.State.Enrolled), x.enrolled...))
	return nil
}

// drive feeds the machine until it waits or ends.
func (x *exchange) drive(ctx context.Context, sig signal) error {
	wrong := false
	for range maxMoves {
		next, mv := advance(ctx, x.p, x.r.State, sig, x.w)
		if mv.kind == moveRefuse && !mv.until.IsZero() {
			return x.tooEarly(mv.until)
		}
		if mv.kind == moveRefuse {
			return x.conflict(mv.code)
		}
		again := sig.kind == sigResend
		x.r.State = next
		x.events, wrong = append(x.events, mv.notes...), wrong || mv.wrong
		switch mv.kind {
		case moveEnter:
			out, err := x.enter(ctx, mv.enter, mv.quiet)
			if mv.silent && errors.Is(err, ErrUnavailable) { // a provider that is down hides no other way in
				sig = signal{kind: sigReopen}
				continue
			}
			if err != nil {
				return err
			}
			if again && !x.held.IsZero() {
				return x.tooEarly(x.held)
			}
			if sig, err = x.signal(ctx, mv.enter, out); err != nil {
				return err
			}
		case moveComplete: // account and session are looked up again: they may have changed meanwhile
			if err := x.look(ctx); err != nil {
				return err
			}
			sig = signal{kind: sigIssue}
		case moveIssue:
			return x.issue(ctx, mv.issue)
		case moveFinal:
			if next.Status == Failed {
				x.refused = &Problem{Kind: KindFailed, Code: next.Failure, Detail: "The flow has failed.", Enrol: x.enrol(next.Failure)}
			}
			return nil
		default:
			if wrong { // also if another prompt follows, because the step or option is lost
				x.refused = &Problem{Kind: KindRejected, Code: CodeWrongAnswer, Detail: "The answer was not accepted."}
				if x.token {
					x.refused.Kind, x.refused.Code, x.refused.Detail = KindUnauthorized, CodeTokenRefused, "The token was not accepted."
				}
			}
			return nil
		}
	}
	return fmt.Errorf("flows: run %s made no progress", x.r.ID)
}

// enrol is the flow by which somebody becomes able to do what this run could not.
func (x *exchange) enrol(code string) string {
	if t := x.w.goal.target; code == CodeUnmet && t != nil && x.client != nil && slices.Contains(x.client.Flows, t.Enrol) {
		return t.Enrol
	}
	return ""
}

// enter calls a step that the run arrives at, or that is to send again.
func (x *exchange) enter(ctx context.Context, n *node, quiet time.Time) (Outcome, error) {
	v, before := x.visit(n, x.r.State.Turn+1), len(x.messages)
	if n.typ.Sends {
		v.sender = &sender{x: x, n: n, quiet: quiet}
	}
	if n.typ.Links {
		v.link, v.linkURL = &x.r.State.Link, x.e.cfg.LinkURL
	}
	out, err := n.step.Enter(ctx, v)
	out.sent = len(x.messages) > before
	return x.routed(n, out, err)
}

// routed turns the failure of a dependency into an exit, where the definition has one for it.
func (x *exchange) routed(n *node, out Outcome, err error) (Outcome, error) {
	if errors.Is(err, ErrUnavailable) && x.p.handles(n, exitUnavailable) {
		return Exit(exitUnavailable), nil
	}
	return out, err
}

func (x *exchange) visit(n *node, turn int) *Visit {
	s, callback := &x.r.State, ""
	if x.r.Code != nil {
		callback = x.e.cfg.CallbackURL
	}
	return &Visit{
		Callback: callback,
		RunID:    x.r.ID, Flow: x.r.Flow, StepID: n.def.ID, Turn: turn, Attempt: s.Steps[n.def.ID].Visits,
		Now: x.w.now, Client: *x.client, Locale: x.r.Locale, Key: x.r.Key,
		Federated: slices.ContainsFunc(s.Evidence, func(e assurance.Evidence) bool { return e.Method == assurance.Federated }),
		MaxAge:    x.r.MaxAge, Subject: s.Subject, Claimed: x.w.account.Subject, Identifier: s.Named, Level: x.w.assess(s.Evidence).Level,
		Redirect:    x.redirect(),
		Transaction: maps.Clone(x.r.Transaction), Messages: x.a.set.Messages,
		owner: x.owner(n, turn), marks: x.e.cfg.Marks, memory: &s.Memory, decoy: x.e.decoyOf(x.r),
	}
}

// redirect is where the browser comes back to: where the app is, if that is still one of
// the client's places, else to the first of these.
func (x *exchange) redirect() string {
	app := x.r.Redirect
	if !x.client.Redirects(app) {
		app = ""
	}
	return x.client.RedirectFor("", app)
}

// owner names this run, turn and input: who may take a one-time mark again.
func (x *exchange) owner(n *node, turn int) string {
	h := sha256.New()
	fmt.Fprintf(h, "%s\x00%s\x00%d\x00", x.r.ID, n.def.ID, turn)
	h.Write(x.input)
	return hex.EncodeToString(h.Sum(nil)[:16])
}

// signal turns a step's outcome into the machine's input, after the checks that no step can skip.
func (x *exchange) signal(ctx context.Context, n *node, out Outcome) (signal, error) {
	sig := signal{kind: sigOutcome, outcome: out}
	if out.prompt != nil {
		data, err := promptData(out.prompt)
		if err != nil {
			return sig, err
		}
		sig.data = data
	}
	for _, name := range out.raises {
		if !slices.Contains(n.typ.Raises, name) {
			return sig, fmt.Errorf("flows: step type %s raised the undeclared obligation %q", n.typ.Name, name)
		}
	}
	if err := n.assigns(out); err != nil {
		return sig, err
	}
	switch out.kind {
	case outcomePass:
		err := x.vouch(ctx, n, out.proof)
		if out.proof.Leaves != nil && err == nil {
			x.left = append(x.left, *out.proof.Leaves)
		}
		if x.w.account.Status == AccountActive {
			x.completed(n, out)
		}
		return sig, err
	case outcomeDone:
		x.completed(n, out) // the addresses are those before the change: it may be one of them that has gone
		if out.enrolled != "" {
			x.enrolled = append(x.enrolled, out.enrolled)
		}
		if len(out.removed) > 0 || n.typ.EndsSessions && out.enrolled != "" {
			x.ends, x.r.Changed = true, true
			x.r.Leaves = x.sessionID() // a code that this request makes goes on with that session too
			x.events = append(x.events, Event{Type: EventSessionsEnded, Step: n.def.ID})
		}
		if out.enrolled != "" && !n.typ.Enrols {
			return sig, fmt.Errorf("flows: step type %s enrols without declaring it", n.typ.Name)
		}
		if len(out.removed) > 0 && !n.typ.Removes {
			return sig, fmt.Errorf("flows: step type %s removes without declaring it", n.typ.Name)
		}
		for _, a := range out.removed {
			x.removed = append(x.removed, a.ID)
			x.events = append(x.events, Event{Type: EventRemoved, Step: n.def.ID, Reason: a.Type})
		}
		return sig, x.lookUp(ctx, cmp.Or(x.r.State.Subject, x.r.State.Claimed))
	case outcomeExit:
		if !slices.Contains(n.typ.Exits, out.exit) && out.exit != exitDenied && out.exit != exitUnavailable {
			return sig, fmt.Errorf("flows: step type %s left by the undeclared exit %q", n.typ.Name, out.exit)
		}
	case outcomeAsk:
		if n.typ.Code == "" {
			return sig, fmt.Errorf("flows: step type %s asks, and has no code to ask with", n.typ.Name)
		}
	case outcomeNone:
		return sig, fmt.Errorf("flows: step type %s decided nothing", n.typ.Name)
	default: // a rejection: nothing to check
	}
	return sig, nil
}

// assigns holds a step to assigning all that its type says, when it is done, and
// nothing else: later conditions and proofs rest on it.
func (n *node) assigns(out Outcome) error {
	var want []string
	if n.typ.Assigns != nil && out.kind == outcomeDone {
		want = n.typ.Assigns(n.def.With)
	}
	for _, name := range want {
		if v, there := out.assigned[name]; !there || strings.HasPrefix(v, flowdefs.UnknownValue) {
			return fmt.Errorf("flows: step type %s did not assign %q", n.typ.Name, name)
		}
	}
	if len(out.assigned) != len(want) {
		return fmt.Errorf("flows: step type %s assigned what it does not declare", n.typ.Name)
	}
	return nil
}

// vouch checks a proof against what the step type may prove at most, and looks
// up whom it is about.
func (x *exchange) vouch(ctx context.Context, n *node, proof *Proof) error {
	if err := assurance.CheckCeilings(n.ceilings, proof.Evidence); err != nil {
		return err
	}
	if err := x.approves(n, proof.Approved); err != nil {
		return err
	}
	return x.lookUp(ctx, cmp.Or(proof.Subject, x.r.State.Subject, x.r.State.Claimed))
}

func promptData(p *Prompt) (json.RawMessage, error) {
	if p.Data == nil {
		return json.RawMessage(`{}`), nil
	}
	data, err := json.Marshal(p.Data)
	if err != nil {
		return nil, fmt.Errorf("flows: prompt: %w", err)
	}
	return data, nil
}

// overdue says whether the prompt that waits has timed out, or was denied.
func (x *exchange) overdue() bool {
	s := &x.r.State
	if s.Denied {
		return true
	}
	n := x.p.current(s)
	return n != nil && n.def.Kind == flowdefs.Step && !s.Until.IsZero() && !x.w.now.Before(s.Until)
}

// wait is how long a delay still takes.
func (x *exchange) wait() time.Duration { return x.r.State.Until.Sub(x.w.now) }
