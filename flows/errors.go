package flows

import (
	"errors"
	"fmt"
	"time"
)

// Errors that stores and steps return to the engine.
var (
	ErrSignOnAgain = errors.New("flows: the provider's tokens are no good any more")
	ErrNotFound    = errors.New("flows: not found")
	ErrExists      = errors.New("flows: exists already")
	ErrConflict    = errors.New("flows: changed by somebody else")
	ErrEnded       = errors.New("flows: the account's sessions have ended")
	ErrTaken       = errors.New("flows: one-time mark is taken")
	ErrUnavailable = errors.New("flows: a dependency is unavailable")
	ErrMalformed   = errors.New("flows: malformed input")
)

// Kind is the class of a problem; adapters map it to their protocol's status.
type Kind int

// The classes, with the HTTP status that they mean.
const (
	KindInternal     Kind = iota // 500 a bug; nothing granted
	KindMalformed                // 400
	KindUnauthorized             // 401 client authentication or a refused external token
	KindFailed                   // 403 the run failed for good
	KindNotFound                 // 404 unknown, expired, foreign or rotated handle, or a key that does not fit: one and the same answer
	KindConflict                 // 409 stale turn, not the current step, or a repeat while the first is in flight
	KindFinished                 // 410 finished, with the right handle
	KindRejected                 // 422 wrong answer
	KindThrottled                // 429
	KindUnavailable              // 503 a dependency failed; the step can be retried
)

// The stable codes of problems. Adapters add their own for what only they can see.
const (
	CodeInternal        = "internal_error"
	CodeMalformed       = "invalid_request"
	CodeNotFound        = "flow_not_found"
	CodeStaleTurn       = "stale_turn"
	CodeNotCurrent      = "not_current_step"
	CodeInFlight        = "in_flight"
	CodeFinished        = "flow_finished"
	CodeWrongAnswer     = "wrong_answer"
	CodeTokenRefused    = "external_token_refused"
	CodeThrottled       = "throttled"
	CodeUnavailable     = "dependency_unavailable"
	CodeDenied          = "access_denied"
	CodeRequirement     = "requirement_not_met"
	CodeNotPropagated   = "not_propagated"
	CodeBrowserRequired = "browser_required"
	CodeUnmet           = "unmet_authentication_requirements"
	CodeExhausted       = "attempts_exhausted"
	CodeLocked          = "authenticator_locked"
	CodeInsufficient    = "insufficient_authentication"
	CodeNoOption        = "no_option_left"
	CodeDeviceRequired  = "device_required"
	CodeUnknownClient   = "unknown_client"
	CodeNotAllowed      = "flow_not_allowed"
	CodeProofRequired   = "invalid_dpop_proof"
	CodeKeyReused       = "idempotency_key_reused"
	CodeCannotDraw      = "unsupported_client_capabilities"
	CodeUnhandledExit   = "unhandled_exit"
	CodeSubjectChanged  = "subject_changed"
	CodeDefinitionGone  = "definition_unavailable"
	CodeNotPossibleHere = "action_not_allowed"
	CodeTimeout         = "step_timeout"
	CodeObligation      = "obligation_open"
	CodeUnavailableStep = "step_unavailable"
	CodeLoginRequired   = "login_required"
	CodeWaitLonger      = "wait_longer"
	CodeLoop            = "too_many_moves"
	CodeJustEnrolled    = "authenticator_just_enrolled"
	CodeNotHanded       = "handover_refused"
)

// Problem is an error that may be shown to clients, in its class, with its
// stable code and, unless the handle is not right, the current view.
type Problem struct {
	Kind              Kind
	Code              string
	Detail            string // a fixed sentence, never data
	RetryAfter        time.Duration
	AttemptsRemaining *int
	View              *View
	Enrol             string // of CodeUnmet: the flow that the client may start, so that the next run can reach its goal
	Err               error  // for the log only

	recorded bool // its audit events are part of the change that it tells of
}

// Error names the code and the internal cause; do not show it to clients.
func (p *Problem) Error() string {
	if p.Err != nil {
		return fmt.Sprintf("flows: %s: %v", p.Code, p.Err)
	}
	return "flows: " + p.Code
}

// Unwrap returns the internal cause.
func (p *Problem) Unwrap() error { return p.Err }
