package prove

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"slices"
	"strings"

	"github.com/stile-auth/stile/flowdefs"
	"github.com/stile-auth/stile/flows"
	"github.com/stile-auth/stile/flows/assurance"
)

// turn is one way that one action turns out. It settles what the machine asks
// for, and remembers it.
type turn struct {
	e         *explorer
	script    *script
	from      int
	situation situation
	acts      []act
	marks     marks
	notes     []flows.Event
	steps     int          // that the machine took
	enrolling string       // what the outcome that is being taken binds
	gate      *flows.State // as it came to the gate; nil if it did not
	issues    *flowdefs.Propagate
	undrawn   []string         // types of prompts that were in the way of an option
	instead   []*flowdefs.Node // chooses whose otherwise the run got to
}

var _ flows.Unknown = (*turn)(nil)

// take lets an action happen and goes on until the run waits again or is over.
// The result is false if the action was not possible.
func (t *turn) take(s flows.State, a action) (flows.State, bool) {
	if a.passes != nil {
		a.passes(&s)
		t.marks.slow = true
		return s, true
	}
	if a.pass != nil {
		a.first = t.prove(a.pass, &s, a.raises)
	}
	at := s.At
	if a.acts[0].do == waits {
		s = t.e.m.Later(s, s.Until.Sub(now))
	}
	if a.names {
		s.Claimed = somebody
		if s.Steps[at].Visits > 1 {
			t.another(at) // who went back can have said another name
		}
	}
	if a.before > 0 {
		s = t.e.m.Answered(s, a.before)
	}
	t.enrolling = a.enrols
	s, ok := t.drive(s, a.first, a.pass != nil)
	for ok && a.more && s.Status == flows.InProgress && s.At == at {
		rejected := s.Steps[at].Rejected
		if s, ok = t.drive(s, a.again, false); s.At == at && s.Steps[at].Rejected <= rejected {
			break // lost here, and entered again
		}
	}
	t.mark(&s)
	return s, ok
}

// drive takes the machine's steps from one signal to where it waits or ends.
func (t *turn) drive(s flows.State, sig flows.Signal, proves bool) (flows.State, bool) {
	for {
		t.steps++
		next, mv := t.e.m.Step(t.e.ctx, s, sig, t.e.facts(&s, t, proves))
		t.enrolling = ""
		t.notes = append(t.notes, mv.Notes...)
		t.marks = t.e.watch.notes(t.marks, &next, mv.Notes)
		t.unproved(mv.Notes, &next)
		s = next
		switch mv.Kind {
		case flows.MoveEnter:
			t.e.watch.entered(mv.Enter, &s, t.from, t)
			sig, proves = t.entered(mv.Enter, &s)
		case flows.MoveComplete:
			before := s
			t.gate, sig, proves = &before, t.e.m.LookedUp(), false
		case flows.MoveRefuse:
			return s, false
		default:
			t.issues = mv.Issue
			return s, true
		}
	}
}

// unproved: an enrolment was left because nobody had proved anything.
func (t *turn) unproved(notes []flows.Event, s *flows.State) {
	for _, note := range notes {
		if n, info := t.e.m.Node(note.Step); note.Type == flows.EventStepExit && note.Reason == "insufficient" && s.Subject == "" && n != nil && (info.Type.Enrols || info.Type.Removes) {
			t.e.watch.unproved(n, t.from, t)
		}
	}
}

// entered decides for a step that was entered: one that asks does; one that
// never asks does what it can.
func (t *turn) entered(n *flowdefs.Node, s *flows.State) (flows.Signal, bool) {
	_, info := t.e.m.Node(n.ID)
	if info.Type.Code != "" {
		return t.e.m.Decided(flows.Ask(flows.Prompt{})), false
	}
	all := t.e.outcomes(n, info, s, t.situation)
	a := all[t.script.ask(len(all))]
	t.acts = append(t.acts, a.acts...)
	if a.pass != nil {
		return t.prove(n, s, a.raises), true
	}
	t.enrolling = a.enrols
	return a.first, false
}

// enrolled are the authenticators that the run has bound.
func (t *turn) enrolled(s *flows.State) []string {
	if t.enrolling == "" || slices.Contains(s.Enrolled, t.enrolling) {
		return s.Enrolled
	}
	return append(slices.Clone(s.Enrolled), t.enrolling)
}

// prove makes the proof of a step in one of its shapes.
func (t *turn) prove(n *flowdefs.Node, s *flows.State, raises []string) flows.Signal {
	_, info := t.e.m.Node(n.ID)
	id := authenticator(n, info)
	shapes := t.e.shapes(n)
	if t.marks.alias && info.Type.Authenticator == "" {
		t.another(n.ID)
	}
	t.marks.alias = false // it is known who it is
	f := fact{shape, id}
	_, settled := t.situation.get(f)
	at := t.settle(f, len(shapes))
	ev := shapes[at]
	ev.Authenticator = id
	if settled && info.Type.Authenticator != "" {
		ev = shapes[t.script.ask(len(shapes))] // an account can have two of a type, and they need not be alike
		ev.Authenticator = id
	}
	if ev.Method == assurance.Federated && t.e.decays { // what is too old to enrol with ends like what is too weak
		if age := t.e.ages[t.script.ask(len(t.e.ages))]; age > t.e.ages[0] { // the person was there earlier
			ev.Upstream, t.marks.slow = &assurance.Upstream{AuthTime: now.Add(-age)}, true
		}
	}
	if typ := info.Type.Authenticator; typ != "" {
		if fresh := enrolled + typ; slices.Contains(s.Enrolled, fresh) && !t.present(typ) {
			ev.Authenticator = fresh
		} else {
			t.situation = t.situation.with(fact{has, typ}, yes)
		}
		if typ == t.e.deviceType {
			ev.Device = ev.Authenticator
		}
	}
	for i := range t.acts {
		if t.acts[i].do == answers && t.acts[i].step == n.ID {
			t.acts[i].proof, t.acts[i].weak = &ev, t.e.weaknesses(&ev, shapes[0])
		}
	}
	if info.Type.Alters {
		t.altered(info.Type.Authenticator)
	}
	out := flows.Pass(flows.Proof{Subject: somebody, Evidence: ev})
	if len(raises) > 0 {
		out = out.Raising(raises...)
	}
	return t.e.m.Decided(out)
}

// altered forgets what is known of an account that a step may have changed: its
// attributes and roles, and whether it still has, or now has, what the step checks.
func (t *turn) altered(typ string) {
	t.situation = slices.DeleteFunc(slices.Clone(t.situation), func(s setting) bool {
		switch s.fact.kind {
		case guess, text:
			return t.e.guesses[s.fact.name].condition.Reads("account")
		case has:
			return s.fact.name == typ && t.e.asks(typ)
		default:
			return false
		}
	})
}

// another forgets what is known of the account, since from here on it is
// another one: whoever was named, a provider or a second name says who it is.
func (t *turn) another(step string) {
	t.situation = slices.DeleteFunc(slices.Clone(t.situation), func(s setting) bool {
		switch s.fact.kind {
		case guess, text:
			return t.e.guesses[s.fact.name].condition.Reads("account")
		case draws:
			return false
		default:
			return true
		}
	})
	is := no
	if t.e.device {
		is = t.script.ask(2)
	}
	phones := t.e.makers(t.situation.with(fact{bound, ""}, is))
	t.situation = phones[0]
	if len(phones) > 1 {
		t.situation = phones[t.script.ask(len(phones))]
	}
	for i := range t.acts {
		t.acts[i].other = t.acts[i].other || t.acts[i].step == step
	}
}

// present reports whether the account had an authenticator before the run, as far as is settled.
func (t *turn) present(typ string) bool {
	if typ == t.e.deviceType && t.situation.is(fact{bound, ""}) {
		return true
	}
	return t.situation.is(fact{has, typ})
}

// settle returns what a fact is, which has n possible values.
func (t *turn) settle(f fact, n int) int {
	if v, ok := t.situation.get(f); ok && v < n {
		return v
	}
	v := t.script.ask(n)
	t.situation = t.situation.with(f, v)
	return v
}

// settleYes settles a fact that is so or not; that it is so comes first.
func (t *turn) settleYes(f fact) bool {
	if v, ok := t.situation.get(f); ok {
		return v == yes
	}
	v := yes - t.script.ask(2)
	t.situation = t.situation.with(f, v)
	return v == yes
}

// Has implements [flowdefs.Unknowns].
func (t *turn) Has(typ string) bool {
	if typ == t.e.deviceType && t.situation.is(fact{bound, ""}) {
		return true
	}
	return t.settleYes(fact{has, typ})
}

// Draws implements [flows.Unknown]. Who cannot draw a step that is not an option gets no further.
func (t *turn) Draws(code string, option bool) bool {
	f := fact{draws, code}
	if !option {
		if t.situation.not(f) {
			return false
		}
		t.situation = t.situation.with(f, yes)
		return true
	}
	if _, settled := t.situation.get(f); !settled && !t.e.m.Admits(t.lacks(code)) {
		t.situation = t.situation.with(f, yes) // who cannot is not let in
	}
	if t.settleYes(f) {
		return true
	}
	t.undrawn = append(t.undrawn, code)
	return false
}

// lacks are the types of prompts that the client cannot draw, and one more.
func (t *turn) lacks(code string) []string {
	out := []string{code}
	for _, s := range t.situation {
		if s.fact.kind == draws && s.value == no {
			out = append(out, s.fact.name)
		}
	}
	return out
}

// Proved implements [flows.Unknown].
func (t *turn) Proved(n *flowdefs.Node) ([]assurance.Evidence, []flows.Authenticator) {
	_, info := t.e.m.Node(n.ID)
	shapes := t.e.shapes(n)
	typ, id := info.Type.Authenticator, authenticator(n, info)
	f := fact{proved, n.Type + " " + n.ConfigHash}
	if _, settled := t.situation.get(f); !settled && typ != "" && t.situation.not(fact{has, typ}) {
		t.situation = t.situation.with(f, 0)
	}
	if t.settle(f, 2) == no {
		return nil, nil
	}
	aged := fact{age, ""}
	if t.e.decays {
		aged = fact{age, f.name}
	}
	old := t.settle(aged, len(t.e.ages))
	ev := shapes[t.settle(fact{shape, id}, len(shapes))]
	ev.Authenticator, ev.StepType, ev.Config, ev.At = id, n.Type, n.ConfigHash, now.Add(-t.e.ages[old])
	if typ == "" {
		return []assurance.Evidence{ev}, nil
	}
	t.situation = t.situation.with(fact{has, typ}, yes)
	if typ == t.e.deviceType {
		ev.Device = id
	}
	return []assurance.Evidence{ev}, []flows.Authenticator{t.e.authenticator(typ, t.situation)}
}

// Bound implements [flows.Unknown].
func (t *turn) Bound(n *flowdefs.Node) (assurance.Level, bool) {
	_, info := t.e.m.Node(n.ID)
	if !t.Has(info.Type.Authenticator) {
		return assurance.None, false
	}
	shapes := t.e.shapes(n)
	return shapes[t.settle(fact{shape, authenticator(n, info)}, len(shapes))].Binding, true
}

// Reach implements [flows.Unknown].
func (t *turn) Reach(known, most assurance.Level) assurance.Level {
	if most <= known || t.settleYes(fact{reach, ""}) {
		return max(known, most)
	}
	return known
}

// Passes implements [flows.Unknown].
func (t *turn) Passes(n *flowdefs.Node) {
	t.e.watch.passes(n)
	if choose := t.e.instead[n.ID]; n.ID != "" && choose != nil {
		t.instead = append(t.instead, choose)
	}
}

// guessed is a condition, and what it saw when it was guessed.
type guessed struct {
	condition *flowdefs.Condition
	env       flowdefs.Env
	values    []string
}

// Holds implements [flowdefs.Unknowns].
func (t *turn) Holds(c *flowdefs.Condition, env *flowdefs.Env, known string) (bool, error) {
	f := t.asked(guess, c, known)
	t.e.guesses[f.name] = guessed{condition: c, env: *env}
	n := 2
	if t.e.mixed[c.Source] {
		n = 3
	}
	switch t.settle(f, n) {
	case 0:
		return true, nil
	case 1:
		return false, nil
	default:
		return false, flowdefs.ErrCondition
	}
}

// Text implements [flowdefs.Unknowns]. A value that can be anything stays unknown.
func (t *turn) Text(c *flowdefs.Condition, env *flowdefs.Env, known string) (string, error) {
	values := t.e.values(c)
	if t.e.claims[c] {
		values = []string{flowdefs.UnknownValue} // that it has one is supposed
	}
	f := t.asked(text, c, known)
	t.e.guesses[f.name] = guessed{condition: c, env: *env, values: values}
	v := values[t.settle(f, len(values))]
	if v == flowdefs.UnknownValue {
		v = t.e.anything(c, known)
	}
	return v, nil
}

// asked names what a condition comes to. What it came to on the same facts is
// what it comes to again; but one that is fleeting is asked again each time.
func (t *turn) asked(k kind, c *flowdefs.Condition, known string) fact {
	f := fact{k, c.Source + "\n" + known}
	if !c.Steady() || strings.Contains(known, anewInJSON) {
		f.name += fmt.Sprintf("\n%s%d", anew, t.from)
	}
	return f
}

// anew marks what can be something else the next time that it is looked at.
const (
	anew       = "\x01"
	anewInJSON = `\u0001`
)

// anything is a value that can be anything, but is the same wherever one
// expression had it on the same facts.
func (e *explorer) anything(c *flowdefs.Condition, known string) string {
	if !c.Steady() || c.Reads("now") || strings.Contains(known, anewInJSON) {
		return flowdefs.UnknownValue + anew + c.Source
	}
	sum := sha256.Sum256([]byte(c.Source + "\n" + known))
	return flowdefs.UnknownValue + hex.EncodeToString(sum[:8])
}

// fleeting reports whether a fact that conditions came to may be otherwise once
// the run has waited: time passes then, and states are taken for one.
func (e *explorer) fleeting(f fact) bool {
	return strings.Contains(f.name, "\n"+anew) || e.guesses[f.name].condition.Reads("now")
}

// mark remembers that what the client says took every option of a choose away,
// and that the run goes on without them: by the exit none, or by an otherwise
// that is no match for any of them.
func (t *turn) mark(s *flows.State) {
	if s.Status == flows.Failed {
		return
	}
	for _, note := range t.notes {
		if note.Type == flows.EventStepExit && note.Reason == "none" && t.withdrawn(note.Step) {
			t.marks.withdrawn = note.Step
		}
	}
	for _, c := range t.instead {
		lost := slices.ContainsFunc(c.Options, func(o flowdefs.Node) bool { return s.Steps[o.ID].Lost != "" })
		if !lost && t.withdrawn(c.ID) && !t.e.matches(c) {
			t.marks.withdrawn = c.ID
		}
	}
}

// withdrawn reports whether the client took an option away from a choose.
func (t *turn) withdrawn(id string) bool {
	n, _ := t.e.m.Node(id)
	if n == nil {
		return false
	}
	return slices.ContainsFunc(n.Options, func(o flowdefs.Node) bool { return t.refused(&o) })
}

func (t *turn) refused(o *flowdefs.Node) bool {
	if o.If.Reads("request") {
		for _, s := range t.situation {
			if s.fact.kind == guess && s.value != 0 && strings.HasPrefix(s.fact.name, o.If.Source+"\n") {
				return true
			}
		}
	}
	switch o.Kind {
	case flowdefs.Choose:
		return slices.ContainsFunc(o.Options, func(i flowdefs.Node) bool { return t.refused(&i) })
	case flowdefs.Group:
		return len(o.Steps) > 0 && t.refused(&o.Steps[0])
	default: // a step
	}
	_, info := t.e.m.Node(o.ID)
	return slices.Contains(t.undrawn, info.Type.Code)
}
