package webui

import (
	"context"
	"crypto/hmac"
	"encoding/json"
	"errors"
	"math"
	"net/http"
	"net/url"
	"strconv"
	"strings"

	"github.com/stile-auth/stile/flowdefs"
	"github.com/stile-auth/stile/flows"
)

// Where browsers run flows, below the base URL.
const (
	SignInPath   = "/sign-in"
	CallbackPath = "/v1/callback" // and the name of a provider behind it: where providers send browsers back to
)

// runs is what the pages of a sign-in need; [flows.Engine] has it.
type runs interface {
	Show(ctx context.Context, h flows.Secret, c flows.Caller) (flows.View, error)
	Answer(ctx context.Context, h flows.Secret, c flows.Caller, stepID string, turn int, in flows.Input) (flows.View, error)
	Back(ctx context.Context, h flows.Secret, c flows.Caller, turn int) (flows.View, error)
	Resend(ctx context.Context, h flows.Secret, c flows.Caller, turn int) (flows.View, error)
	Activate(ctx context.Context, h flows.Secret, c flows.Caller, turn int, in flows.Input) (flows.View, error)
	Cancel(ctx context.Context, h flows.Secret, c flows.Caller) (flows.View, error)
}

// Returner is for whom a browser runs a flow.
type Returner interface {
	// Return answers the browser when its run has ended; failure is why it has not completed, "" if it has.
	Return(w http.ResponseWriter, r *http.Request, v flows.View, failure string)
	// Target is where Return will send the browser.
	Target(v flows.View) string
}

// activates stands before the id of a step in the value of the button that turns it on.
const activates = "activate "

// Draws are the codes of the prompts that the pages can draw.
func (p *Pages) Draws() []string { return p.draws }

// Session is the session that the browser holds, "" if none.
func (p *Pages) Session(r *http.Request) flows.Secret {
	c, err := r.Cookie(p.named("session"))
	if err != nil {
		return ""
	}
	return flows.Secret(c.Value)
}

// Forget drops the session that the browser holds.
func (p *Pages) Forget(w http.ResponseWriter) { p.setLax(w, p.named("session"), "", -1) }

// Begin goes on from the first view of a run that this browser runs.
func (p *Pages) Begin(w http.ResponseWriter, r *http.Request, v flows.View) {
	p.headers(w)
	p.goOn(w, r, v, nil)
}

// goOn keeps what an answer of the engine changed, and shows what comes next.
func (p *Pages) goOn(w http.ResponseWriter, r *http.Request, v flows.View, err error) {
	var pr *flows.Problem
	if errors.As(err, &pr) && pr.View != nil {
		v = *pr.View
	}
	if err != nil && (pr == nil || pr.View == nil) {
		p.fail(w, r, err)
		return
	}
	if v.Handle != "" {
		p.setLax(w, p.named("run"), string(v.Handle), 0)
	}
	if v.Flow.Status != flows.InProgress {
		p.end(w, r, v, pr)
		return
	}
	if pr == nil {
		seeOther(w, SignInPath)
		return
	}
	p.prompt(w, r, v, pr)
}

// end gives the run to whom it was for.
func (p *Pages) end(w http.ResponseWriter, r *http.Request, v flows.View, pr *flows.Problem) {
	p.setLax(w, p.named("run"), "", -1)
	if v.Result != nil {
		p.setLax(w, p.named("session"), string(v.Result.Session), 0)
	}
	failure := ""
	if v.Flow.Status != flows.Completed {
		failure = flows.CodeDenied
		if pr != nil {
			failure = pr.Code
		}
	}
	p.Returner.Return(w, r, v, failure)
}

// setLax sets a cookie that comes along when another site sends the browser here.
func (p *Pages) setLax(w http.ResponseWriter, name, value string, age int) {
	http.SetCookie(w, &http.Cookie{ //nolint:gosec // Secure wherever there is TLS; without it the pages are on this machine only
		Name: name, Value: value, Path: "/", MaxAge: age, Secure: p.secure, HttpOnly: true, SameSite: http.SameSiteLaxMode,
	})
}

func (p *Pages) caller(w http.ResponseWriter) flows.Caller {
	return flows.Caller{RequestID: requestID(w)}
}

// running is the run of this browser, as it stands.
func (p *Pages) running(w http.ResponseWriter, r *http.Request) (flows.Secret, flows.View, error) {
	c, err := r.Cookie(p.named("run"))
	if err != nil || p.Returner == nil {
		return "", flows.View{}, &flows.Problem{Kind: flows.KindNotFound, Code: flows.CodeNotFound, Err: err}
	}
	v, err := p.Engine.Show(r.Context(), flows.Secret(c.Value), p.caller(w))
	if v.Handle != "" {
		return v.Handle, v, err
	}
	return flows.Secret(c.Value), v, err
}

func (p *Pages) showPrompt(w http.ResponseWriter, r *http.Request) {
	handle, v, err := p.running(w, r)
	var pr *flows.Problem
	if errors.As(err, &pr) && pr.View != nil {
		p.goOn(w, r, v, err)
		return
	}
	if err != nil {
		p.fail(w, r, err)
		return
	}
	if v.Flow.Status != flows.InProgress {
		p.end(w, r, v, nil)
		return
	}
	if p.over(v) { // it is the time that has come which goes on, and not who looks
		v, err = p.Engine.Answer(r.Context(), handle, p.caller(w), v.NextStep.StepID, v.Flow.Turn, flows.Input(`{}`))
		p.goOn(w, r, v, err)
		return
	}
	p.prompt(w, r, v, nil)
}

// prompt draws what the run waits for; pr says what was wrong with the last answer.
func (p *Pages) prompt(w http.ResponseWriter, r *http.Request, v flows.View, pr *flows.Problem) {
	handle := v.Handle
	if c, err := r.Cookie(p.named("run")); handle == "" && err == nil {
		handle = flows.Secret(c.Value)
	}
	s := p.speaker(v.Locale, r)
	page, err := pageOf(v)
	if err != nil {
		p.fail(w, r, err)
		return
	}
	out, err := p.drawn(s, page)
	if err != nil {
		p.fail(w, r, err)
		return
	}
	out.Action = SignInPath
	out.Hidden = []pair{{"_turn", strconv.Itoa(page.Turn)}, {"_token", token(string(handle), page.Turn)}}
	status := http.StatusOK
	if pr != nil {
		seconds := strconv.Itoa(int(math.Ceil(pr.RetryAfter.Seconds())))
		status, out.Wrong = statusOf(pr), s.say(flowdefs.FailureMessage(pr.Code), map[string]string{"seconds": seconds})
		if pr.RetryAfter > 0 {
			w.Header().Set("Retry-After", seconds)
		}
	}
	out.Go = page.Code == codeSSO && pr == nil
	for _, a := range v.NextStep.Actions {
		switch a.Name {
		case "back", "resend", "choose_other", "cancel":
			out.Others = append(out.Others, pairLabel{Value: a.Name, Label: s.say("action."+a.Name, nil)})
		case "activate":
			for _, id := range stepsOf(a.Schema) {
				out.Others = append(out.Others, pairLabel{Value: activates + id, Label: s.say("action.activate", nil) + ": " + id})
			}
		}
	}
	p.allow(w, out, formTargets(p.Returner.Target(v)))
	s.write(w, p, status, out)
}

func statusOf(pr *flows.Problem) int {
	switch pr.Kind {
	case flows.KindThrottled:
		return http.StatusTooManyRequests
	case flows.KindUnavailable:
		return http.StatusServiceUnavailable
	case flows.KindConflict:
		return http.StatusConflict
	default:
		return http.StatusUnprocessableEntity
	}
}

// pageOf is the prompt of a view as forms are made of it.
func pageOf(v flows.View) (flows.Page, error) {
	if v.NextStep == nil {
		return flows.Page{}, errors.New("webui: a run that waits for nothing")
	}
	data, err := json.Marshal(v.NextStep.Data)
	if err != nil {
		return flows.Page{}, err
	}
	page := flows.Page{Code: v.NextStep.Type, Data: data, Turn: v.Flow.Turn, Schema: json.RawMessage(`{"type":"object"}`)}
	for _, a := range v.NextStep.Actions {
		if (a.Name == "submit" || a.Name == "select") && len(a.Schema) > 0 {
			page.Schema = a.Schema
		}
	}
	return page, nil
}

// answerPrompt sends what a form has to the engine.
func (p *Pages) answerPrompt(w http.ResponseWriter, r *http.Request) {
	handle, v, err := p.running(w, r)
	if err != nil {
		p.goOn(w, r, v, err)
		return
	}
	values, ok := posted(w, r)
	turn := v.Flow.Turn
	if !ok || v.NextStep == nil || !hmac.Equal([]byte(values.Get("_token")), []byte(token(string(handle), turn))) || values.Get("_turn") != strconv.Itoa(turn) {
		// A page of before, of another tab, or of another site: nothing of it is done, and
		// the person sees what is waited for now.
		p.prompt(w, r, v, &flows.Problem{Kind: flows.KindConflict, Code: flows.CodeStaleTurn})
		return
	}
	if values.Has("_other") {
		v, err = p.other(r.Context(), handle, p.caller(w), v, values.Get("_other"))
		p.goOn(w, r, v, err)
		return
	}
	page, err := pageOf(v)
	if err != nil {
		p.fail(w, r, err)
		return
	}
	in, err := inputOf(page, values)
	if err != nil {
		p.prompt(w, r, v, &flows.Problem{Kind: flows.KindRejected, Code: flows.CodeWrongAnswer})
		return
	}
	v, err = p.Engine.Answer(r.Context(), handle, p.caller(w), v.NextStep.StepID, turn, in)
	p.goOn(w, r, v, err)
}

// other does what can be done instead of answering.
func (p *Pages) other(ctx context.Context, h flows.Secret, c flows.Caller, v flows.View, action string) (flows.View, error) {
	turn := v.Flow.Turn
	if id, ok := strings.CutPrefix(action, activates); ok {
		in, err := json.Marshal(map[string]string{"step": id})
		if err != nil {
			return v, err
		}
		return p.Engine.Activate(ctx, h, c, turn, in)
	}
	switch action {
	case "back":
		return p.Engine.Back(ctx, h, c, turn)
	case "resend":
		return p.Engine.Resend(ctx, h, c, turn)
	case "cancel":
		return p.Engine.Cancel(ctx, h, c)
	case "choose_other":
		return p.Engine.Answer(ctx, h, c, otherOf(v), turn, flows.Input(`{}`))
	}
	return v, &flows.Problem{Kind: flows.KindConflict, Code: flows.CodeStaleTurn, View: &v}
}

// stepsOf are the steps that a schema lets a client name.
func stepsOf(schema json.RawMessage) []string {
	var s struct {
		Properties struct {
			Step struct {
				Enum []string `json:"enum"`
			} `json:"step"`
		} `json:"properties"`
	}
	if json.Unmarshal(schema, &s) != nil {
		return nil
	}
	return s.Properties.Step.Enum
}

// otherOf is the choose whose other options can be had.
func otherOf(v flows.View) string {
	for _, a := range v.NextStep.Actions {
		if a.Name == "choose_other" {
			u, err := url.Parse(a.Href)
			if err != nil {
				return ""
			}
			return u.Path[strings.LastIndex(u.Path, "/")+1:]
		}
	}
	return ""
}
