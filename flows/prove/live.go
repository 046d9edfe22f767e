package prove

import (
	"slices"
	"strconv"
	"strings"

	"github.com/stile-auth/stile/flowdefs"
	"github.com/stile-auth/stile/flows"
	"github.com/stile-auth/stile/flows/assurance"
)

// live is what can still make a difference from some place on. What cannot is
// left out of keys: two paths that differ in nothing else have the same future.
type live struct {
	e          *explorer
	nodes      map[string]*flowdefs.Node // by id
	sources    map[string]bool
	words      map[string]bool // constants of conditions
	attributes map[string]bool // of the account
	authn      map[string]bool // types of authenticators that steps check
	shapes     map[string]bool
	configs    map[string]bool
	codes      map[string]bool // that decide whether options are offered
	jumps      map[string]bool
	counted    bool // a goto counts as a wrong answer
	account    bool // some condition asks what the account has
	assigned   bool
	tags       bool
	device     bool
	attests    bool
	enrols     bool
	level      bool // some condition ahead looks at the level, or at single proofs
	evidence   bool // some condition looks at single proofs
	evidenceID bool // and at the ids of their steps
}

// liveAt is what is live where a run waits.
func (e *explorer) liveAt(s *flows.State) *live {
	from := append([]string{s.At, s.Other}, s.Trail...)
	key := strings.Join(from, " ")
	l, ok := e.alive[key]
	if !ok {
		l = e.liveFrom(from)
		e.alive[key] = l
	}
	return l
}

func (e *explorer) liveFrom(ids []string) *live {
	l := &live{
		e: e, nodes: map[string]*flowdefs.Node{}, sources: map[string]bool{}, words: map[string]bool{}, authn: map[string]bool{},
		shapes: map[string]bool{}, configs: map[string]bool{}, codes: map[string]bool{}, jumps: map[string]bool{}, attributes: map[string]bool{},
	}
	for _, n := range e.m.Ahead(ids) {
		l.node(n)
	}
	for _, c := range e.atTheGate() {
		l.condition(c)
	}
	ahead := l.level
	for _, c := range e.atTheEnd() {
		l.condition(c)
	}
	l.level = ahead // what the end is held to is held at the gate
	return l
}

func (l *live) node(n *flowdefs.Node) {
	if n.ID != "" {
		l.nodes[n.ID] = n
	}
	for _, c := range conditionsOf(n) {
		l.condition(c)
	}
	switch n.Kind {
	case flowdefs.Goto:
		l.jumps[n.To] = true
		l.counted = l.counted || n.Counts
	case flowdefs.Step:
		_, info := l.e.m.Node(n.ID)
		l.authn[info.Type.Authenticator] = true
		l.shapes[authenticator(n, info)] = true
		if len(info.Ceilings) > 0 {
			l.configs[n.Type+" "+n.ConfigHash] = true
		}
		l.device = l.device || info.Type.NeedsDevice || info.Type.Enrols || info.Type.Authenticator == l.e.deviceType
		l.enrols = l.enrols || info.Type.Enrols || info.Type.Removes
		if info.Choose != nil || l.e.target != nil { // with a goal, steps behind an option decide about it too
			l.codes[info.Type.Code] = true
		}
	default:
	}
}

func (l *live) condition(c *flowdefs.Condition) {
	if c == nil {
		return
	}
	l.sources[c.Source] = true
	for _, name := range []string{"acr", "reached", "evidence"} {
		l.level = l.level || c.Reads(name)
	}
	for _, w := range c.Words() {
		l.words[w] = true
	}
	for _, name := range c.Attributes() {
		l.attributes[name] = true
	}
	l.account = l.account || c.Reads("account")
	l.device = l.device || c.Reads("device") || c.Reads("account") && slices.Contains(c.Words(), l.e.deviceType)
	l.attests = l.attests || attests(c)
	l.assigned = l.assigned || c.Reads("assigned")
	l.tags = l.tags || c.Reads("tags")
	l.evidence = l.evidence || c.Reads("evidence")
	l.evidenceID = l.evidenceID || c.Reads("evidence") && c.ReadsField("step")
}

// fact reports whether a fact can still be asked for.
func (l *live) fact(f fact) bool {
	switch f.kind {
	case bound:
		return l.device
	case vouched:
		return l.attests
	case has:
		return l.authn[f.name] || l.enrols || l.account && l.words[f.name]
	case shape:
		return l.shapes[f.name] && l.e.target != nil // what a goal leaves of the options hangs on it
	case proved:
		return l.configs[f.name]
	case draws:
		return l.codes[f.name]
	case reach:
		return l.enrols
	case age:
		return l.enrols || l.configs[f.name]
	default:
		source, _, _ := strings.Cut(f.name, "\n")
		return (l.sources[source] || l.akin(f)) && !l.e.fleeting(f)
	}
}

// akin reports whether what a condition came to says something of an attribute that is still looked at.
func (l *live) akin(f fact) bool {
	c := l.e.guesses[f.name].condition
	return c.Exact() && slices.ContainsFunc(c.Attributes(), func(name string) bool { return l.attributes[name] })
}

// situation keeps the live facts.
func (l *live) situation(s situation) situation {
	var out situation
	for _, set := range s {
		if l.fact(set.fact) {
			out = append(out, set)
		}
	}
	return out
}

// counters are what only bounds care for.
func (l *live) counters(s *flows.State) map[string]int {
	var out map[string]int
	put := func(k string, n int) {
		if out == nil {
			out = map[string]int{}
		}
		out[k] = n
	}
	for to, n := range s.Jumps {
		if l.jumps[to] {
			put("goto "+to, n)
		}
	}
	for id, st := range s.Steps {
		if l.nodes[id] != nil && st.Rejected > 0 {
			put(id, st.Rejected)
		}
	}
	return out
}

// key names a state in which a run waits: what is the same from here on.
func (e *explorer) key(p *point, l *live) string {
	s := &p.state
	k := keyWriter{make([]byte, 0, 512)}
	k.words(s.At, s.Other, s.Exit, p.marks.withdrawn, p.marks.seen)
	k.list(s.Offers)
	k.list(s.Trail)
	k.list(s.Obliged)
	k.list(s.Enrolled)
	k.flags(p.marks.alias, s.Until.IsZero(), s.Subject != "", s.Claimed != "", s.Session != nil && len(l.configs) > 0)
	l.steps(&k, s)
	for _, id := range sorted(s.Picks) {
		if l.nodes[id] != nil && id != s.At { // a choose that waits forgets what was picked of it
			k.words(id, s.Picks[id])
		}
	}
	k.end()
	for _, id := range s.Activated {
		if l.nodes[id] != nil {
			k.words(id)
		}
	}
	k.end()
	if l.tags {
		var tags []string
		for _, t := range s.Tags {
			if l.words[t.Name] && (t.Until.IsZero() || now.Before(t.Until)) {
				tags = append(tags, t.Name+" "+strconv.FormatInt(t.Until.Unix(), 36))
			}
		}
		slices.Sort(tags)
		k.list(tags)
	}
	if l.assigned {
		for _, name := range sorted(s.Assigned) {
			k.words(name, s.Assigned[name])
		}
		k.end()
	}
	if l.counted { // a count that a goto raises decides where it leads
		for _, name := range sorted(p.counters) {
			k.words(name, strconv.Itoa(p.counters[name]))
		}
		k.end()
	}
	k.list(l.evidenceKeys(s))
	for _, set := range p.situation {
		k.b = strconv.AppendInt(append(k.b, byte(set.fact.kind)), int64(set.value), 10)
		k.words(set.fact.name)
	}
	return string(k.b)
}

// keyWriter writes keys in which nothing can be taken for something else.
type keyWriter struct{ b []byte }

func (k *keyWriter) words(words ...string) {
	for _, w := range words {
		k.b = append(strconv.AppendInt(k.b, int64(len(w)), 10), ':')
		k.b = append(k.b, w...)
	}
}

func (k *keyWriter) end() { k.b = append(k.b, '|') }

func (k *keyWriter) list(words []string) {
	k.words(words...)
	k.end()
}

func (k *keyWriter) flags(flags ...bool) {
	for _, f := range flags {
		k.b = strconv.AppendBool(k.b, f)
	}
	k.end()
}

// steps writes what is remembered of steps and options that the run can come to again.
func (l *live) steps(k *keyWriter, s *flows.State) {
	for _, id := range sorted(s.Steps) {
		n := l.nodes[id]
		if n == nil {
			continue
		}
		st := s.Steps[id]
		done := st.Done && l.e.options[id]
		entered := n.Activate && st.Visits > 0
		lost := st.Lost
		if lost != "" && l.e.alike(n) {
			lost = "lost"
		}
		if lost != "" || done || entered {
			k.words(id, lost)
			k.flags(done, entered)
		}
	}
	k.end()
}

// evidenceKeys render what was proved: a set, since the order of proofs means nothing.
// Where no condition looks at single proofs, what only repeats others is left out.
func (l *live) evidenceKeys(s *flows.State) []string {
	var keys []string
	all := s.Evidence
	if !l.evidence && !l.e.decays && !l.e.ownScales() {
		all = needed(all)
		if l.e.target != nil && l.e.watch.smooth(s) {
			keys = append(keys, "strong") // only of such a run the level of a target is asked
		}
	}
	for _, v := range all {
		k := v.Authenticator + " " + traits(v)
		if l.evidence || l.enrols || l.e.decays {
			k += " " + strconv.FormatInt(v.At.Unix(), 36) + " " + v.StepType + " " + v.Device
		}
		if l.evidenceID {
			k += " " + v.Step
		}
		if l.level && v.At.Before(now) {
			k += " brought" // it may get too old: see older
		}
		keys = append(keys, k)
	}
	slices.Sort(keys)
	return slices.Compact(keys)
}

// alike reports whether it makes no difference how an option was lost: too many
// wrong answers lead where a lock leads.
func (e *explorer) alike(n *flowdefs.Node) bool {
	known, ok := e.sameLoss[n.ID]
	if !ok {
		known = true
		_, info := e.m.Node(n.ID)
		for _, c := range append([]*flowdefs.Node{n}, info.Inside...) {
			known = known && c.On["exhausted"] == c.On["locked"]
		}
		e.sameLoss[n.ID] = known
	}
	return known
}

// ownScales reports whether there are levels that ask more of evidence than the built-in ones.
func (e *explorer) ownScales() bool {
	return slices.ContainsFunc(e.scales, func(s assurance.Scale) bool {
		return slices.ContainsFunc(s.Rungs, func(r assurance.Rung) bool { return r.Asks != "" || r.MaxAge > 0 })
	})
}

// attests reports whether a condition reads whether the phone's maker has vouched for it.
func attests(c *flowdefs.Condition) bool { return c.Reads("device") && c.ReadsField("attested") }
