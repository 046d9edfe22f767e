package flowdefs

import (
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"
)

type kind int

const (
	stringKind kind = iota
	boolKind
	intKind
	nullKind
	otherKind // floats, dates, other spellings of booleans and integers
	sequenceKind
	mappingKind
)

type style int

const (
	plain style = iota
	singleQuoted
	doubleQuoted
	literal
	folded
)

// node is one value of a definition file with its place.
type node struct {
	kind  kind
	pos   Pos
	text  string  // scalars: the value, unquoted
	style style   // scalars: how it was written
	keys  []*node // mappings: string scalars, unique
	items []*node // sequences, and values of mappings in the order of keys

	source []string // scalars: the file's lines from the one on which it begins
}

// describe names what was found, for messages.
func (n *node) describe() string {
	switch n.kind {
	case stringKind:
		return "the string " + quote(n.text)
	case boolKind:
		return "the boolean " + n.text
	case intKind:
		return "the number " + n.text
	case nullKind:
		return "nothing"
	case sequenceKind:
		return "a list"
	case mappingKind:
		return "a mapping"
	default:
		return n.text
	}
}

// quoteHint tells how a plain scalar that YAML takes for something else becomes a string.
func (n *node) quoteHint() string {
	switch n.kind {
	case boolKind, intKind, otherKind:
		return fmt.Sprintf("; quote it to make it a string: %q", n.text)
	default:
		return ""
	}
}

// get returns the value of a key, nil if it is absent.
func (n *node) get(key string) *node {
	for i, k := range n.keys {
		if k.text == key {
			return n.items[i]
		}
	}
	return nil
}

// quote renders foreign text in a message, shortened.
func quote(s string) string {
	const most = 60
	if utf8.RuneCountInString(s) > most {
		s = string([]rune(s)[:most]) + "…"
	}
	return fmt.Sprintf("%q", s)
}

// maxExactLine bounds the work for a place in a line, in bytes. Nobody writes longer lines.
const maxExactLine = 4096

// at returns the place in the file of a place inside the scalar's value: line
// from 1, column from 0, both in code points. It is exact for scalars on one
// line of ordinary length and for literal blocks; elsewhere it is where the scalar begins.
func (n *node) at(line, column int) Pos {
	if n.style == literal {
		return n.inLiteral(line, column)
	}
	if line != 1 || len(n.source) == 0 || len(n.source[0]) > maxExactLine {
		return n.pos
	}
	p := n.pos
	src := []rune(n.source[0])
	if p.Column-1 > len(src) {
		return n.pos
	}
	src = src[p.Column-1:]
	switch n.style {
	case plain:
		if !strings.HasPrefix(string(src), n.text) {
			return n.pos
		}
		p.Column += column
		return p
	case singleQuoted, doubleQuoted:
		if offset, ok := quotedOffset(src, n.style, column); ok {
			p.Column += offset
			return p
		}
	default: // a block does not say where in its lines the text stands
	}
	return n.pos
}

// quotedOffset finds how far from the opening quote the value's code point number column stands.
func quotedOffset(src []rune, s style, column int) (int, bool) {
	at := 1
	for ; column > 0; column-- {
		if at >= len(src) {
			return 0, false
		}
		at += quotedWidth(src[at:], s)
	}
	return at, at < len(src)
}

// quotedWidth is the length in source of the code point that begins there.
func quotedWidth(src []rune, s style) int {
	if len(src) < 2 {
		return 1
	}
	switch {
	case s == singleQuoted && src[0] == '\'' && src[1] == '\'':
		return 2
	case s == doubleQuoted && src[0] == '\\':
		switch src[1] {
		case 'x':
			return 4
		case 'u':
			return 6
		case 'U':
			return 10
		}
		return 2
	}
	return 1
}

func (n *node) inLiteral(line, column int) Pos {
	if line >= len(n.source) {
		return n.pos
	}
	indent := -1
	for _, l := range n.source[1:] {
		if strings.TrimSpace(l) != "" {
			indent = strings.IndexFunc(l, func(r rune) bool { return !unicode.IsSpace(r) })
			break
		}
	}
	if indent < 0 {
		return n.pos
	}
	return Pos{n.pos.File, n.pos.Line + line, indent + column + 1}
}
