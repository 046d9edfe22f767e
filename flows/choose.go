package flows

import (
	"encoding/json"
	"slices"

	"github.com/stile-auth/stile/flowdefs"
)

// choose arrives at a choose: what the session proved may stand for options, one
// option left is taken silently, none left is an exit, or otherwise, or the end.
func (m *machine) choose(at int) move {
	n := &m.p.nodes[at]
	m.passes(n)
	m.s.leave()
	if m.reuseOptions(n) {
		return m.arrive(n.next)
	}
	offers := m.nearest(m.offers(n))
	switch {
	case len(offers) < n.def.Any-m.done(n):
		return m.nothingLeft(n)
	case len(offers) == 1:
		return m.take1(n, offers[0])
	}
	if option, ok := m.home(n, offers); ok {
		return m.settle(n, option)
	}
	m.s.At, m.s.Handed = n.def.ID, m.w.hands(CodeSelection)
	m.s.Offers = make([]string, len(offers))
	for i, o := range offers {
		m.s.Offers[i] = m.p.nodes[o].def.ID
	}
	m.s.Data = m.selection(n, offers)
	m.remember()
	return move{kind: moveWait}
}

// renew forgets what was completed of a choose when it was passed before (a goto led back to it).
func (m *machine) renew(n *node) {
	for _, o := range n.options {
		m.step(m.p.nodes[o].def.ID, func(st *StepState) { st.Done = false })
	}
}

// done is how many options of a choose are completed.
func (m *machine) done(n *node) int {
	count := 0
	for _, o := range n.options {
		if m.s.Steps[m.p.nodes[o].def.ID].Done {
			count++
		}
	}
	return count
}

// take1 arrives at one option: a step, a group, or a choose inside the choose.
func (m *machine) take1(choose *node, i int) move {
	n := &m.p.nodes[i]
	m.s.Picks = put(m.s.Picks, choose.def.ID, n.def.ID)
	if n.def.Kind == flowdefs.Choose {
		m.renew(n)
		return m.choose(i)
	}
	mv, stop := m.do(n)
	if !stop {
		return m.arrive(n.next)
	}
	return mv
}

// returned arrives behind an option of the choose at index at.
func (m *machine) returned(at int) move {
	n := &m.p.nodes[at]
	m.step(m.s.Picks[n.def.ID], func(st *StepState) { st.Done = true })
	delete(m.s.Picks, n.def.ID)
	if m.done(n) >= n.def.Any {
		return m.arrive(n.next)
	}
	return m.choose(at)
}

// reuseOptions lets session evidence stand for options; true if that completes the choose.
func (m *machine) reuseOptions(n *node) bool {
	for _, o := range n.options {
		opt := &m.p.nodes[o]
		if m.done(n) >= n.def.Any {
			break
		}
		if !m.offered(opt) {
			continue
		}
		if opt.def.Kind == flowdefs.Choose && m.reuseOptions(opt) || opt.def.Kind == flowdefs.Step && m.reuse(opt) {
			m.step(opt.def.ID, func(st *StepState) { st.Done = true })
		}
	}
	return m.done(n) >= n.def.Any
}

// nothingLeft: an exit if it leads somewhere, else otherwise, else the run fails
// with the reason why options were lost.
func (m *machine) nothingLeft(n *node) move {
	why := exitNone
	all := n.options
	if n.otherwise != end {
		all = append(slices.Clone(all), n.otherwise)
	}
	for _, o := range all {
		switch lost := m.s.Steps[m.p.nodes[o].def.ID].Lost; {
		case lost == exitLocked, lost == exitExhausted && why != exitLocked:
			why = lost
		}
	}
	withdrawn := slices.ContainsFunc(n.options, func(o int) bool { return m.open(&m.p.nodes[o]) && m.pruned(&m.p.nodes[o]) })
	if withdrawn && why == exitNone { // clients may raise the goal: it never leads to what the author wrote for another case
		return m.fail(CodeUnmet)
	}
	if _, handled := n.def.On[why]; handled || withdrawn {
		return m.exit(n, why)
	}
	if n.otherwise != end && m.offered(&m.p.nodes[n.otherwise]) {
		return m.take1(n, n.otherwise)
	}
	return m.exit(n, why)
}

// offers returns the options that may be taken now: those that the client can
// draw or, if these are too few, those too that a page draws for it.
func (m *machine) offers(n *node) []int {
	var out, drawn []int
	for _, o := range n.options {
		opt := &m.p.nodes[o]
		if m.offered(opt) && (opt.def.Kind != flowdefs.Choose || len(m.offers(opt)) > 0) {
			out = append(out, o)
			if m.drawn(opt) {
				drawn = append(drawn, o)
			}
		}
	}
	if len(drawn) >= n.def.Any-m.done(n) {
		return drawn
	}
	return out
}

// nearest puts the options first that reach the goal in the fewest steps, where
// a session has begun the work; else they stand as the author wrote them.
func (m *machine) nearest(offers []int) []int {
	if !m.s.Reused || !m.w.goal.asks() {
		return offers
	}
	steps := make(map[int]int, len(offers))
	for _, o := range offers {
		n, err := m.shortest(m.p.nodes[o].ways)
		if err != nil {
			n = len(m.p.nodes) // in a handler, or no step: nothing is known of it
		}
		steps[o] = n
	}
	slices.SortStableFunc(offers, func(a, b int) int { return steps[a] - steps[b] })
	return offers
}

// drawn says whether the client itself can draw what an option begins with.
func (m *machine) drawn(n *node) bool {
	if first := m.asks(n); first != nil {
		return m.w.draws(first.typ.Code)
	}
	return slices.ContainsFunc(n.options, func(o int) bool { return m.offered(&m.p.nodes[o]) && m.drawn(&m.p.nodes[o]) })
}

// offered says whether one option may be taken now. An error in its condition withdraws it.
func (m *machine) offered(n *node) bool {
	return m.open(n) && !m.pruned(n)
}

// pruned says whether the goal cannot be reached any more by an option. What
// comes when no option is left is not pruned: it may be the way to become able.
func (m *machine) pruned(n *node) bool {
	return m.w.goal.asks() && n.ways != nil && m.inChoose(n) && m.within(n.ways) != nil
}

// open says whether an option may be taken, were there no goal.
func (m *machine) open(n *node) bool {
	if st := m.s.Steps[n.def.ID]; st.Lost != "" || st.Done && m.inChoose(n) {
		return false
	}
	first := m.asks(n)
	if first != nil && first.typ.NeedsDevice && !m.w.bound {
		return false
	}
	if n.def.If != nil {
		ok, err := m.holds(n.def.If)
		if err != nil {
			m.note(Event{Type: EventConditionFailed, Step: n.def.ID, Reason: "option"})
			return false
		}
		if !ok {
			return false
		}
	}
	return first == nil || m.w.takesOption(first.typ) // last: a model is told that nothing else was in its way
}

// inChoose says whether n is one of the options of a choose.
func (m *machine) inChoose(n *node) bool {
	return n.parent != end && slices.Contains(m.p.nodes[n.parent].options, m.p.byID[n.def.ID])
}

// asks returns the step that an option begins with, nil if it begins with a choose.
func (m *machine) asks(n *node) *node {
	for n.def.Kind == flowdefs.Group {
		n = &m.p.nodes[n.first]
	}
	if n.def.Kind != flowdefs.Step {
		return nil
	}
	return n
}

// runs says whether a node stands in the sequence. An error in its condition
// lets it run: a condition can never remove a step by failing.
func (m *machine) runs(n *node) bool {
	if n.def.Activate && !slices.Contains(m.s.Activated, n.def.ID) {
		return false
	}
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
		return c.Possible(m.ctx, m.env(c))
	}
	return c.Bool(m.ctx, m.env(c))
}

// pick takes the option that the client picked. Picking changes no evidence and no counter.
func (m *machine) pick(n *node, option string) move {
	if !slices.Contains(m.s.Offers, option) {
		return refuse(CodeMalformed)
	}
	i := m.p.byID[option]
	if !m.offered(&m.p.nodes[i]) {
		return m.choose(m.p.byID[n.def.ID])
	}
	return m.take1(n, i)
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
	if k > 0 && m.s.Trail[k-1] == m.s.At {
		k--
	}
	if k == 0 {
		return refuse(CodeNotPossibleHere)
	}
	at := m.p.byID[m.s.Trail[k-1]]
	m.s.Trail = m.s.Trail[:k-1]
	n := &m.p.nodes[at]
	if n.def.Kind == flowdefs.Choose {
		return m.choose(at)
	}
	if n.typ.Names && m.s.Subject == "" && m.s.Session == nil { // another name is wanted
		m.s.Named, m.s.Claimed, m.s.Shadow, m.s.Homes = "", "", "", nil
	}
	mv, stop := m.enter(n)
	if !stop {
		return m.arrive(n.next)
	}
	return mv
}

// offer is one entry of the selection's data.
type offer struct {
	ID       string `json:"id" doc:"What the answer selects it by."`
	Type     string `json:"type" doc:"Code of the prompt that it begins with."`
	StepType string `json:"stepType,omitempty" doc:"Type of the step that it begins with."`
}

// selection is the data of the prompt of a choose.
type selection struct {
	Options []offer `json:"options" doc:"What may be selected."`
	Needed  int     `json:"needed,omitempty" doc:"How many more have to be completed, if more than one."`
}

// CodeSelection is the type of the prompt of a choose.
const CodeSelection = "SELECTION_REQUIRED"

// SelectionSchema is the JSON Schema of the data of a choose's prompt.
func SelectionSchema() json.RawMessage { return flowdefs.SchemaFor[selection]() }

func (m *machine) selection(n *node, options []int) json.RawMessage {
	sel := selection{Options: make([]offer, len(options))}
	if left := n.def.Any - m.done(n); left > 1 {
		sel.Needed = left
	}
	for i, o := range options {
		opt := &m.p.nodes[o]
		sel.Options[i] = offer{ID: opt.def.ID, Type: CodeSelection}
		if first := m.asks(opt); first != nil {
			sel.Options[i] = offer{ID: opt.def.ID, Type: first.typ.Code, StepType: first.typ.Name}
		}
	}
	data, err := json.Marshal(sel)
	if err != nil {
		return json.RawMessage(`{}`) // cannot happen: strings and numbers only
	}
	return data
}
