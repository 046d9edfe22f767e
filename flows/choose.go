package flows

import (
	"encoding/json"
	"slices"

	"github.com/stile-auth/stile/flowdefs"
)

// choose arrives at a choose: what the session proved may stand for it, one
// option left is taken silently, none left is the end unless there is an otherwise.
func (m *machine) choose(n *node, at int) (move, bool) {
	if m.reuseAny(n) {
		return move{}, false
	}
	offers := m.offers(n)
	switch len(offers) {
	case 0:
		return m.nothingLeft(n)
	case 1:
		return m.option(offers[0])
	}
	m.s.leave()
	m.s.At = n.def.ID
	m.s.Offers = make([]string, len(offers))
	for i, o := range offers {
		m.s.Offers[i] = m.p.nodes[o].def.ID
	}
	m.s.Data = m.selection(offers)
	m.remember()
	return move{kind: moveWait}, true
}

// reuseAny lets session evidence of one option stand for the whole choose.
func (m *machine) reuseAny(n *node) bool {
	for _, o := range n.options {
		opt := &m.p.nodes[o]
		if !m.offered(opt) {
			continue
		}
		if opt.def.Kind == flowdefs.Choose && m.reuseAny(opt) || opt.def.Kind == flowdefs.Step && m.reuse(opt) {
			return true
		}
	}
	return false
}

// option arrives at one option: a step, or a choose inside the choose.
func (m *machine) option(i int) (move, bool) {
	n := &m.p.nodes[i]
	if n.def.Kind == flowdefs.Choose {
		mv, stop := m.choose(n, i)
		if !stop {
			return m.arrive(n.next), true
		}
		return mv, true
	}
	mv, stop := m.enter(n)
	if !stop {
		return m.arrive(n.next), true
	}
	return mv, true
}

// nothingLeft: otherwise, or the run fails with the reason why options were lost.
func (m *machine) nothingLeft(n *node) (move, bool) {
	if n.otherwise != end && m.offered(&m.p.nodes[n.otherwise]) {
		return m.option(n.otherwise)
	}
	all := n.options
	if n.otherwise != end {
		all = append(slices.Clone(all), n.otherwise)
	}
	for _, why := range []string{lostLocked, lostExhausted} {
		for _, o := range all {
			if m.s.Steps[m.p.nodes[o].def.ID].Lost == why {
				return m.fail(exitCode(why)), true
			}
		}
	}
	return m.fail(CodeNoOption), true
}

// offers returns the options that may be taken now.
func (m *machine) offers(n *node) []int {
	var out []int
	for _, o := range n.options {
		opt := &m.p.nodes[o]
		if m.offered(opt) && (opt.def.Kind != flowdefs.Choose || len(m.offers(opt)) > 0) {
			out = append(out, o)
		}
	}
	return out
}

// offered says whether one option may be taken now. An error in its condition withdraws it.
func (m *machine) offered(n *node) bool {
	if m.s.Steps[n.def.ID].Lost != "" {
		return false
	}
	if n.def.Kind == flowdefs.Step && (!m.w.draws(n.typ.Code) || n.typ.NeedsDevice && !m.w.bound) {
		return false
	}
	if n.def.If == nil {
		return true
	}
	ok, err := m.holds(n.def.If)
	if err != nil {
		m.note(Event{Type: EventConditionFailed, Step: n.def.ID, Reason: "option"})
		return false
	}
	return ok
}

// runs says whether a step, choose or require stands in the sequence. An error
// in its condition lets it run: a condition can never remove a step by failing.
func (m *machine) runs(n *node) bool {
	if n.def.If == nil {
		return true
	}
	ok, err := m.holds(n.def.If)
	if err != nil {
		m.note(Event{Type: EventConditionFailed, Step: n.def.ID, Reason: "if"})
		return true
	}
	return ok
}

// holds evaluates an if. Before the first proof nobody may learn what accounts
// exist and what they have: what some account could make true is true.
func (m *machine) holds(c *flowdefs.Condition) (bool, error) {
	if m.s.Subject == "" {
		return c.Possible(m.ctx, m.env())
	}
	return c.Bool(m.ctx, m.env())
}

// pick takes the option that the client picked. Picking changes no evidence and no counter.
func (m *machine) pick(n *node, option string) move {
	if !slices.Contains(m.s.Offers, option) {
		return move{kind: moveRefuse, code: CodeMalformed}
	}
	i := m.p.byID[option]
	if !m.offered(&m.p.nodes[i]) {
		mv, stop := m.choose(n, m.p.byID[n.def.ID])
		if !stop {
			return m.arrive(n.next)
		}
		return mv
	}
	mv, _ := m.option(i)
	return mv
}

// reopen leaves the current option for the selection that it was picked from.
func (m *machine) reopen(n *node) move {
	parent := &m.p.nodes[n.parent]
	m.s.leave()
	mv, stop := m.choose(parent, n.parent)
	if !stop {
		return m.arrive(parent.next)
	}
	return mv
}

// exchangeable says whether a step is one of several options.
func (m *machine) exchangeable(n *node) bool {
	return n.parent != end && slices.Contains(m.p.nodes[n.parent].options, m.p.byID[n.def.ID]) &&
		len(m.offers(&m.p.nodes[n.parent])) > 1
}

// remember notes the prompt that waits, so that back can return to it. Who
// comes to a prompt again has gone back by himself: the trail never grows in circles.
func (m *machine) remember() {
	if i := slices.Index(m.s.Trail, m.s.At); i >= 0 {
		m.s.Trail = m.s.Trail[:i+1]
		return
	}
	m.s.Trail = append(m.s.Trail, m.s.At)
}

// back returns to the prompt before the current one. No evidence lies between:
// the trail is cut at every completed step.
func (m *machine) back() move {
	k := len(m.s.Trail)
	if m.s.Trail[k-1] == m.s.At {
		k--
	}
	if k == 0 {
		return move{kind: moveRefuse, code: CodeNotPossibleHere}
	}
	n := &m.p.nodes[m.p.byID[m.s.Trail[k-1]]]
	m.s.Trail = m.s.Trail[:k-1]
	m.s.leave()
	if n.def.Kind == flowdefs.Choose {
		mv, stop := m.choose(n, m.p.byID[n.def.ID])
		if stop {
			return mv
		}
		return m.arrive(n.next)
	}
	mv, stop := m.enter(n)
	if stop {
		return mv
	}
	return m.arrive(n.next)
}

// offer is one entry of the selection's data.
type offer struct {
	ID       string `json:"id"`
	Type     string `json:"type"`
	StepType string `json:"stepType,omitempty"`
}

// CodeSelection is the type of the prompt of a choose.
const CodeSelection = "SELECTION_REQUIRED"

func (m *machine) selection(options []int) json.RawMessage {
	list := make([]offer, len(options))
	for i, o := range options {
		n := &m.p.nodes[o]
		list[i] = offer{ID: n.def.ID, Type: CodeSelection}
		if n.def.Kind == flowdefs.Step {
			list[i] = offer{ID: n.def.ID, Type: n.typ.Code, StepType: n.typ.Name}
		}
	}
	data, err := json.Marshal(map[string]any{"options": list})
	if err != nil {
		return json.RawMessage(`{}`) // cannot happen: strings only
	}
	return data
}
