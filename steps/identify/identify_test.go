package identify_test

import (
	"encoding/json"
	"errors"
	"strings"
	"testing"

	"github.com/stile-auth/stile/flows"
	"github.com/stile-auth/stile/steps/identify"
	"github.com/stile-auth/stile/steps/steptest"
)

// There is no wrong name, and nothing behind it that could fail.
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
				Type: identify.Type(), Visit: flows.Visit{StepID: "who", Turn: 1, Attempt: 1},
				Answer:   func(json.RawMessage, *flows.Visit, string) flows.Input { return flows.Input(`{"username":"jane"}`) },
				Reusable: true,
			})
			if err != nil {
				t.Error(err)
			}
		})
	}
}

// A known and an unknown name, and whatever else can be typed, get one answer.
func TestEveryNameIsTaken(t *testing.T) {
	t.Parallel()
	step, err := identify.Type().New(nothing{})
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"jane", "nobody", "JANE@example.test", "+41 44 000 00 00", "\u202e", strings.Repeat("x", 256)} {
		body, err := json.Marshal(map[string]string{"username": name})
		if err != nil {
			t.Fatal(err)
		}
		out, err := step.Answer(t.Context(), flows.NewVisit(flows.Visit{}, "owner", nil), body)
		if err != nil || !out.IsDone() || out.Passed() != nil {
			t.Errorf("%q: %+v, %v", name, out, err)
		}
	}
	for _, body := range []string{`{}`, `{"username":""}`, `{"username":"` + strings.Repeat("x", 257) + `"}`, `{"username":"a","password":"b"}`, `null`} {
		if _, err := step.Answer(t.Context(), flows.NewVisit(flows.Visit{}, "owner", nil), flows.Input(body)); !errors.Is(err, flows.ErrMalformed) {
			t.Errorf("%s: %v", body, err)
		}
	}
}

func TestActor(t *testing.T) {
	t.Parallel()
	if body, err := identify.Type().Actor(nil, "unknown"); err != nil || string(body) != `{"username":"nobody"}` {
		t.Errorf("%s, %v", body, err)
	}
	if _, err := identify.Type().Actor(nil, "wrong"); err == nil {
		t.Error("there is no wrong name")
	}
}

// nothing is an empty configuration.
type nothing struct{}

func (nothing) Decode(any) error { return nil }
