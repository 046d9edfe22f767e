package oidcclient

import (
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"regexp"

	"golang.org/x/oauth2"
)

// The classes of failure; see the package documentation.
var (
	ErrUnavailable = errors.New("oidcclient: the provider is unavailable")
	ErrIncomplete  = errors.New("oidcclient: not an authorization response")
	ErrResponse    = errors.New("oidcclient: the authorization response is not acceptable")
	ErrRefused     = errors.New("oidcclient: the provider's answer was refused")
)

// ErrAlgorithm is the [ErrRefused] of a token whose signing algorithm is not among those
// that are configured and that the provider says that it uses.
var ErrAlgorithm = fmt.Errorf("%w: ID token: alg is not one that is taken", ErrRefused)

// AuthorizationError is an error response of the authorization endpoint (RFC
// 6749 §4.1.2.1, OpenID Connect Core §3.1.2.6) to this very request.
type AuthorizationError struct {
	Code string // lower-case letters and underscores
}

// Error names the code.
func (e *AuthorizationError) Error() string {
	return "oidcclient: the provider answered " + e.Code
}

// statusError is an answer that is no success.
type statusError struct {
	what      string
	status    int
	challenge string // of WWW-Authenticate: not repeated
}

func (e *statusError) Error() string {
	return ErrUnavailable.Error() + ": " + e.what + ": HTTP " + http.StatusText(e.status)
}

// Unwrap says what class it is of.
func (e *statusError) Unwrap() error { return ErrUnavailable }

// errorForm is narrower than RFC 6749 allows: every registered code fits it,
// and what fits it can be logged.
const maxErrorCode = 64

var errorForm = regexp.MustCompile(`^[a-z][a-z_]*$`)

func unavailable(what string) error { return fmt.Errorf("%w: %s", ErrUnavailable, what) }
func incomplete(what string) error  { return fmt.Errorf("%w: %s", ErrIncomplete, what) }
func unfit(what string) error       { return fmt.Errorf("%w: %s", ErrResponse, what) }
func refused(what string) error     { return fmt.Errorf("%w: %s", ErrRefused, what) }

// networkError says what went wrong with a request, and repeats nothing of
// what was sent or received.
func networkError(what string, err error) error {
	var status *oauth2.RetrieveError
	var operation *net.OpError
	var location *url.Error
	switch {
	case errors.Is(err, ErrUnavailable): // said already
		return err
	case errors.Is(err, errAmbiguous):
		return refused(what + ": ambiguous JSON")
	case errors.Is(err, errUnusable):
		return fmt.Errorf("%w: %s: %w", ErrUnavailable, what, errUnusable)
	case errors.As(err, &status):
		return fmt.Errorf("%w: %s: HTTP %d", ErrUnavailable, what, status.Response.StatusCode)
	case errors.As(err, &operation):
		return fmt.Errorf("%w: %s: %s failed", ErrUnavailable, what, operation.Op)
	case errors.As(err, &location) && location.Timeout():
		return unavailable(what + ": no answer in time")
	}
	return unavailable(what)
}
