package stage_test

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"testing/fstest"

	"pgregory.net/rapid"

	"github.com/stile-auth/stile/cmd/stile/node"
	"github.com/stile-auth/stile/flowdefs"
	"github.com/stile-auth/stile/flowdefs/examples"
	"github.com/stile-auth/stile/flows/prove"
	"github.com/stile-auth/stile/flows/scenario"
)

// A proof is about the code that runs: every run that the prover finds, as far
// as a scenario can show it, happens in the real engine, and over HTTP, just so.
func TestProvedRunsAreRuns(t *testing.T) {
	t.Parallel()
	set, _ := load(t, examples.FS)
	var scenarios []string
	for _, v := range explored(t, set) {
		scenarios = append(scenarios, some(v.Runs, 40)...)
	}
	if len(scenarios) < 200 {
		t.Errorf("only %d scenarios", len(scenarios))
	}
	played(t, set, scenarios)
}

// The same for random definitions.
func TestProvedRunsOfRandomFlows(t *testing.T) {
	t.Parallel()
	shown := 0
	flows := rapid.Custom(randomFlow)
	cat, err := node.Catalogue()
	if err != nil {
		t.Fatal(err)
	}
	for seed := range 25 {
		text := flows.Example(seed)
		set, err := flowdefs.Load(fstest.MapFS{"f.yaml": {Data: []byte(text)}}, ".", cat)
		if err != nil {
			continue // not every draw is a definition
		}
		var scenarios []string
		for _, v := range explored(t, set) {
			scenarios = append(scenarios, some(v.Runs, 12)...)
		}
		shown += len(scenarios)
		if failures := failed(t, set, scenarios); failures != "" {
			t.Errorf("%s\n%s", text, failures)
		}
	}
	if shown < 200 {
		t.Errorf("only %d runs were shown", shown)
	}
}

// What a proof tells an author to be wrong can be watched: each counterexample
// that comes with a scenario passes when it is played.
func TestCounterexamples(t *testing.T) {
	t.Parallel()
	files, err := filepath.Glob("../../../flows/prove/testdata/wrong/*.yaml")
	if err != nil || len(files) < 60 {
		t.Fatalf("%d files, %v", len(files), err)
	}
	shown := 0
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		set, _ := load(t, fstest.MapFS{"f.yaml": {Data: append(text, clientOf(string(text))...)}})
		var scenarios []string
		for _, f := range prove.Findings(explored(t, set)) {
			if f.Scenario != "" {
				scenarios = append(scenarios, f.Scenario)
			}
		}
		shown += len(scenarios)
		if failures := failed(t, set, scenarios); failures != "" {
			t.Errorf("%s: %s", filepath.Base(file), failures)
		}
	}
	if shown < 40 {
		t.Errorf("only %d counterexamples were shown", shown)
	}
}

// clientOf declares an app that may start the flow f, and what leads to it.
func clientOf(text string) string {
	targets := ""
	if strings.Contains(text, "\ntargets:") {
		targets = ", targets: [t]"
	}
	return "clients:\n  app: { flows: [f]" + targets + ", redirect_uris: [\"com.app:/x\"] }\n"
}

func explored(t testing.TB, set *flowdefs.Set) []prove.Verdict {
	t.Helper()
	cat, err := node.Catalogue()
	if err != nil {
		t.Fatal(err)
	}
	vs, err := prove.Prove(t.Context(), set, cat, prove.Options{Runs: true})
	if err != nil {
		t.Fatal(err)
	}
	return vs
}

// some takes at most n scenarios, from all over the exploration.
func some(runs []prove.Run, n int) []string {
	var out []string
	for _, r := range runs {
		if r.Scenario != "" {
			out = append(out, r.Scenario)
		}
	}
	if len(out) <= n {
		return out
	}
	var few []string
	for i := range n {
		few = append(few, out[i*len(out)/n])
	}
	return few
}

func played(t *testing.T, set *flowdefs.Set, scenarios []string) {
	t.Helper()
	if failures := failed(t, set, scenarios); failures != "" {
		t.Error(failures)
	}
}

var title = regexp.MustCompile(`(?m)^scenario: "`)

// failed plays scenarios on the engine and over HTTP, and tells what did not happen.
func failed(t testing.TB, set *flowdefs.Set, scenarios []string) string {
	t.Helper()
	if len(scenarios) == 0 {
		return ""
	}
	for i := range scenarios {
		scenarios[i] = title.ReplaceAllString(scenarios[i], fmt.Sprintf(`scenario: "%d `, i))
	}
	text := strings.Join(scenarios, "---\n")
	all, err := scenario.Load(fstest.MapFS{"f.test.yaml": {Data: []byte(text)}}, ".", set)
	if err != nil {
		return fmt.Sprintf("%v\n%s", err, text)
	}
	report := play(t, set, all, true)
	if report.Failed() == 0 {
		return ""
	}
	var told bytes.Buffer
	if err := report.Text(&told, false); err != nil {
		t.Fatal(err)
	}
	for i := range report.Results {
		if !report.Results[i].Passed() {
			return told.String() + "\n" + scenarios[i]
		}
	}
	return told.String()
}

// randomFlow draws a flow of real step types.
func randomFlow(rt *rapid.T) string {
	g := &drawn{rt: rt}
	g.line("flows:\n  f:\n    steps:")
	g.line(`      - { id: password, type: password%s }`, g.limits())
	for range rapid.IntRange(1, 4).Draw(rt, "steps") {
		g.item("      ")
	}
	if g.handled {
		g.line("    handlers:\n      h:\n        - { id: sorry, type: message, with: { text: sorry } }")
	}
	g.line(`targets:
  t:
    flow: f
    requires: { acr: %s }
    propagate: { type: bearer_jwt, audience: "https://t.example" }
`+clientOf("\ntargets:"), rapid.SampledFrom([]string{"aal1", "aal2"}).Draw(rt, "acr"))
	return g.out.String()
}

type drawn struct {
	rt      *rapid.T
	out     strings.Builder
	n       int
	handled bool
}

func (g *drawn) line(format string, args ...any) { fmt.Fprintf(&g.out, format+"\n", args...) }

func (g *drawn) condition() string {
	return rapid.SampledFrom([]string{
		`device.bound`, `!device.bound`, `account.has("totp")`, `account.has("pin") && device.bound`, `acr >= level.aal2`, `acr < level.aal2`,
		`"seen" in tags`, `account.attributes.branch == "Zurich"`, `target == "t"`, `now.getHours() < 6`,
	}).Draw(g.rt, "condition")
}

func (g *drawn) maybeIf() string {
	if rapid.IntRange(0, 2).Draw(g.rt, "if") > 0 {
		return ""
	}
	return ", if: '" + g.condition() + "'"
}

func (g *drawn) limits() string {
	switch rapid.IntRange(0, 4).Draw(g.rt, "limits") {
	case 0:
		return ", attempts: { max: 2 }"
	case 1:
		g.handled = true
		return ", timeout: 1m, on: { timeout: h, exhausted: h }"
	}
	return ""
}

func (g *drawn) step() string {
	g.n++
	typ := rapid.SampledFrom([]string{"totp", "totp", "password", "pin", "device_biometric", "message, with: { text: news }"}).Draw(g.rt, "type")
	return fmt.Sprintf("{ id: s%d, type: %s%s%s }", g.n, typ, g.limits(), g.maybeIf())
}

func (g *drawn) item(indent string) {
	g.n++
	switch rapid.IntRange(0, 9).Draw(g.rt, "item") {
	case 0:
		g.line("%s- require: '%s'", indent, g.condition())
	case 1:
		g.line("%s- { tag: { set: [seen] }%s }", indent, g.maybeIf())
	case 2:
		g.line("%s- { goto: password, max: 1, if: '%s' }", indent, g.condition())
	case 3, 4, 5:
		g.line("%s- id: c%d\n%s  choose:", indent, g.n, indent)
		for range rapid.IntRange(1, 3).Draw(g.rt, "options") {
			g.line("%s    - %s", indent, g.step())
		}
	default:
		g.line("%s- %s", indent, g.step())
	}
}
