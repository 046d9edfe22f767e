package flowdefs

import (
	"maps"
	"slices"
)

// subflow is a list of steps that flows use, with typed parameters. It is not a
// definition of its own: what uses it holds its steps.
type subflow struct {
	steps      *node
	parameters map[string]kind
	pos        Pos
	used       bool
}

func parameterKinds() map[string]kind {
	return map[string]kind{"string": stringKind, "number": intKind, "boolean": boolKind}
}

// subflow reads a declaration; its steps are read where they are used.
func (l *loader) subflow(key, n *node) {
	what := "subflow " + quote(key.text)
	o, ok := l.object(n, what, []string{"parameters", "steps"})
	if !ok {
		return
	}
	sf := &subflow{steps: o.required("steps"), parameters: map[string]kind{}, pos: key.pos}
	if p := n.get("parameters"); p != nil {
		po, ok := l.object(p, what+": parameters", keysOf(p))
		if !ok {
			return
		}
		for _, k := range p.keys {
			l.checkName(k, "parameter")
			sf.parameters[k.text] = parameterKinds()[po.word(k.text, slices.Sorted(maps.Keys(parameterKinds()))...)]
		}
	}
	if sf.steps != nil {
		l.subs[key.text] = sf
	}
}

func keysOf(n *node) []string {
	out := make([]string, len(n.keys))
	for i, k := range n.keys {
		out[i] = k.text
	}
	return out
}

// maxDepthOfUse is how deep sub-flows may use one another.
const maxDepthOfUse = 8

// use reads the steps of a sub-flow in the place of the node that uses it. Their
// ids get its id in front, so that a flow can use the same sub-flow twice.
func (r *flowReader) use(n *node) []Node {
	what := titled("use", n)
	o, ok := r.object(n, what, []string{"id", "use", "with"})
	if !ok {
		return nil
	}
	name, id := n.get("use"), o.required("id")
	if id == nil || r.text(id, "id") == "" || r.text(name, "use") == "" {
		return nil
	}
	sf, ok := r.usable(name)
	if !r.uniqueID(id) || !ok {
		return nil
	}
	arguments, ok := r.arguments(n.get("with"), sf, what, n.pos)
	if !ok {
		return nil
	}
	steps, ok := r.fill(sf.steps, arguments)
	if !ok || !r.affordable(steps, n.pos) {
		return nil
	}
	before := r.prefix
	r.prefix, r.using = r.prefix+id.text+".", append(r.using, name.text)
	out := r.steps(steps, "subflow "+quote(name.text))
	r.prefix, r.using = before, r.using[:len(r.using)-1]
	return out
}

// usable finds a sub-flow that may be used here.
func (r *flowReader) usable(name *node) (*subflow, bool) {
	sf, ok := r.subs[name.text]
	switch {
	case !ok && r.declared["subflows"][name.text]: // it is wrong, and that is said elsewhere
	case !ok:
		r.fail(name.pos, "no subflow %s is defined%s", quote(name.text), didYouMean(name.text, slices.Sorted(maps.Keys(r.subs))))
	case slices.Contains(r.using, name.text):
		r.fail(name.pos, "subflow %s uses itself", quote(name.text))
	case len(r.using) >= maxDepthOfUse:
		r.fail(name.pos, "subflows use one another more than %d deep", maxDepthOfUse)
	default:
		sf.used, r.used = true, true
		return sf, true
	}
	return nil, false
}

// arguments checks what a use gives against what the sub-flow takes.
func (r *flowReader) arguments(with *node, sf *subflow, what string, pos Pos) (map[string]*node, bool) {
	given := map[string]*node{}
	before := len(r.problems)
	if with != nil {
		if _, ok := r.object(with, what+": with", slices.Sorted(maps.Keys(sf.parameters))); !ok {
			return nil, false
		}
		for i, k := range with.keys {
			if want, ok := sf.parameters[k.text]; ok && with.items[i].kind != want {
				r.fail(with.items[i].pos, "%s: with: %s is not of the type that the parameter %s has", what, with.items[i].describe(), quote(k.text))
			}
			given[k.text] = with.items[i]
		}
	}
	for _, p := range slices.Sorted(maps.Keys(sf.parameters)) {
		if given[p] == nil {
			r.fail(pos, "%s: with: %q is missing", what, p)
		}
	}
	return given, len(r.problems) == before
}

// fill returns n with every {param: name} replaced by its argument.
func (r *flowReader) fill(n *node, arguments map[string]*node) (*node, bool) {
	if n.kind == mappingKind && len(n.keys) == 1 && n.keys[0].text == "param" {
		name := n.items[0]
		value, ok := arguments[name.text]
		if !ok {
			r.fail(name.pos, "no parameter %s%s", quote(name.text), didYouMean(name.text, slices.Sorted(maps.Keys(arguments))))
			return nil, false
		}
		return value, true
	}
	if len(n.items) == 0 {
		return n, true
	}
	out := *n
	out.items = make([]*node, len(n.items))
	all := true
	for i, item := range n.items {
		filled, ok := r.fill(item, arguments)
		out.items[i], all = filled, all && ok
	}
	return &out, all
}

// maxExpansion bounds what the sub-flows of one load come to in all the places
// where they are used: sub-flows that use sub-flows multiply.
const maxExpansion = 2 << 20

// affordable takes what steps are worth from what one load may spend.
func (r *flowReader) affordable(steps *node, at Pos) bool {
	if r.spent > maxExpansion {
		return false // that was said
	}
	if r.spent += weight(steps); r.spent > maxExpansion {
		r.fail(at, "what subflows come to in all places where they are used is larger than %d bytes", maxExpansion)
		return false
	}
	before := r.conds
	if r.conds += countConditions(steps); r.conds > maxConditions {
		if before <= maxConditions {
			r.fail(at, "with the subflow in its place, flow %s has %d conditions; at most %d are allowed", quote(r.flow.Name), r.conds, maxConditions)
		}
		return false
	}
	return true
}

// weight is about how many bytes a tree is written in.
func weight(n *node) int {
	sum := len(n.text) + 8
	for i, item := range n.items {
		if n.kind == mappingKind {
			sum += len(n.keys[i].text)
		}
		sum += weight(item)
	}
	return sum
}

// readable checks that a flow can be read from its text again, with its
// sub-flows in place: runs depend on it.
func (l *loader) readable(f *Flow, at Pos, what string) bool {
	_, problems := parseYAML("source", f.Source, maxSource)
	if len(problems) > 0 {
		l.fail(at, "%s, with its subflows in their places: %s", what, problems[0].Message)
	}
	return len(problems) == 0
}

// checkUnused reports sub-flows that nothing uses: nobody has read their steps.
// Where a flow could not be read it is not known what it uses.
func (l *loader) checkUnused() {
	if len(l.problems) > 0 {
		return
	}
	for name, sf := range l.subs {
		if !sf.used {
			l.fail(sf.pos, "subflow %s is never used", quote(name))
		}
	}
}
