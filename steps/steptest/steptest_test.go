package steptest_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stile-auth/stile/flowdefs"
	"github.com/stile-auth/stile/flows"
	"github.com/stile-auth/stile/flows/assurance"
	"github.com/stile-auth/stile/steps/steptest"
)

const doc = `Asks for a riddle's answer.

Good for tests alone: RIDDLE_REQUIRED asks for a word, which is good once, for the
run that used it first. It takes no configuration and has no exits.
`

type answer struct {
	Word string `json:"word"`
}

type prompt struct {
	Question string `json:"question"`
}

// riddle is a step that keeps every promise but the one that its fault names.
type riddle struct {
	fault string
	mu    sync.Mutex
	owner string // who used the word
	sent  int
	down  bool
}

func (r *riddle) typ() flows.StepType {
	t := flows.StepType{
		Name: "riddle", Doc: doc, Code: "RIDDLE_REQUIRED", Prompt: flowdefs.SchemaFor[prompt](), Input: flowdefs.SchemaFor[answer](),
		Evidence: []assurance.Ceiling{{Method: assurance.Password, Categories: []assurance.Category{assurance.Knowledge}}},
		New: func(cfg flowdefs.Config) (flows.Step, error) {
			err := cfg.Decode(&struct{}{})
			if r.fault == "loose configuration" {
				err = nil
			}
			return r, err
		},
	}
	switch r.fault {
	case "shows what it sent", "writes to strangers", "sends nothing":
		t.Sends = true
	case "no manual":
		t.Doc = "Asks for a riddle's answer."
	case "no title":
		t.Doc = "\n" + doc
	case "wrong schema":
		t.Input = flowdefs.SchemaFor[struct {
			Word int `json:"word"`
		}]()
	case "undescribed prompt":
		t.Prompt = nil
	case "open prompt":
		t.Prompt = json.RawMessage(`{"type":"object","required":["question"]}`)
	case "wrong prompt":
		t.Prompt = flowdefs.SchemaFor[struct {
			Question int `json:"question"`
		}]()
	case "typed list":
		t.Typed = true
		t.Input = json.RawMessage(`{"type":"object","required":["word"],"additionalProperties":false,
			"properties":{"word":{"type":"string"},"more":{"type":"array"}}}`)
	case "loose schema":
		t.Input = json.RawMessage(`{"type":"object","required":["word"]}`)
	case "bad actor":
		t.Actor = func(json.RawMessage, string) (json.RawMessage, error) { return json.RawMessage(`{"wort":"x"}`), nil }
	}
	return t
}

func (r *riddle) Enter(ctx context.Context, v *flows.Visit) (flows.Outcome, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	data := map[string]any{"question": "?"}
	switch r.fault {
	case "secret in prompt":
		data["hint"] = "it is not sesame"
	case "tells unknown accounts":
		data["known"] = v.Claimed != ""
		if v.Claimed == "" {
			delete(data, "known")
		}
	case "shows more":
		data["more"] = 1
	case "sends twice":
		r.sent++
	case "does not ask":
		return flows.Done(), nil
	}
	m := flows.Message{To: "jane", Args: map[string]string{"code": "271828"}, Expires: v.Now.Add(1)}
	switch r.fault {
	case "shows what it sent":
		data["code"], m.To = "271828", v.Claimed
	case "sends unasked", "writes to strangers":
	default:
		return flows.Ask(flows.Prompt{Data: data}), v.Keep(data)
	}
	_, err := v.Send(ctx, m)
	return flows.Ask(flows.Prompt{Data: data}), errors.Join(err, v.Keep(data))
}

func (r *riddle) Answer(_ context.Context, v *flows.Visit, in flows.Input) (flows.Outcome, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	var a answer
	if r.fault == "loose parser" {
		_ = json.Unmarshal(in, &a)
	} else if err := in.Decode(&a); err != nil {
		return flows.Outcome{}, err
	}
	if r.down && r.fault != "fails open" {
		if r.fault == "forgets on failure" {
			_ = v.Keep(nil)
		}
		if r.fault == "secret in error" {
			return flows.Outcome{}, fmt.Errorf("%w: looking for %s", flows.ErrUnavailable, a.Word)
		}
		return flows.Outcome{}, flows.ErrUnavailable
	}
	if out, done := r.oddly(v, a); done {
		return out, nil
	}
	if a.Word != "sesame" || v.Claimed == "" {
		if r.fault == "wrong is an error" {
			return flows.Outcome{}, errors.New("wrong")
		}
		return flows.Reject("wrong", nil), nil
	}
	if r.owner != "" && r.owner != v.Owner() && r.fault != "replay" {
		return flows.Reject("replayed", nil), nil
	}
	if r.owner == v.Owner() && r.fault == "burns the answer" {
		return flows.Reject("replayed", nil), nil
	}
	r.owner = v.Owner()
	return flows.Pass(r.proof()), nil
}

// oddly decides what only a faulty step would.
func (r *riddle) oddly(v *flows.Visit, a answer) (flows.Outcome, bool) {
	switch {
	case r.fault == "shows more, later" && a.Word != "sesame":
		return flows.Reject("wrong", &flows.Prompt{Data: map[string]any{"question": "?", "more": 1}}), true
	case r.fault == "open reason" && a.Word != "sesame":
		return flows.Reject("not_sesame_but_Word", nil), true
	case r.fault == "undeclared exit":
		return flows.Exit("trapdoor"), true
	case r.fault == "enrols in secret":
		return flows.Enrolled("x"), true
	case r.fault == "accepts anything":
		return flows.Pass(r.proof()), true
	case r.fault == "lets nobody in":
		return flows.Reject("wrong", nil), true
	case r.fault == "another reason" && v.Claimed == "":
		return flows.Reject("unknown", nil), true
	}
	return flows.Outcome{}, false
}

func (r *riddle) proof() flows.Proof {
	p := flows.Proof{Evidence: assurance.Evidence{
		Method: assurance.Password, Authenticator: "riddle-1", Categories: []assurance.Category{assurance.Knowledge},
	}}
	switch r.fault {
	case "above the ceiling":
		p.Evidence.PhishingResistant = true
	case "nameless evidence":
		p.Evidence.Authenticator = ""
	case "fills in the time":
		p.Evidence.At = time.Unix(1, 0)
	case "proves somebody else":
		p.Subject = "john"
	}
	return p
}

func open(fault string) steptest.Case {
	r := &riddle{fault: fault}
	return steptest.Case{
		Type:  r.typ(),
		Visit: flows.Visit{StepID: "it", Turn: 1, Attempt: 1, Now: time.Unix(1700000000, 0), Claimed: "jane"},
		Answer: func(_ json.RawMessage, _ *flows.Visit, how string) flows.Input {
			return flows.Input(fmt.Sprintf(`{"word":%q}`, map[string]string{"ok": "sesame", "wrong": "barley"}[how]))
		},
		Secrets: []string{"sesame"},
		Break:   func() { r.down = true },
		Sent:    func() int { return r.sent },
	}
}

func TestGoodStepPasses(t *testing.T) {
	steptest.Run(t, func(*testing.T) steptest.Case { return open("") })
}

// Every fault is found, by the check that is there for it.
func TestFaultsAreFound(t *testing.T) {
	t.Parallel()
	for fault, check := range map[string]string{
		"no manual":              "documented",
		"no title":               "documented",
		"loose configuration":    "unknown configuration is refused",
		"does not ask":           "prompt holds no secret",
		"secret in prompt":       "prompt holds no secret",
		"open reason":            "prompt holds no secret",
		"undescribed prompt":     "prompt is as its schema says",
		"open prompt":            "prompt is as its schema says",
		"wrong prompt":           "prompt is as its schema says",
		"shows more":             "prompt is as its schema says",
		"shows more, later":      "prompt is as its schema says",
		"secret in error":        "failure lets nobody through",
		"sends twice":            "entering twice is harmless",
		"sends unasked":          "sends what its type says",
		"sends nothing":          "sends what its type says",
		"shows what it sent":     "sends what its type says",
		"writes to strangers":    "sends what its type says",
		"loose parser":           "malformed answers are refused",
		"wrong schema":           "schema tells the truth",
		"loose schema":           "schema tells the truth",
		"typed list":             "schema tells the truth",
		"bad actor":              "schema tells the truth",
		"lets nobody in":         "right answer is accepted within the ceilings",
		"undeclared exit":        "right answer is accepted within the ceilings",
		"enrols in secret":       "right answer is accepted within the ceilings",
		"above the ceiling":      "right answer is accepted within the ceilings",
		"nameless evidence":      "right answer is accepted within the ceilings",
		"fills in the time":      "right answer is accepted within the ceilings",
		"proves somebody else":   "right answer is accepted within the ceilings",
		"wrong is an error":      "wrong answer is an outcome",
		"accepts anything":       "wrong answer is an outcome",
		"tells unknown accounts": "unknown account looks like a known one",
		"another reason":         "unknown account looks like a known one",
		"replay":                 "proof is good once",
		"burns the answer":       "repeated request is accepted",
		"fails open":             "failure lets nobody through",
		"forgets on failure":     "failure lets nobody through",
	} {
		var found []string
		for _, c := range steptest.Checks() {
			if err := c.Run(t.Context(), open(fault)); err != nil {
				found = append(found, c.Name)
			}
		}
		if !strings.Contains(strings.Join(found, "\n"), check) {
			t.Errorf("%s: found by %q, not by %q", fault, found, check)
		}
	}
}

func TestReplayByManyRunsAtOnceIsFound(t *testing.T) {
	t.Parallel()
	for _, c := range steptest.Checks() {
		if c.Name != "many runs at once" {
			continue
		}
		if err := c.Run(t.Context(), open("replay")); err == nil {
			t.Error("eight runs got through with one answer")
		}
		return
	}
	t.Error("no such check")
}
