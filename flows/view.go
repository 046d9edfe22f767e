package flows

import (
	"encoding/json"
	"time"
)

// Status is the state of a run as clients see it.
type Status string

// The states of a run. All but InProgress are final.
const (
	InProgress Status = "in_progress"
	Completed  Status = "completed"
	Failed     Status = "failed"
	Cancelled  Status = "cancelled"
)

// View is everything that a client is shown of a run. Its JSON form is the
// body of every successful answer of the flow API.
type View struct {
	Flow      FlowView      `json:"flow"`
	Handle    Secret        `json:"handle,omitempty"` // present only when it is new: the client must use it from now on
	NextStep  *NextStep     `json:"nextStep,omitempty"`
	Result    *Result       `json:"result,omitempty"`
	Assurance AssuranceView `json:"assurance"`

	Locale  string          `json:"-"` // that was asked for at the start
	Request json.RawMessage `json:"-"` // what the adapter gave at the start of a run that leaves a code ([StartRequest.Code])
}

// FlowView names the run.
type FlowView struct {
	ID        string    `json:"id"`
	Name      string    `json:"name"`
	Status    Status    `json:"status"`
	Turn      int       `json:"turn"`
	ExpiresAt time.Time `json:"expiresAt"`
}

// NextStep is what the client has to do next.
type NextStep struct {
	Type    string   `json:"type"`
	StepID  string   `json:"stepId"`
	Data    any      `json:"data"`
	Actions []Action `json:"actions"`
}

// Action is one request that the client may send now.
type Action struct {
	Name   string          `json:"name"`
	Method string          `json:"method"`
	Href   string          `json:"href"`
	Schema json.RawMessage `json:"schema,omitempty"` // JSON Schema of the body; absent: no body
}

// AssuranceView is what has been proved so far.
type AssuranceView struct {
	ACR *string  `json:"acr"` // null: nothing yet
	AMR []string `json:"amr"`
}

// Result is what a completed run leaves. It is shown in the completing answer and its idempotent repeat only.
type Result struct {
	Session          Secret    `json:"session"`
	SessionExpiresAt time.Time `json:"sessionExpiresAt"`
	Provider         string    `json:"provider,omitempty"` // where the person signed on last, to say at the next start; absent: at none
	Grant            *Grant    `json:"grant,omitempty"`    // absent for a run without a target
}

// cookie is what the run has ended in, nil if in none.
func (v *View) cookie() *Cookie {
	if v.Result == nil || v.Result.Grant == nil {
		return nil
	}
	return v.Result.Grant.Cookie
}

// Secret is a string that formats as [redacted] everywhere but in JSON, where it stands in answers.
type Secret string

// String returns "[redacted]".
func (Secret) String() string { return "[redacted]" }

// GoString returns "[redacted]".
func (Secret) GoString() string { return "[redacted]" }
