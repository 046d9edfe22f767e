package main

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/stile-auth/stile/cmd/stile/node"
	"github.com/stile-auth/stile/flowdefs"
	"github.com/stile-auth/stile/flows"
	"github.com/stile-auth/stile/flows/httpapi"
	"github.com/stile-auth/stile/propagation"
)

type openAPICmd struct {
	Dir  string `arg:"" optional:"" help:"Folder of definitions. Default: the configuration's, else the built-in examples."`
	Flow string `placeholder:"NAME" help:"Describe the prompts and answers of this flow only. Default: those of all step types."`
}

// Run prints the description of the API.
func (c openAPICmd) Run(w *world) error {
	cfg, _, err := w.configuration()
	if err != nil {
		return err
	}
	registry, err := node.Catalogue()
	if err != nil {
		return err
	}
	prompts := httpapi.Prompts(registry.Types())
	if c.Flow != "" || c.Dir != "" {
		dir := cfg.Definitions
		if c.Dir != "" {
			dir = c.Dir
		}
		if prompts, err = c.prompts(dir, registry); err != nil {
			return err
		}
	}
	text, err := httpapi.Document(httpapi.DocumentConfig{
		Server: cfg.BaseURL, Prompts: prompts, WellKnown: []string{propagation.PathKeys, propagation.PathOpenID, propagation.PathOAuth},
	})
	if err != nil {
		return err
	}
	return w.printJSON(text)
}

// prompts are those of the flow in these definitions, or of all their flows.
func (c openAPICmd) prompts(dir string, registry *flows.Registry) ([]httpapi.Prompt, error) {
	set, err := node.LoadDefinitions(dir, registry)
	if err != nil {
		return nil, err
	}
	names := slices.Sorted(maps.Keys(set.Flows))
	if c.Flow != "" {
		if set.Flows[c.Flow] == nil {
			return nil, fmt.Errorf("no flow %q; there are %s", c.Flow, strings.Join(names, ", "))
		}
		names = []string{c.Flow}
	}
	var out []httpapi.Prompt
	for _, name := range names {
		f := set.Flows[name]
		out = append(out, promptsOf(f.Steps, registry)...)
		for _, h := range f.Handlers {
			out = append(out, promptsOf(h.Steps, registry)...)
		}
	}
	return out, nil
}

// promptsOf lists what nodes ask.
func promptsOf(nodes []flowdefs.Node, registry *flows.Registry) []httpapi.Prompt {
	var out []httpapi.Prompt
	for i := range nodes {
		n := &nodes[i]
		ids := []string{n.ID}
		switch n.Kind {
		case flowdefs.Step:
			if t, ok := registry.Lookup(n.Type); ok && t.Code != "" {
				out = append(out, httpapi.Prompt{Code: t.Code, Doc: t.Doc, IDs: ids, Answer: t.Input})
			}
		case flowdefs.Choose:
			var options []string
			for j := range n.Options {
				options = append(options, n.Options[j].ID)
			}
			out = append(out, httpapi.SelectionPrompt(ids, options))
		case flowdefs.Delay:
			out = append(out, httpapi.WaitPrompt(ids))
		default: // the others ask nothing
		}
		out = append(out, promptsOf(n.Options, registry)...)
		out = append(out, promptsOf(n.Steps, registry)...)
		if n.Otherwise != nil {
			out = append(out, promptsOf([]flowdefs.Node{*n.Otherwise}, registry)...)
		}
	}
	return out
}
