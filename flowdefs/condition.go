package flowdefs

import (
	"context"
	"errors"
	"time"

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
	Tags     []string
	Target   string
	Run      RunEnv
	Now      time.Time
	Request  map[string]string // untrusted: what the client says of itself (locale, ...)
}

// AccountEnv is "account": the subject's account or, before the first proof, the claimed one.
// For an unknown account it is the zero value.
type AccountEnv struct {
	Attributes map[string]string
	Types      []string // types of its active authenticators; account.has("totp")
}

// DeviceEnv is "device".
type DeviceEnv struct {
	Bound bool // the run's key belongs to a bound device of the account
}

// ClientEnv is "client"; ID is empty unless the client authenticated itself.
type ClientEnv struct{ ID string }

// RunEnv is "run".
type RunEnv struct {
	Flow    string
	Started time.Time
}

// Condition is one compiled expression. It is immutable and safe for concurrent use.
type Condition struct {
	Source string
	Pos    Pos
}

// Bool evaluates a condition; every failure is an [ErrCondition].
func (c *Condition) Bool(ctx context.Context, env *Env) (bool, error) {
	return false, ErrCondition
}

// Value evaluates an expression of any type to plain Go data that
// encoding/json can render; every failure, null included, is an [ErrCondition].
func (c *Condition) Value(ctx context.Context, env *Env) (any, error) {
	return nil, ErrCondition
}
