package flowdefs

import (
	"fmt"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"time"
)

// config is the "with:" block of a step. It is immutable: every Decode starts anew.
type config struct {
	pos  Pos                                   // where complaints about the whole go
	n    *node                                 // nil: an empty mapping
	note func(r reference, arguments []string) // told of every reference; nil outside Load
}

// Decode implements [Config]. It understands string, bool, int, [time.Duration],
// [Query], structs with `yaml` tags, maps from string to string or [Query], and
// slices of these.
//
//	Provider string        `yaml:"provider" ref:"provider"` // required; must name a provider
//	Grace    time.Duration `yaml:"grace,optional"`          // keeps its value if absent
//	Text     string        `yaml:"text" ref:"message" arguments:"with"` // the id of a message, its arguments in the field "with"
//	Shown    string        `yaml:"shown" ref:"text" arguments:"with"`   // the same; the server shows it, with all of its arguments
//
// Errors are [Problems], all at once. A dst that has another form is a mistake
// of the program; its error is not Problems.
func (c *config) Decode(dst any) error {
	v := reflect.ValueOf(dst)
	if v.Kind() != reflect.Pointer || v.IsNil() || v.Elem().Kind() != reflect.Struct {
		return fmt.Errorf("flowdefs: Decode into %T: want a pointer to a struct", dst)
	}
	d := structDecoder{note: c.note}
	n := c.n
	if n == nil {
		n = &node{kind: mappingKind, pos: c.pos}
	}
	if err := d.structure(n, v.Elem(), "with"); err != nil {
		return err
	}
	if len(d.problems) > 0 {
		return d.problems.sorted()
	}
	return nil
}

// field is what the tags of a struct's field say.
type field struct {
	index    int
	name     string
	optional bool
	ref      string

	arguments string // of a message: the field that has its arguments
}

func yamlFields(t reflect.Type) ([]field, error) {
	fields := make([]field, 0, t.NumField())
	for i := range t.NumField() {
		f := t.Field(i)
		name, option, _ := strings.Cut(f.Tag.Get("yaml"), ",")
		if !f.IsExported() || name == "" || option != "" && option != "optional" {
			return nil, fmt.Errorf(`flowdefs: %s.%s: want an exported field with a tag yaml:"name" or yaml:"name,optional"`, t, f.Name)
		}
		fields = append(fields, field{i, name, option == "optional", f.Tag.Get("ref"), f.Tag.Get("arguments")})
	}
	return fields, nil
}

type structDecoder struct {
	note     func(r reference, arguments []string)
	problems Problems
}

func (d *structDecoder) fail(pos Pos, format string, args ...any) {
	d.problems = append(d.problems, Problem{pos, fmt.Sprintf(format, args...)})
}

// structure returns an error only for a destination that cannot be.
func (d *structDecoder) structure(n *node, v reflect.Value, what string) error {
	fields, err := yamlFields(v.Type())
	if err != nil {
		return err
	}
	if n.kind != mappingKind {
		d.fail(n.pos, "%s: expected a mapping, found %s", what, n.describe())
		return nil
	}
	known := make([]string, len(fields))
	for i, f := range fields {
		known[i] = f.name
		child := n.get(f.name)
		if child == nil {
			if !f.optional {
				d.fail(n.pos, "%s: %q is missing", what, f.name)
			}
			continue
		}
		if err := d.value(child, v.Field(f.index), f.name); err != nil {
			return err
		}
		if f.ref != "" && d.note != nil && child.kind == stringKind {
			d.note(reference{plural(f.ref), child.text, child.pos}, given(n.get(f.arguments)))
		}
	}
	for _, k := range n.keys {
		if !slices.Contains(known, k.text) {
			d.fail(k.pos, "%s: unknown key %s%s", what, quote(k.text), didYouMean(k.text, known))
		}
	}
	return nil
}

func (d *structDecoder) value(n *node, v reflect.Value, what string) error {
	switch {
	case v.Type() == reflect.TypeFor[time.Duration]():
		length, message := durationOf(n)
		if message != "" {
			d.fail(n.pos, "%s: %s", what, message)
		}
		v.SetInt(int64(length))
	case v.Kind() == reflect.String:
		if d.is(n, stringKind, what, "a string", n.quoteHint()) {
			v.SetString(n.text)
		}
	case v.Kind() == reflect.Bool:
		if d.is(n, boolKind, what, "true or false", "") {
			v.SetBool(n.text == "true")
		}
	case v.CanInt():
		if d.is(n, intKind, what, "a whole number", "") {
			d.integer(n, v, what)
		}
	case v.Type() == reflect.TypeFor[Query]():
		v.Set(reflect.ValueOf(d.query(n, what)))
	case v.Kind() == reflect.Struct:
		return d.structure(n, v, what)
	case v.Kind() == reflect.Slice:
		return d.slice(n, v, what)
	case v.Type() == reflect.TypeFor[map[string]string]():
		d.words(n, v, what)
	case v.Type() == reflect.TypeFor[map[string]Query]():
		v.Set(reflect.ValueOf(d.queries(n, what)))
	default:
		return fmt.Errorf("flowdefs: %s: cannot decode into %s", what, v.Type())
	}
	return nil
}

func (d *structDecoder) is(n *node, want kind, what, wanted, hint string) bool {
	if n.kind != want {
		d.fail(n.pos, "%s: expected %s, found %s%s", what, wanted, n.describe(), hint)
	}
	return n.kind == want
}

func (d *structDecoder) integer(n *node, v reflect.Value, what string) {
	i, err := strconv.ParseInt(n.text, 10, v.Type().Bits())
	if err != nil {
		d.fail(n.pos, "%s: %s is too large", what, n.text)
		return
	}
	v.SetInt(i)
}

func (d *structDecoder) slice(n *node, v reflect.Value, what string) error {
	if !d.is(n, sequenceKind, what, "a list", "") {
		return nil
	}
	list := reflect.MakeSlice(v.Type(), len(n.items), len(n.items))
	for i, item := range n.items {
		if err := d.value(item, list.Index(i), what); err != nil {
			return err
		}
	}
	v.Set(list)
	return nil
}

// words reads a mapping of names to texts.
func (d *structDecoder) words(n *node, v reflect.Value, what string) {
	if !d.is(n, mappingKind, what, "a mapping of names to texts", "") {
		return
	}
	out := make(map[string]string, len(n.keys))
	for i, key := range n.keys {
		if !argumentForm.MatchString(key.text) {
			d.fail(key.pos, "%s: a name is made of letters, digits and _, begins with a small letter and has at most 64 characters", what)
		}
		if item := n.items[i]; d.is(item, stringKind, key.text, "a string", item.quoteHint()) {
			out[key.text] = item.text
		}
	}
	v.Set(reflect.ValueOf(out))
}

// given are the names of a mapping, or the entries of a list.
func given(n *node) []string {
	if n != nil && n.kind == sequenceKind {
		names := make([]string, len(n.items))
		for i, item := range n.items {
			names[i] = item.text
		}
		return names
	}
	if n == nil || n.kind != mappingKind {
		return nil
	}
	names := make([]string, len(n.keys))
	for i, key := range n.keys {
		names[i] = key.text
	}
	return names
}
