package httpapi

import (
	"encoding/json"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strings"

	"github.com/stile-auth/stile/flowdefs"
	"github.com/stile-auth/stile/flows"
)

// asked is what prompts of one code look like, and what answers them: different
// step types may ask with the same code.
type asked struct {
	doc     string
	ids     []string // none: any
	data    []any
	answers []any
}

// addPrompts adds the schemas of prompts and answers, and returns what may be sent as an answer.
func addPrompts(schemas member, prompts []Prompt) ([]any, error) {
	all := map[string]*asked{}
	for _, p := range prompts {
		a, ok := all[p.Code]
		switch {
		case !ok:
			a = &asked{doc: p.Doc, ids: slices.Clone(p.IDs)}
			all[p.Code] = a
		case len(a.ids) == 0 || len(p.IDs) == 0:
			a.ids = nil
		default:
			a.ids = append(a.ids, p.IDs...)
		}
		data, err := parsed(p.Data, member{"type": "object"})
		if err != nil {
			return nil, fmt.Errorf("httpapi: data of %s: %w", p.Code, err)
		}
		answer, err := parsed(p.Answer, refTo("Empty"))
		if err != nil {
			return nil, fmt.Errorf("httpapi: answer of %s: %w", p.Code, err)
		}
		open(data)
		a.data, a.answers = include(a.data, data), include(a.answers, answer)
	}
	var steps, bodies []any
	for _, code := range slices.Sorted(maps.Keys(all)) {
		schemas[code] = all[code].schema(code)
		schemas[code+".answer"] = member{"anyOf": all[code].answers}
		steps, bodies = append(steps, refTo(code)), append(bodies, refTo(code+".answer"))
	}
	if len(steps) == 0 {
		return []any{member{"type": "object"}}, nil
	}
	schemas["NextStep"] = member{"anyOf": steps}
	return append(bodies, refTo("Empty")), nil // choose_other has nothing to say
}

// parsed is a schema, or what stands for the one that is absent.
func parsed(schema json.RawMessage, absent any) (any, error) {
	if schema == nil {
		return absent, nil
	}
	var out any
	err := json.Unmarshal(schema, &out)
	return out, err
}

// include adds a schema that is not there yet.
func include(list []any, schema any) []any {
	if slices.ContainsFunc(list, func(other any) bool { return reflect.DeepEqual(other, schema) }) {
		return list
	}
	return append(list, schema)
}

// open lets objects have members that the schema does not name: clients must
// expect them in what they are shown.
func open(schema any) {
	switch s := schema.(type) {
	case member:
		if s["properties"] != nil {
			delete(s, "additionalProperties")
		}
		for _, inner := range s {
			open(inner)
		}
	case []any:
		for _, inner := range s {
			open(inner)
		}
	}
}

// schema is what nextStep looks like when it asks this.
func (a *asked) schema(code string) member {
	s := schemaOf[flows.NextStep]()
	properties := propertiesOf(s)
	properties["type"] = member{"const": code}
	if len(a.ids) > 0 {
		slices.Sort(a.ids)
		properties["stepId"] = member{"enum": slices.Compact(a.ids)}
	}
	properties["data"] = a.data[0]
	if len(a.data) > 1 {
		properties["data"] = member{"anyOf": a.data}
	}
	properties["actions"] = member{"type": "array", "items": refTo("Action")}
	if a.doc != "" {
		s["description"] = strings.TrimSpace(a.doc)
	}
	return s
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
		"Definitions": schemaOf[Definitions](), "Departure": schemaOf[flows.Departure](),
		"Document": member{"type": "object"},
		"Empty":    member{"type": "object", "additionalProperties": false},
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
		case name == "transaction":
			p["maxProperties"], p["description"] = flows.MaxTransaction, "What is to be approved: exactly what the flow's steps show."
			p["additionalProperties"] = member{"type": "string", "minLength": 1, "maxLength": flows.MaxTransactionValue}
		case name == "loginHint", name == "redirectUri":
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
	open(s)
	return s
}

func propertiesOf(s member) member {
	p, ok := s["properties"].(member)
	if !ok {
		panic("httpapi: a schema without properties") // cannot happen: of a struct
	}
	return p
}
