package main

import (
	"bufio"
	"fmt"
	"io"
	"os"
	"strings"
	"unicode"
	"unicode/utf8"

	"golang.org/x/text/width"

	"github.com/stile-auth/stile/flowdefs"
)

const (
	excerptWidth = 100     // columns of a source line that are shown
	tabWidth     = 4       // columns that a tab is shown as
	longestLine  = 1 << 20 // bytes: no file that is read has a longer line
	cut          = "…"
)

// listProblems prints problems, each with the line that it is about and a caret
// under the column. A file that cannot be read, or is shorter now, has no line to show.
func listProblems(w io.Writer, problems flowdefs.Problems, colour bool) {
	mark := "^"
	if colour {
		mark = "\x1b[1;31m^\x1b[0m"
	}
	for _, p := range problems {
		fmt.Fprintln(w, p.Error())
		text, ok := sourceLine(p.Pos)
		if !ok {
			continue
		}
		shown, column := excerpt(text, p.Pos.Column)
		fmt.Fprintf(w, "%5d | %s\n      | %s%s\n", p.Pos.Line, shown, strings.Repeat(" ", column), mark)
	}
}

// sourceLine reads one line of a file.
func sourceLine(p flowdefs.Pos) (string, bool) {
	f, err := os.Open(p.File)
	if err != nil {
		return "", false
	}
	defer f.Close()
	lines := bufio.NewScanner(f)
	lines.Buffer(nil, longestLine)
	for n := 1; lines.Scan(); n++ {
		if n == p.Line {
			return lines.Text(), true
		}
	}
	return "", false
}

// excerpt is what is shown of a line, and how many columns stand before the
// place that column, counted in code points from 1, names. Tabs are shown as
// spaces, and what a terminal could take for a command is not shown as it is.
func excerpt(line string, column int) (shown string, before int) {
	var cells []string // one for each terminal column; "" is the second half of a wide character
	at := -1
	for i, r := range []rune(strings.ToValidUTF8(line, string(utf8.RuneError))) {
		if i == column-1 {
			at = len(cells)
		}
		switch {
		case r == '\t':
			cells = append(cells, strings.Split(strings.Repeat(" ", tabWidth), "")...)
		case !unicode.IsPrint(r):
			cells = append(cells, string(utf8.RuneError))
		case unicode.Is(unicode.Mn, r) && len(cells) > 0:
			cells[len(cells)-1] += string(r)
		default:
			cells = append(cells, string(r))
			if k := width.LookupRune(r).Kind(); k == width.EastAsianWide || k == width.EastAsianFullwidth {
				cells = append(cells, "")
			}
		}
	}
	if at < 0 {
		at = len(cells) // just behind the line: something is missing there
	}
	return window(cells, at)
}

// window cuts what is longer than people read, around the place at.
func window(cells []string, at int) (string, int) {
	from := 0
	if len(cells) > excerptWidth {
		from = max(0, min(at-excerptWidth/2, len(cells)-excerptWidth))
	}
	to := min(len(cells), from+excerptWidth)
	shown := strings.Join(cells[from:to], "")
	if from > 0 {
		shown = cut + shown
		at++
	}
	if to < len(cells) {
		shown += cut
	}
	return strings.TrimRight(shown, " "), at - from
}

// coloured says whether out is a terminal whose owner has nothing against
// colours (https://no-color.org).
func coloured(out io.Writer) bool {
	f, ok := out.(*os.File)
	if !ok || os.Getenv("NO_COLOR") != "" {
		return false
	}
	info, err := f.Stat()
	return err == nil && info.Mode()&os.ModeCharDevice != 0
}
