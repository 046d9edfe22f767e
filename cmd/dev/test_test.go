package main

import (
	"errors"
	"os"
	"strings"
	"testing"

	"github.com/stile-auth/stile/cmd/dev/testlog"
)

func TestGoTestCounts(t *testing.T) {
	t.Parallel()
	const (
		pass = "package a\n\nimport \"testing\"\n\nfunc TestA(t *testing.T) { t.Run(\"x\", func(*testing.T) {}); t.Run(\"y\", func(*testing.T) {}) }\n"
		fail = "package b\n\nimport \"testing\"\n\nfunc TestB(t *testing.T) { t.Error(\"the reason\") }\n"
		skip = "package s\n\nimport \"testing\"\n\nfunc TestS(t *testing.T) { t.Skip(\"no server\") }\n"
	)
	tests := []struct {
		name           string
		files          map[string]string
		ci             bool
		passed, failed int
		shown          string
	}{
		{"passing", map[string]string{"a/a_test.go": pass}, true, 2, 0, "ok    example.org/m/a"},
		{"failing", map[string]string{"a/a_test.go": pass, "b/b_test.go": fail}, false, 2, 1, "the reason"},
		{"not building", map[string]string{"a/a_test.go": pass, "b/b_test.go": "package b\n\nvar x int = \"\"\n"}, false, 2, 1, "cannot use"},
		{"not parsing", map[string]string{"a/a_test.go": pass, "b/b.go": "package\n"}, false, 2, 1, "expected 'IDENT'"},
		{"skipping", map[string]string{"a/a_test.go": pass, "s/s_test.go": skip}, false, 2, 0, "no server"},
		{"skipping in CI", map[string]string{"a/a_test.go": pass, "s/s_test.go": skip}, true, 2, 1, "no server"},
		{"only skipping", map[string]string{"s/s_test.go": skip}, false, 0, 1, "no test ran"},
		{"no tests", map[string]string{"a/a.go": "package a\n"}, false, 0, 1, "no test ran"},
		{"no packages", map[string]string{}, false, 0, 1, "FAIL  go test"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			root := t.TempDir()
			tt.files["go.mod"] = "module example.org/m\n\ngo 1.26\n"
			write(t, root, tt.files)
			var out strings.Builder
			r := &tester{root: root, out: &out, env: os.Environ(), packages: []string{"./..."}, ci: tt.ci}
			r.goTest(t.Context(), root, r.packages)
			err := r.close()
			if r.passed != tt.passed || r.failed != tt.failed {
				t.Errorf("%d passed, %d failed; want %d, %d\n%s", r.passed, r.failed, tt.passed, tt.failed, out.String())
			}
			if (err != nil) != (tt.failed > 0) {
				t.Errorf("error %v with %d failures", err, tt.failed)
			}
			if !strings.Contains(out.String(), tt.shown) {
				t.Errorf("output lacks %q:\n%s", tt.shown, out.String())
			}
		})
	}
}

func TestClosingLine(t *testing.T) {
	t.Parallel()
	var out strings.Builder
	r := &tester{out: &out, passed: 1}
	r.gate("good", func() error { return nil })
	r.gate("bad", func() error { return errors.New("the reason") })
	r.count(testlog.Tally{Passed: 3, Skipped: []string{"m TestS"}}, errors.New("exit status 1"))
	err := r.close()
	lines := strings.Split(out.String(), "\n")
	if last := lines[len(lines)-2]; last != "5 passed, 2 failed" || lines[len(lines)-1] != "" {
		t.Errorf("output ends with %q", last)
	}
	if !errors.Is(err, errReported) {
		t.Errorf("error %v, want a failure without further words", err)
	}
	for _, want := range []string{"FAIL  bad: the reason", "1 skipped:\n    m TestS\n"} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("output lacks %q:\n%s", want, out.String())
		}
	}
}
