package scenario_test

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/google/go-cmp/cmp"

	"github.com/stile-auth/stile/flowdefs"
	"github.com/stile-auth/stile/flows/scenario"
)

// Every file of testdata/bad is refused with exactly the messages beside it.
// With UPDATE=1 in the environment the messages are written anew, for review.
func TestMistakes(t *testing.T) {
	t.Parallel()
	files, err := filepath.Glob("testdata/bad/*.yaml")
	if err != nil || len(files) < 60 {
		t.Fatal(len(files), err)
	}
	s := set(t)
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		all, err := scenario.Load(fstest.MapFS{"x.test.yaml": {Data: text}}, ".", s)
		var problems flowdefs.Problems
		if !errors.As(err, &problems) || all != nil {
			t.Errorf("%s: loads, or worse: %v", file, err)
			continue
		}
		beside := strings.TrimSuffix(file, ".yaml") + ".want"
		if os.Getenv("UPDATE") != "" {
			if err := os.WriteFile(beside, []byte(problems.Error()+"\n"), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		want, err := os.ReadFile(beside)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(string(want), problems.Error()+"\n"); diff != "" {
			t.Errorf("%s: (-want +got)\n%s", file, diff)
		}
	}
}

func TestLargeFile(t *testing.T) {
	t.Parallel()
	text := "scenario: it\n#" + strings.Repeat("x", 1<<20)
	_, err := scenario.Load(fstest.MapFS{"x.test.yaml": {Data: []byte(text)}}, ".", set(t))
	if fmt.Sprint(err) != "x.test.yaml:1:1: the file is larger than the 1048576 bytes that are read" {
		t.Error(err)
	}
}

// Only files *.test.yaml are read, and no scenarios are no mistake.
func TestOtherFiles(t *testing.T) {
	t.Parallel()
	all, err := scenario.Load(fstest.MapFS{
		"flows.yaml": {Data: []byte("}{")}, "empty.test.yaml": {}, "folder.test.yaml/x": {},
		"comment.test.yaml": {Data: []byte("# nothing yet\n")},
	}, ".", set(t))
	if err != nil || len(all) != 0 {
		t.Error(all, err)
	}
	if _, err := scenario.Load(fstest.MapFS{}, "none", set(t)); err == nil {
		t.Error("a folder that is not there was read")
	}
}

func TestRunnerNeeds(t *testing.T) {
	t.Parallel()
	if _, err := scenario.New(scenario.Config{Host: host(t, set(t), nil)}); err == nil {
		t.Error("a runner without a clock was made")
	}
}

// Whatever stands in a file, it is read or refused.
func FuzzLoad(f *testing.F) {
	files, err := filepath.Glob("testdata/bad/*.yaml")
	if err != nil {
		f.Fatal(err)
	}
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(text)
	}
	s := set(f)
	f.Fuzz(func(t *testing.T, text []byte) {
		all, err := scenario.Load(fstest.MapFS{"x.test.yaml": {Data: text}}, ".", s)
		var problems flowdefs.Problems
		if err != nil && (!errors.As(err, &problems) || len(problems) == 0 || all != nil) {
			t.Errorf("%v, %v", all, err)
		}
	})
}
