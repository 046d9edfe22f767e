package flowdefs

import (
	"context"
	"fmt"

	"cel.dev/cel-go/cel"
	"cel.dev/cel-go/common/ast"
	"cel.dev/cel-go/common/types"
)

// possibility compiles an expression that reads account once more, so that it
// can be evaluated without knowing the account; nil if it does not read it.
func possibility(env *cel.Env, checked *cel.Ast) (cel.Program, error) {
	reads := false
	ast.PreOrderVisit(checked.NativeRep().Expr(), ast.NewExprVisitor(func(e ast.Expr) {
		reads = reads || e.Kind() == ast.IdentKind && e.AsIdent() == "account"
	}))
	if !reads {
		return nil, nil
	}
	return env.Program(checked, cel.EvalOptions(cel.OptPartialEval), cel.CostLimit(maxCost), cel.InterruptCheckFrequency(100))
}

// Possible evaluates a condition without looking at the account: true if some
// account could make it true. It is asked before the first proof, when nobody
// may learn what an account has. Every failure is an [ErrCondition].
func (c *Condition) Possible(ctx context.Context, env *Env) (bool, error) {
	return c.withoutAccount(ctx, env, true)
}

// Certain is the other side of [Condition.Possible]: true only if it is true
// whatever the account.
func (c *Condition) Certain(ctx context.Context, env *Env) (bool, error) {
	return c.withoutAccount(ctx, env, false)
}

func (c *Condition) withoutAccount(ctx context.Context, env *Env, unknown bool) (bool, error) {
	if c == nil || c.possible == nil {
		return c.Bool(ctx, env)
	}
	if c.dark(env) {
		hidden := *env
		hidden.Account.Hidden = true
		return c.Bool(ctx, &hidden)
	}
	vars, err := cel.PartialVars(activation{c.unknowing(env)}, cel.AttributePattern("account"))
	if err != nil {
		return false, fmt.Errorf("%w: %s: %w", ErrCondition, c.Pos, err)
	}
	value, _, err := c.possible.ContextEval(ctx, vars)
	if types.IsUnknown(value) && (env.Unknown == nil || ofAccount(value)) {
		return unknown, nil
	}
	hidden := *env
	hidden.Account.Hidden = true
	return c.settled(&hidden, value, err)
}
