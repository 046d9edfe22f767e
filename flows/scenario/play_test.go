package scenario_test

import (
	"bytes"
	"encoding/json"
	"encoding/xml"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/stile-auth/stile/flows/scenario"
)

// Everything that a scenario can say, said rightly.
func TestWhatPasses(t *testing.T) {
	t.Parallel()
	r := play(t, `
scenario: to the end
target: house
given: { has: [code, key] }
steps:
  - expect:
      http: 201
      status: in_progress
      flow: door
      nextStep: TEST_SECRET_REQUIRED
      step: secret
      data: { kind: secret, visit: 1, absent: null }
      assurance: { acr: none, amr: [] }
      actions: [submit, activate, restart, cancel]
      session: false
  - secret: wrong
  - expect: { http: 422, code: wrong_answer, step: secret }
  - secret: ok
  - expect: { nextStep: SELECTION_REQUIRED, step: more, options: [code, key, note], assurance: { acr: aal1, amr: [pwd] } }
  - activate: sign
  - pick: code
  - choose_other
  - pick: key
  - back
  - expect: { step: more }
  - pick: code
  - code: { answer: ok }
  - expect: { step: sign }
  - sign: ok
  - expect: { status: completed, session: true, claims: { sub: jane, nested: { b: 2 }, absent: null }, assurance: { acr: aal2 } }
---
scenario: the handler
flow: door
given: { has: [code] }
steps:
  - { answer: secret, with: ok }
  - pick: code
  - code: wrong
    times: 5
  - expect: { step: support }
  - support: ok
  - expect: { http: 403, status: failed, code: attempts_exhausted }
---
scenario: time
flow: strict
hurry: true
steps:
  - expect: { actions: [submit, cancel] }
  - secret: wrong
    times: 3
  - secret: ok
  - expect: { http: 429, code: throttled, retryAfter: 1s }
  - after: 1s
  - secret: ok
  - expect: { status: completed }
---
scenario: a session and a restart
given: { session: time }
flow: strict
steps:
  - expect: { status: completed }
  - start: { flow: door, session: false }
  - restart
  - expect: { http: 201, step: secret }
  - cancel
  - expect: { status: cancelled }
---
scenario: what expires is gone
flow: door
steps:
  - after: 20m
  - expect: { http: 404, code: flow_not_found }
---
scenario: an outage, and an answer of another form
flow: door
steps:
  - secret: down
  - expect: { http: 503 }
  - secret: { nonsense: 1 }
  - expect: { http: 400, code: invalid_request }
---
scenario: not allowed to start
flow: door
client: app
acrValues: [aal2]
maxAge: 5m
loginHint: jane
locale: de
capabilities: [TEST_NOTE_REQUIRED]
steps:
  - expect: { http: 400, code: unsupported_client_capabilities }
`, nil)
	if diff := cmp.Diff("7 scenarios, 0 failed\n", said(t, r)); diff != "" {
		t.Error(diff)
	}
}

// What is not as a scenario says is told with its place, what was expected and what came.
func TestWhatFails(t *testing.T) {
	t.Parallel()
	const start = "201; door: in_progress, turn 1; asks TEST_SECRET_REQUIRED (secret); acr none, amr []; actions [submit, activate, restart, cancel]"
	const proved = "200; door: in_progress, turn 2; asks SELECTION_REQUIRED (more); options [code, note]; acr aal1, amr [pwd]; actions [select, activate, restart, cancel]"
	for name, c := range map[string]struct{ steps, want string }{
		"values": {"  - expect: { step: code, http: 201, assurance: { acr: aal1 }, options: [a], data: { visit: 2 } }", `x.test.yaml:5:21: step: expected code, got secret
      assurance.acr: expected aal1, got nothing
      options: expected [a], got nothing
      data.visit: expected 2, got 1
      the last answer: ` + start},
		"refused": {"  - secret: ok\n  - secret: ok\n  - expect: { http: 200 }", `x.test.yaml:6:5: step "secret" is not asked: more is
      the last answer: ` + proved},
		"unexpected": {"  - secret: { answer: no }\n  - secret: other\n  - pick: code\n  - code: ok\n  - code: ok\n  - expect: { http: 200 }", `x.test.yaml:9:5: step "code" is not asked: the run is completed
      the last answer: 200; door: completed, turn 5; acr aal2, amr [mfa, otp, pwd]`},
		"a refusal": {"  - secret: down\n  - secret: ok\n  - expect: { step: more }\n  - cancel\n  - secret: ok", `x.test.yaml:9:5: step "secret" is not asked: the run is cancelled
      the last answer: 200; door: cancelled, turn 3; acr aal1, amr [pwd]`},
		"no option": {"  - secret: ok\n  - pick: key\n  - expect: { http: 200 }", `x.test.yaml:6:5: option "key" is not offered
      the last answer: ` + proved},
		"no action": {"  - back\n  - expect: { http: 200 }", `x.test.yaml:5:5: back is not offered
      the last answer: ` + start},
		"no word": {"  - secret: unheard\n  - expect: { http: 200 }", `x.test.yaml:5:5: secret: unheard: no such word
      the last answer: ` + start},
		"no actor": {"  - secret: ok\n  - pick: note\n  - note: angry\n  - expect: { http: 200 }", `x.test.yaml:7:5: note: angry: nobody knows how to answer the step type note so; write the answer out: { member: value }
      the last answer: 200; door: in_progress, turn 3; asks TEST_NOTE_REQUIRED (note); acr aal1, amr [pwd]; actions [submit, choose_other, activate, back, restart, cancel]`},
		"no outage": {"  - provider: down\n  - expect: { http: 200 }", `x.test.yaml:5:5: provider: this world has no providers
      the last answer: ` + start},
		"ok refused": {"  - start: { flow: door, capabilities: [X] }\n  - secret: ok\n  - expect: { http: 200 }", `x.test.yaml:5:5: the answer is a refusal that nothing after it expects: 400 unsupported_client_capabilities
      the last answer: 400 unsupported_client_capabilities`},
		"not named": {"  - start: { flow: door, capabilities: [X] }\n  - expect: { session: false }", `x.test.yaml:5:5: the answer is a refusal that nothing after it expects: 400 unsupported_client_capabilities
      the last answer: 400 unsupported_client_capabilities`},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got := said(t, play(t, "scenario: it\nflow: door\ngiven: { has: [code] }\nsteps:\n"+c.steps+"\n", nil))
			if diff := cmp.Diff("FAIL  it\n      "+c.want+"\n1 scenarios, 1 failed\n", got); diff != "" {
				t.Errorf("(-want +got)\n%s", diff)
			}
		})
	}
}

// A step that takes what is wrong has a hole, whatever a scenario expects.
func TestHoles(t *testing.T) {
	t.Parallel()
	got := said(t, play(t, "scenario: it\nflow: lax\nsteps:\n  - gate: wrong\n  - expect: { http: 200, step: secret }\n", nil))
	if !strings.Contains(got, "x.test.yaml:4:5: a wrong answer was accepted\n") {
		t.Error(got)
	}
}

// twisted changes the body of each answer of the API.
func twisted(from, to string) func(http.Handler) http.Handler {
	return func(h http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			rec := httptest.NewRecorder()
			h.ServeHTTP(rec, r)
			w.WriteHeader(rec.Code)
			_, _ = w.Write([]byte(strings.Replace(rec.Body.String(), from, to, 1)))
		})
	}
}

// What the engine shows and what the API shows are the same, or it is told.
func TestDifferences(t *testing.T) {
	t.Parallel()
	const text = "scenario: it\nflow: door\nsteps:\n  - expect: { http: 201 }\n"
	if got := said(t, play(t, text, twisted("}", " }"))); got != "1 scenarios, 0 failed\n" {
		t.Errorf("spaces are told: %s", got)
	}
	for _, c := range []struct{ from, to, want string }{
		{`"visit":1`, `"visit":2`, "answer differently: .nextStep.data.visit 1 and .nextStep.data.visit 2"},
		{`"kind":"secret"`, `"kind":"other"`, "answer differently: .nextStep.data.kind secret and .nextStep.data.kind other"},
		{`"amr":[]`, `"amr":[],"more":1`, "answer differently: "},
		{`"acr":null,"amr":[]`, `"amr":[],"acr":null`, "answer differently: .assurance.acr acr and .assurance.amr amr"},
		{`"turn":1,`, `"turn":"1",`, "over HTTP only: the answer is no JSON"},
		{`"name":"door"`, `"name":"backdoor"`, "answer differently: .flow.name door and .flow.name backdoor"},
		{`"visit":1`, `"visit":1.0`, "answer differently: "},
		{`"stepId":"secret"`, `"stepId":""`, "answer differently: "},
		{`"challenge":"`, `"challenge":"x`, "answer differently: .nextStep.data.challenge "},
		{`{"flow"`, `nonsense`, "over HTTP only: the answer is no JSON"},
	} {
		if got := said(t, play(t, text, twisted(c.from, c.to))); !strings.Contains(got, c.want) {
			t.Errorf("%s instead of %s: want %q in\n%s", c.to, c.from, c.want, got)
		}
	}
}

func TestStatusDiffers(t *testing.T) {
	t.Parallel()
	got := said(t, play(t, "scenario: it\nflow: door\nsteps:\n  - expect: { flow: door }\n", func(h http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			rec := httptest.NewRecorder()
			h.ServeHTTP(rec, r)
			_, _ = w.Write(rec.Body.Bytes()) // 200 and not 201
		})
	}))
	if !strings.Contains(got, "answer differently: status 201 and 200") {
		t.Error(got)
	}
}

const mixed = `
scenario: it passes
flow: strict
steps:
  - secret: ok
  - expect: { status: completed }
---
scenario: it <fails>
flow: strict
steps:
  - expect: { step: other }
`

func TestReports(t *testing.T) {
	t.Parallel()
	r := play(t, mixed, nil)
	var text, doc, junit bytes.Buffer
	for _, err := range []error{r.Text(&text, true), r.JSON(&doc), r.JUnit(&junit)} {
		if err != nil {
			t.Fatal(err)
		}
	}
	if !strings.Contains(text.String(), "coverage  strict: steps 1/1\n") ||
		!strings.Contains(text.String(), "          f.yaml:9:13: no scenario reached option more: code\n") {
		t.Errorf("text:\n%s", &text)
	}
	var j struct {
		OK       bool
		Failed   int
		Results  []struct{ Failures []struct{ Line int } }
		Coverage []scenario.FlowCoverage
	}
	if err := json.Unmarshal(doc.Bytes(), &j); err != nil || j.OK || j.Failed != 1 || len(j.Results) != 2 ||
		j.Results[1].Failures[0].Line != 11 || len(j.Coverage) != 3 {
		t.Errorf("json: %v %+v\n%s", err, j, &doc)
	}
	var x struct {
		Tests    int `xml:"tests,attr"`
		Failures int `xml:"failures,attr"`
		Suite    []struct {
			Case []struct {
				Name    string `xml:"name,attr"`
				Failure *struct {
					Message string `xml:"message,attr"`
				} `xml:"failure"`
			} `xml:"testcase"`
		} `xml:"testsuite"`
	}
	if err := xml.Unmarshal(junit.Bytes(), &x); err != nil || x.Tests != 2 || x.Failures != 1 || len(x.Suite) != 1 {
		t.Fatalf("junit: %v %+v\n%s", err, x, &junit)
	}
	c := x.Suite[0].Case
	if c[0].Failure != nil || c[1].Name != "it <fails>" || c[1].Failure == nil || c[1].Failure.Message != "step: expected other, got secret" {
		t.Errorf("junit:\n%s", &junit)
	}
}

// missing lists what no scenario reached of a flow.
func missing(r scenario.Report, flow string) []string {
	var out []string
	for _, c := range r.Coverage.Flows {
		for _, m := range c.Missing {
			if c.Flow == flow {
				out = append(out, m.Kind+" "+m.What)
			}
		}
	}
	return out
}

func TestCoverage(t *testing.T) {
	t.Parallel()
	const held = `"mad" in account.attributes)`
	for name, c := range map[string]struct {
		text string
		want []string
	}{
		"nothing": {
			"scenario: it\nflow: strict\nsteps:\n  - expect: { step: secret }\n",
			[]string{
				"step secret", "option more: code", "step code", `condition account.has("code") is true`, `condition account.has("code") is false`,
				"exit code: exhausted -> help", "option more: key", "step key", `condition account.has("key") is true`, `condition account.has("key") is false`,
				"option more: note", "step note", "step sign", "condition !(" + held + " is true", "condition !(" + held + " is false", "step support",
			},
		},
		"an option, an exit and both values": {
			"scenario: it\nflow: door\ngiven: { has: [code] }\nsteps:\n  - secret: ok\n  - pick: code\n  - code: wrong\n    times: 5\n  - expect: { step: support }\n",
			[]string{
				`condition account.has("code") is false`, "option more: key", "step key", `condition account.has("key") is true`,
				"option more: note", "step note", "step sign", "condition !(" + held + " is true", "condition !(" + held + " is false",
			},
		},
		"a require that holds somebody": {
			"scenario: it\nflow: door\ngiven: { has: [], attributes: { mad: very } }\nsteps:\n  - secret: ok\n  - note: ok\n  - expect: { http: 403 }\n",
			[]string{
				"option more: code", "step code", `condition account.has("code") is true`, "exit code: exhausted -> help",
				"option more: key", "step key", `condition account.has("key") is true`, "step sign", "condition !(" + held + " is true", "step support",
			},
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := play(t, c.text, nil)
			if r.Failed() > 0 {
				t.Fatal(said(t, r))
			}
			if diff := cmp.Diff(c.want, missing(r, "door")); diff != "" {
				t.Errorf("(-want +got)\n%s", diff)
			}
		})
	}
}
