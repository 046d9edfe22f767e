package mutate

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"
)

var (
	errNoTests = errors.New("the package has no test files")
	errAborted = errors.New("the process was killed")
)

// build compiles the test binary of a package. The error holds what the
// compiler said.
func (r *Runner) build(ctx context.Context, pkg, file string, more ...string) error {
	args := append([]string{"test", "-c", "-o", file}, r.cfg.Flags...)
	out, err := r.command(ctx, r.cfg.Root, "go", append(append(args, more...), pkg)...)
	if err != nil {
		return errors.New(strings.TrimSpace(out))
	}
	if _, err := os.Stat(file); err != nil {
		return errNoTests
	}
	return nil
}

// test runs a test binary as "go test" would: in the folder of its package.
func (r *Runner) test(ctx context.Context, binary string, row Row) (string, error) {
	return r.command(ctx, filepath.Join(r.cfg.Root, filepath.FromSlash(row.Package)), binary,
		"-test.paniconexit0", "-test.v=test2json", "-test.run="+row.Run, "-test.timeout="+r.cfg.Timeout.String())
}

func (r *Runner) command(ctx context.Context, dir, name string, args ...string) (string, error) {
	// The binary ends itself at its timeout and says so; this limit is for one
	// that cannot, and for the compiler.
	ctx, cancel := context.WithTimeout(ctx, r.cfg.Timeout+10*time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.Dir, cmd.Env = dir, r.cfg.Env
	cmd.WaitDelay = 5 * time.Second
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	err := cmd.Run()
	if ctx.Err() != nil {
		err = errAborted
	}
	var exit *exec.ExitError
	if errors.As(err, &exit) && exit.ExitCode() < 0 { // by a signal, say of a machine out of memory
		err = errAborted
	}
	return out.String(), err
}

// writeOverlay writes the file for "go test -overlay" that puts replacement
// in the place of target.
func writeOverlay(name, target, replacement string) (string, error) {
	text, err := json.Marshal(map[string]map[string]string{"Replace": {target: replacement}})
	if err != nil {
		return "", err
	}
	return name, os.WriteFile(name, text, 0o600)
}
