package flowdefs

import (
	"regexp"
	"slices"
	"strings"
	"time"

	"cel.dev/cel-go/common/ast"
	"cel.dev/cel-go/common/operators"

	"github.com/stile-auth/stile/flows/assurance"
)

// levelForm is what can stand in acr_values, which are parted by spaces (OpenID Connect Core §3.1.2.1).
// A bound of 255 in the expression would make it a program of 300 kB, for ever.
var levelForm = regexp.MustCompile(`^[\x21\x23-\x5B\x5D-\x7E]+$`)

const maxLevel = 255 // bytes

const maxRungs = 16

// scale reads one scale: its levels, the lowest first.
func (l *loader) scale(key, n *node) {
	what := "scale " + quote(key.text)
	if key.text == assurance.NIST || key.text == assurance.EAP {
		l.fail(key.pos, "%s is built in and cannot be declared", what)
		return
	}
	if n.kind != sequenceKind {
		l.fail(n.pos, "%s: expected a list of levels, the lowest first, found %s", what, n.describe())
		return
	}
	if len(n.items) == 0 {
		l.fail(n.pos, "%s: expected at least one level", what)
		return
	}
	if len(n.items) > maxRungs {
		l.fail(n.pos, "%s: %d levels; at most %d are allowed", what, len(n.items), maxRungs)
		return
	}
	s := assurance.Scale{Name: key.text}
	for _, item := range n.items {
		s.Rungs = append(s.Rungs, l.rung(item, what, s.Rungs))
	}
	l.set.Levels = append(l.set.Levels, s)
}

func (l *loader) rung(n *node, what string, below []assurance.Rung) assurance.Rung {
	o, ok := l.object(n, what, []string{"name", "requires", "max_age", "when"})
	if !ok {
		return assurance.Rung{}
	}
	r := assurance.Rung{Name: o.requiredText("name"), Floor: assurance.AAL1, MaxAge: o.duration("max_age", 365*24*time.Hour)}
	name := n.get("name")
	switch {
	case r.Name == "":
	case len(r.Name) > maxLevel || !levelForm.MatchString(r.Name):
		l.fail(name.pos, "name: %s cannot be the name of a level: no spaces, quotes or backslashes", quote(r.Name))
	default:
		l.newLevel(name)
	}
	if n.get("requires") != nil {
		r.Floor = max(r.Floor, o.level("requires"))
	}
	if k := len(below); k > 0 && r.Floor < below[k-1].Floor {
		l.fail(n.pos, "%s: level %s requires less than the one below it", what, quote(r.Name))
	}
	if when := n.get("when"); when != nil {
		if c := l.condition(when, levelPlace); c != nil {
			r.Asks = c.Source
			l.set.Asked = append(l.set.Asked, c)
			r.Holds = c.holdsOf
		}
	}
	return r
}

// newLevel notes the name of a level and reports one that is taken.
func (l *loader) newLevel(n *node) {
	if slices.ContainsFunc(append(assurance.BuiltIn().Names(), assurance.None.String()), func(name string) bool { return strings.EqualFold(name, n.text) }) {
		l.fail(n.pos, "level %s is built in and cannot be declared", quote(n.text))
		return
	}
	id := "level " + n.text
	if first, dup := l.places[id]; dup {
		l.fail(n.pos, "level %s is defined twice; the other is at %s", quote(n.text), first)
		l.fail(first, "level %s is defined twice; the other is at %s", quote(n.text), n.pos)
		return
	}
	l.places[id] = n.pos
}

// levels puts the scales in their order, once all files are read.
func (l *loader) levels() {
	own := l.set.Levels[len(assurance.BuiltIn()):]
	slices.SortFunc(own, func(a, b assurance.Scale) int { return strings.Compare(a.Name, b.Name) })
}

// levelName reads the name of a level of any scale. A text that a run is pinned
// to keeps a name that has gone meanwhile: nothing reaches it.
func (l *loader) levelName(o object, key string) string {
	if l.canonical {
		return o.text(key)
	}
	return o.word(key, l.set.Levels.Names()...)
}

// scaleOf is the scale whose levels a target's tokens speak of.
func (l *loader) scaleOf(o object, r Requirement) string {
	named := o.n.get("scale")
	var names []string
	for _, s := range l.set.Levels {
		names = append(names, s.Name)
	}
	required, _, err := l.set.Levels.Find(r.ACR)
	if named == nil {
		if err != nil {
			return assurance.NIST
		}
		return required.Name
	}
	name := o.word("scale", names...)
	if name != "" && err == nil && required.Name != name {
		l.fail(named.pos, "scale: %s has no level %s, which the target requires", quote(name), quote(r.ACR))
	}
	return name
}

// unknownLevels reports the levels that an expression asks for and that no scale has.
func (l *loader) unknownLevels(c *compiled) []complaint {
	if l.canonical { // a level that has gone meanwhile is not reached
		return nil
	}
	var out []complaint
	known := l.set.Levels.Names()
	for _, asked := range c.levels {
		if !slices.Contains(known, asked.message) {
			asked.message = "no scale has a level " + quote(asked.message) + didYouMean(asked.message, known)
			out = append(out, asked)
		}
	}
	return out
}

// asksLevel returns the name of the level in an expression like "gold" in reached.
func asksLevel(e ast.Expr) (name string, ok bool) {
	call := e.AsCall()
	if call.FunctionName() != operators.In || len(call.Args()) != 2 {
		return "", false
	}
	in, list := call.Args()[0], call.Args()[1]
	if list.Kind() != ast.IdentKind || list.AsIdent() != reachedName || in.Kind() != ast.LiteralKind {
		return "", false
	}
	name, ok = in.AsLiteral().Value().(string)
	return name, ok
}

// unsteady looks for what would let more evidence lower a level, and for
// anything but evidence: a level is a function of what was proved, and grows
// with it. Evidence may be read in evidence.exists(...), and these be joined by
// && and ||.
func unsteady(e ast.Expr, at func(int64) complaint) *complaint {
	switch e.Kind() {
	case ast.CallKind:
		name := e.AsCall().FunctionName()
		if name == operators.LogicalAnd || name == operators.LogicalOr {
			for _, arg := range e.AsCall().Args() {
				if c := unsteady(arg, at); c != nil {
					return c
				}
			}
			return nil
		}
	case ast.ComprehensionKind:
		if c := e.AsComprehension(); isExists(c) && ident(c.IterRange()) == "evidence" {
			return unsteady(c.LoopStep().AsCall().Args()[1], at)
		}
	}
	if c := foreign(e, at); c != nil {
		return c
	}
	return weakening(e, false, at)
}

// How the properties of one proof count: what only strengthens it may be asked
// for, what only weakens it may be ruled out, and what it is may be compared.
const (
	strengthens = "attested hardware_bound phishing_resistant replay_resistant user_present user_verified"
	weakens     = "exportable low_entropy restricted software_bound"
	describes   = "channel method step type unlock"
)

func oneOfWords(words, name string) bool { return slices.Contains(strings.Fields(words), name) }

// weakening looks for what a stronger proof of the same step would make false:
// a level cannot fall when a proof is stronger either.
func weakening(e ast.Expr, negated bool, at func(int64) complaint) *complaint {
	switch e.Kind() {
	case ast.CallKind:
		call := e.AsCall()
		args := call.Args()
		switch name := call.FunctionName(); {
		case name == operators.LogicalNot:
			return weakening(args[0], !negated, at)
		case name == operators.LogicalAnd || name == operators.LogicalOr:
			for _, arg := range args {
				if c := weakening(arg, negated, at); c != nil {
					return c
				}
			}
			return nil
		case (name == operators.GreaterEquals || name == operators.Greater) && !negated && bounded(args[0]),
			(name == operators.LessEquals || name == operators.Less) && negated && bounded(args[0]),
			name == operators.In && !negated && fieldRead(args[1]) == "categories" && args[0].Kind() == ast.LiteralKind:
			return nil
		}
	case ast.SelectKind:
		name := fieldRead(e)
		if oneOfWords(strengthens, name) && !negated || oneOfWords(weakens, name) && negated {
			return nil
		}
	default:
	}
	return unfitField(e, at)
}

// bounded: the levels at which an authenticator was bound and its verifier is trusted.
func bounded(e ast.Expr) bool { return fieldRead(e) == "binding" || fieldRead(e) == "cap" }

// fieldRead is the field that is read of a loop variable, "" if e is something else.
func fieldRead(e ast.Expr) string {
	if e.Kind() != ast.SelectKind || e.AsSelect().IsTestOnly() {
		return ""
	}
	return e.AsSelect().FieldName()
}

// unfitField finds a field that says more than what the proof is.
func unfitField(e ast.Expr, at func(int64) complaint) (found *complaint) {
	ast.PreOrderVisit(e, ast.NewExprVisitor(func(e ast.Expr) {
		if e.Kind() != ast.SelectKind || found != nil || ident(e.AsSelect().Operand()) == "level" {
			return
		}
		name := e.AsSelect().FieldName()
		if oneOfWords(describes, name) {
			return
		}
		p := at(e.ID())
		p.message = "a level cannot fall when a proof is stronger: " + name + " cannot be asked for in this way"
		found = &p
	}))
	return found
}

// foreign looks for a name that is neither level nor a loop variable.
func foreign(e ast.Expr, at func(int64) complaint) (found *complaint) {
	ast.PreOrderVisit(e, ast.NewExprVisitor(func(e ast.Expr) {
		name := ident(e)
		if _, known := variables()[name]; !known || name == "level" || found != nil {
			return
		}
		p := at(e.ID())
		p.message = "a level is what evidence amounts to: " + name + " cannot be read here"
		if name == "evidence" {
			p.message = "a level cannot fall when more is proved: evidence may stand only in evidence.exists(...), joined by && and ||"
		}
		found = &p
	}))
	return found
}

func ident(e ast.Expr) string {
	if e.Kind() != ast.IdentKind {
		return ""
	}
	return e.AsIdent()
}

// isExists recognises what the macro exists is expanded to: accumulate false || ...
func isExists(c ast.ComprehensionExpr) bool {
	init, step := c.AccuInit(), c.LoopStep()
	return init.Kind() == ast.LiteralKind && init.AsLiteral().Value() == false &&
		step.Kind() == ast.CallKind && step.AsCall().FunctionName() == operators.LogicalOr && len(step.AsCall().Args()) == 2
}
