package steptest

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/google/jsonschema-go/jsonschema"

	"github.com/stile-auth/stile/flowdefs"
	"github.com/stile-auth/stile/flows"
)

// minManual is the length of a manual that can say anything.
const minManual = 100

func documented(_ context.Context, c Case) error {
	if _, err := flows.NewRegistry(c.Type); err != nil {
		return err
	}
	title, rest, _ := strings.Cut(c.Type.Doc, "\n")
	switch {
	case title == "" || !strings.HasSuffix(title, ".") || len(title) > 100:
		return fmt.Errorf("the title %q is not one short sentence", title)
	case !strings.HasPrefix(rest, "\n"):
		return errors.New("no empty line below the title")
	case len(rest) < minManual:
		return errors.New("no manual below the title")
	case !strings.Contains(rest, c.Type.Code):
		return fmt.Errorf("the manual does not show %s", c.Type.Code)
	}
	return nil
}

func strictConfig(_ context.Context, c Case) error {
	if _, err := load(c, c.With); err != nil {
		return fmt.Errorf("the case's own configuration: %w", err)
	}
	with := "{ surprise: true }"
	if inner := strings.TrimSuffix(strings.TrimSpace(c.With), "}"); inner != "" {
		with = inner + ", surprise: true }"
	}
	if _, err := load(c, with); !errors.As(err, new(flowdefs.Problems)) {
		return fmt.Errorf("%s: got %v; want a problem of the definition", with, err)
	}
	if _, err := c.Type.New(refusing{}); !errors.Is(err, errRefused) {
		return fmt.Errorf("new step of a refused configuration: %v", err)
	}
	return nil
}

// refusing is a configuration that does not fit.
type refusing struct{}

var errRefused = errors.New("steptest: this configuration does not fit")

func (refusing) Decode(any) error { return errRefused }

func quietPrompt(ctx context.Context, c Case) error {
	b, err := setUp(c)
	if err != nil {
		return err
	}
	v := b.visit("run-1")
	data, err := b.enter(ctx, v)
	if err != nil {
		return err
	}
	if _, err := object(data); err != nil {
		return fmt.Errorf("the prompt's data is no object: %w", err)
	}
	out, err := b.answer(ctx, v, b.Answer(data, v, "wrong"))
	if err != nil {
		return err
	}
	return b.declared(v, out)
}

// honestPrompt holds everything that the step shows against the schema, which
// must be closed: what is shown and not declared would be found by nobody.
func honestPrompt(ctx context.Context, c Case) error {
	b, err := setUp(c)
	if err != nil {
		return err
	}
	if len(c.Type.Prompt) == 0 {
		return fmt.Errorf("no schema of what is shown with %s", c.Type.Code)
	}
	validate, err := validator(c.Type.Prompt)
	if err != nil {
		return err
	}
	v := b.visit("run-1")
	data, err := b.enter(ctx, v)
	if err != nil {
		return err
	}
	members, err := object(data)
	if err != nil {
		return err
	}
	if validate(with(members, "", nil, "surprise", json.RawMessage("true"))) == nil {
		return errors.New("the schema of the prompt allows what is not declared")
	}
	shown := []json.RawMessage{data}
	for _, how := range []string{"wrong", "ok"} {
		out, err := b.answer(ctx, v, b.Answer(data, v, how))
		if err != nil {
			return err
		}
		for _, p := range []*flows.Prompt{out.Asked(), out.Again()} {
			if p == nil {
				continue
			}
			if data, err = b.data(p); err != nil {
				return err
			}
			shown = append(shown, data)
		}
	}
	for _, data := range shown {
		if err := validate(flows.Input(data)); err != nil {
			return fmt.Errorf("the schema of the prompt refuses what is shown: %w", err)
		}
	}
	return nil
}

// enterTwice is what a crash between entering and storing the run comes to.
func enterTwice(ctx context.Context, c Case) error {
	b, err := setUp(c)
	if err != nil {
		return err
	}
	first, second := b.visit("run-1"), b.visit("run-1")
	if _, err := b.enter(ctx, first); err != nil {
		return err
	}
	sent := 0
	if c.Sent != nil {
		sent = c.Sent()
	}
	data, err := b.enter(ctx, second)
	if err != nil {
		return err
	}
	if c.Sent != nil && c.Sent() != sent {
		return errors.New("entering again at the same instant sent again")
	}
	out, err := b.answer(ctx, second, b.Answer(data, second, "ok"))
	if err != nil {
		return err
	}
	if !completed(out) {
		return fmt.Errorf("the answer to the second prompt: %s", decided(out))
	}
	return nil
}

func strictAnswer(ctx context.Context, c Case) error {
	b, err := setUp(c)
	if err != nil {
		return err
	}
	v := b.visit("run-1")
	data, err := b.enter(ctx, v)
	if err != nil {
		return err
	}
	ok := b.Answer(data, v, "ok")
	bad, err := spoil(ok, c.Type.Input)
	if err != nil {
		return err
	}
	for _, name := range slices.Sorted(maps.Keys(bad)) {
		out, err := b.answer(ctx, v, bad[name])
		if !errors.Is(err, flows.ErrMalformed) {
			return fmt.Errorf("%s: outcome %s, error %v; want ErrMalformed", name, decided(out), err)
		}
	}
	out, err := b.answer(ctx, v, ok)
	if err != nil || !completed(out) {
		return fmt.Errorf("the right answer after malformed ones: %s, %v", decided(out), err)
	}
	return nil
}

// spoil returns malformed relatives of a good body.
func spoil(ok flows.Input, schema json.RawMessage) (map[string]flows.Input, error) {
	members, err := object(json.RawMessage(ok))
	if err != nil {
		return nil, err
	}
	open := func(inside string) flows.Input { // the body with more inside
		return flows.Input(bytes.Replace(ok, []byte("{"), []byte("{"+inside), 1))
	}
	bad := map[string]flows.Input{
		"empty": {}, "null": flows.Input("null"), "list": flows.Input("[]"), "string": flows.Input(`"x"`),
		"half":          ok[:len(ok)-1],
		"two documents": append(slices.Clone(ok), ok...),
		"byte order":    append(flows.Input("\xef\xbb\xbf"), ok...),
		"unknown key":   open(`"surprise":true,`),
	}
	required, err := requiredKeys(schema)
	if err != nil {
		return nil, err
	}
	for key, value := range members {
		bad["duplicate "+key] = open(fmt.Sprintf("%q:%s,", key, value))
		bad["folded "+key] = with(members, key, nil, strings.ToUpper(key), value)
		bad["number for "+key] = with(members, key, json.RawMessage("7"), "", nil)
		bad["null for "+key] = with(members, key, json.RawMessage("null"), "", nil)
		if slices.Contains(required, key) {
			bad["missing "+key] = with(members, key, nil, "", nil)
		}
	}
	return bad, nil
}

// with returns the members with key set to value (nil: absent) and, if other is not empty, other too.
func with(members map[string]json.RawMessage, key string, value json.RawMessage, other string, otherValue json.RawMessage) flows.Input {
	out := maps.Clone(members)
	delete(out, key)
	if value != nil {
		out[key] = value
	}
	if other != "" {
		out[other] = otherValue
	}
	data, _ := json.Marshal(out) // raw members were valid JSON
	return flows.Input(data)
}

func requiredKeys(schema json.RawMessage) ([]string, error) {
	var s struct {
		Required []string `json:"required"`
	}
	if err := json.Unmarshal(schema, &s); err != nil {
		return nil, fmt.Errorf("schema of the answer: %w", err)
	}
	return s.Required, nil
}

func object(data json.RawMessage) (map[string]json.RawMessage, error) {
	var m map[string]json.RawMessage
	if err := json.Unmarshal(data, &m); err != nil {
		return nil, err
	}
	if len(m) == 0 && string(data) != "{}" {
		return nil, errors.New("not an object")
	}
	return m, nil
}

// honestSchema compares the schema with what the step really takes.
func honestSchema(ctx context.Context, c Case) error {
	b, err := setUp(c)
	if err != nil {
		return err
	}
	v := b.visit("run-1")
	data, err := b.enter(ctx, v)
	if err != nil {
		return err
	}
	validate, err := validator(c.Type.Input)
	if err != nil {
		return err
	}
	ok := b.Answer(data, v, "ok")
	bodies := []flows.Input{ok, b.Answer(data, v, "wrong")}
	if c.Type.Actor != nil {
		body, err := c.Type.Actor(data, "ok")
		if err != nil {
			return fmt.Errorf("actor: %w", err)
		}
		bodies = append(bodies, flows.Input(body))
	}
	for _, body := range bodies {
		if err := validate(body); err != nil {
			return fmt.Errorf("the schema refuses what the step takes: %w", err)
		}
	}
	members, err := object(json.RawMessage(ok))
	if err != nil {
		return err
	}
	required, err := requiredKeys(c.Type.Input)
	if err != nil {
		return err
	}
	for _, key := range required {
		if validate(with(members, key, nil, "", nil)) == nil {
			return fmt.Errorf("the schema accepts an answer without %q", key)
		}
	}
	if validate(with(members, "", nil, "surprise", json.RawMessage("true"))) == nil {
		return errors.New("the schema accepts an unknown key")
	}
	if c.Type.Typed {
		return typable(c.Type.Input)
	}
	return nil
}

// typable: a page has a control for every member of an answer that people type.
func typable(schema json.RawMessage) error {
	var s struct {
		Properties map[string]struct {
			Type string `json:"type"`
		} `json:"properties"`
	}
	if err := json.Unmarshal(schema, &s); err != nil {
		return fmt.Errorf("schema of the answer: %w", err)
	}
	for name, p := range s.Properties {
		if p.Type != "string" && p.Type != "boolean" {
			return fmt.Errorf("the answer is said to be typed, and %q is of the type %q", name, p.Type)
		}
	}
	return nil
}

func validator(schema json.RawMessage) (func(flows.Input) error, error) {
	var s jsonschema.Schema
	if err := json.Unmarshal(schema, &s); err != nil {
		return nil, fmt.Errorf("schema: %w", err)
	}
	resolved, err := s.Resolve(nil)
	if err != nil {
		return nil, fmt.Errorf("schema: %w", err)
	}
	return func(body flows.Input) error {
		var value any
		if err := json.Unmarshal(body, &value); err != nil {
			return err
		}
		return resolved.Validate(value)
	}, nil
}
