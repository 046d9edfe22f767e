package layers

import (
	"go/ast"
	"go/token"
	"path"
	"strconv"
	"strings"
)

// contextNote permits context.Background or context.TODO in library code. It
// stands at the end of the line or on the line above, and must give a reason:
//
//	//stile:background the sweeper outlives every request
const contextNote = "//stile:background "

// A ban forbids names of one standard package in library code.
type ban struct {
	path   string
	names  []string
	reason string
	note   bool // contextNote lifts it
}

func bans() []ban {
	return []ban{
		{"time", []string{"Now", "Since", "Until"}, "the clock is passed in", false},
		{"os", []string{"Getenv", "LookupEnv", "Environ", "ExpandEnv"}, "only cmd reads the environment", false},
		{"context", []string{"Background", "TODO"}, "the caller's context is passed in", true},
	}
}

// testCode are packages of tests' own: no program contains them, so they may
// do what a test file may.
func testCode() []string {
	return []string{"steps/steptest", "flows/store/storetest", "flows/store/servertest"}
}

// checkSource applies the source rules. Everywhere but in tests: no math/rand,
// no init function. In library code, which is everything but cmd and tests:
// none of the bans, and no dot import, which would hide them.
func checkSource(f file) []Problem {
	if f.test || matchAny(testCode(), f.dir) {
		return nil
	}
	problems := append(checkRandom(f), checkInit(f)...)
	if match("cmd/...", f.dir) {
		return problems
	}
	imports, dots := importNames(f)
	problems = append(problems, dots...)
	notes := noteLines(f)
	ast.Inspect(f.ast, func(n ast.Node) bool {
		sel, ok := n.(*ast.SelectorExpr)
		if !ok {
			return true
		}
		if p, bad := banned(f, sel, imports, notes); bad {
			problems = append(problems, p)
		}
		return true
	})
	return problems
}

func checkRandom(f file) []Problem {
	var problems []Problem
	for _, spec := range f.ast.Imports {
		p, _ := strconv.Unquote(spec.Path.Value)
		if p == "math/rand" || p == "math/rand/v2" {
			problems = append(problems, f.problem(spec.Pos(), "source", "%s is predictable; use crypto/rand", p))
		}
	}
	return problems
}

func checkInit(f file) []Problem {
	var problems []Problem
	for _, decl := range f.ast.Decls {
		if fn, ok := decl.(*ast.FuncDecl); ok && fn.Recv == nil && fn.Name.Name == "init" {
			problems = append(problems, f.problem(fn.Pos(), "source", "init functions hide order and cost; do it where it is needed"))
		}
	}
	return problems
}

// importNames maps the names under which a file knows its imports to their
// paths, and reports dot imports.
func importNames(f file) (map[string]string, []Problem) {
	names := map[string]string{}
	var dots []Problem
	for _, spec := range f.ast.Imports {
		p, _ := strconv.Unquote(spec.Path.Value)
		name := path.Base(p)
		if spec.Name != nil {
			name = spec.Name.Name
		}
		if name == "." {
			dots = append(dots, f.problem(spec.Pos(), "source", "a dot import hides where names come from"))
		}
		names[name] = p
	}
	return names, dots
}

// banned judges one selector. It also catches a banned function that is used
// as a value, because the call is not looked at.
func banned(f file, sel *ast.SelectorExpr, imports map[string]string, notes map[int]bool) (Problem, bool) {
	x, ok := sel.X.(*ast.Ident)
	if !ok || x.Obj != nil { // a local variable of that name
		return Problem{}, false
	}
	for _, b := range bans() {
		if imports[x.Name] != b.path {
			continue
		}
		line := f.set.Position(sel.Pos()).Line
		if b.note && (notes[line] || notes[line-1]) {
			continue
		}
		for _, name := range b.names {
			if sel.Sel.Name == name {
				return f.problem(sel.Pos(), "source", "%s.%s in library code: %s", b.path, name, b.reason), true
			}
		}
	}
	return Problem{}, false
}

func noteLines(f file) map[int]bool {
	lines := map[int]bool{}
	for _, group := range f.ast.Comments {
		for _, c := range group.List {
			reason, ok := strings.CutPrefix(c.Text, contextNote)
			if ok && strings.TrimSpace(reason) != "" {
				lines[lineOf(f.set, c.Pos())] = true
			}
		}
	}
	return lines
}

func lineOf(set *token.FileSet, pos token.Pos) int { return set.Position(pos).Line }
