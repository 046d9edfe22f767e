package flowdefs_test

import (
	"errors"
	"os"
	"path/filepath"
	"strconv"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/stile-auth/stile/flowdefs"
	"github.com/stile-auth/stile/flowdefs/examples"
)

// FuzzLoad: the loader never panics; what it refuses it refuses with problems
// that have places; what it accepts is complete and can be parsed again.
func FuzzLoad(f *testing.F) {
	seeds, err := filepath.Glob("testdata/bad/*.yaml")
	if err != nil {
		f.Fatal(err)
	}
	for _, seed := range seeds {
		data, err := os.ReadFile(seed)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(string(data))
	}
	entries, err := examples.FS.ReadDir(".")
	if err != nil {
		f.Fatal(err)
	}
	for _, e := range entries {
		data, err := examples.FS.ReadFile(e.Name())
		if err != nil {
			f.Fatal(err)
		}
		f.Add(string(data))
	}
	f.Add(spelled)
	f.Fuzz(func(t *testing.T, text string) {
		set, err := load(text)
		if err != nil {
			wantProblems(t, set, err)
			return
		}
		for name, flow := range set.Flows {
			if flow.Name != name || len(flow.Steps) == 0 || flow.Hash == "" {
				t.Errorf("incomplete flow %+v", flow)
			}
			for _, n := range flow.Steps {
				wantComplete(t, n, true)
			}
			again, err := flowdefs.Parse(flow.Source, catalogue{})
			if err != nil {
				t.Fatalf("%v\n%s", err, flow.Source)
			}
			if diff := cmp.Diff(flow, again, ignorePlaces()); diff != "" {
				t.Error(diff)
			}
		}
		for _, target := range set.Targets {
			if set.Flows[target.Flow] == nil || target.Propagate.Audience == "" || target.Propagate.Type == "" {
				t.Errorf("incomplete target %+v", target)
			}
		}
		for _, c := range set.Clients {
			if len(c.Flows)+len(c.Targets) == 0 {
				t.Errorf("incomplete client %+v", c)
			}
		}
		for _, p := range set.Providers {
			if p.Issuer == "" || p.ClientID == "" || len(p.Scopes) == 0 || len(p.Categories) == 0 || p.Cap == 0 || p.Provision == "" {
				t.Errorf("incomplete provider %+v", p)
			}
		}
	})
}

func wantProblems(t *testing.T, set *flowdefs.Set, err error) {
	t.Helper()
	var problems flowdefs.Problems
	if !errors.As(err, &problems) || len(problems) == 0 || set != nil {
		t.Fatalf("%v, %v", set, err)
	}
	for _, p := range problems {
		if p.Pos.File != "f.yaml" || p.Pos.Line < 1 || p.Pos.Column < 1 || p.Message == "" {
			t.Errorf("no place: %v", p)
		}
	}
}

func wantComplete(t *testing.T, n flowdefs.Node, sequence bool) {
	t.Helper()
	switch n.Kind {
	case flowdefs.Require:
		if n.Require == nil || !sequence {
			t.Errorf("incomplete guard %+v", n)
		}
		return
	case flowdefs.Step:
		if n.With == nil || len(n.ConfigHash) != 64 || n.Type == "" {
			t.Errorf("incomplete step %+v", n)
		}
	case flowdefs.Choose:
		if len(n.Options) == 0 {
			t.Errorf("empty choose %+v", n)
		}
	}
	if n.ID == "" {
		t.Errorf("no id: %+v", n)
	}
	for _, option := range n.Options {
		wantComplete(t, option, false)
	}
	if n.Otherwise != nil {
		wantComplete(t, *n.Otherwise, false)
	}
}

// FuzzCondition: whatever compiles ends, with true, false or ErrCondition.
func FuzzCondition(f *testing.F) {
	for _, seed := range []string{
		`device.bound`, `account.has("totp")`, `acr >= level.aal2`, `evidence.exists(e, e.method == "totp")`,
		`account.attributes.branch == "x"`, `tags.map(t, t + t).size() > 2`, `now - run.started < duration("5m")`,
		`!has(evidence[0].expires)`, `[1, 2][5] == 1`, `1 / 0 == 0`, `{"a": 1}.b == 2`, `client.id.matches("a*")`,
		`true ? false : true`, `request.x == "y"`, `level{}`, `"\u00e9" == 'é'`, `now.getHours("Europe/Zurich") > 6`,
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, expression string) {
		set, err := load("flows: {f: {steps: [{require: " + strconv.Quote(expression) + "}]}}")
		if err != nil {
			var problems flowdefs.Problems
			if !errors.As(err, &problems) {
				t.Fatal(err)
			}
			return
		}
		c := set.Flows["f"].Steps[0].Require
		for _, env := range []*flowdefs.Env{someone(), {}} {
			got, err := c.Bool(t.Context(), env)
			if err != nil && (got || !errors.Is(err, flowdefs.ErrCondition)) {
				t.Errorf("%v, %v", got, err)
			}
		}
	})
}
