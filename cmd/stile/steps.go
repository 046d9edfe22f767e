package main

import (
	"bytes"
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"text/tabwriter"

	"github.com/stile-auth/stile/cmd/stile/node"
	"github.com/stile-auth/stile/flows"
	"github.com/stile-auth/stile/flows/assurance"
)

//go:generate go run -tags nomsgpack . steps --format markdown --output ../../docs/steps.md

type stepsCmd struct {
	Name   string `arg:"" optional:"" help:"Name of one step type. Default: all of them, in short."`
	Format string `enum:"text,json,markdown" default:"text" help:"Form of the output: ${enum}."`
	Output string `placeholder:"FILE" help:"Write to this file instead."`
}

// stepType is what is told of a step type.
type stepType struct {
	Name          string          `json:"name"`
	Doc           string          `json:"doc"`
	Code          string          `json:"code,omitempty"`
	Config        json.RawMessage `json:"config,omitempty"`
	Prompt        json.RawMessage `json:"prompt,omitempty"`
	Input         json.RawMessage `json:"input,omitempty"`
	Exits         []string        `json:"exits"`
	Raises        []string        `json:"raises"`
	Proves        []ceiling       `json:"proves"`
	Authenticator string          `json:"authenticator,omitempty"`
	Guessable     bool            `json:"guessable"`
	HardLimit     int             `json:"hardLimit,omitempty"`
	NeedsDevice   bool            `json:"needsDevice"`
	Enrols        bool            `json:"enrols"`
}

// ceiling is the most that a step can prove by one method.
type ceiling struct {
	Method     string   `json:"method"`
	Categories []string `json:"categories"`
	Properties []string `json:"properties"`
}

// String is the method, and what it can have.
func (c ceiling) String() string {
	return c.Method + ": " + strings.Join(append(slices.Clone(c.Categories), c.Properties...), ", ")
}

func ceilingOf(c assurance.Ceiling) ceiling {
	out := ceiling{Method: string(c.Method), Categories: []string{}, Properties: []string{}}
	for _, category := range c.Categories {
		out.Categories = append(out.Categories, string(category))
	}
	for _, p := range []struct {
		is   bool
		name string
	}{
		{c.PhishingResistant, "phishing_resistant"},
		{c.ReplayResistant, "replay_resistant"},
		{c.HardwareBound, "hardware_bound"},
		{c.SoftwareBound, "software_bound"},
		{c.Attested, "attested"},
		{c.UserPresent, "user_present"},
		{c.UserVerified, "user_verified"},
	} {
		if p.is {
			out.Properties = append(out.Properties, p.name)
		}
	}
	return out
}

func stepTypeOf(t flows.StepType) stepType {
	out := stepType{
		Name: t.Name, Doc: strings.TrimSpace(t.Doc), Code: t.Code, Config: t.Config, Prompt: t.Prompt, Input: t.Input,
		Exits: append([]string{}, t.Exits...), Raises: append([]string{}, t.Raises...), Proves: []ceiling{},
		Authenticator: t.Authenticator, Guessable: t.Guessable, HardLimit: t.HardLimit, NeedsDevice: t.NeedsDevice, Enrols: t.Enrols,
	}
	for _, c := range t.Evidence {
		out.Proves = append(out.Proves, ceilingOf(c))
	}
	return out
}

// Run prints the catalogue, or one step type of it.
func (c stepsCmd) Run(w *world) error {
	registry, err := node.Catalogue()
	if err != nil {
		return err
	}
	if c.Name != "" && !slices.Contains(registry.Names(), c.Name) {
		return fmt.Errorf("no step type %q; there are %s", c.Name, strings.Join(registry.Names(), ", "))
	}
	all := []stepType{}
	for _, t := range registry.Types() {
		if c.Name == "" || c.Name == t.Name {
			all = append(all, stepTypeOf(t))
		}
	}
	if c.Output == "" {
		return c.print(w, all)
	}
	var text bytes.Buffer
	to := *w
	to.out = &text
	return errors.Join(c.print(&to, all), os.WriteFile(c.Output, text.Bytes(), 0o644)) //nolint:gosec // a page for everybody
}

func (c stepsCmd) print(w *world, all []stepType) error {
	switch {
	case c.Format == "markdown":
		_, err := io.WriteString(w.out, pageOf(all))
		return err
	case c.Format == "json" && c.Name != "":
		return w.printJSON(all[0])
	case c.Format == "json":
		return w.printJSON(all)
	case c.Name != "":
		return all[0].write(w.out)
	}
	return list(w.out, all)
}

// list prints one line for each step type.
func list(out io.Writer, all []stepType) error {
	tab := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	for _, t := range all {
		title, _, _ := strings.Cut(t.Doc, "\n")
		fmt.Fprintf(tab, "%s\t%s\t%s\n", t.Name, cmp.Or(t.Code, "-"), title)
	}
	return tab.Flush()
}

// write prints everything about one step type.
func (t stepType) write(out io.Writer) error {
	fmt.Fprintf(out, "%s\n\n", t.Doc)
	tab := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	fmt.Fprintf(tab, "type\t%s\n", t.Name)
	fmt.Fprintf(tab, "prompt\t%s\n", cmp.Or(t.Code, "none: it never asks"))
	fmt.Fprintf(tab, "exits\t%s\n", orNone(t.Exits))
	if len(t.Raises) > 0 {
		fmt.Fprintf(tab, "raises\t%s\n", strings.Join(t.Raises, ", "))
	}
	if len(t.Proves) == 0 {
		fmt.Fprintf(tab, "proves\tnothing\n")
	}
	for _, p := range t.Proves {
		fmt.Fprintf(tab, "proves at most\t%s\n", p)
	}
	fmt.Fprintf(tab, "authenticator\t%s\n", cmp.Or(t.Authenticator, "none"))
	fmt.Fprintf(tab, "limits\t%s\n", t.limits())
	if err := tab.Flush(); err != nil {
		return err
	}
	if err := document(out, "configuration (with:)", t.Config); err != nil {
		return err
	}
	if err := document(out, "prompt (nextStep.data)", t.Prompt); err != nil {
		return err
	}
	return document(out, "answer", t.Input)
}

func orNone(words []string) string { return cmp.Or(strings.Join(words, ", "), "none of its own") }

// limits says what bounds the use of the step.
func (t stepType) limits() string {
	var out []string
	if t.Guessable {
		out = append(out, "an attempt is counted before each answer is looked at")
	}
	if t.HardLimit > 0 {
		out = append(out, fmt.Sprintf("locked after %d failures in a row", t.HardLimit))
	}
	if t.NeedsDevice {
		out = append(out, "only on a bound device")
	}
	if t.Enrols {
		out = append(out, "binds an authenticator: needs the highest level that the account can reach")
	}
	return cmp.Or(strings.Join(out, "; "), "none of its own")
}

// document prints a JSON Schema under a title.
func document(out io.Writer, title string, schema json.RawMessage) error {
	if schema == nil {
		_, err := fmt.Fprintf(out, "\n%s: none\n", title)
		return err
	}
	var b bytes.Buffer
	if err := json.Indent(&b, schema, "", "  "); err != nil {
		return err
	}
	_, err := fmt.Fprintf(out, "\n%s:\n%s\n", title, b.String())
	return err
}
