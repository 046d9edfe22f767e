package flows

import (
	"context"
	"maps"
	"slices"
	"time"

	"github.com/stile-auth/stile/flowdefs"
	"github.com/stile-auth/stile/flows/assurance"
)

// Model lets others take the machine's steps one at a time: what a [Model] does
// is what [Engine] runs do, because both are advance. It looks nothing up,
// stores nothing and calls no step: who uses it says what happens and what is so.
// A Model is immutable.
type Model struct{ p *program }

// NewModel returns the model of a flow; f has to be one that r's types can run.
func NewModel(f *flowdefs.Flow, r *Registry, providers map[string]*flowdefs.Provider) (*Model, error) {
	p, err := compile(f, r, providers)
	if err != nil {
		return nil, err
	}
	return &Model{p}, nil
}

// Facts is what is so while a run takes one step of a [Model].
type Facts struct {
	Now, Started time.Time
	Account      Account // of the subject or the claimed account; zero if there is none
	Key          string  // the run's key; an authenticator of the account with this key makes the device a bound one
	Target       *flowdefs.Target
	Scales       assurance.Scales
	Departs      assurance.Deviations
	Unknown      Unknown
}

// Unknown settles what the one who uses a [Model] does not say beforehand. Each
// question has to be answered alike while a run lasts.
type Unknown interface {
	flowdefs.Unknowns
	// Draws says whether the client can draw prompts of that type; option: so that an option can be offered.
	Draws(code string, option bool) bool
	// Proved returns what the presented session has of a step of that type and
	// configuration, and the authenticators of the account that it rests on.
	Proved(n *flowdefs.Node) ([]assurance.Evidence, []Authenticator)
	// Bound says at which level the authenticator was bound that the account has
	// for a step; false if it has none.
	Bound(n *flowdefs.Node) (assurance.Level, bool)
	// Reach says what the account's authenticators can reach in all, known being
	// what those in Facts can and most what any could.
	Reach(known, most assurance.Level) assurance.Level
	// Passes is told of each node that the run gets to.
	Passes(n *flowdefs.Node)
}

// Signal is one thing that can happen to a run: see docs/machine.md.
type Signal struct{ s signal }

// Began is the signal of a new run.
func (*Model) Began() Signal { return Signal{signal{kind: sigBegin}} }

// Decided says what the step that waits, or was entered, has decided.
func (*Model) Decided(o Outcome) Signal { return Signal{signal{kind: sigOutcome, outcome: o}} }

// Picked says that the client picked an option.
func (*Model) Picked(option string) Signal { return Signal{signal{kind: sigPick, name: option}} }

// Reopened says that the client wants another option.
func (*Model) Reopened() Signal { return Signal{signal{kind: sigReopen}} }

// WentBack says that the client goes back.
func (*Model) WentBack() Signal { return Signal{signal{kind: sigBack}} }

// LockedOut says that the authenticator of the step that waits is locked for good.
func (*Model) LockedOut() Signal { return Signal{signal{kind: sigLock}} }

// TimePassed says that as much time has passed as what waits takes: see [Model.Later].
func (*Model) TimePassed() Signal { return Signal{signal{kind: sigTime}} }

// ActivatedStep says that the client activates a step.
func (*Model) ActivatedStep(id string) Signal { return Signal{signal{kind: sigActivate, name: id}} }

// LookedUp says that account and session were looked up again at the end.
func (*Model) LookedUp() Signal { return Signal{signal{kind: sigIssue}} }

// MoveKind says what has to happen next.
type MoveKind int

// What follows a step of a [Model].
const (
	MoveEnter    = MoveKind(moveEnter)    // the step Move.Enter has to decide
	MoveWait     = MoveKind(moveWait)     // a prompt waits
	MoveComplete = MoveKind(moveComplete) // the end is reached: LookedUp follows
	MoveIssue    = MoveKind(moveIssue)    // completed
	MoveFinal    = MoveKind(moveFinal)    // failed or cancelled
	MoveRefuse   = MoveKind(moveRefuse)   // not possible; nothing has changed
)

// Move is what follows a step of a [Model].
type Move struct {
	Kind  MoveKind
	Enter *flowdefs.Node
	Issue *flowdefs.Propagate // what the target turns a completed run into; nil: it has none
	Notes []Event
}

// Begin returns a run that has not begun. With session, it is started with a
// session of the subject, which has those tags.
func (m *Model) Begin(claimed string, session bool, tags []string) State {
	s := State{Status: InProgress, Claimed: claimed}
	if session {
		s.Session = &presented{ID: "session", Subject: claimed}
		for _, t := range tags {
			s.Tags = append(s.Tags, Tag{Name: t})
		}
	}
	return s
}

// Later is a run in which nothing has happened for so long: all that has a time
// lies so much further back, or is so much nearer.
func (m *Model) Later(s State, d time.Duration) State {
	before := func(t time.Time) time.Time {
		if t.IsZero() {
			return t
		}
		return t.Add(-d)
	}
	s.Until = before(s.Until)
	s.Evidence, s.Tags, s.Steps = slices.Clone(s.Evidence), slices.Clone(s.Tags), maps.Clone(s.Steps)
	for i := range s.Evidence {
		s.Evidence[i].At, s.Evidence[i].Expires = before(s.Evidence[i].At), before(s.Evidence[i].Expires)
	}
	for i := range s.Tags {
		s.Tags[i].Until = before(s.Tags[i].Until)
	}
	for id, st := range s.Steps {
		st.SentAt = before(st.SentAt)
		s.Steps[id] = st
	}
	return s
}

// Answered is a run whose step that waits was answered wrongly so many times more, and waits still.
func (m *Model) Answered(s State, wrong int) State {
	s.Steps = maps.Clone(s.Steps)
	st := s.Steps[s.At]
	st.Rejected += wrong
	s.Steps = put(s.Steps, s.At, st)
	return s
}

// Step takes one step of the machine.
func (m *Model) Step(ctx context.Context, s State, sig Signal, f *Facts) (State, Move) {
	w := m.world(f, &s)
	next, mv := advance(ctx, m.p, s, sig.s, w)
	out := Move{Kind: MoveKind(mv.kind), Notes: mv.notes}
	if mv.enter != nil {
		out.Enter = mv.enter.def
	}
	if mv.issue != nil {
		out.Issue = mv.issue.as
	}
	return next, out
}

func (m *Model) world(f *Facts, s *State) *world {
	w := &world{
		now: f.Now, started: f.Started, key: f.Key, keyed: true, flow: m.p.flow.Name, kind: m.p.flow.Kind,
		scales: f.Scales, departs: f.Departs, unknown: f.Unknown,
		lax: true, // that the guarantees are kept is what is proved
	}
	if t := f.Target; t != nil {
		w.goal = goal{named: t.Name, target: t, scale: t.Scale}
		if t.Requires.ACR != "" {
			w.goal.requires = []string{t.Requires.ACR}
		}
		if age := t.Requires.MaxAge; age > 0 {
			w.goal.notBefore = f.Started.Add(-age)
		}
	}
	w.setAccount(f.Account, s.Enrolled)
	return w
}

// Transaction names what a start has to have approved: see [StartRequest].
func (m *Model) Transaction() []string {
	return slices.Compact(slices.Sorted(slices.Values(m.p.transaction)))
}

// Env is what expressions see of a run.
func (m *Model) Env(s State, f *Facts) *flowdefs.Env {
	mc := machine{p: m.p, s: s, w: m.world(f, &s)}
	return mc.env(nil)
}

// Assess is what a run has proved.
func (m *Model) Assess(s State, f *Facts) assurance.Result {
	return m.world(f, &s).assess(s.Evidence)
}

// StepInfo is what a model knows of one configured step.
type StepInfo struct {
	Type     StepType
	Ceilings []assurance.Ceiling // what it can prove at most, as it is configured
	Exits    []string            // of its type, as it is configured
	Raises   []string            // of its type, as it is configured
	Assigns  []string            // when it is done, as it is configured
	Names    bool                // its answer says who one is
	Choose   *flowdefs.Node      // whose option it is or begins; nil if none
	Inside   []*flowdefs.Node    // the chooses that it stands in, innermost first
}

// Node returns a node by its id, nil if there is none; and of a step what it is.
func (m *Model) Node(id string) (*flowdefs.Node, StepInfo) {
	at, ok := m.p.byID[id]
	if !ok {
		return nil, StepInfo{}
	}
	n := &m.p.nodes[at]
	_, names := n.step.(Claimer)
	info := StepInfo{Type: n.typ, Ceilings: n.ceilings, Exits: n.typ.Exits, Raises: n.typ.Raises, Names: names || n.typ.Discovers}
	if n.typ.ExitsOf != nil {
		info.Exits = n.typ.ExitsOf(n.def.With)
	}
	if n.typ.Assigns != nil {
		info.Assigns = n.typ.Assigns(n.def.With)
	}
	if n.typ.RaisesOf != nil {
		info.Raises = n.typ.RaisesOf(n.def.With)
	}
	if _, choose := m.p.option(n); choose != nil {
		info.Choose = choose.def
	}
	for at := n; ; {
		_, choose := m.p.enclosing(at)
		if choose == nil {
			return n.def, info
		}
		info.Inside, at = append(info.Inside, choose.def), choose
	}
}

// Admits reports whether a run may start for a client that cannot draw prompts of these types.
func (m *Model) Admits(lacks []string) bool {
	w := &world{drawable: []string{""}}
	for i := range m.p.nodes {
		if code := m.p.nodes[i].typ.Code; code != "" && !slices.Contains(lacks, code) {
			w.drawable = append(w.drawable, code)
		}
	}
	return m.p.undrawable(w) == nil
}

// Handles reports whether an exit of a node leads somewhere.
func (m *Model) Handles(id, exit string) bool { return m.p.handles(&m.p.nodes[m.p.byID[id]], exit) }

// Activations are the steps that the client may still activate.
func (m *Model) Activations(s State) []string { return m.p.activations(&s) }

// Ahead returns the nodes that a run which is at one of these nodes can still
// come to, those included; nodes without id are among them. Never too few.
func (m *Model) Ahead(ids []string) []*flowdefs.Node {
	seen := make([]bool, len(m.p.nodes))
	var todo []int
	add := func(i int) {
		if i <= backBase {
			i = backBase - i
		}
		if i >= 0 && !seen[i] {
			seen[i] = true
			todo = append(todo, i)
		}
	}
	for _, id := range ids {
		if i, ok := m.p.byID[id]; ok {
			add(i)
		}
	}
	for len(todo) > 0 {
		n := &m.p.nodes[todo[0]]
		todo = todo[1:]
		m.p.ways(n, add)
	}
	var out []*flowdefs.Node
	for i := range seen {
		if seen[i] {
			out = append(out, m.p.nodes[i].def)
		}
	}
	return out
}

// ways calls add with every place that a run at n can get to at once.
func (p *program) ways(n *node, add func(int)) {
	add(n.next)
	add(n.first)
	add(n.otherwise)
	for _, o := range n.options {
		add(o)
	}
	if n.def.Kind == flowdefs.Goto {
		add(p.byID[n.def.To])
	}
	for at := n; ; at = &p.nodes[at.parent] {
		for _, handler := range at.def.On {
			add(p.handlers[handler])
		}
		if at.parent == end {
			return
		}
		add(at.parent)
	}
}

// takesOption is takes for what decides whether an option is offered: of a
// model it may be so or not. Who has to answer a step can draw it.
func (w *world) takesOption(t StepType) bool {
	if w.unknown != nil {
		return t.Code == "" || w.unknown.Draws(t.Code, true)
	}
	return w.takes(t)
}

// recall is what the session proved that may stand for a step.
func (w *world) recall(n *node, ps *presented) []assurance.Evidence {
	if w.unknown == nil {
		return ps.Evidence
	}
	evidence, with := w.unknown.Proved(n.def)
	for _, au := range with {
		if !slices.ContainsFunc(w.account.Authenticators, func(a Authenticator) bool { return a.ID == au.ID }) {
			w.account.Authenticators = append(w.account.Authenticators, au)
		}
	}
	return evidence
}

// settledReach is what the account can reach, if not all of it is known.
func (w *world) settledReach(p *program, known []assurance.Evidence) assurance.Level {
	level := assurance.Assess(known, w.now, w.since(time.Time{})).Level
	if w.unknown == nil {
		return level
	}
	most := known
	for _, typ := range slices.Sorted(maps.Keys(p.reach)) {
		for _, c := range p.reach[typ] {
			e := assurance.Highest(c, assurance.AAL3, assurance.AAL3, w.now)
			e.Authenticator = typ
			most = append(most, e)
		}
	}
	return w.unknown.Reach(level, assurance.Assess(most, w.now, w.since(time.Time{})).Level)
}

// passes tells a model that the run gets to n.
func (m *machine) passes(n *node) {
	if m.w.unknown != nil {
		m.w.unknown.Passes(n.def)
	}
}
