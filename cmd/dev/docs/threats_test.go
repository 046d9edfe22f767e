package docs_test

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// Every row of docs/threats.md names tests that there are and a check that there is.
func TestThreats(t *testing.T) {
	t.Parallel()
	root := filepath.Join("..", "..", "..")
	read := func(pattern string) string {
		t.Helper()
		files, err := filepath.Glob(filepath.Join(root, pattern))
		if err != nil {
			t.Fatal(err)
		}
		var all strings.Builder
		for _, f := range files {
			text, err := os.ReadFile(f)
			if err != nil {
				t.Fatal(err)
			}
			all.Write(text)
		}
		return all.String()
	}
	checks := read("cmd/dev/mutants/*.txt")
	quoted := regexp.MustCompile("`([^`]+)`")
	rows := 0
	for _, line := range strings.Split(read("docs/threats.md"), "\n") {
		cells := strings.Split(line, " | ")
		if len(cells) != 4 || !strings.HasPrefix(line, "| T-") && !strings.HasPrefix(line, "| lesson ") && !strings.HasPrefix(line, "| ASVS ") {
			continue
		}
		rows++
		tests, check := quoted.FindAllStringSubmatch(cells[2], -1), quoted.FindStringSubmatch(cells[3])
		if len(tests) == 0 || check == nil {
			t.Errorf("no test or no check in %s", line)
			continue
		}
		for _, m := range tests {
			folder, name, _ := strings.Cut(m[1], " ")
			if !strings.Contains(read(folder+"/*_test.go"), "func "+name+"(t *testing.T)") {
				t.Errorf("%s: there is no test %s", cells[0], m[1])
			}
		}
		if !strings.Contains(checks, "\n== "+check[1]+"\n") {
			t.Errorf("%s: there is no check %q", cells[0], check[1])
		}
	}
	if rows < 40 {
		t.Errorf("%d rows", rows)
	}
}
