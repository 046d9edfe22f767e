package flows_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/fstest"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/stile-auth/stile/flowdefs"
	"github.com/stile-auth/stile/flows"
)

// busy is a flow with nodes that random ones seldom reach.
const busy = `
      - { id: login, type: secret }
      - { oblige: duty, if: device.bound }
      - { id: way, decide: 'device.bound ? "away" : "continue"', on: { away: aside } }
      - id: factor
        any:
          of: 2
          options:
            - { id: code, type: code }
            - id: inner
              choose: [{ id: bank, type: sso }, { id: again, type: code, attempts: { max: 1 } }]
            - { id: pair, steps: [{ id: note, type: note }, { id: more, type: note, if: device.bound }] }
      - { id: settle, type: note, settles: [duty], if: device.bound }
    handlers:
      aside: [{ id: word, type: note }, { goto: factor, max: 1 }]
`

// Wherever the machine goes, the graph has a way there.
func TestGraphHasEveryWay(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(rt *rapid.T) {
		text := definitions(busy, "{}")
		if rapid.IntRange(0, 3).Draw(rt, "random") > 0 {
			text = generate(rt).text
		}
		f, reg := compiled(t, text)
		g, err := flows.Draw(f, reg)
		if err != nil {
			t.Fatal(err)
		}
		closed(rt, g)
		for range 10 {
			walk(t, rt, f, reg, g)
		}
	})
}

func walk(t *testing.T, rt *rapid.T, f *flowdefs.Flow, reg *flows.Registry, g flows.Graph) {
	t.Helper()
	trial, err := flows.NewTrial(f, reg, time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC))
	if err != nil {
		t.Fatal(err)
	}
	account := person("jane", flows.AccountActive, rapid.SampledFrom([][]string{{"secret"}, {"secret", "code"}}).Draw(rt, "has")...)
	at, move := "(start)", trial.Do("begin", "", flows.Outcome{})
	for range 40 {
		to := whereabouts(trial, move)
		if !leads(g, at, to) {
			rt.Fatalf("no way from %s to %s (%s)\n%s\n%v", at, to, move, f.Source, g.Edges)
		}
		if move == "final" || move == "issue" {
			return
		}
		at = to
		if move == "wait" {
			offered(rt, trial, g)
		}
		if trial.State.Subject == "" {
			trial.Claim(account)
		}
		trial.Bind(rapid.Bool().Draw(rt, "bound"))
		move = happen(rt, trial, move, g)
	}
}

// offered: what a client may do at a prompt stands at its node.
func offered(rt *rapid.T, trial *flows.Trial, g flows.Graph) {
	n := g.Nodes[slices.IndexFunc(g.Nodes, func(n flows.GraphNode) bool { return n.ID == trial.State.At })]
	for signal, name := range map[string]string{"back": "back", "reopen": "choose_other", "resend": "resend"} {
		other := *trial
		if other.Do(signal, "", flows.Outcome{}) != "refuse" && !slices.Contains(n.Client, name) {
			rt.Fatalf("%s is possible at %s, and not drawn: %v", name, n.ID, n.Client)
		}
	}
}

// happen gives the machine something that may happen now; what a client may do anywhere is not drawn.
func happen(rt *rapid.T, trial *flows.Trial, move string, g flows.Graph) string {
	at := trial.State.At
	n := g.Nodes[max(0, slices.IndexFunc(g.Nodes, func(n flows.GraphNode) bool { return n.ID == at }))]
	switch {
	case move == "complete":
		return trial.Do("issue", "", flows.Outcome{})
	case n.Kind == "choose":
		return trial.Do("pick", rapid.SampledFrom(trial.State.Offers).Draw(rt, "option"), flows.Outcome{})
	case n.Kind == "delay":
		trial.Pass(time.Minute)
		return trial.Do("time", "", flows.Outcome{})
	}
	switch rapid.IntRange(0, 24).Draw(rt, "happens") {
	case 0:
		return trial.Do("denied", "", flows.Outcome{})
	case 1:
		if n.Type == "secret" || n.Type == "code" {
			return trial.Do("lock", "", flows.Outcome{})
		}
	case 2:
		if !trial.State.Until.IsZero() {
			trial.Pass(2 * time.Minute)
			return trial.Do("time", "", flows.Outcome{})
		}
	}
	return trial.Do("outcome", "", decide(rt, n.Type))
}

func decide(rt *rapid.T, typ string) flows.Outcome {
	switch rapid.IntRange(0, 12).Draw(rt, "outcome") {
	case 0:
		return flows.Exit("denied")
	case 1:
		return flows.Exit("unavailable")
	case 2, 3:
		return flows.Reject("wrong", nil)
	case 4:
		return flows.Ask(flows.Prompt{})
	}
	switch typ {
	case "secret", "code", "sso":
		return flows.Pass(flows.Proof{Subject: rapid.SampledFrom([]string{"", "", "", "sub-other"}).Draw(rt, "subject"), Evidence: fake{&kit{}, typ}.evidence(typ)})
	}
	return flows.Done()
}

func whereabouts(trial *flows.Trial, move string) string {
	switch {
	case move == "issue":
		return "(completed)"
	case move == "complete":
		return "(gate)"
	case trial.State.Status == flows.Cancelled:
		return "(cancelled)"
	case trial.State.Status == flows.Failed:
		return "(failed " + trial.State.Failure + ")"
	}
	return trial.State.At
}

// leads says whether there is a way that asks for nothing between the two:
// steps and delays on it were skipped, or left before they asked.
func leads(g flows.Graph, from, to string) bool {
	if from == to {
		return true
	}
	kinds := map[string]string{}
	for _, n := range g.Nodes {
		kinds[n.ID] = n.Kind
	}
	seen, todo := map[string]bool{}, []string{from}
	for len(todo) > 0 {
		at := todo[0]
		todo = todo[1:]
		asks := at != from && (kinds[at] == "step" || kinds[at] == "delay" || kinds[at] == "gate")
		for _, e := range g.Edges {
			passes := e.Kind == "skip" || e.Kind == "failure" || e.Label == "insufficient" || e.Label == "exhausted"
			if e.From != at || asks && !passes {
				continue
			}
			if e.To == to {
				return true
			}
			if !seen[e.To] {
				seen[e.To] = true
				todo = append(todo, e.To)
			}
		}
	}
	return false
}

// closed checks that every edge has its ends and every node but the start a way to it.
func closed(t interface{ Fatalf(string, ...any) }, g flows.Graph) {
	ids := map[string]bool{}
	for _, n := range g.Nodes {
		if ids[n.ID] {
			t.Fatalf("%s is there twice", n.ID)
		}
		ids[n.ID] = true
	}
	for _, e := range g.Edges {
		if !ids[e.From] || !ids[e.To] {
			t.Fatalf("%v hangs in the air", e)
		}
	}
}

func compiled(t testing.TB, text string) (*flowdefs.Flow, *flows.Registry) {
	t.Helper()
	reg, err := flows.NewRegistry((&kit{}).types()...)
	if err != nil {
		t.Fatal(err)
	}
	set, err := flowdefs.Load(fstest.MapFS{"d/f.yaml": {Data: []byte(text)}}, "d", reg)
	if err != nil {
		t.Fatalf("%v\n%s", err, text)
	}
	return set.Flows["f"], reg
}

// What the definition says is drawn as what it says.
func TestGraphSaysWhatIsDefined(t *testing.T) {
	t.Parallel()
	f, reg := compiled(t, definitions(`
      - { id: login, type: secret, on: { exhausted: away } }
      - id: factor
        any:
          of: 2
          options:
            - { id: code, type: code, if: device.bound }
            - { id: bank, type: sso }
        otherwise: { id: note, type: note }
      - { require: acr >= level.aal1 }
      - { id: bind, type: bind, activate: true }
      - { goto: login, max: 2, counts: true, if: "!device.bound" }
    handlers:
      away: [{ id: sorry, type: note }]
`, "{}"))
	g, err := flows.Draw(f, reg)
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, e := range g.Edges {
		if !e.Implied {
			got = append(got, strings.TrimSpace(fmt.Sprintf("%s -> %s [%s] %s", e.From, e.To, e.Kind, e.Label)))
		}
	}
	want := strings.Split(strings.TrimSpace(`
(start) -> login [next]
login -> factor [next]
login -> sorry [exit] exhausted
factor -> code [option] device.bound
factor -> bank [option]
factor -> note [otherwise] otherwise
factor -> (require 1) [next] 2 of 2 completed
code -> factor [next]
bank -> factor [next]
note -> (require 1) [next]
(require 1) -> bind [next]
(require 1) -> (failed requirement_not_met) [failure] otherwise
bind -> (goto 1) [skip] not activated
bind -> (goto 1) [next]
(goto 1) -> (gate) [skip] not (!device.bound)
(goto 1) -> login [goto] at most 2 times, counts as wrong
sorry -> (failed attempts_exhausted) [next]
(gate) -> (completed) [next]`), "\n")
	if diff := cmp.Diff(want, got); diff != "" {
		t.Fatal(diff)
	}
	if g.Nodes[1].Type != "secret" || g.Nodes[1].Code != "X_SECRET_REQUIRED" || g.Nodes[len(g.Nodes)-1].Kind != "failed" {
		t.Fatalf("%+v", g.Nodes)
	}
	if _, err := flows.Draw(&flowdefs.Flow{Name: "x", Steps: []flowdefs.Node{{ID: "a", Type: "unheard"}}}, reg); err == nil {
		t.Fatal("an unknown step type is drawn")
	}
}
