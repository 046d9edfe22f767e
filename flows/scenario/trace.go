package scenario

import (
	"slices"

	"github.com/stile-auth/stile/flowdefs"
	"github.com/stile-auth/stile/flows"
)

// trace is what could be seen of one run: in its prompts, and in its audit events.
type trace struct {
	id        string
	def       *flowdefs.Flow
	names     []string            // the flows that it consists of
	seen      map[string]bool     // ids of steps and chooses that were arrived at
	offers    map[string][]string // by choose: the options when it was first seen
	exits     [][2]string         // step and exit
	status    string
	failure   string
	mapping   bool // it failed behind its last step, over a claim
	elsewhere bool // it failed over an expression that is no require
	held      bool // a require failed it, and which is not known yet
}

func newTrace(def *flowdefs.Flow, names []string, id string) *trace {
	return &trace{id: id, def: def, names: names, seen: map[string]bool{}, offers: map[string][]string{}}
}

// see takes in an answer.
func (t *trace) see(a *answer) {
	t.status = a.doc.Flow.Status
	n := a.doc.NextStep
	if n == nil {
		return
	}
	t.seen[n.StepID] = true
	if o := a.options(); o != nil && t.offers[n.StepID] == nil {
		for _, id := range o {
			t.offers[n.StepID] = append(t.offers[n.StepID], show(id))
		}
	}
}

// hear takes in an audit event.
func (t *trace) hear(e flows.Event) {
	switch e.Type {
	case flows.EventStepExit:
		t.exits = append(t.exits, [2]string{e.Step, e.Reason})
		t.seen[e.Step] = true
	case flows.EventStepPassed, flows.EventStepDone, flows.EventStepSkipped, flows.EventStepRejected, flows.EventStepLost:
		t.seen[e.Step] = true
	case flows.EventConditionFailed:
		t.mapping = t.mapping || e.Reason == "claim"
		t.elsewhere = t.elsewhere || e.Reason == "claim" || e.Reason == "decide" || e.Reason == "assign"
	case flows.EventRunFailed:
		t.failure = e.Reason
	}
}

// reached says whether the run arrived at a node, or inside it.
func (t *trace) reached(n *flowdefs.Node) bool {
	if n.ID != "" && t.seen[n.ID] {
		return true
	}
	return t.any(n.Options) || t.any(n.Steps) || n.Otherwise != nil && t.reached(n.Otherwise)
}

// items calls hit with everything that the run reached.
func (t *trace) items(hit func(item)) {
	handled := slices.ContainsFunc(t.def.Handlers, func(h flowdefs.Handler) bool { return t.any(h.Steps) })
	t.held = t.failure == flows.CodeRequirement && !t.elsewhere
	t.sequence(t.def.Steps, t.status == string(flows.Completed) || t.mapping, !handled, hit)
	for _, h := range t.def.Handlers {
		t.sequence(h.Steps, false, t.any(h.Steps), hit)
	}
	for _, x := range t.exits {
		for _, n := range slices.Backward(chain(t.def, x[0])) {
			if _, handled := n.On[x[1]]; handled {
				hit(exitItem(n, x[1]))
				break
			}
		}
	}
}

func (t *trace) any(list []flowdefs.Node) bool {
	return slices.ContainsFunc(list, func(n flowdefs.Node) bool { return t.reached(&n) })
}

// sequence looks at nodes that follow one another. behind: the run went on behind
// the last; begun: it came to the first.
func (t *trace) sequence(list []flowdefs.Node, behind, begun bool, hit func(item)) {
	for i := range list {
		n := &list[i]
		passed := behind || t.any(list[i+1:])
		t.node(n, passed, begun, hit)
	}
}

func (t *trace) node(n *flowdefs.Node, passed, begun bool, hit func(item)) {
	reached := t.reached(n)
	switch n.Kind {
	case flowdefs.Require:
		switch {
		case passed:
			hit(conditionItem(n, n.Require, true))
		case begun && t.held:
			hit(conditionItem(n, n.Require, false))
			t.held = false // the first that the run did not pass is the one that held it
		}
		return
	case flowdefs.Fail:
		if n.If != nil && (passed || t.failure == n.Code) {
			hit(conditionItem(n, n.If, !passed))
		}
		return
	case flowdefs.Step, flowdefs.Delay:
		if reached {
			hit(stepItem(n))
		}
	case flowdefs.Choose:
		t.choose(n, passed, hit)
	case flowdefs.Group:
		t.sequence(n.Steps, passed && reached, reached, hit)
	default:
		return // it leaves no trace
	}
	if n.If != nil && (reached || passed) {
		hit(conditionItem(n, n.If, reached))
	}
}

func (t *trace) choose(n *flowdefs.Node, passed bool, hit func(item)) {
	offers, asked := t.offers[n.ID]
	for i := range n.Options {
		o := &n.Options[i]
		if t.reached(o) {
			hit(optionItem(n, o))
		}
		plain := *o
		plain.If = nil // of an option it says whether it is offered
		t.node(&plain, passed, false, hit)
		if o.If != nil && (asked || t.reached(n)) {
			hit(conditionItem(o, o.If, slices.Contains(offers, o.ID) || t.reached(o)))
		}
	}
	if n.Otherwise != nil {
		t.node(n.Otherwise, passed, false, hit)
	}
}

// chain returns the nodes from the outermost to that of an id.
func chain(f *flowdefs.Flow, id string) []*flowdefs.Node {
	var find func(list []flowdefs.Node) []*flowdefs.Node
	find = func(list []flowdefs.Node) []*flowdefs.Node {
		for i := range list {
			n := &list[i]
			if n.ID == id {
				return []*flowdefs.Node{n}
			}
			inner := slices.Concat(n.Options, n.Steps)
			if n.Otherwise != nil {
				inner = append(inner, *n.Otherwise)
			}
			if c := find(inner); c != nil {
				return append([]*flowdefs.Node{n}, c...)
			}
		}
		return nil
	}
	all := [][]flowdefs.Node{f.Steps}
	for _, h := range f.Handlers {
		all = append(all, h.Steps)
	}
	for _, list := range all {
		if c := find(list); c != nil {
			return c
		}
	}
	return nil
}
