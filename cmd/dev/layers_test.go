package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// TestLayers holds this repository against the house rules.
func TestLayers(t *testing.T) {
	t.Parallel()
	problems, err := checkLayers(t.Context(), mustRoot(t))
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range problems {
		t.Error(p)
	}
}

// TestMutantsFitTheTree finds rows that went stale, without running them.
func TestMutantsFitTheTree(t *testing.T) {
	t.Parallel()
	root := mustRoot(t)
	rows, err := mutants(root, "")
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range rows {
		text, err := os.ReadFile(filepath.Join(root, filepath.FromSlash(r.File)))
		if err == nil {
			_, err = r.Patch(string(text))
		}
		if err != nil {
			t.Errorf("%s: %q: %v", r.Pos, r.Name, err)
		}
	}
}

func TestTopLevelLeavesOutWhatGitIgnores(t *testing.T) {
	t.Parallel()
	root := t.TempDir()
	write(t, root, map[string]string{".gitignore": "/built\n", "built/x": "", "cmd/x.go": "", "gone": "", "new/x": ""})
	git(t, root, "init", "-q")
	git(t, root, "add", "cmd", "gone", ".gitignore")
	if err := os.Remove(filepath.Join(root, "gone")); err != nil {
		t.Fatal(err)
	}
	got, err := topLevel(t.Context(), root)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{".gitignore", "cmd", "new"}, got); diff != "" {
		t.Errorf("top level (-want +got):\n%s", diff)
	}
}

func TestTopLevelWithoutGit(t *testing.T) {
	t.Parallel()
	root := t.TempDir()
	write(t, root, map[string]string{"cmd/x.go": "", ".git": "not a repository", "odd": ""})
	got, err := topLevel(t.Context(), root)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{".git", "cmd", "odd"}, got); diff != "" {
		t.Errorf("top level (-want +got):\n%s", diff)
	}
}

func mustRoot(t *testing.T) string {
	t.Helper()
	root, err := findRoot()
	if err != nil {
		t.Fatal(err)
	}
	return root
}

func write(t *testing.T, dir string, files map[string]string) {
	t.Helper()
	for name, text := range files {
		file := filepath.Join(dir, filepath.FromSlash(name))
		if err := os.MkdirAll(filepath.Dir(file), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
}

func git(t *testing.T, dir string, args ...string) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), "git", args...)
	cmd.Dir = dir
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("git %v: %v\n%s", args, err, out)
	}
}
