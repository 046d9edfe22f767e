package flowdefs

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"
)

// Limits of one flow.
const (
	maxConditions = 500
	maxTimeout    = 24 * time.Hour
	maxAttempts   = 100
)

// flowReader reads one flow.
type flowReader struct {
	*loader
	flow *Flow
	ids  map[string]Pos
}

func (l *loader) flow(key, n *node) {
	what := "flow " + quote(key.text)
	o, ok := l.object(n, what, []string{"description", "timeout", "steps"},
		[]string{"handlers", "guarantees", "kind", "parameters", "activations", "obligations", "back", "restart", "requires"})
	if !ok {
		return
	}
	steps := o.required("steps")
	if steps == nil {
		return
	}
	if count := countConditions(steps); count > maxConditions {
		l.fail(key.pos, "%s has %d conditions; at most %d are allowed", what, count, maxConditions)
		return
	}
	before := len(l.problems)
	r := &flowReader{l, &Flow{Name: key.text, Pos: key.pos}, map[string]Pos{}}
	r.flow.Description = o.text("description")
	r.flow.Timeout = o.duration("timeout", maxTimeout)
	r.steps(steps, what)
	if len(l.problems) > before {
		return
	}
	r.flow.Source = canonicalFlow(r.flow)
	r.flow.Hash = hash(r.flow.Source)
	l.set.Flows[key.text] = r.flow
}

// countConditions counts before anything is compiled: compiling is what costs.
func countConditions(n *node) int {
	count := 0
	for i, item := range n.items {
		if n.kind == mappingKind {
			switch n.keys[i].text {
			case "if", "require":
				count++
			case "with":
				continue
			}
		}
		count += countConditions(item)
	}
	return count
}

func (r *flowReader) steps(n *node, what string) {
	if n.kind != sequenceKind {
		r.fail(n.pos, "%s: expected a list of steps, found %s", what, n.describe())
		return
	}
	if len(n.items) == 0 {
		r.fail(n.pos, "%s has no steps", what)
		return
	}
	for _, item := range n.items {
		if step, ok := r.node(item, inSequence); ok {
			r.flow.Steps = append(r.flow.Steps, step)
		}
	}
}

// spot is where in a flow a node stands; it decides what the node may be.
type spot int

const (
	inSequence spot = iota
	inOptions
	inOtherwise
)

func (s spot) String() string {
	return [...]string{"a step", "an option", "otherwise"}[s]
}

// Keys of a node that the language has and this version has not.
func laterNodeKeys() []string {
	return []string{"on", "any", "goto", "fail", "abort", "timeout", "tags", "steps", "flow", "back", "settles", "raises", "resend"}
}

func (r *flowReader) node(n *node, s spot) (Node, bool) {
	if n.kind != mappingKind {
		r.fail(n.pos, "%s: expected a mapping with id and type, id and choose, or require; found %s", s, n.describe())
		return Node{}, false
	}
	forms := 0
	for _, form := range []string{"type", "choose", "require"} {
		if n.get(form) != nil {
			forms++
		}
	}
	switch {
	case forms > 1:
		r.fail(n.pos, "%s: only one of type, choose and require may stand in one place", s)
		return Node{}, false
	case n.get("require") != nil:
		return r.require(n, s)
	case n.get("choose") != nil:
		return r.choose(n, s)
	case n.get("type") != nil:
		return r.step(n, s)
	}
	before := len(r.problems)
	known := []string{"id", "type", "with", "if", "attempts", "choose", "otherwise", "require"}
	if _, ok := r.object(n, s.String(), known, laterNodeKeys()); ok && len(r.problems) == before {
		r.fail(n.pos, "%s: expected one of type, choose and require", s)
	}
	return Node{}, false
}

func (r *flowReader) require(n *node, s spot) (Node, bool) {
	if s != inSequence {
		r.fail(n.pos, "%s: a require cannot be chosen; put it into the list of steps", s)
		return Node{}, false
	}
	o, ok := r.object(n, "require", []string{"require"}, laterNodeKeys())
	if !ok {
		return Node{}, false
	}
	c := r.condition(o.n.get("require"), guardPlace)
	return Node{Kind: Require, Require: c, Pos: n.pos}, c != nil
}

// head reads what steps and chooses have in common.
func (r *flowReader) head(o object, node *Node, s spot) {
	node.Pos = o.n.pos
	if id := o.required("id"); id != nil {
		node.ID = r.text(id, "id")
		if id.kind == stringKind {
			r.uniqueID(id)
		}
	}
	cond := o.n.get("if")
	switch {
	case cond == nil:
	case s == inOtherwise:
		r.fail(cond.pos, "otherwise: no if is allowed here; it is taken when nothing else is left")
	case s == inOptions:
		node.If = r.condition(cond, optionPlace)
	default:
		node.If = r.condition(cond, stepPlace)
	}
}

func (r *flowReader) uniqueID(id *node) {
	r.checkName(id, "step")
	if first, dup := r.ids[id.text]; dup {
		r.fail(id.pos, "step %s stands twice in flow %s; the first is at %s", quote(id.text), quote(r.flow.Name), first)
		return
	}
	r.ids[id.text] = id.pos
}

// titled names a node in messages by its id if it has one.
func titled(word string, n *node) string {
	if id := n.get("id"); id != nil && id.kind == stringKind {
		return word + " " + quote(id.text)
	}
	return word
}

func (r *flowReader) choose(n *node, s spot) (Node, bool) {
	what := titled("choose", n)
	o, ok := r.object(n, what, []string{"id", "if", "choose", "otherwise"}, laterNodeKeys())
	if !ok {
		return Node{}, false
	}
	node := Node{Kind: Choose}
	r.head(o, &node, s)
	options := n.get("choose")
	switch {
	case options.kind != sequenceKind:
		r.fail(options.pos, "%s: expected a list of options, found %s", what, options.describe())
	case len(options.items) == 0:
		r.fail(options.pos, "%s has no options", what)
	}
	for _, item := range options.items {
		if options.kind != sequenceKind {
			break
		}
		if option, ok := r.node(item, inOptions); ok {
			node.Options = append(node.Options, option)
		}
	}
	if other := n.get("otherwise"); other != nil {
		if otherwise, ok := r.node(other, inOtherwise); ok {
			node.Otherwise = &otherwise
		}
	}
	return node, true
}

func (r *flowReader) step(n *node, s spot) (Node, bool) {
	what := titled("step", n)
	o, ok := r.object(n, what, []string{"id", "type", "with", "if", "attempts"}, laterNodeKeys())
	if !ok {
		return Node{}, false
	}
	node := Node{Kind: Step}
	r.head(o, &node, s)
	node.Type = o.text("type")
	if attempts := n.get("attempts"); attempts != nil {
		node.Attempts = r.attempts(attempts, what)
	}
	if with := n.get("with"); n.get("type").kind == stringKind && r.plainValues(with) {
		r.configure(&node, n.get("type"), with)
	}
	return node, true
}

func (r *flowReader) attempts(n *node, what string) int {
	o, ok := r.object(n, what+": attempts", []string{"max"}, []string{"goto", "then", "per"})
	if !ok || o.required("max") == nil {
		return 0
	}
	return o.number("max", 1, maxAttempts)
}

// plainValues reports values that no configuration can hold.
func (r *flowReader) plainValues(n *node) bool {
	if n == nil {
		return true
	}
	if n.kind == nullKind || n.kind == otherKind {
		r.fail(n.pos, "with: expected a string, a whole number, true or false, a list or a mapping, found %s%s", n.describe(), n.quoteHint())
		return false
	}
	ok := true
	for _, item := range n.items {
		ok = r.plainValues(item) && ok
	}
	return ok
}

// configure checks a step's type and configuration with the catalogue.
func (r *flowReader) configure(node *Node, typ, with *node) {
	info, known := r.cat.Describe(typ.text)
	if !known {
		r.fail(typ.pos, "unknown step type %s%s", quote(typ.text), didYouMean(typ.text, r.cat.Names()))
		return
	}
	pos := typ.pos
	if with != nil {
		pos = with.pos
		if with.kind != mappingKind {
			r.fail(pos, "with: expected a mapping, found %s", with.describe())
			return
		}
		if info.Config == nil && len(with.keys) > 0 {
			r.fail(with.keys[0].pos, "step type %s takes no configuration", quote(typ.text))
			return
		}
	}
	node.With = &config{pos: pos, n: with}
	node.ConfigHash = configHash(typ.text, with)
	if info.Check == nil {
		return
	}
	noted := &config{pos: pos, n: with, note: func(kind, name string, at Pos) { r.refer(kind+"s", name, at) }}
	if err := info.Check(noted); err != nil {
		r.checked(err, pos)
	}
}

// checked takes over the complaints of a step type.
func (r *flowReader) checked(err error, pos Pos) {
	var many Problems
	var one Problem
	switch {
	case errors.As(err, &many):
		r.problems = append(r.problems, many...)
	case errors.As(err, &one):
		r.problems = append(r.problems, one)
	default:
		r.fail(pos, "with: %s", strings.TrimSpace(fmt.Sprint(err)))
	}
}

// place is where an expression stands; it decides what it may read and must yield.
type place int

const (
	stepPlace   place = iota // a step's if
	optionPlace              // an option's if
	guardPlace               // require
	claimPlace               // a claim of a target
)

// condition compiles an expression; nil if it has reported a problem.
func (l *loader) condition(n *node, p place) *Condition {
	what := [...]string{"if", "if", "require", "claims"}[p]
	if n.kind != stringKind {
		hint := ""
		if slices.Contains([]kind{boolKind, intKind}, n.kind) {
			hint = n.quoteHint()
		}
		l.fail(n.pos, "%s: expected an expression, found %s%s", what, n.describe(), hint)
		return nil
	}
	compiled := l.cel.compile(n.text)
	complaints := compiled.complaints
	if len(complaints) == 0 {
		complaints = compiled.unfit(p)
	}
	for _, c := range complaints {
		l.fail(n.at(c.line, c.column), "%s: %s", what, c.message)
	}
	if len(complaints) > 0 {
		return nil
	}
	return &Condition{Source: n.text, Pos: n.pos, program: compiled.program, possible: compiled.possible}
}
