package provider

import (
	"encoding/json"
	"errors"
	"math"
	"net/http"
	"strconv"
	"time"

	"github.com/stile-auth/stile/flows"
)

// The codes of errors (RFC 6749 §4.1.2.1 and §5.2, OpenID Connect Core 1.0 §3.1.2.6, RFC 8707 §2, RFC 9449 §5, RFC 9470).
const (
	errRequest      = "invalid_request"
	errClient       = "invalid_client"
	errGrant        = "invalid_grant"
	errUnauthorized = "unauthorized_client"
	errGrantType    = "unsupported_grant_type"
	errResponseType = "unsupported_response_type"
	errScope        = "invalid_scope"
	errTarget       = "invalid_target"
	errDenied       = "access_denied"
	errServer       = "server_error"
	errBusy         = "temporarily_unavailable"
	errLogin        = "login_required"
	errInteraction  = "interaction_required"
	errProof        = "invalid_dpop_proof"
	errNonce        = "use_dpop_nonce"
	errUnmet        = "unmet_authentication_requirements"
	errToken        = "invalid_token"
	errFewScopes    = "insufficient_scope"
)

// failure is an error that a relying party is told.
type failure struct {
	Code        string `json:"error"`
	Description string `json:"error_description,omitempty"`
	URI         string `json:"error_uri,omitempty"`
	status      int
	wait        time.Duration // until it may be tried again; 0: a moment
	cause       error
}

func fail(code, description string) *failure {
	return &failure{Code: code, Description: description, status: http.StatusBadRequest}
}

// Error says what the relying party is told.
func (f *failure) Error() string { return f.Code + ": " + f.Description }

// Unwrap returns what nobody is told.
func (f *failure) Unwrap() error { return f.cause }

// failureOf makes an error of the engine one that a relying party may be told.
func failureOf(err error) *failure {
	var f *failure
	var pr *flows.Problem
	switch {
	case errors.As(err, &f):
		return f
	case errors.Is(err, flows.ErrUnavailable):
		return &failure{Code: errBusy, Description: "try again later", status: http.StatusServiceUnavailable, cause: err}
	case errors.Is(err, flows.ErrPeople):
		return fail(errTarget, "this resource is for people: somebody has to sign in")
	case errors.Is(err, flows.ErrGrant):
		return &failure{Code: errGrant, Description: "the grant is not good, or not any more", status: http.StatusBadRequest, cause: err}
	case !errors.As(err, &pr):
		return &failure{Code: errServer, Description: "internal error", status: http.StatusInternalServerError, cause: err}
	}
	out := &failure{status: http.StatusBadRequest, cause: err}
	switch {
	case pr.Kind == flows.KindThrottled:
		out.Code, out.Description, out.status, out.wait = errBusy, "too many attempts: try again later", http.StatusTooManyRequests, pr.RetryAfter
	case pr.Kind == flows.KindUnavailable:
		out.Code, out.Description, out.status = errBusy, "try again later", http.StatusServiceUnavailable
	case pr.Kind == flows.KindInternal:
		out.Code, out.Description, out.status = errServer, "internal error", http.StatusInternalServerError
	case pr.Code == flows.CodeUnmet:
		out.Code, out.Description = errUnmet, "what is asked for cannot be reached"
	case pr.Code == flows.CodeNotAllowed:
		out.Code, out.Description = errUnauthorized, "the client may not have that"
	default:
		out.Code, out.Description = errDenied, "the sign-in was not completed"
	}
	return out
}

// write answers a request that no browser has sent.
func (f *failure) write(w http.ResponseWriter) {
	if f.status == http.StatusServiceUnavailable || f.wait > 0 {
		w.Header().Set("Retry-After", strconv.Itoa(max(1, int(math.Ceil(f.wait.Seconds())))))
	}
	writeJSON(w, f.status, f)
}

// encoded is JSON already.
type encoded []byte

func writeJSON(w http.ResponseWriter, status int, content any) {
	body, done := content.(encoded)
	if !done {
		var err error
		if body, err = json.Marshal(content); err != nil {
			w.WriteHeader(http.StatusInternalServerError)
			return
		}
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_, _ = w.Write(body) //nolint:gosec // it is JSON; a reader that went away gets no answer
}
