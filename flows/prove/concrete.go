package prove

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/stile-auth/stile/flowdefs"
)

// concretion is an account and a request of which everything holds that a path supposes.
type concretion struct {
	found      bool
	tried      bool // not found: everything was tried that differs in what conditions name
	attributes map[string]string
	assigned   map[string]string // what a step was told, by the name of the unknown value
	locale     string
	at         string
}

// maxTries bounds the search for one.
const maxTries = 20_000

// concrete looks for an account and a request that make every condition of a
// path come out as it was guessed. What cannot be tried is not found: then the
// path is assumed, not shown.
func (e *explorer) concrete(settled situation) concretion {
	var asked []setting
	for _, s := range settled {
		if s.fact.kind == guess || s.fact.kind == text {
			asked = append(asked, s)
		}
	}
	if len(asked) == 0 {
		return concretion{found: true}
	}
	all := e.candidates(asked)
	for _, c := range all {
		if !slices.ContainsFunc(asked, func(s setting) bool { return !e.comesOut(s, c) }) {
			c.found = true
			return c
		}
	}
	return concretion{tried: len(all) > 0}
}

// named is what conditions name that account and request could have.
type named struct {
	attributes, words map[string]bool
	assigned          map[string]bool // names of unknown values
	clock, locale     bool
}

func (e *explorer) named(asked []setting) named {
	n := named{attributes: map[string]bool{}, assigned: map[string]bool{}, words: map[string]bool{"": true}}
	for _, s := range asked {
		g := e.guesses[s.fact.name]
		c := g.condition
		for _, v := range g.values {
			n.words[v] = true
		}
		n.clock = n.clock || c.Reads("now") || c.Reads("run")
		n.locale = n.locale || c.Reads("request")
		for _, w := range c.Words() {
			n.words[w] = true
			if !c.Exact() { // it may be about order: this comes behind, before all others
				n.words[w+" and more"] = true
			}
		}
		for _, name := range c.Attributes() {
			n.attributes[name] = true
		}
		for _, name := range c.Assigned() {
			if v := g.env.Assigned[name]; told(v) {
				n.assigned[v] = true
			}
		}
	}
	delete(n.words, flowdefs.UnknownValue)
	other := "another"
	for n.words[other] {
		other += " one"
	}
	n.words[other] = true
	return n
}

// candidates are the accounts and requests that are tried: every attribute that
// is named has each constant that is named, another value, or is absent.
func (e *explorer) candidates(asked []setting) []concretion {
	n := e.named(asked)
	if n.count() > maxTries {
		return nil // not everything can be tried: nothing is
	}
	out := []concretion{{attributes: map[string]string{}}}
	grow := func(vary func(concretion) []concretion) {
		var next []concretion
		for _, c := range out {
			next = append(next, vary(c)...)
		}
		out = next
	}
	for _, name := range sorted(n.attributes) {
		grow(func(c concretion) []concretion { return c.withAttribute(name, n.words) })
	}
	for _, name := range sorted(n.assigned) {
		grow(func(c concretion) (all []concretion) {
			for _, w := range sorted(n.words) {
				with := c
				with.assigned = having(c.assigned, name, w)
				all = append(all, with)
			}
			return all
		})
	}
	if n.locale {
		grow(func(c concretion) (all []concretion) {
			for _, w := range sorted(n.words) {
				c.locale = w
				all = append(all, c)
			}
			return all
		})
	}
	if n.clock {
		grow(concretion.atEveryHour)
	}
	return out
}

// count is how many candidates there are, or something above [maxTries].
func (n *named) count() int {
	all := 1
	if n.locale {
		all *= len(n.words)
	}
	if n.clock {
		all *= hours
	}
	for range len(n.attributes) + len(n.assigned) {
		if all *= len(n.words) + 1; all > maxTries {
			break
		}
	}
	return all
}

// hours are the times that are tried.
const hours = 7 * 24

// withAttribute varies one attribute; that it is absent comes first, that it is empty last.
func (c concretion) withAttribute(name string, words map[string]bool) []concretion {
	all := []concretion{c}
	for _, w := range slices.Backward(sorted(words)) {
		with := c
		with.attributes = maps.Clone(c.attributes)
		with.attributes[name] = w
		all = append(all, with)
	}
	return all
}

// atEveryHour varies the time within a week.
func (c concretion) atEveryHour() (all []concretion) {
	for hour := range hours {
		c.at = now.Truncate(24 * time.Hour).Add(time.Duration(hour)*time.Hour + 30*time.Minute).Format(time.RFC3339)
		all = append(all, c)
	}
	return all
}

// comesOut reports whether a condition is what was guessed if that is the account and the request.
func (e *explorer) comesOut(s setting, c concretion) bool {
	g := e.guesses[s.fact.name]
	if g.condition.Made() {
		return false // no proof is made here whose id and time could be looked at
	}
	env := g.env
	env.Unknown = nil
	if !env.Account.Empty {
		env.Account.Attributes = c.attributes
	}
	env.Request = map[string]string{"locale": c.locale}
	if c.at != "" {
		at, err := time.Parse(time.RFC3339, c.at)
		if err != nil {
			return false
		}
		env.Now, env.Run.Started = at, at
	}
	for name, v := range g.env.Assigned {
		if w, tried := c.assigned[v]; tried {
			env.Assigned = having(env.Assigned, name, w)
		} else if strings.HasPrefix(v, flowdefs.UnknownValue) && g.looksAt(name) {
			return false // where it comes from is not tried
		}
	}
	if s.fact.kind == text {
		v, err := g.condition.Value(e.ctx, &env)
		want := g.values[s.value]
		return err == nil && (fmt.Sprint(v) == want || want == flowdefs.UnknownValue && !slices.Contains(g.values, fmt.Sprint(v)))
	}
	holds := g.condition.Bool
	if env.Account.Hidden {
		holds = g.condition.Possible
	}
	v, err := holds(e.ctx, &env)
	if err != nil { // it means what it means in its place
		return s.value == 2 || !e.mixed[g.condition.Source] && e.errorIs[g.condition.Source] == (s.value == 0)
	}
	return s.value < 2 && v == (s.value == 0)
}

// impossible reports whether conditions are supposed to come out in a way in
// which they never do together: those that s asks beyond before, and whatever
// has to do with them. It says so only where trying is trying everything.
func (e *explorer) impossible(s, before situation) bool {
	var asked, others situation
	for _, set := range s {
		if set.fact.kind != guess && set.fact.kind != text {
			continue
		}
		if _, known := before.find(set.fact); known {
			others = append(others, set)
		} else {
			asked = append(asked, set)
		}
	}
	if len(asked) == 0 {
		return false
	}
	for i := 0; i < len(asked); i++ {
		g := e.guesses[asked[i].fact.name]
		c := g.condition
		if !g.told() || !c.Exact() || !c.Steady() || c.Reads("now") || c.Reads("run") || c.Reads("client") {
			return false
		}
		others = slices.DeleteFunc(others, func(o setting) bool {
			if !akin(g, e.guesses[o.fact.name]) {
				return false
			}
			asked = append(asked, o)
			return true
		})
	}
	slices.SortFunc(asked, func(a, b setting) int { return a.fact.compare(b.fact) })
	var key strings.Builder
	for _, set := range asked {
		fmt.Fprintf(&key, "%d%s=%d;", set.fact.kind, set.fact.name, set.value)
	}
	known, ok := e.tried[key.String()]
	if !ok {
		c := e.concrete(asked)
		known = c.tried && !c.found
		e.tried[key.String()] = known
	}
	return known
}

// akin reports whether two conditions look at the same attribute, at the same
// answer to a step, or at what the client says.
func akin(a, b guessed) bool {
	return a.condition.Reads("request") && b.condition.Reads("request") ||
		slices.ContainsFunc(a.condition.Attributes(), func(name string) bool { return slices.Contains(b.condition.Attributes(), name) }) ||
		slices.ContainsFunc(a.answers(), func(v string) bool { return slices.Contains(b.answers(), v) })
}

// answered begins the unknown values that a step assigns: all that they can be is
// tried. Of what an assign node makes of an account that cannot be said.
const answered = flowdefs.UnknownValue + "\x02"

func told(v string) bool { return strings.HasPrefix(v, answered) }

// answers are the unknown values that a condition reads and of which everything can be tried.
func (g guessed) answers() (out []string) {
	for _, name := range g.condition.Assigned() {
		if v := g.env.Assigned[name]; told(v) {
			out = append(out, v)
		}
	}
	return out
}

// looksAt reports whether a condition may read an assigned value: one that is exact
// reads those that it names.
func (g guessed) looksAt(name string) bool {
	return g.condition.Reads("assigned") && (!g.condition.Exact() || slices.Contains(g.condition.Assigned(), name))
}

// told reports whether everything unknown that a condition reads of what is
// assigned can be tried.
func (g guessed) told() bool {
	for name, v := range g.env.Assigned {
		if g.looksAt(name) && strings.HasPrefix(v, flowdefs.UnknownValue) && !told(v) {
			return false
		}
	}
	return true
}

// having is m with one value more, or another one.
func having(m map[string]string, name, value string) map[string]string {
	out := maps.Clone(m)
	if out == nil {
		out = map[string]string{}
	}
	out[name] = value
	return out
}
