package flows

import (
	"context"
	"encoding/json"
	"time"

	"github.com/stile-auth/stile/flowdefs"
	"github.com/stile-auth/stile/flows/assurance"
)

// Trial is the machine alone, without stores: tests say what the world is and what happens.
type Trial struct {
	State State
	Notes []Event // of the last signal
	p     *program
	w     *world
}

// NewTrial makes a run of f that has not begun.
func NewTrial(f *flowdefs.Flow, r *Registry, now time.Time) (*Trial, error) {
	p, err := compile(f, r, nil)
	return &Trial{p: p, State: State{Status: InProgress}, w: &world{now: now, started: now, flow: f.Name, kind: f.Kind, keyed: true, key: "key", scales: assurance.BuiltIn()}}, err
}

// Claim says whose account the run is about.
func (t *Trial) Claim(a Account) { t.State.Claimed = a.Subject; t.w.setAccount(a, t.State.Enrolled) }

// Bind says whether the client's key is that of a bound device.
func (t *Trial) Bind(bound bool) { t.w.bound = bound }

// Pass lets time pass.
func (t *Trial) Pass(d time.Duration) { t.w.now = t.w.now.Add(d) }

// Type is the type of the step that waits or was entered.
func (t *Trial) Type() string {
	if n := t.p.current(&t.State); n != nil {
		return n.def.Type
	}
	return ""
}

// Signals are the signals by name.
var Signals = map[string]signalKind{
	"begin": sigBegin, "outcome": sigOutcome, "pick": sigPick, "reopen": sigReopen, "back": sigBack, "cancel": sigCancel,
	"lock": sigLock, "time": sigTime, "activate": sigActivate, "issue": sigIssue, "denied": sigDenied, "ended": sigEnded, "resend": sigResend,
	"elsewhere": sigElsewhere,
}

var moveNames = map[moveKind]string{
	moveEnter: "enter", moveWait: "wait", moveComplete: "complete", moveIssue: "issue", moveFinal: "final", moveRefuse: "refuse",
}

// Do gives the machine a signal and returns the name of its move.
func (t *Trial) Do(kind, name string, o Outcome) string {
	sig := signal{kind: Signals[kind], outcome: o, name: name}
	if o.prompt != nil {
		sig.data = json.RawMessage(`{"asked":true}`)
	}
	next, mv := advance(context.Background(), t.p, t.State, sig, t.w)
	t.State, t.Notes = next, mv.notes
	return moveNames[mv.kind]
}

// Seek gives the run a goal: levels of which one has to be reached.
func (t *Trial) Seek(acr ...string) { t.w.goal.acrValues = acr }

// Pruned says whether an option would be withdrawn if one of the levels had to be reached.
func (t *Trial) Pruned(option string, acr ...string) bool {
	m := machine{p: t.p, s: t.State.clone(), w: t.w}
	defer t.Seek(t.w.goal.acrValues...)
	t.Seek(acr...)
	return m.pruned(&t.p.nodes[t.p.byID[option]])
}

// Hopeless says whether a run that comes to the step that waits would be
// stopped if one of the levels had to be reached.
func (t *Trial) Hopeless(acr ...string) bool {
	m := machine{p: t.p, s: t.State.clone(), w: t.w}
	defer t.Seek(t.w.goal.acrValues...)
	t.Seek(acr...)
	return m.hopeless(t.p.current(&t.State))
}

// OutOfReach says whether a run for one of the levels is refused from the beginning.
func (t *Trial) OutOfReach(acr ...string) bool {
	m := machine{p: t.p, s: t.State.clone(), w: t.w}
	defer t.Seek(t.w.goal.acrValues...)
	t.Seek(acr...)
	return m.within(t.p.start) != nil
}

// Met says whether what was proved amounts to one of the levels.
func (t *Trial) Met(acr ...string) bool {
	g := goal{acrValues: acr}
	return g.met(t.w.scales, t.State.Evidence, t.w.now, t.w.policy()) == nil
}
