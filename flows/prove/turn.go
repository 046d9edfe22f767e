package prove

import (
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
	enrolling string       // what the outcome that is being taken binds
	gate      *flows.State // as it came to the gate; nil if it did not
}

var _ flows.Unknown = (*turn)(nil)

// take lets an action happen and goes on until the run waits again or is over.
// The result is false if the action was not possible.
func (t *turn) take(s flows.State, a action) (flows.State, bool) {
	if a.pass != nil {
		a.first = t.prove(a.pass, &s, a.raises)
	}
	at := s.At
	if a.names {
		s.Claimed = somebody
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
			return s, true
		}
	}
}

// unproved: an enrolment was left because nobody had proved anything.
func (t *turn) unproved(notes []flows.Event, s *flows.State) {
	for _, note := range notes {
		if n, info := t.e.m.Node(note.Step); note.Type == flows.EventStepExit && note.Reason == "insufficient" && s.Subject == "" && n != nil && info.Type.Enrols {
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
	at := t.settle(fact{shape, id}, len(shapes))
	ev := shapes[at]
	ev.Authenticator = id
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
	out := flows.Pass(flows.Proof{Subject: somebody, Evidence: ev})
	if len(raises) > 0 {
		out = out.Raising(raises...)
	}
	return t.e.m.Decided(out)
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
	return t.settleYes(f)
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
func (t *turn) Passes(n *flowdefs.Node) { t.e.watch.passes(n) }

// guessed is a condition, and what it saw when it was guessed.
type guessed struct {
	condition *flowdefs.Condition
	env       flowdefs.Env
	values    []string
}

// Holds implements [flowdefs.Unknowns].
func (t *turn) Holds(c *flowdefs.Condition, env *flowdefs.Env, known string) (bool, error) {
	f := fact{guess, c.Source + "\n" + known}
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
	f := fact{text, c.Source + "\n" + known}
	t.e.guesses[f.name] = guessed{condition: c, env: *env, values: values}
	return values[t.settle(f, len(values))], nil
}

// mark remembers that an option of a choose was withdrawn by what the client says, and nothing was left of it.
func (t *turn) mark(s *flows.State) {
	for _, note := range t.notes {
		if note.Type == flows.EventStepExit && note.Reason == "none" && s.Status != flows.Failed && t.withdrawn(note.Step) {
			t.marks.withdrawn = note.Step
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
	return t.situation.not(fact{draws, info.Type.Code})
}
