package flowdefs

import (
	"regexp"
	"strconv"
	"strings"
)

// wordShape is the form of short words of ASCII characters. A bound inside a regular
// expression is compiled to as many copies of what it bounds, some 50 kB for one of
// 64 characters; here it is held beside the expression.
type wordShape struct {
	text string
	rest *regexp.Regexp
	most int // bytes
}

// shortForm makes one of an expression that is one character and at most so many
// others: ^FIRST OTHER{0,63}$.
func shortForm(text string) wordShape {
	at := strings.LastIndex(text, "{0,")
	most, err := strconv.Atoi(strings.TrimSuffix(text[at+len("{0,"):], "}$"))
	if err != nil {
		panic("flowdefs: not a short form: " + text) // they stand in the source
	}
	return wordShape{text, regexp.MustCompile(text[:at] + "*$"), 1 + most}
}

// MatchString reports whether s has the form.
func (f wordShape) MatchString(s string) bool { return len(s) <= f.most && f.rest.MatchString(s) }

// String is the whole expression.
func (f wordShape) String() string { return f.text }
