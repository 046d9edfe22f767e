// Package layers holds the house rules of this repository that can be read off
// the source text, and checks a tree against them.
//
// There are four kinds of rule:
//
//   - arrows: which of our packages a package may import. The whole list is
//     [Arrows]; a package without a row in it is itself a problem, so nobody
//     adds a room to the house without saying what leads into it;
//   - third parties: gin appears only in the adapters, and the machine itself
//     (package flows) knows no third party but zap;
//   - source: no hidden clock, randomness, environment, context or init in
//     library code (see source.go);
//   - the top level of the repository holds nothing but the fixed names.
//
// Files are parsed one by one and not type-checked, so the whole tree takes
// milliseconds and a tree that does not compile can be checked as well. Build
// constraints are ignored: a file is held to the rules on every platform.
//
// Test files (*_test.go) may import anything. Folders named testdata or
// node_modules, folders that begin with a dot or an underscore, and nested
// modules are left out.
package layers

import (
	"fmt"
	"go/ast"
	"go/token"
	"io/fs"
	"slices"
	"strings"
)

// A Tree is what [Check] looks at.
type Tree struct {
	// FS holds the sources, rooted at the folder of go.mod.
	FS fs.FS
	// Module is the import path of that folder.
	Module string
	// Top lists the names at the top level of the repository. Leave out what
	// git ignores.
	Top []string
}

// A Problem is one breach of one rule.
type Problem struct {
	Pos  string // file:line:column, or just the file or folder
	Rule string // "arrow", "unknown-package", "third-party", "source", "top-level" or "syntax"
	Text string
}

// String renders the problem as compilers do: position, text, rule.
func (p Problem) String() string { return fmt.Sprintf("%s: %s [%s]", p.Pos, p.Text, p.Rule) }

// file is one parsed source file and where it stands in the house.
type file struct {
	dir  string // slash-separated folder below the root, "." for the root
	test bool
	set  *token.FileSet
	ast  *ast.File
}

func (f file) problem(pos token.Pos, rule, format string, args ...any) Problem {
	return Problem{Pos: f.set.Position(pos).String(), Rule: rule, Text: fmt.Sprintf(format, args...)}
}

// Check returns every breach in the tree, ordered by position. The error says
// that the tree could not be read; a file that does not parse is a problem
// and not an error.
func Check(tree Tree) ([]Problem, error) {
	files, problems, err := parse(tree.FS)
	if err != nil {
		return nil, err
	}
	for _, f := range files {
		problems = append(problems, checkImports(tree.Module, f)...)
		problems = append(problems, checkSource(f)...)
	}
	problems = append(problems, checkTop(tree.Top)...)
	slices.SortFunc(problems, func(a, b Problem) int { return strings.Compare(a.String(), b.String()) })
	return slices.Compact(problems), nil
}

func checkTop(names []string) []Problem {
	var problems []Problem
	for _, name := range names {
		if strings.HasPrefix(name, ".") || slices.Contains(topLevel(), name) {
			continue
		}
		problems = append(problems, Problem{Pos: name, Rule: "top-level", Text: "the top level of the repository is fixed; this name is not in it"})
	}
	return problems
}

func topLevel() []string {
	return []string{
		"cmd", "flows", "steps", "oidcclient", "propagation", "flowdefs",
		"go.mod", "go.sum", "README.md", "LICENSE", "docs",
	}
}
