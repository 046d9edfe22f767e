package flowdefs

import (
	"slices"

	"cel.dev/cel-go/common/ast"
	"cel.dev/cel-go/common/operators"
	"cel.dev/cel-go/common/types"
)

// An expression is exact if trying for each attribute, each value that was
// assigned and each thing that the client says every constant that stands
// beside it, one other value, and none at all is trying everything. So it is if
// it asks of them only whether they are there and whether they equal a constant:
// what is compared with one another, or by its order, length or parts, can be
// more than that.

// exact is [Condition.Exact] of a part of an expression.
func exact(e ast.Expr) bool {
	if !open(e) {
		return true
	}
	switch e.Kind() {
	case ast.SelectKind: // has(account.attributes.x)
		return e.AsSelect().IsTestOnly() && variable(e)
	case ast.CallKind:
		call := e.AsCall()
		args := call.Args()
		switch call.FunctionName() {
		case operators.LogicalAnd, operators.LogicalOr, operators.LogicalNot:
			return exactAll(args)
		case operators.Conditional:
			return exact(args[0]) && exactText(args[1]) && exactText(args[2])
		case operators.Equals, operators.NotEquals:
			return variable(args[0]) && constant(args[1]) || constant(args[0]) && variable(args[1])
		case operators.In:
			return variable(args[0]) && args[1].Kind() == ast.ListKind && !slices.ContainsFunc(args[1].AsList().Elements(), func(e ast.Expr) bool { return !constant(e) })
		case "has", "accepted":
			return call.IsMemberFunction() && constant(args[0])
		default:
			return false
		}
	default:
		return false
	}
}

// exactText is exact for what may be a text as well: one that is picked whole.
func exactText(e ast.Expr) bool { return variable(e) || exact(e) }

func exactAll(all []ast.Expr) bool {
	return !slices.ContainsFunc(all, func(e ast.Expr) bool { return !exact(e) })
}

// open reports whether a part reads something that is not known beforehand.
func open(e ast.Expr) bool {
	found := false
	ast.PreOrderVisit(e, ast.NewExprVisitor(func(e ast.Expr) {
		found = found || e.Kind() == ast.SelectKind && madeField(e.AsSelect().FieldName()) || e.Kind() == ast.IdentKind &&
			slices.Contains([]string{"account", "assigned", "client", "now", "run", untrusted}, e.AsIdent())
	}))
	return found
}

// variable reports whether a part names one thing that is tried with every
// constant. What else the client says than its locale is not.
func variable(e ast.Expr) bool {
	if e.Kind() != ast.SelectKind {
		return false
	}
	s := e.AsSelect()
	return attributes(s.Operand()) || isIdent(s.Operand(), "assigned") || s.FieldName() == "locale" && isIdent(s.Operand(), untrusted)
}

// attributes reports whether a part is account.attributes.
func attributes(e ast.Expr) bool {
	return e.Kind() == ast.SelectKind && e.AsSelect().FieldName() == "attributes" && isIdent(e.AsSelect().Operand(), "account")
}

func isIdent(e ast.Expr, name string) bool { return e.Kind() == ast.IdentKind && e.AsIdent() == name }

func constant(e ast.Expr) bool { return e.Kind() == ast.LiteralKind }

// attributesOf are the names of the account's attributes that an expression names.
func attributesOf(e ast.Expr) []string {
	var out []string
	ast.PreOrderVisit(e, ast.NewExprVisitor(func(e ast.Expr) {
		switch {
		case e.Kind() == ast.SelectKind && attributes(e.AsSelect().Operand()):
			out = append(out, e.AsSelect().FieldName())
		case e.Kind() == ast.CallKind && e.AsCall().FunctionName() == operators.Index && attributes(e.AsCall().Args()[0]):
			out = append(out, wordsOf(e.AsCall().Args()[1])...)
		case e.Kind() == ast.CallKind && e.AsCall().FunctionName() == operators.In && attributes(e.AsCall().Args()[1]):
			out = append(out, wordsOf(e.AsCall().Args()[0])...)
		}
	}))
	slices.Sort(out)
	return slices.Compact(out)
}

// assignedOf are the names of assigned values that an expression names.
func assignedOf(e ast.Expr) []string {
	var out []string
	ast.PreOrderVisit(e, ast.NewExprVisitor(func(e ast.Expr) {
		switch {
		case e.Kind() == ast.SelectKind && isIdent(e.AsSelect().Operand(), "assigned"):
			out = append(out, e.AsSelect().FieldName())
		case e.Kind() == ast.CallKind && e.AsCall().FunctionName() == operators.Index && isIdent(e.AsCall().Args()[0], "assigned"):
			out = append(out, wordsOf(e.AsCall().Args()[1])...)
		}
	}))
	slices.Sort(out)
	return slices.Compact(out)
}

// heldOf are the types of authenticators that an expression asks the account for.
func heldOf(e ast.Expr) []string {
	var out []string
	ast.PreOrderVisit(e, ast.NewExprVisitor(func(e ast.Expr) {
		if e.Kind() != ast.CallKind || !e.AsCall().IsMemberFunction() {
			return
		}
		switch e.AsCall().FunctionName() {
		case "has":
			out = append(out, wordsOf(e.AsCall().Args()[0])...)
		case "accepted":
			for _, document := range wordsOf(e.AsCall().Args()[0]) {
				out = append(out, Accepted+document)
			}
		}
	}))
	slices.Sort(out)
	return slices.Compact(out)
}

// wordsOf is a constant text; nil if it is none.
func wordsOf(e ast.Expr) []string {
	if e.Kind() == ast.LiteralKind {
		if word, ok := e.AsLiteral().(types.String); ok {
			return []string{string(word)}
		}
	}
	return nil
}
