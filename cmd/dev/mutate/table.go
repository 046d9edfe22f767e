// Package mutate shows that checks are tested: it takes each check away, one
// at a time, and expects a test to fail.
//
// The table is a folder of text files. Each file holds rows one after the
// other, so that a row is added by appending it:
//
//	# Anything between rows that begins with a number sign is a comment.
//	== totp: a code is used once
//	file: steps/totp/totp.go
//	test: ./steps/totp TestCodeIsUsedOnce
//	-- old --
//		if counter <= last {
//			return false
//		}
//	-- new --
//	-- end --
//
// The line after "==" names the row, uniquely in the whole table. "file" is
// the file to patch, below the root. "test" is a package, relative to the root
// and beginning with "./", and a regular expression as "go test -run" takes
// it. The text between "old" and "new" must occur exactly once in the file; it
// may be part of a line, a line, or several, with tabs as they stand in the
// file. The text between "new" and "end" replaces it and may be empty. The
// patched file must compile: where the patch leaves a variable unused, use it
// ("_ = ok").
//
// The tree is never touched: the patched file is laid over it with the
// -overlay flag of the go command.
package mutate

import (
	"errors"
	"fmt"
	"io/fs"
	"path"
	"path/filepath"
	"regexp"
	"strings"
)

// A Row is one mutant: a check, the patch that removes it, and the test that
// must then fail.
type Row struct {
	Name    string
	File    string // slash-separated, below the root
	Old     string // occurs exactly once in File
	New     string
	Package string // "./folder"
	Run     string // regular expression for -run
	Pos     string // where the row stands, "file:line"
}

// Patch returns the text with Old replaced. It fails unless Old occurs exactly
// once.
func (r Row) Patch(text string) (string, error) {
	if n := strings.Count(text, r.Old); n != 1 {
		return "", fmt.Errorf("the old text occurs %d times in %s, not once", n, r.File)
	}
	return strings.Replace(text, r.Old, r.New, 1), nil
}

// Load reads every *.txt file at the top of fsys, in the order of their
// names. The error joins all problems of all files, each with its position.
func Load(fsys fs.FS) ([]Row, error) {
	names, err := fs.Glob(fsys, "*.txt")
	if err != nil {
		return nil, err
	}
	var rows []Row
	var problems []error
	seen := map[string]string{}
	for _, name := range names {
		text, err := fs.ReadFile(fsys, name)
		if err != nil {
			return nil, err
		}
		more, err := Parse(name, string(text))
		problems = append(problems, err)
		for _, r := range more {
			if first, ok := seen[r.Name]; ok {
				problems = append(problems, fmt.Errorf("%s: the name %q is taken at %s", r.Pos, r.Name, first))
			}
			seen[r.Name] = r.Pos
		}
		rows = append(rows, more...)
	}
	return rows, errors.Join(problems...)
}

// Parse reads the rows of one file. The error joins all problems.
func Parse(file, text string) ([]Row, error) {
	p := parser{file: file}
	for line := range strings.Lines(strings.ReplaceAll(text, "\r\n", "\n")) {
		p.n++
		p.line(line)
	}
	p.begin("", 0)
	return p.rows, errors.Join(p.problems...)
}

type parser struct {
	file     string
	n        int
	row      *Row
	block    *strings.Builder // the open text block
	old, new *strings.Builder
	ended    bool
	rows     []Row
	problems []error
}

func (p *parser) errorf(format string, args ...any) {
	p.problems = append(p.problems, fmt.Errorf("%s:%d: %s", p.file, p.n, fmt.Sprintf(format, args...)))
}

func (p *parser) line(line string) {
	bare := strings.TrimRight(line, "\n")
	name, isRow := strings.CutPrefix(bare, "== ")
	switch {
	case isRow: // also inside a block, so that a forgotten end costs one row only
		p.begin(strings.TrimSpace(name), p.n)
	case p.row == nil:
		if bare != "" && !strings.HasPrefix(bare, "#") {
			p.errorf("expected \"== name\", a comment or an empty line")
		}
	case bare == "-- old --":
		p.old = p.open(p.old)
	case bare == "-- new --":
		p.new = p.open(p.new)
	case bare == "-- end --":
		p.block, p.ended = nil, true
	case p.block != nil:
		p.block.WriteString(line)
	default:
		p.field(bare)
	}
}

func (p *parser) open(used *strings.Builder) *strings.Builder {
	if used != nil {
		p.errorf("the block stands twice")
	}
	p.block = &strings.Builder{}
	return p.block
}

func (p *parser) field(line string) {
	key, value, _ := strings.Cut(line, ":")
	value = strings.TrimSpace(value)
	switch {
	case key == "file" && p.row.File == "":
		p.row.File = value
	case key == "test" && p.row.Package == "":
		pkg, run, _ := strings.Cut(value, " ")
		p.row.Package, p.row.Run = pkg, strings.TrimSpace(run)
	case line == "" || strings.HasPrefix(line, "#"):
	default:
		p.errorf("unknown or repeated line %q", line)
	}
}

// begin finishes the row before and starts the next; an empty name starts
// none.
func (p *parser) begin(name string, n int) {
	if p.row != nil {
		p.finish()
	}
	p.row, p.block, p.old, p.new, p.ended = nil, nil, nil, nil, false
	if name != "" {
		p.row = &Row{Name: name, Pos: fmt.Sprintf("%s:%d", p.file, n)}
	}
}

func (p *parser) finish() {
	r := *p.row
	if p.old == nil || p.new == nil || !p.ended {
		p.problems = append(p.problems, fmt.Errorf("%s: %q needs the blocks old and new, and an end", r.Pos, r.Name))
		return
	}
	// The last line break belongs to the format, so that part of a line can be
	// replaced; with nothing to put in its place, whole lines leave an empty one.
	r.Old = strings.TrimSuffix(p.old.String(), "\n")
	r.New = strings.TrimSuffix(p.new.String(), "\n")
	if err := r.validate(); err != nil {
		p.problems = append(p.problems, fmt.Errorf("%s: %q: %w", r.Pos, r.Name, err))
		return
	}
	p.rows = append(p.rows, r)
}

func (r Row) validate() error {
	_, badRun := regexp.Compile(r.Run)
	switch {
	case strings.TrimSpace(r.Old) == "":
		return errors.New("the old text is empty")
	case r.Old == r.New:
		return errors.New("old and new are the same")
	case r.File == "" || !filepath.IsLocal(filepath.FromSlash(r.File)) || path.Clean(r.File) != r.File:
		return fmt.Errorf("file %q is not a clean path below the root", r.File)
	case strings.HasSuffix(r.File, "_test.go"):
		return errors.New("a test is not a check")
	case !strings.HasPrefix(r.Package, "./") || strings.Contains(r.Package, "..."):
		return fmt.Errorf("test package %q is not one folder that begins with ./", r.Package)
	case r.Run == "" || badRun != nil:
		return fmt.Errorf("test %q is not a regular expression that names a test", r.Run)
	}
	return nil
}
