package prove

import (
	"context"
	"time"

	"github.com/stile-auth/stile/flowdefs"
	"github.com/stile-auth/stile/flows"
	"github.com/stile-auth/stile/flows/assurance"
)

// Without switches one check off.
func Without(c Check) Options { return Options{without: c} }

// EndlessOf holds the check "endless" of a made-up exploration: next says which
// points follow each, and ended which of them are ends.
func EndlessOf(ctx context.Context, f *flowdefs.Flow, r *flows.Registry, next [][]int, ended ...int) ([]Finding, error) {
	m, err := flows.NewModel(f, r, nil)
	if err != nil {
		return nil, err
	}
	w := newWatcher(Options{})
	e := newExplorer(ctx, m, job{flow: f}, &flowdefs.Set{}, Options{})
	e.watch = w
	w.begin(e, job{flow: f})
	for _, n := range next {
		e.points = append(e.points, point{from: -1, next: n, state: flows.State{At: f.Steps[0].ID}})
	}
	for _, i := range ended {
		e.points[i].end = "completed"
	}
	return w.findings(), nil
}

// Needed drops evidence that makes no difference beside the rest.
func Needed(all []assurance.Evidence) []assurance.Evidence { return needed(all) }

// At is when everything happens in an exploration.
func At() time.Time { return now }
