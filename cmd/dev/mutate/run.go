package mutate

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"
)

// A Verdict says what became of a mutant.
type Verdict string

const (
	// Killed means that the test passes on the tree and fails on the mutant.
	Killed Verdict = "killed"
	// Survived means that the test passes on the mutant, so nothing guards the check.
	Survived Verdict = "SURVIVED"
	// Invalid means that the row proves nothing: the old text is gone, the patch
	// does not compile, no test of that name runs, the test fails or skips on
	// the tree as it is, or it hangs on the mutant.
	Invalid Verdict = "INVALID"
)

// A Result is the verdict on one row.
type Result struct {
	Row     Row
	Verdict Verdict
	Detail  string // for people; empty when killed
	Elapsed time.Duration
}

// Config tells a [Runner] where and how to run.
type Config struct {
	// Root is the absolute path of the folder of go.mod. Required.
	Root string
	// Flags go to "go test", for example -race. Give the flags of the ordinary
	// test run, so that the build cache serves both.
	Flags []string
	// Env is the whole environment; nil means this process's.
	Env []string
	// Jobs is the number of mutants at work at a time; below 1 means 1.
	Jobs int
	// Timeout ends one run of a test binary; zero means two minutes.
	Timeout time.Duration
}

// A Runner judges rows. It is safe for concurrent use.
type Runner struct {
	cfg Config

	mu        sync.Mutex
	baselines map[string]func() error // by package and expression
	binaries  map[string]func() (string, error)
}

// New checks the configuration.
func New(cfg Config) (*Runner, error) {
	if !filepath.IsAbs(cfg.Root) {
		return nil, fmt.Errorf("mutate: root %q is not an absolute path", cfg.Root)
	}
	cfg.Jobs = max(cfg.Jobs, 1)
	if cfg.Timeout <= 0 {
		cfg.Timeout = 2 * time.Minute
	}
	return &Runner{cfg: cfg, baselines: map[string]func() error{}, binaries: map[string]func() (string, error){}}, nil
}

// Run judges all rows and hands each result to report as it comes; report is
// never called twice at a time. The error says that the work could not be done
// at all; what is wrong with a row is its result.
func (r *Runner) Run(ctx context.Context, rows []Row, report func(Result)) error {
	dir, err := os.MkdirTemp("", "stile-mutate-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	var mu sync.Mutex
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(r.cfg.Jobs)
	for i, row := range rows {
		group.Go(func() error {
			start := time.Now()
			verdict, detail := r.judge(ctx, row, filepath.Join(dir, fmt.Sprint(i)), dir)
			if err := ctx.Err(); err != nil {
				return err
			}
			mu.Lock()
			defer mu.Unlock()
			report(Result{row, verdict, detail, time.Since(start)})
			return nil
		})
	}
	return group.Wait()
}

// judge tries one row. own is its folder and shared that of the unpatched
// binaries.
func (r *Runner) judge(ctx context.Context, row Row, own, shared string) (Verdict, string) {
	overlay, err := r.overlay(row, own)
	if err != nil {
		return Invalid, err.Error()
	}
	if err := r.baseline(ctx, row, shared); err != nil {
		return Invalid, err.Error()
	}
	defer os.RemoveAll(own)
	binary := filepath.Join(own, "mutant.test")
	if err := r.build(ctx, row.Package, binary, "-overlay="+overlay); err != nil {
		return Invalid, "the patched file does not build:\n" + err.Error()
	}
	out, err := r.test(ctx, binary, row)
	seen := read(out)
	switch {
	case errors.Is(err, errAborted):
		return Invalid, "the test was killed before its end:\n" + out
	case seen.timeout:
		return Invalid, fmt.Sprintf("the test hangs for %s on the mutant; make it fail instead", r.cfg.Timeout)
	case seen.started == 0:
		return Invalid, "no test of that name ran:\n" + out
	case err == nil:
		return Survived, fmt.Sprintf("%s %s passes without the check", row.Package, row.Run)
	case seen.failed == 0 && seen.ended >= seen.started:
		return Invalid, "the package fails, but no test does:\n" + out
	}
	return Killed, ""
}

// overlay writes the patched file and the description that lays it over the
// tree, and returns the name of the latter.
func (r *Runner) overlay(row Row, dir string) (string, error) {
	target := filepath.Join(r.cfg.Root, filepath.FromSlash(row.File))
	text, err := os.ReadFile(target)
	if err != nil {
		return "", err
	}
	patched, err := row.Patch(string(text))
	if err != nil {
		return "", err
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return "", err
	}
	file := filepath.Join(dir, filepath.Base(target))
	if err := os.WriteFile(file, []byte(patched), 0o600); err != nil {
		return "", err
	}
	return writeOverlay(filepath.Join(dir, "overlay.json"), target, file)
}

// baseline runs the row's test on the tree as it is, once for all rows that
// name the same test. A failure on the mutant means nothing otherwise.
func (r *Runner) baseline(ctx context.Context, row Row, dir string) error {
	r.mu.Lock()
	key := row.Package + " " + row.Run
	once, ok := r.baselines[key]
	if !ok {
		binary := r.binary(ctx, row.Package, dir)
		once = sync.OnceValue(func() error {
			file, err := binary()
			if err != nil {
				return fmt.Errorf("the tree does not build without the patch:\n%w", err)
			}
			out, err := r.test(ctx, file, row)
			if seen := read(out); err != nil || seen.passed == 0 {
				return fmt.Errorf("%s must pass without the patch:\n%s", key, strings.TrimSpace(out))
			}
			return nil
		})
		r.baselines[key] = once
	}
	r.mu.Unlock()
	return once()
}

// binary returns the function that builds the unpatched test binary of a
// package, once. The caller holds the lock.
func (r *Runner) binary(ctx context.Context, pkg, dir string) func() (string, error) {
	once, ok := r.binaries[pkg]
	if !ok {
		file := filepath.Join(dir, fmt.Sprintf("tree%d.test", len(r.binaries)))
		once = sync.OnceValues(func() (string, error) { return file, r.build(ctx, pkg, file) })
		r.binaries[pkg] = once
	}
	return once
}

// outcome is what the output of a verbose test run tells.
type outcome struct {
	started, ended, passed, failed int
	timeout                        bool
}

var (
	startLine = regexp.MustCompile(`(?m)\x16=== RUN  `)
	endLine   = regexp.MustCompile(`(?m)\x16 *--- (PASS|FAIL|SKIP): `)
)

// read counts tests by the marked lines that "-test.v=test2json" makes, which
// no output of the tests themselves can imitate by accident.
func read(out string) outcome {
	o := outcome{started: len(startLine.FindAllString(out, -1))}
	for _, m := range endLine.FindAllStringSubmatch(out, -1) {
		o.ended++
		switch m[1] {
		case "PASS":
			o.passed++
		case "FAIL":
			o.failed++
		}
	}
	o.timeout = strings.Contains(out, "panic: test timed out after")
	return o
}
