package flowdefs

import (
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
)

var (
	nameForm     = shortForm(`^[a-z][a-z0-9-]{0,63}$`) //nolint:gochecknoglobals // as constant as a regular expression
	durationForm = regexp.MustCompile(`^([0-9]{1,9}(ms|s|m|h))+$`)
)

// object reads the keys of one mapping and reports what is wrong with them.
type object struct {
	l    *loader
	n    *node
	what string // names the mapping in messages: flow "mobile-banking"
}

// object demands a mapping whose keys are all known. What is not a mapping is reported, and ok is false.
func (l *loader) object(n *node, what string, known []string) (o object, ok bool) {
	if n.kind != mappingKind {
		l.fail(n.pos, "%s: expected a mapping, found %s", what, n.describe())
		return o, false
	}
	for _, k := range n.keys {
		if !slices.Contains(known, k.text) {
			l.fail(k.pos, "%s: unknown key %s%s", what, quote(k.text), didYouMean(k.text, known))
		}
	}
	return object{l, n, what}, true
}

// required returns the value of a key and reports if there is none.
func (o object) required(key string) *node {
	v := o.n.get(key)
	if v == nil {
		o.l.fail(o.n.pos, "%s: %q is missing", o.what, key)
	}
	return v
}

// text returns a string value, "" if the key is absent or wrong.
func (o object) text(key string) string { return o.l.text(o.n.get(key), key) }

// requiredText is text for a key that must be there and not empty.
func (o object) requiredText(key string) string {
	v := o.required(key)
	s := o.l.text(v, key)
	if v != nil && v.kind == stringKind && strings.TrimSpace(s) == "" {
		o.l.fail(v.pos, "%s: must not be empty", key)
	}
	return s
}

func (l *loader) text(v *node, what string) string {
	if v == nil {
		return ""
	}
	if v.kind != stringKind {
		l.fail(v.pos, "%s: expected a string, found %s%s", what, v.describe(), v.quoteHint())
		return ""
	}
	return v.text
}

// duration returns a positive length of time of at most most, 0 if the key is absent or wrong.
func (o object) duration(key string, most time.Duration) time.Duration {
	v := o.n.get(key)
	if v == nil {
		return 0
	}
	d, message := durationOf(v)
	switch {
	case message != "":
		o.l.fail(v.pos, "%s: %s", key, message)
		return 0
	case d <= 0:
		o.l.fail(v.pos, "%s: must be longer than nothing", key)
	case d > most:
		o.l.fail(v.pos, "%s: %s is longer than the %s that are allowed", key, v.text, most)
	}
	return d
}

func durationOf(v *node) (time.Duration, string) {
	const want = "expected a duration such as 90s, 5m or 1h30m, found "
	if v.kind != stringKind || !durationForm.MatchString(v.text) {
		hint := ""
		if v.kind == intKind {
			hint = "; a duration has a unit"
		}
		return 0, want + v.describe() + hint
	}
	d, err := time.ParseDuration(v.text)
	if err != nil {
		return 0, want + v.describe()
	}
	return d, ""
}

// number returns an integer between least and most, 0 if the key is absent or wrong.
func (o object) number(key string, least, most int) int {
	v := o.n.get(key)
	if v == nil {
		return 0
	}
	if v.kind != intKind {
		o.l.fail(v.pos, "%s: expected a whole number, found %s", key, v.describe())
		return 0
	}
	i, err := strconv.Atoi(v.text)
	if err != nil || i < least || i > most {
		o.l.fail(v.pos, "%s: %s is not between %d and %d", key, v.text, least, most)
		return 0
	}
	return i
}

// texts returns a list of strings without repetition, and the nodes they stand on.
func (o object) texts(key string) ([]string, []*node) {
	v := o.n.get(key)
	if v == nil {
		return nil, nil
	}
	if v.kind != sequenceKind {
		o.l.fail(v.pos, "%s: expected a list of strings, found %s", key, v.describe())
		return nil, nil
	}
	var out []string
	var nodes []*node
	for _, item := range v.items {
		if item.kind != stringKind {
			o.l.text(item, key)
			continue
		}
		if slices.Contains(out, item.text) {
			o.l.fail(item.pos, "%s: %s stands here twice", key, quote(item.text))
			continue
		}
		out, nodes = append(out, item.text), append(nodes, item)
	}
	return out, nodes
}

// word returns one of a few strings, "" if the key is absent or wrong.
func (o object) word(key string, words ...string) string {
	v := o.n.get(key)
	s := o.text(key)
	if v == nil || v.kind != stringKind || slices.Contains(words, s) {
		return s
	}
	o.l.fail(v.pos, "%s: expected %s, found %s%s", key, oneOf(words), v.describe(), didYouMeanOnly(s, words))
	return ""
}

func oneOf(words []string) string {
	if len(words) == 1 {
		return words[0]
	}
	return "one of " + strings.Join(words, ", ")
}

// checkName reports a name that is not of the form of names.
func (l *loader) checkName(n *node, what string) {
	if !nameForm.MatchString(n.text) {
		l.fail(n.pos, "%s %s: a name is made of a-z, 0-9 and -, begins with a letter and has at most 64 characters", what, quote(n.text))
	}
}

func (l *loader) fail(pos Pos, format string, args ...any) {
	l.problems = append(l.problems, Problem{pos, fmt.Sprintf(format, args...)})
}
