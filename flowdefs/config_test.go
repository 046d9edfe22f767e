package flowdefs_test

import (
	"encoding/json"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/jsonschema-go/jsonschema"

	"github.com/stile-auth/stile/flowdefs"
)

// with loads a step of type knobs with that configuration.
func with(t *testing.T, text string) flowdefs.Config {
	t.Helper()
	return mustLoad(t, "flows: {f: {steps: [{id: a, type: knobs"+text+"}]}}").Flows["f"].Steps[0].With
}

func TestDecode(t *testing.T) {
	t.Parallel()
	c := with(t, `, with: {text: "5", on: true, count: -3, small: 7, length: 1h30m, words: [a, "b"], inner: {depth: 2}, list: [{name: x}, {name: y}]}`)
	var got knobsConfig
	if err := c.Decode(&got); err != nil {
		t.Fatal(err)
	}
	want := knobsConfig{Text: "5", On: true, Count: -3, Small: 7, Length: 90 * time.Minute, Words: []string{"a", "b"}}
	want.Inner.Depth = 2
	want.List = []struct {
		Name string `yaml:"name"`
	}{{"x"}, {"y"}}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

func TestDecodeKeepsDefaults(t *testing.T) {
	t.Parallel()
	for _, text := range []string{"", ", with: {}", ", with: {on: true}"} {
		got := knobsConfig{Count: 5, Text: "kept"}
		if err := with(t, text).Decode(&got); err != nil || got.Count != 5 || got.Text != "kept" {
			t.Errorf("%q: %+v, %v", text, got, err)
		}
	}
}

func TestDecodeReportsPlaces(t *testing.T) {
	t.Parallel()
	c := with(t, ", with: {text: x, on: true}")
	var dst struct {
		Text int    `yaml:"text"`
		Need string `yaml:"need"`
	}
	err := c.Decode(&dst)
	var problems flowdefs.Problems
	if !errors.As(err, &problems) || len(problems) != 3 {
		t.Fatalf("got %v", err)
	}
	want := `f.yaml:1:48: with: "need" is missing
f.yaml:1:55: text: expected a whole number, found the string "x"
f.yaml:1:58: with: unknown key "on"; known: need, text`
	if diff := cmp.Diff(want, problems.Error()); diff != "" {
		t.Error(diff)
	}
}

// A destination that cannot be is the program's mistake, not the author's.
func TestDecodeIntoNonsense(t *testing.T) {
	t.Parallel()
	c := with(t, ", with: {text: x}")
	var problems flowdefs.Problems
	for name, dst := range map[string]any{
		"nil": nil, "no pointer": knobsConfig{}, "no struct": new(string), "nil pointer": (*knobsConfig)(nil),
		"no tag": &struct{ Text string }{}, "no name": &struct {
			Text string `yaml:",optional"`
		}{}, "bad option": &struct {
			Text string `yaml:"text,omitempty"`
		}{}, "float": &struct {
			Text float64 `yaml:"text"`
		}{},
	} {
		if err := c.Decode(dst); err == nil || errors.As(err, &problems) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// References are noted while loading only: a configuration is shared by all runs.
func TestDecodeFromManyGoroutines(t *testing.T) {
	t.Parallel()
	set := mustLoad(t, "flows: {f: {steps: [{id: a, type: sso, with: {provider: p}}]}}\n"+
		"providers: {p: {issuer: 'https://idp.example', client_id: c}}")
	c := set.Flows["f"].Steps[0].With
	done := make(chan error)
	for range 8 {
		go func() {
			var cfg ssoConfig
			done <- c.Decode(&cfg)
		}()
	}
	for range 8 {
		if err := <-done; err != nil {
			t.Error(err)
		}
	}
}

type answer struct {
	Code string `json:"code" pattern:"^[0-9]{6}$" doc:"What the app shows."`
	Name string `json:"name,omitempty" minLength:"1" maxLength:"64"`
	How  string `json:"how,omitempty" enum:"app,key"`
	Old  *int   `json:"old,omitzero" minimum:"0" maximum:"9"`
}

func TestSchemaForAnswers(t *testing.T) {
	t.Parallel()
	want := `{"type":"object","properties":{"code":{"type":"string","description":"What the app shows.","pattern":"^[0-9]{6}$"},` +
		`"name":{"type":"string","minLength":1,"maxLength":64},"how":{"type":"string","enum":["app","key"]},` +
		`"old":{"type":"integer","minimum":0,"maximum":9}},"required":["code"],"additionalProperties":false}`
	var got, wanted any
	if err := errors.Join(json.Unmarshal(flowdefs.SchemaFor[answer](), &got), json.Unmarshal([]byte(want), &wanted)); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(wanted, got); diff != "" {
		t.Error(diff)
	}
}

func TestSchemasJudge(t *testing.T) {
	t.Parallel()
	for _, row := range []struct {
		schema json.RawMessage
		value  string
		valid  bool
	}{
		{flowdefs.SchemaFor[answer](), `{"code":"123456"}`, true},
		{flowdefs.SchemaFor[answer](), `{"code":"123456","name":"x","how":"key","old":9}`, true},
		{flowdefs.SchemaFor[answer](), `{}`, false},
		{flowdefs.SchemaFor[answer](), `{"code":"12345"}`, false},
		{flowdefs.SchemaFor[answer](), `{"code":123456}`, false},
		{flowdefs.SchemaFor[answer](), `{"code":"123456","name":""}`, false},
		{flowdefs.SchemaFor[answer](), `{"code":"123456","how":"x"}`, false},
		{flowdefs.SchemaFor[answer](), `{"code":"123456","old":10}`, false},
		{flowdefs.SchemaFor[answer](), `{"code":"123456","more":1}`, false},
		{flowdefs.SchemaFor[struct{}](), `{}`, true},
		{flowdefs.SchemaFor[struct{}](), `{"more":1}`, false},
		{flowdefs.SchemaFor[knobsConfig](), `{}`, true},
		{flowdefs.SchemaFor[knobsConfig](), `{"text":"x","on":true,"count":1,"small":1,"length":"5m","words":["a"],"inner":{"depth":1},"list":[{"name":"x"}]}`, true},
		{flowdefs.SchemaFor[knobsConfig](), `{"length":"5"}`, false},
		{flowdefs.SchemaFor[knobsConfig](), `{"words":[1]}`, false},
		{flowdefs.SchemaFor[knobsConfig](), `{"inner":{}}`, false},
		{flowdefs.SchemaFor[ssoConfig](), `{}`, false},
	} {
		if err := validate(t, row.schema, row.value); (err == nil) != row.valid {
			t.Errorf("%s against %s: %v", row.value, row.schema, err)
		}
	}
}

func validate(t *testing.T, schema json.RawMessage, value string) error {
	t.Helper()
	var s jsonschema.Schema
	if err := json.Unmarshal(schema, &s); err != nil {
		t.Fatal(err)
	}
	resolved, err := s.Resolve(nil)
	if err != nil {
		t.Fatal(err)
	}
	var v any
	if err := json.Unmarshal([]byte(value), &v); err != nil {
		t.Fatal(err)
	}
	return resolved.Validate(v)
}

func TestSchemaForNonsensePanics(t *testing.T) {
	t.Parallel()
	for name, make := range map[string]func() json.RawMessage{
		"no tag":   flowdefs.SchemaFor[struct{ X string }],
		"function": flowdefs.SchemaFor[func()],
		"bad number": flowdefs.SchemaFor[struct {
			X string `json:"x" minLength:"one"`
		}],
	} {
		func() {
			defer func() {
				if r := recover(); r == nil || !strings.Contains(r.(string), "SchemaFor") {
					t.Errorf("%s: %v", name, r)
				}
			}()
			make()
		}()
	}
}
