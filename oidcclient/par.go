package oidcclient

import (
	"context"
	"encoding/json"
	"io"
	"net/http"
	"net/url"
	"strings"
)

// Push says whether authorization requests are pushed (RFC 9126).
type Push string

// The ways.
const (
	PushAdvertised Push = ""       // where the provider has an endpoint for it
	PushAlways     Push = "always" // a provider without one is of no use
	PushNever      Push = "never"
)

const maxRequestURI = 2 << 10

// pushes says whether a request to that provider is to be pushed.
func (p *Provider) pushes(m metadata) (bool, error) {
	switch {
	case p.cfg.Push == PushNever && !m.RequiresPush:
		return false, nil
	case m.Push != "":
		return true, nil
	case m.RequiresPush || p.cfg.Push == PushAlways:
		return false, unavailable("the provider takes no pushed requests")
	}
	return false, nil
}

// push hands the parameters of a request to the provider, over our own
// connection, and returns what the browser carries in their place (RFC 9126 §2).
func (p *Provider) push(ctx context.Context, m metadata, query url.Values) (url.Values, error) {
	body, err := p.post(ctx, m, "pushed request", m.Push, query)
	if err != nil {
		return nil, err
	}
	var answer struct {
		RequestURI string `json:"request_uri"`
	}
	if err := json.Unmarshal(body, &answer); err != nil || answer.RequestURI == "" || len(answer.RequestURI) > maxRequestURI {
		return nil, unavailable("pushed request: no request_uri")
	}
	return url.Values{"client_id": {p.cfg.ClientID}, "request_uri": {answer.RequestURI}}, nil
}

// post sends a form as the client that we are.
func (p *Provider) post(ctx context.Context, m metadata, what, address string, form url.Values) ([]byte, error) {
	status, body, err := p.submit(ctx, p.http, m, what, address, form)
	if err == nil && status != http.StatusOK && status != http.StatusCreated {
		err = unavailable(what + ": HTTP " + http.StatusText(status))
	}
	return body, err
}

// submit is post, whatever the status of the answer is.
func (p *Provider) submit(ctx context.Context, client *http.Client, m metadata, what, address string, form url.Values) (int, []byte, error) {
	us, err := p.credentials(m)
	if err != nil {
		return 0, nil, err
	}
	h := http.Header{}
	us.apply(p.cfg.ClientID, form, h)
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, address, strings.NewReader(form.Encode()))
	if err != nil {
		return 0, nil, unavailable(what + ": not an address")
	}
	req.Header = h
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	req.Header.Set("Accept", "application/json")
	resp, err := client.Do(req)
	if err != nil {
		return 0, nil, networkError(what, err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body) // in memory already, and within bounds
	if err != nil {
		return 0, nil, networkError(what, err)
	}
	return resp.StatusCode, body, nil
}
