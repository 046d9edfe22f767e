package flowdefs_test

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/stile-auth/stile/flowdefs"
)

const spelled = `
flows:
  f:
    description: "Two words"
    timeout: 5m
    steps:
      - id: a
        type: knobs
        if: device.bound
        with: { text: x, count: 3, inner: { depth: 1 }, words: [p, q] }
        attempts: { max: 2 }
      - require: acr >= level.aal1
`

// everything says all that a flow can say.
const everything = `
flows:
  f:
    description: All of it
    timeout: 5m
    kind: self_service
    requires: { acr: aal1, max_age: 5m }
    back: false
    restart: false
    steps:
      - { id: a, type: knobs, timeout: 90s, resend: { max: 2, every: 20s }, activate: true, settles: [renewal], on: { other: h, timeout: h } }
      - id: c
        any:
          of: 2
          options:
            - { id: o, type: totp }
            - { id: g, if: device.bound, steps: [{ id: g1, type: pin }, { require: "acr >= level.aal1" }] }
            - { id: i, choose: [{ id: i1, type: totp }], otherwise: { id: i2, steps: [{ id: i3, type: pin }] } }
        otherwise: { id: last, type: password }
        on: { none: h }
      - { goto: a, max: 3, counts: true, if: device.bound }
      - { fail: too_bad, if: "!device.bound" }
      - { abort: true, if: "!device.bound" }
      - { tag: { set: [one, two], remove: [three], for: 8h }, if: device.bound }
      - { oblige: renewal, if: device.bound }
      - { id: d, decide: target, on: { x: h }, if: device.bound }
      - { assign: { where: target, flow: run.flow }, if: device.bound }
      - { id: w, delay: 30s, if: device.bound }
      - { id: u, use: s, with: { most: 3, when: device.bound, text: "5", on: true } }
    handlers:
      h: [{ id: m, type: totp }, { goto: c, max: 1 }]
  roles: { kind: authorization, steps: [{ id: role, type: required_role }] }
subflows:
  s:
    parameters: { most: number, when: string, text: string, on: boolean }
    steps:
      - { id: s1, type: knobs, if: { param: when }, attempts: { max: { param: most } }, with: { text: { param: text }, on: { param: on } } }
      - { id: s2, use: t }
  t: { steps: [{ id: t1, type: totp, on: { locked: h } }, { goto: t1, max: 1 }] }
targets:
  t: { flow: f, authorize: [roles], propagate: { type: bearer_jwt, audience: x } }
`

// Every word of everything counts: without it, or with another, it is another flow.
func TestEveryWordOfEverythingCounts(t *testing.T) {
	t.Parallel()
	first := mustLoad(t, everything).Flows["f"]
	for _, change := range [][2]string{
		{"kind: self_service\n    requires: { acr: aal1, max_age: 5m }\n", "kind: recovery\n"},
		{"acr: aal1, max_age: 5m", "acr: aal2, max_age: 5m"},
		{"acr: aal1, max_age: 5m", "acr: aal1, max_age: 6m"},
		{"back: false", "back: true"},
		{"restart: false", "restart: true"},
		{"timeout: 90s", "timeout: 91s"},
		{"resend: { max: 2", "resend: { max: 1"},
		{"every: 20s", "every: 21s"},
		{", resend: { max: 2, every: 20s }", ""},
		{", activate: true", ""},
		{"settles: [renewal]", "settles: [review]"},
		{"other: h, timeout: h", "other: h"},
		{"other: h, timeout: h", "denied: h, timeout: h"},
		{"of: 2", "of: 1"},
		{"{ id: g1, type: pin }, { require", "{ id: g1, type: totp }, { require"},
		{", otherwise: { id: i2, steps: [{ id: i3, type: pin }] }", ""},
		{"on: { none: h }", "on: { locked: h }"},
		{"goto: a, max: 3", "goto: c, max: 3"},
		{"goto: a, max: 3", "goto: a, max: 4"},
		{"counts: true", "counts: false"},
		{"fail: too_bad", "fail: bad"},
		{"abort: true, if: \"!device.bound\"", "abort: true, if: device.bound"},
		{"set: [one, two]", "set: [one]"},
		{"remove: [three]", "remove: [four]"},
		{"for: 8h", "for: 9h"},
		{"oblige: renewal", "oblige: review"},
		{"decide: target", "decide: run.flow"},
		{"on: { x: h }", "on: { y: h }"},
		{"where: target", "there: target"},
		{"where: target", "where: run.flow"},
		{"delay: 30s", "delay: 31s"},
		{"id: u, use", "id: v, use"},
		{"most: 3", "most: 4"},
		{"when: device.bound", "when: \"!device.bound\""},
		{"text: \"5\"", "text: \"6\""},
		{"on: true }", "on: false }"},
		{"{ id: m, type: totp }", "{ id: m, type: pin }"},
		{"goto: c, max: 1", "goto: c, max: 2"},
		{"goto: t1, max: 1", "goto: t1, max: 2"},
	} {
		text := strings.Replace(everything, change[0], change[1], 1)
		if text == everything {
			t.Errorf("%q is not there", change[0])
		}
		if other := mustLoad(t, text).Flows["f"]; other.Hash == first.Hash {
			t.Errorf("%s: the same hash", change[1])
		}
	}
}

// A sub-flow is its steps: written out, they are the same flow but for the ids.
func TestSubflowsAreTheirSteps(t *testing.T) {
	t.Parallel()
	f := mustLoad(t, everything).Flows["f"]
	var ids []string
	for _, n := range f.Steps {
		ids = append(ids, n.ID+n.To)
	}
	if diff := cmp.Diff([]string{"a", "c", "a", "", "", "", "", "d", "", "w", "u.s1", "u.s2.t1", "u.s2.t1"}, ids); diff != "" {
		t.Error(diff)
	}
	var cfg knobsConfig
	s1 := f.Steps[10]
	if err := s1.With.Decode(&cfg); err != nil || cfg.Text != "5" || !cfg.On || s1.Attempts != 3 || s1.If.Source != "device.bound" {
		t.Errorf("%+v, %+v, %v", s1, cfg, err)
	}
}

func TestEqualFlowsHaveEqualText(t *testing.T) {
	t.Parallel()
	first := mustLoad(t, spelled).Flows["f"]
	for name, text := range map[string]string{
		"comments": "# one\n" + strings.ReplaceAll(spelled, "steps:", "steps: # two"),
		"order": `
flows: {f: {steps: [
  {with: {words: [p, q], inner: {depth: 1}, count: 3, text: "x"}, attempts: {max: 2}, if: 'device.bound', type: "knobs", id: a},
  {"require": "acr >= level.aal1"}], timeout: 300s, description: Two words}}`,
		"neighbours": spelled + "  g: {steps: [{id: a, type: totp}]}\n",
	} {
		other := mustLoad(t, text).Flows["f"]
		if diff := cmp.Diff(string(first.Source), string(other.Source)); diff != "" || first.Hash != other.Hash {
			t.Errorf("%s: %s", name, diff)
		}
		if first.Steps[0].ConfigHash != other.Steps[0].ConfigHash {
			t.Errorf("%s: another hash of the configuration", name)
		}
	}
}

func TestEveryWordCounts(t *testing.T) {
	t.Parallel()
	first := mustLoad(t, spelled).Flows["f"]
	for _, change := range [][2]string{
		{"Two words", "Three words"},
		{"timeout: 5m", "timeout: 6m"},
		{"id: a", "id: b"},
		{"if: device.bound", "if: '!device.bound'"},
		{"text: x", "text: y"},
		{"count: 3", "count: 4"},
		{"[p, q]", "[q, p]"},
		{"max: 2", "max: 3"},
		{"level.aal1", "level.aal2"},
	} {
		text := strings.Replace(spelled, change[0], change[1], 1)
		if other := mustLoad(t, text).Flows["f"]; other.Hash == first.Hash {
			t.Errorf("%s: the same hash", change[1])
		}
	}
}

func TestHashIsOfSource(t *testing.T) {
	t.Parallel()
	f := mustLoad(t, spelled).Flows["f"]
	if sum := sha256.Sum256(f.Source); f.Hash != hex.EncodeToString(sum[:]) {
		t.Errorf("hash %s", f.Hash)
	}
}

// The hash of a configuration is of type and configuration and nothing else:
// evidence of one flow's step may stand in for another's.
func TestConfigHash(t *testing.T) {
	t.Parallel()
	hashOf := func(step string) string {
		return mustLoad(t, "flows: {f: {steps: ["+step+"]}}").Flows["f"].Steps[0].ConfigHash
	}
	base := hashOf(`{id: a, type: knobs, with: {text: "5", count: 5}}`)
	if sum := sha256.Sum256([]byte(`{"type": "knobs", "with": {"count": 5, "text": "5"}}`)); base != hex.EncodeToString(sum[:]) {
		t.Errorf("hash %s", base)
	}
	if hashOf(`{id: z, type: knobs, if: device.bound, attempts: {max: 1}, with: {count: 5, text: '5'}}`) != base {
		t.Error("id, if or attempts change the hash")
	}
	if hashOf(`{id: a, type: knobs}`) != hashOf(`{id: a, type: knobs, with: {}}`) {
		t.Error("no configuration is not an empty configuration")
	}
	for _, other := range []string{
		`{id: a, type: knobs, with: {text: "6", count: 5}}`, `{id: a, type: knobs, with: {count: 5}}`,
		`{id: a, type: totp}`, `{id: a, type: knobs}`,
	} {
		if hashOf(other) == base {
			t.Errorf("%s: the same hash", other)
		}
	}
}

func TestParse(t *testing.T) {
	t.Parallel()
	for name, f := range loadExamples(t).Flows {
		again, err := flowdefs.Parse(f.Source, catalogue{})
		if err != nil {
			t.Fatalf("%v\n%s", err, f.Source)
		}
		if diff := cmp.Diff(f, again, ignorePlaces()); diff != "" {
			t.Errorf("%s: %s", name, diff)
		}
		if name == "mobile-banking" {
			got, err := again.Steps[2].Require.Bool(t.Context(), someone())
			if err != nil || !got {
				t.Errorf("parsed condition: %v, %v", got, err)
			}
		}
	}
}

func TestParseRefuses(t *testing.T) {
	t.Parallel()
	for name, text := range map[string]string{
		"empty":         "",
		"nothing":       "flows: {}",
		"two flows":     "flows: {f: {steps: [{id: a, type: totp}]}, g: {steps: [{id: a, type: totp}]}}",
		"more":          "flows: {f: {steps: [{id: a, type: totp}]}}\ntargets: {}",
		"a target":      "targets: {t: {}}",
		"no YAML":       "{",
		"a list":        "[]",
		"unknown type":  "flows: {f: {steps: [{id: a, type: gone}]}}",
		"wrong flow":    "flows: {f: {steps: []}}",
		"wrong with":    "flows: {f: {steps: [{id: a, type: knobs, with: {gone: 1}}]}}",
		"two documents": "flows: {f: {steps: [{id: a, type: totp}]}}\n---\n{}",
	} {
		f, err := flowdefs.Parse([]byte(text), catalogue{})
		var problems flowdefs.Problems
		if f != nil || !errors.As(err, &problems) {
			t.Errorf("%s: %v, %v", name, f, err)
		}
	}
}

// A run that is pinned to a definition goes on although a provider is gone.
func TestParseChecksNoReferences(t *testing.T) {
	t.Parallel()
	if _, err := flowdefs.Parse([]byte("flows: {f: {steps: [{id: a, type: sso, with: {provider: gone}}]}}"), catalogue{}); err != nil {
		t.Error(err)
	}
}

// Whatever loads has a canonical text that loads as the same flow and is its own canonical text.
func TestCanonicalTextIsAFixpoint(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		g := &flowText{t: t}
		text := g.flow()
		set, err := load(text)
		if err != nil {
			t.Fatalf("%v\n%s", err, text)
		}
		f := set.Flows["f"]
		again, err := flowdefs.Parse(f.Source, catalogue{})
		if err != nil {
			t.Fatalf("%v\n%s\n%s", err, text, f.Source)
		}
		if diff := cmp.Diff(f, again, ignorePlaces()); diff != "" {
			t.Fatalf("%s\n%s", diff, text)
		}
	})
}

// flowText writes random flows in random spellings.
type flowText struct {
	t        *rapid.T
	ids      int
	subflows string
}

func (g *flowText) pick(name string, words ...string) string {
	return rapid.SampledFrom(words).Draw(g.t, name)
}

func (g *flowText) maybe(name string) bool { return rapid.Bool().Draw(g.t, name) }

func (g *flowText) count(name string, least, most int) int {
	return rapid.IntRange(least, most).Draw(g.t, name)
}

// mapping writes parts in any order.
func (g *flowText) mapping(parts []string) string {
	return "{" + strings.Join(rapid.Permutation(parts).Draw(g.t, "order"), ", ") + "}"
}

// flow writes one flow whose handlers are all reached, and a sub-flow that it may use.
func (g *flowText) flow() string {
	steps := []string{`{id: first, type: knobs, on: {other: h0, denied: h1}}`}
	steps = append(steps, g.nodes("steps")...)
	if g.maybe("uses") {
		steps = append(steps, g.use())
	}
	parts := []string{
		"steps: [" + strings.Join(steps, ", ") + "]",
		"handlers: {h0: [" + strings.Join(g.nodes("h0"), ", ") + "], h1: [" + strings.Join(g.nodes("h1"), ", ") + "]}",
	}
	if g.maybe("described") {
		parts = append(parts, "description: "+g.text())
	}
	if g.maybe("timed") {
		parts = append(parts, "timeout: "+g.pick("timeout", "90s", "1500ms", "59m30s", "1h"))
	}
	switch kind := g.pick("kind", "", "sign_in", "recovery", "self_service", "self_service"); kind {
	case "":
	case "self_service":
		parts = append(parts, "kind: self_service", "requires: "+g.pick("requires", "{}", "{acr: aal2}", "{max_age: 90s}", "{max_age: 5m, acr: aal3}"))
	default:
		parts = append(parts, "kind: "+kind)
	}
	for _, key := range []string{"back", "restart"} {
		if g.maybe(key) {
			parts = append(parts, key+": "+g.pick(key, "true", "false"))
		}
	}
	return "flows: {f: " + g.mapping(parts) + "}" + g.subflows
}

// use writes a sub-flow and the use of it.
func (g *flowText) use() string {
	g.subflows = "\nsubflows: {s: {parameters: {t: string, n: number, b: boolean}, steps: [" +
		"{id: x, type: knobs, with: {text: {param: t}, on: {param: b}, count: {param: n}}}, {goto: x, max: 1}]}}"
	return fmt.Sprintf("{id: u, use: s, with: {t: %s, n: %d, b: %v}}", g.text(), g.count("n", -9, 9), g.maybe("b"))
}

// nodes writes a sequence.
func (g *flowText) nodes(name string) []string {
	items := make([]string, g.count(name, 1, 4))
	for i := range items {
		items[i] = g.anyNode(0)
	}
	return items
}

func (g *flowText) id() string {
	g.ids++
	return "id: s" + strconv.Itoa(g.ids)
}

// anyNode writes a node of a sequence.
func (g *flowText) anyNode(depth int) string {
	var parts []string
	switch g.pick("kind", "step", "step", "choose", "require", "goto", "fail", "abort", "tag", "oblige", "decide", "assign", "delay") {
	case "require":
		return "{require: " + g.expression() + "}"
	case "goto":
		parts = []string{"goto: first", "max: " + strconv.Itoa(g.count("max", 1, 100))}
		if g.maybe("counts") {
			parts = append(parts, "counts: "+g.pick("counting", "true", "false"))
		}
	case "fail":
		parts = []string{"fail: " + g.pick("code", "gone", "not_today", "too-late")}
	case "abort":
		parts = []string{"abort: true"}
	case "tag":
		inner := []string{"set: [trusted, " + g.pick("tag", "known", "a_b") + "]"}
		if g.maybe("removes") {
			inner = append(inner, "remove: [old]")
		}
		if g.maybe("ends") {
			inner = append(inner, "for: 8h")
		}
		parts = []string{"tag: " + g.mapping(inner)}
	case "oblige":
		parts = []string{"oblige: renewal"}
	case "decide":
		parts = []string{g.id(), "decide: " + g.value(), "on: {" + g.pick("exit", "x", "night", "continue") + ": h0}"}
	case "assign":
		parts = []string{"assign: " + g.mapping([]string{"a: " + g.value(), "b_c: " + g.value()})}
	case "delay":
		parts = []string{g.id(), "delay: " + g.pick("delay", "1s", "1500ms", "1h")}
	case "choose":
		return g.option(depth, true, "choose")
	default:
		return g.option(depth, true, "step")
	}
	if g.maybe("conditional") {
		parts = append(parts, "if: "+g.expression())
	}
	return g.mapping(parts)
}

// option writes what can be chosen: a step, a choose or, below the sequence, a group.
func (g *flowText) option(depth int, conditional bool, kind string) string {
	if kind == "" {
		kind = g.pick("option", "step", "step", "choose", "group")
	}
	if depth > 3 {
		kind = "step"
	}
	parts := []string{g.id()}
	if conditional && g.maybe("conditional") {
		parts = append(parts, "if: "+g.expression())
	}
	switch kind {
	case "choose":
		parts = append(parts, g.choose(depth)...)
	case "group":
		items := []string{g.option(depth+1, true, "step")}
		for range g.count("more", 0, 2) {
			items = append(items, g.anyNode(depth+1))
		}
		parts = append(parts, "steps: ["+strings.Join(items, ", ")+"]")
	default:
		parts = append(parts, g.step(depth == 0)...)
	}
	return g.mapping(parts)
}

func (g *flowText) choose(depth int) (parts []string) {
	options := make([]string, g.count("options", 1, 3))
	for i := range options {
		options[i] = g.option(depth+1, true, "")
	}
	list := "[" + strings.Join(options, ", ") + "]"
	if g.maybe("any") {
		parts = append(parts, fmt.Sprintf("any: {of: %d, options: %s}", g.count("of", 1, len(options)), list))
	} else {
		parts = append(parts, "choose: "+list)
	}
	if g.maybe("otherwise") {
		parts = append(parts, "otherwise: "+g.option(depth+1, false, ""))
	}
	if g.maybe("on") {
		parts = append(parts, "on: {none: h1, exhausted: h0}")
	}
	return parts
}

func (g *flowText) step(sequence bool) []string {
	parts := []string{"type: knobs"}
	if g.maybe("configured") {
		parts = append(parts, fmt.Sprintf("with: {text: %s, count: %d, on: %v, words: [%s, %s]}", g.text(),
			g.count("count", -9, 9), g.maybe("on"), g.text(), g.text()))
	}
	if g.maybe("limited") {
		parts = append(parts, "attempts: {max: "+strconv.Itoa(g.count("attempts", 1, 100))+"}")
	}
	if g.maybe("timed") {
		parts = append(parts, "timeout: 90s", "on: {timeout: h0, locked: h1}")
	}
	if g.maybe("resent") {
		parts = append(parts, fmt.Sprintf("resend: {max: %d, every: %ds}", g.count("resends", 0, 10), g.count("every", 1, 99)))
	}
	if g.maybe("settles") {
		parts = append(parts, "settles: [renewal, review]")
	}
	if sequence && g.maybe("activated") {
		parts = append(parts, "activate: true")
	}
	return parts
}

// value writes an expression of type string.
func (g *flowText) value() string {
	return strconv.Quote(g.pick("value", "target", `device.bound ? "x" : 'continue'`, "assigned.a", "run.flow"))
}

func (g *flowText) expression() string {
	e := g.pick("expression", "device.bound", `account.has("totp")`, "acr >= level.aal2", `target == "it's"`, "tags.exists(x,\n x == '\\n')")
	return strconv.Quote(e)
}

// text writes a string in one of the ways of YAML.
func (g *flowText) text() string {
	s := rapid.StringOf(rapid.OneOf(
		rapid.RuneFrom([]rune("ab :#{}[],&*!|>'\"%@`-?~\n\t\\")), rapid.Rune(),
	)).Draw(g.t, "text")
	if rapid.Bool().Draw(g.t, "single") && !strings.ContainsFunc(s, func(r rune) bool { return !strconv.IsPrint(r) }) {
		return "'" + strings.ReplaceAll(s, "'", "''") + "'"
	}
	return strconv.Quote(s)
}
