package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"github.com/stile-auth/stile/cmd/dev/setup"
)

// testFlags are given to every go command that compiles, so that all of them
// share one set of cached packages.
func testFlags() []string { return []string{"-race", "-tags=nomsgpack"} }

// findRoot walks up from the working directory to the folder of the
// repository.
func findRoot() (string, error) {
	dir, err := os.Getwd()
	if err != nil {
		return "", err
	}
	for {
		_, noModule := os.Stat(filepath.Join(dir, "go.mod"))
		_, noTool := os.Stat(filepath.Join(dir, "cmd", "dev"))
		if noModule == nil && noTool == nil {
			return dir, nil
		}
		up := filepath.Dir(dir)
		if up == dir {
			return "", errors.New("run this inside the repository")
		}
		dir = up
	}
}

// modulePath reads the module line of go.mod.
func modulePath(root string) (string, error) {
	text, err := os.ReadFile(filepath.Join(root, "go.mod"))
	if err != nil {
		return "", err
	}
	for line := range strings.Lines(string(text)) {
		if path, ok := strings.CutPrefix(line, "module "); ok {
			return strings.TrimSpace(path), nil
		}
	}
	return "", errors.New("go.mod has no module line")
}

// testEnv readies the machine for the tests and returns the environment that
// they run in.
func testEnv(ctx context.Context, root string, out io.Writer) ([]string, error) {
	if err := setup.Install(ctx, root, setup.Programs(), out); err != nil {
		return nil, err
	}
	env := append(os.Environ(), "CGO_ENABLED=1") // the race detector needs it
	for folder, variable := range map[string]string{
		setup.ProviderFolder: setup.ProviderVariable, setup.PartiesFolder: setup.PartiesVariable,
	} {
		prepared, err := setup.Packages(ctx, root, folder, out)
		if err != nil {
			return nil, err
		}
		if prepared != "" {
			env = append(env, variable+"="+prepared)
		}
	}
	return env, nil
}

// run starts a program in dir. Its output goes to w; the error says only that
// it failed.
func run(ctx context.Context, w io.Writer, dir string, env []string, name string, args ...string) error {
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.Dir, cmd.Env, cmd.Stdout, cmd.Stderr = dir, env, w, w
	cmd.Cancel = func() error { return cmd.Process.Signal(os.Interrupt) }
	cmd.WaitDelay = 10 * time.Second
	if err := cmd.Run(); err != nil {
		return fmt.Errorf("%s: %w", name, err)
	}
	return nil
}

// repositoryFiles lists the files of the working tree as git sees them:
// tracked or new, but not ignored.
func repositoryFiles(ctx context.Context, root string) ([]string, error) {
	cmd := exec.CommandContext(ctx, "git", "ls-files", "-z", "--cached", "--others", "--exclude-standard")
	cmd.Dir = root
	out, err := cmd.Output()
	if err != nil {
		return nil, fmt.Errorf("git ls-files: %w", err)
	}
	var files []string
	for name := range strings.SplitSeq(string(out), "\x00") {
		if name == "" {
			continue
		}
		if _, err := os.Lstat(filepath.Join(root, name)); err == nil { // else deleted
			files = append(files, name)
		}
	}
	return files, nil
}
