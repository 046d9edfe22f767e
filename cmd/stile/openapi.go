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
		out = append(out, httpapi.PromptsOf(set.Flows[name], registry, handsOver(set, name))...)
	}
	return out, nil
}

// handsOver says whether some client of that flow hands over what it cannot draw.
func handsOver(set *flowdefs.Set, flow string) bool {
	for _, c := range set.Clients {
		if c.HandOver && slices.Contains(c.Flows, flow) {
			return true
		}
	}
	return false
}
