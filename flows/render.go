package flows

import (
	"encoding/json"
	"fmt"
	"net/url"
)

// view draws a run for its client. It shows no secret.
func (e *Engine) view(r *run, p *program) View {
	s := &r.State
	v := View{Flow: FlowView{ID: r.ID, Name: r.Flow, Status: s.Status, Turn: s.Turn, ExpiresAt: r.Expires}}
	res := (&world{now: e.cfg.Now().UTC()}).assess(s.Evidence)
	v.Assurance.AMR = res.AMR
	if res.Level > 0 {
		acr := res.Level.String()
		v.Assurance.ACR = &acr
	}
	if n, isStep := p.current(s); n != nil && s.Status == InProgress {
		v.NextStep = e.nextStep(s, p, n, isStep)
	}
	return v
}

func (e *Engine) nextStep(s *State, p *program, n *node, isStep bool) *NextStep {
	next := &NextStep{StepID: s.At, Data: s.Data}
	if isStep {
		next.Type = n.typ.Code
		next.Actions = append(next.Actions, e.post("submit", s.At, s.Turn, n.typ.Input))
		if s.Other {
			next.Actions = append(next.Actions, e.post("choose_other", p.nodes[n.parent].def.ID, s.Turn, emptySchema))
		}
	} else {
		next.Type = CodeSelection
		next.Actions = append(next.Actions, e.post("select", s.At, s.Turn, selectSchema(s.Offers)))
	}
	if k := len(s.Trail); k > 1 || k == 1 && s.Trail[0] != s.At {
		next.Actions = append(next.Actions, Action{Name: "back", Method: "POST", Href: fmt.Sprintf("%s/flow/back?turn=%d", e.cfg.PathPrefix, s.Turn)})
	}
	next.Actions = append(next.Actions, Action{Name: "cancel", Method: "DELETE", Href: e.cfg.PathPrefix + "/flow"})
	return next
}

func (e *Engine) post(name, step string, turn int, schema json.RawMessage) Action {
	return Action{
		Name: name, Method: "POST", Schema: schema,
		Href: fmt.Sprintf("%s/flow/steps/%s?turn=%d", e.cfg.PathPrefix, url.PathEscape(step), turn),
	}
}

var emptySchema = json.RawMessage(`{"type":"object","additionalProperties":false}`)

func selectSchema(offers []string) json.RawMessage {
	enum, err := json.Marshal(offers)
	if err != nil {
		return emptySchema // cannot happen: strings only
	}
	return json.RawMessage(`{"type":"object","properties":{"select":{"type":"string","enum":` + string(enum) +
		`}},"required":["select"],"additionalProperties":false}`)
}
