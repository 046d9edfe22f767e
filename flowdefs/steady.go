package flowdefs

import (
	"slices"

	"cel.dev/cel-go/common/ast"
	"cel.dev/cel-go/common/operators"
	"cel.dev/cel-go/common/types"
)

// A proof keeps of evidence what each entry is, and of tags which of those that
// expressions name are there: not how many there are and in which order. An
// expression is steady if that decides it. Of evidence it asks whether some or
// all entries are so, of tags whether one that it names is among them, and of
// the account whether it has a type of authenticator that it names; all else of
// these is not steady, whatever it comes to.

// steady reports whether a part of an expression is; entries are the loop
// variables that stand for an entry of evidence, plain those that hide a name.
func steady(e ast.Expr, entries, plain []string) bool {
	all := func(parts []ast.Expr) bool {
		return !slices.ContainsFunc(parts, func(e ast.Expr) bool { return !steady(e, entries, plain) })
	}
	switch e.Kind() {
	case ast.LiteralKind:
		return true
	case ast.IdentKind:
		name := e.AsIdent()
		if slices.Contains(entries, name) {
			return false // as a whole, and not one of its fields
		}
		return slices.Contains(plain, name) || name != "evidence" && name != "tags"
	case ast.SelectKind:
		of := e.AsSelect().Operand()
		return of.Kind() == ast.IdentKind && slices.Contains(entries, of.AsIdent()) || steady(of, entries, plain)
	case ast.CallKind:
		call := e.AsCall()
		if call.IsMemberFunction() && call.FunctionName() == "has" && !constant(call.Args()[0]) {
			return false
		}
		if call.IsMemberFunction() && call.FunctionName() == "accepted" { // a step of the run may change it
			return false
		}
		return asksTag(call, plain) || all(parts(call))
	case ast.ListKind:
		return all(e.AsList().Elements())
	case ast.ComprehensionKind:
		return steadyLoop(e.AsComprehension(), entries, plain)
	default:
		return false
	}
}

// parts are what a call is made with.
func parts(call ast.CallExpr) []ast.Expr {
	out := slices.Clone(call.Args())
	if call.IsMemberFunction() {
		out = append(out, call.Target())
	}
	return out
}

// asksTag reports whether a call asks for a tag by its name.
func asksTag(call ast.CallExpr, plain []string) bool {
	args := call.Args()
	return call.FunctionName() == operators.In && constant(args[0]) && isIdent(args[1], "tags") && !slices.Contains(plain, "tags")
}

// steadyLoop reports whether a loop over evidence asks for some entry or for
// all, and one over anything else is made of what is steady.
func steadyLoop(c ast.ComprehensionExpr, entries, plain []string) bool {
	inner := append(slices.Clone(plain), c.AccuVar())
	body := []ast.Expr{c.AccuInit(), c.LoopCondition(), c.LoopStep(), c.Result()}
	rest := slices.DeleteFunc(slices.Clone(entries), func(name string) bool { return name == c.IterVar() || name == c.AccuVar() })
	if isIdent(c.IterRange(), "evidence") && !slices.Contains(plain, "evidence") {
		if !isExists(c) && !isAll(c) || c.HasIterVar2() {
			return false
		}
		inner = slices.DeleteFunc(inner, func(name string) bool { return name == c.IterVar() })
		rest = append(rest, c.IterVar())
	} else {
		if !steady(c.IterRange(), entries, plain) {
			return false
		}
		inner = append(inner, c.IterVar(), c.IterVar2())
	}
	return !slices.ContainsFunc(body, func(e ast.Expr) bool { return !steady(e, rest, inner) })
}

// isAll reports whether a loop is list.all(x, P).
func isAll(c ast.ComprehensionExpr) bool {
	init, step := c.AccuInit(), c.LoopStep()
	return init.Kind() == ast.LiteralKind && init.AsLiteral() == types.True &&
		step.Kind() == ast.CallKind && step.AsCall().FunctionName() == operators.LogicalAnd && len(step.AsCall().Args()) == 2
}

// Steady reports whether what the expression comes to hangs on no more of
// evidence and tags than what each entry is: not on how many there are, nor on
// their order. What is not steady is settled by [Unknowns], each time anew.
func (c *Condition) Steady() bool { return c == nil || !c.reads.loose }
