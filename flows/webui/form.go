package webui

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"html/template"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"github.com/google/jsonschema-go/jsonschema"

	"github.com/stile-auth/stile/flowdefs"
	"github.com/stile-auth/stile/flows"
)

// field is one member of an answer, as a form has it.
type field struct {
	Name, Label, Type    string
	Autocomplete, Digits string
	Required             bool
	Choices              []pairLabel
}

type pair struct{ Name, Value string }

// pairLabel is a value with what it is called; More tells it from others of that name.
type pairLabel struct{ Value, Label, More string }

// Types of fields that are no types of inputs.
const (
	typeHidden   = "hidden"   // a script fills it in
	typeDecision = "decision" // two buttons
)

// view is what the template shows.
type view struct {
	Locale, Title, Wrong string
	Prompt               string // code of what is asked
	Texts, List          []string
	Button, Action       string
	Buttons              []pairLabel // instead of Button: each says which it is
	Code                 string      // to be typed elsewhere
	Codes                []string    // to be kept
	Key, KeyText         string      // to be typed into an app
	Picture, App         template.URL
	PictureText, AppText string
	Document             string // to be read
	DocumentText         string
	Hidden               []pair
	Others               []pairLabel // what else can be done
	Link                 string      // where to go on
	Go                   bool        // at once
	Continue             string      // what leads there is called
	Refresh              int         // seconds after which the page looks again; 0: never
	Fields               []field
	Ceremony             *ceremony
	Script               template.JS
	Style                template.CSS
}

var errForm = errors.New("webui: the form is not what the page has")

// schemaOf reads the schema of an answer, and the names of its members in order.
func schemaOf(page flows.Page) (*jsonschema.Schema, []string, error) {
	var s jsonschema.Schema
	if err := json.Unmarshal(page.Schema, &s); err != nil {
		return nil, nil, fmt.Errorf("webui: schema of %s: %w", page.Code, err)
	}
	var parts struct {
		Properties json.RawMessage `json:"properties"`
	}
	if err := json.Unmarshal(page.Schema, &parts); err != nil {
		return nil, nil, err
	}
	return &s, namesOf(parts.Properties), nil
}

// namesOf are the names of an object's members, in the order of its text.
func namesOf(object json.RawMessage) []string {
	var names []string
	depth, name := 0, false
	d := json.NewDecoder(bytes.NewReader(object))
	for t, err := d.Token(); err == nil; t, err = d.Token() {
		switch t := t.(type) {
		case json.Delim:
			if t == '{' || t == '[' {
				depth++
			} else {
				depth--
			}
			name = depth == 1
		case string:
			if depth == 1 && name {
				names = append(names, t)
			}
			name = depth == 1 && !name
		}
	}
	return names
}

// formOf makes the fields of a prompt from the schema of its answer. A page asks
// for a name only where the prompt says that it needs one.
func formOf(page flows.Page) ([]field, error) {
	s, names, err := schemaOf(page)
	if err != nil {
		return nil, err
	}
	var data struct {
		IdentifierRequired *bool `json:"identifierRequired"`
		Options            []struct {
			ID   string `json:"id"`
			Type string `json:"type"`
		} `json:"options"`
		Authenticators []struct {
			ID   string `json:"id"`
			Type string `json:"type"`
			Name string `json:"name"`
		} `json:"authenticators"`
		Confirmed *bool `json:"confirmed"`
	}
	if err := json.Unmarshal(page.Data, &data); err != nil {
		return nil, fmt.Errorf("webui: data of %s: %w", page.Code, err)
	}
	var out []field
	for _, name := range names {
		p := s.Properties[name]
		f := field{Name: name, Type: "text", Required: slices.Contains(s.Required, name)}
		if name == "username" && data.IdentifierRequired != nil {
			if !*data.IdentifierRequired {
				continue
			}
			f.Required = true
		}
		switch {
		case name == "token" && data.Confirmed != nil:
			continue // of a link that an app has opened; browsers get a code
		case name == "authenticator" && data.Authenticators != nil:
			for _, a := range data.Authenticators {
				f.Choices = append(f.Choices, pairLabel{a.ID, "authenticator." + a.Type, a.Name})
			}
		case len(p.Enum) > 0 && data.Options == nil:
			for _, value := range p.Enum {
				f.Choices = append(f.Choices, pairLabel{fmt.Sprint(value), fmt.Sprintf("choice.%s", value), ""})
			}
		case len(p.Enum) > 0:
			for _, option := range data.Options {
				f.Choices = append(f.Choices, pairLabel{option.ID, flowdefs.PromptMessage(option.Type), ""})
			}
		case name == "credential" && p.Type == "object":
			f.Type = typeHidden
		case p.Type == "boolean" && name == "accept":
			f.Type = typeDecision
		case p.Type == "boolean":
			f.Type = "checkbox"
		case p.Type != "string":
			return nil, fmt.Errorf("webui: %s.%s is nothing that can be typed", page.Code, name)
		case p.Format == "password":
			f.Type = "password"
		}
		f.hint(p.Pattern)
		out = append(out, f)
	}
	return out, nil
}

// hint tells browsers what is asked for, so that they can help (WCAG 2.2, 1.3.5).
func (f *field) hint(pattern string) {
	switch f.Name {
	case "username":
		f.Autocomplete = "username"
	case "password":
		f.Autocomplete = "current-password"
	case "code":
		f.Autocomplete = "one-time-code"
	default:
		f.Autocomplete = "off"
	}
	if strings.HasPrefix(pattern, "^[0-9]") {
		f.Digits = "numeric"
	}
}

// inputOf makes the answer of what was typed, and holds it against the schema.
func inputOf(page flows.Page, values url.Values) (flows.Input, error) {
	fields, err := formOf(page)
	if err != nil {
		return nil, err
	}
	answer := map[string]any{}
	for name, typed := range values {
		if name == "_turn" || name == "_token" {
			continue
		}
		i := slices.IndexFunc(fields, func(f field) bool { return f.Name == name })
		if name == "_answer" {
			i = slices.IndexFunc(fields, func(f field) bool { return f.Type == typeDecision })
		}
		switch {
		case i < 0 || len(typed) != 1:
			return nil, errForm
		case fields[i].Type == typeDecision:
			if typed[0] != "true" && typed[0] != "false" {
				return nil, errForm
			}
			answer[fields[i].Name] = typed[0] == "true"
		case fields[i].Type == typeHidden:
			var made map[string]any
			if json.Unmarshal([]byte(typed[0]), &made) != nil {
				return nil, errForm
			}
			answer[name] = made
		case fields[i].Type == "checkbox":
			answer[name] = true
		case typed[0] != "" || fields[i].Required:
			answer[name] = typed[0]
		}
	}
	s, _, err := schemaOf(page)
	if err != nil {
		return nil, err
	}
	resolved, err := s.Resolve(nil)
	if err != nil {
		return nil, fmt.Errorf("webui: schema of %s: %w", page.Code, err)
	}
	if err := resolved.Validate(answer); err != nil {
		return nil, errForm
	}
	return json.Marshal(answer)
}

// speaker says things in one language.
type speaker struct {
	messages *flowdefs.Messages
	locale   string
}

// speaker prefers what the client said of the person over what the browser says.
func (p *Pages) speaker(locale string, r *http.Request) speaker {
	m := p.Messages()
	return speaker{m, m.Match(locale, r.Header.Get("Accept-Language"))}
}

// say returns a text, or the id if nobody has one.
func (s speaker) say(id string, arguments map[string]string) string {
	if text, ok := s.messages.Text(s.locale, id, arguments); ok {
		return text
	}
	return id
}

// choices says what can be picked; two that are called the same are told apart.
func (s speaker) choices(all []pairLabel) {
	times := map[string]int{}
	for _, c := range all {
		times[c.Label]++
	}
	for i := range all {
		c := &all[i]
		if c.More == "" && times[c.Label] > 1 {
			c.More = c.Value
		}
		if c.Label = s.say(c.Label, nil); c.More != "" {
			c.Label += " (" + c.More + ")"
		}
	}
}

func (s speaker) label(fields []field) []field {
	for i := range fields {
		f := &fields[i]
		f.Label = s.say("field."+f.Name, nil)
		if len(f.Choices) > 0 {
			if f.Name == "select" {
				f.Label = s.say("prompt.selection_required", nil)
			}
		}
		s.choices(f.Choices)
	}
	return fields
}

func (s speaker) write(w http.ResponseWriter, p *Pages, status int, v view) {
	v.Locale, v.Style = s.locale, style
	var b bytes.Buffer
	if err := p.template.Execute(&b, v); err != nil {
		p.Logger.Error("page does not render")
		w.WriteHeader(http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	w.WriteHeader(status)
	_, _ = w.Write(b.Bytes())
}
