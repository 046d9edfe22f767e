package main

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/stile-auth/stile/flowdefs"
)

func TestExcerpt(t *testing.T) {
	t.Parallel()
	long := strings.Repeat("x", 400)
	for name, c := range map[string]struct {
		line   string
		column int
		shown  string
		before int
	}{
		"a word":              {"  id: a", 7, "  id: a", 6},
		"behind the end":      {"id:", 4, "id:", 3},
		"far behind the end":  {"id:", 99, "id:", 3},
		"nothing":             {"", 1, "", 0},
		"tabs":                {"\t\tid: a", 3, "        id: a", 8},
		"a tab itself":        {"a:\tb", 3, "a:    b", 2},
		"wide characters":     {"名前: x", 5, "名前: x", 6},
		"a combining accent":  {"e\u0301: x", 5, "e\u0301: x", 3},
		"a terminal's orders": {"\x1b[2Jid: a", 5, "\uFFFD[2Jid: a", 4},
		"no UTF-8":            {"a\xff: b", 3, "a\uFFFD: b", 2},
		"right to left":       {"\u202eid: a", 2, "\uFFFDid: a", 1},
		"long, at its begin":  {"a" + long, 1, "a" + long[:99] + "…", 0},
		"long, in its middle": {long + "a" + long, 401, "…" + long[:50] + "a" + long[:49] + "…", 51},
		"long, at its end":    {long + "a", 401, "…" + long[:99] + "a", 100},
	} {
		shown, before := excerpt(c.line, c.column)
		if shown != c.shown || before != c.before {
			t.Errorf("%s: %q with %d before, want %q with %d", name, shown, before, c.shown, c.before)
		}
	}
}

// Only a terminal is shown colours: what a pipeline reads has no orders in it.
func TestColour(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "a.yaml")
	if err := os.WriteFile(file, []byte("flows: 1\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	problems := flowdefs.Problems{
		{Pos: flowdefs.Pos{File: file, Line: 1, Column: 8}, Message: "wrong"},
		{Pos: flowdefs.Pos{File: file, Line: 7, Column: 1}, Message: "not there any more"},
	}
	for colour, mark := range map[bool]string{false: "^", true: "\x1b[1;31m^\x1b[0m"} {
		var out bytes.Buffer
		listProblems(&out, problems, colour)
		want := file + ":1:8: wrong\n    1 | flows: 1\n      |        " + mark + "\n" + file + ":7:1: not there any more\n"
		if diff := cmp.Diff(want, out.String()); diff != "" {
			t.Errorf("colour %v: (-want +got)\n%s", colour, diff)
		}
	}
	if out, err := os.Create(filepath.Join(t.TempDir(), "out")); err != nil || coloured(out) || coloured(&bytes.Buffer{}) {
		t.Errorf("a file is shown colours, or %v", err)
	}
}

// What docs/tools.md says that check prints, it prints.
func TestCheckAsThePageShowsIt(t *testing.T) {
	page, err := os.ReadFile("../../docs/tools.md")
	if err != nil {
		t.Fatal(err)
	}
	_, rest, found := strings.Cut(string(page), "```yaml check\n")
	source, rest, _ := strings.Cut(rest, "```\n")
	_, rest, shown := strings.Cut(rest, "```text\n")
	want, _, _ := strings.Cut(rest, "```\n")
	if !found || !shown {
		t.Fatal("the page shows no check")
	}
	t.Chdir(t.TempDir())
	if err := os.WriteFile("flows.yaml", []byte(source), 0o600); err != nil {
		t.Fatal(err)
	}
	var out, errs bytes.Buffer
	if code := run([]string{"check", "."}, nil, &out, &errs); code != exitProblem {
		t.Errorf("exit code %d: %s", code, errs.String())
	}
	if diff := cmp.Diff(want, out.String()); diff != "" {
		t.Errorf("(-shown +printed)\n%s", diff)
	}
}
