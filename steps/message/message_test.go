package message_test

import (
	"encoding/json"
	"errors"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/stile-auth/stile/flowdefs"
	"github.com/stile-auth/stile/flows"
	"github.com/stile-auth/stile/steps/message"
	"github.com/stile-auth/stile/steps/steptest"
)

// There is no wrong answer to a message, and nothing behind it that could fail.
func TestConformance(t *testing.T) {
	t.Parallel()
	inapplicable := map[string]bool{
		"wrong answer is an outcome": true, "unknown account looks like a known one": true, "failure lets nobody through": true,
	}
	for _, check := range steptest.Checks() {
		if inapplicable[check.Name] {
			continue
		}
		t.Run(check.Name, func(t *testing.T) {
			t.Parallel()
			err := check.Run(t.Context(), steptest.Case{
				Type: message.Type(), With: "{ text: account-locked }", Visit: flows.Visit{StepID: "support", Turn: 1, Attempt: 1},
				Answer:   func(json.RawMessage, *flows.Visit, string) flows.Input { return flows.Input("{}") },
				Reusable: true,
			})
			if err != nil {
				t.Error(err)
			}
		})
	}
}

func load(with string) (*flowdefs.Set, error) {
	r, err := flows.NewRegistry(message.Type())
	if err != nil {
		return nil, err
	}
	text := "flows: { f: { steps: [{ id: m, type: message, with: " + with + " }] } }"
	return flowdefs.Load(fstest.MapFS{"f.yaml": {Data: []byte(text)}}, ".", r)
}

func TestPrompt(t *testing.T) {
	t.Parallel()
	set, err := load("{ text: terms.2026-03 }")
	if err != nil {
		t.Fatal(err)
	}
	step, err := message.Type().New(set.Flows["f"].Steps[0].With)
	if err != nil {
		t.Fatal(err)
	}
	v := flows.NewVisit(flows.Visit{}, "owner", nil)
	out, err := step.Enter(t.Context(), v)
	if err != nil || out.Asked() == nil {
		t.Fatalf("%+v, %v", out, err)
	}
	data, err := json.Marshal(out.Asked().Data)
	if err != nil || string(data) != `{"message":"terms.2026-03"}` {
		t.Errorf("%s, %v", data, err)
	}
	if out, err = step.Answer(t.Context(), v, flows.Input("{}")); err != nil || !out.IsDone() || out.Passed() != nil {
		t.Errorf("%+v, %v", out, err)
	}
}

// The definition holds ids, not texts.
func TestTextIsAnID(t *testing.T) {
	t.Parallel()
	for _, with := range []string{
		`{}`, `{ text: "" }`, `{ text: "Your account is locked." }`, `{ text: Locked }`, `{ text: 7up }`,
		`{ text: "a\n" }`, `{ text: ` + strings.Repeat("a", 65) + ` }`, `{ text: [a] }`,
	} {
		if _, err := load(with); !errors.As(err, new(flowdefs.Problems)) {
			t.Errorf("%s: %v", with, err)
		}
	}
}

func TestActor(t *testing.T) {
	t.Parallel()
	if body, err := message.Type().Actor(nil, "ok"); err != nil || string(body) != "{}" {
		t.Errorf("%s, %v", body, err)
	}
	if _, err := message.Type().Actor(nil, "wrong"); err == nil {
		t.Error("a message has no wrong answer")
	}
}
