package flows

import (
	"context"
	"encoding/json"
	"time"

	"github.com/stile-auth/stile/flowdefs"
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
	p, err := compile(f, r)
	return &Trial{p: p, State: State{Status: InProgress}, w: &world{now: now, started: now, flow: f.Name, kind: f.Kind, keyed: true, key: "key"}}, err
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
	"lock": sigLock, "time": sigTime, "activate": sigActivate, "issue": sigIssue, "denied": sigDenied, "resend": sigResend,
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
