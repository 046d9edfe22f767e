package flowdefs_test

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/jsonschema-go/jsonschema"
	"go.yaml.in/yaml/v4"

	"github.com/stile-auth/stile/flowdefs"
	"github.com/stile-auth/stile/flowdefs/examples"
	"github.com/stile-auth/stile/flows"
	"github.com/stile-auth/stile/flows/seal"
	"github.com/stile-auth/stile/steps"
)

func resolved(t *testing.T, cat flowdefs.Catalogue) *jsonschema.Resolved {
	t.Helper()
	text, err := flowdefs.FileSchema(cat)
	if err != nil {
		t.Fatal(err)
	}
	var s jsonschema.Schema
	if err := json.Unmarshal(text, &s); err != nil {
		t.Fatal(err)
	}
	r, err := s.Resolve(nil)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// asJSON reads YAML as an editor does; ok is false for what is not even that.
func asJSON(text []byte) (value any, ok bool) {
	var v any
	if err := yaml.Unmarshal(text, &v); err != nil {
		return nil, false
	}
	plain, err := json.Marshal(v)
	if err != nil {
		return nil, false
	}
	d := json.NewDecoder(bytes.NewReader(plain))
	return value, d.Decode(&value) == nil
}

func builtin(t *testing.T) flowdefs.Catalogue {
	t.Helper()
	sealer, err := seal.New(seal.Key{ID: "1", Secret: make([]byte, seal.KeySize)})
	if err != nil {
		t.Fatal(err)
	}
	registry, err := flows.NewRegistry(steps.Builtin(steps.Deps{Seeds: sealer, Codes: make([]byte, 32), Issuer: "https://id.bank.example"})...)
	if err != nil {
		t.Fatal(err)
	}
	return registry
}

func TestExamplesAreAsTheSchemaSays(t *testing.T) {
	t.Parallel()
	r := resolved(t, builtin(t))
	entries, err := examples.FS.ReadDir(".")
	if err != nil {
		t.Fatal(err)
	}
	seen := 0
	for _, e := range entries {
		if strings.HasSuffix(e.Name(), ".test.yaml") {
			continue
		}
		text, err := examples.FS.ReadFile(e.Name())
		if err != nil {
			t.Fatal(err)
		}
		value, ok := asJSON(text)
		if err := r.Validate(value); err != nil || !ok {
			t.Errorf("%s: %v", e.Name(), err)
		}
		seen++
	}
	if seen < 10 {
		t.Errorf("only %d examples", seen)
	}
}

// detailed is the catalogue with schemas as exact as those of real step types.
type detailed struct{ catalogue }

func (c detailed) Describe(name string) (flowdefs.StepInfo, bool) {
	info, ok := c.catalogue.Describe(name)
	switch name {
	case "sso":
		info.Config = flowdefs.SchemaFor[ssoConfig]()
	case "knobs":
		info.Config = json.RawMessage(`{"type":"object","additionalProperties":false,"properties":{"text":{"type":"string"},"on":{"type":"boolean"},
			"count":{"type":"integer"},"small":{"type":"integer","minimum":-128,"maximum":127},"length":{"type":"string","pattern":"^([0-9]+(ms|s|m|h))+$"},
			"words":{"type":"array","items":{"type":"string"}},
			"inner":{"type":"object","additionalProperties":false,"properties":{"depth":{"type":"integer"}},"required":["depth"]},
			"list":{"type":"array","items":{"type":"object","additionalProperties":false,"properties":{"name":{"type":"string"}},"required":["name"]}}}}`)
	}
	return info, ok
}

// What only the loader can find stands in a list, with what it says: a schema
// that has become weaker, or stronger, changes it.
func TestTheSchemaFlagsMistakes(t *testing.T) {
	t.Parallel()
	r := resolved(t, detailed{})
	files, err := filepath.Glob("testdata/bad/*.yaml")
	if err != nil || len(files) < 120 {
		t.Fatalf("%d files, %v", len(files), err)
	}
	var passed strings.Builder
	flagged := 0
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		value, ok := asJSON(text)
		if !ok || r.Validate(value) != nil {
			flagged++
			continue
		}
		want, err := os.ReadFile(strings.TrimSuffix(file, ".yaml") + ".want")
		if err != nil {
			t.Fatal(err)
		}
		first, _, _ := strings.Cut(string(want), "\n")
		_, message, _ := strings.Cut(first, " ")
		passed.WriteString(strings.TrimSuffix(filepath.Base(file), ".yaml") + ": " + message + "\n")
	}
	if flagged < len(files)/2 {
		t.Errorf("only %d of %d files are flagged", flagged, len(files))
	}
	const list = "testdata/beyond-schema.txt"
	if *update {
		if err := os.WriteFile(list, []byte(passed.String()), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(list)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), passed.String()); diff != "" {
		t.Error(diff)
	}
}

// Every good file is good to the schema too, also where a parameter stands for a value.
func TestTheSchemaAllowsWhatLoads(t *testing.T) {
	t.Parallel()
	r := resolved(t, detailed{})
	for _, text := range []string{
		`
subflows:
  code:
    parameters: { tries: number, who: string, length: string }
    steps:
      - { id: a, type: sso, with: { provider: { param: who } }, attempts: { max: { param: tries } }, timeout: { param: length } }
      - { id: b, type: knobs, with: { words: [{ param: who }], inner: { depth: { param: tries } } }, resend: { max: { param: tries }, every: { param: length } } }
flows:
  f:
    timeout: 1h
    steps:
      - { id: u, use: code, with: { tries: 3, who: p, length: 5m } }
providers:
  p: { issuer: "http://localhost:8080/realm", client_id: x, client_secret: { file: a } }
`, `
flows:
  f:
    kind: self_service
    requires: { acr: aal2, max_age: 5m }
    steps:
      - { id: t, type: totp, timeout: 5m, on: { timeout: late }, settles: [mark] }
      - { id: k, type: knobs, resend: { max: 0 } }
      - { id: c, any: { of: 1, options: [{ id: g, steps: [{ id: p, type: pin }, { tag: { set: [x], for: 1h } }] }] }, otherwise: { id: o, type: password } }
      - { assign: { colour: '"red"' } }
      - { id: w, delay: 30s }
      - { abort: true, if: now < run.started }
    handlers: { late: [{ fail: late }] }
`,
	} {
		if _, err := load(text); err != nil {
			t.Errorf("does not load: %v", err)
		}
		value, ok := asJSON([]byte(text))
		if err := r.Validate(value); err != nil || !ok {
			t.Error(err)
		}
	}
}

// odd is a catalogue of one step type with some configuration.
type odd string

func (odd) Names() []string { return []string{"odd"} }

func (c odd) Describe(string) (flowdefs.StepInfo, bool) {
	return flowdefs.StepInfo{Name: "odd", Config: json.RawMessage(c)}, true
}

func TestSchemasThatCannotBeEmbedded(t *testing.T) {
	t.Parallel()
	for _, config := range []odd{`{`, `[]`, `{"$ref":"#/definitions/x"}`} {
		if text, err := flowdefs.FileSchema(config); err == nil || text != nil {
			t.Errorf("%s: %s", config, text)
		}
	}
}
