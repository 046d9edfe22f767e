package mutate_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/stile-auth/stile/cmd/dev/mutate"
)

// A module with one check, Small, and tests that treat it in every way.
const (
	source = `package a

func Small(n int) bool {
	if n > 9 {
		return false
	}
	return true
}
`
	tests = `package a

import (
	"os"
	"testing"
)

func TestMain(m *testing.M) {
	code := m.Run()
	if Small(10) && os.Getenv("A_STRICT") != "" {
		code = 1
	}
	os.Exit(code)
}

func TestGuards(t *testing.T) {
	if Small(10) {
		t.Error("10 is not small")
	}
}

func TestDozes(t *testing.T) { Small(1) }

func TestFails(t *testing.T) { t.Error("always") }

func TestSkips(t *testing.T) { t.Skip("never") }

func TestDies(t *testing.T) {
	if Small(10) {
		done := make(chan int)
		go func() { panic("in another goroutine") }()
		<-done
	}
}

func TestHangs(t *testing.T) {
	if Small(10) {
		select {}
	}
}
`
)

func module(t *testing.T) string {
	t.Helper()
	root := t.TempDir()
	for name, text := range map[string]string{"go.mod": "module example.org/m\n\ngo 1.26\n", "a/a.go": source, "a/a_test.go": tests, "bare/b.go": "package bare\n"} {
		file := filepath.Join(root, filepath.FromSlash(name))
		if err := os.MkdirAll(filepath.Dir(file), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return root
}

func TestVerdicts(t *testing.T) {
	t.Parallel()
	const check, gone = "return false", "return true"
	cases := []struct {
		row    mutate.Row
		want   mutate.Verdict
		detail string
	}{
		{mutate.Row{Name: "guarded", Old: check, New: gone, Package: "./a", Run: "TestGuards"}, mutate.Killed, ""},
		{mutate.Row{Name: "crash", Old: check, New: gone, Package: "./a", Run: "TestDies"}, mutate.Killed, ""},
		{mutate.Row{Name: "unguarded", Old: check, New: gone, Package: "./a", Run: "TestDozes"}, mutate.Survived, "passes without the check"},
		{mutate.Row{Name: "stale", Old: "no such text", New: gone, Package: "./a", Run: "TestGuards"}, mutate.Invalid, "occurs 0 times"},
		{mutate.Row{Name: "ambiguous", Old: "return", New: "panic(1)", Package: "./a", Run: "TestGuards"}, mutate.Invalid, "occurs 2 times"},
		{mutate.Row{Name: "does not compile", Old: check, New: "return 1", Package: "./a", Run: "TestGuards"}, mutate.Invalid, "does not build"},
		{mutate.Row{Name: "no such test", Old: check, New: gone, Package: "./a", Run: "TestAbsent"}, mutate.Invalid, "must pass without the patch"},
		{mutate.Row{Name: "fails anyway", Old: check, New: gone, Package: "./a", Run: "TestFails"}, mutate.Invalid, "must pass without the patch"},
		{mutate.Row{Name: "only skips", Old: check, New: gone, Package: "./a", Run: "TestSkips"}, mutate.Invalid, "must pass without the patch"},
		{mutate.Row{Name: "hangs", Old: check, New: gone, Package: "./a", Run: "TestHangs"}, mutate.Invalid, "hangs"},
		{mutate.Row{Name: "no tests", Old: check, New: gone, Package: "./bare", Run: "TestGuards"}, mutate.Invalid, "no test files"},
		{mutate.Row{Name: "no package", Old: check, New: gone, Package: "./absent", Run: "TestGuards"}, mutate.Invalid, "does not build"},
	}
	var rows []mutate.Row
	for _, c := range cases {
		c.row.File = "a/a.go"
		rows = append(rows, c.row)
	}
	root := module(t)
	got := run(t, mutate.Config{Root: root, Jobs: 2, Timeout: 5 * time.Second}, rows)
	for _, c := range cases {
		r := got[c.row.Name]
		if r.Verdict != c.want || !strings.Contains(r.Detail, c.detail) {
			t.Errorf("%s: %s %q, want %s %q", c.row.Name, r.Verdict, r.Detail, c.want, c.detail)
		}
	}
	if text, _ := os.ReadFile(filepath.Join(root, "a", "a.go")); string(text) != source {
		t.Error("the tree was changed")
	}
}

// A package can fail although each of its tests passes; that is no proof that
// the named test guards anything.
func TestFailingPackageIsNotAFailingTest(t *testing.T) {
	t.Parallel()
	row := mutate.Row{Name: "main says no", File: "a/a.go", Old: "return false", New: "return true", Package: "./a", Run: "TestDozes"}
	got := run(t, mutate.Config{Root: module(t), Env: append(os.Environ(), "A_STRICT=1")}, []mutate.Row{row})[row.Name]
	if got.Verdict != mutate.Invalid || !strings.Contains(got.Detail, "no test does") {
		t.Errorf("verdict %s %q, want INVALID", got.Verdict, got.Detail)
	}
}

func TestNewWantsAnAbsoluteRoot(t *testing.T) {
	t.Parallel()
	if _, err := mutate.New(mutate.Config{Root: "."}); err == nil {
		t.Error("a relative root was taken")
	}
}

func run(t *testing.T, cfg mutate.Config, rows []mutate.Row) map[string]mutate.Result {
	t.Helper()
	runner, err := mutate.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	got := map[string]mutate.Result{}
	if err := runner.Run(t.Context(), rows, func(r mutate.Result) { got[r.Row.Name] = r }); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(len(rows), len(got)); diff != "" {
		t.Errorf("number of results (-want +got):\n%s", diff)
	}
	return got
}
