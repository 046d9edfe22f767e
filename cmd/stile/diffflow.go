package main

import (
	"cmp"
	"fmt"
	"maps"
	"slices"

	"github.com/stile-auth/stile/flowdefs"
)

// spot says how a node stands in its flow, which decides what its coming and going means.
type spot string

const (
	inSequence spot = "sequence" // what stands there has to be done
	asOption   spot = "option"   // one more way
	inHandler  spot = "handler"
)

// standing is one node of a flow and where it stands.
type standing struct {
	def    *flowdefs.Node
	spot   spot
	parent string // name of what it stands in: a choose, a group, a handler
}

// flat lists the nodes of a flow by name. What has no id goes by what it says:
// changed, it is another one.
type flat struct {
	byName map[string]standing
	names  []string
}

func flatten(f *flowdefs.Flow) *flat {
	l := &flat{byName: map[string]standing{}}
	l.list(f.Steps, inSequence, "")
	for i := range f.Handlers {
		l.list(f.Handlers[i].Steps, inHandler, "handler "+f.Handlers[i].Name)
	}
	return l
}

func (l *flat) list(defs []flowdefs.Node, s spot, parent string) {
	for i := range defs {
		l.one(&defs[i], s, parent)
	}
}

func (l *flat) one(n *flowdefs.Node, s spot, parent string) {
	name := nameOf(n)
	for i := 2; l.byName[name].def != nil; i++ {
		name = fmt.Sprintf("%s (%d)", nameOf(n), i)
	}
	l.byName[name] = standing{n, s, parent}
	l.names = append(l.names, name)
	l.list(n.Options, asOption, name)
	if n.Otherwise != nil {
		l.one(n.Otherwise, asOption, name)
	}
	inside := inSequence
	if s == inHandler {
		inside = inHandler
	}
	l.list(n.Steps, inside, name)
}

func nameOf(n *flowdefs.Node) string {
	switch n.Kind {
	case flowdefs.Step:
		return "step " + n.ID
	case flowdefs.Choose:
		return "choose " + n.ID
	case flowdefs.Group:
		return "group " + n.ID
	case flowdefs.Decide:
		return "decide " + n.ID
	case flowdefs.Delay:
		return "delay " + n.ID
	case flowdefs.Require:
		return fmt.Sprintf("require %q", n.Require.Source)
	case flowdefs.Goto:
		return "goto " + n.To
	case flowdefs.Fail:
		return "fail " + n.Code
	case flowdefs.Abort:
		return "abort"
	case flowdefs.Oblige:
		return "oblige " + n.Name
	case flowdefs.Tag:
		return fmt.Sprintf("tag set %v remove %v", n.Set, n.Remove)
	default:
		name := "assign"
		for _, v := range n.Values {
			name += fmt.Sprintf(" %s = %q", v.Name, v.Value.Source)
		}
		return name
	}
}

func (d *differ) flow(a, b *flowdefs.Flow) {
	if a.Hash == b.Hash {
		return
	}
	d.judge("description", a.Description, b.Description)
	switch {
	case a.Kind == flowdefs.Recovery && b.Kind != a.Kind:
		d.note(more, "kind changed from recovery to %s: what it reaches is capped no more", b.Kind)
	default:
		d.judge("kind", a.Kind, b.Kind)
	}
	d.requirement(a.Requires, b.Requires)
	d.life("timeout", a.Timeout, b.Timeout)
	d.allowed("going back", !a.NoBack, !b.NoBack)
	d.allowed("restarting", !a.NoRestart, !b.NoRestart)
	d.list("guarantee", less, promises(a), promises(b))
	d.handlers(a, b)
	before, after := flatten(a), flatten(b)
	base := d.where
	for _, name := range before.names {
		d.where = base + ", " + name
		if s := before.byName[name]; after.byName[name].def == nil && before.outermost(s, after) {
			d.note(reverse(s.comes()), "removed")
		}
	}
	for _, name := range after.names {
		d.where = base + ", " + name
		s, old := after.byName[name], before.byName[name]
		switch {
		case old.def != nil:
			d.node(old, s, leads(b))
		case after.outermost(s, before):
			d.note(s.comes(), "added")
		}
	}
	d.where = base
	d.order(before, after)
}

// order notes that what both have stands in another order.
func (d *differ) order(before, after *flat) {
	only := func(l, other *flat) []string {
		return slices.DeleteFunc(slices.Clone(l.names), func(n string) bool { return other.byName[n].def == nil })
	}
	if !slices.Equal(only(before, after), only(after, before)) {
		d.note(changed, "the order of what stands in it changed")
	}
}

func (d *differ) allowed(what string, a, b bool) {
	switch {
	case b && !a:
		d.note(more, "%s is allowed: it was not", what)
	case a && !b:
		d.note(less, "%s is allowed no more", what)
	}
}

func (d *differ) handlers(a, b *flowdefs.Flow) {
	names := func(f *flowdefs.Flow) (out []string) {
		for _, h := range f.Handlers {
			out = append(out, h.Name)
		}
		return out
	}
	for _, h := range names(b) {
		if !slices.Contains(names(a), h) {
			d.note(changed, "handler %q added", h)
		}
	}
	for _, h := range names(a) {
		if !slices.Contains(names(b), h) {
			d.note(changed, "handler %q removed", h)
		}
	}
}

// outermost says whether what s stands in is in the other flow too: else that is said of the outer one.
func (l *flat) outermost(s standing, other *flat) bool {
	if s.parent == "" {
		return true
	}
	if _, node := l.byName[s.parent]; node {
		return other.byName[s.parent].def != nil
	}
	return true
}

// comes is the mark of a node that is added where s stands.
func (s standing) comes() string {
	switch s.def.Kind {
	case flowdefs.Goto: // leads past what stands between, or out of a failure
		return more
	case flowdefs.Tag, flowdefs.Assign, flowdefs.Decide:
		return changed
	default:
	}
	switch s.spot {
	case asOption:
		return more
	case inHandler:
		return changed
	default:
		return less
	}
}

func reverse(mark string) string {
	if mark == changed {
		return changed
	}
	return opposite(mark)
}

// leads says whether a handler of the flow leads back into it: then an exit that is handled is no failure.
func leads(f *flowdefs.Flow) bool {
	return slices.ContainsFunc(f.Handlers, func(h flowdefs.Handler) bool { return jumps(h.Steps) })
}

// jumps says whether a goto is among nodes or inside them.
func jumps(nodes []flowdefs.Node) bool {
	return slices.ContainsFunc(nodes, func(n flowdefs.Node) bool {
		return n.Kind == flowdefs.Goto || jumps(n.Options) || jumps(n.Steps)
	})
}

// node compares a node with what it was.
func (d *differ) node(old, now standing, back bool) {
	a, b := old.def, now.def
	switch {
	case old.spot == inSequence && now.spot == asOption:
		d.note(more, "is an option now: it had to be done")
	case old.spot == asOption && now.spot == inSequence:
		d.note(less, "has to be done now: it was an option")
	case old.parent != now.parent:
		d.note(changed, "stands somewhere else now")
	}
	d.condition(now, a.If, b.If)
	d.judge("type", a.Type, b.Type)
	if a.Type == b.Type && a.ConfigHash != b.ConfigHash {
		d.note(changed, "with changed")
	}
	if a.Kind == flowdefs.Step {
		d.amount("attempts", more, cmp.Or(a.Attempts, flowdefs.DefaultAttempts), cmp.Or(b.Attempts, flowdefs.DefaultAttempts))
	}
	d.limit("timeout", a.Timeout, b.Timeout)
	before, after := a.Resends(), b.Resends()
	d.amount("resends", more, before.Max, after.Max)
	d.amount("seconds before the first resend", less, int(before.Every.Seconds()), int(after.Every.Seconds()))
	switch {
	case b.Activate && !a.Activate:
		d.note(more, "runs only if the client asks for it: it always ran")
	case a.Activate && !b.Activate:
		d.note(less, "always runs: it ran only if the client asked for it")
	}
	d.list("settled obligation", more, a.Settles, b.Settles)
	d.amount("options to complete", less, a.Any, b.Any)
	d.amount("max", more, a.Max, b.Max)
	switch {
	case a.Counts && !b.Counts:
		d.note(more, "does not count as a wrong answer: it did")
	case b.Counts && !a.Counts:
		d.note(less, "counts as a wrong answer: it did not")
	}
	d.judge("life of the tag", a.For, b.For)
	d.amount("seconds to wait", less, int(a.Wait.Seconds()), int(b.Wait.Seconds()))
	if a.Kind == flowdefs.Decide {
		d.judge("decide", a.Value.Source, b.Value.Source)
	}
	d.exits(a.On, b.On, back)
}

// condition: one lets a step of the sequence be left out, and withdraws an option.
func (d *differ) condition(s standing, a, b *flowdefs.Condition) {
	mark := reverse(s.comes())
	switch {
	case a == nil && b == nil:
	case a == nil:
		d.note(mark, "if added: %s", b.Source)
	case b == nil:
		d.note(reverse(mark), "if removed: %s", a.Source)
	default:
		d.judge("if", a.Source, b.Source)
	}
}

func (d *differ) exits(a, b map[string]string, back bool) {
	mark := changed
	if back {
		mark = more
	}
	for _, exit := range slices.Sorted(maps.Keys(b)) {
		if h, ok := a[exit]; !ok {
			d.note(mark, "exit %q leads to handler %q: it was a failure", exit, b[exit])
		} else if h != b[exit] {
			d.note(mark, "exit %q leads to handler %q: it led to %q", exit, b[exit], h)
		}
	}
	for _, exit := range slices.Sorted(maps.Keys(a)) {
		if _, ok := b[exit]; !ok {
			d.note(changed, "exit %q leads to no handler: it led to %q", exit, a[exit])
		}
	}
}

// promises are the guarantees of a flow, as canonical text has them.
func promises(f *flowdefs.Flow) []string {
	out := make([]string, len(f.Guarantees))
	for i, g := range f.Guarantees {
		out[i] = g.Source
	}
	return out
}
