package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"

	"github.com/stile-auth/stile/cmd/stile/node"
	"github.com/stile-auth/stile/cmd/stile/stage"
	"github.com/stile-auth/stile/flowdefs"
	"github.com/stile-auth/stile/flowdefs/examples"
	"github.com/stile-auth/stile/flows/prove"
	"github.com/stile-auth/stile/flows/scenario"
)

type testCmd struct {
	Dir      string `arg:"" optional:"" help:"Folder of definitions and their scenarios. Default: the configuration's, else the built-in examples."`
	Format   string `enum:"text,json,junit" default:"text" help:"Form of the output: ${enum}."`
	Only     string `name:"run" placeholder:"REGEXP" help:"Play only the scenarios whose name matches."`
	Coverage bool   `help:"List what no scenario reached."`
	Engine   bool   `help:"Play on the engine only, and not over HTTP too."`
	Parallel int    `placeholder:"N" help:"How many scenarios are played at once. Default: one per processor."`
}

// Run plays the scenarios. What they say is the result and goes to standard output.
func (c testCmd) Run(w *world) error {
	only, err := regexp.Compile(c.Only)
	if err != nil {
		return &usageError{fmt.Sprintf("--run: %v", err)}
	}
	dir, err := c.folder(w)
	if err != nil {
		return err
	}
	set, all, unproved, err := load(w.ctx, dir)
	if err != nil {
		return err
	}
	var chosen []*scenario.Scenario
	for _, s := range all {
		if only.MatchString(s.Name) {
			chosen = append(chosen, s)
		}
	}
	if len(chosen) == 0 {
		return fmt.Errorf("no scenario matches: %d are there", len(all))
	}
	report, err := c.play(w.ctx, w, set, chosen)
	if err != nil {
		return err
	}
	report.Folder = dir
	switch c.Format {
	case "json":
		err = report.JSON(w.out)
	case "junit":
		err = report.JUnit(w.out)
	default:
		err = report.Text(w.out, c.Coverage)
	}
	if err == nil && len(unproved) > 0 {
		err = unproved // last: what a proof found may be what is being played
	}
	if err == nil && report.Failed() > 0 {
		err = errReported
	}
	return err
}

// folder is where the definitions are, "" for the built-in examples.
func (c testCmd) folder(w *world) (string, error) {
	if c.Dir != "" {
		return c.Dir, nil
	}
	cfg, _, err := w.configuration()
	return cfg.Definitions, err
}

// load reads the definitions of a folder, and the scenarios beside them. What a
// proof finds comes back beside them: its counterexamples are scenarios, and
// have to be played on the definitions that they are about.
func load(ctx context.Context, dir string) (*flowdefs.Set, []*scenario.Scenario, flowdefs.Problems, error) {
	cat, err := node.Catalogue()
	if err != nil {
		return nil, nil, nil, err
	}
	set, err := node.LoadDefinitions(dir, cat)
	if err != nil {
		return nil, nil, nil, err
	}
	var unproved flowdefs.Problems
	if _, err := node.Prove(ctx, dir, set, cat, prove.Options{}); err != nil && !errors.As(err, &unproved) {
		return nil, nil, nil, err
	}
	var fsys fs.FS = examples.FS
	if dir != "" {
		fsys = os.DirFS(dir)
	}
	all, err := scenario.Load(fsys, ".", set)
	var problems flowdefs.Problems
	if errors.As(err, &problems) && dir != "" {
		for i := range problems {
			problems[i].Pos.File = filepath.Join(dir, problems[i].Pos.File)
		}
		return nil, nil, nil, problems
	}
	return set, all, unproved, err
}

func (c testCmd) play(ctx context.Context, w *world, set *flowdefs.Set, all []*scenario.Scenario) (scenario.Report, error) {
	s, err := stage.New(set)
	if err != nil {
		return scenario.Report{}, err
	}
	r, err := scenario.New(scenario.Config{Host: s.Host(), HTTP: !c.Engine, Parallel: c.Parallel, Now: w.now})
	if err != nil {
		return scenario.Report{}, err
	}
	return r.Run(ctx, all), nil
}
