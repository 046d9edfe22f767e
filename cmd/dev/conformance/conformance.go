// Package conformance finds the tests that are named after a clause of a specification,
// and writes the page that says which clause is tested where.
//
//	t.Run("OIDC Core 5.3.1: user info by GET and by POST", ...)
//
// is a row; so is such a name in a table of cases. The page is made of the tests alone:
// what no test is named after does not stand there.
package conformance

import (
	"cmp"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"path"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// Page is where the page stands below the root of the repository.
const Page = "docs/conformance.md"

// folders are those whose tests are read.
func folders() []string {
	return []string{"cmd/stile/contract", "propagation", "propagation/provider"}
}

// row is one test of one clause.
type row struct{ spec, clause, what, test, file string }

var named = regexp.MustCompile(`^(OIDC [A-Z]\w+|OAuth Form Post|RP-Initiated Logout|Back-Channel Logout|RFC \d{4,5}|SP 800-63B-4|ASVS|EAP ACR Values) ([0-9]+(?:\.[0-9]+)*): (.+)$`)

// specifications are their full names, in the order of the page.
func specifications() [][2]string {
	return [][2]string{
		{"OIDC Core", "OpenID Connect Core 1.0"},
		{"OIDC Discovery", "OpenID Connect Discovery 1.0"},
		{"OAuth Form Post", "OAuth 2.0 Form Post Response Mode"},
		{"RP-Initiated Logout", "OpenID Connect RP-Initiated Logout 1.0"},
		{"Back-Channel Logout", "OpenID Connect Back-Channel Logout 1.0"},
		{"EAP ACR Values", "OpenID Connect Extended Authentication Profile ACR Values 1.0"},
		{"SP 800-63B-4", "NIST SP 800-63B-4"},
		{"ASVS", "OWASP ASVS 5.0.0"},
	}
}

// Render makes the page of the repository in fsys.
func Render(fsys fs.FS) (string, error) {
	var rows []row
	for _, folder := range folders() {
		files, err := fs.Glob(fsys, path.Join(folder, "*_test.go"))
		if err != nil {
			return "", err
		}
		for _, file := range files {
			found, err := read(fsys, file)
			if err != nil {
				return "", err
			}
			rows = append(rows, found...)
		}
	}
	if len(rows) == 0 {
		return "", fmt.Errorf("conformance: no test is named after a clause")
	}
	return render(rows), nil
}

func read(fsys fs.FS, file string) ([]row, error) {
	text, err := fs.ReadFile(fsys, file)
	if err != nil {
		return nil, err
	}
	parsed, err := parser.ParseFile(token.NewFileSet(), file, text, parser.SkipObjectResolution)
	if err != nil {
		return nil, err
	}
	var rows []row
	for _, d := range parsed.Decls {
		f, ok := d.(*ast.FuncDecl)
		if !ok || !strings.HasPrefix(f.Name.Name, "Test") {
			continue
		}
		ast.Inspect(f, func(n ast.Node) bool {
			literal, ok := n.(*ast.BasicLit)
			if !ok || literal.Kind != token.STRING {
				return true
			}
			name, err := strconv.Unquote(literal.Value)
			if m := named.FindStringSubmatch(name); err == nil && m != nil {
				rows = append(rows, row{m[1], m[2], m[3], f.Name.Name, file})
			}
			return true
		})
	}
	return rows, nil
}

func render(rows []row) string {
	order := map[string]int{}
	title := map[string]string{}
	for i, s := range specifications() {
		order[s[0]], title[s[0]] = i-len(specifications()), s[1] // RFCs come after them, all at 0
	}
	slices.SortFunc(rows, func(a, b row) int {
		return cmp.Or(
			cmp.Compare(order[a.spec], order[b.spec]), cmp.Compare(len(a.spec), len(b.spec)), cmp.Compare(a.spec, b.spec),
			slices.Compare(numbers(a.clause), numbers(b.clause)), cmp.Compare(a.what, b.what), cmp.Compare(a.test, b.test),
		)
	})
	var out strings.Builder
	out.WriteString("# Which clause is tested where\n\nMade from the names of the tests by `go run ./cmd/dev gen`. Each row is a test that runs a whole server, most of them by HTTP alone.\n")
	out.WriteString("The tests that need programs of others run them unchanged: `openid-client`, `oauth4webapi`, Apache `mod_auth_openidc`, `go-oidc`.\n")
	spec := ""
	for _, r := range rows {
		if r.spec != spec {
			spec = r.spec
			fmt.Fprintf(&out, "\n## %s\n\n| clause | what | test |\n|---|---|---|\n", cmp.Or(title[spec], spec))
		}
		fmt.Fprintf(&out, "| %s | %s | [`%s`](../%s) |\n", r.clause, strings.ReplaceAll(r.what, "|", "\\|"), r.test, r.file)
	}
	return out.String()
}

func numbers(clause string) []int {
	var out []int
	for part := range strings.SplitSeq(clause, ".") {
		n, err := strconv.Atoi(part)
		if err != nil {
			n = 0 // the pattern has digits only
		}
		out = append(out, n)
	}
	return out
}
