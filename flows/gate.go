package flows

import (
	"cmp"
	"slices"

	"github.com/stile-auth/stile/flowdefs"
	"github.com/stile-auth/stile/flows/assurance"
)

// issuance is what the assurance gate lets out.
type issuance struct {
	result assurance.Result
	acr    string
	target *flowdefs.Target    // nil: a session only
	as     *flowdefs.Propagate // what target turns it into; nil: a session only
	claims map[string]any
}

// gate is the assurance gate. It checks, in this order, that there is somebody,
// who may be here, who proved something, that it is enough for the target and
// for what the client asked, and that the flow keeps its guarantees; then it maps the target's claims.
func (m *machine) gate() move {
	res, g := m.w.assess(m.s.Evidence), &m.w.goal
	acr := m.acr()
	switch {
	case m.s.Subject == "" || m.w.account.Subject != m.s.Subject || m.w.account.Status != AccountActive:
		return m.fail(CodeDenied)
	case m.w.stale, m.s.Reused && m.w.over: // what stood for a step has ended with its session
		return m.fail(CodeLoginRequired)
	case acr == "":
		return m.fail(CodeUnmet)
	case g.named != "" && g.target == nil:
		return m.fail(CodeNotAllowed)
	case g.met(m.w.scales, m.s.Evidence, m.w.now, m.w.policy()) != nil:
		return m.fail(CodeUnmet)
	}
	as, ok := m.propagates(g.target)
	if !ok {
		return m.fail(CodeNotPropagated)
	}
	if as != nil && as.Provider != "" && !m.provedBy(as.Provider) {
		return m.fail(CodeRequirement)
	}
	if !m.w.lax && !m.kept() {
		return m.fail(CodeRequirement)
	}
	claims, err := m.claims(as)
	if err != nil {
		m.note(Event{Type: EventConditionFailed, Reason: "claim"})
		return m.fail(CodeRequirement)
	}
	out := &issuance{result: res, acr: acr, target: g.target, as: as, claims: claims}
	m.s.leave()
	m.s.Status = Completed
	m.note(Event{Type: EventRunCompleted, ACR: out.acr, AMR: res.AMR})
	return move{kind: moveIssue, issue: out}
}

// propagates is the first entry of a target that fits, nil if there is no target. A
// condition that cannot be answered fits nothing, and nothing behind it is asked: it
// might have been there to keep what follows from happening. Nor does what cannot be
// given to this client make way for what could.
func (m *machine) propagates(t *flowdefs.Target) (*flowdefs.Propagate, bool) {
	if t == nil {
		return nil, true
	}
	for i := range t.Propagate {
		p := &t.Propagate[i]
		fits, err := true, error(nil)
		if p.If != nil {
			fits, err = p.If.Bool(m.ctx, m.env(p.If))
		}
		if err != nil {
			m.note(Event{Type: EventConditionFailed, Reason: "propagate"})
			return nil, false
		}
		if fits {
			return p, m.w.suits(p)
		}
	}
	return nil, false
}

// provedBy says whether something of this run was proved at that provider: its tokens
// are of a person who may not be there otherwise.
func (m *machine) provedBy(provider string) bool {
	return m.w.unknown != nil || slices.ContainsFunc(m.s.Evidence, func(e assurance.Evidence) bool {
		return e.Upstream != nil && e.Upstream.Provider == provider
	})
}

// kept holds what the flow guarantees of a run that completes. It was proved
// when the flow was loaded, but for what time changes while a person takes
// theirs: evidence that gets too old, tags that run out.
func (m *machine) kept() bool {
	for i := range m.p.flow.Guarantees {
		g := &m.p.flow.Guarantees[i]
		if g.Form != flowdefs.Implies {
			continue
		}
		if ok, err := g.Holds.Bool(m.ctx, m.env(g.Holds)); err != nil || !ok {
			m.note(Event{Type: EventConditionFailed, Reason: "guarantee"})
			return false
		}
	}
	return true
}

// reach returns nil if what was proved amounts to the level of that name.
func (m *machine) reach(name string) error {
	return m.w.scales.Reach(name, m.s.Evidence, m.w.now, m.w.policy())
}

// requested is the first requested level that is satisfied, "" if none is.
func (m *machine) requested() string {
	for _, v := range m.w.goal.acrValues {
		if m.reach(v) == nil {
			return v
		}
	}
	return ""
}

// acr is the first requested value that is satisfied, else the highest of the
// target's scale, "" if not even its lowest is.
func (m *machine) acr() string {
	if v := m.requested(); v != "" {
		return v
	}
	return m.w.best(m.s.Evidence)
}

// best is the highest level of the target's scale that evidence amounts to, "" if it amounts to none.
func (w *world) best(ev []assurance.Evidence) string {
	scale, err := w.scales.Scale(cmp.Or(w.goal.scale, assurance.NIST))
	if err != nil { // it has gone since the run started
		return ""
	}
	return scale.Best(ev, w.now, w.policy())
}

// claims maps the claims of what the target gets. One that cannot be evaluated fails the run.
func (m *machine) claims(p *flowdefs.Propagate) (map[string]any, error) {
	if p == nil {
		return nil, nil
	}
	out := make(map[string]any, len(p.Claims))
	env := m.env(nil)
	for name, c := range p.Claims {
		v, err := c.Value(m.ctx, env)
		if err != nil {
			return nil, err
		}
		out[name] = v
	}
	return out, nil
}
