package main

import (
	"cmp"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
)

// pageOf is the catalogue as a page of documentation.
func pageOf(all []stepType) string {
	var b strings.Builder
	b.WriteString("# Step types\n\nMade from the code by `go run ./cmd/dev gen`; `stile steps NAME` prints the same of one type, " +
		"`stile steps NAME --format json` with its JSON Schemas.\n\n| type | prompt | what it does |\n|---|---|---|\n")
	for _, t := range all {
		title, _, _ := strings.Cut(t.Doc, "\n")
		fmt.Fprintf(&b, "| [`%s`](#%s) | %s | %s |\n", t.Name, t.Name, quoted(t.Code, "never asks"), title)
	}
	for _, t := range all {
		fmt.Fprintf(&b, "\n## %s\n\n%s\n\n| | |\n|---|---|\n", t.Name, t.Doc)
		for _, row := range t.rows() {
			fmt.Fprintf(&b, "| %s | %s |\n", row[0], row[1])
		}
		b.WriteString(members("`with`", t.Config) + members("`nextStep.data`", t.Prompt) + members("answer", t.Input))
	}
	return b.String()
}

func (t stepType) rows() [][2]string {
	rows := [][2]string{{"prompt", quoted(t.Code, "none: it never asks")}, {"exits", orNone(t.Exits)}}
	if len(t.Raises) > 0 {
		rows = append(rows, [2]string{"raises", strings.Join(t.Raises, ", ")})
	}
	if len(t.Proves) == 0 {
		rows = append(rows, [2]string{"proves", "nothing"})
	}
	for _, p := range t.Proves {
		rows = append(rows, [2]string{"proves at most", p.String()})
	}
	return append(rows, [2]string{"authenticator", quoted(t.Authenticator, "none")}, [2]string{"limits", t.limits()})
}

func quoted(word, absent string) string {
	if word == "" {
		return absent
	}
	return "`" + word + "`"
}

// shape is what a page shows of a JSON Schema.
type shape struct {
	Type        string           `json:"type"`
	Description string           `json:"description"`
	Format      string           `json:"format"`
	Pattern     string           `json:"pattern"`
	Enum        []string         `json:"enum"`
	MinLength   *int             `json:"minLength"`
	MaxLength   *int             `json:"maxLength"`
	Minimum     *int             `json:"minimum"`
	Maximum     *int             `json:"maximum"`
	Items       *shape           `json:"items"`
	Additional  json.RawMessage  `json:"additionalProperties"`
	Required    []string         `json:"required"`
	Properties  map[string]shape `json:"properties"`
}

// members is a table of what an object has, "" if it has nothing.
func members(title string, schema json.RawMessage) string {
	var s shape
	if json.Unmarshal(schema, &s) != nil || len(s.Properties) == 0 {
		return ""
	}
	var names []string
	for name := range s.Properties {
		names = append(names, name)
	}
	slices.SortFunc(names, func(a, b string) int { // the required ones first
		return cmp.Or(order(s.Required, a)-order(s.Required, b), cmp.Compare(a, b))
	})
	var b strings.Builder
	fmt.Fprintf(&b, "\n| %s | | form | what it is |\n|---|---|---|---|\n", title)
	for _, name := range names {
		need := "optional"
		if slices.Contains(s.Required, name) {
			need = "required"
		}
		p := s.Properties[name]
		fmt.Fprintf(&b, "| `%s` | %s | %s | %s |\n", name, need, strings.ReplaceAll(p.form(), "|", "\\|"), p.Description)
	}
	return b.String()
}

// order is the place of a name in a list; behind it, if it is not there.
func order(list []string, name string) int {
	if i := slices.Index(list, name); i >= 0 {
		return i
	}
	return len(list)
}

// form says in words what a value looks like.
func (s shape) form() string {
	switch {
	case len(s.Enum) > 0:
		return "one of `" + strings.Join(s.Enum, "`, `") + "`"
	case s.Items != nil:
		return "list of " + s.Items.form()
	case len(s.Properties) > 0:
		return "object"
	case s.Type == "object":
		var values shape
		if json.Unmarshal(s.Additional, &values) == nil && values.Type != "" {
			return "names, each with a " + values.form()
		}
		return "object"
	}
	out := cmp.Or(s.Format, s.Type, "anything")
	out += bounds(", %d to %d characters", ", at least %d characters", ", at most %d characters", s.MinLength, s.MaxLength)
	out += bounds(", %d to %d", ", at least %d", ", at most %d", s.Minimum, s.Maximum)
	if s.Pattern != "" {
		out += ", like `" + s.Pattern + "`"
	}
	return out
}

func bounds(both, least, most string, low, high *int) string {
	switch {
	case low != nil && high != nil:
		return fmt.Sprintf(both, *low, *high)
	case low != nil:
		return fmt.Sprintf(least, *low)
	case high != nil:
		return fmt.Sprintf(most, *high)
	}
	return ""
}
