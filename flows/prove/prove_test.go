package prove_test

import (
	"encoding/json"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/stile-auth/stile/flowdefs"
	"github.com/stile-auth/stile/flowdefs/examples"
	"github.com/stile-auth/stile/flows"
	"github.com/stile-auth/stile/flows/prove"
	"github.com/stile-auth/stile/flows/seal"
	"github.com/stile-auth/stile/steps"
)

// registry has the step types that a server has.
func registry(t testing.TB) *flows.Registry {
	t.Helper()
	sealer, err := seal.New(seal.Key{ID: "1", Secret: make([]byte, seal.KeySize)})
	if err != nil {
		t.Fatal(err)
	}
	r, err := flows.NewRegistry(steps.Builtin(steps.Deps{Seeds: sealer, Codes: make([]byte, 32), Issuer: "https://id.bank.example"})...)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// The examples are proved, and what is shipped as their verdicts is what a proof
// of today comes to.
func TestExamples(t *testing.T) {
	t.Parallel()
	set, err := flowdefs.Load(examples.FS, ".", registry(t))
	if err != nil {
		t.Fatal(err)
	}
	k := kept{}
	vs, err := prove.Prove(t.Context(), set, registry(t), prove.Options{Kept: k, Build: prove.ShippedBuild})
	if err != nil {
		t.Fatal(err)
	}
	if found := prove.Findings(vs); len(found) > 0 {
		t.Error(told(found))
	}
	text, err := json.MarshalIndent(k, "", "  ")
	if err != nil {
		t.Fatal(err)
	}
	golden(t, filepath.Join("..", "..", "flowdefs", "examples", "verdicts.json"), string(text)+"\n")
}

// The states of these flows were counted by hand. Each waits for an app that
// named nobody, one that named the account, and one with a session that does
// not stand for what is asked: three states for each place before the first proof.
func TestStatesCountedByHand(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name, steps string
		states      int
	}{
		// 3 at the password; completed, attempts exhausted, access denied.
		{"one password", `{ id: a, type: password }`, 3 + 3},
		// 3 at the message, 3 at the password; the same three ends.
		{"a message before it", `{ id: m, type: message, with: { text: x } }, { id: a, type: password }`, 3 + 3 + 3},
		// 3 at the password; 1 at the delay, where nothing that was before matters; three ends.
		{"a delay behind it", `{ id: a, type: password }, { id: d, delay: 10s }`, 3 + 1 + 3},
		// 3 at the password. At the code: with a session that says nothing of it or without one, each
		// with a password that was bound at aal2 or at aal1. Completed at aal1 and at aal2;
		// exhausted, locked, denied.
		{"a code behind it", `{ id: a, type: password }, { id: b, type: totp }`, 3 + 4 + 5},
		// Both can be drawn: 3 at the choice, 3 at each option that was picked, 3 at each that is left when
		// the other is exhausted. One can be drawn: 3 at that one, for each. Who can draw none is not let in.
		// Completed, exhausted, denied, and the provider did not do what was asked of it.
		{"one of two", `{ id: c, choose: [{ id: a, type: password }, { id: b, type: sso, with: { provider: p } }] }`, 3 + 6 + 6 + 6 + 4},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			text := "flows:\n  f:\n    steps: [" + tt.steps + "]\nproviders:\n  p: { issuer: \"https://p.example\", client_id: x }\n"
			vs := proved(t, text, prove.Options{})
			if len(vs) != 1 || vs[0].States != tt.states {
				t.Errorf("%d states, counted %d", vs[0].States, tt.states)
			}
		})
	}
}

// What a provider is configured to grant is another way to complete for each entry.
func TestMappedClasses(t *testing.T) {
	t.Parallel()
	vs := proved(t, `flows: { f: { steps: [{ id: sso, type: sso, with: { provider: p } }] } }
providers:
  p:
    issuer: https://p.example
    client_id: x
    assurance:
      cap: aal2
      map:
        - { amr: [face], categories: [possession], replay_resistant: true, grants: [face] }
        - { amr: [sms], categories: [possession], replay_resistant: true, grants: [sms] }
`, prove.Options{})
	var got []string
	for _, c := range vs[0].Classes {
		got = append(got, strings.Join(c.AMR, " "))
	}
	if slices.Sort(got); !slices.Equal(got, []string{"face", "pwd", "sms"}) {
		t.Errorf("completes with %q", got)
	}
}

// Each check is what stands between a wrong flow and a run: without it the flow loads.
func TestEveryCheckIsNeeded(t *testing.T) {
	t.Parallel()
	needs := map[prove.Check]string{
		prove.Unreachable: "if-of-no-target", prove.NoCompletion: "fails-always", prove.Loop: "loop-without-a-question",
		prove.DeadEnd: "code-for-nobody", prove.SubjectUnknown: "code-first", prove.Unproved: "enrol-before-the-proof",
		prove.Obligation: "settled-for-some", prove.NothingProved: "password-on-a-phone", prove.Enrolment: "enrol-and-use",
		prove.Untrusted: "capability-removes-the-code", prove.Undrawable: "option-that-never-asks", prove.NowhereExit: "role-to-nowhere",
		prove.Level: "code-for-those-who-have-one", prove.Broken: "promises-two-factors",
	}
	for _, c := range append(prove.Checks(), prove.Broken) {
		if c != prove.Endless && needs[c] == "" {
			t.Errorf("%s: no flow needs it", c)
		}
	}
	for c, name := range needs {
		t.Run(string(c), func(t *testing.T) {
			t.Parallel()
			text := read(t, filepath.Join("testdata", "wrong", name+".yaml"))
			found := prove.Findings(proved(t, text, prove.Options{}))
			if len(found) == 0 || slices.ContainsFunc(found, func(f prove.Finding) bool { return f.Check != c }) {
				t.Errorf("found:\n%s", told(found))
			}
			if found := prove.Findings(proved(t, text, prove.Without(c))); len(found) > 0 {
				t.Errorf("without %s:\n%s", c, told(found))
			}
		})
	}
}

// The language bounds every way around, so no text makes a run that cannot end;
// the check is held of explorations that are made up.
func TestEndless(t *testing.T) {
	t.Parallel()
	f := load(t, "flows: {f: {steps: [{ id: a, type: password }]}}").Flows["f"]
	for name, tt := range map[string]struct {
		next  [][]int
		found bool
	}{
		"an end":           {[][]int{{1}, {2}, {}}, false},
		"around, then out": {[][]int{{1}, {0, 2}, {}}, false},
		"around for ever":  {[][]int{{1, 2}, {1}, {}}, true},
	} {
		found, err := prove.EndlessOf(t.Context(), f, registry(t), tt.next, 2)
		if err != nil || slices.ContainsFunc(found, func(f prove.Finding) bool { return f.Check == prove.Endless }) != tt.found {
			t.Errorf("%s: %v, %s", name, err, told(found))
		}
	}
}

// A bound that is hit is an error that names it, never a proof.
func TestBounds(t *testing.T) {
	t.Parallel()
	many := "flows:\n  f:\n    steps:\n      - { id: password, type: password }\n"
	for i := range 5 {
		many += fmt.Sprintf("      - { id: m%d, type: message, with: { text: x }, activate: true }\n", i)
	}
	tags := "flows:\n  f:\n    steps:\n      - { id: password, type: password }\n"
	for i := range 5 {
		tags += fmt.Sprintf("      - { id: m%d, type: message, with: { text: x }, if: '!(\"t%d\" in tags)' }\n      - { tag: { set: [t%d] } }\n", i, i, i)
	}
	guesses := "flows:\n  f:\n    steps:\n      - { id: password, type: password }\n"
	for i := range 40 {
		guesses += fmt.Sprintf("      - { tag: { set: [t%d] }, if: account.attributes.a%d == \"x\" }\n", i, i)
	}
	for name, tt := range map[string]struct {
		text, want string
		states     int
	}{
		"effort": {guesses, "more than 50000 units of work", 0},
		"states": {"flows: {f: {steps: [{ id: a, type: password }, { id: b, type: totp }]}}", "more than 5 states", 5},
		"wishes": {many, "more than 4 steps that a client can activate", 0},
		"tags":   {tags, "more than 4 tags of sessions that its conditions read", 0},
	} {
		found := prove.Findings(proved(t, tt.text, prove.Options{States: tt.states, Effort: 50_000}))
		if len(found) != 1 || found[0].Check != prove.Bound || !strings.Contains(found[0].Message, tt.want) {
			t.Errorf("%s:\n%s", name, told(found))
		}
	}
}

// kept keeps verdicts in memory.
type kept map[string][]prove.Verdict

func (k kept) Verdicts(key string) ([]prove.Verdict, bool) { vs, ok := k[key]; return vs, ok }
func (k kept) Keep(key string, vs []prove.Verdict)         { k[key] = vs }

// What was proved is not proved again; what a proof depends on makes another
// one of it, and what is wrong is never kept.
func TestKept(t *testing.T) {
	t.Parallel()
	const text = `flows:
  f:
    steps: [{ id: sso, type: sso, with: { provider: p } }, { id: code, type: totp, if: '!("seen" in tags)' }]
targets:
  t: { flow: f, requires: { acr: aal1 }, propagate: { type: bearer_jwt, audience: "https://t.example" } }
providers:
  p: { issuer: "https://p.example", client_id: x, assurance: { categories: [knowledge], cap: aal2 } }
`
	k := kept{}
	prove1 := func(text, build string) int {
		t.Helper()
		before := len(k)
		proved(t, text, prove.Options{Kept: k, Build: build})
		return len(k) - before
	}
	if prove1(text, "1") != 1 || prove1(text, "1") != 0 {
		t.Error("not kept, or kept twice")
	}
	for name, changed := range map[string]string{
		"step":     strings.Replace(text, "id: code", "id: word", 1),
		"level":    strings.Replace(text, "acr: aal1", "max_age: 5m", 1),
		"cap":      strings.Replace(text, "cap: aal2", "cap: aal1", 1),
		"category": strings.Replace(text, "[knowledge]", "[possession]", 1),
		"entry":    strings.Replace(text, "propagate: { type", "propagate: { if: acr >= level.aal1, type", 1),
		"entry's":  strings.Replace(text, "propagate: { type", "propagate: { if: acr >= level.aal2, type", 1),
		"tags":     text + "subflows: {}\n" + "",
	} {
		if name == "tags" {
			changed = strings.Replace(text, "flows:\n", "flows:\n  g: { steps: [{ id: a, type: password }, { tag: { set: [seen] } }] }\n", 1)
		}
		if prove1(changed, "1") == 0 {
			t.Errorf("%s: another definition has the same verdict", name)
		}
	}
	if prove1(text, "2") != 1 {
		t.Error("another program has the same verdict")
	}
	if prove1(strings.Replace(text, "acr: aal1", "acr: aal3", 1), "1") != 0 {
		t.Error("a flow that is wrong was kept")
	}
	k["poison"] = nil
	for key := range k {
		k[key] = []prove.Verdict{{Flow: "f", States: 7}}
	}
	if vs := proved(t, text, prove.Options{Kept: k, Build: "1"}); vs[0].States != 7 {
		t.Error("what was kept is not used")
	}
	if vs := proved(t, text, prove.Options{Kept: k}); vs[0].States == 7 {
		t.Error("without the name of a program what was kept is used")
	}
}
