// Package prove holds flows against the machine that runs them: it takes every
// way that a run can go through the very function that the engine calls, and
// reports what an author cannot have meant, and every guarantee that is false.
//
// There is no second machine here. Package prove says what can happen (every
// outcome of every step, every account, every session, every client) and the
// machine says what comes of it. docs/proofs.md tells what is explored and what is not.
package prove

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/stile-auth/stile/flowdefs"
	"github.com/stile-auth/stile/flows"
	"github.com/stile-auth/stile/flows/assurance"
)

// What one flow and target may cost: a load is held up for seconds at most.
const (
	DefaultStates = 100_000
	DefaultEffort = 2_000_000 // a few microseconds each
)

// Options are for [Prove].
type Options struct {
	States     int                  // at most this many for one flow and target; default [DefaultStates]
	Effort     int                  // at most so many units of work; default [DefaultEffort]
	Kept       Kept                 // what was proved before; nil: nothing
	Runs       bool                 // the verdicts have a run to every state
	Build      string               // names the program that proves: verdicts of another one are not taken
	Shipped    Kept                 // verdicts that come with the program and that its tests recompute; nil: none
	Deviations assurance.Deviations // of the deployment

	without Check // for tests: is not checked
}

// ShippedBuild is the Build of verdicts that are shipped with a program.
const ShippedBuild = "shipped"

// Verdict is what was found of one flow, and of each target that it leads to.
type Verdict struct {
	Flow     string    `json:"flow"`
	Target   string    `json:"target,omitempty"` // "": started by its own name
	Hash     string    `json:"hash"`             // of what was explored
	States   int       `json:"states"`
	Classes  []Class   `json:"classes"`            // how runs complete, the weakest first
	Findings []Finding `json:"findings,omitempty"` // none: proved
	Runs     []Run     `json:"-"`                  // if they were asked for
}

// Run is one way to one state.
type Run struct {
	Path     []string
	Scenario string // "" if no scenario can show it
}

// Class is all the ways to complete that are worth the same.
type Class struct {
	ACR   assurance.Level `json:"acr"`
	AMR   []string        `json:"amr"`
	Path  []string        `json:"path"`  // the shortest way, in words
	Steps []string        `json:"steps"` // what is completed on it
}

// Finding is one mistake.
type Finding struct {
	Check    Check        `json:"check"`
	Pos      flowdefs.Pos `json:"-"`
	Message  string       `json:"message"`
	Path     []string     `json:"path,omitempty"`     // how a run gets there, in words
	Scenario string       `json:"scenario,omitempty"` // the same as a scenario file, if one can show it
	Assumed  bool         `json:"assumed,omitempty"`  // no account or request was found of which it is true

	shows string // what a scenario expects at the end of the path
}

// Prove explores every flow and every target of a set. The verdicts come sorted
// by flow and target. An error means that nothing is known: ctx was done, or a
// flow does not suit the registry.
func Prove(ctx context.Context, set *flowdefs.Set, r *flows.Registry, o Options) ([]Verdict, error) {
	var out []Verdict
	for _, name := range slices.Sorted(maps.Keys(set.Flows)) {
		vs, err := flow(ctx, set, r, o, jobsOf(set, set.Flows[name]))
		if err != nil {
			return nil, fmt.Errorf("prove: flow %q: %w", name, err)
		}
		out = append(out, vs...)
	}
	return out, nil
}

// flow explores one flow with all its targets, unless it is known to be right.
func flow(ctx context.Context, set *flowdefs.Set, r *flows.Registry, o Options, jobs []job) ([]Verdict, error) {
	key := ""
	if o.Shipped != nil {
		if vs, ok := o.Shipped.Verdicts(keyOf(Options{Build: ShippedBuild, Deviations: o.Deviations}, set, jobs)); ok {
			return vs, nil
		}
	}
	if o.Kept != nil && o.Build != "" {
		key = keyOf(o, set, jobs)
		if vs, ok := o.Kept.Verdicts(key); ok {
			return vs, nil
		}
	}
	var out []Verdict
	w := newWatcher(o)
	for _, j := range jobs {
		v, err := one(ctx, set, r, o, j, w)
		if err != nil {
			return nil, err
		}
		out = append(out, v)
	}
	bad := slices.ContainsFunc(out, func(v Verdict) bool { return len(v.Findings) > 0 })
	if len(jobs) > 0 && !w.bounded {
		never := w.never(jobs)
		out[0].Findings = append(out[0].Findings, never...)
		bad = bad || len(never) > 0
	}
	if key != "" && !bad {
		o.Kept.Keep(key, out)
	}
	return out, nil
}

// Problems are the findings as mistakes of the definitions, each once: what is
// wrong with a flow is wrong for each of its targets too.
func Problems(vs []Verdict) flowdefs.Problems {
	var out flowdefs.Problems
	for _, f := range Findings(vs) {
		out = append(out, flowdefs.Problem{Pos: f.Pos, Message: f.String()})
	}
	return out
}

// Findings are all findings, each once, by place.
func Findings(vs []Verdict) []Finding {
	var out []Finding
	seen := map[string]bool{}
	for _, v := range vs {
		for _, f := range v.Findings {
			key := fmt.Sprint(f.Check, f.Pos)
			if f.Check == Level {
				key += v.Target
			}
			if !seen[key] {
				seen[key] = true
				out = append(out, f)
			}
		}
	}
	slices.SortStableFunc(out, func(a, b Finding) int {
		return cmp.Or(cmp.Compare(a.Pos.File, b.Pos.File), a.Pos.Line-b.Pos.Line, a.Pos.Column-b.Pos.Column, cmp.Compare(a.Check, b.Check))
	})
	return out
}

// String is the finding in words: what is wrong, its code, and how it comes about.
func (f Finding) String() string {
	var b strings.Builder
	b.WriteString(f.Message + " [" + string(f.Check) + "]")
	if f.Assumed {
		b.WriteString("\n    assumed: no account and no request were found of which this is true")
	}
	for i, line := range f.Path {
		if i == 0 && strings.HasPrefix(line, given) {
			b.WriteString("\n    " + line)
			continue
		}
		b.WriteString("\n    - " + line)
	}
	return b.String()
}

// job is one thing to explore: a flow, or what the runs for a target run.
type job struct {
	flow   *flowdefs.Flow
	target *flowdefs.Target
	alone  bool // the flow is for no target
}

func jobsOf(set *flowdefs.Set, f *flowdefs.Flow) []job {
	if f.Kind == flowdefs.Authorization {
		return nil // runs behind a sign-in only, and is explored there
	}
	var out []job
	for _, name := range slices.Sorted(maps.Keys(set.Targets)) {
		if t := set.Targets[name]; t.Flow == f.Name && t.Composed != nil {
			out = append(out, job{flow: t.Composed, target: t})
		}
	}
	return append([]job{{flow: f, alone: len(out) == 0}}, out...)
}

// one explores one flow for one target, or for none.
func one(ctx context.Context, set *flowdefs.Set, r *flows.Registry, o Options, j job, w *watcher) (Verdict, error) {
	v := Verdict{Flow: j.flow.Name, Hash: j.flow.Hash}
	if j.target != nil {
		v.Target = j.target.Name
	}
	m, err := flows.NewModel(j.flow, r, set.Providers)
	if err != nil {
		return v, err
	}
	e := newExplorer(ctx, m, j, set, o)
	e.watch = w
	w.begin(e, j)
	err = e.explore()
	v.States = len(e.points)
	var limit *limitError
	switch {
	case errors.As(err, &limit):
		w.bounded = true
		v.Findings = []Finding{{Check: Bound, Pos: j.flow.Pos, Message: fmt.Sprintf(
			"%s: cannot be proved: %v; make it smaller, or take parts of it into flows of their own", w.what(), limit)}}
		return v, nil
	case err != nil:
		return v, err
	}
	v.Findings = w.findings()
	v.Classes = w.classes()
	if o.Runs {
		v.Runs = e.runs()
	}
	return v, nil
}

func newExplorer(ctx context.Context, m *flows.Model, j job, set *flowdefs.Set, o Options) *explorer {
	e := &explorer{
		ctx: ctx, m: m, flow: j.flow, target: j.target, scales: set.Levels, departs: o.Deviations, most: cmp.Or(o.States, DefaultStates), effort: cmp.Or(o.Effort, DefaultEffort), deviceType: "device",
		mixed: map[string]bool{}, errorIs: map[string]bool{}, tried: map[string]bool{}, sameLoss: map[string]bool{}, claims: map[*flowdefs.Condition]bool{}, exits: map[*flowdefs.Condition][]string{}, options: map[string]bool{}, instead: map[string]*flowdefs.Node{},
		shaped: map[*flowdefs.Node][]assurance.Evidence{}, alive: map[string]*live{}, guesses: map[string]guessed{}, seen: map[string][]int{},
	}
	places := map[string]map[bool]bool{} // source, and whether an error means yes
	note := func(c *flowdefs.Condition, errorIsYes bool) {
		if c == nil {
			return
		}
		if places[c.Source] == nil {
			places[c.Source] = map[bool]bool{}
		}
		places[c.Source][errorIsYes], e.errorIs[c.Source] = true, errorIsYes
		e.mixed[c.Source] = len(places[c.Source]) > 1
	}
	eachNode(j.flow, func(n *flowdefs.Node, option bool) {
		e.conditions = append(e.conditions, conditionsOf(n)...)
		note(n.If, !option)
		note(n.Require, false)
		if n.Kind == flowdefs.Decide {
			e.exits[n.Value] = append(sorted(n.On), "continue")
		}
		if option {
			e.options[n.ID] = true
		}
		if n.Otherwise != nil {
			e.instead[n.Otherwise.ID] = n
		}
		e.jumps = e.jumps || n.Kind == flowdefs.Goto
		if n.Kind == flowdefs.Step {
			e.all = append(e.all, n)
			_, info := m.Node(n.ID)
			e.enrols = e.enrols || info.Type.Enrols || info.Type.Removes
			for _, c := range info.Ceilings {
				// A key behind a PIN is one more key of a phone that another has bound.
				if c.Method == assurance.DeviceKey && c.Unlock != assurance.UnlockPIN && info.Type.Authenticator != "" {
					e.deviceType = info.Type.Authenticator
				}
			}
		}
	})
	e.conditions = append(append(e.conditions, e.atTheEnd()...), e.atTheGate()...)
	for i := range j.flow.Guarantees {
		g := &j.flow.Guarantees[i]
		note(g.Holds, g.Form == flowdefs.Never)
	}
	e.propagates()
	read := append(slices.Clone(e.conditions), set.Asked...)
	e.ages, e.decays = agesOf(e.enrols, e.scales, read)
	e.axes, e.device = axesRead(read), e.usesDevice()
	e.attests = slices.ContainsFunc(read, attests)
	e.top = topLevel(m, e.all, read)
	e.tags, e.passing = sessionTags(set, e.conditions), passingTags(set)
	return e
}

// sessionTags are the tags that a session can have and that some condition reads.
func sessionTags(set *flowdefs.Set, conditions []*flowdefs.Condition) []string {
	read := map[string]bool{}
	for _, c := range conditions {
		if c.Reads("tags") {
			for _, w := range c.Words() {
				read[w] = true
			}
		}
	}
	found := map[string]bool{}
	for _, f := range set.Flows {
		eachNode(f, func(n *flowdefs.Node, _ bool) {
			for _, t := range n.Set {
				if read[t] {
					found[t] = true
				}
			}
		})
	}
	return sorted(found)
}

// atTheEnd are the conditions that are read when a run is over.
func (e *explorer) atTheEnd() []*flowdefs.Condition {
	var out []*flowdefs.Condition
	for i := range e.flow.Guarantees {
		if c := e.flow.Guarantees[i].Holds; c != nil {
			out = append(out, c)
		}
	}
	return out
}

// propagates takes in what the target's entries ask and say.
func (e *explorer) propagates() {
	for _, c := range e.atTheGate() {
		e.mixed[c.Source] = true // true, false and an error lead to three places
	}
	if e.target == nil {
		return
	}
	for i := range e.target.Propagate {
		for _, c := range e.target.Propagate[i].Claims {
			e.claims[c] = true
		}
	}
}

// atTheGate are the conditions by which the target's propagator is found.
func (e *explorer) atTheGate() []*flowdefs.Condition {
	var out []*flowdefs.Condition
	if e.target != nil {
		for i := range e.target.Propagate {
			if c := e.target.Propagate[i].If; c != nil {
				out = append(out, c)
			}
		}
	}
	return out
}

// values are what an expression of type string can come to, as far as exits tell it apart.
func (e *explorer) values(c *flowdefs.Condition) []string {
	if ends := c.Ends(); ends != nil {
		out := slices.Clone(ends)
		slices.Sort(out)
		return slices.Compact(out)
	}
	return append(slices.Clone(e.exits[c]), flowdefs.UnknownValue)
}

// conditionsOf are the expressions that a node reads.
func conditionsOf(n *flowdefs.Node) []*flowdefs.Condition {
	var out []*flowdefs.Condition
	for _, c := range []*flowdefs.Condition{n.If, n.Require, n.Value} {
		if c != nil {
			out = append(out, c)
		}
	}
	for _, a := range n.Values {
		out = append(out, a.Value)
	}
	return out
}

// eachNode visits all nodes of a flow; option: it is one of a choose.
func eachNode(f *flowdefs.Flow, visit func(n *flowdefs.Node, option bool)) {
	var walk func(n *flowdefs.Node, option bool)
	walk = func(n *flowdefs.Node, option bool) {
		visit(n, option)
		for i := range n.Options {
			walk(&n.Options[i], true)
		}
		for i := range n.Steps {
			walk(&n.Steps[i], false)
		}
		if n.Otherwise != nil {
			walk(n.Otherwise, false)
		}
	}
	for i := range f.Steps {
		walk(&f.Steps[i], false)
	}
	for h := range f.Handlers {
		for i := range f.Handlers[h].Steps {
			walk(&f.Handlers[h].Steps[i], false)
		}
	}
}

func sorted[V any](m map[string]V) []string { return slices.Sorted(maps.Keys(m)) }

func quote(s string) string { return fmt.Sprintf("%q", s) }

func list(words []string) string { return strings.Join(words, ", ") }
