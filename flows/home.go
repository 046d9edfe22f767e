package flows

import (
	"slices"

	"github.com/stile-auth/stile/flowdefs"
)

// home finds, of the options on offer, the one that begins with the sign-on where the
// person is at home: at the provider that has the domain of the name that was claimed,
// or else at the one that the client remembers. It is where somebody who picks would
// have come as well: what the client says chooses among what is offered and adds nothing.
//
// Each choose is settled like this once. Whoever comes back to it sees it.
func (m *machine) home(choose *node, offers []int) (int, bool) {
	if slices.Contains(m.s.Homes, choose.def.ID) {
		return 0, false
	}
	if domain := flowdefs.DomainOf(m.s.Named); domain != "" {
		if i, ok := m.only(offers, func(first *node) bool { return slices.Contains(first.domains, domain) }); ok {
			return i, true
		}
	}
	if m.s.Provider == "" {
		return 0, false
	}
	return m.only(offers, func(first *node) bool { return first.provider == m.s.Provider })
}

// only is the one option that begins with a step like that; false if there are more, or none.
func (m *machine) only(offers []int, like func(*node) bool) (found int, ok bool) {
	for _, o := range offers {
		first := m.asks(&m.p.nodes[o])
		if first == nil || first.provider == "" || !like(first) {
			continue
		}
		if ok {
			return 0, false
		}
		found, ok = o, true
	}
	return found, ok
}

// settle takes the option of somebody's home, as if they had picked it: back leads
// to the choice.
func (m *machine) settle(choose *node, option int) move {
	m.s.Homes = append(m.s.Homes, choose.def.ID)
	m.s.At = choose.def.ID
	m.remember()
	mv := m.take1(choose, option)
	mv.silent = mv.kind == moveEnter && m.s.Other == choose.def.ID
	return mv
}

// signedOnAt is the provider where the person signed on last in a run, "" if at none.
func (p *program) signedOnAt(s *State) string {
	for _, e := range slices.Backward(s.Evidence) {
		if i, ok := p.byID[e.Step]; ok && p.nodes[i].provider != "" {
			return p.nodes[i].provider
		}
	}
	return ""
}
