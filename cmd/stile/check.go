package main

import (
	"errors"
	"fmt"

	"github.com/stile-auth/stile/cmd/stile/node"
	"github.com/stile-auth/stile/flowdefs"
)

type checkCmd struct {
	format
	Dir string `arg:"" optional:"" help:"Folder of definitions. Default: the configuration's, else the built-in examples."`
}

type checkReport struct {
	OK       bool           `json:"ok"`
	Problems []checkProblem `json:"problems"`
	// Deviations are the configured departures from the rules of assurance.
	Deviations []string `json:"deviations,omitempty"`
	counts
}

type checkProblem struct {
	File    string `json:"file"`
	Line    int    `json:"line"`
	Column  int    `json:"column"`
	Message string `json:"message"`
}

// counts is how much a set of definitions declares.
type counts struct {
	Flows     int `json:"flows"`
	Targets   int `json:"targets"`
	Providers int `json:"providers"`
	Clients   int `json:"clients"`
}

func countsOf(s *flowdefs.Set) counts {
	return counts{Flows: len(s.Flows), Targets: len(s.Targets), Providers: len(s.Providers), Clients: len(s.Clients)}
}

// String is the counts in words.
func (c counts) String() string {
	return fmt.Sprintf("%d flows, %d targets, %d providers, %d clients", c.Flows, c.Targets, c.Providers, c.Clients)
}

// Run loads the definitions and, if they are the configured ones, holds them
// against the configuration as a server would. Problems are the result and go to standard output.
func (c checkCmd) Run(w *world) error {
	var deviations []string
	dir, suits := c.Dir, func(*flowdefs.Set) error { return nil }
	if dir == "" {
		cfg, _, err := w.configuration()
		if err != nil {
			return err
		}
		deviations = cfg.Assurance.Deviations
		dir, suits = cfg.Definitions, func(s *flowdefs.Set) error { return node.CheckLifetimes(s, cfg) }
	}
	cat, err := node.Catalogue()
	if err != nil {
		return err
	}
	set, err := node.LoadDefinitions(dir, cat)
	if err == nil {
		err = suits(set)
	}
	var problems flowdefs.Problems
	if err != nil && !errors.As(err, &problems) {
		return err
	}
	return c.show(w, set, problems, deviations)
}

func (c checkCmd) show(w *world, set *flowdefs.Set, problems flowdefs.Problems, deviations []string) error {
	r := checkReport{OK: len(problems) == 0, Problems: []checkProblem{}, Deviations: deviations}
	if r.OK {
		r.counts = countsOf(set)
	}
	for _, p := range problems {
		r.Problems = append(r.Problems, checkProblem{p.Pos.File, p.Pos.Line, p.Pos.Column, p.Message})
	}
	var err error
	switch {
	case c.json():
		err = w.printJSON(r)
	case r.OK:
		fmt.Fprintln(w.out, "ok:", r.counts)
		for _, d := range deviations {
			fmt.Fprintln(w.out, "assurance departs from the standards:", d)
		}
	default:
		listProblems(w.out, problems, coloured(w.out))
	}
	if err == nil && !r.OK {
		err = errReported
	}
	return err
}
