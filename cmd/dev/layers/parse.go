package layers

import (
	"errors"
	"go/parser"
	"go/scanner"
	"go/token"
	"io/fs"
	"path"
	"strings"
)

// parse reads every Go file of the module. Files with syntax errors are
// reported and left out.
func parse(fsys fs.FS) ([]file, []Problem, error) {
	var files []file
	var problems []Problem
	err := fs.WalkDir(fsys, ".", func(name string, d fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case d.IsDir() && leftOut(fsys, name):
			return fs.SkipDir
		case d.IsDir() || path.Ext(name) != ".go" || strings.HasPrefix(path.Base(name), "."):
			return nil
		}
		f, err := parseFile(fsys, name)
		if list, ok := errors.AsType[scanner.ErrorList](err); ok {
			problems = append(problems, Problem{Pos: list[0].Pos.String(), Rule: "syntax", Text: list[0].Msg})
			return nil
		}
		if err != nil {
			return err
		}
		files = append(files, f)
		return nil
	})
	return files, problems, err
}

func parseFile(fsys fs.FS, name string) (file, error) {
	text, err := fs.ReadFile(fsys, name)
	if err != nil {
		return file{}, err
	}
	set := token.NewFileSet()
	tree, err := parser.ParseFile(set, name, text, parser.ParseComments)
	if err != nil {
		return file{}, err
	}
	return file{dir: path.Dir(name), test: strings.HasSuffix(name, "_test.go"), set: set, ast: tree}, nil
}

// leftOut reports folders that the go command does not look into either,
// node_modules, and modules of their own.
func leftOut(fsys fs.FS, dir string) bool {
	if dir == "." {
		return false
	}
	base := path.Base(dir)
	if base == "testdata" || base == "node_modules" || strings.HasPrefix(base, ".") || strings.HasPrefix(base, "_") {
		return true
	}
	_, err := fs.Stat(fsys, path.Join(dir, "go.mod"))
	return err == nil
}
