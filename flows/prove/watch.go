package prove

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"github.com/stile-auth/stile/flowdefs"
	"github.com/stile-auth/stile/flows"
)

// watcher looks at what is explored and notes the first, and therefore the
// shortest, way to each mistake. It sees all the runs of one flow: what no run
// for one target gets to, a run for another may.
type watcher struct {
	options Options
	e       *explorer
	job     job
	found   map[string]*mistake
	order   []string
	ways    map[string]*Class
	passed  map[string]bool              // nodes that some run got to
	taken   map[*flowdefs.Propagate]bool // what some run turned into
	done    bool                         // some run completed
	bounded bool                         // a bound was hit: what no run got to is not known
	last    *flowdefs.Node               // that a run got to
	shows   string                       // what the last answer of a scenario has to show that ends where we look
}

// mistake is a finding that still needs its words.
type mistake struct {
	Finding
	from int
	acts []act
	over situation
}

func newWatcher(o Options) *watcher {
	return &watcher{options: o, passed: map[string]bool{}, taken: map[*flowdefs.Propagate]bool{}}
}

// begin turns to the next exploration.
func (w *watcher) begin(e *explorer, j job) {
	w.e, w.job, w.found, w.order, w.ways, w.done = e, j, map[string]*mistake{}, nil, map[string]*Class{}, false
	eachNode(j.flow, func(n *flowdefs.Node, option bool) {
		if option {
			w.undrawable(n)
		}
	})
}

// what names what is explored.
func (w *watcher) what() string {
	if w.job.target != nil {
		return "target " + quote(w.job.target.Name)
	}
	return "flow " + quote(w.job.flow.Name)
}

// place names a node across the flows that share it.
func place(n *flowdefs.Node) string { return n.Pos.String() + " " + n.ID }

// called names a node for people.
func called(n *flowdefs.Node) string {
	names := map[flowdefs.Kind]string{
		flowdefs.Step: "step", flowdefs.Choose: "choose", flowdefs.Group: "option", flowdefs.Delay: "delay", flowdefs.Decide: "decide",
		flowdefs.Require: "require", flowdefs.Goto: "goto", flowdefs.Fail: "fail", flowdefs.Abort: "abort", flowdefs.Tag: "tag",
		flowdefs.Oblige: "oblige", flowdefs.Assign: "assign",
	}
	if n.ID == "" {
		return "this " + names[n.Kind]
	}
	return names[n.Kind] + " " + quote(n.ID)
}

// note adds a mistake, unless a shorter way to it is known.
func (w *watcher) note(c Check, about string, pos flowdefs.Pos, from int, t *turn, format string, args ...any) {
	key := string(c) + " " + about
	if w.options.without == c || w.found[key] != nil {
		return
	}
	m := &mistake{Finding: Finding{Check: c, Pos: pos, Message: w.what() + ": " + fmt.Sprintf(format, args...), shows: w.shows}, from: from}
	if t != nil {
		m.acts, m.over = t.acts, t.situation
	}
	w.found[key] = m
	w.order = append(w.order, key)
}

// passes is told of each node that a run gets to.
func (w *watcher) passes(n *flowdefs.Node) { w.passed[place(n)], w.last = true, n }

// undrawable: an option is shown as what it begins with, and that never asks.
func (w *watcher) undrawable(o *flowdefs.Node) {
	first := o
	for first.Kind == flowdefs.Group && len(first.Steps) > 0 {
		first = &first.Steps[0]
	}
	if first.Kind != flowdefs.Step {
		return
	}
	if _, info := w.e.m.Node(first.ID); info.Type.Code == "" {
		w.note(Undrawable, place(o), o.Pos, -1, nil, "option %q begins with a step of type %s, which never asks: no client can draw it", o.ID, first.Type)
	}
}

// entered is told of each step that a run arrives at.
func (w *watcher) entered(n *flowdefs.Node, s *flows.State, from int, t *turn) {
	_, info := w.e.m.Node(n.ID)
	if info.Type.NeedsSubject && s.Subject == "" {
		w.unproved(n, from, t)
	}
}

func (w *watcher) unproved(n *flowdefs.Node, from int, t *turn) {
	w.shows = "" // there may be nothing to see
	w.note(Unproved, place(n), n.Pos, from, t, "step %q relies on who is there, and a run can come to it before anybody has proved that", n.ID)
}

// waits is told of each point where a run waits.
func (w *watcher) waits(i int, p *point) {
	s := &p.state
	w.shows = p.shows
	n, info := w.e.m.Node(s.At)
	switch {
	case n == nil:
	case n.Kind == flowdefs.Choose:
		w.stuck(i, p, n, s.Offers)
	case n.Kind == flowdefs.Step:
		typ := info.Type.Authenticator
		if info.Type.Enrols {
			typ = "" // it checks none
		}
		if typ != "" && !info.Names && s.Subject == "" && s.Claimed == "" {
			w.nobody(n, i, nil)
		}
		if w.fresh(p, typ) && s.Other == "" && w.smooth(s) {
			w.note(Enrolment, place(n), n.Pos, i, nil,
				"step %q can be answered only with what was enrolled in the same run, and an enrolment is never a proof", n.ID)
		}
		if info.Choose != nil && s.Other == "" {
			w.stuck(i, p, info.Choose, []string{n.ID})
		}
	}
}

// nobody: a step checks what belongs to somebody, and nobody is named.
func (w *watcher) nobody(n *flowdefs.Node, from int, t *turn) {
	w.note(SubjectUnknown, place(n), n.Pos, from, t, "step %q checks an authenticator of somebody, and a run can come to it before anybody is named", n.ID)
}

// fresh reports whether all that the account has of a type was enrolled in the run.
func (w *watcher) fresh(p *point, typ string) bool {
	if typ == "" || !slices.Contains(p.state.Enrolled, enrolled+typ) {
		return false
	}
	if typ == w.e.deviceType {
		return !p.situation.is(fact{bound, ""})
	}
	return p.situation.not(fact{has, typ})
}

// smooth reports whether all went well so far: the strongest proofs, and nothing was lost.
func (w *watcher) smooth(s *flows.State) bool {
	for _, v := range s.Evidence {
		if !w.e.strongest(v) {
			return false
		}
	}
	for _, st := range s.Steps {
		if st.Lost != "" {
			return false
		}
	}
	return true
}

// stuck: some account has nothing of what it is offered, and nothing leads on
// from there. Before the first proof every option has to be offered.
func (w *watcher) stuck(i int, p *point, choose *flowdefs.Node, offers []string) {
	if p.state.Subject == "" || choose.Otherwise != nil {
		return
	}
	_, info := w.e.m.Node(choose.ID)
	for _, n := range append([]*flowdefs.Node{choose}, info.Inside...) {
		for _, exit := range []string{"exhausted", "none"} {
			if _, ok := n.On[exit]; ok {
				return
			}
		}
	}
	var lacks []string
	for _, id := range offers {
		typ, can := w.can(p, id)
		if can {
			return
		}
		lacks = append(lacks, typ)
	}
	slices.Sort(lacks)
	w.note(DeadEnd, place(choose), choose.Pos, i, nil,
		"an account that has no %s is offered only what it cannot do at choose %q: guard the options with account.has, or say what is done otherwise",
		strings.Join(slices.Compact(lacks), " and no "), choose.ID)
}

// can reports whether every account that gets here can do what an option begins with; else what it may lack.
func (w *watcher) can(p *point, id string) (lacks string, can bool) {
	n, info := w.e.m.Node(id)
	for n != nil && n.Kind == flowdefs.Group && len(n.Steps) > 0 {
		n, info = w.e.m.Node(n.Steps[0].ID)
	}
	if n == nil || n.Kind == flowdefs.Choose {
		return "", n == nil || slices.ContainsFunc(n.Options, func(o flowdefs.Node) bool { _, ok := w.can(p, o.ID); return ok })
	}
	typ := info.Type.Authenticator
	if typ == "" || info.Type.Enrols {
		return "", true
	}
	if _, lost := n.On["exhausted"]; lost {
		return "", true
	}
	if typ == w.e.deviceType {
		return typ, p.situation.is(fact{bound, ""})
	}
	if p.situation.is(fact{has, typ}) {
		return typ, true
	}
	for _, v := range p.state.Evidence {
		if v.Authenticator == typ {
			return typ, true
		}
	}
	return typ, false
}

// notes is told what the machine noted on one step of its own.
func (w *watcher) notes(m marks, s *flows.State, notes []flows.Event) marks {
	for _, n := range notes {
		switch n.Type {
		case flows.EventStepPassed, flows.EventStepDone, flows.EventStepSkipped:
			m.seen = w.completes(m.seen, n.Step, s)
		default:
		}
	}
	return m
}

// completed notes one way to complete.
func (w *watcher) completed(p *point, t *turn) {
	if at := p.marks.withdrawn; at != "" {
		n, _ := w.e.m.Node(at)
		w.note(Untrusted, at, n.Pos, p.from, t, "what the client says of itself can withdraw every option of choose %q, and the run completes without it", at)
	}
	r := w.e.m.Assess(p.state, w.e.facts(&p.state, t, false))
	key := fmt.Sprint(r.Level, r.AMR)
	if w.ways[key] == nil {
		c := &Class{ACR: r.Level, AMR: r.AMR, Path: w.e.words(p.from, t)}
		c.Steps = w.e.stepsOf(p.from, t.acts)
		w.ways[key] = c
	}
}

// classes are the ways to complete, the weakest first.
func (w *watcher) classes() []Class {
	out := []Class{}
	for _, key := range sorted(w.ways) {
		out = append(out, *w.ways[key])
	}
	slices.SortStableFunc(out, func(a, b Class) int {
		return cmp.Or(cmp.Compare(a.ACR, b.ACR), cmp.Compare(len(a.AMR), len(b.AMR)), cmp.Compare(list(a.AMR), list(b.AMR)))
	})
	return out
}

// findings looks at the whole of what was explored, and gives mistakes their words.
func (w *watcher) findings() []Finding {
	w.endless()
	if !w.done && (w.job.alone || w.job.target != nil) && len(w.order) == 0 {
		w.note(NoCompletion, "", w.job.flow.Pos, -1, nil, "no run completes, whatever happens")
	}
	var out []Finding
	for _, key := range w.order {
		out = append(out, w.e.tell(w.found[key]))
	}
	return out
}
