package flowdefs

import (
	"slices"
	"strings"
)

const (
	maxJumps = 100
	maxDelay = LongestRun
)

// wordForm is the form of what programs read: codes, exits, tags, obligations.
var wordForm = shortForm(`^[a-z][a-z0-9_-]{0,63}$`) //nolint:gochecknoglobals // as constant as a regular expression

// wordOf reads a name of that form, "" if it is wrong.
func (r *flowReader) wordOf(n *node, what string) string {
	w := r.text(n, what)
	if n.kind == stringKind && !wordForm.MatchString(w) {
		r.fail(n.pos, "%s: %s is not made of a-z, 0-9, _ and - with a letter at its beginning", what, quote(w))
		return ""
	}
	return w
}

func (r *flowReader) words(o object, key string) []string {
	list, nodes := o.texts(key)
	for _, n := range nodes {
		r.wordOf(n, key)
	}
	return list
}

// group is an option of several steps.
func (r *flowReader) group(n *node, s spot) (Node, bool) {
	what := titled("option", n)
	if s == inSequence {
		r.fail(n.pos, "a step: a list of steps stands only as an option; write its steps into the sequence")
		return Node{}, false
	}
	o, ok := r.object(n, what, []string{"id", "if", "steps"})
	if !ok {
		return Node{}, false
	}
	node := Node{Kind: Group}
	r.head(o, &node, s)
	node.Steps = r.steps(n.get("steps"), what)
	if len(node.Steps) > 0 && !slices.Contains([]Kind{Step, Choose}, node.Steps[0].Kind) {
		r.fail(n.pos, "%s: its first step must ask for something: it is what the option is known by", what)
	}
	return node, true
}

func (r *flowReader) jump(n *node, s spot) (Node, bool) {
	o, ok := r.object(n, "goto", []string{"goto", "max", "counts", "if"})
	if !ok || o.required("max") == nil {
		return Node{}, false
	}
	to := n.get("goto")
	node := Node{Kind: Goto, To: r.prefix + r.text(to, "goto"), Max: o.number("max", 1, maxJumps), Counts: o.yes("counts")}
	r.guarded(n, &node, s)
	if to.kind == stringKind {
		r.jumps = append(r.jumps, use{node.To, to.pos})
	}
	return node, true
}

func (r *flowReader) failing(n *node, s spot) (Node, bool) {
	if _, ok := r.object(n, "fail", []string{"fail", "if"}); !ok {
		return Node{}, false
	}
	node := Node{Kind: Fail, Code: r.wordOf(n.get("fail"), "fail")}
	if node.Code != "" {
		r.shown = append(r.shown, usedMessage{id: FailureMessage(node.Code), pos: n.get("fail").pos})
	}
	r.guarded(n, &node, s)
	return node, true
}

func (r *flowReader) abort(n *node, s spot) (Node, bool) {
	o, ok := r.object(n, "abort", []string{"abort", "if"})
	if !ok {
		return Node{}, false
	}
	if v := n.get("abort"); o.boolean("abort") == "false" {
		r.fail(v.pos, "abort: expected true")
	}
	node := Node{Kind: Abort}
	r.guarded(n, &node, s)
	return node, true
}

func (r *flowReader) tag(n *node, s spot) (Node, bool) {
	if _, ok := r.object(n, "a step", []string{"tag", "if"}); !ok {
		return Node{}, false
	}
	o, ok := r.object(n.get("tag"), "tag", []string{"set", "remove", "for"})
	if !ok {
		return Node{}, false
	}
	node := Node{Kind: Tag, Set: r.words(o, "set"), Remove: r.words(o, "remove"), For: o.duration("for", maxTagLife)}
	if len(node.Set)+len(node.Remove) == 0 {
		r.fail(o.n.pos, "tag: nothing is set and nothing removed")
	}
	r.guarded(n, &node, s)
	return node, true
}

func (r *flowReader) oblige(n *node, s spot) (Node, bool) {
	if _, ok := r.object(n, "oblige", []string{"oblige", "if"}); !ok {
		return Node{}, false
	}
	node := Node{Kind: Oblige, Name: r.wordOf(n.get("oblige"), "oblige")}
	r.guarded(n, &node, s)
	return node, true
}

func (r *flowReader) decide(n *node, s spot) (Node, bool) {
	what := titled("decide", n)
	o, ok := r.object(n, what, []string{"id", "decide", "on", "if"})
	if !ok {
		return Node{}, false
	}
	node := Node{Kind: Decide, Value: r.condition(n.get("decide"), decidePlace)}
	r.head(o, &node, s)
	if o.required("on") != nil {
		node.On = r.on(n.get("on"), what, nil)
	}
	return node, node.Value != nil
}

func (r *flowReader) assign(n *node, s spot) (Node, bool) {
	if _, ok := r.object(n, "assign", []string{"assign", "if"}); !ok {
		return Node{}, false
	}
	values := n.get("assign")
	if values.kind != mappingKind {
		r.fail(values.pos, "assign: expected a mapping of names to expressions, found %s", values.describe())
		return Node{}, false
	}
	if len(values.keys) == 0 {
		r.fail(values.pos, "assign: nothing is assigned")
	}
	node := Node{Kind: Assign}
	r.guarded(n, &node, s)
	for i, key := range values.keys {
		r.wordOf(key, "assign")
		if c := r.condition(values.items[i], assignPlace); c != nil {
			node.Values = append(node.Values, Assignment{key.text, c})
		}
	}
	slices.SortFunc(node.Values, func(a, b Assignment) int { return strings.Compare(a.Name, b.Name) })
	return node, true
}

func (r *flowReader) delay(n *node, s spot) (Node, bool) {
	what := titled("delay", n)
	o, ok := r.object(n, what, []string{"id", "delay", "if"})
	if !ok {
		return Node{}, false
	}
	node := Node{Kind: Delay, Wait: o.duration("delay", maxDelay)}
	r.head(o, &node, s)
	return node, true
}

// yes reads a boolean that is false if absent.
func (o object) yes(key string) bool { return o.boolean(key) == "true" }

// no says whether a boolean that is true if absent is false.
func (o object) no(key string) bool { return o.boolean(key) == "false" }

func (o object) boolean(key string) string {
	v := o.n.get(key)
	if v == nil {
		return ""
	}
	if v.kind != boolKind {
		o.l.fail(v.pos, "%s: expected true or false, found %s", key, v.describe())
		return ""
	}
	return v.text
}
