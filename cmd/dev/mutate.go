package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"time"

	"github.com/stile-auth/stile/cmd/dev/mutate"
)

func runMutate(ctx context.Context, args []string) error {
	set := flag.NewFlagSet("mutate", flag.ContinueOnError)
	pattern := set.String("run", "", "only rows whose name matches this regular expression")
	jobs := set.Int("jobs", 2, "mutants at work at a time")
	list := set.Bool("list", false, "print the names of the rows and do nothing")
	if err := set.Parse(args); err != nil {
		return errReported
	}
	root, err := findRoot()
	if err != nil {
		return err
	}
	rows, err := mutants(root, *pattern)
	if err != nil {
		return err
	}
	if *list {
		for _, r := range rows {
			fmt.Println(r.Name)
		}
		return nil
	}
	env, err := testEnv(ctx, root, os.Stdout)
	if err != nil {
		return err
	}
	passed, failed, err := judge(ctx, root, env, rows, *jobs, os.Stdout)
	if err != nil {
		return err
	}
	fmt.Printf("%d killed, %d not\n", passed, failed)
	if failed > 0 {
		return errReported
	}
	return nil
}

// mutants loads the table and picks rows by name. To find none is an error: a
// table that was lost must not look like one without survivors.
func mutants(root, pattern string) ([]mutate.Row, error) {
	re, err := regexp.Compile(pattern)
	if err != nil {
		return nil, err
	}
	all, err := mutate.Load(os.DirFS(filepath.Join(root, "cmd", "dev", "mutants")))
	if err != nil {
		return nil, err
	}
	var rows []mutate.Row
	for _, r := range all {
		if re.MatchString(r.Name) {
			rows = append(rows, r)
		}
	}
	if len(rows) == 0 {
		return nil, errors.New("no mutant in cmd/dev/mutants has such a name")
	}
	return rows, nil
}

// judge runs the rows and prints a line for each.
func judge(ctx context.Context, root string, env []string, rows []mutate.Row, jobs int, out io.Writer) (killed, failed int, err error) {
	runner, err := mutate.New(mutate.Config{Root: root, Flags: testFlags(), Env: env, Jobs: jobs})
	if err != nil {
		return 0, 0, err
	}
	err = runner.Run(ctx, rows, func(r mutate.Result) {
		fmt.Fprintf(out, "%-8s  %s  %s\n", r.Verdict, r.Row.Name, r.Elapsed.Round(time.Second/10))
		if r.Verdict == mutate.Killed {
			killed++
			return
		}
		failed++
		fmt.Fprintf(out, "    cmd/dev/mutants/%s\n", r.Row.Pos)
		for line := range strings.Lines(r.Detail) {
			fmt.Fprintf(out, "    %s\n", strings.Trim(line, "\r\n\x16"))
		}
	})
	return killed, failed, err
}
