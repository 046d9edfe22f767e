package main

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/stile-auth/stile/cmd/stile/node"
	"github.com/stile-auth/stile/flowdefs"
	"github.com/stile-auth/stile/flows"
)

type graphCmd struct {
	Flow   string `arg:"" help:"Name of a flow, or of a target for what a run for it runs."`
	Dir    string `arg:"" optional:"" help:"Folder of definitions. Default: the configuration's, else the built-in examples."`
	Format string `enum:"mermaid,svg,json" default:"mermaid" help:"Form of the output: ${enum}."`
	All    bool   `help:"Draw also what the definition does not mention: failures that nothing handles."`
}

// Run draws one flow from the program that the machine runs.
func (c graphCmd) Run(w *world) error {
	g, err := c.graph(w)
	if err != nil {
		return err
	}
	if !c.All {
		g = mentioned(g)
	}
	switch c.Format {
	case "json":
		return w.printJSON(g)
	case "svg":
		_, err = w.out.Write(svg(merged(g)))
	default:
		_, err = fmt.Fprint(w.out, mermaid(merged(g)))
	}
	return err
}

func (c graphCmd) graph(w *world) (flows.Graph, error) {
	dir := c.Dir
	if dir == "" {
		cfg, _, err := w.configuration()
		if err != nil {
			return flows.Graph{}, err
		}
		dir = cfg.Definitions
	}
	cat, err := node.Catalogue()
	if err != nil {
		return flows.Graph{}, err
	}
	set, err := node.LoadDefinitions(dir, cat)
	if err != nil {
		return flows.Graph{}, err
	}
	f, err := findFlow(set, c.Flow)
	if err != nil {
		return flows.Graph{}, err
	}
	return flows.Draw(f, cat)
}

func findFlow(set *flowdefs.Set, name string) (*flowdefs.Flow, error) {
	if f, ok := set.Flows[name]; ok {
		return f, nil
	}
	if t, ok := set.Targets[name]; ok {
		return t.Composed, nil
	}
	return nil, &usageError{fmt.Sprintf("no flow and no target has the name %q; flows: %s", name, strings.Join(slices.Sorted(maps.Keys(set.Flows)), ", "))}
}

// mentioned leaves out the ways that the definition does not mention, and the ends that only they lead to.
func mentioned(g flows.Graph) flows.Graph {
	g.Edges = slices.DeleteFunc(slices.Clone(g.Edges), func(e flows.GraphEdge) bool { return e.Implied })
	g.Nodes = slices.DeleteFunc(slices.Clone(g.Nodes), func(n flows.GraphNode) bool {
		return n.Kind == "failed" && !slices.ContainsFunc(g.Edges, func(e flows.GraphEdge) bool { return e.To == n.ID })
	})
	return g
}

// merged makes one way of the exits that lead from one node to another: their
// names fit beside one arrow, and not beside several.
func merged(g flows.Graph) flows.Graph {
	var edges []flows.GraphEdge
	for _, e := range g.Edges {
		i := slices.IndexFunc(edges, func(o flows.GraphEdge) bool {
			return e.Kind == "exit" && o.Kind == e.Kind && o.From == e.From && o.To == e.To && o.Implied == e.Implied
		})
		if i < 0 {
			edges = append(edges, e)
			continue
		}
		edges[i].Label += ", " + e.Label
	}
	g.Edges = edges
	return g
}

// titles are the one or two lines of a node.
func titles(n flows.GraphNode) (string, string) {
	switch {
	case n.Kind == "step":
		return n.ID, n.Type
	case n.Kind == "failed":
		return "failed", n.Code
	case n.Kind == "gate":
		return "gate", "is it enough?"
	case strings.HasPrefix(n.ID, "("):
		return n.Kind, n.Text
	case n.Text != "":
		return n.ID, n.Kind + " " + n.Text
	}
	return n.ID, n.Kind
}

// signs are what a client may do at the prompts of a node, in a few characters
// that [legend] explains.
func signs(n flows.GraphNode) string {
	var out []string
	for _, name := range n.Client {
		sign := map[string]string{"back": "↶", "choose_other": "⇄", "resend": "✉"}[name]
		if name == "resend" {
			sign += fmt.Sprintf(" %d", n.Resend)
		}
		out = append(out, sign)
	}
	return strings.Join(out, "  ")
}

// legend explains the signs of a graph; "" if it has none.
func legend(g flows.Graph) string {
	var out []string
	for _, s := range []struct{ name, says string }{
		{"back", "↶ may go back"}, {"choose_other", "⇄ may choose again"}, {"resend", "✉ n: may have it sent again n times"},
	} {
		if slices.ContainsFunc(g.Nodes, func(n flows.GraphNode) bool { return slices.Contains(n.Client, s.name) }) {
			out = append(out, s.says)
		}
	}
	if len(out) == 0 {
		return ""
	}
	return "The client: " + strings.Join(out, "   ")
}

// mermaid draws a graph as a flowchart in the language of Mermaid.
func mermaid(g flows.Graph) string {
	var b strings.Builder
	b.WriteString("flowchart TD\n")
	names := map[string]string{}
	for i, n := range g.Nodes {
		names[n.ID] = fmt.Sprintf("n%d", i)
		first, second := titles(n)
		text := mermaidText(first)
		if second != "" {
			text += "<br/>" + mermaidText(second)
		}
		if s := signs(n); s != "" {
			text += "<br/>" + mermaidText(s)
		}
		shape := `["%s"]`
		switch n.Kind {
		case "start", "completed", "failed", "cancelled":
			shape = `(["%s"])`
		case "choose", "decide", "require", "gate":
			shape = `{"%s"}`
		}
		fmt.Fprintf(&b, "  n%d"+shape+"\n", i, text)
	}
	for _, e := range g.Edges {
		arrow := "-->"
		if e.Kind == "goto" || e.Implied {
			arrow = "-.->"
		}
		if e.Label != "" {
			arrow += `|"` + mermaidText(e.Label) + `"|`
		}
		fmt.Fprintf(&b, "  %s %s %s\n", names[e.From], arrow, names[e.To])
	}
	if text := legend(g); text != "" {
		fmt.Fprintf(&b, "  legend>\"%s\"]\n", mermaidText(text))
	}
	return b.String()
}

// mermaidText writes everything that could be markup as an entity of Mermaid.
func mermaidText(s string) string {
	var b strings.Builder
	for _, r := range s {
		if r < ' ' {
			r = ' '
		}
		if strings.ContainsRune("\"#;&<>`|\\[]{}()%", r) {
			fmt.Fprintf(&b, "#%d;", r)
			continue
		}
		b.WriteRune(r)
	}
	return b.String()
}
