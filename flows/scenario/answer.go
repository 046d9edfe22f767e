package scenario

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/http"
	"reflect"
	"slices"
	"strings"

	"github.com/stile-auth/stile/flowdefs"
	"github.com/stile-auth/stile/flows"
)

// answer is an answer of the API, read.
type answer struct {
	http int
	sent []flows.Message // with it
	doc  struct {
		Code       string `json:"code"`
		RetryAfter int64  `json:"retryAfter"`
		Attempts   *int   `json:"attemptsRemaining"`
		Handle     string `json:"handle"`
		Flow       *struct {
			ID     string `json:"id"`
			Name   string `json:"name"`
			Status string `json:"status"`
			Turn   int    `json:"turn"`
		} `json:"flow"`
		NextStep *struct {
			Type    string          `json:"type"`
			StepID  string          `json:"stepId"`
			Data    json.RawMessage `json:"data"`
			Actions []action        `json:"actions"`
		} `json:"nextStep"`
		Result *struct {
			Session string         `json:"session"`
			Grant   map[string]any `json:"grant"`
		} `json:"result"`
		Assurance *struct {
			ACR *string  `json:"acr"`
			AMR []string `json:"amr"`
		} `json:"assurance"`
	}
}

func parse(r reply) (answer, error) {
	a := answer{http: r.status}
	if err := json.Unmarshal(r.body, &a.doc); err != nil {
		return a, fmt.Errorf("the answer is no JSON: %w", err)
	}
	return a, nil
}

// refused says whether the answer is a problem.
func (a *answer) refused() bool { return a.http >= http.StatusBadRequest }

// action finds what the view offers to do.
func (a *answer) action(name string) (action, bool) {
	if a.doc.NextStep == nil {
		return action{}, false
	}
	i := slices.IndexFunc(a.doc.NextStep.Actions, func(x action) bool { return x.Name == name })
	if i < 0 {
		return action{}, false
	}
	return a.doc.NextStep.Actions[i], true
}

func (a *answer) actions() []any {
	out := []any{}
	if a.doc.NextStep != nil {
		for _, x := range a.doc.NextStep.Actions {
			out = append(out, x.Name)
		}
	}
	return out
}

// options are the ids that a selection offers; nil if the prompt is none.
func (a *answer) options() []any {
	if a.doc.NextStep == nil {
		return nil
	}
	return optionsOf(a.doc.NextStep.Type, a.doc.NextStep.Data)
}

// optionsOf are the ids that a prompt of that type offers, if it is a selection.
func optionsOf(typ string, prompt json.RawMessage) []any {
	var data struct {
		Options []struct {
			ID string `json:"id"`
		} `json:"options"`
	}
	if typ != flows.CodeSelection || json.Unmarshal(prompt, &data) != nil {
		return nil
	}
	out := []any{}
	for _, o := range data.Options {
		out = append(out, o.ID)
	}
	return out
}

// facts are what expectations can speak of.
func (a *answer) facts() map[string]any {
	d := &a.doc
	sent := []any{}
	for _, m := range a.sent {
		sent = append(sent, map[string]any{"channel": m.Channel, "to": m.To, "template": m.Template, "locale": m.Locale})
	}
	f := map[string]any{
		"outbox": sent,
		"http":   float64(a.http), "actions": a.actions(), "retryAfter": float64(d.RetryAfter),
		"session": d.Result != nil && d.Result.Session != "",
	}
	if d.Code != "" {
		f["code"] = d.Code
	}
	if d.Attempts != nil {
		f["attemptsRemaining"] = float64(*d.Attempts)
	}
	if d.Flow != nil {
		f["status"], f["flow"] = d.Flow.Status, d.Flow.Name
	}
	if d.NextStep != nil {
		f["nextStep"], f["step"] = d.NextStep.Type, d.NextStep.StepID
		var data any
		if json.Unmarshal(d.NextStep.Data, &data) == nil {
			f["data"] = data
		}
	}
	if o := a.options(); o != nil {
		f["options"] = o
	}
	if d.Assurance != nil {
		amr := []any{}
		for _, m := range d.Assurance.AMR {
			amr = append(amr, m)
		}
		as := map[string]any{"amr": amr}
		if d.Assurance.ACR != nil {
			as["acr"] = *d.Assurance.ACR
		}
		f["assurance"] = as
	}
	if d.Result != nil && d.Result.Grant != nil {
		f["grant"] = d.Result.Grant
		token, _ := d.Result.Grant["token"].(string)
		if c := claimsOf(token); c != nil {
			f["claims"] = c
		}
	}
	return f
}

// claimsOf reads the claims of a JWT without verifying it: it comes from the engine itself.
func claimsOf(token string) any {
	parts := strings.Split(token, ".")
	if len(parts) != 3 {
		return nil
	}
	raw, err := base64.RawURLEncoding.DecodeString(parts[1])
	var claims any
	if err != nil || json.Unmarshal(raw, &claims) != nil {
		return nil
	}
	return claims
}

// String is the answer in one line, without secrets.
func (a *answer) String() string {
	d := &a.doc
	parts := []string{fmt.Sprint(a.http)}
	if d.Code != "" {
		parts[0] += " " + d.Code
	}
	if d.RetryAfter > 0 {
		parts[0] += fmt.Sprintf(" (again after %ds)", d.RetryAfter)
	}
	if d.Flow != nil {
		parts = append(parts, fmt.Sprintf("%s: %s, turn %d", d.Flow.Name, d.Flow.Status, d.Flow.Turn))
	}
	if d.NextStep != nil {
		parts = append(parts, fmt.Sprintf("asks %s (%s)", d.NextStep.Type, d.NextStep.StepID))
	}
	if o := a.options(); o != nil {
		parts = append(parts, "options "+show(o))
	}
	if d.Assurance != nil {
		acr := "none"
		if d.Assurance.ACR != nil {
			acr = *d.Assurance.ACR
		}
		parts = append(parts, fmt.Sprintf("acr %s, amr [%s]", acr, strings.Join(d.Assurance.AMR, ", ")))
	}
	if d.NextStep != nil {
		parts = append(parts, "actions "+show(a.actions()))
	}
	return strings.Join(parts, "; ")
}

// show writes a value as an author would.
func show(v any) string {
	switch v := v.(type) {
	case nil:
		return "nothing"
	case string:
		return v
	case []any:
		list := make([]string, len(v))
		for i := range v {
			list[i] = show(v[i])
		}
		return "[" + strings.Join(list, ", ") + "]"
	case map[string]any:
		var list []string
		for _, k := range keysOf(v) {
			list = append(list, k+": "+show(v[k]))
		}
		return "{" + strings.Join(list, ", ") + "}"
	}
	return fmt.Sprint(v)
}

// compare returns what is not as expected: one line each, with its place.
func (e *Expect) compare(a *answer) []flowdefs.Problem {
	facts := a.facts()
	var out []flowdefs.Problem
	for _, w := range e.wants {
		got := at(facts, w.path)
		if !equal(w.value, got, w.loose) {
			out = append(out, flowdefs.Problem{Pos: w.pos, Message: fmt.Sprintf("%s: expected %s, got %s", dotted(w.path), show(w.value), show(got))})
		}
	}
	return out
}

func at(v any, path []string) any {
	for _, p := range path {
		m, ok := v.(map[string]any)
		if !ok {
			return nil
		}
		v = m[p]
	}
	return v
}

// equal compares as JSON; loose: members of mappings that nobody named do not count.
func equal(want, got any, loose bool) bool {
	if l, ok := want.([]any); ok && loose {
		g, ok := got.([]any)
		return ok && slices.EqualFunc(l, g, func(w, g any) bool { return equal(w, g, true) })
	}
	w, ok := want.(map[string]any)
	g, alike := got.(map[string]any)
	if !ok || !alike || !loose {
		return reflect.DeepEqual(want, got)
	}
	for k, v := range w {
		if !equal(v, g[k], true) {
			return false
		}
	}
	return true
}
