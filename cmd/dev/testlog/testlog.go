// Package testlog reads what "go test -json" writes, shows progress while it
// runs, and counts.
//
// Counted are the leaves: a test that has subtests is the sum of them and not
// a test of its own, unless it fails while all of them pass. A package that
// fails without a failing test (it does not build, it panics before the first
// test, its TestMain says no) counts as one failure, and a test that began
// and never ended has failed.
package testlog

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"
)

// A Tally is what came out.
type Tally struct {
	Passed, Failed int
	// Skipped names the skipped tests, "package Test/sub", with the reason
	// where the test gave one.
	Skipped []string
	// Slow holds the ten tests that took longest, slowest first.
	Slow []Timing
}

// A Timing says how long one test took.
type Timing struct {
	Name    string // package and test
	Elapsed time.Duration
}

// event is one line of the stream; see "go doc test2json" and, for the build
// actions, "go help buildjson".
type event struct {
	Action      string
	Package     string
	ImportPath  string
	Test        string
	Elapsed     float64
	Output      string
	FailedBuild string
}

// Read consumes a stream to its end and writes progress to w: a line for each
// package, and the output of failed tests in full. Lines that are not JSON
// are passed on as they are, since the go command reports some troubles so.
// The error is the reader's.
func Read(r io.Reader, w io.Writer) (Tally, error) {
	p := &printer{w: w, packages: map[string]*pkg{}, builds: map[string][]string{}}
	in := bufio.NewReader(r)
	for {
		line, err := in.ReadBytes('\n')
		if len(line) > 0 {
			p.line(line)
		}
		if err == io.EOF {
			break
		}
		if err != nil {
			return p.tally, err
		}
	}
	p.finish()
	return p.tally, nil
}

type printer struct {
	w        io.Writer
	packages map[string]*pkg
	builds   map[string][]string // build output by import path
	tally    Tally
}

func (p *printer) line(line []byte) {
	var e event
	if err := json.Unmarshal(line, &e); err != nil {
		fmt.Fprintf(p.w, "%s", line)
		return
	}
	switch e.Action {
	case "build-output":
		p.builds[e.ImportPath] = append(p.builds[e.ImportPath], e.Output)
		return
	case "build-fail":
		return // the package that needed it says so with FailedBuild
	}
	k := p.packages[e.Package]
	if k == nil {
		k = &pkg{name: e.Package, tests: map[string]*test{}}
		p.packages[e.Package] = k
	}
	if e.Test != "" {
		k.test(e.Test).event(e)
		return
	}
	switch e.Action {
	case "output":
		k.output = append(k.output, e.Output)
	case "pass", "fail", "skip":
		p.close(k, e)
	}
}

// close counts a package that ended and prints what there is to say.
func (p *printer) close(k *pkg, e event) {
	k.done = true
	before := p.tally.Failed
	k.count(&p.tally)
	failed := p.tally.Failed - before
	if e.Action == "fail" && failed == 0 {
		p.tally.Failed++
	}
	if e.Action == "fail" || failed > 0 {
		fmt.Fprintf(p.w, "FAIL  %s  %.1fs\n", k.name, e.Elapsed)
		p.explain(k, e, failed)
		return
	}
	if len(k.order) > 0 {
		fmt.Fprintf(p.w, "ok    %s  %.1fs\n", k.name, e.Elapsed)
	}
}

// explain prints the output of the failed tests of a package, and the
// package's own output, which carries build errors and panics.
func (p *printer) explain(k *pkg, e event, failed int) {
	if e.FailedBuild != "" {
		p.print(p.builds[e.FailedBuild])
		delete(p.builds, e.FailedBuild) // once is enough
	}
	crashed := k.crashed()
	for _, name := range k.order {
		// The last words of a process that dies may come under the name of a test that had
		// passed: what such a test has said after its end.
		if t := k.tests[name]; t.state() == "fail" || crashed && t.action == "pass" {
			p.print(t.output)
		}
	}
	if failed == 0 || crashed {
		p.print(k.output)
	}
}

func (p *printer) print(lines []string) {
	for _, line := range lines {
		for s := range strings.Lines(line) {
			fmt.Fprintf(p.w, "    %s\n", strings.TrimRight(s, "\r\n"))
		}
	}
}

// finish closes packages whose end never came and sorts the lists.
func (p *printer) finish() {
	for _, k := range p.packages {
		if !k.done {
			p.close(k, event{Action: "fail"})
		}
	}
	slices.Sort(p.tally.Skipped)
	slices.SortStableFunc(p.tally.Slow, func(a, b Timing) int { return int(b.Elapsed - a.Elapsed) })
	p.tally.Slow = p.tally.Slow[:min(10, len(p.tally.Slow))]
}
