package flows_test

import (
	"bytes"
	"encoding/json"
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/stile-auth/stile/flows"
)

var update = flag.Bool("update", false, "record the scripts that have no recording in testdata/replay yet; recordings that are there stay")

// recording is a run of the machine as it once went.
type recording struct {
	Definition string   `json:"definition"`
	Person     string   `json:"person"`
	Has        []string `json:"has"` // types of the person's authenticators
	Moments    []moment `json:"moments"`
}

// moment is a signal and what the machine made of it.
type moment struct {
	Signal  string        `json:"signal"`
	Name    string        `json:"name,omitempty"`    // of the option or step
	Outcome string        `json:"outcome,omitempty"` // ask, pass, done, reject, enrolled, or exit and its name
	After   string        `json:"after,omitempty"`   // time that passes before
	Move    string        `json:"move"`
	State   flows.State   `json:"state"`
	Notes   []flows.Event `json:"notes"`
}

// script is what is recorded: a definition, and signals in words.
type script struct {
	steps   string
	has     []string
	signals string
}

var scripts = map[string]script{
	"password-and-code": {`
      - { id: login, type: secret }
      - { id: code, type: code, if: 'account.has("code")' }
      - { require: acr >= level.aal2 }
`, []string{"secret", "code"}, `begin, outcome ask, outcome reject, outcome pass, outcome ask, outcome pass +20s, issue`},
	"options": {`
      - { id: bank, type: sso }
      - id: factor
        choose:
          - { id: code, type: code, attempts: { max: 1 } }
          - { id: again, type: secret, if: 'account.has("secret")' }
          - { id: pair, steps: [{ id: word, type: note }, { id: other, type: code }] }
        otherwise: { id: help, type: note }
`, []string{"secret", "code"}, `begin, outcome ask, outcome pass, pick code, outcome ask, reopen, pick code, outcome ask, outcome reject,
		pick pair, outcome ask, outcome done, outcome ask, outcome pass, issue`},
	"two-of-three": {`
      - id: factors
        any:
          of: 2
          options: [{ id: secret, type: secret }, { id: code, type: code }, { id: bank, type: sso }]
`, []string{"secret", "code"}, `begin, pick code, outcome ask, back, pick code, outcome ask, outcome pass, pick secret, outcome ask, outcome pass, issue`},
	"locked": {`
      - { id: login, type: secret, on: { locked: sorry } }
    handlers:
      sorry: [{ id: word, type: note }, { fail: call_us }]
`, []string{"secret"}, `begin, outcome ask, lock, outcome ask, outcome done`},
	"time": {`
      - { id: login, type: secret }
      - { id: pause, delay: 30s }
      - { id: slow, type: note, timeout: 60s, on: { timeout: late } }
    handlers:
      late: [{ id: word, type: note }, { goto: login, max: 1 }]
`, []string{"secret"}, `begin, outcome ask, outcome pass, time +10s, time +20s, outcome ask, time +61s, outcome ask, outcome done, outcome ask, cancel`},
	"duties": {`
      - { id: login, type: secret }
      - { tag: { set: [fresh], for: 60s } }
      - { oblige: duty }
      - { assign: { colour: '"red"' } }
      - { id: way, decide: 'assigned.colour == "red" ? "continue" : "away"', on: { away: word } }
      - { id: extra, type: note, activate: true }
      - { id: settle, type: note, settles: [duty], if: '"fresh" in tags' }
    handlers:
      word: [{ fail: other_colour }]
`, []string{"secret"}, `begin, outcome ask, activate extra, outcome pass, outcome ask, outcome done, outcome ask, outcome done, issue`},
	"obligation-open": {`
      - { id: login, type: secret }
      - { oblige: duty }
`, []string{"secret"}, `begin, outcome ask, outcome pass`},
	"denied": {`
      - { id: login, type: secret }
      - { id: bind, type: bind }
      - { id: code, type: code }
`, []string{"secret"}, `begin, outcome ask, outcome pass, outcome ask, outcome enrolled, outcome ask, outcome exit denied`},
}

// Runs that were recorded once go the same way today, state for state: what is
// stored by an older version means the same to a newer one.
func TestReplay(t *testing.T) {
	t.Parallel()
	if *update {
		record(t)
	}
	files, err := filepath.Glob("testdata/replay/*.json")
	if err != nil || len(files) < len(scripts) {
		t.Fatalf("%d recordings, %v", len(files), err)
	}
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".json"), func(t *testing.T) {
			t.Parallel()
			data, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			var want recording
			d := json.NewDecoder(bytes.NewReader(data))
			d.DisallowUnknownFields() // a member of the state that is gone would be lost from stored runs
			if err := d.Decode(&want); err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(string(data), string(encode(t, replay(t, want, true)))); diff != "" {
				t.Errorf("it goes another way now (- recorded, + now):\n%s", diff)
			}
		})
	}
}

// replay gives the machine the signals of r; stored: each in the state that was recorded, as a store would give it back.
func replay(t *testing.T, r recording, stored bool) recording {
	t.Helper()
	f, reg := compiled(t, r.Definition)
	trial, err := flows.NewTrial(f, reg, time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC))
	if err != nil {
		t.Fatal(err)
	}
	moments := r.Moments
	r.Moments = nil
	for i, m := range moments {
		after, err := time.ParseDuration(m.After)
		if m.After != "" && err != nil {
			t.Fatal(err)
		}
		trial.Pass(after)
		if stored && i > 0 {
			trial.State = moments[i-1].State
		}
		if trial.State.Subject == "" && trial.State.At != "" {
			trial.Claim(person(r.Person, flows.AccountActive, r.Has...))
		}
		m.Move = trial.Do(m.Signal, m.Name, outcomeOf(t, trial.Type(), r.Person, m.Outcome))
		m.State, m.Notes = trial.State, trial.Notes
		r.Moments = append(r.Moments, m)
	}
	return r
}

func outcomeOf(t *testing.T, typ, who, what string) flows.Outcome {
	t.Helper()
	if exit, ok := strings.CutPrefix(what, "exit "); ok {
		return flows.Exit(exit)
	}
	switch what {
	case "":
		return flows.Outcome{}
	case "ask":
		return flows.Ask(flows.Prompt{})
	case "done":
		return flows.Done()
	case "enrolled":
		return flows.Enrolled("new-key")
	case "reject":
		return flows.Reject("wrong", nil)
	case "pass":
		p := flows.Proof{Evidence: fake{&kit{}, typ}.evidence(typ + "-1")}
		if typ == "sso" {
			p.Subject = "sub-" + who
		}
		return flows.Pass(p)
	}
	t.Fatalf("no outcome is called %q", what)
	return flows.Outcome{}
}

// record writes the runs of new scripts as they go now. A recording is never
// made again: to do so would be to forget what stored runs look like.
func record(t *testing.T) {
	t.Helper()
	for name, s := range scripts {
		file := filepath.Join("testdata", "replay", name+".json")
		if _, err := os.Stat(file); err == nil {
			continue
		}
		r := recording{Definition: definitions(s.steps[1:], "{}"), Person: "jane", Has: s.has}
		for text := range strings.SplitSeq(s.signals, ",") {
			words := strings.Fields(text)
			m := moment{Signal: words[0]}
			if last := words[len(words)-1]; strings.HasPrefix(last, "+") {
				m.After, words = last[1:], words[:len(words)-1]
			}
			switch rest := strings.Join(words[1:], " "); m.Signal {
			case "outcome":
				m.Outcome = rest
			default:
				m.Name = rest
			}
			r.Moments = append(r.Moments, m)
		}
		if err := os.WriteFile(file, encode(t, replay(t, r, false)), 0o600); err != nil {
			t.Fatal(err)
		}
	}
}

func encode(t *testing.T, r recording) []byte {
	t.Helper()
	data, err := json.MarshalIndent(r, "", "  ")
	if err != nil {
		t.Fatal(err)
	}
	return append(data, '\n')
}
