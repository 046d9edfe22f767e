package flowdefs

import (
	"cmp"
	"maps"
	"slices"
	"strings"
)

// authorizing is a target that names a flow beside its own.
type authorizing struct {
	target *Target
	flow   string
	pos    Pos
}

// maxComposed bounds the texts that the targets of one load compose.
const maxComposed = 16 << 20

// compose makes, for each target, the flow that its runs run: the sign-in, and
// behind it the authorization flows that the target names. Composed flows are
// ordinary flows: they have a text and a hash, and runs are pinned to them.
func (l *loader) compose() {
	l.checkHanding()
	l.checkCookies()
	l.checkRedeeming()
	for _, a := range l.authorizing {
		if f := l.set.Flows[a.flow]; f != nil && f.Kind != Authorization {
			l.fail(a.pos, "authorize: flow %s is of the kind %s, not %s", quote(a.flow), f.Kind, Authorization)
		}
	}
	for _, a := range l.enrolling {
		if f := l.set.Flows[a.flow]; f != nil && f.Kind == Authorization {
			l.fail(a.pos, "enrol: flow %s is of the kind %s: it runs behind a sign-in", quote(a.flow), Authorization)
		}
	}
	for _, name := range slices.Sorted(maps.Keys(l.set.Targets)) {
		t := l.set.Targets[name]
		base := l.set.Flows[t.Flow]
		if base == nil {
			continue
		}
		if base.Kind == Authorization {
			l.fail(t.Pos, "target %s: flow %s is of the kind %s: it runs behind a sign-in", quote(t.Name), quote(t.Flow), Authorization)
		}
		t.Composed = l.composed(t, base)
	}
}

func (l *loader) composed(t *Target, base *Flow) *Flow {
	if len(t.Authorize) == 0 {
		return base
	}
	made := strings.Join(append([]string{base.Name}, t.Authorize...), " ")
	if f, ok := l.compositions[made]; ok || l.composing > maxComposed {
		return f
	}
	out := *base
	out.Steps, out.Handlers, out.Guarantees = slices.Clone(base.Steps), slices.Clone(base.Handlers), slices.Clone(base.Guarantees)
	seen := map[string]string{}
	eachID(base, func(id string) { seen[id] = base.Name })
	for _, name := range t.Authorize {
		f := l.set.Flows[name]
		if f == nil {
			continue
		}
		eachID(f, func(id string) {
			if first, dup := seen[id]; dup {
				l.fail(t.Pos, "target %s: step %s stands in flow %s and again in %s", quote(t.Name), quote(id), quote(first), quote(name))
			}
			seen[id] = name
		})
		for _, h := range f.Handlers {
			if slices.ContainsFunc(out.Handlers, func(o Handler) bool { return o.Name == h.Name }) {
				l.fail(t.Pos, "target %s: handler %s stands twice in flow %s with what it authorizes", quote(t.Name), quote(h.Name), quote(base.Name))
			}
		}
		out.Steps = append(out.Steps, f.Steps...)
		out.Handlers = append(out.Handlers, f.Handlers...)
		out.Guarantees = append(out.Guarantees, f.Guarantees...)
	}
	eachNode(base, func(n *Node) {
		if info, known := l.cat.Describe(n.Type); known && n.Kind == Step && info.Last && len(t.Authorize) > 0 {
			l.fail(t.Pos, "target %s: nothing may follow step %s of flow %s", quote(t.Name), quote(n.ID), quote(base.Name))
		}
	})
	slices.SortFunc(out.Handlers, func(a, b Handler) int { return cmp.Compare(a.Name, b.Name) })
	out.Source = canonicalFlow(&out)
	out.Hash = hash(out.Source)
	l.compositions[made] = &out
	if len(out.Source) > maxSource {
		l.fail(t.Pos, "target %s: flow %s with what it authorizes is larger than %d bytes", quote(t.Name), quote(base.Name), maxSource)
	}
	if l.composing += len(out.Source); l.composing > maxComposed {
		l.fail(t.Pos, "target %s: what targets compose is larger than %d bytes", quote(t.Name), maxComposed)
	}
	return &out
}

// eachID visits the ids of all nodes of a flow.
func eachID(f *Flow, visit func(string)) {
	eachNode(f, func(n *Node) {
		if n.ID != "" {
			visit(n.ID)
		}
	})
}

// eachNode visits all nodes of a flow.
func eachNode(f *Flow, visit func(*Node)) {
	var walk func([]Node)
	walk = func(nodes []Node) {
		for i := range nodes {
			n := &nodes[i]
			visit(n)
			walk(n.Options)
			walk(n.Steps)
			if n.Otherwise != nil {
				walk([]Node{*n.Otherwise})
			}
		}
	}
	walk(f.Steps)
	for _, h := range f.Handlers {
		walk(h.Steps)
	}
}
