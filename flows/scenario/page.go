package scenario

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"github.com/stile-auth/stile/flows"
)

// handed says whether the prompt is drawn by a page instead of the app.
func (p *player) handed() bool {
	n := p.view.doc.NextStep
	return n != nil && n.Type == flows.CodeHandover
}

// onPage answers a prompt that was handed over: the app makes a link, the person
// opens it in a browser and types what answer makes of what the page shows, and
// the app brings back what the redirect carries.
func (p *player) onPage(ctx context.Context, m Move, answer func(flows.Page) (json.RawMessage, error)) *Failure {
	if f := p.act(ctx, m, "hand_over", json.RawMessage(`{}`)); f != nil || p.last.refused() {
		return f
	}
	var link struct {
		URI string `json:"uri"`
	}
	if err := json.Unmarshal(p.view.doc.NextStep.Data, &link); err != nil || link.URI == "" {
		return p.fail(m.Pos, "the run has moved on: there is no link to a page")
	}
	page, err := p.world.Engine.Linked(ctx, secretOf(link.URI), "")
	if err != nil {
		return p.fail(m.Pos, "the link leads to no page: %v", err)
	}
	typed, err := answer(page)
	if err != nil {
		return p.fail(m.Pos, "%s: %s: %v", page.StepID, m.Word, err)
	}
	query, err := p.d.page(ctx, link.URI, page.Turn, typed)
	if err != nil {
		return p.fail(m.Pos, "the page of %s: %v", page.StepID, err)
	}
	body, err := json.Marshal(map[string]string{"queryString": query})
	if err != nil {
		return p.fail(m.Pos, "%v", err)
	}
	return p.act(ctx, m, "submit", body)
}

// secretOf is what a link has at its end.
func secretOf(uri string) flows.Secret { return flows.Secret(uri[strings.LastIndexByte(uri, '/')+1:]) }

// pickOnPage picks an option of a selection that a page draws.
func (p *player) pickOnPage(ctx context.Context, m Move) *Failure {
	return p.onPage(ctx, m, func(page flows.Page) (json.RawMessage, error) {
		if !slices.Contains(optionsOf(page.Code, page.Data), any(m.Name)) {
			return nil, fmt.Errorf("option %q is not offered", m.Name)
		}
		return json.Marshal(map[string]string{"select": m.Name})
	})
}

// page takes the way of a browser on the engine itself.
func (d onEngine) page(ctx context.Context, uri string, turn int, typed json.RawMessage) (string, error) {
	secret, err := d.engine.OpenLink(ctx, secretOf(uri), "")
	if err != nil {
		return "", err
	}
	redirect, err := d.engine.AnswerPage(ctx, secret, turn, flows.Input(typed), "")
	if err != nil {
		return "", err
	}
	u, err := url.Parse(redirect)
	if err != nil {
		return "", err
	}
	return u.RawQuery, nil
}

// page fills in the form that the server shows.
func (d overHTTP) page(ctx context.Context, uri string, _ int, typed json.RawMessage) (string, error) {
	if d.browse == nil {
		return "", errors.New("nobody in this world has a browser")
	}
	var members map[string]any
	if err := json.Unmarshal(typed, &members); err != nil {
		return "", err
	}
	values := map[string]string{}
	for name, value := range members {
		values[name] = fmt.Sprint(value)
	}
	return d.browse(ctx, uri, values)
}

// Transport carries requests to a handler of this process.
type Transport struct{ Handler http.Handler }

// RoundTrip implements [http.RoundTripper].
func (t Transport) RoundTrip(req *http.Request) (*http.Response, error) {
	in := req.Clone(req.Context())
	in.RemoteAddr, in.RequestURI, in.Host = "192.0.2.1:1234", req.URL.RequestURI(), req.URL.Host
	if in.Body == nil {
		in.Body = http.NoBody
	}
	w := &recorder{header: http.Header{}, status: http.StatusOK}
	t.Handler.ServeHTTP(w, in)
	return &http.Response{
		Status: http.StatusText(w.status), StatusCode: w.status, Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1, Header: w.header,
		Body: io.NopCloser(bytes.NewReader(w.body.Bytes())), ContentLength: int64(w.body.Len()), Request: req,
	}, nil
}
