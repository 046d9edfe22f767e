package flowdefs

import (
	"maps"
	"regexp"
	"slices"
	"strings"
)

// Guarantee is what an author promises of every run of a flow, whatever happens
// in it. Package prove holds it against the machine; the loader only reads it.
type Guarantee struct {
	Form   GuaranteeForm
	First  string     // Before: id of the step or choose that comes first
	Then   string     // Before: id of the one that comes after it
	Holds  *Condition // Implies, Never: on the state of a run that is over
	Source string     // as canonical text has it
	Pos    Pos
}

// GuaranteeForm is one of the three forms of guarantees.
type GuaranteeForm string

// The forms of guarantees.
const (
	Implies GuaranteeForm = "implies" // complete implies E: E holds whenever a run completes
	Before  GuaranteeForm = "before"  // A before B: a run that completes with B has completed A first
	Never   GuaranteeForm = "never"   // never E: E holds at no end of a run
)

var (
	impliesForm = regexp.MustCompile(`^(complete\s+implies\s+)\S`)
	neverForm   = regexp.MustCompile(`^(never\s+)\S`)
	beforeForm  = regexp.MustCompile(`^(\S+)\s+before\s+(\S+)$`)
)

// guarantees reads the promises of a flow; all its ids are known by now.
func (r *flowReader) guarantees(n *node, what string) {
	if n == nil {
		return
	}
	if n.kind != sequenceKind {
		r.fail(n.pos, "%s: guarantees: expected a list, found %s", what, n.describe())
		return
	}
	if len(n.items) == 0 {
		r.fail(n.pos, "%s: guarantees: promises nothing", what)
	}
	seen := map[string]Pos{}
	for _, item := range n.items {
		g, ok := r.guarantee(item)
		if first, dup := seen[g.Source]; dup && ok {
			r.fail(item.pos, "guarantee: this one stands twice; the first is at %s", first)
		}
		if seen[g.Source] = item.pos; ok {
			r.flow.Guarantees = append(r.flow.Guarantees, g)
		}
	}
}

func (r *flowReader) guarantee(n *node) (Guarantee, bool) {
	g := Guarantee{Pos: n.pos}
	if n.kind != stringKind {
		r.fail(n.pos, "guarantee: expected a text such as %q, found %s%s", "complete implies acr >= level.aal2", n.describe(), n.quoteHint())
		return g, false
	}
	var prefix string
	switch m := beforeForm.FindStringSubmatch(n.text); {
	case m != nil:
		g.Form, g.First, g.Then = Before, m[1], m[2]
		g.Source = m[1] + " before " + m[2]
		first, then := r.promised(n, g.First), r.promised(n, g.Then)
		if g.First == g.Then {
			r.fail(n.pos, "guarantee: %s does not come before itself", quote(g.First))
			return g, false
		}
		return g, first && then
	case impliesForm.MatchString(n.text):
		g.Form, prefix = Implies, impliesForm.FindStringSubmatch(n.text)[1]
	case neverForm.MatchString(n.text):
		g.Form, prefix = Never, neverForm.FindStringSubmatch(n.text)[1]
	default:
		r.fail(n.pos, "guarantee: expected \"complete implies CONDITION\", \"STEP before STEP\" or \"never CONDITION\", found %s", quote(n.text))
		return g, false
	}
	g.Holds = r.expression(n, n.text[len(prefix):], len([]rune(prefix)), guaranteePlace)
	if g.Holds == nil {
		return g, false
	}
	g.Source = strings.Join(strings.Fields(prefix), " ") + " " + g.Holds.Source
	return g, true
}

// promised reports a guarantee about something that is no step and no choose.
func (r *flowReader) promised(n *node, id string) bool {
	known := map[string]bool{}
	eachNode(r.flow, func(n *Node) {
		if n.ID != "" && (n.Kind == Step || n.Kind == Choose) {
			known[n.ID] = true
		}
	})
	if !known[id] {
		r.fail(n.pos, "guarantee: no step or choose %s in this flow%s", quote(id), didYouMean(id, slices.Sorted(maps.Keys(known))))
	}
	return known[id]
}
