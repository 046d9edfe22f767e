package httpapi

import (
	"encoding/json"

	"github.com/stile-auth/stile/flowdefs"
	"github.com/stile-auth/stile/flows"
)

// Prompt is something that flows ask of clients, and how it is answered.
type Prompt struct {
	Code   string          // nextStep.type
	Doc    string          // what it is; may be empty
	IDs    []string        // of the steps that ask it; none: any
	Data   json.RawMessage // JSON Schema of nextStep.data, without references; nil: any object
	Answer json.RawMessage // JSON Schema of the answer, without references; nil: an empty object
}

// Prompts lists what steps of these types ask, and what choices, delays and hand-overs do.
func Prompts(types []flows.StepType) []Prompt {
	out := []Prompt{SelectionPrompt(nil, nil), WaitPrompt(nil), HandoverPrompt(nil)}
	for _, t := range types {
		if t.Code != "" {
			out = append(out, stepPrompt(t, nil))
		}
	}
	return out
}

// PromptsOf lists what a flow asks, handlers included, with the ids of its steps;
// handedOver says whether some client hands over what it cannot draw.
func PromptsOf(f *flowdefs.Flow, registry *flows.Registry, handedOver bool) []Prompt {
	out := promptsOf(f.Steps, registry)
	for _, h := range f.Handlers {
		out = append(out, promptsOf(h.Steps, registry)...)
	}
	if !handedOver {
		return out
	}
	var ids []string
	for _, p := range out {
		ids = append(ids, p.IDs...)
	}
	return append(out, HandoverPrompt(ids))
}

func promptsOf(nodes []flowdefs.Node, registry *flows.Registry) []Prompt {
	var out []Prompt
	for i := range nodes {
		n := &nodes[i]
		ids := []string{n.ID}
		switch n.Kind {
		case flowdefs.Step:
			if t, ok := registry.Lookup(n.Type); ok && t.Code != "" {
				out = append(out, stepPrompt(t, ids))
			}
		case flowdefs.Choose:
			var options []string
			for j := range n.Options {
				options = append(options, n.Options[j].ID)
			}
			out = append(out, SelectionPrompt(ids, options))
		case flowdefs.Delay:
			out = append(out, WaitPrompt(ids))
		default: // the others ask nothing
		}
		out = append(out, promptsOf(n.Options, registry)...)
		out = append(out, promptsOf(n.Steps, registry)...)
		if n.Otherwise != nil {
			out = append(out, promptsOf([]flowdefs.Node{*n.Otherwise}, registry)...)
		}
	}
	return out
}

// stepPrompt is what those steps of one type ask; none: any.
func stepPrompt(t flows.StepType, ids []string) Prompt {
	return Prompt{Code: t.Code, Doc: t.Doc, IDs: ids, Data: t.Prompt, Answer: t.Input}
}

// SelectionPrompt is what those choices ask, with these options; none: any.
func SelectionPrompt(ids, options []string) Prompt {
	one := member{"type": "string"}
	if len(options) > 0 {
		one["enum"] = options
	}
	text, err := json.Marshal(member{
		"type": "object", "properties": member{"select": one}, "required": []string{"select"}, "additionalProperties": false,
	})
	if err != nil {
		panic("httpapi: " + err.Error()) // cannot happen: strings only
	}
	return Prompt{
		Code: flows.CodeSelection, Doc: "One of the options of nextStep.data is to be picked.", IDs: ids, Data: flows.SelectionSchema(), Answer: text,
	}
}

// WaitPrompt is what those delays ask: nothing but patience.
func WaitPrompt(ids []string) Prompt {
	return Prompt{Code: flows.CodeWait, Doc: "The run goes on at the time in nextStep.data, when it is asked again.", IDs: ids, Data: flows.PauseSchema()}
}

// HandoverPrompt is what a client gets instead of what it cannot draw, at those steps; none: any.
func HandoverPrompt(ids []string) Prompt {
	return Prompt{
		Code: flows.CodeHandover, Doc: "A page in the browser asks what this client cannot draw.", IDs: ids,
		Data: flows.HandoverSchema(), Answer: flows.HandoverAnswer(),
	}
}
