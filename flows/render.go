package flows

import (
	"encoding/json"
	"fmt"
	"net/url"

	"github.com/stile-auth/stile/flowdefs"
)

// view draws a run for its client. It shows no secret.
func (e *Engine) view(a *active, r *run, p *program) View {
	s := &r.State
	v := View{Flow: FlowView{ID: r.ID, Name: r.Flow, Status: s.Status, Turn: s.Turn, ExpiresAt: r.Expires}, Locale: r.Locale, Request: r.Code}
	w := e.worldOf(a, r, p, r.client)
	v.Assurance.AMR = w.assess(s.Evidence).AMR
	if acr := w.best(s.Evidence); acr != "" {
		v.Assurance.ACR = &acr
	}
	if n := p.current(s); n != nil && s.Status == InProgress {
		v.NextStep = e.nextStep(s, p, n, w)
	}
	return v
}

func (e *Engine) nextStep(s *State, p *program, n *node, w *world) *NextStep {
	next := &NextStep{StepID: s.At, Data: s.Data}
	var schema json.RawMessage
	next.Type, schema = asked(s, n)
	switch {
	case s.Handed:
		next.Data = handoverData{Prompt: next.Type}
		next.Type = CodeHandover
		next.Actions = append(next.Actions, e.act("hand_over", s.Turn, nil), e.post("submit", s.At, s.Turn, HandoverAnswer()))
	case n.def.Kind == flowdefs.Choose:
		next.Actions = append(next.Actions, e.post("select", s.At, s.Turn, schema))
	default:
		next.Actions = append(next.Actions, e.post("submit", s.At, s.Turn, schema))
	}
	if left, _ := n.sends(s); n.typ.Sends && left > 0 {
		next.Actions = append(next.Actions, e.act("resend", s.Turn, nil))
	}
	if s.Other != "" {
		next.Actions = append(next.Actions, e.post("choose_other", s.Other, s.Turn, emptySchema()))
	}
	if ids := p.drawable(w, p.activations(s)); len(ids) > 0 {
		next.Actions = append(next.Actions, e.act("activate", s.Turn, oneOf("step", ids)))
	}
	if k := len(s.Trail); !p.flow.NoBack && (k > 1 || k == 1 && s.Trail[0] != s.At) {
		next.Actions = append(next.Actions, e.act("back", s.Turn, nil))
	}
	if !p.flow.NoRestart {
		next.Actions = append(next.Actions, e.act("restart", s.Turn, nil))
	}
	next.Actions = append(next.Actions, Action{Name: "cancel", Method: "DELETE", Href: e.cfg.PathPrefix + "/flow"})
	return next
}

// asked is the code of what waits, and the schema of its answer.
func asked(s *State, n *node) (code string, schema json.RawMessage) {
	switch n.def.Kind {
	case flowdefs.Choose:
		return CodeSelection, selectSchema(s.Offers)
	case flowdefs.Delay:
		return CodeWait, emptySchema()
	default:
		return n.typ.Code, n.typ.Input
	}
}

func (e *Engine) post(name, step string, turn int, schema json.RawMessage) Action {
	return Action{
		Name: name, Method: "POST", Schema: schema,
		Href: fmt.Sprintf("%s/flow/steps/%s?turn=%d", e.cfg.PathPrefix, url.PathEscape(step), turn),
	}
}

// act is an action on the run and not on a step.
func (e *Engine) act(name string, turn int, schema json.RawMessage) Action {
	return Action{Name: name, Method: "POST", Href: fmt.Sprintf("%s/flow/%s?turn=%d", e.cfg.PathPrefix, name, turn), Schema: schema}
}

func emptySchema() json.RawMessage {
	return json.RawMessage(`{"type":"object","additionalProperties":false}`)
}

func selectSchema(offers []string) json.RawMessage { return oneOf("select", offers) }

// oneOf is the schema of an object with one member that is one of some words.
func oneOf(member string, words []string) json.RawMessage {
	enum, err := json.Marshal(words)
	if err != nil {
		return emptySchema() // cannot happen: strings only
	}
	return json.RawMessage(`{"type":"object","properties":{"` + member + `":{"type":"string","enum":` + string(enum) +
		`}},"required":["` + member + `"],"additionalProperties":false}`)
}
