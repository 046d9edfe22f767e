package flowdefs

import (
	"embed"
	"io/fs"
	"path"
	"slices"
	"strings"
)

// presets are definitions of providers that people use, as far as they are the same
// for everybody: one file for each, which is read when it is named.
//
//go:embed presets/*.yaml
var presets embed.FS

// Presets returns the names of the presets, sorted.
func Presets() []string {
	files, err := fs.Glob(presets, "presets/*.yaml")
	if err != nil {
		panic("flowdefs: presets: " + err.Error()) // the pattern is a constant
	}
	names := make([]string, len(files))
	for i, file := range files {
		names[i] = strings.TrimSuffix(path.Base(file), ".yaml")
	}
	return names
}

// PresetFile returns the text of a preset. Besides the definition ("provider") it
// holds how the provider looks from outside ("shape"), of which nothing is used
// here: tests sign on at a provider of that shape.
func PresetFile(name string) ([]byte, error) { return presets.ReadFile("presets/" + name + ".yaml") }

// preset lays a provider over the preset that it names: what it says itself goes
// before. Where the preset has <name>, the value of that name in "with" is put.
func (l *loader) preset(n *node, what string) (*node, bool) {
	if n.kind != mappingKind {
		return n, true // reported where it is read
	}
	at, with := n.get("preset"), n.get("with")
	if at == nil {
		if with != nil {
			l.fail(with.pos, "%s: with is for a preset", what)
		}
		return n, true
	}
	name := l.text(at, "preset")
	if at.kind != stringKind || !slices.Contains(Presets(), name) {
		if at.kind == stringKind {
			l.fail(at.pos, "preset: there is no preset %s%s", quote(name), didYouMean(name, Presets()))
		}
		return nil, false
	}
	text, err := PresetFile(name)
	if err != nil {
		l.fail(at.pos, "preset: %s cannot be read", quote(name))
		return nil, false
	}
	root, problems := parseYAML("presets/"+name+".yaml", text, maxFile)
	if root == nil || len(problems) > 0 {
		l.fail(at.pos, "preset: %s is broken", quote(name))
		return nil, false
	}
	values := l.presetValues(object{l, n, what}, with)
	base, used := root.get("provider").without(n).filled(at.pos, values)
	for _, hole := range used {
		if _, ok := values[hole]; !ok {
			l.fail(n.pos, "%s: the preset %s needs with: { %s: ... }", what, name, hole)
		}
	}
	if with != nil && with.kind == mappingKind {
		for _, k := range with.keys {
			if !slices.Contains(used, k.text) {
				l.fail(k.pos, "%s: with: the preset %s has no place for %s%s", what, name, quote(k.text), didYouMean(k.text, used))
			}
		}
	}
	merged := &node{kind: mappingKind, pos: n.pos, keys: slices.Clone(n.keys), items: slices.Clone(n.items)}
	merged.keys, merged.items = append(merged.keys, base.keys...), append(merged.items, base.items...)
	return merged, true
}

// presetValues are what "with" says.
func (l *loader) presetValues(o object, with *node) map[string]string {
	if with == nil {
		return nil
	}
	return l.table(o, "with", tenantForm, "does not fit into an address: letters, digits, dots and hyphens")
}

// without is the mapping without the keys that another one has.
func (n *node) without(other *node) *node {
	c := &node{kind: mappingKind, pos: n.pos}
	for i, k := range n.keys {
		if other.get(k.text) == nil {
			c.keys, c.items = append(c.keys, k), append(c.items, n.items[i])
		}
	}
	return c
}

// filled is a copy with the values in the places that are meant for them, and the
// names of these places. It stands where the preset is named.
func (n *node) filled(pos Pos, values map[string]string) (*node, []string) {
	c := *n
	c.pos, c.source = pos, nil
	var used []string
	if n.kind == stringKind {
		for {
			_, rest, found := strings.Cut(c.text, "<")
			hole, _, closed := strings.Cut(rest, ">")
			if !found || !closed {
				return &c, used
			}
			used = append(used, hole)
			c.text = strings.Replace(c.text, "<"+hole+">", values[hole], 1)
		}
	}
	c.keys, c.items = nil, nil
	for _, k := range n.keys {
		key := *k
		key.pos = pos
		c.keys = append(c.keys, &key)
	}
	for _, item := range n.items {
		inner, more := item.filled(pos, values)
		c.items, used = append(c.items, inner), append(used, more...)
	}
	slices.Sort(used)
	return &c, slices.Compact(used)
}

// presetName is the preset that is named.
func (o object) presetName() string {
	if v := o.n.get("preset"); v != nil && v.kind == stringKind {
		return v.text
	}
	return ""
}
