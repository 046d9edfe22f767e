package flowdefs

import (
	"errors"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"
	"time"
)

// LongestRun bounds how long a run may take, and what waits in one. Proofs
// suppose it: evidence that no session brought is not older.
const LongestRun = time.Hour

// Limits of one flow.
const (
	maxConditions = 500
	maxTagLife    = 24 * time.Hour
	maxAttempts   = 100
	maxResend     = 10
	maxEvery      = time.Hour
)

// canonicalID is the form of ids in canonical text: with those of used sub-flows inside.
var canonicalID = regexp.MustCompile(`^[a-z][a-z0-9-]*(\.[a-z][a-z0-9-]*)*$`)

// flowReader reads one flow.
type flowReader struct {
	*loader
	flow   *Flow
	ids    map[string]Pos
	own    map[string]bool // ids of the flow's own sequence, not inside anything
	prefix string          // of the ids inside a sub-flow that is used
	using  []string        // sub-flows that are being used, outermost first
	used   bool            // a sub-flow
	conds  int             // conditions, those of sub-flows each time that they are used
	jumps  []use           // gotos, to be checked when all ids are known
	exits  []use           // handlers that exits lead to
}

// use is a name and where it stands.
type use struct {
	name string
	pos  Pos
}

// targets are the steps that a goto may name.
func (r *flowReader) targets() []string {
	var out []string
	for id, ok := range r.own {
		if ok {
			out = append(out, id)
		}
	}
	slices.Sort(out)
	return out
}

func (l *loader) flow(key, n *node) {
	what := "flow " + quote(key.text)
	o, ok := l.object(n, what, []string{"description", "timeout", "steps", "kind", "handlers", "requires", "back", "restart", "guarantees"})
	if !ok {
		return
	}
	steps := o.required("steps")
	if steps == nil {
		return
	}
	before := len(l.problems)
	r := &flowReader{loader: l, flow: &Flow{Name: key.text, Pos: key.pos, Kind: SignIn}, ids: map[string]Pos{}, own: map[string]bool{}}
	if r.conds = countConditions(n); r.conds > maxConditions {
		l.fail(key.pos, "%s has %d conditions; at most %d are allowed", what, r.conds, maxConditions)
		return
	}
	r.flow.Description = o.text("description")
	r.flow.Timeout = o.duration("timeout", LongestRun)
	r.kind(o)
	r.flow.NoBack, r.flow.NoRestart = o.no("back"), o.no("restart")
	r.flow.Steps = r.steps(steps, what)
	for _, step := range r.flow.Steps {
		r.own[step.ID] = step.ID != ""
	}
	r.handlers(n.get("handlers"), what)
	r.checkUses()
	r.guarantees(n.get("guarantees"), what)
	if len(l.problems) > before {
		return
	}
	r.flow.Source = canonicalFlow(r.flow)
	r.flow.Hash = hash(r.flow.Source)
	if r.used && !l.readable(r.flow, key.pos, what) {
		return
	}
	l.set.Flows[key.text] = r.flow
}

// note keeps what the configuration of a step refers to.
func (r *flowReader) note(to reference, arguments []string) {
	switch to.section {
	case "messages":
		r.shown = append(r.shown, usedMessage{id: to.name, arguments: arguments, pos: to.pos})
		return
	case "texts":
		r.shown = append(r.shown, usedMessage{to.name, arguments, to.pos, true})
		return
	}
	r.refer(to.section, to.name, to.pos)
}

// kind reads what the flow is for, and what it asks of the session.
func (r *flowReader) kind(o object) {
	if k := o.word("kind", string(SignIn), string(Authorization), string(Registration), string(Recovery), string(SelfService), string(Transaction)); k != "" {
		r.flow.Kind = FlowKind(k)
	}
	requires := o.n.get("requires")
	if requires == nil {
		return
	}
	if r.flow.Kind != SelfService {
		r.fail(requires.pos, "requires: only a flow of the kind %s asks something of the session; a target says what a sign-in must reach", SelfService)
		return
	}
	r.flow.Requires = r.requirement(requires, "requires")
}

func (r *flowReader) handlers(n *node, what string) {
	if n == nil {
		return
	}
	if n.kind != mappingKind {
		r.fail(n.pos, "%s: handlers: expected a mapping of names to lists of steps, found %s", what, n.describe())
		return
	}
	for i, key := range n.keys {
		r.checkName(key, "handler")
		h := Handler{Name: key.text, Pos: key.pos, Steps: r.steps(n.items[i], "handler "+quote(key.text))}
		r.flow.Handlers = append(r.flow.Handlers, h)
	}
	slices.SortFunc(r.flow.Handlers, func(a, b Handler) int { return strings.Compare(a.Name, b.Name) })
}

// checkUses checks the names that need the whole flow to be known.
func (r *flowReader) checkUses() {
	var names []string
	used := map[string]bool{}
	for _, h := range r.flow.Handlers {
		names = append(names, h.Name)
	}
	for _, e := range r.exits {
		used[e.name] = true
		if !slices.Contains(names, e.name) {
			r.fail(e.pos, "no handler %s in this flow%s", quote(e.name), didYouMean(e.name, names))
		}
	}
	for _, h := range r.flow.Handlers {
		if !used[h.Name] {
			r.fail(h.Pos, "handler %s is never reached: no exit leads to it", quote(h.Name))
		}
	}
	r.checkLast(r.flow.Steps, true)
	for _, h := range r.flow.Handlers {
		r.checkLast(h.Steps, false)
	}
	for _, j := range r.jumps {
		if !r.own[j.name] {
			r.fail(j.pos, "goto: no step %s in the flow's own sequence%s", quote(j.name), didYouMean(j.name, r.targets()))
		}
	}
}

// checkLast reports steps that have to be the last of their flow and are not.
func (r *flowReader) checkLast(list []Node, last bool) {
	for i := range list {
		n, ends := &list[i], last && i == len(list)-1
		if info, known := r.cat.Describe(n.Type); known && n.Kind == Step && info.Last && !ends {
			r.fail(n.Pos, "step %s: nothing may follow a step of type %s: the account is another one behind it than conditions and proofs suppose", quote(n.ID), quote(n.Type))
		}
		for j := range n.Options {
			r.checkLast(n.Options[j:j+1], ends && n.Any <= 1)
		}
		r.checkLast(n.Steps, ends)
		if n.Otherwise != nil {
			r.checkLast([]Node{*n.Otherwise}, ends)
		}
	}
}

// countConditions counts before anything is compiled: compiling is what costs.
func countConditions(n *node) int {
	count := 0
	for i, item := range n.items {
		if n.kind == mappingKind {
			switch n.keys[i].text {
			case "if", "require", "decide":
				count++
			case "assign", "guarantees":
				count += len(item.items)
				continue
			case "with":
				continue
			}
		}
		count += countConditions(item)
	}
	return count
}

func (r *flowReader) steps(n *node, what string) []Node {
	if n.kind != sequenceKind {
		r.fail(n.pos, "%s: expected a list of steps, found %s", what, n.describe())
		return nil
	}
	if len(n.items) == 0 {
		r.fail(n.pos, "%s has no steps", what)
		return nil
	}
	var out []Node
	for _, item := range n.items {
		if item.kind == mappingKind && item.get("use") != nil {
			out = append(out, r.use(item)...)
			continue
		}
		if step, ok := r.node(item, inSequence); ok {
			out = append(out, step)
		}
	}
	return out
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

// form reads one kind of node.
type form func(n *node, s spot) (Node, bool)

// forms is the table of nodes: the key that makes a node what it is, and how it is read.
func (r *flowReader) forms() map[string]form {
	return map[string]form{
		"type": r.step, "choose": r.choose, "any": r.choose, "require": r.require, "steps": r.group,
		"goto": r.jump, "fail": r.failing, "abort": r.abort, "tag": r.tag, "oblige": r.oblige,
		"decide": r.decide, "assign": r.assign, "delay": r.delay,
	}
}

func (r *flowReader) node(n *node, s spot) (Node, bool) {
	if n.kind != mappingKind {
		r.fail(n.pos, "%s: expected a mapping, found %s", s, n.describe())
		return Node{}, false
	}
	forms := r.forms()
	names := slices.Sorted(maps.Keys(forms))
	var found []string
	for _, k := range n.keys {
		if _, ok := forms[k.text]; ok {
			found = append(found, k.text)
		}
	}
	if len(found) > 1 {
		slices.Sort(found)
		r.fail(n.pos, "%s: only one of %s may stand in one place", s, strings.Join(found, " and "))
		return Node{}, false
	}
	if len(found) == 0 && n.get("use") != nil {
		found = []string{"use"} // stands in sequences alone, and is read there
	}
	if len(found) == 0 {
		before := len(r.problems)
		if _, ok := r.object(n, s.String(), append([]string{"id", "with", "if", "attempts", "otherwise", "on", "use"}, names...)); ok && len(r.problems) == before {
			r.fail(n.pos, "%s: expected one of %s", s, strings.Join(names, ", "))
		}
		return Node{}, false
	}
	if s != inSequence && !slices.Contains([]string{"type", "choose", "any", "steps"}, found[0]) {
		r.fail(n.pos, "%s: %s cannot be chosen; put it into a list of steps", s, quote(found[0]))
		return Node{}, false
	}
	return forms[found[0]](n, s)
}

func (r *flowReader) require(n *node, _ spot) (Node, bool) {
	o, ok := r.object(n, "require", []string{"require"})
	if !ok {
		return Node{}, false
	}
	c := r.condition(o.n.get("require"), guardPlace)
	return Node{Kind: Require, Require: c, Pos: n.pos}, c != nil
}

// head reads what nodes with an id have in common.
func (r *flowReader) head(o object, node *Node, s spot) {
	if id := o.required("id"); id != nil {
		node.ID = r.prefix + r.text(id, "id")
		if id.kind == stringKind {
			r.uniqueID(id)
		}
	}
	r.guarded(o.n, node, s)
}

// guarded reads a node's if.
func (r *flowReader) guarded(n *node, node *Node, s spot) {
	node.Pos = n.pos
	cond := n.get("if")
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

// uniqueID reports an id that has not the form of ids, or stands in the flow already.
func (r *flowReader) uniqueID(id *node) bool {
	if !r.canonical {
		r.checkName(id, "step")
	} else if !canonicalID.MatchString(id.text) {
		r.fail(id.pos, "step %s: not a canonical id", quote(id.text))
	}
	full := r.prefix + id.text
	if first, dup := r.ids[full]; dup {
		r.fail(id.pos, "step %s stands twice in flow %s; the first is at %s", quote(full), quote(r.flow.Name), first)
		return false
	}
	r.ids[full] = id.pos
	return true
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
	o, ok := r.object(n, what, []string{"id", "if", "choose", "any", "otherwise", "on"})
	if !ok {
		return Node{}, false
	}
	node := Node{Kind: Choose, Any: 1}
	r.head(o, &node, s)
	options := n.get("choose")
	if options == nil {
		if options, node.Any, ok = r.anyOf(n.get("any"), what); !ok {
			return Node{}, false
		}
	}
	node.Options = r.options(options, what)
	if len(options.items) > 0 && node.Any > len(options.items) {
		r.fail(options.pos, "%s: %d of %d options cannot be completed", what, node.Any, len(options.items))
	}
	if other := n.get("otherwise"); other != nil {
		if otherwise, ok := r.node(other, inOtherwise); ok {
			node.Otherwise = &otherwise
		}
	}
	node.On = r.on(n.get("on"), what, r.chooseExits(&node))
	return node, true
}

func (r *flowReader) anyOf(n *node, what string) (*node, int, bool) {
	o, ok := r.object(n, what+": any", []string{"of", "options"})
	if !ok {
		return nil, 0, false
	}
	options := o.required("options")
	if o.required("of") == nil || options == nil {
		return nil, 0, false
	}
	return options, o.number("of", 1, maxAttempts), true
}

func (r *flowReader) options(options *node, what string) (out []Node) {
	switch {
	case options.kind != sequenceKind:
		r.fail(options.pos, "%s: expected a list of options, found %s", what, options.describe())
		return nil
	case len(options.items) == 0:
		r.fail(options.pos, "%s has no options", what)
	}
	for _, item := range options.items {
		if option, ok := r.node(item, inOptions); ok {
			out = append(out, option)
		}
	}
	return out
}

func (r *flowReader) step(n *node, s spot) (Node, bool) {
	what := titled("step", n)
	o, ok := r.object(n, what, []string{"id", "type", "with", "if", "attempts", "timeout", "resend", "on", "settles", "activate"})
	if !ok {
		return Node{}, false
	}
	node := Node{Kind: Step}
	r.head(o, &node, s)
	node.Type = o.text("type")
	node.Timeout = o.duration("timeout", LongestRun)
	node.Settles = r.words(o, "settles")
	node.Activate = o.yes("activate")
	if node.Activate && s != inSequence {
		r.fail(n.pos, "%s: only a step of a sequence can wait for the client to activate it", what)
	}
	if attempts := n.get("attempts"); attempts != nil {
		node.Attempts = r.attempts(attempts, what)
	}
	if resend := n.get("resend"); resend != nil {
		node.Resend = r.resend(resend, node.Type, what)
	}
	if with := n.get("with"); n.get("type").kind == stringKind && r.plainValues(with) {
		r.configure(&node, n.get("type"), with)
	}
	node.On = r.on(n.get("on"), what, r.stepExits(&node))
	return node, true
}

func (r *flowReader) attempts(n *node, what string) int {
	o, ok := r.object(n, what+": attempts", []string{"max"})
	if !ok || o.required("max") == nil {
		return 0
	}
	return o.number("max", 1, maxAttempts)
}

// resend reads how often a step sends again, of a type that sends something.
func (r *flowReader) resend(n *node, typ, what string) *Resend {
	o, ok := r.object(n, what+": resend", []string{"max", "every"})
	if !ok {
		return nil
	}
	if info, known := r.cat.Describe(typ); known && !info.Sends {
		r.fail(n.pos, "%s: steps of type %s send nothing", what, quote(typ))
		return nil
	}
	out := DefaultResend()
	if o.required("max") != nil {
		out.Max = o.number("max", 0, maxResend)
	}
	if every := o.duration("every", maxEvery); every > 0 {
		out.Every = every
	}
	return &out
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
	if info.Signs && r.flow.Kind != Transaction {
		r.fail(typ.pos, "step type %s stands only in flows of the kind %s: in others a session may stand for a step, and nobody would have been asked", quote(typ.text), Transaction)
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
	noted := &config{pos: pos, n: with, note: r.note}
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
	stepPlace      place = iota // a step's if
	optionPlace                 // an option's if
	guardPlace                  // require
	claimPlace                  // a claim of a target
	decidePlace                 // decide
	assignPlace                 // a value of assign
	guaranteePlace              // what a guarantee says
	levelPlace                  // what a level of a scale asks
	propagatePlace              // whether a target gets its token in this way
)

// condition compiles an expression; nil if it has reported a problem.
func (l *loader) condition(n *node, p place) *Condition {
	if n.kind != stringKind {
		hint := ""
		if slices.Contains([]kind{boolKind, intKind}, n.kind) {
			hint = n.quoteHint()
		}
		l.fail(n.pos, "%s: expected an expression, found %s%s", p, n.describe(), hint)
		return nil
	}
	return l.expression(n, n.text, 0, p)
}

// String names the place in messages.
func (p place) String() string {
	return [...]string{"if", "if", "require", "claims", "decide", "assign", "guarantee", "when", "if"}[p]
}

// expression compiles what stands in a text from one of its columns on.
func (l *loader) expression(n *node, source string, from int, p place) *Condition {
	compiled := l.cel.compile(source)
	complaints := compiled.complaints
	if len(complaints) == 0 {
		complaints = append(compiled.unfit(p), l.unknownLevels(compiled)...)
	}
	for _, c := range complaints {
		if c.line == 1 {
			c.column += from
		}
		l.fail(n.at(c.line, c.column), "%s: %s", p, c.message)
	}
	if len(complaints) > 0 {
		return nil
	}
	return &Condition{Source: source, Pos: n.pos, program: compiled.program, possible: compiled.possible, reads: compiled.reads}
}
