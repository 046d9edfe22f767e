package flowdefs

import (
	"bytes"
	"cmp"
	"fmt"
	"io"
	"io/fs"
	"path"
	"slices"
	"strings"
)

// Problem is one mistake in a definition.
type Problem struct {
	Pos     Pos
	Message string
}

// Error returns "file:line:column: message".
func (p Problem) Error() string { return fmt.Sprintf("%s: %s", p.Pos, p.Message) }

// Problems is every mistake of all files of one load, ordered by file and position.
type Problems []Problem

// Error lists all problems, one a line.
func (ps Problems) Error() string {
	lines := make([]string, len(ps))
	for i, p := range ps {
		lines[i] = p.Error()
	}
	return strings.Join(lines, "\n")
}

func (ps Problems) sorted() Problems {
	slices.SortStableFunc(ps, func(a, b Problem) int {
		return cmp.Or(strings.Compare(a.Pos.File, b.Pos.File), a.Pos.Line-b.Pos.Line,
			a.Pos.Column-b.Pos.Column, strings.Compare(a.Message, b.Message))
	})
	return slices.Compact(ps)
}

// Load reads every *.yaml file (not *.test.yaml) of dir in fsys. All mistakes of all files come back
// together as [Problems]; a set is returned only if there is none.
//
// A directory or file that cannot be read is an error that is not Problems.
func Load(fsys fs.FS, dir string, cat Catalogue) (*Set, error) {
	names, err := definitionFiles(fsys, dir)
	if err != nil {
		return nil, err
	}
	l, err := newLoader(cat)
	if err != nil {
		return nil, err
	}
	var roots []*node
	for _, name := range names {
		data, err := readLimited(fsys, path.Join(dir, name))
		if err != nil {
			return nil, fmt.Errorf("flowdefs: %w", err)
		}
		root, problems := parseYAML(name, data, maxFile)
		l.problems = append(l.problems, problems...)
		l.broken = l.broken || len(problems) > 0
		if root == nil {
			continue
		}
		if _, ok := l.object(root, "the file", sections()); ok {
			roots = append(roots, root)
		}
	}
	for _, first := range []string{"levels", "subflows"} { // of all files: any flow may use any of them
		for _, root := range roots {
			l.file(root, first)
		}
	}
	l.levels()
	for _, root := range roots {
		l.file(root, sections()[2:]...)
	}
	l.checkReferences()
	l.compose()
	l.checkHomes()
	l.checkUnused()
	if err := l.checkMessages(); err != nil {
		return nil, err
	}
	if len(l.problems) > 0 {
		return nil, l.problems.sorted()
	}
	return l.set, nil
}

// definitionFiles returns the names of the files to load, sorted.
func definitionFiles(fsys fs.FS, dir string) ([]string, error) {
	entries, err := fs.ReadDir(fsys, dir)
	if err != nil {
		return nil, fmt.Errorf("flowdefs: %w", err)
	}
	var names []string
	for _, e := range entries {
		if name := e.Name(); !e.IsDir() && strings.HasSuffix(name, ".yaml") && !strings.HasSuffix(name, ".test.yaml") {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return names, nil
}

// readLimited reads a file, but not more of it than shows that it is too large.
func readLimited(fsys fs.FS, name string) ([]byte, error) {
	f, err := fsys.Open(name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	var b bytes.Buffer
	if _, err := io.Copy(&b, io.LimitReader(f, maxFile+1)); err != nil {
		return nil, err
	}
	return b.Bytes(), nil
}

// Parse reads the canonical text of one flow ([Flow].Source), as kept with a
// run that is pinned to it. References to providers are not checked again.
func Parse(source []byte, cat Catalogue) (*Flow, error) {
	l, err := newLoader(cat)
	if err != nil {
		return nil, err
	}
	root, problems := parseYAML("source", source, maxSource)
	if len(problems) > 0 {
		return nil, problems.sorted()
	}
	if root == nil || len(root.keys) != 1 || root.get("flows") == nil || len(root.get("flows").keys) != 1 {
		return nil, Problems{{Pos{"source", 1, 1}, "expected one flow and nothing else"}}
	}
	l.canonical = true
	l.file(root, "flows")
	if len(l.problems) > 0 {
		return nil, l.problems.sorted()
	}
	for _, f := range l.set.Flows {
		return f, nil
	}
	return nil, Problems{{Pos{"source", 1, 1}, "expected one flow and nothing else"}}
}
