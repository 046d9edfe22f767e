package httpapi

import (
	"bytes"
	"encoding/json"
	"errors"
	"net/http"
	"time"

	"github.com/stile-auth/stile/flows"
)

// The codes of problems that only HTTP has.
const (
	CodeNoRoute   = "not_found"              // 404 there is no such path
	CodeMethod    = "method_not_allowed"     // 405
	CodeTooLarge  = "request_too_large"      // 413
	CodeMediaType = "unsupported_media_type" // 415
)

// failure is an answer that is not a view.
type failure struct {
	status     int
	code       string
	detail     string // a fixed sentence, never data
	retryAfter time.Duration
	attempts   *int
	enrol      string
	view       *flows.View
	err        error  // for the log only
	refusal    bool   // the engine has not seen the request: it is told
	reason     string // what the engine is told; "": code
	close      bool   // the rest of the request is not worth reading
}

// refuse makes the failure of a request that does not reach the engine.
func refuse(status int, code, detail string) *failure {
	return &failure{status: status, code: code, detail: detail, refusal: true}
}

// refuseHandle makes the one answer for handles that are not right.
func refuseHandle() *failure {
	return &failure{status: http.StatusNotFound, code: flows.CodeNotFound, refusal: true}
}

// outage is how long a client waits at least that was told that something cannot be used.
const outage = time.Second

func unavailable(err error) *failure {
	return &failure{
		status: http.StatusServiceUnavailable, code: flows.CodeUnavailable,
		detail: "Something that this needs cannot be used at the moment. Try again.", err: err, retryAfter: outage,
	}
}

func internal(err error) *failure {
	return &failure{
		status: http.StatusInternalServerError, code: flows.CodeInternal,
		detail: "The server made a mistake. Nothing was granted.", err: err,
	}
}

// statusOf is the one table from the engine's classes to HTTP.
func statusOf(k flows.Kind) int {
	switch k {
	case flows.KindMalformed:
		return http.StatusBadRequest
	case flows.KindUnauthorized:
		return http.StatusUnauthorized
	case flows.KindFailed:
		return http.StatusForbidden
	case flows.KindNotFound:
		return http.StatusNotFound
	case flows.KindConflict:
		return http.StatusConflict
	case flows.KindFinished:
		return http.StatusGone
	case flows.KindRejected:
		return http.StatusUnprocessableEntity
	case flows.KindThrottled:
		return http.StatusTooManyRequests
	case flows.KindUnavailable:
		return http.StatusServiceUnavailable
	default: // KindInternal, and whatever is new and not in this table
		return http.StatusInternalServerError
	}
}

// failureOf turns an error of the engine into an answer. What is not a
// [flows.Problem] is a bug and shows nothing of itself.
func failureOf(err error) *failure {
	var p *flows.Problem
	switch {
	case !errors.As(err, &p):
		if errors.Is(err, flows.ErrUnavailable) {
			return unavailable(err)
		}
		return internal(err)
	case statusOf(p.Kind) == http.StatusInternalServerError:
		return internal(err)
	}
	return &failure{
		status: statusOf(p.Kind), code: p.Code, detail: p.Detail, retryAfter: p.RetryAfter,
		attempts: p.AttemptsRemaining, enrol: p.Enrol, view: p.View, err: p.Err,
	}
}

// problem is an RFC 9457 problem document with the members of a view.
type problem struct {
	Type              string               `json:"type"`
	Title             string               `json:"title"`
	Status            int                  `json:"status"`
	Code              string               `json:"code"`
	Detail            string               `json:"detail,omitempty"`
	RetryAfter        int64                `json:"retryAfter,omitempty"` // seconds
	AttemptsRemaining *int                 `json:"attemptsRemaining,omitempty"`
	Enrolment         *enrolment           `json:"enrolment,omitempty"`
	Dependencies      []string             `json:"dependencies,omitempty"` // of /readyz: what cannot be used
	Definitions       *Definitions         `json:"definitions,omitempty"`  // of /readyz
	Flow              *flows.FlowView      `json:"flow,omitempty"`
	Handle            flows.Secret         `json:"handle,omitempty"`
	NextStep          *flows.NextStep      `json:"nextStep,omitempty"`
	Assurance         *flows.AssuranceView `json:"assurance,omitempty"`
}

// enrolment names the flow that makes a level reachable.
type enrolment struct {
	Flow string `json:"flow"`
}

func (f *failure) document() problem {
	p := problem{
		Type: "about:blank", Title: http.StatusText(f.status), Status: f.status, Code: f.code,
		Detail: f.detail, RetryAfter: seconds(f.retryAfter), AttemptsRemaining: f.attempts,
	}
	if f.enrol != "" {
		p.Enrolment = &enrolment{f.enrol}
	}
	if f.view != nil {
		p.Flow, p.Handle, p.NextStep, p.Assurance = &f.view.Flow, f.view.Handle, f.view.NextStep, &f.view.Assurance
	}
	return p
}

// seconds rounds up: who waits that long has waited long enough.
func seconds(d time.Duration) int64 {
	if d <= 0 {
		return 0
	}
	return int64((d + time.Second - 1) / time.Second)
}

// renderNotFound makes the bytes that every wrong handle is answered with.
func renderNotFound() ([]byte, error) {
	f := refuseHandle()
	f.detail = "There is no such flow."
	var buf bytes.Buffer
	err := encode(&buf, f.document())
	return buf.Bytes(), err
}

func encode(buf *bytes.Buffer, v any) error {
	e := json.NewEncoder(buf)
	e.SetEscapeHTML(false) // answers are never HTML, and say so
	return e.Encode(v)
}
