package flowdefs_test

import (
	"bytes"
	"fmt"
	"strings"
	"testing"
	"testing/fstest"
	"time"

	"github.com/stile-auth/stile/flowdefs"
)

// A file over the limit is refused without being parsed: its text is no YAML.
func TestLargeFile(t *testing.T) {
	t.Parallel()
	text := "{" + strings.Repeat("x", 256<<10)
	started := time.Now()
	_, err := load(text)
	if err == nil || err.Error() != "f.yaml:1:1: the file is larger than the 262144 bytes that are read" {
		t.Errorf("got %v", err)
	}
	if took := time.Since(started); took > time.Second {
		t.Errorf("took %s", took)
	}
}

func TestLargestFileLoads(t *testing.T) {
	t.Parallel()
	text := "flows: {f: {steps: [{id: a, type: totp}]}}\n#"
	mustLoad(t, text+strings.Repeat("x", 256<<10-len(text)))
}

// Each of these is small to write and made to be dear to read: what multiplied
// would take hours. How fast exactly is a matter of TestAMegabyteASecond, which
// what else the machine does hardly touches.
func TestHostileFilesAreCheap(t *testing.T) {
	t.Parallel()
	const room = 250 << 10
	bomb := "a: &a [x, x, x, x, x, x, x, x, x]\n"
	for c := 'b'; c < 'k'; c++ {
		bomb += fmt.Sprintf("%c: &%c [%s]\n", c, c, strings.Repeat(fmt.Sprintf("*%c, ", c-1), 9))
	}
	for name, text := range map[string]string{
		"alias bomb":      bomb,
		"brackets":        strings.Repeat("[", room),
		"braces":          strings.Repeat("{", room),
		"explicit keys":   strings.Repeat("? ", room/2),
		"dashes":          strings.Repeat("- ", room/2),
		"question braces": strings.Repeat("{? ", room/3),
		"quoted keys":     "flows: {" + strings.Repeat(`"x": 1, `, room/8) + "}",
		"many keys":       manyKeys(room),
		"huge string":     "flows: \"" + strings.Repeat("x", room) + "\"",
		"huge plain":      "flows: " + strings.Repeat("x ", room/2),
		"huge key":        strings.Repeat("x", room) + ": 1",
		"escapes":         "flows: \"" + strings.Repeat(`\x41`, room/4) + "\"",
		"block text":      "flows: |\n" + strings.Repeat(" x\n", room/3),
		"blank lines":     "flows:" + strings.Repeat("\n", room) + " x",
		"comments":        strings.Repeat("#\n", room/2) + "[",
		"commas":          "[" + strings.Repeat(",", room),
		"documents":       strings.Repeat("--- a\n", room/6),
		"conditions":      "flows: {f: {steps: [" + strings.Repeat("{require: a}, ", room/14) + "]}}",
		"bad conditions":  "flows: {f: {steps: [" + strings.Repeat("{require: "+strings.Repeat("(", 490)+"}, ", 500) + "]}}",
		"long expression": "flows: {f: {steps: [{require: '" + strings.Repeat("true && ", room/8) + "true'}]}}",
		"deep expression": "flows: {f: {steps: [{require: '" + "target" + strings.Repeat(".a", 1000) + "'}]}}",
		"subflows":        bombOf(8, 20),
		"many subflows":   bombOf(2, 400),
		"subflow of much": "subflows: {s: {steps: [{id: a, type: knobs, with: {text: " + strings.Repeat("x", 100<<10) + "}}]}}\nflows: {f: {steps: [" + manyUses(2000) + "]}}",
		"many messages":   "flows: {f: {steps: [" + manyMessages(1500) + "]}}\nmessages: {en: {" + manyTexts(6000) + "}}",
		"many targets":    "flows: {f: {steps: [{id: a, type: knobs, with: {text: " + strings.Repeat("x", 60<<10) + "}}]}, g: {kind: authorization, steps: [{id: b, type: totp}]}, " + manyFlows(60) + "}\ntargets: {" + manyTargets(1500) + "}",
		"long names":      "clients: {a: {flows: [" + strings.Repeat(strings.Repeat("x", 60)+"y, ", room/64) + "]}}",
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			started := time.Now()
			if _, err := load(text); err == nil {
				t.Error("loads")
			}
			if took := time.Since(started); took > time.Minute {
				t.Errorf("took %s", took)
			} else {
				t.Logf("took %s", took)
			}
		})
	}
}

// bombOf makes subflows that use the next one many times each.
func bombOf(depth, width int) string {
	var b strings.Builder
	b.WriteString("flows: {f: {steps: [{id: u, use: s0}]}}\nsubflows:\n")
	for i := range depth - 1 {
		fmt.Fprintf(&b, "  s%d: {steps: [", i)
		for j := range width {
			fmt.Fprintf(&b, "{id: u%d, use: s%d}, ", j, i+1)
		}
		b.WriteString("]}\n")
	}
	fmt.Fprintf(&b, "  s%d: {steps: [", depth-1)
	for j := range width {
		fmt.Fprintf(&b, "{id: a%d, type: totp}, ", j)
	}
	return b.String() + "{id: last, type: gone}]}\n"
}

func manyUses(n int) string {
	var b strings.Builder
	for i := range n {
		fmt.Fprintf(&b, "{id: u%d, use: s}, ", i)
	}
	return b.String()
}

// manyFlows makes authorization flows g0, g1, ...
func manyFlows(n int) string {
	var b strings.Builder
	for i := range n {
		fmt.Fprintf(&b, "g%d: {kind: authorization, steps: [{id: g%d, type: totp}]}, ", i, i)
	}
	return b.String()
}

// manyTargets makes targets that authorize all differently.
func manyTargets(n int) string {
	var b strings.Builder
	for i := range n {
		fmt.Fprintf(&b, "t%d: {flow: f, authorize: [g%d, g%d], propagate: {type: bearer_jwt, audience: x}}, ", i, i%60, (i+1+i/60)%60)
	}
	return b.String()
}

func manyKeys(room int) string {
	var b bytes.Buffer
	for i := 0; b.Len() < room; i++ {
		fmt.Fprintf(&b, "k%d: 1\n", i)
	}
	return b.String()
}

// Counting costs nothing, compiling does: the limit is checked before.
func TestConditionLimitComesBeforeCompiling(t *testing.T) {
	t.Parallel()
	flow := func(n int) string {
		var b strings.Builder
		b.WriteString("flows: {f: {steps: [")
		for i := range n {
			fmt.Fprintf(&b, "{require: nobody%d}, ", i)
		}
		return b.String() + "]}}"
	}
	_, err := load(flow(501))
	if err == nil || strings.Contains(err.Error(), "nobody") || !strings.Contains(err.Error(), "501 conditions") {
		t.Errorf("got %v", err)
	}
	if _, err := load(flow(500)); err == nil || strings.Count(err.Error(), "\n") != 499 {
		t.Error("500 conditions are not all looked at")
	}
}

func TestEqualExpressionsAreCompiledOnce(t *testing.T) {
	flow := func(expression func(i int) string) fstest.MapFS {
		var b strings.Builder
		b.WriteString("flows: {f: {steps: [{id: a, type: totp}, ")
		for i := range 400 {
			fmt.Fprintf(&b, "{require: '%s'}, ", expression(i))
		}
		return fstest.MapFS{"f.yaml": {Data: []byte(b.String() + "]}}")}}
	}
	cost := func(files fstest.MapFS) float64 {
		return testing.AllocsPerRun(2, func() {
			if _, err := flowdefs.Load(files, ".", catalogue{}); err != nil {
				t.Fatal(err)
			}
		})
	}
	equal := cost(flow(func(int) string { return `target == "x000"` }))
	different := cost(flow(func(i int) string { return fmt.Sprintf(`target == "x%03d"`, i) }))
	if equal*3 > different {
		t.Errorf("%.0f allocations for 400 equal expressions, %.0f for 400 different ones", equal, different)
	}
}

// What is refused because it multiplies is refused with one word about it.
func TestExpansionIsBounded(t *testing.T) {
	t.Parallel()
	_, err := load(bombOf(8, 20))
	if err == nil || strings.Count(err.Error(), "larger than 2097152 bytes") != 1 {
		t.Errorf("got %.300v", err)
	}
	if _, err := load(bombOf(2, 10)); err == nil || strings.Contains(err.Error(), "larger") {
		t.Errorf("a small one: %v", err)
	}
}

// Conditions of sub-flows count each time that they are used.
func TestConditionsOfSubflowsCount(t *testing.T) {
	t.Parallel()
	text := func(uses int) string {
		return "subflows: {s: {steps: [" + strings.Repeat("{require: device.bound}, ", 100) + "]}}\nflows: {f: {steps: [" + manyUses(uses) + "]}}"
	}
	mustLoad(t, text(5))
	_, err := load(text(7))
	if err == nil || !strings.HasSuffix(err.Error(), `with the subflow in its place, flow "f" has 600 conditions; at most 500 are allowed`) {
		t.Errorf("got %v", err)
	}
}

// What loads can be read from its text: sub-flows do not nest it deeper than can be read.
func TestSubflowsDoNotNestTooDeep(t *testing.T) {
	t.Parallel()
	nested := func(levels int, inner string) string {
		for i := range levels {
			inner = fmt.Sprintf("{id: c%d, choose: [%s]}", i, inner)
		}
		return inner
	}
	option := nested(10, "{id: g, steps: [{id: a, type: totp}, {id: u, use: s}]}")
	text := "flows: {f: {steps: [" + option + "]}}\nsubflows: {s: {steps: [%s]}}"
	set := mustLoad(t, fmt.Sprintf(text, "{id: b, type: totp}"))
	if _, err := flowdefs.Parse(set.Flows["f"].Source, catalogue{}); err != nil {
		t.Error(err)
	}
	if _, err := load(fmt.Sprintf(text, nested(10, "{id: b, type: totp}"))); err == nil ||
		err.Error() != `f.yaml:1:9: flow "f", with its subflows in their places: lists and mappings are nested more than 32 deep` {
		t.Errorf("got %v", err)
	}
}

func TestCompositionIsBounded(t *testing.T) {
	t.Parallel()
	text := func(targets int) string {
		return "flows: {f: {steps: [{id: a, type: knobs, with: {text: " + strings.Repeat("x", 60<<10) + "}}]}, " + manyFlows(60) + "}\ntargets: {" + manyTargets(targets) + "}"
	}
	mustLoad(t, text(60))
	_, err := load(text(1000))
	if err == nil || strings.Count(err.Error(), "\n") != 0 || !strings.HasSuffix(err.Error(), "what targets compose is larger than 16777216 bytes") {
		t.Errorf("got %.300v", err)
	}
}

// thousand is 1,000 flows of 20 steps in 20 files, each flow with conditions of its own.
func thousand() fstest.MapFS {
	files := fstest.MapFS{"sub.yaml": {Data: []byte("subflows: {twice: {parameters: {when: string}, steps: [{id: a, type: totp, if: {param: when}}, {id: b, type: pin}]}}\n")}}
	for i := range 20 {
		var b strings.Builder
		b.WriteString("flows:\n")
		for j := range 50 {
			fmt.Fprintf(&b, "  f%d-%d:\n    steps:\n      - {id: p, type: password}\n", i, j)
			for k := range 8 {
				fmt.Fprintf(&b, "      - {id: s%d, type: knobs, with: {text: t, count: %d}, if: 'target == \"t%d\"'}\n", k, k, (i*50+j)%100)
				fmt.Fprintf(&b, "      - {id: c%d, choose: [{id: x%d, type: totp, if: device.bound}, {id: y%d, type: pin}]}\n", k, k, k)
			}
			b.WriteString("      - {require: acr >= level.aal1}\n      - {id: u, use: twice, with: {when: device.bound}}\n")
		}
		files[fmt.Sprintf("f%d.yaml", i)] = &fstest.MapFile{Data: []byte(b.String())}
	}
	return files
}

// BenchmarkLoadThousandFlows has two seconds.
func BenchmarkLoadThousandFlows(b *testing.B) {
	files := thousand()
	for b.Loop() {
		set, err := flowdefs.Load(files, ".", catalogue{})
		if err != nil || len(set.Flows) != 1000 || len(set.Flows["f0-0"].Steps) != 20 {
			b.Fatal(err)
		}
	}
}

// Loading grows with what is loaded, and not faster. Twice the time of the
// benchmark's goal, and much more where others run beside it.
func TestThousandFlows(t *testing.T) {
	if testing.Short() {
		t.Skip("long")
	}
	files := thousand()
	started := time.Now()
	if _, err := flowdefs.Load(files, ".", catalogue{}); err != nil {
		t.Fatal(err)
	}
	if took := time.Since(started); took > 20*time.Second {
		t.Errorf("took %s", took)
	} else {
		t.Logf("took %s", took)
	}
}

// manyMessages are steps that show messages that have no text.
func manyMessages(n int) string {
	var b strings.Builder
	for i := range n {
		fmt.Fprintf(&b, "{id: m%d, type: message, with: {text: message-%d}}, ", i, i)
	}
	return b.String()
}

// manyTexts are texts that nothing shows.
func manyTexts(n int) string {
	var b strings.Builder
	for i := range n {
		fmt.Fprintf(&b, "missage-%d: x, ", i)
	}
	return b.String()
}
