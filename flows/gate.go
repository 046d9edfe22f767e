package flows

import (
	"github.com/stile-auth/stile/flowdefs"
	"github.com/stile-auth/stile/flows/assurance"
)

// issuance is what the assurance gate lets out.
type issuance struct {
	result assurance.Result
	acr    string
	target *flowdefs.Target // nil: a session only
	claims map[string]any
}

// gate is the assurance gate. It checks, in this order, that there is somebody,
// who may be here, who proved something, and that it is enough for the target
// and for what the client asked; then it maps the target's claims.
func (m *machine) gate() move {
	res, g := m.w.assess(m.s.Evidence), &m.w.goal
	switch {
	case m.s.Subject == "" || m.w.account.Subject != m.s.Subject || m.w.account.Status != AccountActive:
		return m.fail(CodeDenied)
	case m.s.Reused && m.w.over: // what stood for a step has ended with its session
		return m.fail(CodeLoginRequired)
	case res.Level == assurance.None:
		return m.fail(CodeUnmet)
	case len(g.acrValues) > 0 && g.requested(res) == "":
		return m.fail(CodeUnmet)
	case g.named != "" && g.target == nil:
		return m.fail(CodeNotAllowed)
	case res.Level < g.requires:
		return m.fail(CodeUnmet)
	}
	claims, err := m.claims(g.target)
	if err != nil {
		m.note(Event{Type: EventConditionFailed, Reason: "claim"})
		return m.fail(CodeRequirement)
	}
	out := &issuance{result: res, acr: g.acr(res), target: g.target, claims: claims}
	m.s.leave()
	m.s.Status = Completed
	m.note(Event{Type: EventRunCompleted, ACR: out.acr, AMR: res.AMR})
	return move{kind: moveIssue, issue: out}
}

// requested is the first requested level that is satisfied, "" if none is.
func (g *goal) requested(res assurance.Result) string {
	for _, v := range g.acrValues {
		if l, err := assurance.ParseLevel(v); err == nil && res.Level >= l {
			return v
		}
	}
	return ""
}

// acr is the first requested value that is satisfied, else the highest of the scale.
func (g *goal) acr(res assurance.Result) string {
	if v := g.requested(res); v != "" {
		return v
	}
	return res.Level.String()
}

// claims maps the target's claims. One that cannot be evaluated fails the run.
func (m *machine) claims(t *flowdefs.Target) (map[string]any, error) {
	if t == nil {
		return nil, nil
	}
	out := make(map[string]any, len(t.Propagate.Claims))
	env := m.env()
	for name, c := range t.Propagate.Claims {
		v, err := c.Value(m.ctx, env)
		if err != nil {
			return nil, err
		}
		out[name] = v
	}
	return out, nil
}
