package config

import (
	"fmt"
	"maps"
	"reflect"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"go.yaml.in/yaml/v4"

	"github.com/stile-auth/stile/flowdefs"
)

// decoder fills a struct from a tree of YAML by the struct's tags.
type decoder struct {
	file     string
	problems flowdefs.Problems
}

func (d *decoder) fail(n *yaml.Node, format string, args ...any) {
	pos := flowdefs.Pos{File: d.file, Line: max(n.Line, 1), Column: max(n.Column, 1)}
	d.problems = append(d.problems, flowdefs.Problem{Pos: pos, Message: fmt.Sprintf(format, args...)})
}

// value stores what n says in v. key is how messages call it.
func (d *decoder) value(n *yaml.Node, v reflect.Value, tag reflect.StructTag, key string) {
	switch {
	case n.Anchor != "" || n.Kind == yaml.AliasNode || n.Style&yaml.TaggedStyle != 0:
		d.fail(n, "%s: anchors, aliases and tags are not allowed", key)
	case v.Kind() == reflect.Struct:
		d.structure(n, v, key)
	case v.Kind() == reflect.Map:
		d.table(n, v, key)
	case v.Kind() == reflect.Slice:
		d.list(n, v, tag, key)
	case n.Kind != yaml.ScalarNode || n.ShortTag() == "!!null":
		d.fail(n, "%s must be a single value", key)
	default:
		if err := setScalar(v, n.Value, tag); err != nil {
			d.fail(n, "%s %v", key, err)
		}
	}
}

// pairs returns the keys and values of a mapping; every key is there once.
func (d *decoder) pairs(n *yaml.Node, key string) [][2]*yaml.Node {
	if n.Kind != yaml.MappingNode {
		d.fail(n, "%s must be a mapping", key)
		return nil
	}
	var out [][2]*yaml.Node
	seen := map[string]bool{}
	for i := 0; i+1 < len(n.Content); i += 2 {
		k := n.Content[i]
		switch {
		case k.Kind != yaml.ScalarNode || k.Anchor != "" || k.ShortTag() != "!!str":
			d.fail(k, "%s has a key that is not a plain string", key)
		case seen[k.Value]:
			d.fail(k, "%s stands here twice", join(key, k.Value))
		default:
			seen[k.Value] = true
			out = append(out, [2]*yaml.Node{k, n.Content[i+1]})
		}
	}
	return out
}

func (d *decoder) structure(n *yaml.Node, v reflect.Value, key string) {
	fields := map[string]int{}
	for i := range v.NumField() {
		fields[v.Type().Field(i).Tag.Get("yaml")] = i
	}
	for _, p := range d.pairs(n, key) {
		i, known := fields[p[0].Value]
		if !known {
			d.fail(p[0], "unknown key %q; known are %s", join(key, p[0].Value), strings.Join(slices.Sorted(maps.Keys(fields)), ", "))
			continue
		}
		d.value(p[1], v.Field(i), v.Type().Field(i).Tag, join(key, p[0].Value))
	}
	if s, ok := v.Interface().(Secret); ok && s.Env != "" && s.File != "" {
		d.fail(n, "%s names both a variable and a file", key)
	}
}

func (d *decoder) table(n *yaml.Node, v reflect.Value, key string) {
	v.Set(reflect.MakeMap(v.Type()))
	for _, p := range d.pairs(n, key) {
		one := reflect.New(v.Type().Elem()).Elem()
		d.value(p[1], one, "", join(key, p[0].Value))
		v.SetMapIndex(reflect.ValueOf(p[0].Value), one)
	}
}

// list holds every element to the tag of the list.
func (d *decoder) list(n *yaml.Node, v reflect.Value, tag reflect.StructTag, key string) {
	if n.Kind != yaml.SequenceNode {
		d.fail(n, "%s must be a list", key)
		return
	}
	v.Set(reflect.MakeSlice(v.Type(), len(n.Content), len(n.Content)))
	for i, element := range n.Content {
		d.value(element, v.Index(i), tag, key)
	}
}

func join(key, name string) string {
	if key == top {
		return name
	}
	return key + "." + name
}

// hostname matches DNS names (RFC 1123 §2.1). Addresses are none: their last label begins with a digit.
// A bound of the length of labels inside the expression would cost 90 kB.
var hostname = regexp.MustCompile(`^([a-z0-9]([a-z0-9-]*[a-z0-9])?\.)*[a-z]([a-z0-9-]*[a-z0-9])?$`)

func isHostname(name string) bool {
	long := func(label string) bool { return len(label) > 63 }
	return hostname.MatchString(name) && !slices.ContainsFunc(strings.Split(name, "."), long)
}

// setScalar sets a string, a boolean, an integer or a duration within the bounds of its tag.
func setScalar(v reflect.Value, text string, tag reflect.StructTag) error {
	switch {
	case v.Type() == reflect.TypeFor[time.Duration]():
		length, err := time.ParseDuration(text)
		if err != nil || length < 0 || length > 366*24*time.Hour {
			return fmt.Errorf("must be a length of time such as 90s, 5m or 12h, not %q", text)
		}
		v.SetInt(int64(length))
	case v.Kind() == reflect.Int:
		number, err := strconv.Atoi(text)
		least, _ := strconv.Atoi(tag.Get("min"))
		most, _ := strconv.Atoi(tag.Get("max"))
		if err != nil || number < least || number > most {
			return fmt.Errorf("must be a number from %d to %d, not %q", least, most, text)
		}
		v.SetInt(int64(number))
	case v.Kind() == reflect.Bool:
		if text != "true" && text != "false" {
			return fmt.Errorf("must be true or false, not %q", text)
		}
		v.SetBool(text == "true")
	case v.Kind() == reflect.String:
		if words := tag.Get("enum"); words != "" && !slices.Contains(strings.Split(words, ","), text) {
			return fmt.Errorf("must be one of %s, not %q", strings.ReplaceAll(words, ",", ", "), text)
		}
		if tag.Get("form") == "host" && !isHostname(text) {
			return fmt.Errorf("must name a host such as risk.bank.example, in lower case and without a port, not %q", text)
		}
		v.SetString(text)
	default:
		return fmt.Errorf("has the type %s, which no key can have", v.Type())
	}
	return nil
}
