package flowdefs_test

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
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
	f.Add(everything)
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
			wantComplete(t, flow, flow.Steps)
			for _, h := range flow.Handlers {
				wantComplete(t, flow, h.Steps)
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
			if set.Flows[target.Flow] == nil || target.Composed == nil || len(target.Composed.Steps) < len(set.Flows[target.Flow].Steps) || len(target.Propagate) == 0 || target.Audience() == "" && target.Propagate[0].Provider == "" || target.Propagate[0].Type == "" {
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

// wantComplete holds what the machine takes for granted of every node.
func wantComplete(t *testing.T, f *flowdefs.Flow, nodes []flowdefs.Node) {
	t.Helper()
	handled := func(on map[string]string) bool {
		for _, name := range on {
			if !slices.ContainsFunc(f.Handlers, func(h flowdefs.Handler) bool { return h.Name == name }) {
				return false
			}
		}
		return true
	}
	eachNode(nodes, func(n *flowdefs.Node) {
		complete := handled(n.On)
		switch n.Kind {
		case flowdefs.Step:
			complete = complete && n.ID != "" && n.With != nil && len(n.ConfigHash) == 64 && n.Type != ""
		case flowdefs.Choose:
			complete = complete && n.ID != "" && n.Any >= 1 && len(n.Options) >= n.Any
			for _, o := range n.Options {
				complete = complete && (o.Kind == flowdefs.Step || o.Kind == flowdefs.Choose || o.Kind == flowdefs.Group) && !o.Activate
			}
			complete = complete && (n.Otherwise == nil || n.Otherwise.If == nil && n.Otherwise.ID != "")
		case flowdefs.Require:
			complete = n.Require != nil
		case flowdefs.Group:
			complete = n.ID != "" && len(n.Steps) > 0 && (n.Steps[0].Kind == flowdefs.Step || n.Steps[0].Kind == flowdefs.Choose)
		case flowdefs.Goto:
			complete = n.Max >= 1 && slices.ContainsFunc(f.Steps, func(s flowdefs.Node) bool { return s.ID == n.To })
		case flowdefs.Fail:
			complete = n.Code != ""
		case flowdefs.Abort:
		case flowdefs.Tag:
			complete = len(n.Set)+len(n.Remove) > 0
		case flowdefs.Oblige:
			complete = n.Name != ""
		case flowdefs.Decide:
			complete = complete && n.ID != "" && n.Value != nil && len(n.On) > 0
		case flowdefs.Assign:
			complete = len(n.Values) > 0 && !slices.ContainsFunc(n.Values, func(a flowdefs.Assignment) bool { return a.Value == nil })
		case flowdefs.Delay:
			complete = n.ID != "" && n.Wait > 0
		default:
			complete = false
		}
		if !complete {
			t.Errorf("incomplete node %+v", n)
		}
	})
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
