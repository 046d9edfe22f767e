package scenario

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"github.com/stile-auth/stile/flowdefs"
)

// Coverage is what the scenarios reached of the definitions, and what they did not.
//
// It is taken from what runs show and audit. The conditions of nodes that leave
// no trace there (goto, tag, oblige, assign, decide, abort) are not counted.
type Coverage struct {
	Flows []FlowCoverage `json:"flows"` // sorted by name
}

// FlowCoverage is the coverage of one flow.
type FlowCoverage struct {
	Flow       string      `json:"flow"`
	Steps      Share       `json:"steps"`
	Options    Share       `json:"options"`
	Exits      Share       `json:"exits"`      // that lead to a handler
	Conditions Share       `json:"conditions"` // each counts twice: once true, once false
	Missing    []Unreached `json:"missing,omitempty"`
}

// Share is how many of how many were reached.
type Share struct {
	Reached int `json:"reached"`
	Total   int `json:"total"`
}

// Unreached is something that no scenario reached.
type Unreached struct {
	Kind string       `json:"kind"` // step, option, exit or condition
	What string       `json:"what"`
	Pos  flowdefs.Pos `json:"-"`
	At   string       `json:"at"` // file:line:column
}

// String is the coverage of a flow in one line.
func (c FlowCoverage) String() string {
	var parts []string
	for _, s := range []struct {
		name string
		Share
	}{{"steps", c.Steps}, {"options", c.Options}, {"exits", c.Exits}, {"conditions", c.Conditions}} {
		if s.Total > 0 {
			parts = append(parts, fmt.Sprintf("%s %d/%d", s.name, s.Reached, s.Total))
		}
	}
	return c.Flow + ": " + strings.Join(parts, ", ")
}

// item is something that can be reached. It is comparable.
type item struct {
	kind, what string
	pos        flowdefs.Pos
}

func stepItem(n *flowdefs.Node) item { return item{"step", n.ID, n.Pos} }

func optionItem(choose, option *flowdefs.Node) item {
	return item{"option", choose.ID + ": " + option.ID, option.Pos}
}

func exitItem(n *flowdefs.Node, exit string) item {
	return item{"exit", fmt.Sprintf("%s: %s -> %s", n.ID, exit, n.On[exit]), n.Pos}
}

func conditionItem(n *flowdefs.Node, c *flowdefs.Condition, value bool) item {
	return item{"condition", fmt.Sprintf("%s is %t", c.Source, value), n.Pos}
}

// itemsOf lists all items of a flow, in the order in which they stand.
func itemsOf(f *flowdefs.Flow) []item {
	var out []item
	both := func(n *flowdefs.Node, c *flowdefs.Condition) {
		if c != nil {
			out = append(out, conditionItem(n, c, true), conditionItem(n, c, false))
		}
	}
	each(f, func(n *flowdefs.Node) {
		switch n.Kind {
		case flowdefs.Step, flowdefs.Delay:
			out = append(out, stepItem(n))
			both(n, n.If)
		case flowdefs.Choose:
			for i := range n.Options {
				out = append(out, optionItem(n, &n.Options[i]))
			}
			both(n, n.If)
		case flowdefs.Group, flowdefs.Fail:
			both(n, n.If)
		case flowdefs.Require:
			both(n, n.Require)
		default: // it leaves no trace
		}
		for _, exit := range keysOf(n.On) {
			out = append(out, exitItem(n, exit))
		}
	})
	slices.SortStableFunc(out, func(a, b item) int {
		return cmp.Or(strings.Compare(a.pos.File, b.pos.File), a.pos.Line-b.pos.Line, a.pos.Column-b.pos.Column)
	})
	return slices.Compact(out)
}

// cover adds up what was reached.
func cover(set *flowdefs.Set, results []Result) Coverage {
	reached := map[string]map[item]bool{}
	for i := range results {
		for _, t := range results[i].runs {
			t.items(func(it item) {
				for _, name := range t.names {
					if reached[name] == nil {
						reached[name] = map[item]bool{}
					}
					reached[name][it] = true
				}
			})
		}
	}
	var c Coverage
	for _, name := range keysOf(set.Flows) {
		c.Flows = append(c.Flows, coverFlow(set.Flows[name], reached[name]))
	}
	return c
}

func coverFlow(f *flowdefs.Flow, reached map[item]bool) FlowCoverage {
	c := FlowCoverage{Flow: f.Name}
	shares := map[string]*Share{"step": &c.Steps, "option": &c.Options, "exit": &c.Exits, "condition": &c.Conditions}
	for _, it := range itemsOf(f) {
		s := shares[it.kind]
		s.Total++
		if reached[it] {
			s.Reached++
			continue
		}
		c.Missing = append(c.Missing, Unreached{Kind: it.kind, What: it.what, Pos: it.pos, At: it.pos.String()})
	}
	return c
}
