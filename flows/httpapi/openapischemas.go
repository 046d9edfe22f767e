package httpapi

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/stile-auth/stile/flowdefs"
	"github.com/stile-auth/stile/flows"
)

// addPrompts adds the schemas of prompts and answers, and returns what may be sent as an answer.
func addPrompts(schemas member, prompts []Prompt) ([]any, error) {
	merged := map[string]*Prompt{}
	answers := map[string][]any{}
	for _, p := range prompts {
		m, ok := merged[p.Code]
		if !ok {
			m = &Prompt{Code: p.Code, Doc: p.Doc, IDs: slices.Clone(p.IDs)}
			merged[p.Code] = m
		} else if len(m.IDs) == 0 || len(p.IDs) == 0 {
			m.IDs = nil
		} else {
			m.IDs = append(m.IDs, p.IDs...)
		}
		var answer any = refTo("Empty")
		if p.Answer != nil {
			if err := json.Unmarshal(p.Answer, &answer); err != nil {
				return nil, fmt.Errorf("httpapi: answer of %s: %w", p.Code, err)
			}
		}
		if !slices.ContainsFunc(answers[p.Code], func(other any) bool { return fmt.Sprint(other) == fmt.Sprint(answer) }) {
			answers[p.Code] = append(answers[p.Code], answer)
		}
	}
	var steps, bodies []any
	for _, code := range slices.Sorted(maps.Keys(merged)) {
		schemas[code] = merged[code].schema()
		schemas[code+".answer"] = member{"anyOf": answers[code]}
		steps, bodies = append(steps, refTo(code)), append(bodies, refTo(code+".answer"))
	}
	if len(steps) == 0 {
		return []any{member{"type": "object"}}, nil
	}
	schemas["NextStep"] = member{"anyOf": steps}
	return append(bodies, refTo("Empty")), nil // choose_other has nothing to say
}

// schema is what nextStep looks like when it asks this.
func (p *Prompt) schema() member {
	s := schemaOf[flows.NextStep]()
	properties := propertiesOf(s)
	properties["type"] = member{"const": p.Code}
	if len(p.IDs) > 0 {
		slices.Sort(p.IDs)
		properties["stepId"] = member{"enum": slices.Compact(p.IDs)}
	}
	properties["data"] = dataOf(p.Code)
	properties["actions"] = member{"type": "array", "items": refTo("Action")}
	if p.Doc != "" {
		s["description"] = strings.TrimSpace(p.Doc)
	}
	return s
}

// dataOf is what is shown with a prompt. What steps show is described by them in words.
func dataOf(code string) member {
	text := member{"type": "string"}
	switch code {
	case flows.CodeSelection:
		option := member{
			"type": "object", "required": []string{"id", "type"},
			"properties": member{"id": text, "type": text, "stepType": text},
		}
		return member{"type": "object", "required": []string{"options"}, "properties": member{
			"options": member{"type": "array", "items": option}, "needed": member{"type": "integer"},
		}}
	case flows.CodeWait:
		return member{"type": "object", "required": []string{"until"}, "properties": member{
			"until": member{"type": "string", "format": "date-time"},
		}}
	}
	return member{"type": "object"}
}

// schemasOf makes the schemas of the API's own types.
func schemasOf() member {
	flow, action, proved := schemaOf[flows.FlowView](), schemaOf[flows.Action](), schemaOf[flows.AssuranceView]()
	propertiesOf(flow)["status"] = member{"enum": []flows.Status{flows.InProgress, flows.Completed, flows.Failed, flows.Cancelled}}
	propertiesOf(action)["schema"] = member{"type": "object", "description": "JSON Schema of the body; absent: no body."}
	propertiesOf(proved)["acr"] = member{"type": []string{"string", "null"}, "description": "A level of the target's scale; null: none is reached yet."}
	result, view, trouble, state := schemaOf[flows.Result](), schemaOf[flows.View](), schemaOf[problem](), schemaOf[statusBody]()
	propertiesOf(result)["grant"] = refTo("Grant")
	propertiesOf(view)["result"] = refTo("Result")
	propertiesOf(view)["handle"] = member{"type": "string", "description": "Present only when it is new: to be used from now on."}
	for _, s := range []member{view, trouble} {
		propertiesOf(s)["flow"] = refTo("Flow")
		propertiesOf(s)["nextStep"] = refTo("NextStep")
		propertiesOf(s)["assurance"] = refTo("Assurance")
	}
	for _, s := range []member{trouble, state} {
		propertiesOf(s)["definitions"] = refTo("Definitions")
	}
	next := schemaOf[flows.NextStep]()
	propertiesOf(next)["actions"] = member{"type": "array", "items": refTo("Action")}
	return member{
		"Start": startSchema(), "View": view, "Flow": flow, "NextStep": next, "Action": action, "Assurance": proved,
		"Result": result, "Grant": schemaOf[flows.Grant](), "Problem": trouble, "Status": state,
		"Definitions": schemaOf[Definitions](),
		"Document":    member{"type": "object"},
		"Empty":       member{"type": "object", "additionalProperties": false},
		"Activate": member{
			"type": "object", "properties": member{"step": member{"type": "string"}}, "required": []string{"step"}, "additionalProperties": false,
		},
	}
}

// startSchema says of a start what startBody.fits demands.
func startSchema() member {
	s := schemaOf[startBody]()
	s["additionalProperties"] = false
	for name, p := range propertiesOf(s) {
		p, ok := p.(member)
		if !ok {
			continue
		}
		switch {
		case name == "claims":
			p["type"], p["description"] = "object", "What is asked of acr, as in OpenID Connect Core 5.5."
		case name == "loginHint":
			p["maxLength"] = maxHint
		case p["type"] == "string":
			p["maxLength"] = maxName
		case p["type"] == "array":
			p["maxItems"] = maxEntries
			p["items"] = member{"type": "string", "minLength": 1, "maxLength": maxName}
		case name == "maxAge":
			p["minimum"], p["maximum"], p["description"] = 0, maxMaxAge, "Seconds."
		}
	}
	one := func(name string) member {
		return member{"required": []string{name}, "properties": member{name: member{"minLength": 1}}}
	}
	propertiesOf(s)["clientId"] = member{"type": "string", "minLength": 1, "maxLength": maxName}
	s["oneOf"] = []any{one("flow"), one("target")}
	return s
}

// schemaOf is the schema of a type in its JSON form. Clients must expect members
// that they do not know: it is open.
func schemaOf[T any]() member {
	var s member
	if err := json.Unmarshal(flowdefs.SchemaFor[T](), &s); err != nil {
		panic("httpapi: " + err.Error()) // cannot happen: it was made from JSON
	}
	delete(s, "additionalProperties")
	return s
}

func propertiesOf(s member) member {
	p, ok := s["properties"].(member)
	if !ok {
		panic("httpapi: a schema without properties") // cannot happen: of a struct
	}
	return p
}
