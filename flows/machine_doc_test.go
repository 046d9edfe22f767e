package flows_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"regexp"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// docs/machine.md has a row for every state, signal and move of the code, and for no other.
func TestMachineIsDocumented(t *testing.T) {
	t.Parallel()
	data, err := os.ReadFile("../docs/machine.md")
	if err != nil {
		t.Fatal(err)
	}
	for typ, c := range map[string]struct{ file, row string }{
		"signalKind": {"advance.go", "^\\| `(sig\\w+)` "},
		"moveKind":   {"advance.go", "^\\| `(move\\w+)` "},
		"Status":     {"view.go", "^\\| `([A-Z]\\w+)` "},
	} {
		var rows []string
		for _, m := range regexp.MustCompile("(?m)"+c.row).FindAllStringSubmatch(string(data), -1) {
			rows = append(rows, m[1])
		}
		slices.Sort(rows)
		if diff := cmp.Diff(constants(t, c.file, typ), rows); diff != "" {
			t.Errorf("%s (- code, + document):\n%s", typ, diff)
		}
	}
}

// constants lists the constants of a type, in a block whose first one names it.
func constants(t *testing.T, file, typ string) []string {
	t.Helper()
	tree, err := parser.ParseFile(token.NewFileSet(), file, nil, 0)
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, d := range tree.Decls {
		g, ok := d.(*ast.GenDecl)
		if !ok || g.Tok != token.CONST {
			continue
		}
		if id, ok := g.Specs[0].(*ast.ValueSpec).Type.(*ast.Ident); !ok || id.Name != typ {
			continue
		}
		for _, s := range g.Specs {
			for _, n := range s.(*ast.ValueSpec).Names {
				names = append(names, n.Name)
			}
		}
	}
	if len(names) == 0 {
		t.Fatalf("no constants of %s in %s", typ, file)
	}
	slices.Sort(names)
	return names
}
