package docs_test

import (
	"encoding/json"
	"errors"
	"net/url"
	"os"
	"path"
	"regexp"
	"slices"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/google/go-cmp/cmp"

	"github.com/stile-auth/stile/flowdefs"
	"github.com/stile-auth/stile/flows"
	"github.com/stile-auth/stile/flows/account"
	"github.com/stile-auth/stile/flows/seal"
	"github.com/stile-auth/stile/flows/store/memory"
	"github.com/stile-auth/stile/steps"
)

// lent is what a block gets of the sections that it does not have.
const (
	lentProviders = `
providers:
  corporate: { issuer: "https://idp.bank.example", client_id: stile }
`
	lentFlows = `
flows:
  sign-on: { steps: [{ id: sso, type: sso, with: { provider: corporate } }] }
`
	lentTargets = `
targets:
  accounts: { flow: sign-on, propagate: { type: bearer_jwt, audience: "https://accounts.bank.example" } }
`
)

// stepTypes are the built-in step types with nothing behind them: definitions
// can be checked with them, and nothing can be run.
func stepTypes(t *testing.T) []flows.StepType {
	t.Helper()
	hasher, err := account.NewHasher(account.HasherConfig{Pepper: make([]byte, seal.KeySize)})
	if err != nil {
		t.Fatal(err)
	}
	sealer, err := seal.New(seal.Key{ID: "1", Secret: make([]byte, seal.KeySize)})
	if err != nil {
		t.Fatal(err)
	}
	return steps.Builtin(steps.Deps{
		Authenticators: memory.New().Accounts(), Hasher: hasher, Seeds: sealer, Codes: make([]byte, seal.KeySize), Issuer: "https://id.bank.example",
	})
}

var section = regexp.MustCompile(`(?m)^([a-z]+):`)

// load loads a block as the file flows.yaml.
func load(t *testing.T, text string) error {
	t.Helper()
	catalogue, err := flows.NewRegistry(stepTypes(t)...)
	if err != nil {
		t.Fatal(err)
	}
	var has []string
	for _, m := range section.FindAllStringSubmatch(text, -1) {
		has = append(has, m[1])
	}
	var lent string
	if !slices.Contains(has, "providers") {
		lent += lentProviders
	}
	if !slices.Contains(has, "flows") {
		lent += lentFlows
		if !slices.Contains(has, "targets") {
			lent += lentTargets
		}
	}
	_, err = flowdefs.Load(fstest.MapFS{
		"flows.yaml": {Data: []byte(text)}, "lent.yaml": {Data: []byte(lent)},
	}, ".", catalogue)
	return err
}

func TestDefinitions(t *testing.T) {
	t.Parallel()
	sections := []string{"levels", "flows", "targets", "providers", "directories", "clients", "messages"}
	loaded, fragments := 0, 0
	for _, p := range pages(t) {
		for _, b := range p.blocks {
			switch b.language {
			case "yaml fragment":
				fragments++
			case "yaml":
				loaded++
				first := section.FindStringSubmatch(b.text)
				if first == nil || !slices.Contains(sections, first[1]) {
					t.Errorf("%s:%d: begins with no section: mark it as fragment or config", p.name, b.line)
				} else if err := load(t, b.text); err != nil {
					t.Errorf("%s:%d: does not load:\n%v", p.name, b.line, err)
				}
			}
		}
	}
	t.Logf("%d blocks loaded, %d fragments skipped", loaded, fragments)
	if loaded < 10 || fragments > loaded/4 {
		t.Errorf("%d blocks loaded and %d fragments: too little of what is shown is tried", loaded, fragments)
	}
}

// What a page says that the loader says, it says, word for word.
func TestMistakes(t *testing.T) {
	t.Parallel()
	tried := 0
	for _, p := range pages(t) {
		for i, b := range p.blocks {
			if b.language != "yaml error" {
				continue
			}
			tried++
			err := load(t, b.text)
			var problems flowdefs.Problems
			if !errors.As(err, &problems) {
				t.Errorf("%s:%d: loads, or worse: %v", p.name, b.line, err)
				continue
			}
			if i+1 == len(p.blocks) || p.blocks[i+1].language != "text" {
				t.Errorf("%s:%d: the next block is not what the loader says", p.name, b.line)
				continue
			}
			if diff := cmp.Diff(strings.TrimSpace(p.blocks[i+1].text), problems.Error()); diff != "" {
				t.Errorf("%s:%d: (-shown +said)\n%s", p.name, b.line, diff)
			}
		}
	}
	if tried == 0 {
		t.Error("no mistake is shown")
	}
}

func TestJSON(t *testing.T) {
	t.Parallel()
	seen := 0
	for _, p := range pages(t) {
		for _, b := range p.blocks {
			if b.language != "json" {
				continue
			}
			seen++
			var v any
			if err := json.Unmarshal([]byte(b.text), &v); err != nil {
				t.Errorf("%s:%d: %v", p.name, b.line, err)
			}
		}
	}
	if seen == 0 {
		t.Error("no JSON is shown")
	}
}

var link = regexp.MustCompile(`\]\(([^)\s]+)\)`)

func TestLinks(t *testing.T) {
	t.Parallel()
	all := pages(t)
	for _, p := range all {
		for _, m := range link.FindAllStringSubmatch(p.prose(), -1) {
			u, err := url.Parse(m[1])
			if err != nil || u.IsAbs() {
				if err != nil || u.Scheme != "https" {
					t.Errorf("%s: link %s", p.name, m[1])
				}
				continue
			}
			to := p.name
			if u.Path != "" {
				to = path.Join(path.Dir(p.name), u.Path)
			}
			if _, err := os.Stat(path.Join(root, to)); err != nil {
				t.Errorf("%s: link %s leads nowhere", p.name, m[1])
			}
			if i := slices.IndexFunc(all, func(q page) bool { return q.name == to }); u.Fragment != "" && (i < 0 || !all[i].anchors()[u.Fragment]) {
				t.Errorf("%s: link %s: there is no such heading", p.name, m[1])
			}
		}
	}
}

// The README is short, and its flow of ten lines has ten.
func TestReadme(t *testing.T) {
	t.Parallel()
	p := pages(t)[0]
	if n := strings.Count(p.text, "\n"); n >= 200 {
		t.Errorf("README.md has %d lines", n)
	}
	for _, command := range []string{"go run ./cmd/stile demo", "go run ./cmd/dev test"} {
		if !slices.ContainsFunc(p.blocks, func(b block) bool { return slices.Contains(strings.Split(b.text, "\n"), command) }) {
			t.Errorf("README.md does not show %q on a line of its own", command)
		}
	}
	i := slices.IndexFunc(p.blocks, func(b block) bool { return b.language == "yaml" })
	if i < 0 || strings.Count(p.blocks[i].text, "\n") != 10 {
		t.Error("the first definition of README.md does not have ten lines")
	}
}

var storyLine = regexp.MustCompile("(?m)^([0-9]+)\\. ([^`(\n]+)")

// The story is told in the words of the demo.
func TestStory(t *testing.T) {
	t.Parallel()
	told := source(t, "cmd/stile/demo/seventeen.go") + source(t, "cmd/stile/demo/steps.go")
	lines := storyLine.FindAllStringSubmatch(pages(t)[0].prose(), -1)
	if len(lines) != 17 {
		t.Errorf("README.md tells %d steps", len(lines))
	}
	for _, m := range lines {
		if !strings.Contains(told, `"`+strings.TrimSpace(m[2])) {
			t.Errorf("README.md, step %s: the demo does not say %q", m[1], m[2])
		}
	}
}
