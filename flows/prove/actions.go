package prove

import (
	"fmt"
	"slices"

	"github.com/stile-auth/stile/flowdefs"
	"github.com/stile-auth/stile/flows"
	"github.com/stile-auth/stile/flows/assurance"
)

// actions are the things that can happen where a run waits. A cancelled run is over, and not looked at.
func (e *explorer) actions(p *point) []action {
	s := &p.state
	n, info := e.m.Node(s.At)
	if n == nil {
		return nil
	}
	var out []action
	one := func(a act, sig flows.Signal) { out = append(out, action{acts: []act{a}, first: sig}) }
	switch n.Kind {
	case flowdefs.Choose:
		for _, o := range s.Offers {
			one(act{do: picks, step: o}, e.m.Picked(o))
		}
	case flowdefs.Delay:
		one(act{do: waits, step: n.ID}, e.m.TimePassed())
	default:
		out = e.outcomes(n, info, s, p.situation)
		out = append(out, e.lost(n, info, s)...)
		if s.Other != "" {
			one(act{do: reopens, step: n.ID}, e.m.Reopened())
		}
	}
	if !e.flow.NoBack && len(s.Trail) > 0 {
		one(act{do: backs}, e.m.WentBack())
	}
	for _, id := range e.m.Activations(*s) {
		one(act{do: activates, step: id}, e.m.ActivatedStep(id))
	}
	return append(out, e.dwell(s)...)
}

// outcomes are what a step can decide that it completes or is left by.
func (e *explorer) outcomes(n *flowdefs.Node, info flows.StepInfo, s *flows.State, sit situation) []action {
	var out []action
	one := func(a act, o flows.Outcome) {
		out = append(out, action{acts: []act{a}, first: e.m.Decided(o)})
		if len(info.Raises) > 0 {
			a.with = info.Raises
			out = append(out, action{acts: []act{a}, first: e.m.Decided(o.Raising(info.Raises...))})
		}
	}
	switch {
	case len(info.Ceilings) > 0:
		if e.canProve(info, s, sit) {
			out = append(out, action{acts: []act{{do: answers, step: n.ID}}, pass: n})
			if len(info.Raises) > 0 {
				out = append(out, action{acts: []act{{do: answers, step: n.ID, with: info.Raises}}, pass: n, raises: info.Raises})
			}
		}
	case info.Type.Enrols:
		typ := info.Type.Authenticator
		if typ == "" {
			typ = e.deviceType
		}
		one(act{do: answers, step: n.ID}, flows.Enrolled(enrolled+typ))
		for i := range out {
			out[i].enrols = enrolled + typ
		}
	default:
		one(act{do: answers, step: n.ID}, assigning(n, info, s))
		for i := range out {
			out[i].names = info.Type.Names
		}
	}
	exits := slices.Clone(info.Exits)
	for _, exit := range []string{"denied", "unavailable"} {
		if !slices.Contains(exits, exit) && (e.m.Handles(n.ID, exit) || exit == "denied" && len(info.Ceilings) > 0) {
			exits = append(exits, exit)
		}
	}
	for _, exit := range exits {
		one(act{do: leaves, step: n.ID, word: exit}, flows.Exit(exit))
	}
	return out
}

// assigning is a step that is done and has assigned what nobody knows: another
// value each time.
func assigning(n *flowdefs.Node, info flows.StepInfo, s *flows.State) flows.Outcome {
	out := flows.Done()
	if len(info.Assigns) == 0 {
		return out
	}
	values := map[string]string{}
	for _, name := range info.Assigns {
		values[name] = fmt.Sprintf("%s%s %s %d", answered, n.ID, name, s.Steps[n.ID].Visits)
	}
	return out.Assigning(values)
}

// lost are the ways that a step that asks is not completed. Wrong answers matter
// only once there are too many: fewer of them leave everything else as it was.
func (e *explorer) lost(n *flowdefs.Node, info flows.StepInfo, s *flows.State) []action {
	attempts := n.Attempts
	if attempts == 0 {
		attempts = flowdefs.DefaultAttempts
	}
	wrong := e.m.Decided(flows.Reject("wrong", nil))
	times := max(attempts-s.Steps[n.ID].Rejected, 1)
	out := []action{{acts: []act{{do: fails, step: n.ID, times: times}}, first: wrong, again: wrong, more: true, before: times - 1}}
	if info.Type.Guessable && s.Subject != "" {
		out = append(out, action{acts: []act{{do: locks, step: n.ID}}, first: e.m.LockedOut()})
	}
	if n.Timeout > 0 {
		out = append(out, action{acts: []act{{do: waits, step: n.ID, word: n.Timeout.String()}}, first: e.m.TimePassed()})
	}
	return out
}

// canProve reports whether the right answer to a step can be given: somebody is
// known to hold it against, and that account can have what it takes.
func (e *explorer) canProve(info flows.StepInfo, s *flows.State, sit situation) bool {
	typ := info.Type.Authenticator
	if typ == "" {
		return true // somebody else says who it is
	}
	if s.Subject == "" && s.Claimed == "" && !info.Names {
		return false
	}
	if slices.Contains(s.Enrolled, enrolled+typ) {
		return true
	}
	if typ == e.deviceType {
		return sit.is(fact{bound, ""})
	}
	return info.Type.Alters && e.asks(typ) || !sit.not(fact{has, typ}) // the first proof may bind it
}

// asksWhat reports whether some condition asks for what a step of that type alters.
func (e *explorer) asksWhat(t flows.StepType) bool {
	return e.asks(t.Authenticator) || slices.ContainsFunc(e.conditions, func(c *flowdefs.Condition) bool {
		return len(c.Attributes()) > 0 || c.Reads("account") && c.ReadsField("roles")
	})
}

// asks reports whether some condition asks whether the account has such an authenticator.
func (e *explorer) asks(typ string) bool {
	return slices.ContainsFunc(e.conditions, func(c *flowdefs.Condition) bool {
		return c.Reads("account") && slices.Contains(c.Words(), typ)
	})
}

// strongest reports whether a proof is the strongest that its step can give.
func (e *explorer) strongest(v assurance.Evidence) bool {
	n, _ := e.m.Node(v.Step)
	if n == nil || n.Kind != flowdefs.Step {
		return false
	}
	strong := e.shapes(n)[0]
	if e.flow.Kind == flowdefs.Recovery { // the machine lowers it
		strong.Cap = min(strong.Cap, assurance.AAL1)
	}
	return traits(strong) == traits(v)
}
