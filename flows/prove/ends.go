package prove

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"github.com/stile-auth/stile/flowdefs"
	"github.com/stile-auth/stile/flows"
	"github.com/stile-auth/stile/flows/assurance"
)

// ends is told of each end of a run, with all that led there.
func (w *watcher) ends(p *point, t *turn) {
	s := &p.state
	w.shows = w.expectation(s, t)
	if s.Status == flows.Completed {
		w.done = true
		if t.issues != nil {
			w.taken[t.issues] = true
		}
		w.completed(p, t)
	}
	w.guarantees(p, t)
	if s.Status != flows.Failed {
		return
	}
	switch s.Failure {
	case flows.CodeLoop:
		w.note(Loop, "", w.job.flow.Pos, p.from, t, "a run goes around without asking anything, more than %d times", maxMoves)
	case flows.CodeObligation:
		w.note(Obligation, list(s.Obliged), w.oblige(s.Obliged), p.from, t, "a run can come to its end and still owe %s: no step on its way settles that", list(s.Obliged))
	case flows.CodeDeviceRequired:
		if s.Subject == "" && s.Claimed == "" && w.last != nil {
			w.nobody(w.last, p.from, t)
		}
	case flows.CodeUnhandledExit:
		w.unhandled(p, t)
	case flows.CodeUnmet:
		if t1 := w.job.target; t1 != nil && p.from < 0 && len(s.Evidence) == 0 && !t.situation.lacks() {
			w.note(Level, t1.Name, t1.Pos, p.from, t, "requires %s, which no run can reach, however strong its proofs are", asked(t1))
		}
	}
	w.atGate(p, t)
}

const maxMoves = 1000

// expectation is what a scenario can see of an end.
func (w *watcher) expectation(s *flows.State, t *turn) string {
	switch s.Status {
	case flows.Completed:
		r := w.e.m.Assess(*s, w.e.facts(s, t, false))
		acr := "acr: " + r.Level.String() + ", "
		if t1 := w.job.target; t1 != nil && t1.Scale != assurance.NIST {
			acr = "" // the target speaks of another scale
		}
		return "status: completed, assurance: { " + acr + "amr: [" + list(r.AMR) + "] }"
	case flows.Failed:
		return "http: 403, status: failed, code: " + s.Failure
	default:
		return "status: cancelled"
	}
}

// atGate looks at runs that came to the gate and were not let through.
func (w *watcher) atGate(p *point, t *turn) {
	if t.gate == nil {
		return // it did not come there
	}
	g := t.gate
	if len(g.Evidence) == 0 {
		w.note(NothingProved, "", w.job.flow.Pos, p.from, t, "a run can come to its end with nothing proved")
		return
	}
	strong := !slices.ContainsFunc(g.Evidence, func(v assurance.Evidence) bool { return !w.e.strongest(v) })
	// A weaker authenticator is the account's matter, not the author's.
	if strong && !p.marks.slow && p.state.Failure == flows.CodeUnmet && w.job.target != nil {
		t1 := w.job.target
		w.note(Level, t1.Name, t1.Pos, p.from, t, "requires %s, and a run can come to its end with %s, however strong its proofs are",
			asked(t1), w.e.m.Assess(*g, w.e.facts(g, t, false)).Level)
	}
}

// oblige finds where the first of some obligations is raised.
func (w *watcher) oblige(names []string) flowdefs.Pos {
	pos := w.job.flow.Pos
	for _, name := range names {
		eachNode(w.job.flow, func(n *flowdefs.Node, _ bool) {
			if n.Kind == flowdefs.Oblige && n.Name == name {
				pos = n.Pos
			}
		})
	}
	return pos
}

// unhandled: a decision or a step of its own type comes to an exit that nothing handles.
func (w *watcher) unhandled(p *point, t *turn) {
	for _, note := range slices.Backward(t.notes) {
		if note.Type != flows.EventStepExit {
			continue
		}
		n, _ := w.e.m.Node(note.Step)
		switch {
		case n == nil || strings.HasPrefix(note.Reason, flowdefs.UnknownValue):
		case n.Kind == flowdefs.Decide:
			w.note(NowhereExit, place(n)+" "+note.Reason, n.Value.Pos, p.from, t, "decide %q can come to the exit %q, which leads nowhere", n.ID, note.Reason)
		default:
			w.note(NowhereExit, place(n)+" "+note.Reason, n.Pos, p.from, t, "step %q can be left by its exit %q, which leads nowhere", n.ID, note.Reason)
		}
		return
	}
}

// endless: from every point some end can be reached.
func (w *watcher) endless() {
	points := w.e.points
	before := make([][]int, len(points))
	var todo []int
	ends := make([]bool, len(points))
	for i := range points {
		for _, j := range points[i].next {
			before[j] = append(before[j], i)
		}
		if points[i].end != "" {
			ends[i] = true
			todo = append(todo, i)
		}
	}
	for len(todo) > 0 {
		i := todo[0]
		todo = todo[1:]
		for _, j := range before[i] {
			if !ends[j] {
				ends[j] = true
				todo = append(todo, j)
			}
		}
	}
	for i := range points {
		if !ends[i] {
			n, _ := w.e.m.Node(points[i].state.At)
			w.note(Endless, "", n.Pos, i, nil, "a run that waits at %s cannot end any more", called(n))
			return
		}
	}
}

// never tells what no run of any target got to.
func (w *watcher) never(jobs []job) []Finding {
	var out []Finding
	told := map[string]bool{}
	add := func(c Check, pos flowdefs.Pos, key, format string, args ...any) {
		if w.options.without != c && !told[key] {
			told[key] = true
			out = append(out, Finding{Check: c, Pos: pos, Message: fmt.Sprintf(format, args...)})
		}
	}
	for _, j := range jobs {
		w.neverTaken(j, add)
		flow := "flow " + quote(j.flow.Name) + ": "
		var walk func(nodes []flowdefs.Node) bool
		walk = func(nodes []flowdefs.Node) bool {
			for i := range nodes {
				n := &nodes[i]
				if !w.passed[place(n)] {
					add(Unreachable, n.Pos, place(n), "%sno run ever gets to %s", flow, called(n))
					return false
				}
				for o := range n.Options {
					walk(n.Options[o : o+1])
				}
				walk(n.Steps)
				if n.Otherwise != nil {
					walk([]flowdefs.Node{*n.Otherwise})
				}
			}
			return true
		}
		walk(j.flow.Steps)
		for _, h := range j.flow.Handlers {
			walk(h.Steps)
		}
	}
	return out
}

// neverTaken: an entry of a target that no run turns into tells of something that does not happen.
func (w *watcher) neverTaken(j job, add func(c Check, pos flowdefs.Pos, key, format string, args ...any)) {
	if j.target == nil {
		return
	}
	any := false
	for i := range j.target.Propagate {
		any = any || w.taken[&j.target.Propagate[i]]
	}
	for i := range j.target.Propagate {
		if p := &j.target.Propagate[i]; any && !w.taken[p] {
			add(Unreachable, p.Pos, p.Pos.String(), "target %q: no run ever turns into this %s", j.target.Name, p.Type)
		}
	}
}

// asked is the level that a target asks for; without one, any will do.
func asked(t *flowdefs.Target) string { return cmp.Or(t.Requires.ACR, "some level") }
