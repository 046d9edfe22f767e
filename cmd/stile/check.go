package main

import (
	"errors"
	"fmt"
	"strings"

	"github.com/stile-auth/stile/cmd/stile/node"
	"github.com/stile-auth/stile/flowdefs"
	"github.com/stile-auth/stile/flows"
	"github.com/stile-auth/stile/flows/assurance"
	"github.com/stile-auth/stile/flows/prove"
)

type checkCmd struct {
	Format string `enum:"text,json,sarif" default:"text" help:"Form of the output: ${enum}."`
	Dir    string `arg:"" optional:"" help:"Folder of definitions. Default: the configuration's, else the built-in examples."`
}

type checkReport struct {
	OK       bool           `json:"ok"`
	Problems []checkProblem `json:"problems"`
	// Deviations are the configured departures from the rules of assurance.
	Deviations []string `json:"deviations,omitempty"`
	counts
	Proofs []prove.Verdict `json:"proofs,omitempty"`
}

// checkProblem is one mistake. The members behind Message are those of a proof.
type checkProblem struct {
	File     string   `json:"file"`
	Line     int      `json:"line"`
	Column   int      `json:"column"`
	Message  string   `json:"message"`
	Check    string   `json:"check,omitempty"`
	Path     []string `json:"path,omitempty"`
	Scenario string   `json:"scenario,omitempty"`
	Assumed  bool     `json:"assumed,omitempty"`
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

// Run loads the definitions, proves them and, if they are the configured ones,
// holds them against the configuration as a server would. Problems are the
// result and go to standard output.
func (c checkCmd) Run(w *world) error {
	deviations, err := w.deviations()
	if err != nil {
		return err
	}
	dir, suits := c.Dir, func(*flowdefs.Set) error { return nil }
	if dir == "" {
		cfg, _, err := w.configuration()
		if err != nil {
			return err
		}
		dir, suits = cfg.Definitions, func(s *flowdefs.Set) error { return node.CheckTargets(s, cfg) }
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
	r := checkReport{OK: len(problems) == 0, Problems: []checkProblem{}, Deviations: deviations}
	for _, p := range problems {
		r.Problems = append(r.Problems, checkProblem{File: p.Pos.File, Line: p.Pos.Line, Column: p.Pos.Column, Message: p.Message})
	}
	if r.OK {
		r.counts = countsOf(set)
		if err := r.prove(w, dir, node.Deviations(deviations), set, cat); err != nil {
			return err
		}
	}
	return c.show(w, r)
}

// prove adds what the proofs come to.
func (r *checkReport) prove(w *world, dir string, departs assurance.Deviations, set *flowdefs.Set, cat *flows.Registry) error {
	verdicts, err := node.Prove(w.ctx, dir, set, cat, prove.Options{Deviations: departs})
	var problems flowdefs.Problems
	if err != nil && !errors.As(err, &problems) {
		return err
	}
	r.Proofs = verdicts
	for _, f := range prove.Findings(verdicts) {
		r.OK = false
		r.Problems = append(r.Problems, checkProblem{
			f.Pos.File, f.Pos.Line, f.Pos.Column, f.Message, string(f.Check), f.Path, f.Scenario, f.Assumed,
		})
	}
	return nil
}

func (c checkCmd) show(w *world, r checkReport) error {
	var err error
	switch c.Format {
	case "json":
		err = w.printJSON(r)
	case "sarif":
		err = w.printJSON(sarifOf(r))
	default:
		r.text(w)
	}
	if err == nil && !r.OK {
		err = errReported
	}
	return err
}

// text writes the report for people.
func (r *checkReport) text(w *world) {
	for _, p := range r.Problems {
		what, how, _ := strings.Cut(p.words(), "\n")
		listProblems(w.out, flowdefs.Problems{{Pos: flowdefs.Pos{File: p.File, Line: p.Line, Column: p.Column}, Message: what}}, coloured(w.out))
		if how != "" {
			fmt.Fprintln(w.out, how)
		}
		if p.Scenario != "" {
			fmt.Fprintf(w.out, "    as a scenario:\n%s", indented(p.Scenario, "      "))
		}
	}
	if !r.OK {
		return
	}
	fmt.Fprintln(w.out, "ok:", r.counts)
	for _, d := range r.Deviations {
		fmt.Fprintln(w.out, "assurance departs from the standards:", d)
	}
	for _, v := range r.Proofs {
		fmt.Fprintf(w.out, "\n%s: %d states\n", titleOf(v), v.States)
		for _, c := range v.Classes {
			fmt.Fprintf(w.out, "  %s  %-24s %s\n", c.ACR, strings.Join(c.AMR, " "), viaOf(c))
		}
	}
}

// words is the mistake, its code, and how it comes about.
func (p *checkProblem) words() string {
	if p.Check == "" {
		return p.Message
	}
	return prove.Finding{Check: prove.Check(p.Check), Message: p.Message, Path: p.Path, Assumed: p.Assumed}.String()
}

func titleOf(v prove.Verdict) string {
	if v.Target != "" {
		return "target " + v.Target
	}
	return "flow " + v.Flow
}

// viaOf says by which steps a run completes.
func viaOf(c prove.Class) string {
	if len(c.Steps) == 0 {
		return "by a session"
	}
	return "by " + strings.Join(c.Steps, ", ")
}

func indented(text, by string) string {
	var b strings.Builder
	for line := range strings.Lines(text) {
		b.WriteString(by + line)
	}
	return b.String()
}
