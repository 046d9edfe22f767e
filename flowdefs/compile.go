package flowdefs

import (
	"fmt"
	"regexp"
	"strings"

	"cel.dev/cel-go/cel"
	"cel.dev/cel-go/common/ast"
	"cel.dev/cel-go/common/types"

	"github.com/stile-auth/stile/flows/assurance"
)

// Limits of one expression.
const (
	maxExpression = 4096  // code points
	maxNesting    = 50    // of its parts
	maxLoops      = 2     // macros inside one another
	maxCost       = 10000 // CEL's units, per evaluation
)

// compiler compiles each expression once per load.
type compiler struct {
	env  *cel.Env
	done map[string]*compiled
}

// compiled is an expression as far as it can be judged without its place.
type compiled struct {
	program    cel.Program
	possible   cel.Program // set if it reads account: see Condition.Possible
	out        *cel.Type
	untrusted  *complaint  // set if it reads what the client says; where
	unsteady   *complaint  // set if more evidence could make it false, or if it reads anything else; where
	levels     []complaint // the names of levels that it asks for, and where
	reads      reads
	complaints []complaint
}

// complaint is a mistake at a place of the expression: line from 1, column from 0.
type complaint struct {
	line, column int
	message      string
}

func newCompiler() (*compiler, error) {
	environment, err := newEnvironment()
	if err != nil {
		return nil, fmt.Errorf("flowdefs: %w", err)
	}
	return &compiler{env: environment, done: map[string]*compiled{}}, nil
}

func (c *compiler) compile(source string) *compiled {
	if done, ok := c.done[source]; ok {
		return done
	}
	result := c.compileOnce(source)
	c.done[source] = result
	return result
}

func (c *compiler) compileOnce(source string) *compiled {
	if strings.TrimSpace(source) == "" {
		return broken("the expression is empty")
	}
	parsed, issues := c.env.Parse(source)
	if issues.Err() != nil {
		return &compiled{complaints: complaintsOf(issues, nil, names())}
	}
	checked, issues := c.env.Check(parsed)
	if issues.Err() != nil {
		return &compiled{complaints: complaintsOf(issues, parsed, names())}
	}
	result := &compiled{out: checked.OutputType()}
	result.inspect(checked)
	if len(result.complaints) > 0 {
		return result
	}
	program, err := c.env.Program(checked,
		cel.EvalOptions(cel.OptOptimize), cel.CostLimit(maxCost), cel.InterruptCheckFrequency(100))
	if err != nil {
		return broken(err.Error())
	}
	result.program = program
	if result.possible, err = possibility(c.env, checked); err != nil {
		return broken(err.Error())
	}
	return result
}

func broken(message string) *compiled {
	return &compiled{complaints: []complaint{{1, 0, message}}}
}

// inspect looks for what the type checker lets pass.
func (c *compiled) inspect(checked *cel.Ast) {
	native := checked.NativeRep()
	at := func(id int64) complaint {
		start := native.SourceInfo().GetStartLocation(id)
		return complaint{line: start.Line(), column: start.Column()}
	}
	c.reads = reads{names: map[string]bool{}, fields: map[string]bool{}, ends: endsOf(native.Expr()), exact: exactText(native.Expr()), attributes: attributesOf(native.Expr()), assigned: assignedOf(native.Expr()), held: heldOf(native.Expr()), loose: !steady(native.Expr(), nil, nil)}
	ast.PreOrderVisit(native.Expr(), ast.NewExprVisitor(func(e ast.Expr) {
		switch e.Kind() {
		case ast.SelectKind:
			c.reads.fields[e.AsSelect().FieldName()] = true
			c.reads.presence = c.reads.presence || e.AsSelect().IsTestOnly() && madeField(e.AsSelect().FieldName())
		case ast.LiteralKind:
			if word, ok := e.AsLiteral().(types.String); ok {
				c.reads.words = append(c.reads.words, string(word))
			}
		case ast.StructKind:
			p := at(e.ID())
			p.message = "an expression cannot make objects; found " + e.AsStruct().TypeName() + "{}"
			c.complaints = append(c.complaints, p)
		case ast.IdentKind:
			c.reads.names[e.AsIdent()] = true
			// A loop variable of that name counts as well: it is named to mislead.
			if e.AsIdent() == untrusted && c.untrusted == nil {
				p := at(e.ID())
				c.untrusted = &p
			}
		case ast.CallKind:
			if name, ok := asksLevel(e); ok {
				p := at(e.ID())
				p.message = name
				c.levels = append(c.levels, p)
			}
		}
	}))
	c.unsteady = unsteady(native.Expr(), at)
}

// unfit says why an expression that compiles does not belong in a place.
func (c *compiled) unfit(p place) []complaint {
	if p == levelPlace && c.unsteady != nil {
		return []complaint{*c.unsteady}
	}
	if c.untrusted != nil && p != optionPlace {
		return []complaint{{
			c.untrusted.line, c.untrusted.column,
			"request is what the client says of itself; it may decide only whether an option of a choose is offered, never whether a step runs, a guard holds, or what a token says",
		}}
	}
	if p == decidePlace || p == assignPlace {
		if !c.out.IsExactType(cel.StringType) {
			return []complaint{{1, 0, fmt.Sprintf("expected an expression of type string, found one of type %s", plainTypes(c.out.String()))}}
		}
		return nil
	}
	if p == claimPlace {
		if !renderable(c.out) {
			return []complaint{{1, 0, fmt.Sprintf("a claim cannot be of type %s; expected a string, number, boolean, level, time, or a list or map of these", plainTypes(c.out.String()))}}
		}
		return nil
	}
	if !c.out.IsExactType(cel.BoolType) {
		return []complaint{{1, 0, fmt.Sprintf("expected a condition that is true or false, found one of type %s", plainTypes(c.out.String()))}}
	}
	return nil
}

// renderable reports whether values of a type have a form in JSON.
func renderable(t *cel.Type) bool {
	switch t.Kind() {
	case types.BoolKind, types.IntKind, types.UintKind, types.DoubleKind, types.StringKind, types.TimestampKind:
		return true
	case types.StructKind:
		return t.TypeName() == levelName
	case types.ListKind:
		return renderable(t.Parameters()[0])
	case types.MapKind:
		return t.Parameters()[0].Kind() == types.StringKind && renderable(t.Parameters()[1])
	}
	return false
}

var (
	undeclaredForm = regexp.MustCompile(`^undeclared reference to '([^']*)'`)
	fieldForm      = regexp.MustCompile(`^undefined field '([^']*)'`)
	overloadForm   = regexp.MustCompile(`^found no matching overload for '_?([^']*?)_?' applied to '([^']*)'`)
)

func complaintsOf(issues *cel.Issues, parsed *cel.Ast, known []string) []complaint {
	var out []complaint
	for _, e := range issues.Errors() {
		out = append(out, complaint{max(e.Location.Line(), 1), max(e.Location.Column(), 0), reword(e, parsed, known)})
	}
	return out
}

// reword says in the language's terms what CEL says in its own.
func reword(e *cel.Error, parsed *cel.Ast, known []string) string {
	if m := undeclaredForm.FindStringSubmatch(e.Message); m != nil {
		return fmt.Sprintf("unknown name %s%s", quote(m[1]), didYouMean(m[1], known))
	}
	if m := fieldForm.FindStringSubmatch(e.Message); m != nil {
		return fmt.Sprintf("unknown field %s%s", quote(m[1]), didYouMean(m[1], fieldNames(e.ExprID, parsed)))
	}
	if m := overloadForm.FindStringSubmatch(e.Message); m != nil {
		m[1], m[2] = strings.TrimPrefix(m[1], "@"), plainTypes(m[2])
		hint := ""
		if strings.Contains(m[2], levelName) {
			hint = "; a level is compared with level." + strings.Join(assurance.Levels(), ", level.")
		}
		return fmt.Sprintf("%s does not take %s%s", m[1], m[2], hint)
	}
	message, _, _ := strings.Cut(strings.TrimPrefix(e.Message, "Syntax error: "), " expecting ")
	if strings.Contains(message, "<EOF>") {
		return "the expression ends too early"
	}
	return strings.Replace(message, "mismatched input ", "unexpected ", 1)
}

// plainTypes replaces the long names that CEL inherited.
func plainTypes(text string) string {
	return strings.NewReplacer("google.protobuf.", "", "null_type", "null").Replace(text)
}

func names() []string {
	known := []string{"accepted", "has", "size", "matches", "startsWith", "endsWith", "contains", "timestamp", "duration"}
	for name := range variables() {
		known = append(known, name)
	}
	return known
}

// fieldNames returns the fields of what the faulty selection selects from.
func fieldNames(id int64, parsed *cel.Ast) []string {
	typeName := evidenceName
	ast.PreOrderVisit(parsed.NativeRep().Expr(), ast.NewExprVisitor(func(e ast.Expr) {
		if e.ID() != id || e.Kind() != ast.SelectKind || e.AsSelect().Operand().Kind() != ast.IdentKind {
			return
		}
		if t, ok := variables()[e.AsSelect().Operand().AsIdent()]; ok {
			typeName = t.TypeName()
		}
	}))
	var known []string
	for name := range fieldsOf()[typeName] {
		known = append(known, name)
	}
	if typeName == accountName {
		known = append(known, "accepted", "has")
	}
	return known
}
