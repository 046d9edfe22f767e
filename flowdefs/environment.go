package flowdefs

import (
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strings"

	"cel.dev/cel-go/cel"
	"cel.dev/cel-go/common/env"
	"cel.dev/cel-go/common/types"
	"cel.dev/cel-go/common/types/ref"
	"cel.dev/cel-go/common/types/traits"

	"github.com/stile-auth/stile/flows/assurance"
)

// The types of the environment. Their names cannot be written in an expression.
const (
	accountName  = "account"
	deviceName   = "device"
	clientName   = "client"
	runName      = "run"
	levelsName   = "levels"
	evidenceName = "evidence"
	levelName    = "level"
)

// reachedName is the list of the levels, by name, that the evidence amounts to.
const reachedName = "reached"

// untrusted is the one variable that the client controls.
const untrusted = "request"

// levelTypeOf is the type of levels: ordered, equal only to levels.
func levelTypeOf() *cel.Type { return types.NewObjectType(levelName, traits.ComparerType) }

// variables is what an expression may name. See [Env].
func variables() map[string]*cel.Type {
	stringMap := cel.MapType(cel.StringType, cel.StringType)
	return map[string]*cel.Type{
		"account":   cel.ObjectType(accountName),
		"device":    cel.ObjectType(deviceName),
		"client":    cel.ObjectType(clientName),
		"evidence":  cel.ListType(cel.ObjectType(evidenceName)),
		"acr":       levelTypeOf(),
		"level":     cel.ObjectType(levelsName),
		reachedName: cel.ListType(cel.StringType),
		"tags":      cel.ListType(cel.StringType),
		"owed":      cel.ListType(cel.StringType),
		"assigned":  stringMap,
		"target":    cel.StringType,
		"run":       cel.ObjectType(runName),
		"now":       cel.TimestampType,
		untrusted:   stringMap,
	}
}

// dialect is what all expressions have in common. Left out of the standard
// library are the functions that would let an expression escape its types.
func dialect() []cel.EnvOption {
	return []cel.EnvOption{
		cel.StdLib(cel.StdLibSubset(&env.LibrarySubset{
			DisableMacros:    true,
			ExcludeFunctions: []*env.Function{{Name: "dyn"}, {Name: "type"}},
		})),
		cel.Macros(cel.StandardMacros...),
		cel.HomogeneousAggregateLiterals(),
		cel.DefaultUTCTimeZone(true),
		cel.ParserRecursionLimit(maxNesting),
		cel.ParserExpressionSizeLimit(maxExpression),
		cel.ASTValidators(cel.ValidateDurationLiterals(), cel.ValidateTimestampLiterals(),
			cel.ValidateRegexLiterals(), cel.ValidateComprehensionNestingLimit(maxLoops)),
		cel.Function("words", cel.Overload("words_string", []*cel.Type{cel.StringType}, cel.ListType(cel.StringType), cel.UnaryBinding(words))),
	}
}

// words are those of a text, between its spaces.
func words(text ref.Val) ref.Val {
	s, ok := text.(types.String)
	if !ok {
		return types.MaybeNoSuchOverloadErr(text)
	}
	return types.NewStringList(types.DefaultTypeAdapter, strings.Fields(string(s)))
}

// newEnvironment builds the typed environment.
func newEnvironment() (*cel.Env, error) {
	registry, err := types.NewRegistry()
	if err != nil {
		return nil, fmt.Errorf("flowdefs: %w", err)
	}
	base := &typeProvider{Registry: registry, fields: fieldsOf()}
	options := append(dialect(),
		cel.CustomTypeAdapter(base),
		cel.CustomTypeProvider(base),
		cel.Function("has", cel.MemberOverload("account_has", []*cel.Type{cel.ObjectType(accountName), cel.StringType},
			cel.BoolType, cel.BinaryBinding(holds("")))),
		cel.Function("accepted", cel.MemberOverload("account_accepted", []*cel.Type{cel.ObjectType(accountName), cel.StringType},
			cel.BoolType, cel.BinaryBinding(holds(Accepted)))),
	)
	for _, op := range []string{"_<_", "_<=_", "_>_", "_>=_"} {
		options = append(options, cel.Function(op,
			cel.Overload("level"+op, []*cel.Type{levelTypeOf(), levelTypeOf()}, cel.BoolType)))
	}
	vars := variables()
	for _, name := range slices.Sorted(maps.Keys(vars)) {
		options = append(options, cel.Variable(name, vars[name]))
	}
	return cel.NewCustomEnv(options...)
}

// holds is account.has(type) or account.accepted(document): it has an active
// authenticator of that type, or what stands for the document.
func holds(prefix string) func(account, name ref.Val) ref.Val {
	return func(account, name ref.Val) ref.Val {
		a, ok := account.Value().(*AccountEnv)
		text, isString := name.(types.String)
		if !ok || !isString {
			return types.MaybeNoSuchOverloadErr(name)
		}
		held := prefix + string(text)
		if slices.Contains(a.Types, held) {
			return types.True
		}
		return types.Bool(a.unknown != nil && a.unknown.Has(held))
	}
}

// typeProvider tells CEL our types and adapts their values.
type typeProvider struct {
	*types.Registry
	fields map[string]map[string]*types.FieldType
}

var _ types.Provider = (*typeProvider)(nil)

func (p *typeProvider) FindStructType(name string) (*types.Type, bool) {
	if _, ok := p.fields[name]; ok {
		return types.NewTypeTypeWithParam(types.NewObjectType(name)), true
	}
	return nil, false
}

func (p *typeProvider) FindStructFieldNames(name string) ([]string, bool) {
	fields, ok := p.fields[name]
	return slices.Sorted(maps.Keys(fields)), ok
}

func (p *typeProvider) FindStructFieldType(name, field string) (*types.FieldType, bool) {
	f, ok := p.fields[name][field]
	return f, ok
}

// NewValue refuses: expressions read the environment and cannot make parts of it.
func (p *typeProvider) NewValue(name string, _ map[string]ref.Val) ref.Val {
	return types.NewErr("%s cannot be made by an expression", name)
}

// NativeToValue implements [types.Adapter].
func (p *typeProvider) NativeToValue(value any) ref.Val {
	switch v := value.(type) {
	case ref.Val:
		return v
	case assurance.Level:
		return levelValue(v)
	case *AccountEnv:
		return opaqueOf(accountName, v)
	case *DeviceEnv:
		return opaqueOf(deviceName, v)
	case *ClientEnv:
		return opaqueOf(clientName, v)
	case *RunEnv:
		return opaqueOf(runName, v)
	case levels:
		return opaqueOf(levelsName, v)
	case proof:
		return opaqueOf(evidenceName, v)
	}
	return p.Registry.NativeToValue(value)
}

// levels is the value of "level": its fields are the scale.
type levels struct{}

// opaque is an object of ours inside CEL. It can be read by field, and nothing else.
type opaque struct {
	typ   *types.Type
	value any
}

func opaqueOf(name string, value any) ref.Val { return opaque{types.NewObjectType(name), value} }

func (o opaque) ConvertToNative(t reflect.Type) (any, error) {
	return nil, fmt.Errorf("%s is not %s", o.typ, t)
}

func (o opaque) ConvertToType(t ref.Type) ref.Val {
	return types.NewErr("%s is not %s", o.typ, t.TypeName())
}
func (o opaque) Equal(other ref.Val) ref.Val { return types.Bool(o.value == other.Value()) }
func (o opaque) Type() ref.Type              { return o.typ }
func (o opaque) Value() any                  { return o.value }

// levelValue is a level inside CEL.
type levelValue assurance.Level

var _ traits.Comparer = levelValue(0)

// Compare orders levels among themselves.
func (l levelValue) Compare(other ref.Val) ref.Val {
	o, ok := other.(levelValue)
	switch {
	case !ok:
		return types.MaybeNoSuchOverloadErr(other)
	case l < o:
		return types.IntNegOne
	case l > o:
		return types.IntOne
	}
	return types.IntZero
}

func (l levelValue) ConvertToNative(t reflect.Type) (any, error) {
	return nil, fmt.Errorf("a level is not %s", t)
}

func (l levelValue) ConvertToType(t ref.Type) ref.Val {
	return types.NewErr("a level is not %s", t.TypeName())
}

func (l levelValue) Equal(other ref.Val) ref.Val {
	o, ok := other.(levelValue)
	return types.Bool(ok && l == o)
}
func (l levelValue) Type() ref.Type { return levelTypeOf() }
func (l levelValue) Value() any     { return assurance.Level(l) }
