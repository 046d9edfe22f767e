package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"strings"
	"time"
)

// A step is one part of "check". It writes what people need to know when it
// fails.
type step struct {
	name string
	run  func(ctx context.Context, out io.Writer) error
}

// skipError says why a step could not run. It does not fail the check.
type skipError struct{ reason string }

func (e skipError) Error() string { return e.reason }

func runCheck(ctx context.Context, args []string) error {
	if len(args) > 0 {
		return fmt.Errorf("check takes no arguments, not %q", args)
	}
	root, err := findRoot()
	if err != nil {
		return err
	}
	env, err := testEnv(ctx, root, os.Stdout)
	if err != nil {
		return err
	}
	return runSteps(ctx, os.Stdout, checkSteps(root, env))
}

func checkSteps(root string, env []string) []step {
	goCommand := func(args ...string) func(context.Context, io.Writer) error {
		return func(ctx context.Context, out io.Writer) error { return run(ctx, out, root, env, "go", args...) }
	}
	tool := func(args ...string) func(context.Context, io.Writer) error {
		return goCommand(append([]string{"tool", "-modfile=cmd/dev/tools/go.mod"}, args...)...)
	}
	return []step{
		{"layers", func(ctx context.Context, out io.Writer) error { return printLayers(ctx, root, out) }},
		{"tidy", goCommand("mod", "tidy", "-diff")},
		{"vet", goCommand(append(append([]string{"vet"}, testFlags()...), "./...")...)},
		{"format", tool("golangci-lint", "fmt", "--diff")},
		{"lint", tool("golangci-lint", "run", "./...")},
		{"gen", func(ctx context.Context, out io.Writer) error { return checkGenerated(ctx, root, out) }},
		{"vulnerabilities", func(ctx context.Context, out io.Writer) error {
			if err := reachable(ctx, vulnerabilityData()); err != nil {
				return skipError{fmt.Sprintf("the database cannot be reached: %v", err)}
			}
			ctx, cancel := context.WithTimeout(ctx, 5*time.Minute)
			defer cancel()
			return tool("govulncheck", "-tags=nomsgpack", "./...")(ctx, out)
		}},
		{"mutate", func(ctx context.Context, out io.Writer) error {
			rows, err := mutants(root, "")
			if err != nil {
				return err
			}
			_, failed, err := judge(ctx, root, env, rows, 2, out)
			if err == nil && failed > 0 {
				err = fmt.Errorf("%d mutants were not killed", failed)
			}
			return err
		}},
	}
}

// runSteps runs all steps, also after a failure, and prints a line for each.
// The output of a step is shown only if it fails.
func runSteps(ctx context.Context, out io.Writer, steps []step) error {
	var failed, skipped []string
	for _, s := range steps {
		start := time.Now()
		var text bytes.Buffer
		err := s.run(ctx, &text)
		var skip skipError
		switch {
		case errors.As(err, &skip):
			skipped = append(skipped, s.name)
			fmt.Fprintf(out, "SKIP  %s: %v\n", s.name, skip)
		case err != nil:
			failed = append(failed, s.name)
			fmt.Fprintf(out, "FAIL  %s: %v\n%s", s.name, err, text.String())
		default:
			fmt.Fprintf(out, "ok    %s  %.1fs\n", s.name, time.Since(start).Seconds())
		}
	}
	fmt.Fprintf(out, "\n%d of %d checks failed %q\n", len(failed), len(steps), failed)
	if len(skipped) > 0 {
		fmt.Fprintf(out, "NOT CHECKED: %s\n", strings.Join(skipped, ", "))
	}
	if len(failed) > 0 {
		return errReported
	}
	return nil
}

func vulnerabilityData() string {
	if db := os.Getenv("GOVULNDB"); db != "" {
		return db
	}
	return "https://vuln.go.dev"
}

// reachable asks for the index of the database, with little patience.
func reachable(ctx context.Context, database string) error {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodHead, database+"/index/modules.json", nil)
	if err != nil {
		return err
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return err
	}
	resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return fmt.Errorf("%s answers %s", database, resp.Status)
	}
	return nil
}
