package flowdefs

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode"
)

// canonicalFlow writes a flow so that two flows that say the same have the same
// text, whatever their comments, quoting, and order of keys.
func canonicalFlow(f *Flow) []byte {
	w := &writer{}
	w.line(0, "flows:")
	w.line(1, quoted(f.Name)+":")
	if f.Description != "" {
		w.line(2, "description: "+quoted(f.Description))
	}
	if f.Timeout != 0 {
		w.line(2, "timeout: "+durationText(f.Timeout))
	}
	w.line(2, "steps:")
	for i := range f.Steps {
		w.item(3, &f.Steps[i])
	}
	return []byte(w.b.String())
}

type writer struct{ b strings.Builder }

func (w *writer) line(indent int, text string) {
	w.b.WriteString(strings.Repeat("  ", indent))
	w.b.WriteString(text)
	w.b.WriteByte('\n')
}

// item writes a node as an entry of a list.
func (w *writer) item(indent int, n *Node) {
	var inner writer
	inner.node(indent+1, n)
	text := inner.b.String()
	w.b.WriteString(strings.Repeat("  ", indent) + "- " + text[2*(indent+1):])
}

func (w *writer) node(indent int, n *Node) {
	if n.Kind == Require {
		w.line(indent, "require: "+quoted(n.Require.Source))
		return
	}
	w.line(indent, "id: "+quoted(n.ID))
	if n.If != nil {
		w.line(indent, "if: "+quoted(n.If.Source))
	}
	if n.Kind == Choose {
		w.choose(indent, n)
		return
	}
	w.line(indent, "type: "+quoted(n.Type))
	if c, ok := n.With.(*config); ok && c.n != nil && len(c.n.keys) > 0 {
		w.line(indent, "with: "+jsonText(c.n))
	}
	if n.Attempts != 0 {
		w.line(indent, "attempts: {max: "+strconv.Itoa(n.Attempts)+"}")
	}
}

func (w *writer) choose(indent int, n *Node) {
	w.line(indent, "choose:")
	for i := range n.Options {
		w.item(indent+1, &n.Options[i])
	}
	if n.Otherwise != nil {
		w.line(indent, "otherwise:")
		w.node(indent+1, n.Otherwise)
	}
}

// jsonText writes a value on one line, keys sorted. It is JSON
// and therefore YAML.
func jsonText(n *node) string {
	switch n.kind {
	case stringKind:
		return quoted(n.text)
	case sequenceKind:
		parts := make([]string, len(n.items))
		for i, item := range n.items {
			parts[i] = jsonText(item)
		}
		return "[" + strings.Join(parts, ", ") + "]"
	case mappingKind:
		parts := make([]string, len(n.keys))
		for i, k := range n.keys {
			parts[i] = quoted(k.text) + ": " + jsonText(n.items[i])
		}
		slices.Sort(parts)
		return "{" + strings.Join(parts, ", ") + "}"
	}
	return n.text
}

// quoted writes a string so that JSON and YAML both read it as the same string.
func quoted(s string) string {
	var b strings.Builder
	b.WriteByte('"')
	for _, r := range s {
		switch {
		case r == '"' || r == '\\':
			b.WriteByte('\\')
			b.WriteRune(r)
		case r > 0xffff || unicode.IsPrint(r):
			b.WriteRune(r)
		default:
			fmt.Fprintf(&b, `\u%04x`, r)
		}
	}
	b.WriteByte('"')
	return b.String()
}

func durationText(d time.Duration) string {
	if d%time.Second == 0 {
		return strconv.FormatInt(int64(d/time.Second), 10) + "s"
	}
	return strconv.FormatInt(d.Milliseconds(), 10) + "ms"
}

// configHash identifies what a step does: evidence of one is evidence of any other with the same hash.
func configHash(stepType string, with *node) string {
	text := "{}"
	if with != nil {
		text = jsonText(with)
	}
	return hash([]byte(`{"type": ` + quoted(stepType) + `, "with": ` + text + `}`))
}

func hash(text []byte) string {
	sum := sha256.Sum256(text)
	return hex.EncodeToString(sum[:])
}
