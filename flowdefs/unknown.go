package flowdefs

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"

	"cel.dev/cel-go/common/ast"
	"cel.dev/cel-go/common/operators"
	"cel.dev/cel-go/common/types"
	"cel.dev/cel-go/common/types/ref"
)

// Unknowns settles what expressions come to when part of their environment is
// not known: what an account's attributes are, what the client says of itself,
// what time it is. A proof asks it once for each way that it can turn out; an
// engine, which knows everything, has none.
type Unknowns interface {
	// Has says whether the account has an active authenticator of that type.
	Has(authenticator string) bool
	// Holds settles a condition; known renders what the condition reads of what
	// is known, so that the same condition on the same facts comes out the same.
	// Its errors mean what errors of the condition mean.
	Holds(c *Condition, env *Env, known string) (bool, error)
	// Text settles an expression of type string.
	Text(c *Condition, env *Env, known string) (string, error)
}

// UnknownValue begins an assigned value that is not known: what reads it is settled
// by [Unknowns].
const UnknownValue = "\x00"

// reads is what an expression names.
type reads struct {
	names  map[string]bool // variables
	fields map[string]bool // of evidence and other objects
	words  []string        // its string constants
	ends   []string        // what it can come to, if it only picks among constants
	exact  bool            // see exact
	loose  bool            // it is not steady

	attributes []string // of the account
	assigned   []string // values that were assigned
	held       []string // types of authenticators that it asks the account for
	presence   bool     // it asks whether something made is there: see madeField
}

// Reads reports whether the expression names a variable of [Env], such as "tags".
func (c *Condition) Reads(variable string) bool { return c != nil && c.reads.names[variable] }

// ReadsField reports whether the expression reads a field of that name, such as "phishing_resistant".
func (c *Condition) ReadsField(name string) bool { return c != nil && c.reads.fields[name] }

// Fields returns the names of the fields that the expression reads, of whatever object, sorted.
func (c *Condition) Fields() []string {
	if c == nil {
		return nil
	}
	return slices.Sorted(maps.Keys(c.reads.fields))
}

// Words returns the string constants of the expression.
func (c *Condition) Words() []string {
	if c == nil {
		return nil
	}
	return c.reads.words
}

// Ends returns what an expression of type string can come to if it only picks
// among constants, as in a ? "x" : "y"; nil if it can be something else.
func (c *Condition) Ends() []string {
	if c == nil {
		return nil
	}
	return c.reads.ends
}

// Attributes returns the names of the account's attributes that the expression reads, sorted.
func (c *Condition) Attributes() []string {
	if c == nil {
		return nil
	}
	return c.reads.attributes
}

// Assigned returns the names of the assigned values that the expression reads, sorted.
func (c *Condition) Assigned() []string {
	if c == nil {
		return nil
	}
	return c.reads.assigned
}

// Exact reports whether the expression compares what is not known only with
// constants, and only for equality: then trying every constant, another value and
// none at all is trying everything.
func (c *Condition) Exact() bool { return c != nil && c.reads.exact }

// endsOf lists the constants that an expression picks among; nil if it is more than that.
func endsOf(e ast.Expr) []string {
	switch e.Kind() {
	case ast.LiteralKind:
		if word, ok := e.AsLiteral().(types.String); ok {
			return []string{string(word)}
		}
	case ast.CallKind:
		call := e.AsCall()
		if call.FunctionName() != operators.Conditional {
			return nil
		}
		a, b := endsOf(call.Args()[1]), endsOf(call.Args()[2])
		if a != nil && b != nil {
			return append(a, b...)
		}
	default: // it is computed
	}
	return nil
}

// unknownOf is a value that nobody knows, with the variable that it is of.
func unknownOf(variable string) ref.Val {
	return types.NewUnknown(1, types.NewAttributeTrail(variable))
}

// madeField reports whether a field of evidence is made in a real run, and not
// known before: which authenticator it was, and when.
func madeField(name string) bool {
	return slices.Contains([]string{"authenticator", "device", "at", "expires"}, name)
}

// Made reports whether the expression reads of evidence what only a real run
// makes: which authenticator it was, and when.
func (c *Condition) Made() bool {
	return c.Reads("evidence") && slices.ContainsFunc(c.Fields(), madeField)
}

// dark reports whether the value cannot be known because it hangs on how many
// there are of something, or on what is there at all.
func (c *Condition) dark(env *Env) bool {
	if env != nil && env.Unknown != nil && c.reads.loose {
		return true
	}
	return env != nil && env.Unknown != nil && c.reads.presence && c.Reads("evidence") && len(env.Evidence) > 0
}

// unknowing returns env as the expression sees it if env does not know everything.
func (c *Condition) unknowing(env *Env) *Env {
	if env == nil || env.Unknown == nil {
		return env
	}
	e := *env
	if !e.Account.Empty {
		e.Account.unknown = env.Unknown
	}
	e.Run.unknown = true
	return &e
}

// resolveUnknown resolves a variable of which nothing, or not all, is known.
func (e *Env) resolveUnknown(name string) (any, bool) {
	switch name {
	case "client", "now", untrusted:
		return unknownOf(name), true
	case "assigned":
		values := make(map[string]any, len(e.Assigned))
		for k, v := range e.Assigned {
			values[k] = v
			if strings.HasPrefix(v, UnknownValue) {
				values[k] = unknownOf(name)
			}
		}
		return values, true
	}
	return nil, false
}

// settled is what a condition comes to whose value may be unknown.
func (c *Condition) settled(env *Env, value ref.Val, err error) (bool, error) {
	if types.IsUnknown(value) && env.Unknown != nil {
		seen := c.asking(env)
		return env.Unknown.Holds(c, seen, c.known(seen))
	}
	if err != nil {
		return false, fmt.Errorf("%w: %s: %w", ErrCondition, c.Pos, err)
	}
	b, ok := value.(types.Bool)
	if !ok {
		return false, fmt.Errorf("%w: %s: the value is neither true nor false", ErrCondition, c.Pos)
	}
	return bool(b), nil
}

// asking settles all that the expression asks of what the account has, and
// returns env with that: what is guessed is guessed for one such account.
func (c *Condition) asking(env *Env) *Env {
	e := *env
	if e.Account.Empty || e.Account.Hidden {
		e.Account.Types = nil
		return &e
	}
	e.Account.Types = slices.DeleteFunc(slices.Clone(c.reads.held), func(typ string) bool {
		return !slices.Contains(env.Account.Types, typ) && !env.Unknown.Has(typ)
	})
	return &e
}

// ofAccount reports whether a value is unknown because the account is, and for no other reason.
func ofAccount(value ref.Val) bool {
	u, ok := value.(*types.Unknown)
	if !ok {
		return false
	}
	for _, id := range u.IDs() {
		trails, _ := u.GetAttributeTrails(id)
		if slices.ContainsFunc(trails, func(t *types.AttributeTrail) bool { return t.Variable() != "account" }) {
			return false
		}
	}
	return true
}

// known renders what the expression reads of what is known.
func (c *Condition) known(env *Env) string {
	facts := map[string]any{}
	for name, value := range map[string]any{
		"device": env.Device, "evidence": env.Evidence, "acr": env.ACR, "tags": env.Tags, "owed": env.Owed,
		"assigned": env.Assigned, "target": env.Target, "run": env.Run.Flow,
	} {
		if c.Reads(name) {
			facts[name] = value
		}
	}
	if c.Reads("account") && (env.Account.Empty || env.Account.Hidden) {
		facts["account"] = "nobody has proved that it is theirs"
	}
	if len(c.reads.held) > 0 && facts["account"] == nil {
		facts["account"] = env.Account.Types
	}
	if c.Reads(reachedName) && env.Reached != nil {
		facts[reachedName] = env.Reached()
	}
	if len(facts) == 0 {
		return ""
	}
	text, err := json.Marshal(facts) // sorts the names
	if err != nil {
		return err.Error() // cannot happen: data only
	}
	return string(text)
}

// text settles an expression of type string, if its value is unknown.
func (c *Condition) text(_ context.Context, env *Env, value ref.Val) (any, bool, error) {
	if env.Unknown == nil || !types.IsUnknown(value) {
		return nil, false, nil
	}
	seen := c.asking(env)
	s, err := env.Unknown.Text(c, seen, c.known(seen))
	return s, true, err
}
