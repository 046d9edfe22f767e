package flows

import (
	"slices"

	"github.com/stile-auth/stile/flowdefs"
)

// A way is one course that a run can take from some node to the gate: the steps
// that stand on it, by index, and the places that gotos have to lead back to.
type way struct {
	steps places
	jumps places
	out   bool // a goto has left the sequence: nothing behind it belongs to the way
}

// places is a sorted list of indexes of nodes.
type places []int

func (p places) with(q places) places {
	if len(q) == 0 {
		return p
	}
	out := append(slices.Clone(p), q...)
	slices.Sort(out)
	return slices.Compact(out)
}

func (p places) within(q places) bool {
	for _, i := range p {
		if _, ok := slices.BinarySearch(q, i); !ok {
			return false
		}
	}
	return true
}

// maxWays bounds the ways that are told apart from one place. Where there are
// more they become one that has all their steps: then options may be offered
// from which the goal cannot be reached, and the gate has the last word as ever.
const maxWays = 64

// surveyor makes the table of ways when a flow is made ready to run. What can be
// proved on a way is a matter of steps; conditions are left out, so that a way is
// there whenever some account could take it.
type surveyor struct {
	p    *program
	done map[int][]way
	lost bool // ways count, too, on which an option is lost when part of it is done, and another is taken
}

// survey notes for the start, and for every step, group and choose of the flow's
// own sequence, the ways from there to the gate. Handlers end in failure or in a goto.
func (p *program) survey() {
	s := &surveyor{p: p, done: map[int][]way{}}
	loose := &surveyor{p: p, done: map[int][]way{}, lost: true}
	p.start = loose.from(p.first)
	for i := range p.nodes {
		n := &p.nodes[i]
		switch n.def.Kind {
		case flowdefs.Step, flowdefs.Choose, flowdefs.Group:
		default:
			continue
		}
		if p.inHandler(i) {
			continue
		}
		n.ways, n.hopes = s.toGate(i), loose.toGate(i)
		p.beyond(i, func(at int) { n.enrols = n.enrols || p.nodes[at].typ.Enrols })
	}
}

// inHandler says whether a node stands in a handler, at any depth.
func (p *program) inHandler(i int) bool {
	for p.nodes[i].parent != end {
		i = p.nodes[i].parent
	}
	return p.nodes[i].handler
}

// toGate are the ways from a node on, through what encloses it, to the gate.
func (s *surveyor) toGate(i int) []way {
	ways := s.from(i)
	for at := i; s.p.nodes[at].parent != end; at = s.p.nodes[at].parent {
		parent := &s.p.nodes[s.p.nodes[at].parent]
		if parent.def.Kind == flowdefs.Choose && slices.Contains(parent.options, at) {
			lost, otherwise := s.instead(parent, at)
			ways = append(s.behind(append(ways, lost...), parent, at), otherwise...)
		}
	}
	return ways
}

// instead are the ways on which an option is lost: whatever was proved in it
// stays, and another option is taken, or what comes when none is left.
func (s *surveyor) instead(choose *node, option int) (others, otherwise []way) {
	if !s.lost {
		return nil, nil
	}
	part := []way{{steps: union(s.from(option)).steps}}
	for _, o := range choose.options {
		if o != option {
			others = append(others, product(part, s.from(o))...)
		}
	}
	if choose.otherwise != end {
		otherwise = product(part, s.from(choose.otherwise))
	}
	return others, otherwise
}

// behind goes on behind an option of a choose: at the others, if more than one
// has to be completed, and then at what follows.
func (s *surveyor) behind(ways []way, choose *node, option int) []way {
	if choose.def.Any > 1 {
		var others places
		for _, o := range choose.options {
			if o != option {
				others = others.with(union(s.from(o)).steps)
			}
		}
		ways = product(ways, []way{{steps: others}})
	}
	return product(ways, s.from(choose.next))
}

// from are the ways from a place to the end of the sequence that it stands in.
func (s *surveyor) from(i int) []way {
	switch {
	case i == end || i <= backBase:
		return []way{{}}
	case i == handlerEnd:
		return nil
	}
	if ways, ok := s.done[i]; ok {
		return ways
	}
	s.done[i] = s.node(i)
	return s.done[i]
}

func (s *surveyor) node(i int) []way {
	n := &s.p.nodes[i]
	exits := s.handlers(n)
	if n.def.If != nil { // a step adds to what can be proved; these may take it away, and may be left out
		switch n.def.Kind {
		case flowdefs.Goto, flowdefs.Fail, flowdefs.Abort, flowdefs.Decide, flowdefs.Choose:
			exits = append(exits, s.from(n.next)...)
		default: // what follows comes behind it either way
		}
	}
	switch n.def.Kind {
	case flowdefs.Step:
		own := []way{{}}
		if len(n.ceilings) > 0 {
			own[0].steps = places{i}
		}
		return fewest(append(product(own, s.from(n.next)), exits...))
	case flowdefs.Group:
		return s.from(n.first)
	case flowdefs.Choose:
		return fewest(append(s.choose(n), exits...))
	case flowdefs.Goto:
		return fewest(append(exits, s.back(s.p.byID[n.def.To])))
	case flowdefs.Fail, flowdefs.Abort:
		return exits
	default:
		return fewest(append(s.from(n.next), exits...))
	}
}

// choose are the ways through a choose and behind it.
func (s *surveyor) choose(n *node) []way {
	var through, left []way
	if n.def.Any == 1 {
		for _, o := range n.options {
			through = append(through, s.from(o)...)
			if len(union(s.from(o)).steps) > 1 { // a single step that is lost has proved nothing
				others, otherwise := s.instead(n, o)
				through, left = append(through, others...), append(left, otherwise...)
			}
		}
	} else { // any so many of them: as if all
		var all places
		for _, o := range n.options {
			all = all.with(union(s.from(o)).steps)
		}
		through = []way{{steps: all}}
		if n.otherwise != end {
			left = product(through, s.from(n.otherwise))
		}
	}
	ways := append(product(through, s.from(n.next)), left...)
	if n.otherwise != end { // it knows itself what follows
		ways = append(ways, s.from(n.otherwise)...)
	}
	return ways
}

// handlers are the ways that an exit of n can take: by a goto, or none.
func (s *surveyor) handlers(n *node) []way {
	var out []way
	var within places
	handled := map[int]bool{}
	s.p.exits(n, func(handler int) {
		s.p.inside(handler, handled, func(i int) {
			if at := &s.p.nodes[i]; at.def.Kind == flowdefs.Goto {
				out = append(out, s.back(s.p.byID[at.def.To]))
			} else if len(at.ceilings) > 0 {
				within = within.with(places{i})
			}
		})
	})
	for i := range out {
		out[i].steps = out[i].steps.with(within)
	}
	return out
}

// back is the way of a goto: everything that can come behind its place.
func (s *surveyor) back(to int) way {
	w := way{jumps: places{to}, out: true}
	s.p.beyond(to, func(i int) {
		if len(s.p.nodes[i].ceilings) > 0 {
			w.steps = append(w.steps, i)
		}
	})
	slices.Sort(w.steps)
	return w
}

// exits visits the handlers that an exit of n can lead to.
func (p *program) exits(n *node, visit func(handler int)) {
	for at := n; ; at = &p.nodes[at.parent] {
		for _, h := range at.def.On {
			visit(p.handlers[h])
		}
		if at.parent == end {
			return
		}
	}
}

// inside visits the nodes of a handler and of those that its own exits lead to.
func (p *program) inside(i int, seen map[int]bool, visit func(i int)) {
	if i < 0 || seen[i] {
		return
	}
	seen[i] = true
	n := &p.nodes[i]
	visit(i)
	for _, j := range append([]int{n.next, n.first, n.otherwise}, n.options...) {
		p.inside(j, seen, visit)
	}
	p.exits(n, func(h int) { p.inside(h, seen, visit) })
}

// beyond visits the nodes that a run can come to from a place, that one among them.
func (p *program) beyond(i int, visit func(i int)) {
	seen := map[int]bool{}
	var from func(int)
	from = func(i int) {
		p.inside(i, seen, func(i int) {
			n := &p.nodes[i]
			visit(i)
			for at := n; at.parent != end; at = &p.nodes[at.parent] { // what follows what encloses it
				from(p.nodes[at.parent].next)
			}
			if n.def.Kind == flowdefs.Goto {
				from(p.byID[n.def.To])
			}
		})
	}
	from(i)
}

// product is every way of the first followed by every way of the second.
func product(first, second []way) []way {
	var out []way
	for _, a := range first {
		if a.out {
			out = append(out, a)
			continue
		}
		for _, b := range second {
			out = append(out, way{steps: a.steps.with(b.steps), jumps: a.jumps.with(b.jumps), out: b.out})
		}
	}
	return fewest(out)
}

// fewest leaves out the ways that prove no more than another and need no less.
func fewest(ways []way) []way {
	if len(ways) > maxWays*maxWays {
		return []way{union(ways)}
	}
	var out []way
	for i, a := range ways {
		if !slices.ContainsFunc(ways[:i], a.noBetter) && !slices.ContainsFunc(ways[i+1:], func(b way) bool { return a.noBetter(b) && !b.noBetter(a) }) {
			out = append(out, a)
		}
	}
	if len(out) > maxWays {
		return []way{union(out)}
	}
	return out
}

func (w way) noBetter(other way) bool {
	return w.steps.within(other.steps) && other.jumps.within(w.jumps) && w.out == other.out
}

// union is one way that has the steps of all: at least as much as any of them.
func union(ways []way) way {
	all := way{}
	for _, w := range ways {
		all.steps = all.steps.with(w.steps)
	}
	return all
}
