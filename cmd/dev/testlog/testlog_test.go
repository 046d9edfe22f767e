package testlog_test

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/stile-auth/stile/cmd/dev/testlog"
)

func read(t *testing.T, stream string) (testlog.Tally, string) {
	t.Helper()
	var out strings.Builder
	tally, err := testlog.Read(strings.NewReader(stream), &out)
	if err != nil {
		t.Fatal(err)
	}
	return tally, out.String()
}

const passing = `{"Action":"start","Package":"m/a"}
{"Action":"output","Package":"m/a","Output":"-test.shuffle 1\n"}
{"Action":"run","Package":"m/a","Test":"TestOne"}
{"Action":"output","Package":"m/a","Test":"TestOne","Output":"chatter of one\n"}
{"Action":"pass","Package":"m/a","Test":"TestOne","Elapsed":0.5}
{"Action":"run","Package":"m/a","Test":"TestTwo"}
{"Action":"run","Package":"m/a","Test":"TestTwo/x"}
{"Action":"run","Package":"m/a","Test":"TestTwo/x/deep"}
{"Action":"pass","Package":"m/a","Test":"TestTwo/x/deep","Elapsed":2}
{"Action":"pass","Package":"m/a","Test":"TestTwo/x","Elapsed":2}
{"Action":"run","Package":"m/a","Test":"TestTwo/y"}
{"Action":"pass","Package":"m/a","Test":"TestTwo/y","Elapsed":1}
{"Action":"pass","Package":"m/a","Test":"TestTwo","Elapsed":3}
{"Action":"pass","Package":"m/a","Elapsed":3.6}
{"Action":"start","Package":"m/none"}
{"Action":"output","Package":"m/none","Output":"?   \tm/none\t[no test files]\n"}
{"Action":"skip","Package":"m/none","Elapsed":0}
`

func TestLeavesAreCounted(t *testing.T) {
	t.Parallel()
	tally, out := read(t, passing)
	want := testlog.Tally{Passed: 3, Slow: []testlog.Timing{
		{Name: "m/a TestTwo/x/deep", Elapsed: 2 * time.Second},
		{Name: "m/a TestTwo/y", Elapsed: time.Second},
		{Name: "m/a TestOne", Elapsed: time.Second / 2},
	}}
	if diff := cmp.Diff(want, tally); diff != "" {
		t.Errorf("tally (-want +got):\n%s", diff)
	}
	if want := "ok    m/a  3.6s\n"; out != want {
		t.Errorf("output %q, want %q", out, want)
	}
}

func TestFailures(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name, stream    string
		passed, failed  int
		shown, notShown string
	}{
		{
			name: "a leaf, blamed once",
			stream: `{"Action":"run","Package":"m/a","Test":"TestP"}
{"Action":"run","Package":"m/a","Test":"TestP/good"}
{"Action":"output","Package":"m/a","Test":"TestP/good","Output":"good chatter\n"}
{"Action":"pass","Package":"m/a","Test":"TestP/good"}
{"Action":"run","Package":"m/a","Test":"TestP/bad"}
{"Action":"output","Package":"m/a","Test":"TestP/bad","Output":"x_test.go:1: bad luck\n"}
{"Action":"fail","Package":"m/a","Test":"TestP/bad"}
{"Action":"fail","Package":"m/a","Test":"TestP"}
{"Action":"fail","Package":"m/a"}
`,
			passed: 1, failed: 1, shown: "bad luck", notShown: "good chatter",
		},
		{
			name: "a parent by itself",
			stream: `{"Action":"run","Package":"m/a","Test":"TestP"}
{"Action":"run","Package":"m/a","Test":"TestP/good"}
{"Action":"pass","Package":"m/a","Test":"TestP/good"}
{"Action":"output","Package":"m/a","Test":"TestP","Output":"afterwards\n"}
{"Action":"fail","Package":"m/a","Test":"TestP"}
{"Action":"fail","Package":"m/a"}
`,
			passed: 1, failed: 1, shown: "afterwards",
		},
		{
			name: "a parent by itself, beside another test",
			stream: `{"Action":"run","Package":"m/a","Test":"TestP"}
{"Action":"run","Package":"m/a","Test":"TestP/good"}
{"Action":"pass","Package":"m/a","Test":"TestP/good"}
{"Action":"fail","Package":"m/a","Test":"TestP"}
{"Action":"run","Package":"m/a","Test":"TestQ"}
{"Action":"output","Package":"m/a","Test":"TestQ","Output":"also bad\n"}
{"Action":"fail","Package":"m/a","Test":"TestQ"}
{"Action":"fail","Package":"m/a"}
`,
			passed: 1, failed: 2, shown: "also bad",
		},
		{
			name: "a build",
			stream: `{"ImportPath":"m/a","Action":"build-output","Output":"# m/a\n"}
{"ImportPath":"m/a","Action":"build-output","Output":"a.go:3:2: undefined: nope\n"}
{"ImportPath":"m/a","Action":"build-fail"}
{"Action":"start","Package":"m/a"}
{"Action":"output","Package":"m/a","Output":"FAIL\tm/a [build failed]\n"}
{"Action":"fail","Package":"m/a","Elapsed":0,"FailedBuild":"m/a"}
`,
			failed: 1, shown: "undefined: nope",
		},
		{
			name: "a package without a failing test",
			stream: `{"Action":"run","Package":"m/a","Test":"TestP"}
{"Action":"pass","Package":"m/a","Test":"TestP"}
{"Action":"output","Package":"m/a","Output":"found a leaked goroutine\n"}
{"Action":"fail","Package":"m/a"}
`,
			passed: 1, failed: 1, shown: "leaked goroutine",
		},
		{
			name: "a test that never ended",
			stream: `{"Action":"run","Package":"m/a","Test":"TestP"}
{"Action":"output","Package":"m/a","Test":"TestP","Output":"=== RUN TestP\n"}
{"Action":"output","Package":"m/a","Output":"exit status 3\n"}
{"Action":"fail","Package":"m/a"}
`,
			failed: 1, shown: "exit status 3",
		},
		{
			name: "a test without an end in a package that claims success",
			stream: `{"Action":"run","Package":"m/a","Test":"TestP"}
{"Action":"pass","Package":"m/a"}
`,
			failed: 1, shown: "FAIL  m/a",
		},
		{
			name: "a stream that breaks off",
			stream: `{"Action":"run","Package":"m/a","Test":"TestP"}
{"Action":"pass","Package":"m/a","Test":"TestP"}
`,
			passed: 1, failed: 1, shown: "FAIL  m/a",
		},
		{
			name:   "not JSON",
			stream: "go: cannot find main module\n",
			shown:  "cannot find main module",
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			tally, out := read(t, tt.stream)
			if tally.Passed != tt.passed || tally.Failed != tt.failed {
				t.Errorf("%d passed, %d failed; want %d, %d", tally.Passed, tally.Failed, tt.passed, tt.failed)
			}
			if !strings.Contains(out, tt.shown) {
				t.Errorf("output does not show %q:\n%s", tt.shown, out)
			}
			if tt.notShown != "" && strings.Contains(out, tt.notShown) {
				t.Errorf("output shows %q:\n%s", tt.notShown, out)
			}
		})
	}
}

func TestSkipsAreNamedWithTheirReason(t *testing.T) {
	t.Parallel()
	tally, _ := read(t, `{"Action":"run","Package":"m/a","Test":"TestS"}
{"Action":"output","Package":"m/a","Test":"TestS","Output":"=== RUN   TestS\n"}
{"Action":"output","Package":"m/a","Test":"TestS","Output":"    s_test.go:9: no server\n"}
{"Action":"output","Package":"m/a","Test":"TestS","Output":"--- SKIP: TestS (0.00s)\n"}
{"Action":"skip","Package":"m/a","Test":"TestS"}
{"Action":"pass","Package":"m/a"}
`)
	if diff := cmp.Diff([]string{"m/a TestS: s_test.go:9: no server"}, tally.Skipped); diff != "" {
		t.Errorf("skipped (-want +got):\n%s", diff)
	}
	if tally.Passed != 0 || tally.Failed != 0 {
		t.Errorf("a skip was counted: %+v", tally)
	}
}

func TestOnlyTheTenSlowestAreKept(t *testing.T) {
	t.Parallel()
	var stream strings.Builder
	for _, name := range strings.Split("ABCDEFGHIJKL", "") {
		stream.WriteString(`{"Action":"pass","Package":"m/a","Test":"Test` + name + `","Elapsed":1}` + "\n")
	}
	stream.WriteString(`{"Action":"pass","Package":"m/a"}` + "\n")
	tally, _ := read(t, stream.String())
	if len(tally.Slow) != 10 || tally.Passed != 12 {
		t.Errorf("%d slow, %d passed; want 10, 12", len(tally.Slow), tally.Passed)
	}
}

// What a process says when it dies is shown, also if it comes under the name of a test
// that has passed.
func TestLastWords(t *testing.T) {
	t.Parallel()
	_, out := read(t, `{"Action":"run","Package":"m/a","Test":"TestDone"}
{"Action":"output","Package":"m/a","Test":"TestDone","Output":"chatter\n"}
{"Action":"pass","Package":"m/a","Test":"TestDone","Elapsed":1}
{"Action":"run","Package":"m/a","Test":"TestHangs"}
{"Action":"output","Package":"m/a","Test":"TestDone","Output":"panic: test timed out after 20m0s\n"}
{"Action":"fail","Package":"m/a","Elapsed":1200}
`)
	if !strings.Contains(out, "panic: test timed out") || strings.Contains(out, "chatter") {
		t.Error(out)
	}
}
