package flows

import (
	"context"
	"errors"
	"time"

	"go.uber.org/zap"

	"github.com/stile-auth/stile/flowdefs"
)

// EngineConfig is everything that an Engine needs. All fields are required unless a default is named.
type EngineConfig struct {
	Definitions *flowdefs.Set
	Registry    *Registry
	Store       Store
	Texts       Definitions
	Sessions    Sessions
	Throttle    Throttle
	Marks       Marks
	Accounts    Accounts
	Recorder    Recorder
	Sealer      Sealer
	Propagators map[string]Propagator // by type, e.g. "bearer_jwt"
	Logger      *zap.Logger
	Now         func() time.Time
	PathPrefix  string        // of the hrefs of actions; default "/v1"
	RunTTL      time.Duration // default 10 minutes
	SessionTTL  time.Duration // default 12 hours
	DecoyKey    []byte        // 32 bytes; keys what unknown accounts are shown and counted under
}

// StartRequest starts a run. Exactly one of Flow and Target is set.
type StartRequest struct {
	ClientID     string
	Flow         string
	Target       string
	ACRValues    []string // necessary: the run fails if none is met (RFC 9470 §5)
	MaxAge       *time.Duration
	LoginHint    string
	Locale       string
	Capabilities []string // step codes that the client can draw; empty: all
	Session      Secret
}

// Caller is who sends a request, as the adapter verified it.
type Caller struct {
	Key            string // RFC 7638 thumbprint of a valid DPoP proof, "" if there was none
	IdempotencyKey string // as sent, "" if none
	Body           []byte // what the idempotency key vouches for: the request in any canonical form
	RequestID      string
}

// ErrBuild marks code that is not there.
var errBuild = errors.New("flows: unbuilt")

// Engine runs flows. Safe for concurrent use.
type Engine struct{ cfg EngineConfig }

// NewEngine checks the configuration and compiles all flows; it returns every mistake at once.
func NewEngine(cfg EngineConfig) (*Engine, error) { return nil, errBuild }

// Start starts a run. Every error is a *[Problem].
func (e *Engine) Start(ctx context.Context, c Caller, r StartRequest) (View, error) {
	return View{}, errBuild
}

// Show returns the current view.
func (e *Engine) Show(ctx context.Context, h Secret, c Caller) (View, error) { return View{}, errBuild }

// Answer answers the current step: stepID and turn as the href had them.
func (e *Engine) Answer(ctx context.Context, h Secret, c Caller, stepID string, turn int, in Input) (View, error) {
	return View{}, errBuild
}

// Back returns to the previous prompt that has no completed evidence.
func (e *Engine) Back(ctx context.Context, h Secret, c Caller) (View, error) { return View{}, errBuild }

// Restart starts the same flow anew with the same client and key; the old run ends.
func (e *Engine) Restart(ctx context.Context, h Secret, c Caller) (View, error) {
	return View{}, errBuild
}

// Cancel ends the run; the view says cancelled.
func (e *Engine) Cancel(ctx context.Context, h Secret, c Caller) (View, error) {
	return View{}, errBuild
}

// Refuse records that an adapter refused a request before it reached the
// engine (malformed, too large, a bad proof): one audit event.
func (e *Engine) Refuse(ctx context.Context, c Caller, code string) error { return errBuild }

// TakeProof takes the one-time mark of a DPoP proof (RFC 9449 §11.1); [ErrTaken] if it was seen before.
func (e *Engine) TakeProof(ctx context.Context, thumbprint, jti string, expires time.Time) error {
	return errBuild
}

// Ready reports whether the engine can serve: nil, or which dependency cannot be used.
func (e *Engine) Ready(ctx context.Context) error { return errBuild }

// Sweep removes what has expired, in steps of at most limit rows.
func (e *Engine) Sweep(ctx context.Context, limit int) error { return errBuild }

// Client returns the client of that id, for adapters (CORS origins).
func (e *Engine) Client(id string) (flowdefs.Client, bool) { return flowdefs.Client{}, false }

// Origins returns every origin that some client allows, sorted.
func (e *Engine) Origins() []string { return nil }
