package app

import (
	"fmt"
	"math"
	"mime"
	"net/http"
	"strconv"
	"time"

	"github.com/go-jose/go-jose/v4/json"
)

// ProblemError is an RFC 9457 answer of Stile.
type ProblemError struct {
	Status            int
	Code              string // stable
	Title             string
	Detail            string
	RetryAfter        time.Duration // 0: not said
	AttemptsRemaining *int          // nil: not said
	view              view          // zero when the problem shows none
}

// Error names the status and the code.
func (p *ProblemError) Error() string {
	text := fmt.Sprintf("stile answered %d %s", p.Status, p.Code)
	if p.Detail != "" {
		text += ": " + p.Detail
	}
	return text
}

// StepError says at which step a run ended.
type StepError struct {
	Type   string // nextStep.type; "" at the start
	StepID string
	Err    error // often a *[ProblemError]
}

// Error names the step first.
func (e *StepError) Error() string {
	if e.Type == "" {
		return "app: start: " + e.Err.Error()
	}
	return fmt.Sprintf("app: %s (step %s): %v", e.Type, e.StepID, e.Err)
}

// Unwrap returns what went wrong at the step.
func (e *StepError) Unwrap() error { return e.Err }

// problemOf reads an answer that is no success.
func problemOf(status int, header http.Header, body []byte) error {
	media, _, _ := mime.ParseMediaType(header.Get("Content-Type"))
	if media != "application/problem+json" {
		return fmt.Errorf("stile answered %d with %q and not with a problem document", status, media)
	}
	var doc struct {
		Status            int      `json:"status"`
		Code              string   `json:"code"`
		Title             string   `json:"title"`
		Detail            string   `json:"detail"`
		RetryAfter        *float64 `json:"retryAfter"` // seconds
		AttemptsRemaining *int     `json:"attemptsRemaining"`
	}
	if err := json.Unmarshal(body, &doc); err != nil {
		return fmt.Errorf("stile answered %d with a broken problem document: %w", status, err)
	}
	if doc.Code == "" || doc.Status != 0 && doc.Status != status {
		return fmt.Errorf("stile answered %d with a problem document of status %d and code %q", status, doc.Status, doc.Code)
	}
	p := &ProblemError{Status: status, Code: doc.Code, Title: doc.Title, Detail: doc.Detail, AttemptsRemaining: doc.AttemptsRemaining}
	p.RetryAfter = retryAfter(doc.RetryAfter, header.Get("Retry-After"))
	if v, err := parseView(body); err == nil {
		p.view = v
	}
	return p
}

// retryAfter takes the member of the problem document or else the header
// (RFC 9110 section 10.2.3), in seconds. Whatever makes no sense is 0.
func retryAfter(member *float64, header string) time.Duration {
	seconds := 0.0
	if member != nil {
		seconds = *member
	} else if n, err := strconv.ParseUint(header, 10, 31); err == nil {
		seconds = float64(n)
	}
	if seconds <= 0 || seconds > math.MaxInt32 {
		return 0
	}
	return time.Duration(seconds * float64(time.Second))
}
