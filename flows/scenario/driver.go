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
	"strconv"
	"time"

	"github.com/stile-auth/stile/flows"
)

// driver sends what a client sends. What comes back is the status and body of
// the API, however it was asked.
type driver interface {
	start(ctx context.Context, s startBody) (reply, error)
	show(ctx context.Context, handle string) (reply, error)
	act(ctx context.Context, handle string, a action, body json.RawMessage) (reply, error)
	// page opens a link, types an answer, and returns the query of the redirect.
	page(ctx context.Context, uri string, turn int, typed json.RawMessage) (query string, err error)
	// press opens the page of a link that was sent, does what word says, and returns the code that is shown.
	press(ctx context.Context, uri, word string) (code string, err error)
}

// reply is one answer of the API.
type reply struct {
	status int
	body   []byte
}

// startBody is the body of POST /v1/flows.
type startBody struct {
	ClientID     string   `json:"clientId"`
	Flow         string   `json:"flow,omitempty"`
	Target       string   `json:"target,omitempty"`
	ACRValues    []string `json:"acrValues,omitempty"`
	MaxAge       *int64   `json:"maxAge,omitempty"`
	LoginHint    string   `json:"loginHint,omitempty"`
	Provider     string   `json:"provider,omitempty"`
	Locale       string   `json:"locale,omitempty"`
	Capabilities []string `json:"capabilities,omitempty"`
	Session      string   `json:"session,omitempty"`
	Activate     []string `json:"activate,omitempty"`

	CodeChallenge string `json:"codeChallenge,omitempty"`

	Transaction map[string]string `json:"transaction,omitempty"`
}

// overHTTP talks to the API's handler as an app would.
type overHTTP struct {
	handler http.Handler
	base    string
	phone   Phone
	browse  func(ctx context.Context, uri string, typed map[string]string) (string, error)
	button  func(ctx context.Context, uri, button string) (string, error)
	origin  func() string // of the client's page, "" if it is no page
}

func (d overHTTP) start(ctx context.Context, s startBody) (reply, error) {
	body, err := json.Marshal(s)
	if err != nil {
		return reply{}, err
	}
	return d.send(ctx, http.MethodPost, "/v1/flows", "", body)
}

func (d overHTTP) show(ctx context.Context, handle string) (reply, error) {
	return d.send(ctx, http.MethodGet, "/v1/flow", handle, nil)
}

func (d overHTTP) act(ctx context.Context, handle string, a action, body json.RawMessage) (reply, error) {
	return d.send(ctx, a.Method, a.Href, handle, body)
}

func (d overHTTP) send(ctx context.Context, method, href, handle string, body []byte) (reply, error) {
	var content io.Reader = http.NoBody
	if body != nil {
		content = bytes.NewReader(body)
	}
	req, err := http.NewRequestWithContext(ctx, method, d.base+href, content)
	if err != nil {
		return reply{}, err
	}
	req.RemoteAddr, req.RequestURI = "192.0.2.1:1234", href
	if body != nil {
		req.Header.Set("Content-Type", "application/json")
	}
	if handle != "" {
		req.Header.Set("Authorization", "Flow "+handle)
	}
	if origin := d.origin(); origin != "" {
		req.Header.Set("Origin", origin)
	}
	if d.phone != nil {
		proof, err := d.phone.Proof(method, d.base+req.URL.Path, "", "")
		if err != nil {
			return reply{}, err
		}
		req.Header.Set("DPoP", proof)
	}
	w := &recorder{header: http.Header{}, status: http.StatusOK}
	d.handler.ServeHTTP(w, req)
	return reply{w.status, w.body.Bytes()}, nil
}

// recorder keeps an answer.
type recorder struct {
	header http.Header
	status int
	body   bytes.Buffer
}

// Header implements [http.ResponseWriter].
func (r *recorder) Header() http.Header { return r.header }

// WriteHeader implements [http.ResponseWriter].
func (r *recorder) WriteHeader(status int) { r.status = status }

// Write implements [http.ResponseWriter].
func (r *recorder) Write(b []byte) (int, error) { return r.body.Write(b) }

// onEngine calls the engine itself, and writes what it returns as the API would.
type onEngine struct {
	engine *flows.Engine
	phone  Phone
	origin func() string
}

func (d onEngine) caller() flows.Caller {
	c := flows.Caller{Origin: d.origin()}
	if d.phone != nil {
		c.Key = d.phone.Thumbprint()
	}
	return c
}

func (d onEngine) start(ctx context.Context, s startBody) (reply, error) {
	q := flows.StartRequest{
		ClientID: s.ClientID, Flow: s.Flow, Target: s.Target, ACRValues: s.ACRValues, LoginHint: s.LoginHint, Provider: s.Provider,
		Locale: s.Locale, Capabilities: s.Capabilities, Session: flows.Secret(s.Session), Activate: s.Activate,
		Transaction: s.Transaction, CodeChallenge: s.CodeChallenge,
	}
	if s.MaxAge != nil {
		age := time.Duration(*s.MaxAge) * time.Second
		q.MaxAge = &age
	}
	v, err := d.engine.Start(ctx, d.caller(), q)
	return answerOf(http.StatusCreated, v, err)
}

func (d onEngine) show(ctx context.Context, handle string) (reply, error) {
	v, err := d.engine.Show(ctx, flows.Secret(handle), d.caller())
	return answerOf(http.StatusOK, v, err)
}

func (d onEngine) act(ctx context.Context, handle string, a action, body json.RawMessage) (reply, error) {
	h, c, in := flows.Secret(handle), d.caller(), flows.Input(body)
	if a.Name == "cancel" {
		v, err := d.engine.Cancel(ctx, h, c)
		return answerOf(http.StatusOK, v, err)
	}
	step, turn, err := a.target()
	if err != nil {
		return reply{}, err
	}
	switch a.Name {
	case "back":
		v, err := d.engine.Back(ctx, h, c, turn)
		return answerOf(http.StatusOK, v, err)
	case "resend":
		v, err := d.engine.Resend(ctx, h, c, turn)
		return answerOf(http.StatusOK, v, err)
	case "activate":
		v, err := d.engine.Activate(ctx, h, c, turn, in)
		return answerOf(http.StatusOK, v, err)
	case "hand_over":
		v, err := d.engine.HandOver(ctx, h, c, turn)
		return answerOf(http.StatusOK, v, err)
	case "restart":
		v, err := d.engine.Restart(ctx, h, c, turn)
		return answerOf(http.StatusCreated, v, err)
	}
	v, err := d.engine.Answer(ctx, h, c, step, turn, in)
	return answerOf(http.StatusOK, v, err)
}

// action is what a view offers to do.
type action struct {
	Name   string `json:"name"`
	Method string `json:"method"`
	Href   string `json:"href"`
}

// target reads the step and the turn out of a link.
func (a action) target() (step string, turn int, err error) {
	u, err := url.Parse(a.Href)
	if err != nil {
		return "", 0, err
	}
	turn, err = strconv.Atoi(u.Query().Get("turn"))
	return u.Path[bytes.LastIndexByte([]byte(u.Path), '/')+1:], turn, err
}

// problem is a problem document with the members of a view, in the API's order.
type problem struct {
	Type              string               `json:"type"`
	Title             string               `json:"title"`
	Status            int                  `json:"status"`
	Code              string               `json:"code"`
	Detail            string               `json:"detail,omitempty"`
	RetryAfter        int64                `json:"retryAfter,omitempty"`
	AttemptsRemaining *int                 `json:"attemptsRemaining,omitempty"`
	Flow              *flows.FlowView      `json:"flow,omitempty"`
	Handle            flows.Secret         `json:"handle,omitempty"`
	NextStep          *flows.NextStep      `json:"nextStep,omitempty"`
	Assurance         *flows.AssuranceView `json:"assurance,omitempty"`
}

// statusOf maps the classes of problems to HTTP.
func statusOf(k flows.Kind) int {
	status, ok := map[flows.Kind]int{
		flows.KindMalformed: 400, flows.KindUnauthorized: 401, flows.KindFailed: 403, flows.KindNotFound: 404, flows.KindConflict: 409,
		flows.KindFinished: 410, flows.KindRejected: 422, flows.KindThrottled: 429, flows.KindUnavailable: 503,
	}[k]
	if !ok {
		return http.StatusInternalServerError
	}
	return status
}

// answerOf writes what the engine returned.
func answerOf(success int, v flows.View, err error) (reply, error) {
	if err == nil {
		body, err := json.Marshal(v)
		return reply{success, body}, err
	}
	var p *flows.Problem
	if !errors.As(err, &p) {
		return reply{}, fmt.Errorf("scenario: the engine returned an error that is no problem: %w", err)
	}
	doc := problem{Type: "about:blank", Status: statusOf(p.Kind), Code: p.Code, Detail: p.Detail}
	doc.Title = http.StatusText(doc.Status)
	switch doc.Status {
	case http.StatusNotFound:
		doc.Code, doc.Detail = flows.CodeNotFound, "There is no such flow."
	case http.StatusInternalServerError:
		doc.Code, doc.Detail = flows.CodeInternal, "The server made a mistake. Nothing was granted."
	default:
		doc.RetryAfter, doc.AttemptsRemaining = seconds(p.RetryAfter), p.AttemptsRemaining
		if p.View != nil {
			doc.Flow, doc.Handle, doc.NextStep, doc.Assurance = &p.View.Flow, p.View.Handle, p.View.NextStep, &p.View.Assurance
		}
	}
	body, merr := json.Marshal(doc)
	return reply{doc.Status, body}, merr
}
