package flows

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/stile-auth/stile/flowdefs"
	"github.com/stile-auth/stile/flows/assurance"
)

// exchange is one request on one run: what was loaded, what changes, and what is answered.
type exchange struct {
	e         *Engine
	c         Caller
	r         *run
	p         *program
	client    *flowdefs.Client
	w         *world
	presented string  // the secret that the request presented: seals the kept answer
	fresh     bool    // the run is not in the store yet
	handle    Secret  // a new handle, if the run gets one
	result    *Result // of a run that completes
	instead   *View   // of the run that a restart began
	refused   *Problem
	events    []Event
	passed    []string // counters to clear once the change is stored
	session   *Session // to be stored with the completion
	input     Input
}

// maxMoves bounds the work of one request: no flow that loads has so many nodes.
const maxMoves = 10_000

// look gathers the facts that the machine may see.
func (x *exchange) look(ctx context.Context) error {
	r := x.r
	x.w = &world{
		now: r.State.atLeast(x.e.cfg.Now().UTC()), key: r.Key, keyed: x.client.DPoPRequired, flow: r.Flow, target: r.Target,
		started: r.Started, request: map[string]string{"locale": r.Locale}, drawable: r.Draws,
	}
	if r.MaxAge != nil {
		x.w.notBefore = r.Started.Add(-*r.MaxAge)
	}
	return x.lookUp(ctx, firstOf(r.State.Subject, r.State.Claimed))
}

// lookUp takes in the account of subject. It is called again whenever a step may have changed it.
func (x *exchange) lookUp(ctx context.Context, subject string) error {
	x.w.setAccount(Account{})
	if subject == "" {
		return nil
	}
	a, err := x.e.cfg.Accounts.Account(ctx, subject)
	if errors.Is(err, ErrNotFound) {
		return nil
	}
	if err != nil {
		return err
	}
	x.w.setAccount(a)
	return nil
}

func firstOf(a, b string) string {
	if a != "" {
		return a
	}
	return b
}

// drive feeds the machine until it waits or ends.
func (x *exchange) drive(ctx context.Context, sig signal) error {
	_, wrong := sig.outcome.Rejected()
	for range maxMoves {
		next, mv := advance(ctx, x.p, x.r.State, sig, x.w)
		if mv.kind == moveRefuse {
			return x.conflict(mv.code)
		}
		x.r.State = next
		x.events = append(x.events, mv.notes...)
		switch mv.kind {
		case moveEnter:
			out, err := x.enter(ctx, mv.enter)
			if err != nil {
				return err
			}
			if sig, err = x.signal(ctx, mv.enter, out); err != nil {
				return err
			}
		case moveComplete:
			return x.complete(ctx)
		case moveFinal:
			x.final()
			return nil
		default:
			if wrong { // also if another prompt follows, because the step or option is lost
				x.refused = &Problem{Kind: KindRejected, Code: CodeWrongAnswer, Detail: "The answer was not accepted."}
			}
			return nil
		}
	}
	return fmt.Errorf("flows: run %s made no progress", x.r.ID)
}

// final: a failed run is told so; a cancelled one is an ordinary view.
func (x *exchange) final() {
	if x.r.State.Status == Failed {
		x.refused = &Problem{Kind: KindFailed, Code: x.r.State.Failure, Detail: "The flow has failed."}
	}
}

func (x *exchange) enter(ctx context.Context, n *node) (Outcome, error) {
	return n.step.Enter(ctx, x.visit(n, x.r.State.Turn+1))
}

func (x *exchange) visit(n *node, turn int) *Visit {
	s := &x.r.State
	return &Visit{
		RunID: x.r.ID, Flow: x.r.Flow, StepID: n.def.ID, Turn: turn, Attempt: s.Steps[n.def.ID].Visits,
		Now: x.w.now, Client: *x.client, Locale: x.r.Locale, Key: x.r.Key,
		Subject: s.Subject, Claimed: x.known(), Identifier: s.Named, Level: x.w.assess(s.Evidence).Level,
		owner: x.owner(n, turn), marks: x.e.cfg.Marks, memory: &s.Memory,
	}
}

// known is the claimed account if there is one that can be looked up.
func (x *exchange) known() string { return x.w.account.Subject }

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
	switch out.kind {
	case outcomePass:
		return x.vouch(ctx, n, sig)
	case outcomeDone:
		if out.enrolled != "" && !n.typ.Enrols {
			return sig, fmt.Errorf("flows: step type %s enrols without declaring it", n.typ.Name)
		}
		return sig, x.lookUp(ctx, firstOf(x.r.State.Subject, x.r.State.Claimed))
	case outcomeExit:
		if !declared(n.typ.Exits, out.exit) {
			return sig, fmt.Errorf("flows: step type %s left by the undeclared exit %q", n.typ.Name, out.exit)
		}
	case outcomeNone:
		return sig, fmt.Errorf("flows: step type %s decided nothing", n.typ.Name)
	}
	return sig, nil
}

// vouch completes a proof and checks it against what the step type may prove at
// most, and the person's account against its status.
func (x *exchange) vouch(ctx context.Context, n *node, sig signal) (signal, error) {
	proof := *sig.outcome.proof
	ev := &proof.Evidence
	ev.Step, ev.StepType, ev.Config, ev.At = n.def.ID, n.def.Type, n.def.ConfigHash, x.w.now
	if err := assurance.CheckCeilings(n.typ.Evidence, *ev); err != nil {
		x.events = append(x.events, Event{Type: EventAboveCeiling, Step: n.def.ID})
		return sig, err
	}
	sig.outcome.proof = &proof
	first := x.r.State.Subject == ""
	if err := x.lookUp(ctx, firstOf(proof.Subject, firstOf(x.r.State.Subject, x.r.State.Claimed))); err != nil {
		return sig, err
	}
	if x.w.account.Status == AccountActive {
		return sig, nil
	}
	// Nobody learns from a first proof that an account exists but is disabled:
	// to a guess it is a wrong answer, to anything else a denial.
	if first && n.typ.Guessable {
		sig.outcome = Reject("account", nil)
		return sig, nil
	}
	sig.outcome = Exit("denied")
	return sig, nil
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

func declared(exits []string, exit string) bool {
	for _, e := range exits {
		if e == exit {
			return true
		}
	}
	return exit == "denied"
}
