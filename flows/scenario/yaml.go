package scenario

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"go.yaml.in/yaml/v4"

	"github.com/stile-auth/stile/flowdefs"
)

const (
	maxFile  = 1 << 20 // bytes
	maxDepth = 32
)

var errTooDeep = errors.New("too deep")

type depthLimit struct{}

// CheckDepth stops the parser before a hostile file has cost anything.
func (depthLimit) CheckDepth(depth int, _ *yaml.DepthContext) error {
	if depth > maxDepth {
		return errTooDeep
	}
	return nil
}

// CheckAlias lets aliases pass: they are refused with their place later.
func (depthLimit) CheckAlias(int, int) error { return nil }

// reader reads one file and collects what is wrong with it.
type reader struct {
	file     string
	set      *flowdefs.Set
	problems flowdefs.Problems
}

func (r *reader) fail(n *yaml.Node, format string, args ...any) {
	r.problems = append(r.problems, flowdefs.Problem{Pos: r.pos(n), Message: fmt.Sprintf(format, args...)})
}

func (r *reader) pos(n *yaml.Node) flowdefs.Pos {
	return flowdefs.Pos{File: r.file, Line: max(n.Line, 1), Column: max(n.Column, 1)}
}

// documents returns the roots of the documents that are plain YAML.
func (r *reader) documents(data []byte) []*yaml.Node {
	top := &yaml.Node{Line: 1, Column: 1}
	if len(data) > maxFile {
		r.fail(top, "the file is larger than the %d bytes that are read", maxFile)
		return nil
	}
	var docs []yaml.Node
	if err := yaml.Load(data, &docs, yaml.WithAllDocuments(), yaml.WithPlugin(depthLimit{})); err != nil {
		r.syntax(top, err)
		return nil
	}
	var roots []*yaml.Node
	for i := range docs {
		if len(docs[i].Content) > 0 && r.plain(docs[i].Content[0]) {
			roots = append(roots, docs[i].Content[0])
		}
	}
	return roots
}

func (r *reader) syntax(top *yaml.Node, err error) {
	var one *yaml.LoadError
	var many *yaml.LoadErrors
	if errors.As(err, &many) && len(many.Errors) > 0 {
		one = many.Errors[0]
	} else if !errors.As(err, &one) {
		r.fail(top, "not YAML: %v", err)
		return
	}
	at := &yaml.Node{Line: one.Mark.Line, Column: one.Mark.Column}
	if strings.Contains(one.Message, errTooDeep.Error()) {
		r.fail(at, "lists and mappings are nested more than %d deep", maxDepth)
		return
	}
	r.fail(at, "not YAML: %s", one.Message)
}

// plain refuses anchors, aliases, tags and keys that stand twice.
func (r *reader) plain(n *yaml.Node) bool {
	before := len(r.problems)
	switch {
	case n.Kind == yaml.AliasNode:
		r.fail(n, "alias *%s: write the value out", n.Value)
	case n.Anchor != "":
		r.fail(n, "anchor &%s: write the value out", n.Anchor)
	case n.Style&yaml.TaggedStyle != 0:
		r.fail(n, "tag %s: tags are not allowed", n.Tag)
	case n.Kind == yaml.MappingNode:
		r.keys(n)
	}
	if n.Kind != yaml.AliasNode {
		for _, c := range n.Content {
			r.plain(c)
		}
	}
	return len(r.problems) == before
}

func (r *reader) keys(n *yaml.Node) {
	seen := map[string]bool{}
	for i := 0; i < len(n.Content); i += 2 {
		switch k := n.Content[i]; {
		case k.Kind != yaml.ScalarNode || k.Tag != "!!str" && k.Tag != "":
			r.fail(k, "a key is a word; quote it")
		case seen[k.Value]:
			r.fail(k, "the key %q stands twice", k.Value)
		default:
			seen[k.Value] = true
		}
	}
}

// describe names what was found, for messages.
func describe(n *yaml.Node) string {
	switch n.Kind {
	case yaml.MappingNode:
		return "a mapping"
	case yaml.SequenceNode:
		return "a list"
	}
	switch n.Tag {
	case "!!str":
		return fmt.Sprintf("the string %q", n.Value)
	case "!!null":
		return "nothing"
	case "!!bool":
		return "the boolean " + n.Value
	}
	return n.Value
}

// fields reads a mapping by its keys. Unknown ones are reported; nil handlers are for keys that others read.
func (r *reader) fields(n *yaml.Node, what string, read map[string]func(*yaml.Node)) bool {
	if n.Kind != yaml.MappingNode {
		r.fail(n, "%s: expected a mapping, found %s", what, describe(n))
		return false
	}
	for i := 0; i < len(n.Content); i += 2 {
		key := n.Content[i]
		f, ok := read[key.Value]
		if !ok {
			r.fail(key, "%s: unknown key %q%s", what, key.Value, nearest(key.Value, keysOf(read)))
			continue
		}
		if f != nil {
			f(n.Content[i+1])
		}
	}
	return true
}

func keysOf[V any](m map[string]V) []string {
	var out []string
	for k := range m {
		out = append(out, k)
	}
	slices.Sort(out)
	return out
}

func (r *reader) text(what string, to *string) func(*yaml.Node) {
	return func(n *yaml.Node) {
		if n.Kind != yaml.ScalarNode || n.Tag != "!!str" || n.Value == "" {
			r.fail(n, "%s: expected a string, found %s", what, describe(n))
			return
		}
		*to = n.Value
	}
}

// word reads a string that is one of some.
func (r *reader) word(what string, to *string, known ...string) func(*yaml.Node) {
	return func(n *yaml.Node) {
		before := len(r.problems)
		r.text(what, to)(n)
		if len(r.problems) == before && !slices.Contains(known, n.Value) {
			r.fail(n, "%s: expected one of %s, found %s", what, strings.Join(known, ", "), describe(n))
		}
	}
}

func (r *reader) texts(what string, to *[]string) func(*yaml.Node) {
	return func(n *yaml.Node) {
		if n.Kind != yaml.SequenceNode {
			r.fail(n, "%s: expected a list, found %s", what, describe(n))
			return
		}
		*to = []string{}
		for _, c := range n.Content {
			var s string
			r.text(what, &s)(c)
			*to = append(*to, s)
		}
	}
}

func (r *reader) whole(what string, least int, to *int) func(*yaml.Node) {
	return func(n *yaml.Node) {
		i, err := strconv.Atoi(n.Value)
		if n.Kind != yaml.ScalarNode || n.Tag != "!!int" || err != nil || i < least || i > 1000 {
			r.fail(n, "%s: expected a number from %d to 1000, found %s", what, least, describe(n))
			return
		}
		*to = i
	}
}

func (r *reader) flag(what string, to *bool) func(*yaml.Node) {
	return func(n *yaml.Node) {
		if n.Kind != yaml.ScalarNode || n.Tag != "!!bool" || n.Value != "true" && n.Value != "false" {
			r.fail(n, "%s: expected true or false, found %s", what, describe(n))
			return
		}
		*to = n.Value == "true"
	}
}

func (r *reader) duration(what string, to *time.Duration) func(*yaml.Node) {
	return func(n *yaml.Node) {
		d, err := time.ParseDuration(n.Value)
		if n.Kind != yaml.ScalarNode || n.Tag != "!!str" || err != nil || d < 0 {
			r.fail(n, "%s: expected a duration such as 90s, 6m or 1h30m, found %s", what, describe(n))
			return
		}
		*to = d
	}
}

// value reads what stands for a JSON value.
func (r *reader) value(n *yaml.Node) any {
	switch n.Kind {
	case yaml.MappingNode:
		out := map[string]any{}
		for i := 0; i < len(n.Content); i += 2 {
			out[n.Content[i].Value] = r.value(n.Content[i+1])
		}
		return out
	case yaml.SequenceNode:
		out := []any{}
		for _, c := range n.Content {
			out = append(out, r.value(c))
		}
		return out
	}
	switch n.Tag {
	case "!!null":
		return nil
	case "!!bool":
		return n.Value == "true"
	case "!!int", "!!float":
		f, err := strconv.ParseFloat(n.Value, 64)
		if err != nil {
			r.fail(n, "expected a number that JSON has, found %s", n.Value)
		}
		return f
	}
	return n.Value
}

// nearest returns "; did you mean ...?" or the list of what is known.
func nearest(name string, known []string) string {
	best, least := "", max(1, len(name)/3)+1
	for _, k := range known {
		if d := distance(name, k); d < least {
			best, least = k, d
		}
	}
	switch {
	case best != "":
		return fmt.Sprintf("; did you mean %q?", best)
	case len(known) == 0:
		return "; there are none"
	case len(known) <= 16:
		return "; known: " + strings.Join(known, ", ")
	}
	return ""
}

// distance counts the letters to insert, delete or replace.
func distance(a, b string) int {
	if len(a) > 64 || len(b) > 64 {
		return 64
	}
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			cost := 1
			if a[i] == b[j] {
				cost = 0
			}
			diagonal, row[j+1] = row[j+1], min(diagonal+cost, row[j]+1, row[j+1]+1)
		}
	}
	return row[len(b)]
}
