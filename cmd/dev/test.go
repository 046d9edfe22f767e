package main

import (
	"context"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"time"

	"github.com/stile-auth/stile/cmd/dev/setup"
	"github.com/stile-auth/stile/cmd/dev/testlog"
)

func runTest(ctx context.Context, args []string) error {
	set := flag.NewFlagSet("test", flag.ContinueOnError)
	long := set.Bool("long", false, "run the long tier too")
	withMutants := set.Bool("mutate", false, "run the mutants too, as check and -long do; without packages only")
	if err := set.Parse(args); err != nil {
		return errReported
	}
	root, err := findRoot()
	if err != nil {
		return err
	}
	t := &tester{root: root, out: os.Stdout, packages: set.Args(), long: *long, ci: os.Getenv("CI") == "true"}
	t.mutants = (*withMutants || *long) && len(t.packages) == 0
	if len(t.packages) == 0 {
		t.packages = []string{"./..."}
	}
	t.all(ctx)
	return t.close()
}

// tester runs what "test" runs and keeps the count. Beside each test, the vet
// run, the house rules and each mutant count as one.
type tester struct {
	root          string
	out           io.Writer
	env           []string
	packages      []string
	long, mutants bool
	ci            bool // a skipped test is a failure

	passed, failed int
	tests          testlog.Tally
}

// all runs the parts in order. A part that fails does not stop the next one,
// except that nothing can run on a machine that is not ready.
func (t *tester) all(ctx context.Context) {
	env, err := testEnv(ctx, t.root, t.out)
	if err != nil {
		fmt.Fprintln(t.out, "setup:", err)
		t.failed++
		return
	}
	t.env = env
	if t.long {
		t.env = append(t.env, "STILE_LONG=1")
	}
	t.gate("go vet", func() error {
		args := append([]string{"vet"}, testFlags()...)
		return run(ctx, t.out, t.root, t.env, "go", append(args, t.packages...)...)
	})
	t.gate("layers", func() error { return printLayers(ctx, t.root, t.out) })
	t.goTest(ctx, t.root, t.packages)
	if browser := filepath.Join(t.root, filepath.FromSlash(setup.BrowserFolder)); slices.Contains(t.packages, "./...") {
		t.goTest(ctx, browser, []string{"./..."})
	}
	if t.mutants {
		t.judge(ctx)
	}
}

// gate runs one check that counts as one test.
func (t *tester) gate(name string, check func() error) {
	start := time.Now()
	if err := check(); err != nil {
		fmt.Fprintf(t.out, "FAIL  %s: %v\n", name, err)
		t.failed++
		return
	}
	fmt.Fprintf(t.out, "ok    %s  %.1fs\n", name, time.Since(start).Seconds())
	t.passed++
}

// goTest runs the tests of packages of one module. The vet of "go test" itself is
// off: the whole of vet has run before.
func (t *tester) goTest(ctx context.Context, dir string, packages []string) {
	timeout := "-timeout=20m"
	if t.long {
		timeout = "-timeout=3h"
	}
	args := append([]string{"test", "-json", "-shuffle=on", "-vet=off", timeout}, testFlags()...)
	reader, writer := io.Pipe()
	done := make(chan error, 1)
	cmd := exec.CommandContext(ctx, "go", append(args, packages...)...)
	cmd.Dir, cmd.Env, cmd.Stdout, cmd.Stderr = dir, t.env, writer, t.out
	cmd.Cancel = func() error { return cmd.Process.Signal(os.Interrupt) }
	cmd.WaitDelay = 10 * time.Second
	go func() {
		err := cmd.Run()
		writer.Close()
		done <- err
	}()
	tally, err := testlog.Read(reader, t.out)
	reader.Close() // else the go command would wait for a reader that gave up
	if failed := <-done; err == nil {
		err = failed
	}
	t.count(tally, err)
}

// count adds the tests. A run that fails without a failed test, and one
// without any test, is itself a failure.
func (t *tester) count(tally testlog.Tally, err error) {
	t.tests.Slow = append(t.tests.Slow, tally.Slow...)
	t.tests.Skipped = append(t.tests.Skipped, tally.Skipped...)
	t.passed += tally.Passed
	t.failed += tally.Failed
	if t.ci {
		t.failed += len(tally.Skipped)
	}
	switch {
	case err != nil && tally.Failed == 0:
		fmt.Fprintln(t.out, "FAIL  go test:", err)
		t.failed++
	case tally.Passed+tally.Failed == 0:
		fmt.Fprintln(t.out, "FAIL  no test ran")
		t.failed++
	}
}

func (t *tester) judge(ctx context.Context) {
	rows, err := mutants(t.root, "")
	var killed, failed int
	if err == nil {
		killed, failed, err = judge(ctx, t.root, t.env, rows, 2, t.out)
	}
	if err != nil {
		fmt.Fprintln(t.out, "FAIL  mutate:", err)
		failed++
	}
	t.passed += killed
	t.failed += failed
}

// close prints what the whole was like. Its last line is the one that CI
// reads.
func (t *tester) close() error {
	if len(t.tests.Slow) > 0 {
		fmt.Fprintln(t.out, "\nslowest tests:")
	}
	for _, s := range t.tests.Slow {
		fmt.Fprintf(t.out, "%8.2fs  %s\n", s.Elapsed.Seconds(), s.Name)
	}
	if n := len(t.tests.Skipped); n > 0 {
		verdict := ""
		if t.ci {
			verdict = ", which is a failure where CI=true"
		}
		fmt.Fprintf(t.out, "\n%d skipped%s:\n", n, verdict)
	}
	for _, s := range t.tests.Skipped {
		fmt.Fprintf(t.out, "    %s\n", s)
	}
	fmt.Fprintf(t.out, "\n%d passed, %d failed\n", t.passed, t.failed)
	if t.failed > 0 {
		return errReported
	}
	return nil
}
