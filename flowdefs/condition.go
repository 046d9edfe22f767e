package flowdefs

import (
	"context"
	"errors"
	"fmt"
	"math"
	"time"

	"cel.dev/cel-go/cel"
	"cel.dev/cel-go/common/types"
	"cel.dev/cel-go/common/types/ref"
	"cel.dev/cel-go/common/types/traits"

	"github.com/stile-auth/stile/flows/assurance"
)

// ErrCondition reports that an expression could not be evaluated. What that
// means depends on the place of the condition; it never means "false".
var ErrCondition = errors.New("flowdefs: condition failed")

// Env is what an expression may see. Everything but Request is trusted:
// derived by the server from proofs, stores and configuration.
type Env struct {
	Account  AccountEnv
	Device   DeviceEnv
	Client   ClientEnv
	Evidence []assurance.Evidence
	ACR      assurance.Level
	Reached  func() []string // names of the levels of all scales that the evidence amounts to; nil: none
	Tags     []string
	Owed     []string          // obligations that are open
	Assigned map[string]string // what Assign nodes set in this run
	Target   string
	Run      RunEnv
	Now      time.Time
	Request  map[string]string // untrusted: what the client says of itself (locale, ...)
	Unknown  Unknowns          // settles what is not known; nil: everything is
}

// AccountEnv is "account": the subject's account or, before the first proof, the claimed one.
// For an unknown account it is the zero value.
type AccountEnv struct {
	Attributes map[string]string
	Types      []string // types of its active authenticators, and [Accepted] documents; account.has("totp")
	Empty      bool     // it looks empty whatever it is: nothing of it is unknown
	Hidden     bool     // it was not looked at when this came to [Unknowns]: see [Condition.Possible]

	unknown Unknowns
}

// Accepted begins what stands in AccountEnv.Types for a document that was
// accepted, account.accepted("tos-2026"): it is held like an authenticator, and
// what goes for these, in proofs as well, goes for it. No type has a colon.
const Accepted = "accepted:"

// DeviceEnv is "device".
type DeviceEnv struct {
	Bound    bool // the run's key belongs to a bound device of the account
	Attested bool // and the maker of that device has vouched for its key when it was bound
}

// ClientEnv is "client"; ID is empty unless the client authenticated itself.
type ClientEnv struct{ ID string }

// RunEnv is "run".
type RunEnv struct {
	Flow    string
	Started time.Time

	unknown bool // when it started
}

// Condition is one compiled expression. It is immutable and safe for concurrent use.
type Condition struct {
	Source string
	Pos    Pos

	program  cel.Program
	possible cel.Program // nil: the account does not matter
	reads    reads
}

// Bool evaluates a condition; every failure is an [ErrCondition]: an error of
// the expression (a missing key or absent field too), a value that is not true
// or false, a cancelled ctx, a cost above the limit.
func (c *Condition) Bool(ctx context.Context, env *Env) (bool, error) {
	value, err := c.eval(ctx, env)
	if err != nil {
		return false, err
	}
	return c.settled(env, value, nil)
}

// holdsOf evaluates what a level of a scale asks of evidence. What cannot be
// judged is not reached.
func (c *Condition) holdsOf(evidence []assurance.Evidence) bool {
	value, _, err := c.program.Eval(activation{&Env{Evidence: evidence}})
	return err == nil && value == types.True
}

// Value evaluates an expression of any type to plain Go data that
// encoding/json can render; every failure, null included, is an [ErrCondition].
// A time becomes its RFC 3339 text in UTC, a level its name.
func (c *Condition) Value(ctx context.Context, env *Env) (any, error) {
	value, err := c.eval(ctx, env)
	if err != nil {
		return nil, err
	}
	if text, unknown, err := c.text(ctx, env, value); unknown {
		return text, err
	}
	data, err := plainData(value)
	if err != nil {
		return nil, fmt.Errorf("%w: %s: %w", ErrCondition, c.Pos, err)
	}
	return data, nil
}

func (c *Condition) eval(ctx context.Context, env *Env) (ref.Val, error) {
	if c == nil || c.program == nil || env == nil {
		return nil, fmt.Errorf("%w: nothing to evaluate", ErrCondition)
	}
	if err := ctx.Err(); err != nil {
		return nil, fmt.Errorf("%w: %s: %w", ErrCondition, c.Pos, err)
	}
	if c.dark(env) {
		return unknownOf("evidence"), nil
	}
	value, _, err := c.program.ContextEval(ctx, activation{c.unknowing(env)})
	if err != nil && !types.IsUnknown(value) {
		return nil, fmt.Errorf("%w: %s: %w", ErrCondition, c.Pos, err)
	}
	return value, nil
}

// activation hands CEL the parts of an Env that it asks for, and copies nothing else.
type activation struct{ env *Env }

// Parent implements [cel.Activation].
func (a activation) Parent() cel.Activation { return nil }

// ResolveName implements [cel.Activation].
func (a activation) ResolveName(name string) (any, bool) {
	if a.env.Unknown != nil {
		if value, ok := a.env.resolveUnknown(name); ok {
			return value, true
		}
	}
	switch name {
	case "account":
		return &a.env.Account, true
	case "device":
		return &a.env.Device, true
	case "client":
		return &a.env.Client, true
	case "evidence":
		return evidenceList(a.env.Evidence, a.env.Unknown != nil), true
	case "acr":
		return levelValue(a.env.ACR), true
	case "level":
		return levels{}, true
	case reachedName:
		if a.env.Reached == nil {
			return []string{}, true
		}
		return a.env.Reached(), true
	case "tags":
		return a.env.Tags, true
	case "owed":
		return a.env.Owed, true
	case "assigned":
		return a.env.Assigned, true
	case "target":
		return a.env.Target, true
	case "run":
		return &a.env.Run, true
	case "now":
		return a.env.Now, true
	case untrusted:
		return a.env.Request, true
	}
	return nil, false
}

// proof is one evidence as expressions see it.
type proof struct {
	*assurance.Evidence
	unknown bool // where it came from and when
}

func evidenceList(evidence []assurance.Evidence, unknown bool) ref.Val {
	values := make([]ref.Val, len(evidence))
	for i := range evidence {
		values[i] = opaqueOf(evidenceName, proof{&evidence[i], unknown})
	}
	return types.NewRefValList(types.DefaultTypeAdapter, values)
}

// plainData turns a value of CEL into one that encoding/json renders.
func plainData(value ref.Val) (any, error) {
	switch v := value.(type) {
	case types.Bool:
		return bool(v), nil
	case types.Int:
		return int64(v), nil
	case types.Uint:
		return uint64(v), nil
	case types.String:
		return string(v), nil
	case types.Double:
		if f := float64(v); !math.IsNaN(f) && !math.IsInf(f, 0) {
			return f, nil
		}
		return nil, errors.New("not a finite number")
	case types.Timestamp:
		return v.UTC().Format(time.RFC3339Nano), nil
	case levelValue:
		return assurance.Level(v).String(), nil
	case traits.Lister:
		return plainList(v)
	case traits.Mapper:
		return plainMap(v)
	}
	return nil, fmt.Errorf("a %s has no form in JSON", value.Type().TypeName())
}

func plainList(list traits.Lister) (any, error) {
	out := []any{}
	for it := list.Iterator(); it.HasNext() == types.True; {
		item, err := plainData(it.Next())
		if err != nil {
			return nil, err
		}
		out = append(out, item)
	}
	return out, nil
}

func plainMap(m traits.Mapper) (any, error) {
	out := map[string]any{}
	for it := m.Iterator(); it.HasNext() == types.True; {
		key, ok := it.Next().(types.String)
		if !ok {
			return nil, errors.New("a key is not a string")
		}
		item, err := plainData(m.Get(key))
		if err != nil {
			return nil, err
		}
		out[string(key)] = item
	}
	return out, nil
}
