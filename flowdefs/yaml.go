package flowdefs

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"

	"go.yaml.in/yaml/v4"
)

// What a file may be at most. A person reads definitions: nothing legitimate comes near.
const (
	maxFile   = 256 << 10    // bytes
	maxSource = 16 * maxFile // bytes of a canonical text: what indentation and quoting can make of a file
	maxDepth  = 32           // lists and mappings inside one another
	maxKey    = 64           // code points of a key
)

var errTooDeep = errors.New("too deep")

// depthLimit stops the parser itself, before a hostile file has cost anything.
type depthLimit struct{}

func (depthLimit) CheckDepth(depth int, _ *yaml.DepthContext) error {
	if depth > 2*maxDepth { // a level of ours is at most a block and a flow level of the parser
		return errTooDeep
	}
	return nil
}

func (depthLimit) CheckAlias(aliases, _ int) error { return nil } // refused in convert

// parseYAML reads one file into a tree. The tree is nil if there are problems or the file is empty.
//
// The YAML that the language knows is a small part of YAML: no anchors,
// aliases, merge keys, tags, nulls, or second documents; every key once.
func parseYAML(file string, data []byte, most int) (*node, Problems) {
	top := Pos{file, 1, 1}
	if len(data) > most {
		return nil, Problems{{top, fmt.Sprintf("the file is larger than the %d bytes that are read", most)}}
	}
	if problem, found := unreadable(file, data); found {
		return nil, Problems{problem}
	}
	var documents []yaml.Node
	err := yaml.Load(data, &documents, yaml.WithAllDocuments(), yaml.WithPlugin(depthLimit{}))
	if err != nil {
		return nil, Problems{syntaxProblem(file, data, err)}
	}
	if len(documents) > 1 {
		n := &documents[1]
		return nil, Problems{{Pos{file, max(n.Line, 1), max(n.Column, 1)}, "a second document begins here; a file holds one"}}
	}
	if len(documents) == 0 || len(documents[0].Content) == 0 {
		return nil, nil
	}
	c := converter{file: file, lines: strings.Split(string(data), "\n")}
	root := c.convert(documents[0].Content[0], 1)
	if len(c.problems) > 0 {
		return nil, c.problems
	}
	return root, nil
}

// unreadable finds the first byte that cannot stand in a definition.
func unreadable(file string, data []byte) (Problem, bool) {
	p := Pos{file, 1, 1}
	for len(data) > 0 {
		r, size := utf8.DecodeRune(data)
		switch {
		case r == utf8.RuneError && size == 1:
			return Problem{p, "the file is not UTF-8"}, true
		case unicode.IsControl(r) && !strings.ContainsRune("\t\r\n", r):
			return Problem{p, fmt.Sprintf("the control character %U cannot stand in a definition", r)}, true
		}
		p.Column++
		if r == '\n' {
			p.Line, p.Column = p.Line+1, 1
		}
		data = data[size:]
	}
	return Problem{}, false
}

func syntaxProblem(file string, data []byte, err error) Problem {
	p := Problem{Pos{file, 1, 1}, "not YAML: " + err.Error()}
	var one *yaml.LoadError
	var many *yaml.LoadErrors
	if errors.As(err, &many) && len(many.Errors) > 0 {
		one = many.Errors[0]
	} else if !errors.As(err, &one) {
		return p
	}
	p.Pos.Line, p.Pos.Column = max(one.Mark.Line, 1), max(one.Mark.Column, 1)
	p.Message = "not YAML: " + one.Message
	if lines := strings.Split(string(data), "\n"); tabAt(lines, p.Pos) {
		p.Message = "not YAML: a tab cannot indent; use spaces"
	}
	if c := one.ContextMark; one.ContextMsg != "" && c.Line > 0 && c != one.Mark {
		p.Message += fmt.Sprintf(" (%s that begins at %d:%d)", one.ContextMsg, c.Line, max(c.Column, 1))
	}
	if errors.Is(one, errTooDeep) || strings.Contains(one.Message, errTooDeep.Error()) {
		p.Message = depthMessage()
	}
	return p
}

func tabAt(lines []string, p Pos) bool {
	if p.Line > len(lines) {
		return false
	}
	runes := []rune(lines[p.Line-1])
	return p.Column <= len(runes) && runes[p.Column-1] == '\t'
}

func depthMessage() string {
	return fmt.Sprintf("lists and mappings are nested more than %d deep", maxDepth)
}

type converter struct {
	file     string
	lines    []string
	problems Problems
}

func (c *converter) fail(y *yaml.Node, format string, args ...any) *node {
	c.problems = append(c.problems, Problem{Pos{c.file, y.Line, y.Column}, fmt.Sprintf(format, args...)})
	return nil
}

// convert returns nil if it has reported a problem.
func (c *converter) convert(y *yaml.Node, depth int) *node {
	switch {
	case y.Kind == yaml.AliasNode:
		return c.fail(y, "alias *%s: anchors and aliases are not part of the language; write the value out", y.Value)
	case y.Anchor != "":
		return c.fail(y, "anchor &%s: anchors and aliases are not part of the language; write the value out", y.Anchor)
	case y.Style&yaml.TaggedStyle != 0:
		return c.fail(y, "tag %s: tags are not part of the language; a value is what it looks like", y.ShortTag())
	case depth > maxDepth:
		return c.fail(y, "%s", depthMessage())
	}
	n := &node{pos: Pos{c.file, y.Line, y.Column}}
	switch y.Kind {
	case yaml.MappingNode:
		n.kind = mappingKind
		return c.mapping(n, y, depth)
	case yaml.SequenceNode:
		n.kind = sequenceKind
		return c.sequence(n, y, depth)
	case yaml.ScalarNode:
		return c.scalar(n, y)
	}
	return c.fail(y, "this kind of YAML is not part of the language")
}

func (c *converter) mapping(n *node, y *yaml.Node, depth int) *node {
	seen := map[string]int{}
	ok := true
	for i := 0; i+1 < len(y.Content); i += 2 {
		yk, yv := y.Content[i], y.Content[i+1]
		key := c.key(yk, depth)
		value := c.convert(yv, depth+1)
		if key == nil || value == nil {
			ok = false
			continue
		}
		if line, dup := seen[key.text]; dup {
			c.fail(yk, "key %s stands here twice; the first is on line %d", strconv.Quote(key.text), line)
			ok = false
			continue
		}
		seen[key.text] = yk.Line
		n.keys = append(n.keys, key)
		n.items = append(n.items, value)
	}
	if !ok {
		return nil
	}
	return n
}

// key returns nil if it has reported a problem.
func (c *converter) key(y *yaml.Node, depth int) *node {
	switch {
	case y.Kind == yaml.ScalarNode && y.ShortTag() == "!!merge":
		return c.fail(y, "merge key <<: merge keys are not part of the language; write the values out")
	case y.Kind == yaml.MappingNode || y.Kind == yaml.SequenceNode:
		return c.fail(y, "a key must be a string, found a list or a mapping")
	}
	key := c.convert(y, depth)
	switch {
	case key == nil:
		return nil
	case key.kind != stringKind:
		return c.fail(y, "a key must be a string, found %s%s", key.describe(), key.quoteHint())
	case utf8.RuneCountInString(key.text) > maxKey:
		return c.fail(y, "the key %s is longer than %d characters", quote(key.text), maxKey)
	}
	return key
}

func (c *converter) sequence(n *node, y *yaml.Node, depth int) *node {
	ok := true
	for _, item := range y.Content {
		child := c.convert(item, depth+1)
		ok = ok && child != nil
		n.items = append(n.items, child)
	}
	if !ok {
		return nil
	}
	return n
}

func (c *converter) scalar(n *node, y *yaml.Node) *node {
	n.text = y.Value
	switch {
	case y.Style&yaml.DoubleQuotedStyle != 0:
		n.style = doubleQuoted
	case y.Style&yaml.SingleQuotedStyle != 0:
		n.style = singleQuoted
	case y.Style&yaml.LiteralStyle != 0:
		n.style = literal
	case y.Style&yaml.FoldedStyle != 0:
		n.style = folded
	}
	if n.style == plain && y.ShortTag() != "!!str" {
		n.kind = plainKind(y.ShortTag(), y.Value)
	} else {
		n.kind = stringKind
	}
	if y.Line >= 1 && y.Line <= len(c.lines) {
		n.source = c.lines[y.Line-1:]
	}
	return n
}

// plainKind narrows YAML's many spellings: true and false are booleans, decimal
// numbers are integers, everything else that is not a string fits nowhere.
func plainKind(tag, text string) kind {
	switch {
	case tag == "!!bool" && (text == "true" || text == "false"):
		return boolKind
	case tag == "!!int" && decimal(text):
		return intKind
	case tag == "!!null":
		return nullKind
	}
	return otherKind
}

func decimal(text string) bool {
	digits := strings.TrimPrefix(text, "-")
	if digits == "" || len(digits) > 18 || digits[0] == '0' && text != "0" {
		return false
	}
	return strings.Trim(digits, "0123456789") == ""
}
