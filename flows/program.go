package flows

import (
	"errors"
	"fmt"
	"slices"

	"github.com/stile-auth/stile/flowdefs"
	"github.com/stile-auth/stile/flows/assurance"
)

// Places that are not nodes.
const (
	end        = -1 // after the last node: arriving there completes the run
	handlerEnd = -2 // after the last node of a handler: arriving there fails the run
	backBase   = -10
)

// backTo is the place after an option of the choose at index i: whether more
// options have to be completed is for the choose to say.
func backTo(i int) int { return backBase - i }

// program is a flow made ready to run: each node knows where the sequence goes
// on. It is immutable and shared by all runs.
type program struct {
	transaction []string // members of the start's transaction that steps show
	flow        *flowdefs.Flow
	nodes       []node
	first       int
	start       []way // from the beginning to the gate
	byID        map[string]int
	handlers    map[string]int
	reach       map[string][]assurance.Ceiling // by type of authenticator: what it could prove at most
}

type node struct {
	def       *flowdefs.Node
	typ       StepType            // of a step
	ceilings  []assurance.Ceiling // of a step: the most that it can prove as it is configured
	step      Step                // of a step
	next      int
	parent    int  // enclosing choose or group; end if none
	main      bool // stands in the flow's own sequence, not inside anything
	options   []int
	otherwise int
	first     int      // of a group
	handler   bool     // stands in a handler, not inside anything
	returns   int      // how often gotos may lead here
	ways      []way    // from here to the gate; nil for what stands in a handler, or asks for nothing
	hopes     []way    // likewise, with those on which an option is lost on the way
	provider  string   // of a step: where it sends people to sign on
	domains   []string // that this provider has
	enrols    bool     // here or behind it a step may bind an authenticator
}

// compiler turns definitions into nodes, from back to front: what a node goes on
// to is there before it.
type compiler struct {
	p    *program
	reg  *Registry
	with map[string]*flowdefs.Provider
	errs []error
}

// compile makes a flow ready to run; a provider that is not declared (any more) can prove what its step type can.
func compile(f *flowdefs.Flow, r *Registry, providers map[string]*flowdefs.Provider) (*program, error) {
	p := &program{flow: f, byID: map[string]int{}, handlers: map[string]int{}, reach: map[string][]assurance.Ceiling{}}
	for _, t := range r.types {
		if t.Authenticator != "" {
			p.reach[t.Authenticator] = append(p.reach[t.Authenticator], t.Evidence...)
		}
	}
	c := &compiler{p: p, reg: r, with: providers}
	p.first = c.sequence(f.Steps, end, end)
	for i := range p.nodes {
		p.nodes[i].main = p.nodes[i].parent == end
	}
	for i := range f.Handlers {
		before := len(p.nodes)
		p.handlers[f.Handlers[i].Name] = c.sequence(f.Handlers[i].Steps, handlerEnd, end)
		for j := range p.nodes[before:] {
			p.nodes[before+j].handler = p.nodes[before+j].parent == end
		}
	}
	if len(f.Steps) == 0 {
		c.errs = append(c.errs, errors.New("no steps"))
	}
	c.checkNames()
	if len(c.errs) > 0 {
		return nil, fmt.Errorf("flows: flow %q: %w", f.Name, errors.Join(c.errs...))
	}
	p.survey()
	return p, nil
}

// sequence adds nodes that follow one another, after them after, and returns the place of the first.
func (c *compiler) sequence(defs []flowdefs.Node, after, parent int) int {
	for i := len(defs) - 1; i >= 0; i-- {
		after = c.add(&defs[i], after, parent)
	}
	return after
}

func (c *compiler) add(d *flowdefs.Node, next, parent int) int {
	at := len(c.p.nodes)
	c.p.nodes = append(c.p.nodes, node{def: d, next: next, parent: parent, otherwise: end, first: end})
	if d.ID != "" {
		if _, dup := c.p.byID[d.ID]; dup {
			c.errs = append(c.errs, fmt.Errorf("step id %q is used twice", d.ID))
		}
		c.p.byID[d.ID] = at
	}
	switch d.Kind {
	case flowdefs.Step:
		if err := c.bind(at); err != nil {
			c.errs = append(c.errs, err)
		}
	case flowdefs.Choose:
		for i := range d.Options {
			o := c.add(&d.Options[i], backTo(at), at)
			c.p.nodes[at].options = append(c.p.nodes[at].options, o)
		}
		if d.Otherwise != nil {
			o := c.add(d.Otherwise, next, at)
			c.p.nodes[at].otherwise = o
		}
	case flowdefs.Group:
		first := c.sequence(d.Steps, next, at)
		c.p.nodes[at].first = first
	default: // the others contain nothing
	}
	return at
}

func (c *compiler) bind(at int) error {
	n := &c.p.nodes[at]
	typ, ok := c.reg.Lookup(n.def.Type)
	if !ok {
		return fmt.Errorf("step %q: unknown type %q", n.def.ID, n.def.Type)
	}
	step, err := typ.New(n.def.With)
	if err != nil {
		return fmt.Errorf("step %q: %w", n.def.ID, err)
	}
	if _, ok := step.(Confirmer); typ.Links && !ok {
		return fmt.Errorf("step %q: type %q sends links and takes no confirmation", n.def.ID, typ.Name)
	}
	n.typ, n.step, n.ceilings = typ, step, typ.Evidence
	if typ.Transaction != nil {
		c.p.transaction = append(c.p.transaction, typ.Transaction(n.def.With)...)
	}
	if typ.Provider != nil {
		n.provider = typ.Provider(n.def.With)
		if d := c.with[n.provider]; d != nil {
			n.domains = d.Domains
		}
	}
	if typ.Ceilings != nil {
		n.ceilings = typ.Ceilings(n.def.With, c.with)
	}
	return nil
}

// checkNames holds what the loader promises, for definitions that did not come from it.
func (c *compiler) checkNames() {
	for i := range c.p.nodes {
		d := c.p.nodes[i].def
		for exit, handler := range d.On {
			if _, ok := c.p.handlers[handler]; !ok {
				c.errs = append(c.errs, fmt.Errorf("exit %q leads to no handler", exit))
			}
		}
		if d.Kind != flowdefs.Goto {
			continue
		}
		if to, ok := c.p.byID[d.To]; !ok || !c.p.nodes[to].main || d.Max < 1 {
			c.errs = append(c.errs, fmt.Errorf("goto %q: not a step of the flow's own sequence, or without a bound", d.To))
		} else {
			c.p.nodes[to].returns = max(c.p.nodes[to].returns, d.Max)
		}
	}
}

// current returns the node that waits.
func (p *program) current(s *State) *node {
	i, ok := p.byID[s.At]
	if !ok {
		return nil
	}
	return &p.nodes[i]
}

// option returns the option of a choose that n is or begins, and its choose;
// nil if n cannot be exchanged for another option.
func (p *program) option(n *node) (option, choose *node) {
	at := p.byID[n.def.ID]
	for n.parent != end {
		parent := &p.nodes[n.parent]
		switch {
		case parent.def.Kind == flowdefs.Choose && slices.Contains(parent.options, at):
			return n, parent
		case parent.def.Kind != flowdefs.Group || parent.first != at:
			return nil, nil
		}
		n, at = parent, n.parent
	}
	return nil, nil
}

// enclosing returns the option of a choose that n stands in, and its choose; nil if there is none.
func (p *program) enclosing(n *node) (option, choose *node) {
	for n.parent != end {
		parent := &p.nodes[n.parent]
		if parent.def.Kind == flowdefs.Choose {
			return n, parent
		}
		n = parent
	}
	return nil, nil
}
