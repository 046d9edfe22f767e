package contract_test

import (
	"bytes"
	"context"
	"errors"
	"io/fs"
	"maps"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/stile-auth/stile/cmd/stile/node"
	"github.com/stile-auth/stile/cmd/stile/stage"
	"github.com/stile-auth/stile/flowdefs"
	"github.com/stile-auth/stile/flowdefs/examples"
	"github.com/stile-auth/stile/flows"
	"github.com/stile-auth/stile/flows/httpapi"
	"github.com/stile-auth/stile/flows/scenario"
)

// promptsOf are those of some flows, and of what their targets authorize behind them.
func promptsOf(set *flowdefs.Set, registry *flows.Registry, used []*flowdefs.Flow) []httpapi.Prompt {
	all := map[string]*flowdefs.Flow{}
	for _, f := range used {
		all[f.Name] = set.Flows[f.Name]
		for _, target := range set.Targets {
			if target.Flow == f.Name {
				for _, name := range target.Authorize {
					all[name] = set.Flows[name]
				}
			}
		}
	}
	var out []httpapi.Prompt
	for _, name := range slices.Sorted(maps.Keys(all)) {
		out = append(out, httpapi.PromptsOf(all[name], registry, handsOver(set, name))...)
	}
	return out
}

// handsOver says whether some client of that flow hands over what it cannot draw.
func handsOver(set *flowdefs.Set, flow string) bool {
	for _, c := range set.Clients {
		if c.HandOver && slices.Contains(c.Flows, flow) {
			return true
		}
	}
	return false
}

// Everything that the examples' scenarios are answered is as the description of
// exactly their flows says; and every prompt that these describe is seen.
func TestExamplesAreAsDescribed(t *testing.T) {
	t.Parallel()
	registry, err := node.Catalogue()
	must(t, err)
	set, err := node.LoadDefinitions("", registry)
	must(t, err)
	all, err := scenario.Load(fs.FS(examples.FS), ".", set)
	must(t, err)
	s, err := stage.New(set)
	must(t, err)
	host := s.Host()
	open := host.Open
	var mu sync.Mutex
	described, seen := map[string]bool{}, map[string]bool{}
	host.Open = func(ctx context.Context, c scenario.Cast) (*scenario.World, error) {
		w, err := open(ctx, c)
		if err != nil || w.Handler == nil {
			return w, err
		}
		prompts := promptsOf(set, registry, c.Flows)
		text, err := httpapi.Document(httpapi.DocumentConfig{Prompts: prompts})
		if err != nil {
			return nil, errors.Join(err, w.Close())
		}
		j := newJudge(t, text)
		w.Handler = j.around(w.Handler)
		end := w.Close
		w.Close = func() error {
			mu.Lock()
			defer mu.Unlock()
			for _, p := range prompts {
				described[p.Code] = true
			}
			maps.Copy(seen, j.seen)
			for _, finding := range j.findings {
				t.Error(finding)
			}
			return end()
		}
		return w, nil
	}
	runner, err := scenario.New(scenario.Config{Host: host, HTTP: true, Now: time.Now})
	must(t, err)
	report := runner.Run(t.Context(), all)
	if report.Failed() > 0 || len(all) < 50 {
		var told bytes.Buffer
		must(t, report.Text(&told, false))
		t.Errorf("%d of %d scenarios failed\n%s", report.Failed(), len(all), told.String())
	}
	for code := range described {
		if !seen[code] {
			t.Errorf("%s is described, and no scenario was asked it", code)
		}
	}
	if len(described) < 9 {
		t.Errorf("only %v are described", described)
	}
}
