package contract_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"net/http/httptest"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"sync"

	"github.com/google/jsonschema-go/jsonschema"
)

// judge holds what is sent and answered against a description of the API. In it
// every object is closed: what a client would have to expect, a test must not
// find. Safe for concurrent use.
type judge struct {
	doc map[string]any

	mu       sync.Mutex
	compiled map[string]*jsonschema.Resolved
	seen     map[string]bool // "METHOD path status" and the codes of prompts
	findings []string
}

func newJudge(t tb, text []byte) *judge {
	t.Helper()
	j := &judge{compiled: map[string]*jsonschema.Resolved{}, seen: map[string]bool{}}
	must(t, json.Unmarshal(text, &j.doc))
	schemas, _ := lookUp(j.doc, "components", "schemas").(map[string]any)
	for _, s := range schemas {
		shut(s)
	}
	return j
}

// shut closes every object that names its members.
func shut(schema any) {
	switch s := schema.(type) {
	case map[string]any:
		for name, inner := range s {
			if name != "oneOf" { // whose alternatives name some of the members each
				shut(inner)
			}
		}
		if _, told := s["additionalProperties"]; !told && s["properties"] != nil {
			s["additionalProperties"] = false
		}
	case []any:
		for _, inner := range s {
			shut(inner)
		}
	}
}

// lookUp follows names into objects; nil if they lead nowhere.
func lookUp(v any, path ...string) any {
	for _, name := range path {
		m, _ := v.(map[string]any)
		v = m[name]
	}
	return v
}

// template is the path of the description that a request's path fits, "" if none.
func (j *judge) template(path string) string {
	if strings.HasPrefix(path, "/v1/flow/steps/") && strings.Count(path, "/") == 4 {
		return "/v1/flow/steps/{stepId}"
	}
	if lookUp(j.doc, "paths", path) != nil {
		return path
	}
	return ""
}

// operation is what the description says of a call, nil if nothing.
func (j *judge) operation(method, path string) map[string]any {
	o, _ := lookUp(j.doc, "paths", j.template(path), strings.ToLower(method)).(map[string]any)
	return o
}

// exchange is one call and what it was answered.
type exchange struct {
	method, path string
	sent         []byte
	status       int
	header       http.Header
	body         []byte
}

// check says what of an exchange is not as described. Errors of whoever asks
// for what is not there at all are described for no call.
func (j *judge) check(x exchange) error {
	o := j.operation(x.method, x.path)
	if o == nil {
		if x.status == http.StatusNotFound || x.status == http.StatusMethodNotAllowed {
			return nil
		}
		return fmt.Errorf("%d of a call that is not described", x.status)
	}
	response, _ := lookUp(o, "responses", strconv.Itoa(x.status)).(map[string]any)
	if ref, ok := response["$ref"].(string); ok {
		response, _ = lookUp(j.doc, strings.Split(strings.TrimPrefix(ref, "#/"), "/")...).(map[string]any)
	}
	if response == nil {
		return fmt.Errorf("status %d is not described", x.status)
	}
	j.note(x.method + " " + j.template(x.path) + " " + strconv.Itoa(x.status))
	media, _, _ := strings.Cut(x.header.Get("Content-Type"), ";")
	described := lookUp(response, "content", media)
	switch {
	case response["content"] == nil && len(x.body) > 0:
		return fmt.Errorf("%d has a body, and none is described", x.status)
	case response["content"] == nil:
		return nil
	case described == nil:
		return fmt.Errorf("%d in %q is not described", x.status, media)
	case !strings.HasSuffix(media, "json"):
		return nil
	}
	var value any
	if err := json.Unmarshal(x.body, &value); err != nil {
		return err
	}
	if err := j.valid(lookUp(described, "schema"), value); err != nil {
		return err
	}
	if err := j.accepted(o, x); err != nil {
		return err
	}
	return j.offered(value)
}

// accepted: what a call took is what it is described to take.
func (j *judge) accepted(o map[string]any, x exchange) error {
	schema := lookUp(o, "requestBody", "content", "application/json", "schema")
	if x.status >= http.StatusBadRequest || schema == nil || len(x.sent) == 0 {
		return nil
	}
	var value any
	if err := json.Unmarshal(x.sent, &value); err != nil {
		return fmt.Errorf("accepted: %w", err)
	}
	if err := j.valid(schema, value); err != nil {
		return fmt.Errorf("accepted, though not described: %w", err)
	}
	return nil
}

// offered: the schema that a prompt comes with is the one that is described for it.
func (j *judge) offered(value any) error {
	next, ok := lookUp(value, "nextStep").(map[string]any)
	if !ok {
		return nil
	}
	code, _ := next["type"].(string)
	j.note(code)
	answers, _ := lookUp(j.doc, "components", "schemas", code+".answer", "anyOf").([]any)
	actions, _ := next["actions"].([]any)
	for _, a := range actions {
		if lookUp(a, "name") != "submit" {
			continue
		}
		got := lookUp(a, "schema")
		shut(got)
		if !slices.ContainsFunc(answers, func(want any) bool { return reflect.DeepEqual(j.resolve(want), got) }) {
			return fmt.Errorf("%s comes with the schema %v, which is not described", code, got)
		}
	}
	return nil
}

func (j *judge) resolve(schema any) any {
	if ref, ok := lookUp(schema, "$ref").(string); ok {
		return lookUp(j.doc, strings.Split(strings.TrimPrefix(ref, "#/"), "/")...)
	}
	return schema
}

func (j *judge) note(what string) {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.seen[what] = true
}

func (j *judge) valid(schema, value any) error {
	r, err := j.compile(schema)
	if err != nil {
		return err
	}
	return r.Validate(value)
}

func (j *judge) compile(schema any) (*jsonschema.Resolved, error) {
	text, err := json.Marshal(map[string]any{"$defs": lookUp(j.doc, "components", "schemas"), "allOf": []any{schema}})
	if err != nil {
		return nil, err
	}
	key, err := json.Marshal(schema)
	if err != nil {
		return nil, err
	}
	j.mu.Lock()
	defer j.mu.Unlock()
	if r := j.compiled[string(key)]; r != nil {
		return r, nil
	}
	var s jsonschema.Schema
	if err := json.Unmarshal(bytes.ReplaceAll(text, []byte("#/components/schemas/"), []byte("#/$defs/")), &s); err != nil {
		return nil, err
	}
	r, err := s.Resolve(nil)
	j.compiled[string(key)] = r
	return r, err
}

// around holds everything that goes through a handler against the description.
func (j *judge) around(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		var sent bytes.Buffer
		_, err := sent.ReadFrom(r.Body)
		r.Body = readCloser{bytes.NewReader(sent.Bytes())}
		rec := httptest.NewRecorder()
		next.ServeHTTP(rec, r)
		if err == nil {
			err = j.check(exchange{r.Method, r.URL.Path, sent.Bytes(), rec.Code, rec.Header(), rec.Body.Bytes()})
		}
		if err != nil {
			j.mu.Lock()
			j.findings = append(j.findings, fmt.Sprintf("%s %s: %d %s: %v", r.Method, r.URL.Path, rec.Code, rec.Body, err))
			j.mu.Unlock()
		}
		maps.Copy(w.Header(), rec.Header())
		w.WriteHeader(rec.Code)
		_, _ = w.Write(rec.Body.Bytes())
	})
}

type readCloser struct{ *bytes.Reader }

func (readCloser) Close() error { return nil }
