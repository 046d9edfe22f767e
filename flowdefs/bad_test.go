package flowdefs_test

import (
	"errors"
	"flag"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/google/go-cmp/cmp"

	"github.com/stile-auth/stile/flowdefs"
)

var update = flag.Bool("update", false, "write the *.want files of testdata/bad")

// TestBad loads every file of testdata/bad alone; beside it stand the exact problems.
func TestBad(t *testing.T) {
	t.Parallel()
	files, err := filepath.Glob("testdata/bad/*.yaml")
	if err != nil || len(files) < 120 {
		t.Fatalf("%d files, %v", len(files), err)
	}
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".yaml"), func(t *testing.T) {
			t.Parallel()
			data, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			set, err := flowdefs.Load(fstest.MapFS{"bad.yaml": {Data: data}}, ".", catalogue{})
			var problems flowdefs.Problems
			if !errors.As(err, &problems) || len(problems) == 0 || set != nil {
				t.Fatalf("loads: %v, %v", set, err)
			}
			if !slices.IsSortedFunc(problems, byPlace) {
				t.Errorf("not in order:\n%v", problems)
			}
			want := strings.TrimSuffix(file, ".yaml") + ".want"
			got := problems.Error() + "\n"
			if *update {
				if err := os.WriteFile(want, []byte(got), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			text, err := os.ReadFile(want)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(string(text), got); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func byPlace(a, b flowdefs.Problem) int {
	if a.Pos.Line != b.Pos.Line {
		return a.Pos.Line - b.Pos.Line
	}
	return a.Pos.Column - b.Pos.Column
}
