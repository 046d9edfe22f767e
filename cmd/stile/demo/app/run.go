package app

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"time"
)

const (
	maxSteps     = 50 // of one run; more means that it goes in circles
	maxThrottled = 3
	maxRedrawn   = 3
)

// StartOptions say what to start. Exactly one of Target and Flow is set.
type StartOptions struct {
	Target    string
	Flow      string
	ACRValues []string       // what the API's challenge asked for (RFC 9470)
	MaxAge    *time.Duration // likewise, in whole seconds; nil: not asked
	Session   string         // of an earlier run, "" for none
	LoginHint string
	Locale    string

	Transaction map[string]string // what is to be approved, for flows that ask for it
}

// Result is what a completed run left.
type Result struct {
	Token            string // "" for a run without a target
	Scheme           string // HTTP authentication scheme of the token
	Session          string
	ExpiresAt        time.Time // of the token
	SessionExpiresAt time.Time
	Steps            []string // nextStep.type, in the order in which they came
	AMR              []string
	ACR              string
}

// Run starts a flow and answers its steps until it is completed. A failure is
// a *[StepError] that names the step; the run is left as it is.
func (a *App) Run(ctx context.Context, opts StartOptions) (Result, error) {
	r := &run{app: a}
	v, err := r.start(ctx, opts)
	if err != nil {
		return Result{}, &StepError{Err: err}
	}
	for range maxSteps {
		if v.NextStep == nil {
			return r.finish(v), nil
		}
		s := v.NextStep
		r.steps = append(r.steps, s.Type)
		if v, err = r.take(ctx, s); err != nil {
			return Result{}, &StepError{Type: s.Type, StepID: s.StepID, Err: err}
		}
	}
	return Result{}, &StepError{Type: v.NextStep.Type, StepID: v.NextStep.StepID, Err: fmt.Errorf("not completed after %d steps", maxSteps)}
}

// run is one execution of a flow, seen from the app.
type run struct {
	app       *App
	handle    string
	steps     []string
	throttled int
	redrawn   int
	retried   string // the step whose one-time code was typed a second time
}

func (r *run) start(ctx context.Context, opts StartOptions) (view, error) {
	if (opts.Target == "") == (opts.Flow == "") {
		return view{}, errors.New("exactly one of Target and Flow must be set")
	}
	body, err := marshal(opts.body(r.app.cfg))
	if err != nil {
		return view{}, err
	}
	u := r.app.base.JoinPath("v1", "flows")
	v, err := r.app.send(ctx, request{method: http.MethodPost, url: u, body: body, key: random()})
	if err != nil {
		return view{}, err
	}
	if v.Handle == "" {
		return view{}, errors.New("the started run has no handle")
	}
	r.handle = v.Handle
	return v, nil
}

// marshal leaves "&" as it is: the bodies are read by people too.
func marshal(values map[string]any) ([]byte, error) {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	if err := e.Encode(values); err != nil {
		return nil, fmt.Errorf("app: body: %w", err)
	}
	return bytes.TrimSpace(b.Bytes()), nil
}

func (o StartOptions) body(cfg Config) map[string]any {
	body := map[string]any{"clientId": cfg.ClientID}
	for name, value := range map[string]string{
		"target": o.Target, "flow": o.Flow, "session": o.Session, "loginHint": o.LoginHint, "locale": o.Locale,
	} {
		if value != "" {
			body[name] = value
		}
	}
	if len(o.ACRValues) > 0 {
		body["acrValues"] = o.ACRValues
	}
	if len(cfg.Capabilities) > 0 {
		body["capabilities"] = cfg.Capabilities
	}
	if len(o.Transaction) > 0 {
		body["transaction"] = o.Transaction
	}
	if o.MaxAge != nil {
		body["maxAge"] = int64(*o.MaxAge / time.Second)
	}
	return body
}

// take answers one step, again if the server says that it may be.
func (r *run) take(ctx context.Context, s *step) (view, error) {
	for {
		v, err := r.answer(ctx, s)
		var p *ProblemError
		if err == nil || !errors.As(err, &p) {
			return v, err
		}
		if err := r.mayRepeat(ctx, s, p); err != nil {
			return view{}, err
		}
		if p.view.NextStep != nil { // the same step, perhaps with another turn or challenge
			s = p.view.NextStep
		}
	}
}

// mayRepeat waits until the step may be answered once more, or returns the problem.
func (r *run) mayRepeat(ctx context.Context, s *step, p *ProblemError) error {
	switch {
	case p.Status == http.StatusTooManyRequests && p.RetryAfter > 0 && r.throttled < maxThrottled:
		if p.RetryAfter > r.app.cfg.MaxWait {
			return fmt.Errorf("%w (to be repeated after %s, which is too long)", p, p.RetryAfter)
		}
		r.throttled++
		return r.app.cfg.Wait(ctx, p.RetryAfter)
	case p.Code == "stale_turn" && p.view.NextStep != nil && r.redrawn < maxRedrawn:
		r.redrawn++ // something has happened elsewhere: what is shown now is what counts
		return nil
	case p.Status == http.StatusUnprocessableEntity && s.Type == typeOTP && r.retried != s.StepID:
		// The code may have been used, or the clocks may differ: type the next one.
		r.retried = s.StepID
		return r.app.cfg.Wait(ctx, untilNextCode(r.app.cfg.Now(), s))
	}
	return p
}

// answer sends what the user and the device say to one step.
func (r *run) answer(ctx context.Context, s *step) (view, error) {
	act, err := s.forward()
	if err != nil {
		return view{}, err
	}
	u, err := r.app.resolve(act.Href)
	if err != nil {
		return view{}, err
	}
	values, err := r.app.draw(ctx, s, act)
	if err != nil {
		return view{}, err
	}
	if err := fits(values, act.Schema); err != nil {
		return view{}, err
	}
	req := request{method: act.Method, url: u, handle: r.handle, key: random()}
	if len(act.Schema) > 0 {
		if req.body, err = marshal(values); err != nil {
			return view{}, err
		}
	}
	v, err := r.app.send(ctx, req)
	if err != nil {
		return view{}, err
	}
	if v.Handle != "" {
		r.handle = v.Handle
	}
	if s.Type == typeEnrolment {
		r.app.cfg.Device.Confirm()
	}
	return v, nil
}

func (r *run) finish(v view) Result {
	out := Result{
		Session: v.Result.Session, SessionExpiresAt: v.Result.SessionExpiresAt,
		Steps: r.steps, AMR: v.Assurance.AMR,
	}
	if v.Assurance.ACR != nil {
		out.ACR = *v.Assurance.ACR
	}
	if g := v.Result.Grant; g != nil {
		out.Token, out.Scheme, out.ExpiresAt = g.Token, g.Scheme, g.ExpiresAt
		r.app.remember(g.Token, g.Scheme)
	}
	return out
}
