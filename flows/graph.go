package flows

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/stile-auth/stile/flowdefs"
)

// Graph is where a flow can go: the nodes of the program that the machine runs
// and every way between them, so that a picture of it cannot lie. What a client
// may do at a prompt beside answering it stands at the node and is no way; what
// it may do at every one, to cancel and to start over, is not in it.
type Graph struct {
	Flow  string      `json:"flow"`
	Nodes []GraphNode `json:"nodes"` // start first, then as defined, then the ends
	Edges []GraphEdge `json:"edges"` // by From in the order of Nodes
}

// GraphNode is a node of a flow, or one of its ends.
type GraphNode struct {
	ID      string `json:"id"`   // its id, or a name that no id can have
	Kind    string `json:"kind"` // as in definitions; start, gate, completed, cancelled or failed
	Type    string `json:"type,omitempty"`
	Code    string `json:"code,omitempty"` // type of its prompts, or code of the failure
	Text    string `json:"text,omitempty"` // what it says in its definition, if that is more than its kind
	Handler string `json:"handler,omitempty"`

	// Client is what the client may do at its prompts: back, choose_other, resend.
	// It may depend on what happened before whether it is possible now.
	Client []string `json:"client,omitempty"`
	Resend int      `json:"resend,omitempty"` // how often it sends again
}

// GraphEdge is one way to go on.
type GraphEdge struct {
	From    string `json:"from"`
	To      string `json:"to"`
	Kind    string `json:"kind"` // next, skip, option, otherwise, lost, exit, goto or failure
	Label   string `json:"label,omitempty"`
	Implied bool   `json:"implied,omitempty"` // the definition does not mention it
}

// The nodes of a graph that are not nodes of the flow.
const (
	graphStart     = "(start)"
	graphGate      = "(gate)"
	graphCompleted = "(completed)"
	graphCancelled = "(cancelled)"
)

func graphFailed(code string) string { return "(failed " + code + ")" }

// Draw returns the graph of a flow; f has to be one that r's types can run. The
// same definition gives the same graph.
func Draw(f *flowdefs.Flow, r *Registry) (Graph, error) {
	p, err := compile(f, r, nil)
	if err != nil {
		return Graph{}, err
	}
	d := &drawing{p: p, g: Graph{Flow: f.Name}, names: map[*flowdefs.Node]string{}, count: map[string]int{}, seen: map[GraphEdge]bool{}}
	d.index = make(map[*flowdefs.Node]int, len(p.nodes))
	for i := range p.nodes {
		d.index[p.nodes[i].def] = i
	}
	d.draw()
	return d.g, nil
}

type drawing struct {
	p     *program
	g     Graph
	index map[*flowdefs.Node]int
	names map[*flowdefs.Node]string
	count map[string]int
	order []*node
	seen  map[GraphEdge]bool
	entry []string // exits that lead into the handler that is drawn
}

func (d *drawing) draw() {
	f := d.p.flow
	d.g.Nodes = append(d.g.Nodes, GraphNode{ID: graphStart, Kind: "start"})
	d.list(f.Steps, "")
	for i := range f.Handlers {
		d.list(f.Handlers[i].Steps, f.Handlers[i].Name)
	}
	handlers := map[*node]string{}
	for i, n := range d.order {
		handlers[n] = d.g.Nodes[i+1].Handler
	}
	d.edge(graphStart, d.p.first, "next", "")
	for _, n := range d.order {
		d.entry = d.into(handlers[n])
		d.ways(n)
	}
	d.prompts()
	d.gate()
	d.ends()
}

// prompts notes what a client may do at each prompt beside answering it.
func (d *drawing) prompts() {
	back := d.backs()
	for i, n := range d.order {
		g := &d.g.Nodes[i+1]
		if n.def.Kind != flowdefs.Step && n.def.Kind != flowdefs.Choose {
			continue
		}
		if back[g.ID] {
			g.Client = append(g.Client, "back")
		}
		if n.def.Kind != flowdefs.Step {
			continue
		}
		if option, choose := d.p.option(n); option != nil && len(choose.options) > 1 {
			g.Client = append(g.Client, "choose_other")
		}
		if n.typ.Sends { // also if only once, and that was too early at first
			g.Client, g.Resend = append(g.Client, "resend"), n.def.Resends().Max
		}
	}
}

// backs are the prompts that a client may come to from the prompt of a choose
// with nothing completed between: it can go back there.
func (d *drawing) backs() map[string]bool {
	out := map[string]bool{}
	if d.p.flow.NoBack {
		return out
	}
	kinds := map[string]string{}
	for _, n := range d.g.Nodes {
		kinds[n.ID] = n.Kind
	}
	var todo []string
	reach := func(e GraphEdge) {
		if !e.Implied && !out[e.To] {
			out[e.To] = true
			todo = append(todo, e.To)
		}
	}
	for _, e := range d.g.Edges {
		if e.Kind == "option" || e.Kind == "otherwise" {
			reach(e)
		}
	}
	for len(todo) > 0 {
		at := todo[0]
		todo = todo[1:]
		for _, e := range d.g.Edges {
			if e.From == at && (e.Kind == "skip" || e.Kind == "next" && kinds[at] != "step" && kinds[at] != "delay") {
				reach(e)
			}
		}
	}
	return out
}

// list adds nodes and what is inside them in the order of the definition.
func (d *drawing) list(defs []flowdefs.Node, handler string) {
	for i := range defs {
		d.one(&defs[i], handler)
	}
}

func (d *drawing) one(def *flowdefs.Node, handler string) {
	n := &d.p.nodes[d.index[def]]
	g := GraphNode{ID: def.ID, Kind: kindName(def.Kind), Type: def.Type, Code: n.typ.Code, Text: textOf(def), Handler: handler}
	if g.ID == "" {
		d.count[g.Kind]++
		g.ID = fmt.Sprintf("(%s %d)", g.Kind, d.count[g.Kind])
	}
	if def.Kind == flowdefs.Fail {
		g.Code = def.Code
	}
	d.names[def] = g.ID
	d.order, d.g.Nodes = append(d.order, n), append(d.g.Nodes, g)
	d.list(def.Options, handler)
	if def.Otherwise != nil {
		d.one(def.Otherwise, handler)
	}
	d.list(def.Steps, handler)
}

// into lists the exits that lead into a handler: at its end the run fails because of one of them.
func (d *drawing) into(handler string) []string {
	exits := map[string]bool{}
	for i := range d.p.nodes {
		for exit, h := range d.p.nodes[i].def.On {
			if h == handler {
				exits[exit] = true
			}
		}
	}
	return slices.Sorted(maps.Keys(exits))
}

// add adds an edge to a node that is known by name, once.
func (d *drawing) add(e GraphEdge) {
	if !d.seen[e] {
		d.seen[e] = true
		d.g.Edges = append(d.g.Edges, e)
	}
}

// edge adds the way to a place.
func (d *drawing) edge(from string, place int, kind, label string) {
	d.way(from, place, kind, label, false)
}

func (d *drawing) way(from string, place int, kind, label string, implied bool) {
	e := GraphEdge{From: from, Kind: kind, Label: label, Implied: implied}
	switch {
	case place == end:
		e.To = graphGate
	case place == handlerEnd:
		for _, exit := range d.entry {
			e.To = graphFailed(exitCode(exit))
			d.add(e)
		}
		return
	case place <= backBase:
		choose := &d.p.nodes[backBase-place]
		if choose.def.Any == 1 { // one option is enough: it goes on behind the choose
			d.way(from, choose.next, kind, label, implied)
			return
		}
		e.To = d.names[choose.def]
	default:
		e.To = d.names[d.p.nodes[place].def]
	}
	d.add(e)
}

func (d *drawing) fails(n *node, code, label string, implied bool) {
	d.add(GraphEdge{From: d.names[n.def], To: graphFailed(code), Kind: "failure", Label: label, Implied: implied})
}

// ways adds every way from a node.
func (d *drawing) ways(n *node) {
	name := d.names[n.def]
	d.skips(n)
	switch n.def.Kind {
	case flowdefs.Step:
		d.step(n)
	case flowdefs.Choose:
		d.choose(n)
	case flowdefs.Group:
		d.edge(name, n.first, "next", "")
	case flowdefs.Goto:
		d.add(GraphEdge{From: name, To: n.def.To, Kind: "goto", Label: bound(n.def)})
		d.fails(n, CodeExhausted, "too often", true)
	case flowdefs.Fail:
		d.fails(n, n.def.Code, "", false)
	case flowdefs.Abort:
		d.add(GraphEdge{From: name, To: graphCancelled, Kind: "next"})
	case flowdefs.Decide:
		d.decide(n)
	case flowdefs.Require:
		d.edge(name, n.next, "next", "")
		d.fails(n, CodeRequirement, "otherwise", false)
	case flowdefs.Assign:
		d.edge(name, n.next, "next", "")
		d.fails(n, CodeRequirement, "no value", true)
	default:
		d.edge(name, n.next, "next", "")
	}
}

// bound is how often a goto may be taken, and whether it costs an attempt.
func bound(n *flowdefs.Node) string {
	text := fmt.Sprintf("at most %d times", n.Max)
	if n.Max == 1 {
		text = "at most once"
	}
	if n.Counts {
		text += ", counts as wrong"
	}
	return text
}

// skips adds the way around a node that does not stand in the sequence. What
// a choose offers is not skipped but withdrawn.
func (d *drawing) skips(n *node) {
	at := d.index[n.def]
	if n.parent != end {
		if c := &d.p.nodes[n.parent]; slices.Contains(c.options, at) || c.otherwise == at {
			return
		}
	}
	if n.def.Activate {
		d.edge(d.names[n.def], n.next, "skip", "not activated")
	}
	if n.def.If != nil {
		d.edge(d.names[n.def], n.next, "skip", "not ("+n.def.If.Source+")")
	}
}

func (d *drawing) step(n *node) {
	name := d.names[n.def]
	d.edge(name, n.next, "next", "")
	out := never(n.typ)
	if n.def.Timeout == 0 {
		out = append(out, exitTimeout)
	}
	exits := slices.DeleteFunc([]string{exitDenied, exitExhausted, exitInsufficient, exitLocked, exitTimeout, exitUnavailable},
		func(e string) bool { return slices.Contains(out, e) })
	exits = append(exits, n.typ.Exits...)
	slices.Sort(exits)
	for _, exit := range slices.Compact(exits) {
		_, own := n.def.On[exit]
		_, choose := d.p.enclosing(n)
		if choose != nil && !own && (exit == exitExhausted || exit == exitLocked) {
			d.add(GraphEdge{From: name, To: d.names[choose.def], Kind: "lost", Label: exit, Implied: true})
			continue
		}
		d.exit(n, exit)
	}
	d.fails(n, CodeDenied, "account may not be used", true)
	d.fails(n, CodeCannotDraw, "client cannot draw it", true)
	if n.typ.NeedsDevice {
		d.fails(n, CodeDeviceRequired, "no bound device", true)
	}
	if len(n.typ.Evidence) > 0 {
		d.fails(n, CodeSubjectChanged, "somebody else", true)
		d.fails(n, CodeJustEnrolled, "enrolled in this run", true)
	}
}

// exit adds the way that the machine takes by an exit: into the nearest handler, or to the failure.
func (d *drawing) exit(n *node, exit string) {
	for at := n; ; at = &d.p.nodes[at.parent] {
		if h, ok := at.def.On[exit]; ok {
			d.edge(d.names[n.def], d.p.handlers[h], "exit", exit)
			return
		}
		if at.parent == end {
			d.add(GraphEdge{From: d.names[n.def], To: graphFailed(exitCode(exit)), Kind: "exit", Label: exit, Implied: true})
			return
		}
	}
}

func (d *drawing) choose(n *node) {
	name := d.names[n.def]
	for _, o := range n.options {
		d.edge(name, o, "option", source(d.p.nodes[o].def.If))
	}
	if n.otherwise != end {
		d.edge(name, n.otherwise, "otherwise", strings.TrimSpace("otherwise "+source(d.p.nodes[n.otherwise].def.If)))
	}
	if n.def.Any > 1 {
		d.edge(name, n.next, "next", fmt.Sprintf("%d of %d completed", n.def.Any, len(n.options)))
	} else {
		d.way(name, n.next, "next", "proved in the session", true)
	}
	for _, exit := range []string{exitExhausted, exitLocked, exitNone} {
		d.exit(n, exit)
	}
	if _, outer := d.p.enclosing(n); outer != nil {
		d.add(GraphEdge{From: name, To: d.names[outer.def], Kind: "lost", Label: "nothing left", Implied: true})
	}
}

// decide can leave by every exit that something around it handles.
func (d *drawing) decide(n *node) {
	exits := []string{"any other"}
	for at := n; ; at = &d.p.nodes[at.parent] {
		exits = append(exits, slices.Collect(maps.Keys(at.def.On))...)
		if at.parent == end {
			break
		}
	}
	slices.Sort(exits)
	for _, exit := range slices.Compact(exits) {
		d.exit(n, exit)
	}
	for _, exit := range []string{exitDenied, exitExhausted, exitInsufficient, exitLocked, exitNone, exitTimeout, exitUnavailable} {
		d.exit(n, exit)
	}
	if _, handled := n.def.On["continue"]; !handled {
		d.edge(d.names[n.def], n.next, "next", "continue")
	}
	d.fails(n, CodeRequirement, "no value", true)
}

// gate is the end of the flow's own sequence.
func (d *drawing) gate() {
	fails := func(code, label string) {
		d.add(GraphEdge{From: graphGate, To: graphFailed(code), Kind: "failure", Label: label, Implied: true})
	}
	d.add(GraphEdge{From: graphGate, To: graphCompleted, Kind: "next"})
	fails(CodeObligation, "an obligation is open")
	fails(CodeDenied, "account may not be used")
	fails(CodeLoginRequired, "the session has ended")
	fails(CodeUnmet, "level not reached")
	fails(CodeNotAllowed, "target not allowed")
	fails(CodeRequirement, "a claim has no value")
	fails(CodeNotPropagated, "no propagator fits")
}

// ends adds the ends that something leads to.
func (d *drawing) ends() {
	d.g.Nodes = append(d.g.Nodes, GraphNode{ID: graphGate, Kind: "gate"}, GraphNode{ID: graphCompleted, Kind: "completed"})
	codes := map[string]bool{}
	for _, e := range d.g.Edges {
		if code, ok := strings.CutPrefix(e.To, "(failed "); ok {
			codes[strings.TrimSuffix(code, ")")] = true
		}
	}
	if slices.ContainsFunc(d.g.Edges, func(e GraphEdge) bool { return e.To == graphCancelled }) {
		d.g.Nodes = append(d.g.Nodes, GraphNode{ID: graphCancelled, Kind: "cancelled"})
	}
	for _, code := range slices.Sorted(maps.Keys(codes)) {
		d.g.Nodes = append(d.g.Nodes, GraphNode{ID: graphFailed(code), Kind: "failed", Code: code})
	}
}

func source(c *flowdefs.Condition) string {
	if c == nil {
		return ""
	}
	return c.Source
}

func kindName(k flowdefs.Kind) string {
	return map[flowdefs.Kind]string{
		flowdefs.Step: "step", flowdefs.Choose: "choose", flowdefs.Require: "require", flowdefs.Group: "group", flowdefs.Goto: "goto",
		flowdefs.Fail: "fail", flowdefs.Abort: "abort", flowdefs.Tag: "tag", flowdefs.Oblige: "oblige", flowdefs.Decide: "decide",
		flowdefs.Assign: "assign", flowdefs.Delay: "delay",
	}[k]
}

// textOf is what a node says beside its kind and type.
func textOf(n *flowdefs.Node) string {
	switch n.Kind {
	case flowdefs.Require:
		return n.Require.Source
	case flowdefs.Goto:
		return n.To
	case flowdefs.Fail:
		return n.Code
	case flowdefs.Oblige:
		return n.Name
	case flowdefs.Decide:
		return n.Value.Source
	case flowdefs.Delay:
		return n.Wait.String()
	case flowdefs.Tag:
		var parts []string
		for _, t := range n.Set {
			parts = append(parts, "+"+t)
		}
		for _, t := range n.Remove {
			parts = append(parts, "-"+t)
		}
		return strings.Join(parts, " ")
	case flowdefs.Assign:
		parts := make([]string, len(n.Values))
		for i, v := range n.Values {
			parts[i] = v.Name + " = " + v.Value.Source
		}
		return strings.Join(parts, "; ")
	default:
		return ""
	}
}
