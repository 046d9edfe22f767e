package bench

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os/exec"
	"regexp"
	"strconv"
	"text/tabwriter"
	"time"
)

// limit is a benchmark of the tests and what it may take at most.
type limit struct {
	What      string        `json:"what"`
	Package   string        `json:"-"`
	Benchmark string        `json:"benchmark"`
	Unit      string        `json:"-"` // that the benchmark reports
	Times     string        `json:"-"` // as go test -benchtime has it
	Most      time.Duration `json:"most"`
	Took      time.Duration `json:"took"`
}

func limits() []limit {
	const moves, loading, scenarios = "BenchmarkAdvance/flows=", "BenchmarkLoadThousandFlows", "BenchmarkThousandScenarios"
	const storm = "BenchmarkStart/storm="
	return []limit{
		{"a transition of a flow of 60 steps", "./flows", moves + "1", "ns/move", "1s", 5 * time.Microsecond, 0},
		{"the same with 1,000 flows loaded", "./flows", moves + "1000", "ns/move", "1s", 5 * time.Microsecond, 0},
		{"loading 1,000 flows of 20 steps", "./flowdefs", loading, "ns/op", "3x", 2 * time.Second, 0},
		{"1,000 scenarios of 6 steps, on the engine and over HTTP", "./cmd/stile/stage", scenarios, "ns/op", "1x", 10 * time.Second, 0},
		{"a flow is started while argon2id is computed all over (p99)", "./cmd/stile/node", storm + "argon2", "ns/start", "3s", 5 * time.Millisecond, 0},
		{"the same with bcrypt", "./cmd/stile/node", storm + "bcrypt", "ns/start", "3s", 5 * time.Millisecond, 0},
		{"the same in a calm", "./cmd/stile/node", storm + "calm", "ns/start", "3s", 5 * time.Millisecond, 0},
		{"proving the largest example, with its target", "./flows/prove", "BenchmarkLargestExample", "ns/op", "1x", 2 * time.Second, 0},
		{"proving a flow of 40 steps with four nested chooses", "./flows/prove", "BenchmarkFortySteps", "ns/op", "1x", 10 * time.Second, 0},
	}
}

// errOverLimit is a benchmark that took longer than it may.
var errOverLimit = errors.New("bench: over the limit")

// measureLimits runs the benchmarks in the repository at root.
func measureLimits(ctx context.Context, root string, all []limit) error {
	for i := range all {
		l := &all[i]
		test := exec.CommandContext(ctx, "go", "test", "-tags=nomsgpack", "-run=^$", "-bench=^"+l.Benchmark+"$", "-benchtime="+l.Times, l.Package)
		test.Dir = root
		out, err := test.CombinedOutput()
		if err != nil {
			return fmt.Errorf("bench: %s: %w\n%s", l.Benchmark, err, out)
		}
		if l.Took, err = reported(out, l.Unit); err != nil {
			return fmt.Errorf("bench: %s: %w\n%s", l.Benchmark, err, out)
		}
	}
	return nil
}

var measurement = regexp.MustCompile(`([0-9.]+) (ns/[a-z]+)`)

// reported finds what a benchmark reported in a unit of nanoseconds.
func reported(out []byte, unit string) (time.Duration, error) {
	for _, m := range measurement.FindAllSubmatch(bytes.ReplaceAll(out, []byte("\t"), []byte(" ")), -1) {
		if string(m[2]) != unit {
			continue
		}
		ns, err := strconv.ParseFloat(string(m[1]), 64)
		return time.Duration(ns), err
	}
	return 0, errors.New("nothing was measured")
}

// printLimits prints a table; [errOverLimit] if something took longer than it may.
func printLimits(out io.Writer, all []limit) error {
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "what\ttook\tat most\t")
	over := error(nil)
	for _, l := range all {
		verdict := "ok"
		if l.Took > l.Most {
			verdict, over = "TOO SLOW", errOverLimit
		}
		fmt.Fprintf(w, "%s\t%s\t%s\t%s\n", l.What, l.Took, l.Most, verdict)
	}
	return errors.Join(w.Flush(), over)
}
