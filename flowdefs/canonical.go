package flowdefs

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"maps"
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
	if f.Kind != SignIn {
		w.line(2, "kind: "+string(f.Kind))
	}
	if f.Requires != (Requirement{}) {
		w.line(2, "requires: "+requirementText(f.Requires))
	}
	if f.NoBack {
		w.line(2, "back: false")
	}
	if f.NoRestart {
		w.line(2, "restart: false")
	}
	w.line(2, "steps:")
	w.list(3, f.Steps)
	if len(f.Handlers) > 0 {
		w.line(2, "handlers:")
	}
	for i := range f.Handlers {
		w.line(3, quoted(f.Handlers[i].Name)+":")
		w.list(4, f.Handlers[i].Steps)
	}
	if len(f.Guarantees) > 0 {
		w.line(2, "guarantees:")
	}
	for _, g := range f.Guarantees {
		w.line(3, "- "+quoted(g.Source))
	}
	return []byte(w.b.String())
}

func requirementText(r Requirement) string {
	var parts []string
	if r.ACR != "" {
		parts = append(parts, "acr: "+quoted(r.ACR))
	}
	if r.MaxAge != 0 {
		parts = append(parts, "max_age: "+durationText(r.MaxAge))
	}
	return "{" + strings.Join(parts, ", ") + "}"
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

func (w *writer) list(indent int, nodes []Node) {
	for i := range nodes {
		w.item(indent, &nodes[i])
	}
}

func (w *writer) node(indent int, n *Node) {
	if n.ID != "" {
		w.line(indent, "id: "+quoted(n.ID))
	}
	if n.If != nil {
		w.line(indent, "if: "+quoted(n.If.Source))
	}
	switch n.Kind {
	case Step:
		w.step(indent, n)
	case Choose:
		w.choose(indent, n)
	case Group:
		w.line(indent, "steps:")
		w.list(indent+1, n.Steps)
	case Tag:
		w.tag(indent, n)
	case Assign:
		w.line(indent, "assign:")
		for _, a := range n.Values {
			w.line(indent+1, quoted(a.Name)+": "+quoted(a.Value.Source))
		}
	default:
		w.short(indent, n)
	}
	if len(n.On) > 0 {
		w.line(indent, "on: "+mapText(n.On))
	}
}

// short writes the nodes that are little more than a word.
func (w *writer) short(indent int, n *Node) {
	switch n.Kind {
	case Require:
		w.line(indent, "require: "+quoted(n.Require.Source))
	case Goto:
		w.line(indent, "goto: "+quoted(n.To))
		w.line(indent, "max: "+strconv.Itoa(n.Max))
		if n.Counts {
			w.line(indent, "counts: true")
		}
	case Fail:
		w.line(indent, "fail: "+quoted(n.Code))
	case Abort:
		w.line(indent, "abort: true")
	case Oblige:
		w.line(indent, "oblige: "+quoted(n.Name))
	case Decide:
		w.line(indent, "decide: "+quoted(n.Value.Source))
	case Delay:
		w.line(indent, "delay: "+durationText(n.Wait))
	default: // the others are written by those who call this
	}
}

func (w *writer) step(indent int, n *Node) {
	w.line(indent, "type: "+quoted(n.Type))
	if c, ok := n.With.(*config); ok && c.n != nil && len(c.n.keys) > 0 {
		w.line(indent, "with: "+jsonText(c.n))
	}
	if n.Attempts != 0 {
		w.line(indent, "attempts: {max: "+strconv.Itoa(n.Attempts)+"}")
	}
	if n.Timeout != 0 {
		w.line(indent, "timeout: "+durationText(n.Timeout))
	}
	if n.Resend != nil {
		w.line(indent, "resend: {max: "+strconv.Itoa(n.Resend.Max)+", every: "+durationText(n.Resend.Every)+"}")
	}
	if n.Activate {
		w.line(indent, "activate: true")
	}
	if len(n.Settles) > 0 {
		w.line(indent, "settles: "+listText(n.Settles))
	}
}

func (w *writer) tag(indent int, n *Node) {
	w.line(indent, "tag:")
	if len(n.Set) > 0 {
		w.line(indent+1, "set: "+listText(n.Set))
	}
	if len(n.Remove) > 0 {
		w.line(indent+1, "remove: "+listText(n.Remove))
	}
	if n.For != 0 {
		w.line(indent+1, "for: "+durationText(n.For))
	}
}

func (w *writer) choose(indent int, n *Node) {
	if n.Any > 1 {
		w.line(indent, "any:")
		w.line(indent+1, "of: "+strconv.Itoa(n.Any))
		w.line(indent+1, "options:")
		w.list(indent+2, n.Options)
	} else {
		w.line(indent, "choose:")
		w.list(indent+1, n.Options)
	}
	if n.Otherwise != nil {
		w.line(indent, "otherwise:")
		w.node(indent+1, n.Otherwise)
	}
}

func listText(words []string) string {
	parts := make([]string, len(words))
	for i, word := range words {
		parts[i] = quoted(word)
	}
	return "[" + strings.Join(parts, ", ") + "]"
}

func mapText(m map[string]string) string {
	parts := make([]string, 0, len(m))
	for _, k := range slices.Sorted(maps.Keys(m)) {
		parts = append(parts, quoted(k)+": "+quoted(m[k]))
	}
	return "{" + strings.Join(parts, ", ") + "}"
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
	default:
		return n.text
	}
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
