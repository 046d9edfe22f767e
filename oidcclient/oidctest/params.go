package oidctest

import (
	"io"
	"mime"
	"net/http"
	"net/url"
	"slices"
	"strings"
)

// params are the parameters of a request.
type params struct{ values url.Values }

// get is the value of a parameter; one without a value counts as absent
// (RFC 6749 section 3.1).
func (p params) get(name string) string { return p.values.Get(name) }

// fields is the value of a parameter that is a list with spaces.
func (p params) fields(name string) []string { return strings.Fields(p.get(name)) }

// repeated says whether one of the names occurs twice; without names, whether
// any does (RFC 6749 sections 3.1 and 3.2: "MUST NOT be included more than
// once").
func (p params) repeated(names ...string) bool {
	for name, values := range p.values {
		if len(values) > 1 && (len(names) == 0 || slices.Contains(names, name)) {
			return true
		}
	}
	return false
}

// queryParams reads the query of a URL.
func queryParams(r *http.Request) (params, *oauthError) {
	values, err := url.ParseQuery(r.URL.RawQuery)
	if err != nil {
		return params{}, invalidRequest("the query is malformed")
	}
	return params{values}, nil
}

// formParams reads a body of type application/x-www-form-urlencoded, and
// never the query: credentials have no place there (RFC 6749 section 2.3.1).
func formParams(r *http.Request) (params, *oauthError) {
	media, _, err := mime.ParseMediaType(r.Header.Get("Content-Type"))
	if err != nil || media != "application/x-www-form-urlencoded" {
		return params{}, invalidRequest("the body is not application/x-www-form-urlencoded")
	}
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return params{}, invalidRequest("the body cannot be read")
	}
	values, err := url.ParseQuery(string(body))
	if err != nil {
		return params{}, invalidRequest("the body is malformed")
	}
	return params{values}, nil
}

// requestParams reads the query of a GET and the body of a POST.
func requestParams(r *http.Request) (params, *oauthError) {
	if r.Method == http.MethodPost {
		return formParams(r)
	}
	return queryParams(r)
}
