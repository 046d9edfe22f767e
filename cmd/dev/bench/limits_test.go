package bench

import (
	"bytes"
	"errors"
	"strings"
	"testing"
	"time"
)

func TestReported(t *testing.T) {
	t.Parallel()
	out := []byte("goos: linux\nBenchmarkAdvance/flows=1-2  \t 3608\t    358272 ns/op\t      2986.5 ns/move\t  464010 B/op\nPASS\n")
	for unit, want := range map[string]time.Duration{"ns/op": 358272, "ns/move": 2986} {
		if got, err := reported(out, unit); err != nil || got != want {
			t.Errorf("%s: %v, %v", unit, got, err)
		}
	}
	if _, err := reported([]byte("PASS\n"), "ns/op"); err == nil {
		t.Error("a benchmark that does not exist has a result")
	}
}

// What is too slow is said and is an error, so that a script sees it.
func TestPrintLimits(t *testing.T) {
	t.Parallel()
	all := []limit{{What: "a", Took: 1, Most: 1}, {What: "b", Took: 2, Most: 1}}
	var out bytes.Buffer
	if err := printLimits(&out, all); !errors.Is(err, errOverLimit) || strings.Count(out.String(), "TOO SLOW") != 1 {
		t.Errorf("%v\n%s", err, out.String())
	}
	out.Reset()
	if err := printLimits(&out, all[:1]); err != nil || !strings.Contains(out.String(), "ok") {
		t.Errorf("%v\n%s", err, out.String())
	}
}

// Every limit is that of a benchmark that is there.
func TestLimitsHaveBenchmarks(t *testing.T) {
	if testing.Short() {
		t.Skip("long")
	}
	all := limits()
	for i := range all {
		all[i].Times = "1x"
	}
	if err := measureLimits(t.Context(), "../../..", all[:3]); err != nil {
		t.Fatal(err)
	}
	for _, l := range all[:3] {
		if l.Took <= 0 {
			t.Errorf("%s took nothing", l.What)
		}
	}
}
