package flows

import (
	"context"
	"encoding/json"
	"maps"
	"slices"
	"time"

	"github.com/stile-auth/stile/flowdefs"
)

// signal is what happened to a run.
type signal struct {
	kind    signalKind
	outcome Outcome // of the step that waits or was entered
	data    json.RawMessage
	name    string // option that was picked, or step that was activated
}

type signalKind int

const (
	sigBegin     signalKind = iota // a new run
	sigOutcome                     // the current step decided
	sigPick                        // the client picked an option of the choose that waits
	sigReopen                      // the client wants another option than the current one
	sigBack                        // the client goes back one prompt
	sigCancel                      // the client gives up
	sigLock                        // the authenticator of the current step is locked for good
	sigTime                        // the prompt that waits has timed out, or its delay is over
	sigActivate                    // the client activates a later step
	sigIssue                       // the end is reached, and the account was looked up again
	sigDenied                      // the account may not be used any more
	sigEnded                       // the account's sessions were ended after the run began
	sigResend                      // the client wants what the current step has sent once more
	sigElsewhere                   // who got the link of the current step has confirmed it, or denied it
)

// move is what the shell has to do next.
type move struct {
	kind  moveKind
	enter *node     // moveEnter: call its step
	quiet time.Time // moveEnter: it may send nothing before this instant; zero: it may
	// moveEnter: nobody has picked the option that begins with it, and others are left
	silent bool
	issue  *issuance
	wrong  bool      // an answer was refused on the way
	code   string    // moveRefuse: why the signal was refused; the state is unchanged
	until  time.Time // moveRefuse: when it would not be; zero: never
	notes  []Event
}

type moveKind int

const (
	moveEnter    moveKind = iota // call the step's Enter and come back with its outcome
	moveWait                     // show the prompt
	moveComplete                 // the end is reached: look the account up again and come back with sigIssue
	moveIssue                    // the gate has opened: issue
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
	if mv.kind != moveEnter && mv.kind != moveComplete {
		m.s.Turn++
	}
	mv.notes, mv.wrong = m.notes, m.wrong
	return m.s, mv
}

// machine is one call of advance.
type machine struct {
	ctx   context.Context //nolint:containedctx // lives for one call, on the stack of advance
	moves int
	wrong bool
	p     *program
	s     State
	w     *world
	notes []Event
	own   bool // m.s.Steps is a copy: it may be changed
}

// step changes what the run remembers of a step. The map is copied before the
// first change: most of what a long flow costs is this copy, and to ask changes nothing in it.
func (m *machine) step(id string, change func(*StepState)) {
	if !m.own {
		m.own, m.s.Steps = true, maps.Clone(m.s.Steps)
	}
	st := m.s.Steps[id]
	change(&st)
	m.s.Steps = put(m.s.Steps, id, st)
}

func (m *machine) take(sig signal) move {
	switch sig.kind {
	case sigBegin:
		if m.w.goal.asks() && m.within(m.p.start) != nil {
			return m.fail(CodeUnmet)
		}
		return m.arrive(m.p.first)
	case sigCancel:
		return m.cancel()
	case sigDenied:
		return m.fail(CodeDenied)
	case sigEnded:
		return m.fail(CodeLoginRequired)
	case sigIssue:
		return m.gate()
	default:
	}
	n := m.p.current(&m.s)
	if n == nil {
		return m.fail(CodeInternal)
	}
	isStep := n.def.Kind == flowdefs.Step
	if m.s.Denied { // whatever the client wants
		return m.exit(n, exitDenied)
	}
	switch {
	case sig.kind == sigOutcome && isStep:
		return m.decided(n, sig)
	case sig.kind == sigLock && isStep:
		return m.lose(n, exitLocked)
	case sig.kind == sigPick && n.def.Kind == flowdefs.Choose:
		return m.pick(n, sig.name)
	case sig.kind == sigReopen && m.s.Other != "":
		return m.choose(m.p.byID[m.s.Other])
	case sig.kind == sigBack && !m.p.flow.NoBack:
		return m.back()
	case sig.kind == sigTime && !m.s.Until.IsZero() && !m.w.now.Before(m.s.Until):
		return m.due(n)
	case sig.kind == sigActivate:
		return m.activate(sig.name)
	case sig.kind == sigResend && isStep:
		return m.resend(n)
	case sig.kind == sigElsewhere && m.s.Link != nil:
		return m.elsewhere(n, sig)
	}
	return refuse(CodeNotPossibleHere)
}

func refuse(code string) move { return move{kind: moveRefuse, code: code} }

// arrive goes on at place i until something has to be asked, entered or ended.
func (m *machine) arrive(i int) move {
	for {
		m.moves++
		switch {
		case m.moves > maxMoves:
			return m.fail(CodeLoop)
		case i == end:
			return m.complete()
		case i == handlerEnd:
			return m.fail(exitCode(m.s.Exit))
		case i <= backBase:
			return m.returned(backBase - i)
		}
		n := &m.p.nodes[i]
		if !m.runs(n) {
			i = n.next
			continue
		}
		if n.def.Kind == flowdefs.Choose {
			m.renew(n)
			return m.choose(i)
		}
		mv, stop := m.do(n)
		if stop {
			return mv
		}
		i = n.next
	}
}

// do carries out one node that is not a choose; stop says that the sequence does not go on behind it.
func (m *machine) do(n *node) (mv move, stop bool) {
	m.passes(n)
	switch n.def.Kind {
	case flowdefs.Step:
		return m.enter(n)
	case flowdefs.Group:
		return m.arrive(n.first), true
	case flowdefs.Require:
		return m.guard(n)
	case flowdefs.Goto:
		return m.jump(n), true
	case flowdefs.Fail:
		return m.fail(n.def.Code), true
	case flowdefs.Abort:
		return m.cancel(), true
	case flowdefs.Decide:
		return m.decide(n)
	case flowdefs.Assign:
		return m.assign(n)
	case flowdefs.Delay:
		return m.delay(n), true
	case flowdefs.Tag:
		m.tag(n)
	case flowdefs.Oblige:
		m.oblige(n.def.Name)
	default:
		return m.fail(CodeInternal), true
	}
	return move{}, false
}

// complete is the end of the flow: nothing may be owed.
func (m *machine) complete() move {
	m.s.leave()
	if len(m.s.Obliged) > 0 {
		return m.fail(CodeObligation)
	}
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
	ok, err := holds(m.ctx, m.env(n.def.Require))
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
	if n.typ.Names && m.named() {
		m.step(n.def.ID, func(st *StepState) { st.Done = true })
		return move{}, false
	}
	switch {
	case !m.w.takes(n.typ):
		return m.fail(CodeCannotDraw), true
	case n.typ.NeedsDevice && !m.w.bound:
		return m.fail(CodeDeviceRequired), true
	case m.hopeless(n):
		return m.fail(CodeUnmet), true
	case n.typ.Enrols && !m.mayEnrol(), n.typ.Removes && !m.mayRemove():
		return m.exit(n, exitInsufficient), true
	}
	m.s.leave()
	m.s.At, m.s.Handed = n.def.ID, m.w.hands(n.typ.Code)
	if _, choose := m.p.option(n); choose != nil && len(m.offers(choose)) > 1 {
		m.s.Other = choose.def.ID
	}
	m.step(n.def.ID, func(st *StepState) { st.Visits++ })
	mv := move{kind: moveEnter, enter: n}
	if n.typ.Sends {
		left, at := n.sends(&m.s)
		if left == 0 {
			return m.lose(n, exitExhausted), true
		}
		if m.w.now.Before(at) { // who came back has to wait as if they had stayed
			mv.quiet = at
		}
	}
	return mv, true
}

// decided applies what the current step decided.
func (m *machine) decided(n *node, sig signal) move {
	o := sig.outcome
	for _, name := range o.raises {
		m.oblige(name)
	}
	switch o.kind {
	case outcomeAsk:
		m.s.Data = sig.data
		if o.sent {
			m.step(n.def.ID, func(st *StepState) { st.Sent, st.SentAt = st.Sent+1, m.w.now })
			m.note(Event{Type: EventMessageSent, Step: n.def.ID})
		}
		if n.def.Timeout > 0 {
			m.s.Until = m.w.now.Add(n.def.Timeout)
		}
		m.remember()
		return move{kind: moveWait}
	case outcomePass:
		return m.passed(n, o.proof)
	case outcomeDone:
		if o.enrolled != "" {
			m.s.Enrolled = append(m.s.Enrolled, o.enrolled)
		}
		for name, v := range o.assigned {
			m.s.Assigned = put(m.s.Assigned, name, v)
		}
		return m.finish(n, Event{Type: EventStepDone})
	case outcomeExit:
		return m.exit(n, o.exit)
	case outcomeReject:
		return m.reject(n, o, sig.data)
	default:
		return m.fail(CodeInternal)
	}
}

// passed applies a proof, if the account that it is about may be used. Nobody
// learns from a first proof that an account exists but may not: to a guess it
// is a wrong answer, to anything else a denial.
func (m *machine) passed(n *node, proof *Proof) move {
	switch {
	case m.w.account.Status == AccountActive:
	case m.s.Subject == "" && n.typ.Guessable:
		return m.reject(n, Outcome{reason: "account"}, nil)
	default:
		return m.exit(n, exitDenied)
	}
	if mv, ok := m.prove(n, proof); !ok {
		return mv
	}
	return m.finish(n, Event{Type: EventStepPassed})
}

// prove records a proof. Here, and where session evidence stands for a step (see
// reuse), a subject is written and evidence grows; nowhere else.
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
		return m.fail(CodeJustEnrolled), false
	}
	m.s.Subject, m.s.Claimed = subject, subject
	e := proof.Evidence
	e.Step, e.StepType, e.Config, e.At = n.def.ID, n.def.Type, n.def.ConfigHash, m.w.now
	if up := e.Upstream; up != nil && !up.AuthTime.IsZero() && up.AuthTime.Before(e.At) {
		e.At = up.AuthTime.UTC() // the person was there then, not now
	}
	m.s.Evidence = append(m.s.Evidence, m.capped(e))
	if a := proof.Approved; a != nil {
		signed := *a
		signed.Step = n.def.ID
		m.s.Approved = append(m.s.Approved, signed)
	}
	return move{}, true
}

// finish completes the current step and goes on behind it.
func (m *machine) finish(n *node, e Event) move {
	e.Step = n.def.ID
	m.note(e)
	m.step(n.def.ID, func(st *StepState) { st.Done = true })
	m.s.Obliged = slices.DeleteFunc(m.s.Obliged, func(o string) bool { return slices.Contains(n.def.Settles, o) })
	if !n.typ.Names { // who is named may go back and say another name
		m.s.Trail = nil // never back across evidence
	}
	m.s.leave()
	return m.arrive(n.next)
}

// named says whether somebody is known, or claimed to be there.
func (m *machine) named() bool {
	return m.s.Subject != "" || m.s.Claimed != "" || m.s.Named != "" || m.s.Session != nil
}

// reject counts a wrong answer.
func (m *machine) reject(n *node, o Outcome, data json.RawMessage) move {
	m.wrong = true
	m.note(Event{Type: EventStepRejected, Step: n.def.ID, Reason: o.reason})
	m.step(n.def.ID, func(st *StepState) { st.Rejected++ })
	if m.s.Steps[n.def.ID].Rejected >= n.attempts() {
		return m.lose(n, exitExhausted)
	}
	if o.prompt != nil {
		m.s.Data = data
	}
	return move{kind: moveWait}
}

// The exits that the engine takes by itself.
const (
	exitExhausted    = "exhausted"
	exitLocked       = "locked"
	exitInsufficient = "insufficient"
	exitTimeout      = "timeout"
	exitUnavailable  = "unavailable"
	exitDenied       = "denied"
	exitNone         = "none"
	exitCancelled    = "cancelled" // of a step whose person did not go through with it
	exitUnmet        = "unmet"     // of a step whose verifier proved less than it was asked for
)

// lose gives a step up: its own exit, another option, or the end.
func (m *machine) lose(n *node, why string) move {
	m.note(Event{Type: EventStepLost, Step: n.def.ID, Reason: why})
	m.step(n.def.ID, func(st *StepState) { st.Lost = why })
	m.s.Trail = nil
	if _, handled := n.def.On[why]; handled {
		return m.exit(n, why)
	}
	for at := n; ; {
		option, choose := m.p.enclosing(at)
		if choose == nil {
			return m.exit(n, why)
		}
		m.step(option.def.ID, func(st *StepState) { st.Lost = why })
		outer, _ := m.p.enclosing(choose)
		if _, handled := choose.def.On[why]; handled || outer == nil || choose.otherwise != end ||
			len(m.offers(choose)) >= choose.def.Any-m.done(choose) {
			return m.choose(m.p.byID[choose.def.ID])
		}
		at = choose // nothing is left here: perhaps outside
	}
}

// exit leaves a node by a named exit: into the nearest handler, or the run fails.
// What is left this way is not completed and proves nothing.
func (m *machine) exit(n *node, name string) move {
	m.note(Event{Type: EventStepExit, Step: n.def.ID, Reason: name})
	for at := n; ; at = &m.p.nodes[at.parent] {
		if handler, ok := at.def.On[name]; ok {
			m.s.Exit, m.s.Trail = name, nil
			m.s.leave()
			return m.arrive(m.p.handlers[handler])
		}
		if at.parent == end {
			return m.fail(exitCode(name))
		}
	}
}

// handles says whether an exit of n leads somewhere.
func (p *program) handles(n *node, name string) bool {
	for at := n; ; at = &p.nodes[at.parent] {
		if _, ok := at.def.On[name]; ok || at.parent == end {
			return ok
		}
	}
}

func (m *machine) fail(code string) move {
	m.s.leave()
	m.s.Status, m.s.Failure = Failed, code
	m.note(Event{Type: EventRunFailed, Reason: code})
	return move{kind: moveFinal}
}

func (m *machine) cancel() move {
	m.s.leave()
	m.s.Status = Cancelled
	m.note(Event{Type: EventRunCancelled})
	return move{kind: moveFinal}
}

// exitCode is the failure of a run that is left by an exit that nothing handles.
func exitCode(exit string) string {
	switch exit {
	case exitDenied, exitCancelled:
		return CodeDenied
	case exitExhausted:
		return CodeExhausted
	case exitLocked:
		return CodeLocked
	case exitInsufficient:
		return CodeInsufficient
	case exitTimeout:
		return CodeTimeout
	case exitUnavailable:
		return CodeUnavailableStep
	case exitNone:
		return CodeNoOption
	case exitUnmet:
		return CodeUnmet
	}
	return CodeUnhandledExit
}

// note notes an event. A condition may be asked more than once on the way to a
// prompt: that it fails is one event.
func (m *machine) note(e Event) {
	if e.Type == EventConditionFailed && slices.ContainsFunc(m.notes, func(o Event) bool {
		return o.Type == e.Type && o.Step == e.Step && o.Reason == e.Reason
	}) {
		return
	}
	m.notes = append(m.notes, e)
}

// attempts is how many wrong answers a step allows in one run.
func (n *node) attempts() int {
	if n.def.Attempts > 0 {
		return n.def.Attempts
	}
	return flowdefs.DefaultAttempts
}
