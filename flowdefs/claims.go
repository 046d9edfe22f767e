package flowdefs

import (
	"context"
	"encoding/json"
	"fmt"
	"math"
	"regexp"
	"slices"
	"strings"
	"sync"
	"unicode"

	"cel.dev/cel-go/cel"
	"cel.dev/cel-go/common/types"
	"cel.dev/cel-go/common/types/ref"
)

// Update says whether a sign-on changes what an account has of a provider.
type Update string

// The policies.
const (
	UpdateNever    Update = "never" // default: what the first sign-on has brought stays
	UpdateAlways   Update = "always"
	UpdateVerified Update = "if_verified" // what the provider has verified
)

// Attribute is an attribute of accounts that follows from a provider's claims.
type Attribute struct {
	Name     string
	Value    *ClaimExpr
	Verified *ClaimExpr // whether the provider has verified it; nil: it does not say
	Update   Update
}

// Groups says which roles follow from a provider's groups. They follow at each
// sign-on: who is taken out of a group is out.
type Groups struct {
	Value *ClaimExpr        // a list of strings
	Roles map[string]string // by group
}

// RolesAttribute is the account's attribute that holds its roles: directories, groups
// of providers and administrators write it, [Roles] reads it.
const RolesAttribute = "roles"

// VerifiedSuffix ends the name of the attribute that says "true" if the one of that
// name was verified.
const VerifiedSuffix = "_verified"

// ClaimExpr is an expression over what a provider says: claims, which it has
// signed or told us itself, and response, which came through the browser. It can
// read nothing else, and nothing else can be made of it than what is asked here.
type ClaimExpr struct {
	Source  string
	Pos     Pos
	program cel.Program
}

const maxAttribute = 1 << 10 // bytes

// Text evaluates to a text; "" if it cannot be evaluated (a claim is absent), is
// none, is longer than 1 KiB or holds control characters.
func (c *ClaimExpr) Text(ctx context.Context, claims, response map[string]any) string {
	text, _ := c.eval(ctx, claims, response).(types.String)
	if len(text) > maxAttribute || strings.ContainsFunc(string(text), unicode.IsControl) {
		return ""
	}
	return string(text)
}

// Holds evaluates to true; anything else, a failure too, is not true.
func (c *ClaimExpr) Holds(ctx context.Context, claims, response map[string]any) bool {
	return c.eval(ctx, claims, response) == types.True
}

// Texts evaluates to a list of texts; empty if it is none.
func (c *ClaimExpr) Texts(ctx context.Context, claims, response map[string]any) []string {
	value := c.eval(ctx, claims, response)
	if value == nil {
		return nil
	}
	list, err := plainData(value)
	items, ok := list.([]any)
	if err != nil || !ok {
		return nil
	}
	var out []string
	for _, item := range items {
		text, ok := item.(string)
		if !ok {
			return nil
		}
		out = append(out, text)
	}
	return out
}

func (c *ClaimExpr) eval(ctx context.Context, claims, response map[string]any) ref.Val {
	value, _, err := c.program.ContextEval(ctx, map[string]any{"claims": celData(claims), "response": celData(response)})
	if err != nil {
		return nil
	}
	return value
}

// celData turns JSON into what CEL knows: it has no json.Number.
func celData(value any) any {
	switch v := value.(type) {
	case map[string]any:
		out := make(map[string]any, len(v))
		for name, inner := range v {
			out[name] = celData(inner)
		}
		return out
	case []any:
		out := make([]any, len(v))
		for i, inner := range v {
			out[i] = celData(inner)
		}
		return out
	case json.Number:
		if i, err := v.Int64(); err == nil {
			return i
		}
		if f, err := v.Float64(); err == nil && !math.IsInf(f, 0) {
			return f
		}
		return nil
	}
	return value
}

// claimsEnvironment is made when the first provider maps claims: it is memory that most have no use for.
var claimsEnvironment = sync.OnceValues(func() (*cel.Env, error) { //nolint:gochecknoglobals // it never changes
	object := cel.MapType(cel.StringType, cel.DynType)
	return cel.NewCustomEnv(append(dialect(), cel.Variable("claims", object), cel.Variable("response", object))...)
})

// claimExpr compiles an expression over claims that has one of some types.
func (l *loader) claimExpr(n *node, what string, allowed ...*cel.Type) *ClaimExpr {
	if n.kind != stringKind {
		l.fail(n.pos, "%s: expected an expression, found %s%s", what, n.describe(), n.quoteHint())
		return nil
	}
	program, out, complaints := compileIn(claimsEnvironment, n.text, []string{"claims", "response"})
	for _, c := range complaints {
		l.fail(n.at(c.line, c.column), "%s: %s", what, c.message)
	}
	if len(complaints) > 0 {
		return nil
	}
	if !slices.ContainsFunc(append(allowed, cel.DynType), out.IsAssignableType) {
		l.fail(n.pos, "%s: expected %s, found %s", what, allowed[0], out)
		return nil
	}
	return &ClaimExpr{Source: n.text, Pos: n.pos, program: program}
}

var mappedForm = regexp.MustCompile(`^[a-z][a-z0-9_]*$`)

// mapped reads what accounts have of a provider.
func (l *loader) mapped(p *Provider, o object) {
	p.Update = UpdateNever
	if word := o.word("update", string(UpdateNever), string(UpdateAlways), string(UpdateVerified)); word != "" {
		p.Update = Update(word)
	}
	if n := o.n.get("attributes"); n != nil {
		l.mappedAttributes(p, n, o.what+": attributes")
	}
	if n := o.n.get("groups"); n != nil {
		g, ok := l.object(n, o.what+": groups", []string{"value", "roles"})
		if !ok {
			return
		}
		p.Groups = &Groups{}
		if v := g.required("value"); v != nil {
			p.Groups.Value = l.claimExpr(v, "groups: value", cel.ListType(cel.StringType))
		}
		if g.required("roles") != nil {
			p.Groups.Roles = l.table(g, "roles", roleForm, "is no role: a role has no comma and no space around it")
		}
	}
}

func (l *loader) mappedAttributes(p *Provider, n *node, what string) {
	if n.kind != mappingKind || len(n.keys) > maxConditions {
		l.fail(n.pos, "%s: expected a mapping of at most %d names, found %s", what, maxConditions, n.describe())
		return
	}
	for i, k := range n.keys {
		if !mappedForm.MatchString(k.text) || k.text == RolesAttribute || strings.HasSuffix(k.text, VerifiedSuffix) {
			l.fail(k.pos, "attributes: %s cannot be mapped: a name is made of a-z, 0-9 and _; %s follow from groups, and what ends in %s from verified",
				quote(k.text), RolesAttribute, VerifiedSuffix)
		}
		p.Attributes = append(p.Attributes, l.mappedAttribute(p, k.text, n.items[i]))
	}
	slices.SortFunc(p.Attributes, func(a, b Attribute) int { return strings.Compare(a.Name, b.Name) })
}

func (l *loader) mappedAttribute(p *Provider, name string, n *node) Attribute {
	a := Attribute{Name: name, Update: p.Update}
	what := fmt.Sprintf("attributes: %s", name)
	if n.kind != mappingKind {
		a.Value = l.claimExpr(n, what, cel.StringType)
		return a
	}
	o, ok := l.object(n, what, []string{"value", "verified", "update"})
	if !ok {
		return a
	}
	if v := o.required("value"); v != nil {
		a.Value = l.claimExpr(v, what+": value", cel.StringType)
	}
	if v := n.get("verified"); v != nil {
		a.Verified = l.claimExpr(v, what+": verified", cel.BoolType)
	}
	if word := o.word("update", string(UpdateNever), string(UpdateAlways), string(UpdateVerified)); word != "" {
		a.Update = Update(word)
	}
	if a.Update == UpdateVerified && a.Verified == nil {
		l.fail(n.pos, "%s: update if_verified without verified updates nothing", what)
	}
	return a
}
