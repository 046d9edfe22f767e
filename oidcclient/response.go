package oidcclient

import (
	"context"
	"crypto/subtle"
	"net/url"
	"strings"
)

const maxResponse = 16 << 10

// Code is an authorization code that was meant for us. It is secret, and good once.
type Code struct {
	value    string
	response map[string]any // of the parameter ResponseClaims
}

// String hides the code.
func (Code) String() string { return "[redacted]" }

// GoString hides the code.
func (Code) GoString() string { return "[redacted]" }

// Receive checks an authorization response, given as the query of the redirect
// with or without the mark before it, against the request that waits for it. It
// asks nobody, except for metadata that have to be renewed.
//
// [ErrIncomplete]: there is no response in it. [ErrResponse]: it is not one to
// this request. [AuthorizationError]: the provider refuses. In the first two
// cases the request stays good.
//
// A response of the mode fragment is given as its fragment, one of form_post as
// the query that its form makes: they are encoded alike.
func (p *Provider) Receive(ctx context.Context, r Request, query string) (Code, error) {
	values, err := parseResponse(strings.TrimPrefix(query, p.mark()))
	if err != nil {
		return Code{}, err
	}
	if r.State == "" || subtle.ConstantTimeCompare([]byte(values.Get("state")), []byte(r.State)) != 1 {
		return Code{}, unfit("state")
	}
	if r.Issuer != p.cfg.Issuer {
		return Code{}, unfit("the request went to another provider")
	}
	if err := p.checkSender(ctx, values); err != nil {
		return Code{}, err
	}
	code, failure := values.Get("code"), values.Get("error")
	switch {
	case code != "" && failure != "":
		return Code{}, unfit("a code and an error")
	case code != "":
		return Code{code, p.responseClaims(values)}, nil
	case !errorForm.MatchString(failure) || len(failure) > maxErrorCode:
		return Code{}, unfit("error")
	}
	return Code{}, &AuthorizationError{Code: failure}
}

// responseClaims reads the parameter that holds claims. It came through the
// browser: what cannot be read is not there, and nothing is decided by it.
func (p *Provider) responseClaims(values url.Values) map[string]any {
	text := values.Get(p.cfg.ResponseClaims)
	if p.cfg.ResponseClaims == "" || checkJSON([]byte(text)) != nil {
		return nil
	}
	c, err := decode([]byte(text))
	if err != nil {
		return nil
	}
	return c
}

// mark is what stands before a response in the redirect.
func (p *Provider) mark() string {
	if p.cfg.ResponseMode == ModeFragment {
		return "#"
	}
	return "?"
}

func parseResponse(query string) (url.Values, error) {
	if len(query) > maxResponse {
		return nil, incomplete("too long")
	}
	values, err := url.ParseQuery(query)
	if err != nil {
		return nil, incomplete("not a query")
	}
	for _, all := range values {
		if len(all) > 1 { // RFC 6749 §3.1
			return nil, unfit("a parameter twice")
		}
	}
	switch {
	case values.Get("state") == "":
		return nil, incomplete("no state")
	case values.Get("code") == "" && values.Get("error") == "":
		return nil, incomplete("neither code nor error")
	}
	return values, nil
}

// checkSender is the defence against mix-up (RFC 9207 §2.4).
func (p *Provider) checkSender(ctx context.Context, values url.Values) error {
	if values.Has("iss") {
		if values.Get("iss") != p.cfg.Issuer {
			return unfit("iss")
		}
		return nil
	}
	m, err := p.metadata.get(ctx)
	if err != nil {
		return err
	}
	if m.SendsIssuer {
		return unfit("no iss")
	}
	return nil
}
