package contract_test

import (
	"maps"
	"slices"
	"strings"

	"pgregory.net/rapid"
)

// hints are values that mean something, by the name of a member: without them no
// random call would ever get anywhere.
func hints() map[string][]any {
	return map[string][]any{
		"clientId": {"phone", "phone", "phone", "web", "nobody"}, "flow": {"local", "slow", "sign-on", "strict", "self", "none"}, "target": {"app", "none"},
		"loginHint": {login, "nobody"}, "locale": {"de-CH", "en", "*"}, "username": {login, "nobody"}, "password": {password, "wrong"},
		"select": {"code", "again", "pin", "a", "b"}, "step": {"bind", "none"}, "maxAge": {0, 60}, "acrValues": {[]any{"aal1"}, []any{"aal2", "aal3"}},
		"capabilities": {[]any{"SELECTION_REQUIRED", "WEB_HANDOVER_REQUIRED"}, []any{"PASSWORD_REQUIRED", "OTP_REQUIRED", "SELECTION_REQUIRED", "WEB_HANDOVER_REQUIRED"}},
		"activate":     {[]any{"bind"}},
	}
}

// maker makes values from JSON Schemas: mostly right ones, ones at the edges, and wrong ones.
type maker struct {
	t *rapid.T
	j *judge
}

// below draws a number from 0 to n-1, each as likely as the others: rapid's own
// ranges favour the ends, and a walk that does so gets nowhere.
func (m maker) below(n int, what string) int {
	bits := 0
	for range 10 {
		bits *= 2
		if rapid.Bool().Draw(m.t, what) {
			bits++
		}
	}
	return bits * n / 1024
}

func (m maker) chance(percent int, what string) bool { return m.below(100, what) < percent }

func one[T any](m maker, list []T, what string) T { return list[m.below(len(list), what)] }

// value makes a value of a schema; name is that of the member that it is for.
func (m maker) value(name string, schema any, depth int) any {
	if known := hints()[name]; known != nil && m.chance(70, "hint") {
		return one(m, known, name)
	}
	if m.chance(4, "wrong type") {
		return one(m, []any{nil, true, -1, 1.5, "", "\u0000", []any{}, map[string]any{}, strings.Repeat("x", 2000)}, "wrong")
	}
	s, _ := m.j.resolve(schema).(map[string]any)
	if only, ok := s["const"]; ok {
		return only
	}
	if words, ok := s["enum"].([]any); ok {
		return one(m, words, name)
	}
	if some, ok := s["anyOf"].([]any); ok {
		return m.value(name, one(m, some, "which"), depth)
	}
	switch s["type"] {
	case "object":
		return m.object(s, depth)
	case "array":
		var out []any
		for range m.below(4, "items") {
			out = append(out, m.value("", s["items"], depth+1))
		}
		return out
	case "boolean":
		return rapid.Bool().Draw(m.t, name)
	case "integer":
		return m.integer(s)
	}
	return m.text(s)
}

func (m maker) object(s map[string]any, depth int) any {
	out := map[string]any{}
	properties, _ := s["properties"].(map[string]any)
	required, _ := s["required"].([]any)
	if some, ok := s["oneOf"].([]any); ok { // alternatives that only name more members
		alternative, _ := one(m, some, "one of").(map[string]any)
		more, _ := alternative["required"].([]any)
		required = slices.Concat(required, more)
	}
	for _, name := range slices.Sorted(maps.Keys(properties)) {
		percent := 15
		if slices.Contains(required, any(name)) {
			percent = 97
		}
		if depth < 5 && m.chance(percent, name) {
			out[name] = m.value(name, properties[name], depth+1)
		}
	}
	if m.chance(3, "more") {
		out["surprise"] = true
	}
	return out
}

func (m maker) integer(s map[string]any) any {
	least, most := 0, 1000
	if v, ok := s["minimum"].(float64); ok {
		least = int(v)
	}
	if v, ok := s["maximum"].(float64); ok {
		most = int(v)
	}
	return rapid.OneOf(rapid.SampledFrom([]int{least, most, least - 1, most + 1}), rapid.IntRange(least, most)).Draw(m.t, "integer")
}

func (m maker) text(s map[string]any) string {
	least, most := 0, 64
	if v, ok := s["minLength"].(float64); ok {
		least = int(v)
	}
	if v, ok := s["maxLength"].(float64); ok {
		most = int(v)
	}
	switch pattern, _ := s["pattern"].(string); {
	case pattern != "" && m.chance(80, "fits"):
		return rapid.StringMatching(pattern).Draw(m.t, "text")
	case m.chance(20, "edge"):
		return strings.Repeat("ä", rapid.SampledFrom([]int{least, most, max(least-1, 0), most + 1}).Draw(m.t, "length"))
	}
	return rapid.StringN(least, min(most, 40), -1).Draw(m.t, "text")
}
