package flows

import (
	"encoding/json"
	"slices"
	"time"

	"github.com/stile-auth/stile/flowdefs"
)

// jump goes on at another step, as often as the definition allows. What is left
// this way grants nothing; what was proved before stays proved.
func (m *machine) jump(n *node) move {
	to := n.def.To
	if m.s.Jumps[to] >= n.def.Max {
		return m.fail(CodeExhausted)
	}
	m.s.Jumps = put(m.s.Jumps, to, m.s.Jumps[to]+1)
	m.note(Event{Type: EventGoto, Step: to})
	m.s.leave()
	m.s.Trail, m.s.Exit = nil, ""
	at := m.p.byID[to]
	target := &m.p.nodes[at]
	if n.def.Counts {
		m.step(to, func(st *StepState) { st.Rejected++ })
		if target.def.Kind == flowdefs.Step && m.s.Steps[to].Rejected >= target.attempts() {
			return m.lose(target, exitExhausted)
		}
	}
	return m.arrive(at)
}

// decide leaves by the exit that an expression names. The exit "continue" goes on
// behind the node; one that nothing handles, or an error, fails the run.
func (m *machine) decide(n *node) (move, bool) {
	v, err := m.value(n.def.Value)
	if err != nil {
		m.note(Event{Type: EventConditionFailed, Step: n.def.ID, Reason: "decide"})
		return m.fail(CodeRequirement), true
	}
	if _, handled := n.def.On[v]; !handled && v == "continue" {
		return move{}, false
	}
	return m.exit(n, v), true
}

func (m *machine) assign(n *node) (move, bool) {
	for _, a := range n.def.Values {
		v, err := m.value(a.Value)
		if err != nil {
			m.note(Event{Type: EventConditionFailed, Reason: "assign"})
			return m.fail(CodeRequirement), true
		}
		m.s.Assigned = put(m.s.Assigned, a.Name, v)
	}
	return move{}, false
}

// value evaluates an expression that is a string. Before the first proof it
// cannot depend on the account: nobody may learn what accounts have.
func (m *machine) value(c *flowdefs.Condition) (string, error) {
	env := m.env(c)
	if m.s.Subject == "" {
		env.Account = flowdefs.AccountEnv{Empty: true}
	}
	v, err := c.Value(m.ctx, env)
	if err != nil {
		return "", err
	}
	s, ok := v.(string)
	if !ok {
		return "", flowdefs.ErrCondition
	}
	return s, nil
}

func (m *machine) tag(n *node) {
	m.s.Tags = slices.DeleteFunc(m.s.Tags, func(t Tag) bool {
		return slices.Contains(n.def.Remove, t.Name) || slices.Contains(n.def.Set, t.Name)
	})
	for _, name := range n.def.Set {
		m.s.Tags = append(m.s.Tags, Tag{Name: name, Until: m.w.until(n.def.For)})
	}
}

func (m *machine) oblige(name string) {
	if !slices.Contains(m.s.Obliged, name) {
		m.s.Obliged = append(m.s.Obliged, name)
	}
}

// CodeWait is the type of the prompt of a delay.
const CodeWait = "WAIT_REQUIRED"

// pause is the data of the prompt of a delay.
type pause struct {
	Until time.Time `json:"until" doc:"When the run goes on."`
}

// PauseSchema is the JSON Schema of the data of a delay's prompt.
func PauseSchema() json.RawMessage { return flowdefs.SchemaFor[pause]() }

// delay waits in the state of the run: no request is held.
func (m *machine) delay(n *node) move {
	m.s.leave()
	m.s.At, m.s.Until, m.s.Handed = n.def.ID, m.w.until(n.def.Wait), m.w.hands(CodeWait)
	data, err := json.Marshal(pause{m.s.Until})
	if err != nil {
		return m.fail(CodeInternal)
	}
	m.s.Data = data
	return move{kind: moveWait}
}

// due: the prompt that waits has timed out, or its delay is over.
func (m *machine) due(n *node) move {
	if n.def.Kind == flowdefs.Delay {
		m.s.leave()
		m.s.Trail = nil
		return m.arrive(n.next)
	}
	return m.exit(n, exitTimeout)
}

// sends is how many messages a step that sends may still send in this run, and
// when the next one. They are counted over all visits: leaving and coming back
// is no way around the limit.
func (n *node) sends(s *State) (left int, at time.Time) {
	limit, st := n.def.Resends(), s.Steps[n.def.ID]
	if st.Sent > 0 {
		at = st.SentAt.Add(limit.Wait(st.Sent))
	}
	return max(1+limit.Max-st.Sent, 0), at
}

// resend lets the step that waits send once more. What it asks for is then what
// it sent last.
func (m *machine) resend(n *node) move {
	left, at := n.sends(&m.s)
	switch {
	case !n.typ.Sends || left == 0:
		return refuse(CodeNotPossibleHere)
	case m.w.now.Before(at):
		return move{kind: moveRefuse, code: CodeThrottled, until: at}
	}
	m.s.Memory, m.s.Link = nil, nil
	return move{kind: moveEnter, enter: n}
}

// elsewhere takes in what the page of a link was answered. It changes the prompt
// and nothing else: no proof, no exit, no next step comes from there. Either way
// the link is spent.
func (m *machine) elsewhere(n *node, sig signal) move {
	m.s.Link = nil
	if sig.name == exitDenied {
		m.s.Denied, m.s.Memory = true, nil
		m.note(Event{Type: EventLinkDenied, Step: n.def.ID})
		return move{kind: moveWait}
	}
	m.s.Data = sig.data
	m.note(Event{Type: EventLinkConfirmed, Step: n.def.ID})
	return move{kind: moveWait}
}

// activate lets a later step run that runs only if the client asks for it.
func (m *machine) activate(id string) move {
	if !slices.Contains(m.p.activations(&m.s), id) {
		return refuse(CodeMalformed)
	}
	m.s.Activated = append(m.s.Activated, id)
	return move{kind: moveWait}
}

// drawable are those of the steps that somebody can draw: nobody should turn on what would end the run.
func (p *program) drawable(w *world, ids []string) []string {
	return slices.DeleteFunc(ids, func(id string) bool {
		i, ok := p.byID[id]
		return !ok || !p.passable(w, &p.nodes[i])
	})
}

// activations are the steps that the client may still activate.
func (p *program) activations(s *State) []string {
	var out []string
	for i := range p.nodes {
		if d := p.nodes[i].def; d.Activate && !slices.Contains(s.Activated, d.ID) && s.Steps[d.ID].Visits == 0 {
			out = append(out, d.ID)
		}
	}
	slices.Sort(out)
	return out
}
