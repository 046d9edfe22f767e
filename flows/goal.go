package flows

import (
	"slices"
	"time"

	"github.com/stile-auth/stile/flowdefs"
	"github.com/stile-auth/stile/flows/assurance"
)

// goal is what a run has to reach.
type goal struct {
	named     string           // the target, "" if none
	target    *flowdefs.Target // nil if none, or if it is gone or the client may not use it any more
	requires  []string         // levels, each of which has to be reached
	scale     string           // whose levels the token speaks of
	acrValues []string         // what the client asks for, the first most; empty: nothing
	voluntary bool             // acrValues are wished for, not necessary
	notBefore time.Time        // what was proved earlier does not count; zero: no limit
}

// asks says whether there is anything to reach beyond having proved something.
func (g *goal) asks() bool { return len(g.requires) > 0 || len(g.acrValues) > 0 && !g.voluntary }

// met returns nil if evidence amounts to what the goal asks for.
func (g *goal) met(scales assurance.Scales, ev []assurance.Evidence, now time.Time, p assurance.Policy) error {
	for _, level := range g.requires {
		if err := scales.Reach(level, ev, now, p); err != nil {
			return err
		}
	}
	if len(g.acrValues) == 0 || g.voluntary {
		return nil
	}
	for _, v := range g.acrValues {
		if scales.Reach(v, ev, now, p) == nil {
			return nil
		}
	}
	return assurance.ErrNotReached
}

// floor is the least that what the run has to reach can amount to.
func (g *goal) floor(scales assurance.Scales) assurance.Level {
	l := assurance.None
	for _, level := range g.requires {
		l = max(l, scales.Floor(level))
	}
	if least := assurance.AAL3; len(g.acrValues) > 0 && !g.voluntary {
		for _, v := range g.acrValues {
			if f := scales.Floor(v); f > assurance.None {
				least = min(least, f)
			}
		}
		l = max(l, least)
	}
	return l
}

// oldest is when evidence of the session must have been proved at the earliest
// to carry the goal: what is too old for it is asked for again.
func (g *goal) oldest(scales assurance.Scales, started time.Time) time.Time {
	age := g.floor(scales).MaxAge()
	for _, level := range g.requires {
		age = min(age, scales.MaxAge(level))
	}
	if len(g.acrValues) > 0 && !g.voluntary {
		var most time.Duration
		for _, v := range g.acrValues {
			most = max(most, scales.MaxAge(v))
		}
		if most > 0 {
			age = min(age, most)
		}
	}
	if limit := started.Add(-age); limit.After(g.notBefore) {
		return limit
	}
	return g.notBefore
}

// within says whether the goal can still be reached on one of these ways; nil
// means that it can. Before the first proof it is judged for any account, or it
// would tell what this one has.
func (m *machine) within(ways []way) error {
	if _, err := m.shortest(ways); err != nil {
		return err
	}
	return nil
}

// shortest is how many steps the shortest of the ways has on which the goal can
// be reached; [assurance.ErrNotReached] if there is none.
func (m *machine) shortest(ways []way) (int, error) {
	best := -1
	for _, w := range ways {
		if m.blocked(w) {
			continue
		}
		if n := m.left(w); (best < 0 || n < best) && m.reaches(w) == nil {
			best = n
		}
	}
	if best < 0 {
		return 0, assurance.ErrNotReached
	}
	return best, nil
}

// left counts the steps of a way that are not completed.
func (m *machine) left(w way) int {
	n := 0
	for _, i := range w.steps {
		if !m.s.Steps[m.p.nodes[i].def.ID].Done {
			n++
		}
	}
	return n
}

// blocked says whether a way needs a goto that has been taken too often.
func (m *machine) blocked(w way) bool {
	return slices.ContainsFunc(w.jumps, func(to int) bool { return m.s.Jumps[m.p.nodes[to].def.ID] >= m.p.nodes[to].returns })
}

// reaches returns nil if what was proved, and the most that the steps of a way
// could prove besides, amount to the goal.
func (m *machine) reaches(w way) error {
	if m.w.goal.met(m.w.scales, m.s.Evidence, m.w.now, m.w.policy()) == nil {
		return nil // more evidence never makes less of it
	}
	ev := slices.Clone(m.s.Evidence)
	for _, i := range w.steps {
		ev = append(ev, m.most(&m.p.nodes[i])...)
	}
	for i := range ev {
		ev[i] = m.capped(ev[i])
	}
	return m.w.goal.met(m.w.scales, ev, m.w.now, m.w.policy())
}

// most is the most that a step could still prove in this run.
func (m *machine) most(n *node) []assurance.Evidence {
	if len(n.ceilings) == 0 || !m.w.takesOption(n.typ) || m.s.Steps[n.def.ID].Lost != "" {
		return nil
	}
	if m.s.Subject == "" || n.typ.Authenticator == "" {
		return highest(n, n.def.ID, assurance.AAL3, m.w.now)
	}
	if n.typ.NeedsDevice && !m.w.bound {
		return nil
	}
	if u := m.w.unknown; u != nil {
		if level, ok := u.Bound(n.def); ok {
			return highest(n, n.typ.Authenticator, level, m.w.now)
		}
		return nil
	}
	var out []assurance.Evidence
	for _, au := range m.w.account.Authenticators {
		if au.Type != n.typ.Authenticator || au.Pending || slices.Contains(m.s.Enrolled, au.ID) {
			continue
		}
		out = append(out, highest(n, au.ID, au.Binding, m.w.now)...)
	}
	return out
}

func highest(n *node, authenticator string, binding assurance.Level, now time.Time) []assurance.Evidence {
	out := make([]assurance.Evidence, len(n.ceilings))
	for i, c := range n.ceilings {
		out[i] = assurance.Highest(c, binding, assurance.AAL3, now)
		out[i].Authenticator, out[i].Device = authenticator, authenticator
		out[i].Step, out[i].StepType, out[i].Config = n.def.ID, n.def.Type, n.def.ConfigHash
	}
	return out
}

// hopeless says whether a run that knows whose it is can do nothing more for its
// goal from a node on, and nothing lies ahead that would help the next time.
func (m *machine) hopeless(n *node) bool {
	if m.s.Subject == "" || n.hopes == nil || !m.w.goal.asks() || m.within(n.hopes) == nil {
		return false
	}
	return !n.enrols
}
