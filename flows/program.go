package flows

import (
	"errors"
	"fmt"

	"github.com/stile-auth/stile/flowdefs"
	"github.com/stile-auth/stile/flows/assurance"
)

// end is the place after the last node: arriving there completes the run.
const end = -1

// program is a flow made ready to run: nodes in document order, each knowing
// where the sequence goes on. It is immutable and shared by all runs.
type program struct {
	flow  *flowdefs.Flow
	nodes []node
	byID  map[string]int
	reach map[string][]assurance.Ceiling // by type of authenticator: what it could prove at most
}

type node struct {
	def       *flowdefs.Node
	typ       StepType // of a step
	step      Step     // of a step
	next      int
	parent    int // enclosing choose; end if none
	options   []int
	otherwise int
}

func compile(f *flowdefs.Flow, r *Registry) (*program, error) {
	p := &program{flow: f, byID: map[string]int{}, reach: map[string][]assurance.Ceiling{}}
	for _, t := range r.types {
		if t.Authenticator != "" {
			p.reach[t.Authenticator] = append(p.reach[t.Authenticator], t.Evidence...)
		}
	}
	var errs []error
	p.sequence(f.Steps, end, end, r, &errs)
	if len(p.nodes) == 0 {
		errs = append(errs, errors.New("no steps"))
	}
	if len(errs) > 0 {
		return nil, fmt.Errorf("flows: flow %q: %w", f.Name, errors.Join(errs...))
	}
	return p, nil
}

// sequence adds nodes one after the other and returns the index of the first; after it comes after.
func (p *program) sequence(defs []flowdefs.Node, after, parent int, r *Registry, errs *[]error) int {
	first, last := after, end
	for i := range defs {
		at := p.add(&defs[i], after, parent, r, errs)
		if i == 0 {
			first = at
		} else {
			p.continueAt(last, at)
		}
		last = at
	}
	return first
}

// continueAt makes node i and everything inside it go on at next.
func (p *program) continueAt(i, next int) {
	p.nodes[i].next = next
	for _, o := range p.nodes[i].options {
		p.continueAt(o, next)
	}
	if o := p.nodes[i].otherwise; o != end {
		p.continueAt(o, next)
	}
}

func (p *program) add(d *flowdefs.Node, next, parent int, r *Registry, errs *[]error) int {
	at := len(p.nodes)
	p.nodes = append(p.nodes, node{def: d, next: next, parent: parent, otherwise: end})
	if d.ID != "" {
		if _, dup := p.byID[d.ID]; dup {
			*errs = append(*errs, fmt.Errorf("step id %q is used twice", d.ID))
		}
		p.byID[d.ID] = at
	}
	switch d.Kind {
	case flowdefs.Step:
		if err := p.bind(at, r); err != nil {
			*errs = append(*errs, err)
		}
	case flowdefs.Choose:
		for i := range d.Options {
			o := p.add(&d.Options[i], next, at, r, errs)
			p.nodes[at].options = append(p.nodes[at].options, o)
		}
		if d.Otherwise != nil {
			p.nodes[at].otherwise = p.add(d.Otherwise, next, at, r, errs)
		}
	case flowdefs.Require:
		if d.Require == nil {
			*errs = append(*errs, errors.New("a require without condition"))
		}
	}
	return at
}

func (p *program) bind(at int, r *Registry) error {
	n := &p.nodes[at]
	typ, ok := r.Lookup(n.def.Type)
	if !ok {
		return fmt.Errorf("step %q: unknown type %q", n.def.ID, n.def.Type)
	}
	step, err := typ.New(n.def.With)
	if err != nil {
		return fmt.Errorf("step %q: %w", n.def.ID, err)
	}
	n.typ, n.step = typ, step
	return nil
}

// current returns the node that waits and whether it is a step.
func (p *program) current(s *State) (n *node, isStep bool) {
	i, ok := p.byID[s.At]
	if !ok {
		return nil, false
	}
	return &p.nodes[i], p.nodes[i].def.Kind == flowdefs.Step
}
