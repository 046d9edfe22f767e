package prove_test

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/google/go-cmp/cmp"

	"github.com/stile-auth/stile/flowdefs"
	"github.com/stile-auth/stile/flows/prove"
)

var update = flag.Bool("update", false, "write the *.want files of testdata/wrong")

// TestWrong proves every file of testdata/wrong alone; beside it stands what is
// found: the place, the words, the way there and the scenario.
func TestWrong(t *testing.T) {
	t.Parallel()
	files, err := filepath.Glob("testdata/wrong/*.yaml")
	if err != nil || len(files) < 60 {
		t.Fatalf("%d files, %v", len(files), err)
	}
	for _, file := range files {
		t.Run(nameOf(file), func(t *testing.T) {
			t.Parallel()
			found := prove.Findings(proved(t, read(t, file), prove.Options{}))
			if len(found) == 0 {
				t.Fatal("loads")
			}
			golden(t, strings.TrimSuffix(file, ".yaml")+".want", told(found))
		})
	}
}

// What looks suspicious and is right has to load.
func TestRight(t *testing.T) {
	t.Parallel()
	files, err := filepath.Glob("testdata/right/*.yaml")
	if err != nil || len(files) < 30 {
		t.Fatalf("%d files, %v", len(files), err)
	}
	for _, file := range files {
		t.Run(nameOf(file), func(t *testing.T) {
			t.Parallel()
			if found := prove.Findings(proved(t, read(t, file), prove.Options{})); len(found) > 0 {
				t.Error(told(found))
			}
		})
	}
}

func nameOf(file string) string { return strings.TrimSuffix(filepath.Base(file), ".yaml") }

func read(t testing.TB, file string) string {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// load loads one file of definitions with the real step types.
func load(t testing.TB, text string) *flowdefs.Set {
	t.Helper()
	set, err := flowdefs.Load(fstest.MapFS{"f.yaml": {Data: []byte(text)}}, ".", registry(t))
	if err != nil {
		t.Fatal(err)
	}
	return set
}

func proved(t testing.TB, text string, o prove.Options) []prove.Verdict {
	t.Helper()
	vs, err := prove.Prove(t.Context(), load(t, text), registry(t), o)
	if err != nil {
		t.Fatal(err)
	}
	return vs
}

func told(found []prove.Finding) string {
	var b strings.Builder
	for _, f := range found {
		fmt.Fprintf(&b, "%s: %s\n", f.Pos, f)
		for line := range strings.Lines(f.Scenario) {
			b.WriteString("    | " + line)
		}
	}
	return b.String()
}

func golden(t *testing.T, file, got string) {
	t.Helper()
	if *update {
		if err := os.WriteFile(file, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), got); diff != "" {
		t.Error(diff)
	}
}
