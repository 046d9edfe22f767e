package flowdefs

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"unicode"
	"unicode/utf8"

	"cel.dev/cel-go/cel"
	"cel.dev/cel-go/common/ast"
	"cel.dev/cel-go/common/types"
)

// queryName is what a [Query] calls the document that it reads.
const queryName = "response"

// maxQueried is the longest text, in bytes, that a query may come to.
const maxQueried = 4096

// Query is an expression over a JSON document that somebody else made, such as
// the answer of a web service: what it calls response. A field of that type in a
// step's configuration is compiled by [Config.Decode], with the bounds that all
// expressions have. The zero Query is none. Safe for concurrent use.
type Query struct {
	Source  string
	program cel.Program
}

// Text evaluates the query on a document as encoding/json decodes it into an
// any. A list of words becomes a text with spaces between them, which the function
// words takes apart again. Every failure is an [ErrCondition]: a member that is not
// there, a value that is neither a string nor a list of them, a text that is
// longer than 4096 bytes or has control characters.
func (q Query) Text(ctx context.Context, document any) (string, error) {
	if q.program == nil {
		return "", fmt.Errorf("%w: nothing to evaluate", ErrCondition)
	}
	value, _, err := q.program.ContextEval(ctx, map[string]any{queryName: document})
	if err != nil {
		return "", fmt.Errorf("%w: %s", ErrCondition, q.Source) // not err: it can quote the document
	}
	data, err := plainData(value)
	if err != nil {
		return "", fmt.Errorf("%w: %s: %w", ErrCondition, q.Source, err)
	}
	text, err := joined(data)
	if err != nil {
		return "", fmt.Errorf("%w: %s: %w", ErrCondition, q.Source, err)
	}
	if len(text) > maxQueried || !utf8.ValidString(text) || strings.ContainsFunc(text, unicode.IsControl) {
		return "", fmt.Errorf("%w: %s: too long, or with control characters", ErrCondition, q.Source)
	}
	return text, nil
}

func joined(data any) (string, error) {
	switch v := data.(type) {
	case string:
		return v, nil
	case []any:
		words := make([]string, len(v))
		for i, item := range v {
			word, ok := item.(string)
			if !ok || word == "" || strings.ContainsFunc(word, unicode.IsSpace) {
				return "", errors.New("the list has something other than words")
			}
			words[i] = word
		}
		return strings.Join(words, " "), nil
	}
	return "", errors.New("neither a string nor a list of strings")
}

// queries is the environment of queries; made when the first is compiled.
//
//nolint:gochecknoglobals // it has no state
var queries = sync.OnceValues(func() (*cel.Env, error) {
	return cel.NewCustomEnv(append(dialect(), cel.Variable(queryName, cel.DynType))...)
})

func compileQuery(source string) (Query, []complaint) {
	program, out, complaints := compileIn(queries, source, []string{queryName})
	if len(complaints) > 0 {
		return Query{}, complaints
	}
	if !out.IsExactType(cel.DynType) && !out.IsExactType(cel.StringType) && out.Kind() != types.ListKind {
		return Query{}, broken(fmt.Sprintf("expected a string or a list of strings, found a value of type %s", plainTypes(out.String()))).complaints
	}
	return Query{Source: source, program: program}, nil
}

// compileIn compiles an expression that reads what somebody else said, under the
// names known, and nothing of the run.
func compileIn(environment func() (*cel.Env, error), source string, known []string) (cel.Program, *cel.Type, []complaint) {
	env, err := environment()
	if err != nil {
		return nil, nil, broken(err.Error()).complaints
	}
	if strings.TrimSpace(source) == "" {
		return nil, nil, broken("the expression is empty").complaints
	}
	parsed, issues := env.Parse(source)
	if issues.Err() != nil {
		return nil, nil, complaintsOf(issues, nil, known)
	}
	checked, issues := env.Check(parsed)
	if issues.Err() != nil {
		return nil, nil, complaintsOf(issues, parsed, known)
	}
	made := false
	ast.PreOrderVisit(checked.NativeRep().Expr(), ast.NewExprVisitor(func(e ast.Expr) {
		made = made || e.Kind() == ast.StructKind
	}))
	if made {
		return nil, nil, broken("an expression cannot make objects").complaints
	}
	program, err := env.Program(checked, cel.EvalOptions(cel.OptOptimize), cel.CostLimit(maxCost), cel.InterruptCheckFrequency(100))
	if err != nil {
		return nil, nil, broken(err.Error()).complaints
	}
	return program, checked.OutputType(), nil
}

// query reads an expression where a step's configuration has one.
func (d *structDecoder) query(n *node, what string) Query {
	if !d.is(n, stringKind, what, "an expression", n.quoteHint()) {
		return Query{}
	}
	q, complaints := compileQuery(n.text)
	for _, c := range complaints {
		d.fail(n.at(c.line, c.column), "%s: %s", what, c.message)
	}
	return q
}

// queries reads names with an expression each: what a step assigns.
func (d *structDecoder) queries(n *node, what string) map[string]Query {
	if !d.is(n, mappingKind, what, "a mapping of names to expressions", "") {
		return nil
	}
	out := make(map[string]Query, len(n.keys))
	for i, key := range n.keys {
		if !wordForm.MatchString(key.text) {
			d.fail(key.pos, "%s: %s is not made of a-z, 0-9, _ and - with a letter at its beginning", what, quote(key.text))
		}
		out[key.text] = d.query(n.items[i], what+": "+key.text)
	}
	return out
}
