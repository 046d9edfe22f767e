package flowdefs_test

import (
	"strings"
	"testing"

	"github.com/stile-auth/stile/flowdefs"
	"github.com/stile-auth/stile/flowdefs/examples"
	"github.com/stile-auth/stile/flows"
	"github.com/stile-auth/stile/flows/seal"
	"github.com/stile-auth/stile/steps"
)

// The examples load with the step types that a server has, and show what the
// language can do in little room.
func TestExamplesLoadWithTheRealStepTypes(t *testing.T) {
	t.Parallel()
	sealer, err := seal.New(seal.Key{ID: "1", Secret: make([]byte, seal.KeySize)})
	if err != nil {
		t.Fatal(err)
	}
	registry, err := flows.NewRegistry(steps.Builtin(steps.Deps{Seeds: sealer, Codes: make([]byte, 32), Issuer: "https://id.bank.example"})...)
	if err != nil {
		t.Fatal(err)
	}
	set, err := flowdefs.Load(examples.FS, ".", registry)
	if err != nil {
		t.Fatal(err)
	}
	shown := map[flowdefs.Kind]bool{}
	for _, f := range set.Flows {
		lists := [][]flowdefs.Node{f.Steps}
		for _, h := range f.Handlers {
			lists = append(lists, h.Steps)
		}
		for _, list := range lists {
			eachNode(list, func(n *flowdefs.Node) { shown[n.Kind] = true })
		}
	}
	for kind := flowdefs.Step; kind <= flowdefs.Delay; kind++ {
		if !shown[kind] && kind != flowdefs.Abort && kind != flowdefs.Oblige {
			t.Errorf("no example has a node of kind %d", kind)
		}
	}
	for name, target := range set.Targets {
		if target.Composed == nil || len(target.Authorize) > 0 && target.Composed.Hash == set.Flows[target.Flow].Hash {
			t.Errorf("target %s composes nothing", name)
		}
	}
}

func eachNode(nodes []flowdefs.Node, visit func(*flowdefs.Node)) {
	for i := range nodes {
		n := &nodes[i]
		visit(n)
		eachNode(n.Options, visit)
		eachNode(n.Steps, visit)
		if n.Otherwise != nil {
			eachNode([]flowdefs.Node{*n.Otherwise}, visit)
		}
	}
}

func TestExamplesAreShort(t *testing.T) {
	t.Parallel()
	entries, err := examples.FS.ReadDir(".")
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		data, err := examples.FS.ReadFile(e.Name())
		if err != nil {
			t.Fatal(err)
		}
		if strings.HasSuffix(e.Name(), ".test.yaml") {
			continue
		}
		if lines := strings.Count(string(data), "\n"); lines >= 60 || !strings.HasPrefix(string(data), "#") {
			t.Errorf("%s: %d lines, or no word of what it is", e.Name(), lines)
		}
	}
}

// What a target authorizes runs behind its sign-in and is part of what runs are pinned to.
func TestComposedFlows(t *testing.T) {
	t.Parallel()
	set := mustLoad(t, `
flows:
  f:
    back: false
    steps: [{id: a, type: totp, on: {locked: sorry}}]
    handlers: {sorry: [{fail: gone}]}
  roles:
    kind: authorization
    steps: [{id: b, type: knobs, on: {other: denied}}]
    handlers: {denied: [{fail: denied}]}
targets:
  plain: {flow: f, propagate: {type: bearer_jwt, audience: x}}
  one: {flow: f, authorize: [roles], propagate: {type: bearer_jwt, audience: x}}
  two: {flow: f, authorize: [roles], propagate: {type: bearer_jwt, audience: y}}`)
	f, one := set.Flows["f"], set.Targets["one"].Composed
	if set.Targets["plain"].Composed != f || len(f.Steps) != 1 || len(f.Handlers) != 1 {
		t.Errorf("the sign-in has changed: %+v", f)
	}
	if len(one.Steps) != 2 || one.Steps[1].ID != "b" || len(one.Handlers) != 2 || one.Handlers[0].Name != "denied" || !one.NoBack || one.Hash == f.Hash {
		t.Errorf("composed: %+v", one)
	}
	if set.Targets["two"].Composed.Hash != one.Hash {
		t.Error("the same flows have another hash")
	}
	again, err := flowdefs.Parse(one.Source, catalogue{})
	if err != nil || again.Hash != one.Hash || again.Name != "f" {
		t.Errorf("%+v, %v", again, err)
	}
}
