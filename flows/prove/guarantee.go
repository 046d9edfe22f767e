package prove

import (
	"strings"

	"github.com/stile-auth/stile/flowdefs"
	"github.com/stile-auth/stile/flows"
)

// What a path is remembered for by "A before B".
const (
	neither = '-'
	first   = 'a' // A is completed
	wrong   = 'x' // B is completed, and A was not
)

// completes notes that a step is completed, in what is remembered of each guarantee "A before B".
func (w *watcher) completes(seen, step string, s *flows.State) string {
	all := w.job.flow.Guarantees
	marks := []byte(seen)
	for i := range all {
		g := &all[i]
		if g.Form != flowdefs.Before {
			continue
		}
		for len(marks) <= i {
			marks = append(marks, neither)
		}
		switch {
		case marks[i] != neither:
		case w.isDone(g.First, step, s):
			marks[i] = first
		case w.isDone(g.Then, step, s):
			marks[i] = wrong
		}
	}
	return string(marks)
}

// isDone reports whether id is completed now that step is.
func (w *watcher) isDone(id, step string, s *flows.State) bool {
	if id == step {
		return true
	}
	n, _ := w.e.m.Node(id)
	if n == nil || n.Kind != flowdefs.Choose || !inside(n, step) {
		return false
	}
	return chosen(n, s)
}

// inside reports whether a step stands in a node.
func inside(n *flowdefs.Node, step string) bool {
	if n.ID == step {
		return true
	}
	for i := range n.Options {
		if inside(&n.Options[i], step) {
			return true
		}
	}
	for i := range n.Steps {
		if inside(&n.Steps[i], step) {
			return true
		}
	}
	return n.Otherwise != nil && inside(n.Otherwise, step)
}

// chosen reports whether a node is completed as far as the run remembers.
func chosen(n *flowdefs.Node, s *flows.State) bool {
	switch n.Kind {
	case flowdefs.Choose:
		count := 0
		for i := range n.Options {
			if chosen(&n.Options[i], s) {
				count++
			}
		}
		return count >= n.Any || n.Otherwise != nil && chosen(n.Otherwise, s)
	case flowdefs.Group:
		return s.Steps[n.ID].Done || chosen(&n.Steps[len(n.Steps)-1], s)
	default:
		return s.Steps[n.ID].Done
	}
}

// guarantees holds one end of a run against what the author promises.
func (w *watcher) guarantees(p *point, t *turn) {
	s, before := &p.state, t.situation
	for i := range w.job.flow.Guarantees {
		g := &w.job.flow.Guarantees[i]
		switch {
		case g.Form == flowdefs.Before && s.Status == flows.Completed:
			if i < len(p.marks.seen) && p.marks.seen[i] == wrong {
				w.broken(g, p, t, "a run completes %q without %q before it", g.Then, g.First)
			}
		case g.Form == flowdefs.Implies && p.marks.slow: // the gate holds it: see [flows.Model]
		case g.Form == flowdefs.Implies && s.Status == flows.Completed:
			if holds, err := w.eval(g.Holds, s, t); (err != nil || !holds) && !w.e.impossible(t.situation, before) {
				w.broken(g, p, t, "a run completes with %s", w.sum(s, t))
			}
		case g.Form == flowdefs.Never:
			if holds, err := w.eval(g.Holds, s, t); (err != nil || holds) && !w.e.impossible(t.situation, before) {
				w.broken(g, p, t, "a run ends so: %s", p.end)
			}
		}
	}
}

func (w *watcher) eval(c *flowdefs.Condition, s *flows.State, t *turn) (bool, error) {
	return c.Bool(w.e.ctx, w.e.m.Env(*s, w.e.facts(s, t, false)))
}

// sum is what a run has proved.
func (w *watcher) sum(s *flows.State, t *turn) string {
	r := w.e.m.Assess(*s, w.e.facts(s, t, false))
	return "acr " + r.Level.String() + ", amr " + strings.Join(r.AMR, " ")
}

func (w *watcher) broken(g *flowdefs.Guarantee, p *point, t *turn, format string, args ...any) {
	w.note(Broken, g.Source, g.Pos, p.from, t, "the guarantee %q is false: "+format, append([]any{g.Source}, args...)...)
}
