package prove

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/stile-auth/stile/flowdefs"
	"github.com/stile-auth/stile/flows"
	"github.com/stile-auth/stile/flows/assurance"
)

// now is when everything happens. Only what is older or younger matters.
var now = time.Date(2026, 3, 2, 9, 0, 0, 0, time.UTC) //nolint:gochecknoglobals // a constant

const (
	somebody = "somebody"  // whose run it is
	runKey   = "key"       // what a bound device signs with
	enrolled = "enrolled " // begins the ids of authenticators that were bound in the run
)

// explorer walks through all that can happen in the runs of one flow for one target.
type explorer struct {
	ctx     context.Context //nolint:containedctx // lives for one exploration
	m       *flows.Model
	flow    *flowdefs.Flow
	target  *flowdefs.Target // nil: none
	most    int              // states
	effort  int              // work
	scales  assurance.Scales
	departs assurance.Deviations

	conditions []*flowdefs.Condition
	errorIs    map[string]bool // of a source that is not mixed: whether an error means yes
	sameLoss   map[string]bool // by id: see alike
	tried      map[string]bool // what was found impossible, or not
	mixed      map[string]bool // sources whose errors mean one thing here and another there
	claims     map[*flowdefs.Condition]bool
	exits      map[*flowdefs.Condition][]string // that decisions can name
	options    map[string]bool                  // ids of options of chooses
	instead    map[string]*flowdefs.Node        // ids of what stands under otherwise, to the choose
	all        []*flowdefs.Node                 // steps
	tags       []string                         // that a session can have and that something reads
	deviceType string
	enrols     bool
	device     bool            // it matters whether the phone is bound
	attests    bool            // and whether its maker has vouched for it
	jumps      bool            // there is a goto
	ages       []time.Duration // see agesOf
	decays     bool
	passing    map[string]bool // tags that run out
	top        assurance.Level
	axes       []func(*assurance.Evidence)
	shaped     map[*flowdefs.Node][]assurance.Evidence
	alive      map[string]*live
	guesses    map[string]guessed

	work   int // that was done: the machine's steps, questions, and what is known already
	points []point
	seen   map[string][]int // key to the points that have it
	watch  *watcher
}

// point is one state of a run on one path to it: it waits for something, or is over.
type point struct {
	state     flows.State
	situation situation
	marks     marks
	shows     string // what a scenario can see of it
	end       string // how it ended; "" if it waits
	from      int    // the point before, -1 of starts
	acts      []act  // what led here from there
	settled   situation
	next      []int // points that follow
	counters  map[string]int
}

// marks is what a path is remembered for, beside the state of the run.
type marks struct {
	withdrawn string // choose that was left without an option because of what the client says
	alias     bool   // somebody else than the app named is going to sign on
	slow      bool   // something is older than it was asked for, or got so while the run waited
	seen      string // of the guarantees "A before B": which have seen A, and which B without it
}

// limitError is a bound that the exploration has hit.
type limitError struct {
	what  string
	limit int
}

func (e *limitError) Error() string { return fmt.Sprintf("more than %d %s", e.limit, e.what) }

// explore visits every state, the nearest first; what needs a session, or
// another account than was named, comes last.
func (e *explorer) explore() error {
	starts, err := e.starts()
	if err != nil {
		return err
	}
	done := 0
	for _, group := range starts {
		for _, s := range group {
			if err := e.transit(-1, point{state: s.state, situation: s.situation, marks: s.marks}, action{acts: []act{s.act}, first: e.m.Began()}); err != nil {
				return err
			}
		}
		if err := e.spread(done); err != nil {
			return err
		}
		done = len(e.points)
	}
	return nil
}

// spread visits what follows from the points that have not been visited.
func (e *explorer) spread(from int) error {
	for i := from; i < len(e.points); i++ {
		if e.points[i].end != "" {
			continue
		}
		p := e.points[i]
		e.watch.waits(i, &p)
		for _, a := range e.actions(&p) {
			if err := e.transit(i, p, a); err != nil {
				return err
			}
		}
		e.points[i].state = flows.State{At: p.state.At} // its successors are known
		if err := e.ctx.Err(); err != nil {
			return err
		}
	}
	return nil
}

type start struct {
	state     flows.State
	situation situation
	marks     marks
	act       act
}

// What is tried in all combinations is bounded.
const (
	maxTags   = 4 // of sessions that are told apart
	maxWishes = 4 // steps that a client can activate
)

// starts are the ways that a run can begin: nobody is named, somebody is, or a
// session is presented; each on a bound device and on another.
func (e *explorer) starts() ([][]start, error) {
	var plain, sessions, others []start
	wished := e.m.Activations(flows.State{})
	if len(wished) > maxWishes {
		return nil, &limitError{"steps that a client can activate", maxWishes}
	}
	if e.attests && (e.binders() > 1 || e.binders() > 0 && e.jumps) { // each could bind a key of another kind
		return nil, &limitError{"times that a phone can be bound where device.attested is read", 1}
	}
	if len(e.tags) > maxTags {
		return nil, &limitError{"tags of sessions that its conditions read", maxTags}
	}
	for _, wishes := range subsets(wished) {
		p, s := e.startsWith(wishes)
		plain, sessions = append(plain, p...), append(sessions, s...)
		for _, one := range p {
			if one.act.word == "hint" && e.elsewhere() {
				one.marks.alias = true
				others = append(others, one)
			}
		}
	}
	return [][]start{plain, sessions, others}, nil
}

// startsWith are the starts of a client that activates those steps at once.
func (e *explorer) startsWith(wishes []string) (plain, sessions []start) {
	devices := []int{no}
	if e.device {
		devices = append(devices, yes)
	}
	add := func(to *[]start, s flows.State, d int, a act) {
		s.Activated = wishes
		a.wishes = wishes
		for _, sit := range e.makers(situation{{fact{bound, ""}, d}}) {
			*to = append(*to, start{state: s, situation: sit, act: a})
		}
	}
	for _, d := range devices {
		if e.flow.Kind != flowdefs.SelfService {
			add(&plain, e.m.Begin("", false, nil), d, act{do: begins})
			add(&plain, e.m.Begin(somebody, false, nil), d, act{do: begins, word: "hint"})
		}
		for _, tags := range subsets(e.tags) {
			add(&sessions, e.m.Begin(somebody, true, tags), d, act{do: begins, word: "session", with: tags})
		}
	}
	return plain, sessions
}

// makers are the situations of a phone whose maker has vouched for its key or has
// not, and of the key that the run may bind, if anything looks at that.
func (e *explorer) makers(s situation) []situation {
	if !e.attests {
		return []situation{s}
	}
	var out []situation
	for _, own := range []int{no, yes} {
		if own == yes && !s.is(fact{bound, ""}) {
			continue
		}
		for _, made := range []int{no, yes} {
			if made == yes && e.binders() == 0 {
				continue
			}
			out = append(out, s.with(fact{vouched, ""}, own).with(fact{vouched, runKey}, made))
		}
	}
	return out
}

// binders counts the steps that bind a phone.
func (e *explorer) binders() int {
	n := 0
	for _, step := range e.all {
		if _, info := e.m.Node(step.ID); info.Type.Enrols && (info.Type.Authenticator == "" || info.Type.Authenticator == e.deviceType) {
			n++
		}
	}
	return n
}

// elsewhere reports whether a step can say that it is somebody else than was
// named, and anything looks at the account before.
func (e *explorer) elsewhere() bool {
	looks := e.device || slices.ContainsFunc(e.conditions, func(c *flowdefs.Condition) bool { return c.Reads("account") })
	return looks && slices.ContainsFunc(e.all, func(n *flowdefs.Node) bool {
		_, info := e.m.Node(n.ID)
		return len(info.Ceilings) > 0 && info.Type.Authenticator == ""
	})
}

// subsets lists all of them, the empty one first.
func subsets(words []string) [][]string {
	out := [][]string{nil}
	for _, w := range words {
		for _, s := range out[:len(out):len(out)] {
			out = append(out, append(slices.Clone(s), w))
		}
	}
	return out
}

func (e *explorer) usesDevice() bool {
	uses := slices.ContainsFunc(e.conditions, func(c *flowdefs.Condition) bool {
		return c.Reads("device") || c.Reads("account") && slices.Contains(c.Words(), e.deviceType)
	})
	return uses || e.enrols || slices.ContainsFunc(e.all, func(n *flowdefs.Node) bool {
		_, info := e.m.Node(n.ID)
		return info.Type.NeedsDevice || info.Type.Authenticator == e.deviceType
	})
}

// action is one thing that can happen at a point.
type action struct {
	acts   []act
	first  flows.Signal
	again  flows.Signal // repeated as long as the run waits at the same step
	more   bool         // there is an again
	before int          // wrong answers before the first that is taken: they change nothing else
	pass   *flowdefs.Node
	raises []string           // by the proof of pass
	enrols string             // id of the authenticator that it binds
	names  bool               // it says who one is
	passes func(*flows.State) // nothing but time: what it changes
}

// transit takes one action in every way that it can turn out.
func (e *explorer) transit(from int, p point, a action) error {
	var way script
	for {
		if e.work > e.effort {
			return &limitError{"units of work", e.effort}
		}
		t := &turn{e: e, script: &way, from: from, situation: p.situation, acts: slices.Clone(a.acts), marks: p.marks}
		next, ok := t.take(p.state, a)
		e.work += 1 + t.steps + len(way.counts) + len(t.situation)/2
		if ok && !e.impossible(t.situation, p.situation) {
			if err := e.arrive(from, next, t); err != nil {
				return err
			}
		}
		if !way.next() {
			return nil
		}
	}
}

// arrive adds a point, unless nothing can happen from it that has not happened already.
func (e *explorer) arrive(from int, s flows.State, t *turn) error {
	p := point{state: s, situation: t.situation, marks: t.marks, from: from, acts: t.acts, settled: t.situation}
	var key string
	if p.end = e.endOf(&s); p.end != "" {
		key = p.end
		e.watch.ends(&p, t)
		p.shows, p.settled = e.watch.shows, t.situation
	} else {
		p.shows = "status: in_progress, step: " + s.At
		l := e.liveAt(&s)
		p.situation = l.situation(t.situation)
		p.counters = l.counters(&s)
		key = e.key(&p, l)
	}
	for _, i := range e.seen[key] {
		if e.points[i].covers(&p) {
			e.link(from, i)
			return nil
		}
	}
	if len(e.points) >= e.most {
		return &limitError{"states", e.most}
	}
	e.seen[key] = append(e.seen[key], len(e.points))
	e.link(from, len(e.points))
	e.points = append(e.points, p)
	return nil
}

func (e *explorer) link(from, to int) {
	if from >= 0 && !slices.Contains(e.points[from].next, to) {
		e.points[from].next = append(e.points[from].next, to)
	}
}

// covers reports whether whatever can happen at q can happen at p as well: they
// differ in counters only, and p has counted no further. The one thing that q
// can do earlier, hitting a bound, p does later. What time has changed is held
// to less.
func (p *point) covers(q *point) bool {
	if p.marks.slow && !q.marks.slow {
		return false
	}
	for k, n := range p.counters {
		if n > q.counters[k] {
			return false
		}
	}
	return true
}

// endOf names how a run ended.
func (e *explorer) endOf(s *flows.State) string {
	switch s.Status {
	case flows.Completed:
		r := e.m.Assess(*s, e.facts(s, nil, false))
		return "completed " + r.Level.String() + " " + strings.Join(r.AMR, " ")
	case flows.Failed:
		return "failed " + s.Failure
	case flows.Cancelled:
		return "cancelled"
	default:
		return ""
	}
}

// facts is what is so at this moment.
func (e *explorer) facts(s *flows.State, t *turn, somebodyProved bool) *flows.Facts {
	f := &flows.Facts{Now: now, Started: now, Key: runKey, Target: e.target, Scales: e.scales, Departs: e.departs}
	if t != nil {
		f.Unknown = t
	}
	if s.Subject == "" && s.Claimed == "" && !somebodyProved {
		return f
	}
	f.Account = flows.Account{Subject: somebody, Status: flows.AccountActive}
	if t == nil {
		return f
	}
	for _, set := range t.situation {
		if set.fact.kind == has && set.value == yes {
			f.Account.Authenticators = append(f.Account.Authenticators, e.authenticator(set.fact.name, t.situation))
		}
	}
	if t.situation.is(fact{bound, ""}) && !t.situation.is(fact{has, e.deviceType}) {
		f.Account.Authenticators = append(f.Account.Authenticators, e.authenticator(e.deviceType, t.situation))
	}
	for _, id := range t.enrolled(s) {
		f.Account.Authenticators = append(f.Account.Authenticators, e.newAuthenticator(id, t.situation))
	}
	return f
}

// authenticator is one of the account's. How strong one is that has proved nothing yet is left to reach.
func (e *explorer) authenticator(typ string, s situation) flows.Authenticator {
	a := flows.Authenticator{ID: typ, Type: typ, Binding: assurance.AAL1}
	if typ == e.deviceType && s.is(fact{bound, ""}) {
		a.Key, a.Attested = runKey, s.is(fact{vouched, ""})
	}
	return a
}

// newAuthenticator is one that the run has bound.
func (e *explorer) newAuthenticator(id string, s situation) flows.Authenticator {
	typ := strings.TrimPrefix(id, enrolled)
	a := flows.Authenticator{ID: id, Type: typ} // of no level: it reaches nothing in this run
	if typ == e.deviceType {
		a.Key, a.Attested = runKey, s.is(fact{vouched, runKey})
	}
	return a
}
