package scenario

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"sync"
	"time"

	"github.com/stile-auth/stile/flowdefs"
	"github.com/stile-auth/stile/flows"
)

// Config says how scenarios are played.
type Config struct {
	Host     Host             // required
	HTTP     bool             // play them over HTTP too, and compare
	Parallel int              // how many at once; default: one per processor
	Now      func() time.Time // real time, for how long it took; required
}

// Runner plays scenarios. Safe for concurrent use.
type Runner struct{ cfg Config }

// New checks the configuration.
func New(cfg Config) (*Runner, error) {
	if cfg.Host.Definitions == nil || cfg.Host.Open == nil || cfg.Now == nil {
		return nil, errors.New("scenario: a runner needs a host with definitions, and Now")
	}
	if cfg.Parallel <= 0 {
		cfg.Parallel = runtime.GOMAXPROCS(0)
	}
	return &Runner{cfg}, nil
}

// Result is how one scenario went.
type Result struct {
	Scenario *Scenario
	Failures []Failure // none: it passed
	Took     time.Duration

	runs []*trace
}

// Passed says whether everything was as the scenario says.
func (r *Result) Passed() bool { return len(r.Failures) == 0 }

// Report is how all of them went.
type Report struct {
	Folder   string   // where the files are, shown before their names; default none
	Results  []Result // in the order of the scenarios
	Coverage Coverage
	Took     time.Duration
}

// Failed counts the scenarios that did not pass.
func (r *Report) Failed() int {
	n := 0
	for i := range r.Results {
		if !r.Results[i].Passed() {
			n++
		}
	}
	return n
}

// Run plays the scenarios, several at once.
func (r *Runner) Run(ctx context.Context, all []*Scenario) Report {
	began := r.cfg.Now()
	report := Report{Results: make([]Result, len(all))}
	work := make(chan int)
	var wg sync.WaitGroup
	for range min(r.cfg.Parallel, len(all)) {
		wg.Go(func() {
			for i := range work {
				report.Results[i] = r.one(ctx, all[i])
			}
		})
	}
	for i := range all {
		work <- i
	}
	close(work)
	wg.Wait()
	report.Coverage = cover(r.cfg.Host.Definitions, report.Results)
	report.Took = r.cfg.Now().Sub(began)
	return report
}

// one plays one scenario: on the engine, then over HTTP.
func (r *Runner) one(ctx context.Context, s *Scenario) Result {
	began := r.cfg.Now()
	res := Result{Scenario: s}
	onEngine, f := r.play(ctx, s, false)
	res.runs = onEngine.runs
	if f == nil && r.cfg.HTTP {
		var other *player
		if other, f = r.play(ctx, s, true); f != nil {
			f.Message = "over HTTP only: " + f.Message
		} else {
			f = twins(s, onEngine, other)
		}
	}
	if f != nil {
		res.Failures = append(res.Failures, *f)
	}
	res.Took = r.cfg.Now().Sub(began)
	return res
}

// twins compares what was answered on both ways.
func twins(s *Scenario, a, b *player) *Failure {
	if len(a.log) != len(b.log) {
		return a.fail(s.Pos, "the engine answered %d times and the API %d times", len(a.log), len(b.log))
	}
	for i := range a.log {
		if d := differ(a.log[i].reply, b.log[i].reply); d != "" {
			return a.fail(a.log[i].pos, "the engine and the API answer differently: %s", d)
		}
	}
	return nil
}

// play plays one scenario one way in a world of its own.
func (r *Runner) play(ctx context.Context, s *Scenario, overTheWire bool) (p *player, f *Failure) {
	p = &player{set: r.cfg.Host.Definitions, clock: NewClock(given(s).At)}
	w, err := r.cfg.Host.Open(ctx, Cast{Given: given(s), Flows: flowsOf(r.cfg.Host.Definitions, s), HTTP: overTheWire, Clock: p.clock})
	if err != nil {
		return p, p.fail(s.Pos, "what is given cannot be: %v", err)
	}
	defer func() {
		if err := w.Close(); err != nil && f == nil {
			f = p.fail(s.Pos, "the end: %v", err)
		}
	}()
	if err := w.check(overTheWire); err != nil {
		return p, p.fail(s.Pos, "%v", err)
	}
	p.world = w
	p.d = onEngine{w.Engine, w.Phone, p.origin}
	if overTheWire {
		p.d = overHTTP{w.Handler, w.BaseURL, w.Phone, w.Browse, w.Press, p.origin}
	}
	f = p.play(ctx, s)
	events, err := w.Events(ctx)
	if err != nil && f == nil {
		f = p.fail(s.Pos, "events: %v", err)
	}
	p.hear(events)
	return p, f
}

// hear adds what was audited to the traces.
func (p *player) hear(events []flows.Event) {
	for _, t := range p.runs {
		for _, e := range events {
			if e.Run == t.id {
				t.hear(e)
			}
		}
	}
}

// given is what the first of the scenarios that are played says.
func given(s *Scenario) Given {
	for s.After != nil {
		s = s.After
	}
	return s.Given
}

// flowsOf are the flows that a scenario starts.
func flowsOf(set *flowdefs.Set, s *Scenario) []*flowdefs.Flow {
	var out []*flowdefs.Flow
	for ; s != nil; s = s.After {
		out = append(out, definition(set, s.Start))
		for _, m := range s.Moves {
			if m.Verb == VerbStart {
				out = append(out, definition(set, m.Start))
			}
		}
	}
	return out
}

// String names a scenario.
func (s *Scenario) String() string { return fmt.Sprintf("%s: %s", s.Pos.File, s.Name) }
