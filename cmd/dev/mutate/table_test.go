package mutate_test

import (
	"strings"
	"testing"
	"testing/fstest"

	"github.com/google/go-cmp/cmp"

	"github.com/stile-auth/stile/cmd/dev/mutate"
)

const good = `# A comment.

== first: part of a line
file: a/a.go
test: ./a TestA
-- old --
x < limit
-- new --
true
-- end --

# Between rows.
== second: lines, removed
file: a/b.go
test: ./b TestB/one|TestC
-- old --
	if bad {
		return errBad
	}
-- new --
-- end --
`

func TestParse(t *testing.T) {
	t.Parallel()
	rows, err := mutate.Parse("t.txt", good)
	if err != nil {
		t.Fatal(err)
	}
	want := []mutate.Row{
		{Name: "first: part of a line", File: "a/a.go", Old: "x < limit", New: "true", Package: "./a", Run: "TestA", Pos: "t.txt:3"},
		{Name: "second: lines, removed", File: "a/b.go", Old: "\tif bad {\n\t\treturn errBad\n\t}", New: "", Package: "./b", Run: "TestB/one|TestC", Pos: "t.txt:13"},
	}
	if diff := cmp.Diff(want, rows); diff != "" {
		t.Errorf("rows (-want +got):\n%s", diff)
	}
}

// row writes a row from its parts, so that each test spoils one of them.
func row(file, test, old, new string) string {
	return "== name\nfile: " + file + "\ntest: " + test + "\n-- old --\n" + old + "\n-- new --\n" + new + "\n-- end --\n"
}

func TestParseRefuses(t *testing.T) {
	t.Parallel()
	tests := []struct{ name, text, want string }{
		{"stray text", "hello\n", `t.txt:1: expected "== name"`},
		{"no end", "== a\nfile: a.go\ntest: ./a T\n-- old --\nx\n-- new --\ny\n", "needs the blocks old and new, and an end"},
		{"no new", "== a\nfile: a.go\ntest: ./a T\n-- old --\nx\n-- end --\n", "needs the blocks old and new, and an end"},
		{"unknown line", "== a\nfiel: a.go\n", `t.txt:2: unknown or repeated line "fiel: a.go"`},
		{"two files", "== a\nfile: a.go\nfile: b.go\n", "unknown or repeated line"},
		{"two blocks", "== a\n-- old --\nx\n-- old --\n", "t.txt:4: the block stands twice"},
		{"empty old", row("a.go", "./a T", " ", "y"), "the old text is empty"},
		{"no change", row("a.go", "./a T", "x", "x"), "old and new are the same"},
		{"outside", row("../a.go", "./a T", "x", "y"), "not a clean path below the root"},
		{"absolute", row("/etc/a.go", "./a T", "x", "y"), "not a clean path below the root"},
		{"a test as file", row("a_test.go", "./a T", "x", "y"), "a test is not a check"},
		{"package by path", row("a.go", "example.org/a T", "x", "y"), "not one folder"},
		{"many packages", row("a.go", "./... T", "x", "y"), "not one folder"},
		{"no test", row("a.go", "./a", "x", "y"), "not a regular expression that names a test"},
		{"bad expression", row("a.go", "./a T(", "x", "y"), "not a regular expression that names a test"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			rows, err := mutate.Parse("t.txt", tt.text)
			if err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("error %v, want %q", err, tt.want)
			}
			if len(rows) != 0 {
				t.Errorf("rows came out: %+v", rows)
			}
		})
	}
}

func TestForgottenEndCostsOneRow(t *testing.T) {
	t.Parallel()
	rows, err := mutate.Parse("t.txt", "== broken\nfile: a.go\ntest: ./a T\n-- old --\nx\n"+row("b.go", "./b T", "x", "y"))
	if err == nil || len(rows) != 1 || rows[0].File != "b.go" {
		t.Errorf("rows %+v, error %v; want the second row and a problem", rows, err)
	}
}

func TestLoadJoinsProblemsAndRefusesDuplicates(t *testing.T) {
	t.Parallel()
	rows, err := mutate.Load(fstest.MapFS{
		"a.txt":     {Data: []byte(row("a.go", "./a T", "x", "y"))},
		"b.txt":     {Data: []byte("stray\n" + row("b.go", "./b T", "x", "y"))},
		"README.md": {Data: []byte("not a table")},
	})
	if len(rows) != 2 {
		t.Errorf("%d rows, want 2", len(rows))
	}
	for _, want := range []string{`b.txt:2: the name "name" is taken at a.txt:1`, "b.txt:1: expected"} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("error %v lacks %q", err, want)
		}
	}
}

func TestPatchNeedsExactlyOnePlace(t *testing.T) {
	t.Parallel()
	r := mutate.Row{File: "a.go", Old: "x", New: "y"}
	for _, text := range []string{"none", "x x"} {
		if got, err := r.Patch(text); err == nil {
			t.Errorf("Patch(%q) = %q, want an error", text, got)
		}
	}
	if got, err := r.Patch("a x b"); err != nil || got != "a y b" {
		t.Errorf("Patch = %q, %v", got, err)
	}
}
