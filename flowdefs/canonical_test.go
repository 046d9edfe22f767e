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
		reloaded, err := load(string(f.Source))
		if err != nil || string(reloaded.Flows["f"].Source) != string(f.Source) {
			t.Fatalf("%v\n%s", err, f.Source)
		}
	})
}

// flowText writes random flows in random spellings.
type flowText struct {
	t   *rapid.T
	ids int
}

func (g *flowText) pick(name string, words ...string) string {
	return rapid.SampledFrom(words).Draw(g.t, name)
}

func (g *flowText) flow() string {
	parts := []string{"steps: " + g.list(0, true)}
	if rapid.Bool().Draw(g.t, "described") {
		parts = append(parts, "description: "+g.text())
	}
	if rapid.Bool().Draw(g.t, "timed") {
		parts = append(parts, "timeout: "+g.pick("timeout", "90s", "1500ms", "1h30m", "24h"))
	}
	parts = rapid.Permutation(parts).Draw(g.t, "order")
	return "flows: {f: {" + strings.Join(parts, ", ") + "}}"
}

func (g *flowText) list(depth int, sequence bool) string {
	items := make([]string, rapid.IntRange(1, 3).Draw(g.t, "length"))
	for i := range items {
		items[i] = g.node(depth, sequence, true)
	}
	return "[" + strings.Join(items, ", ") + "]"
}

func (g *flowText) node(depth int, sequence, conditional bool) string {
	kinds := []string{"step", "step"}
	if sequence {
		kinds = append(kinds, "require")
	}
	if depth < 4 {
		kinds = append(kinds, "choose")
	}
	kind := g.pick("kind", kinds...)
	if kind == "require" {
		return "{require: " + g.expression() + "}"
	}
	g.ids++
	parts := []string{"id: s" + strconv.Itoa(g.ids)}
	if conditional && rapid.Bool().Draw(g.t, "conditional") {
		parts = append(parts, "if: "+g.expression())
	}
	if kind == "choose" {
		parts = append(parts, "choose: "+g.list(depth+1, false))
		if rapid.Bool().Draw(g.t, "otherwise") {
			parts = append(parts, "otherwise: "+g.node(depth+1, false, false))
		}
	} else {
		parts = append(parts, "type: knobs")
		if rapid.Bool().Draw(g.t, "configured") {
			parts = append(parts, fmt.Sprintf("with: {text: %s, count: %d, on: %v, words: [%s, %s]}", g.text(),
				rapid.IntRange(-9, 9).Draw(g.t, "count"), rapid.Bool().Draw(g.t, "on"), g.text(), g.text()))
		}
		if rapid.Bool().Draw(g.t, "limited") {
			parts = append(parts, "attempts: {max: "+strconv.Itoa(rapid.IntRange(1, 100).Draw(g.t, "attempts"))+"}")
		}
	}
	return "{" + strings.Join(rapid.Permutation(parts).Draw(g.t, "order"), ", ") + "}"
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
