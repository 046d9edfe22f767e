package flows

import (
	"context"
	"encoding/json"
	"slices"

	"github.com/stile-auth/stile/flowdefs"
	"github.com/stile-auth/stile/flows/assurance"
)

// signal is what happened to a run.
type signal struct {
	kind    signalKind
	outcome Outcome // of the step that waits or was entered
	data    json.RawMessage
	option  string // picked
}

type signalKind int

const (
	sigBegin   signalKind = iota // a new run
	sigOutcome                   // the current step decided
	sigPick                      // the client picked an option of the choose that waits
	sigReopen                    // the client wants another option than the current one
	sigBack                      // the client goes back one prompt
	sigCancel                    // the client gives up
	sigLock                      // the authenticator of the current step is locked for good
)

// move is what the shell has to do next.
type move struct {
	kind  moveKind
	enter *node  // moveEnter: call its step
	code  string // moveRefuse: why the signal was refused; the state is unchanged
	notes []Event
}

type moveKind int

const (
	moveEnter    moveKind = iota // call the step's Enter and come back with its outcome
	moveWait                     // show the prompt
	moveComplete                 // the end of the flow is reached: ask the gate
	moveFinal                    // failed or cancelled
	moveRefuse                   // not possible now
)

// advance is the machine: the only code that decides what comes next. It is a
// pure function of its arguments (conditions are pure expressions over s and
// w; ctx bounds their evaluation), so that what is proved and drawn from it is
// what runs.
func advance(ctx context.Context, p *program, s State, sig signal, w *world) (State, move) {
	m := machine{ctx: ctx, p: p, s: s.clone(), w: w}
	mv := m.take(sig)
	if mv.kind == moveRefuse {
		return s, mv
	}
	if mv.kind != moveEnter {
		m.s.Turn++
	}
	mv.notes = m.notes
	return m.s, mv
}

// machine is one call of advance.
type machine struct {
	ctx   context.Context //nolint:containedctx // lives for one call, on the stack of advance
	p     *program
	s     State
	w     *world
	notes []Event
}

func (m *machine) take(sig signal) move {
	switch sig.kind {
	case sigBegin:
		return m.arrive(0)
	case sigCancel:
		m.s.leave()
		m.s.Status = Cancelled
		m.note(Event{Type: EventRunCancelled})
		return move{kind: moveFinal}
	}
	n, isStep := m.p.current(&m.s)
	switch {
	case n == nil:
		return m.fail(CodeInternal)
	case sig.kind == sigOutcome && isStep:
		return m.decided(n, sig)
	case sig.kind == sigLock && isStep:
		return m.lose(n, lostLocked)
	case sig.kind == sigPick && !isStep:
		return m.pick(n, sig.option)
	case sig.kind == sigReopen && isStep && m.s.Other:
		return m.reopen(n)
	case sig.kind == sigBack && len(m.s.Trail) > 0:
		return m.back()
	}
	return move{kind: moveRefuse, code: CodeNotPossibleHere}
}

// arrive goes on at node i until something has to be asked, entered or ended.
func (m *machine) arrive(i int) move {
	for i != end {
		n := &m.p.nodes[i]
		if !m.runs(n) {
			i = n.next
			continue
		}
		var mv move
		var stop bool
		switch n.def.Kind {
		case flowdefs.Require:
			mv, stop = m.guard(n)
		case flowdefs.Choose:
			mv, stop = m.choose(n, i)
		default:
			mv, stop = m.enter(n)
		}
		if stop {
			return mv
		}
		i = n.next
	}
	m.s.leave()
	return move{kind: moveComplete}
}

// guard holds a require: false or an error fails the run. Before the first
// proof only what is true for every account holds: nobody may learn from a
// guard what accounts exist and what they have.
func (m *machine) guard(n *node) (move, bool) {
	holds := n.def.Require.Bool
	if m.s.Subject == "" {
		holds = n.def.Require.Certain
	}
	ok, err := holds(m.ctx, m.env())
	if err != nil {
		m.note(Event{Type: EventConditionFailed, Reason: "require"})
	}
	if err != nil || !ok {
		return m.fail(CodeRequirement), true
	}
	return move{}, false
}

// enter arrives at a step, unless what the session proved stands for it.
func (m *machine) enter(n *node) (move, bool) {
	if m.reuse(n) {
		return move{}, false
	}
	if code := m.barred(n); code != "" {
		return m.fail(code), true
	}
	m.s.leave()
	m.s.At = n.def.ID
	m.s.Other = m.exchangeable(n)
	m.s.step(n.def.ID, func(st *StepState) { st.Visits++ })
	return move{kind: moveEnter, enter: n}, true
}

// barred says why a step must not run at all, "" if it may.
func (m *machine) barred(n *node) string {
	switch {
	case !m.w.draws(n.typ.Code):
		return CodeCannotDraw
	case n.typ.NeedsDevice && !m.w.bound:
		return CodeDeviceRequired
	case n.typ.Enrols && (m.s.Subject == "" || m.freshLevel() < m.w.reach(m.p, m.s.Evidence)):
		return CodeInsufficient
	}
	return ""
}

// decided applies what the current step decided.
func (m *machine) decided(n *node, sig signal) move {
	o := sig.outcome
	switch o.kind {
	case outcomeAsk:
		m.s.Data = sig.data
		m.remember()
		return move{kind: moveWait}
	case outcomePass:
		if mv, ok := m.prove(n, o.proof); !ok {
			return mv
		}
		return m.finish(n, Event{Type: EventStepPassed})
	case outcomeDone:
		if o.enrolled != "" {
			m.s.Enrolled = append(m.s.Enrolled, o.enrolled)
		}
		return m.finish(n, Event{Type: EventStepDone})
	case outcomeExit:
		m.note(Event{Type: EventStepExit, Step: n.def.ID, Reason: o.exit})
		return m.fail(exitCode(o.exit))
	case outcomeReject:
		return m.reject(n, o, sig.data)
	}
	return m.fail(CodeInternal)
}

// prove records a proof: the only place where a subject is written and evidence grows.
func (m *machine) prove(n *node, proof *Proof) (move, bool) {
	subject := proof.Subject
	if subject == "" {
		subject = m.s.Subject
	}
	if subject == "" {
		subject = m.s.Claimed
	}
	switch {
	case subject == "":
		return m.fail(CodeInternal), false
	case m.s.Subject != "" && m.s.Subject != subject,
		m.s.Session != nil && m.s.Session.Subject != subject:
		m.note(Event{Type: EventSubjectChanged, Step: n.def.ID})
		return m.fail(CodeSubjectChanged), false
	case slices.Contains(m.s.Enrolled, proof.Evidence.Authenticator):
		m.note(Event{Type: EventEnrolledProof, Step: n.def.ID})
		return m.fail(CodeInternal), false
	}
	m.s.Subject, m.s.Claimed = subject, subject
	m.s.Evidence = append(m.s.Evidence, proof.Evidence)
	return move{}, true
}

// finish completes the current step and goes on behind it.
func (m *machine) finish(n *node, e Event) move {
	e.Step = n.def.ID
	m.note(e)
	m.s.step(n.def.ID, func(st *StepState) { st.Done = true })
	m.s.Trail = nil // never back across evidence
	m.s.leave()
	return m.arrive(n.next)
}

// reject counts a wrong answer.
func (m *machine) reject(n *node, o Outcome, data json.RawMessage) move {
	m.note(Event{Type: EventStepRejected, Step: n.def.ID, Reason: o.reason})
	m.s.step(n.def.ID, func(st *StepState) { st.Rejected++ })
	if m.s.Steps[n.def.ID].Rejected >= n.attempts() {
		return m.lose(n, lostExhausted)
	}
	if o.prompt != nil {
		m.s.Data = data
	}
	return move{kind: moveWait}
}

// Why an option is not offered any more in this run.
const (
	lostExhausted = "exhausted"
	lostLocked    = "locked"
)

// lose gives the current step up: another option, or the end.
func (m *machine) lose(n *node, why string) move {
	m.note(Event{Type: EventStepLost, Step: n.def.ID, Reason: why})
	m.s.step(n.def.ID, func(st *StepState) { st.Lost = why })
	m.s.leave()
	m.s.Trail = nil
	if n.parent == end {
		return m.fail(exitCode(why))
	}
	if mv, stop := m.choose(&m.p.nodes[n.parent], n.parent); stop {
		return mv
	}
	return m.arrive(n.next)
}

func (m *machine) fail(code string) move {
	m.s.leave()
	m.s.Status, m.s.Failure = Failed, code
	m.note(Event{Type: EventRunFailed, Reason: code})
	return move{kind: moveFinal}
}

// exitCode is the failure of a run that is left by an exit that nothing handles.
func exitCode(exit string) string {
	switch exit {
	case "denied":
		return CodeDenied
	case lostExhausted:
		return CodeExhausted
	case lostLocked:
		return CodeLocked
	}
	return CodeUnhandledExit
}

func (m *machine) note(e Event) { m.notes = append(m.notes, e) }

// attempts is how many wrong answers a step allows in one run.
func (n *node) attempts() int {
	if n.def.Attempts > 0 {
		return n.def.Attempts
	}
	return 5
}

func (m *machine) level() assurance.Level { return m.w.assess(m.s.Evidence).Level }
