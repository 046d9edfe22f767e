package oidctest

import "net/http"

// oauthError is an error with a code from RFC 6749 or OpenID Connect Core
// section 3.1.2.6.
type oauthError struct {
	code, description string
	status            int // of a direct answer; 0 is 400
}

func invalidRequest(description string) *oauthError {
	return &oauthError{code: "invalid_request", description: description}
}

func invalidGrant(description string) *oauthError {
	return &oauthError{code: "invalid_grant", description: description}
}

func invalidScope(description string) *oauthError {
	return &oauthError{code: "invalid_scope", description: description}
}

func invalidClient(description string) *oauthError {
	return &oauthError{code: "invalid_client", description: description, status: http.StatusUnauthorized}
}

func (e *oauthError) httpStatus() int {
	if e.status == 0 {
		return http.StatusBadRequest
	}
	return e.status
}
