package webui

import (
	"encoding/json"
	"html/template"
	"maps"
	"net/http"
	"net/url"
	"slices"

	"github.com/stile-auth/stile/flows"
)

// maxFields is how many fields the response of a provider may have.
const maxFields = 16

// callback takes a provider's response to the run of this browser, and to no other.
func (p *Pages) callback(w http.ResponseWriter, r *http.Request) {
	p.respond(w, r, map[string]any{"queryString": r.URL.RawQuery})
}

// callbackForm takes a response that a provider's page has posted. Such a request comes
// from another site, so without the browser's cookies: a page of ours posts it again.
// What that page shows is nothing, and what it sends is worth nothing without the cookie
// of the run whose state it has (OAuth 2.0 Form Post Response Mode 1.0 §5).
func (p *Pages) callbackForm(w http.ResponseWriter, r *http.Request) {
	values, ok := posted(w, r)
	fields := map[string]string{}
	for name, value := range values {
		ok = ok && len(value) == 1 && len(values) <= maxFields
		fields[name] = value[0]
	}
	if !ok || len(fields) == 0 {
		p.fail(w, r, &flows.Problem{Kind: flows.KindNotFound, Code: flows.CodeNotFound})
		return
	}
	if p.ours(r) {
		p.respond(w, r, map[string]any{"form": fields})
		return
	}
	p.PostOn(w, r, CallbackPath+"/"+r.PathValue("provider"), values)
}

// PostOn is a page that posts these values by itself. Where the form leads the policy
// cannot say: browsers hold the redirects of whoever takes it against that too, and
// nobody here knows where these go. The page has one form, which is ours.
func (p *Pages) PostOn(w http.ResponseWriter, r *http.Request, to string, values url.Values) {
	p.headers(w)
	s := p.speaker("", r)
	v := view{
		Title: s.say("page.title", nil), Texts: []string{s.say("page.onward", nil)}, Button: s.say("action.submit", nil),
		Action: to, Script: template.JS(onwardScript), //nolint:gosec // a constant of ours
	}
	for _, name := range slices.Sorted(maps.Keys(values)) {
		v.Hidden = append(v.Hidden, pair{name, values.Get(name)})
	}
	w.Header().Set("Content-Security-Policy", p.bare+"; script-src "+hashOf(onwardScript))
	s.write(w, p, http.StatusOK, v)
}

// respond answers the sign-on that the run of this browser waits for.
func (p *Pages) respond(w http.ResponseWriter, r *http.Request, answer map[string]any) {
	handle, v, err := p.running(w, r)
	if err != nil {
		p.goOn(w, r, v, err)
		return
	}
	var data struct {
		Provider   string            `json:"provider"`
		Parameters map[string]string `json:"parameters"`
	}
	page, err := pageOf(v)
	if err == nil {
		err = json.Unmarshal(page.Data, &data)
	}
	provider := r.PathValue("provider")
	if err != nil || page.Code != codeSSO || data.Provider != provider {
		seeOther(w, SignInPath)
		return
	}
	// What another site has the browser open here must not count as an answer: a few of them would end the run.
	if want := data.Parameters["state"]; want != "" && want != stateOf(answer) {
		seeOther(w, SignInPath)
		return
	}
	answer["redirectUri"] = p.BaseURL + CallbackPath + "/" + provider // where it came, by our own configuration
	in, err := json.Marshal(answer)
	if err != nil {
		p.fail(w, r, err)
		return
	}
	v, err = p.Engine.Answer(r.Context(), handle, p.caller(w), v.NextStep.StepID, v.Flow.Turn, in)
	p.goOn(w, r, v, err)
}

// stateOf is the state of a provider's response, "" if it has none or cannot be read.
func stateOf(answer map[string]any) string {
	switch in := answer["form"].(type) {
	case map[string]string:
		return in["state"]
	default:
		query, _ := answer["queryString"].(string)
		values, err := url.ParseQuery(query)
		if err != nil {
			return ""
		}
		return values.Get("state")
	}
}
