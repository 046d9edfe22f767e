package httpapi_test

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"
	"testing"
	"testing/fstest"
	"time"

	"github.com/gin-gonic/gin"
	"github.com/google/go-cmp/cmp"
	"github.com/google/jsonschema-go/jsonschema"
	"go.uber.org/zap"

	"github.com/stile-auth/stile/flowdefs"
	"github.com/stile-auth/stile/flows"
	"github.com/stile-auth/stile/flows/assurance"
	"github.com/stile-auth/stile/flows/httpapi"
	"github.com/stile-auth/stile/flows/seal"
	"github.com/stile-auth/stile/flows/store/memory"
)

// colour asks for a colour; red is right.
type colour struct{}

type colourPrompt struct {
	Length int `json:"length"`
}

type colourAnswer struct {
	Colour string `json:"colour" minLength:"1"`
}

func (colour) Enter(context.Context, *flows.Visit) (flows.Outcome, error) {
	return flows.Ask(flows.Prompt{Data: colourPrompt{Length: 3}}), nil
}

func (colour) Answer(_ context.Context, _ *flows.Visit, in flows.Input) (flows.Outcome, error) {
	var a colourAnswer
	if err := in.Decode(&a); err != nil {
		return flows.Outcome{}, err
	}
	if a.Colour != "red" {
		return flows.Reject("wrong", nil), nil
	}
	return flows.Pass(flows.Proof{Subject: "jane", Evidence: assurance.Evidence{
		Method: assurance.Password, Categories: []assurance.Category{assurance.Knowledge}, Binding: assurance.AAL1, Cap: assurance.AAL1,
	}}), nil
}

func colourType() flows.StepType {
	return flows.StepType{
		Name: "colour", Doc: "Asks for a colour.", Code: "COLOUR_REQUIRED",
		Prompt: flowdefs.SchemaFor[colourPrompt](), Input: flowdefs.SchemaFor[colourAnswer](),
		Evidence: []assurance.Ceiling{{Method: assurance.Password, Categories: []assurance.Category{assurance.Knowledge}}},
		New:      func(flowdefs.Config) (flows.Step, error) { return colour{}, nil },
	}
}

// onlyJane is a directory with one account.
type onlyJane struct{}

func (onlyJane) Account(_ context.Context, subject string) (flows.Account, error) {
	if subject != "jane" {
		return flows.Account{}, flows.ErrNotFound
	}
	return flows.Account{Subject: "jane", Status: flows.AccountActive}, nil
}
func (onlyJane) Resolve(context.Context, string) (string, string, error) { return "", "", nil }
func (onlyJane) Activate(context.Context, string) error                  { return nil }
func (onlyJane) Disable(context.Context, string) error                   { return nil }

// oneToken is a propagator.
type oneToken struct{}

func (oneToken) Propagate(_ context.Context, id flows.Identity) (flows.Grant, error) {
	return flows.Grant{Type: "bearer_jwt", Token: "t", Scheme: "Bearer", Expires: id.Now.Add(time.Minute)}, nil
}

const colours = `
flows:
  colours:
    steps:
      - { id: pick, choose: [{ id: one, type: colour }, { id: other, type: colour }] }
targets:
  app: { flow: colours, propagate: { type: bearer_jwt, audience: "https://app.example" } }
clients:
  app: { flows: [colours], targets: [app], dpop: optional }
`

// small is a world whose engine is a real one.
func small(t *testing.T) *world {
	t.Helper()
	registry, err1 := flows.NewRegistry(colourType())
	set, err2 := flowdefs.Load(fstest.MapFS{"f.yaml": {Data: []byte(colours)}}, ".", registry)
	sealer, err3 := seal.New(seal.Key{ID: "1", Secret: make([]byte, seal.KeySize)})
	store := memory.New()
	engine, err4 := flows.NewEngine(flows.EngineConfig{
		Definitions: set, Registry: registry, Store: store, Texts: store, Sessions: store, Throttle: store, Marks: store,
		Accounts: onlyJane{}, Recorder: store, Sealer: sealer, Logger: zap.NewNop(), Now: time.Now,
		Propagators: map[string]flows.Propagator{"bearer_jwt": oneToken{}}, DecoyKey: make([]byte, 32),
	})
	for _, err := range []error{err1, err2, err3, err4} {
		if err != nil {
			t.Fatal(err)
		}
	}
	return newWorld(t, func(c *httpapi.Config) {
		c.Engine, c.Steps = engine, []flows.StepType{colourType()}
		c.WellKnown = map[string]http.Handler{"/.well-known/x": http.NotFoundHandler()}
	})
}

func description(t *testing.T, w *world) map[string]any {
	t.Helper()
	r := w.send(t, "GET", "/openapi.json", "", "Authorization", "-")
	if r.StatusCode != 200 || r.Header.Get("Content-Type") != "application/json" {
		t.Fatalf("%d %v", r.StatusCode, r.Header)
	}
	return members(t, r)
}

// at follows a JSON pointer; nil if it leads nowhere.
func at(v any, pointer string) any {
	for part := range strings.SplitSeq(strings.TrimPrefix(pointer, "/"), "/") {
		m, _ := v.(map[string]any)
		v = m[strings.NewReplacer("~1", "/", "~0", "~").Replace(part)]
	}
	return v
}

func TestDescriptionHasEveryRoute(t *testing.T) {
	t.Parallel()
	w := small(t)
	engine, ok := w.Handler.(*gin.Engine)
	if !ok {
		t.Fatalf("%T", w.Handler)
	}
	var served, described []string
	for _, r := range engine.Routes() {
		served = append(served, r.Method+" "+strings.ReplaceAll(r.Path, ":stepId", "{stepId}"))
	}
	paths, _ := description(t, w)["paths"].(map[string]any)
	for path, methods := range paths {
		m, _ := methods.(map[string]any)
		for method := range maps.Keys(m) {
			described = append(described, strings.ToUpper(method)+" "+path)
		}
	}
	slices.Sort(served)
	slices.Sort(described)
	if diff := cmp.Diff(served, described); diff != "" {
		t.Errorf("served, and described:\n%s", diff)
	}
}

func TestDescriptionRefersToWhatItHas(t *testing.T) {
	t.Parallel()
	doc := description(t, small(t))
	seen := map[string]bool{}
	ids := map[any]bool{}
	var walk func(v any)
	walk = func(v any) {
		switch v := v.(type) {
		case []any:
			for _, item := range v {
				walk(item)
			}
		case map[string]any:
			if ref, ok := v["$ref"].(string); ok {
				seen[ref] = true
			}
			if id, ok := v["operationId"]; ok && ids[id] {
				t.Errorf("two operations are called %s", id)
			} else if ok {
				ids[id] = true
			}
			for _, item := range v {
				walk(item)
			}
		}
	}
	walk(doc)
	for ref := range seen {
		if at(doc, strings.TrimPrefix(ref, "#")) == nil {
			t.Errorf("%s leads nowhere", ref)
		}
	}
	for _, kind := range []string{"schemas", "responses", "headers"} {
		all, _ := at(doc, "/components/"+kind).(map[string]any)
		for name := range all {
			if ref := "#/components/" + kind + "/" + name; !seen[ref] {
				t.Errorf("nothing refers to %s", ref)
			}
		}
	}
	if at(doc, "/servers") == nil || doc["openapi"] != "3.1.0" || len(seen) < 20 {
		t.Errorf("%v, %d references", doc["openapi"], len(seen))
	}
}

// shut allows only the members that a schema names, at any depth.
func shut(schema any) {
	switch s := schema.(type) {
	case map[string]any:
		for name, inner := range s {
			if name != "oneOf" { // of which every alternative names some of the members
				shut(inner)
			}
		}
		if _, open := s["additionalProperties"]; !open && s["properties"] != nil {
			s["additionalProperties"] = false
		}
	case []any:
		for _, inner := range s {
			shut(inner)
		}
	}
}

// validator compiles the schema that the document has at a place; members that
// it does not name are mistakes here.
func validator(t *testing.T, doc map[string]any, pointer string) *jsonschema.Resolved {
	t.Helper()
	schemas, _ := at(doc, "/components/schemas").(map[string]any)
	for _, s := range schemas {
		shut(s)
	}
	text, err := json.Marshal(map[string]any{"$defs": schemas, "allOf": []any{at(doc, pointer)}})
	if err != nil {
		t.Fatal(err)
	}
	var s jsonschema.Schema
	if err := json.Unmarshal([]byte(strings.ReplaceAll(string(text), "#/components/schemas/", "#/$defs/")), &s); err != nil {
		t.Fatal(err)
	}
	r, err := s.Resolve(nil)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// What a real engine answers, and what it is sent, is as the description says.
func TestDescriptionIsTrue(t *testing.T) {
	t.Parallel()
	w := small(t)
	doc := description(t, w)
	if at(doc, "/components/schemas/COLOUR_REQUIRED/properties/data/properties/length") == nil {
		t.Error("what COLOUR_REQUIRED shows is not described")
	}
	handle := ""
	// does one call, and holds request and answer against the document.
	does := func(method, path, query, body string, want int) map[string]any {
		t.Helper()
		template := path
		if strings.HasPrefix(path, "/v1/flow/steps/") {
			template = "/v1/flow/steps/{stepId}"
		}
		operation := "/paths/" + strings.ReplaceAll(template, "/", "~1") + "/" + strings.ToLower(method)
		r := w.send(t, method, path+query, body, "Authorization", "Flow "+handle)
		if r.StatusCode != want {
			t.Fatalf("%s %s: %d %s", method, path, r.StatusCode, text(t, r))
		}
		if body != "" {
			var sent any
			if err := json.Unmarshal([]byte(body), &sent); err != nil {
				t.Fatal(err)
			}
			if err := validator(t, doc, operation+"/requestBody/content/application~1json/schema").Validate(sent); err != nil {
				t.Errorf("%s %s is sent %s: %v", method, path, body, err)
			}
		}
		answer := operation + "/responses/" + fmt.Sprint(want)
		if ref, ok := at(doc, answer+"/$ref").(string); ok {
			answer = strings.TrimPrefix(ref, "#")
		}
		media := strings.ReplaceAll(r.Header.Get("Content-Type"), "/", "~1")
		if at(doc, answer+"/content/"+media) == nil {
			t.Fatalf("%s %s: %d in %s is not described", method, path, want, media)
		}
		got := members(t, r)
		if err := validator(t, doc, answer+"/content/"+media+"/schema").Validate(got); err != nil {
			t.Errorf("%s %s: %d %v: %v", method, path, want, got, err)
		}
		if h, ok := got["handle"].(string); ok {
			handle = h
		}
		return got
	}
	turn := func(view map[string]any) string { return fmt.Sprintf("?turn=%v", at(view, "/flow/turn")) }

	does("GET", "/healthz", "", "", 200)
	does("GET", "/readyz", "", "", 200)
	does("POST", "/v1/flows", "", `{"clientId":"app","flow":"nothing"}`, 400)
	v := does("POST", "/v1/flows", "", `{"clientId":"app","target":"app","maxAge":60,"locale":"de"}`, 201)
	if at(v, "/nextStep/type") != "SELECTION_REQUIRED" {
		t.Fatalf("%v", v)
	}
	v = does("POST", "/v1/flow/steps/pick", turn(v), `{"select":"one"}`, 200)
	does("POST", "/v1/flow/steps/other", turn(v), `{"colour":"red"}`, 409)
	v = does("POST", "/v1/flow/steps/one", turn(v), `{"colour":"blue"}`, 422)
	v = does("POST", "/v1/flow/back", turn(v), "", 200)
	v = does("POST", "/v1/flow/restart", turn(v), "{}", 201)
	does("GET", "/v1/flow", "", "", 200)
	v = does("POST", "/v1/flow/steps/pick", turn(v), `{"select":"other"}`, 200)
	v = does("POST", "/v1/flow/steps/other", turn(v), `{"colour":"red"}`, 200)
	if at(v, "/result/grant/token") != "t" {
		t.Errorf("not completed: %v", v)
	}
	does("GET", "/v1/flow", "", "", 410)
	handle = goodHandle
	does("GET", "/v1/flow", "", "", 404)
}

// What the API refuses for its form the description does not allow.
func TestDescriptionRefusesWhatTheAPIRefuses(t *testing.T) {
	t.Parallel()
	doc := description(t, small(t))
	start := validator(t, doc, "/components/schemas/Start")
	answer := validator(t, doc, "/paths/~1v1~1flow~1steps~1{stepId}/post/requestBody/content/application~1json/schema")
	long := strings.Repeat("x", 257)
	for _, body := range []string{
		`{}`, `{"clientId":"","flow":"f"}`, `{"clientId":"c"}`, `{"clientId":"c","flow":"f","target":"t"}`, `{"clientId":"c","flow":""}`,
		`{"clientId":"c","flow":"f","maxAge":-1}`, `{"clientId":"c","flow":"f","more":1}`, `{"clientId":"c","flow":"` + long + `"}`,
		`{"clientId":"c","flow":"f","capabilities":[""]}`,
	} {
		var v any
		if err := json.Unmarshal([]byte(body), &v); err != nil {
			t.Fatal(err)
		}
		w := newWorld(t)
		if r := w.send(t, "POST", "/v1/flows", body); start.Validate(v) == nil || r.StatusCode != 400 {
			t.Errorf("start %.60s: %d, allowed: %v", body, r.StatusCode, start.Validate(v) == nil)
		}
	}
	for _, v := range []any{map[string]any{"colour": ""}, map[string]any{"color": "red"}, map[string]any{"select": 1}, "red"} {
		if answer.Validate(v) == nil {
			t.Errorf("the answer %v is allowed", v)
		}
	}
}

func TestDescriptionOfSomePrompts(t *testing.T) {
	t.Parallel()
	text, err := httpapi.Document(httpapi.DocumentConfig{Prompts: []httpapi.Prompt{
		{Code: "A_REQUIRED", IDs: []string{"b"}, Data: flowdefs.SchemaFor[colourPrompt](), Answer: json.RawMessage(`{"type":"object","required":["x"]}`)},
		{Code: "A_REQUIRED", IDs: []string{"a"}, Answer: json.RawMessage(`{"type":"object","required":["x"]}`)},
		{Code: "B_REQUIRED", IDs: []string{"c"}, Data: flowdefs.SchemaFor[colourPrompt]()},
		httpapi.SelectionPrompt([]string{"c"}, []string{"a", "b"}),
	}})
	if err != nil {
		t.Fatal(err)
	}
	var doc map[string]any
	if err := json.Unmarshal(text, &doc); err != nil {
		t.Fatal(err)
	}
	length := map[string]any{
		"type": "object", "required": []any{"length"}, "properties": map[string]any{"length": map[string]any{"type": "integer"}},
	}
	for pointer, want := range map[string]any{
		"/components/schemas/A_REQUIRED/properties/stepId/enum":         []any{"a", "b"},
		"/components/schemas/A_REQUIRED/properties/type/const":          "A_REQUIRED",
		"/components/schemas/SELECTION_REQUIRED/properties/stepId/enum": []any{"c"},
		"/components/schemas/A_REQUIRED.answer":                         map[string]any{"anyOf": []any{map[string]any{"type": "object", "required": []any{"x"}}}},
		"/components/schemas/A_REQUIRED/properties/data":                map[string]any{"anyOf": []any{length, map[string]any{"type": "object"}}},
		"/components/schemas/B_REQUIRED/properties/data":                length, // open: clients expect more
		"/components/schemas/WAIT_REQUIRED":                             nil,
		"/servers":                                                      nil,
	} {
		if diff := cmp.Diff(want, at(doc, pointer)); diff != "" {
			t.Errorf("%s:\n%s", pointer, diff)
		}
	}
	parameters, _ := at(doc, "/paths/~1v1~1flow~1steps~1{stepId}/post/parameters").([]any)
	if len(parameters) == 0 || cmp.Diff([]any{"a", "b", "c"}, at(parameters[0], "/schema/enum")) != "" {
		t.Errorf("parameters %v", parameters)
	}
	if _, err := httpapi.Document(httpapi.DocumentConfig{Prompts: []httpapi.Prompt{{Code: "A_REQUIRED", Answer: json.RawMessage(`{`)}}}); err == nil {
		t.Error("an answer that is not JSON is described")
	}
	if _, err := httpapi.Document(httpapi.DocumentConfig{Prompts: []httpapi.Prompt{{Code: "A_REQUIRED", Data: json.RawMessage(`{`)}}}); err == nil {
		t.Error("data that is not JSON is described")
	}
}
