package docs_test

import (
	"encoding/json"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"maps"
	"os"
	"path"
	"reflect"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"go.yaml.in/yaml/v4"

	"github.com/stile-auth/stile/flowdefs"
	"github.com/stile-auth/stile/flows"
	"github.com/stile-auth/stile/flows/httpapi"
)

// parse reads a Go file of the repository.
func parse(t *testing.T, name string) *ast.File {
	t.Helper()
	f, err := parser.ParseFile(token.NewFileSet(), path.Join(root, name), nil, parser.SkipObjectResolution)
	if err != nil {
		t.Fatal(err)
	}
	return f
}

// text is the value of a string literal, "" of anything else.
func text(e ast.Expr) string {
	literal, ok := e.(*ast.BasicLit)
	if !ok || literal.Kind != token.STRING {
		return ""
	}
	s, err := strconv.Unquote(literal.Value)
	if err != nil {
		return ""
	}
	return s
}

// constants returns the values of a file's string constants whose names begin with prefix.
func constants(t *testing.T, name, prefix string) []string {
	t.Helper()
	var values []string
	ast.Inspect(parse(t, name), func(n ast.Node) bool {
		spec, ok := n.(*ast.ValueSpec)
		if ok && len(spec.Values) == 1 && strings.HasPrefix(spec.Names[0].Name, prefix) && text(spec.Values[0]) != "" {
			values = append(values, text(spec.Values[0]))
		}
		return true
	})
	if len(values) == 0 {
		t.Fatalf("%s has no constants %s...", name, prefix)
	}
	return values
}

// named reports the words that a page does not have in backticks.
func named(t *testing.T, pageName string, words []string) {
	t.Helper()
	if len(words) == 0 {
		t.Errorf("%s: nothing to look for", pageName)
	}
	page := source(t, pageName)
	for _, word := range words {
		if !strings.Contains(page, "`"+word+"`") {
			t.Errorf("%s does not name `%s`", pageName, word)
		}
	}
}

func TestEveryProblemCode(t *testing.T) {
	t.Parallel()
	codes := append(constants(t, "flows/errors.go", "Code"), constants(t, "flows/httpapi/problem.go", "Code")...)
	named(t, "docs/api.md", codes)
	named(t, "docs/guide-mobile.md", codes)
}

func TestEveryEvent(t *testing.T) {
	t.Parallel()
	events := append(constants(t, "flows/events.go", "Event"), constants(t, "cmd/stile/users/users.go", "Event")...)
	named(t, "docs/operations.md", events)
	named(t, "docs/guide-security.md", events)
}

// A row of the table of step types: what they are about, and their names.
var row = regexp.MustCompile("(?m)^\\| [a-z ]+ \\| ((?:`[a-z_]+` ?)+)\\|$")

// The table of README.md is the list of step types, no more and no less.
func TestEveryStepType(t *testing.T) {
	t.Parallel()
	var shown, names, codes []string
	for _, m := range row.FindAllStringSubmatch(source(t, "README.md"), -1) {
		shown = append(shown, strings.Fields(strings.ReplaceAll(m[1], "`", ""))...)
	}
	for _, typ := range stepTypes(t) {
		names = append(names, typ.Name)
		if typ.Code != "" {
			codes = append(codes, typ.Code)
		}
	}
	slices.Sort(shown)
	if diff := cmp.Diff(slices.Sorted(slices.Values(names)), shown); diff != "" {
		t.Errorf("README.md lists other step types (-want +got):\n%s", diff)
	}
	named(t, "docs/language.md", names)
	named(t, "docs/guide-mobile.md", append(codes, flows.CodeSelection, flows.CodeWait))
}

var route = regexp.MustCompile(`r\.(POST|GET|DELETE)\("([^"]+)"`)

func TestEveryCall(t *testing.T) {
	t.Parallel()
	var calls []string
	for _, m := range route.FindAllStringSubmatch(source(t, "flows/httpapi/api.go"), -1) {
		calls = append(calls, m[1]+" "+strings.ReplaceAll(m[2], ":stepId", "{stepId}"))
	}
	for _, p := range constants(t, "propagation/documents.go", "Path") {
		calls = append(calls, "GET "+p)
	}
	named(t, "docs/api.md", calls)
}

var metric = regexp.MustCompile(`Name: "(stile_[a-z_]+)"`)

func TestEveryMetric(t *testing.T) {
	t.Parallel()
	var names []string
	for _, m := range metric.FindAllStringSubmatch(source(t, "flows/httpapi/metrics.go"), -1) {
		names = append(names, m[1])
	}
	named(t, "docs/operations.md", names)
}

// The claims that the issuer writes, and the names that nobody else may write.
func TestEveryClaim(t *testing.T) {
	t.Parallel()
	var written, reserved []string
	ast.Inspect(parse(t, "propagation/bearer.go"), func(n ast.Node) bool {
		switch e := n.(type) {
		case *ast.IndexExpr:
			if x, ok := e.X.(*ast.Ident); ok && x.Name == "claims" && text(e.Index) != "" {
				written = append(written, text(e.Index))
			}
		case *ast.FuncDecl:
			if e.Name.Name == "reservedClaims" {
				reserved = words(e.Body)
			}
		}
		return true
	})
	named(t, "docs/guide-relying-party.md", written)
	named(t, "docs/language.md", reserved)
}

// words are the string literals below a node.
func words(n ast.Node) []string {
	var all []string
	ast.Inspect(n, func(n ast.Node) bool {
		if e, ok := n.(*ast.BasicLit); ok && text(e) != "" {
			all = append(all, text(e))
		}
		return true
	})
	return all
}

// Every key that the loader knows is in the manual of the language, and every
// field that an expression can read.
func TestEveryKeyOfTheLanguage(t *testing.T) {
	t.Parallel()
	files, err := fs.Glob(os.DirFS(root), "flowdefs/*.go")
	if err != nil {
		t.Fatal(err)
	}
	var keys []string
	for _, name := range files {
		ast.Inspect(parse(t, name), func(n ast.Node) bool {
			call, ok := n.(*ast.CallExpr)
			if !ok || len(call.Args) != 3 {
				return true
			}
			if f, ok := call.Fun.(*ast.SelectorExpr); ok && f.Sel.Name == "object" {
				keys = append(keys, words(call.Args[2])...)
			}
			return true
		})
	}
	ast.Inspect(parse(t, "flowdefs/fields.go"), func(n ast.Node) bool {
		if f, ok := n.(*ast.FuncDecl); ok && f.Name.Name == "evidenceFields" {
			ast.Inspect(f.Body, func(n ast.Node) bool {
				if pair, ok := n.(*ast.KeyValueExpr); ok && text(pair.Key) != "" {
					keys = append(keys, text(pair.Key))
				}
				return true
			})
		}
		return true
	})
	// One key of each file of the reader: none of them may go unread.
	for _, key := range []string{"handlers", "settles", "counts", "oblige", "delay", "parameters", "authorize", "provision", "origins", "user_present"} {
		if !slices.Contains(keys, key) {
			t.Errorf("the key %s was not found: %q", key, keys)
		}
	}
	named(t, "docs/language.md", append(keys, "levels", "flows", "subflows", "targets", "providers", "directories", "clients", "messages"))
}

var textID = regexp.MustCompile(`(?m)^    ([a-z][a-z0-9._-]*): `)

// Every code of a problem and of a prompt, and everything that is typed in, has a
// text in each built-in language.
func TestEveryCodeHasTexts(t *testing.T) {
	t.Parallel()
	var needed []string
	for _, code := range append(constants(t, "flows/errors.go", "Code"), constants(t, "flows/httpapi/problem.go", "Code")...) {
		needed = append(needed, flowdefs.FailureMessage(code))
	}
	for _, prompt := range httpapi.Prompts(stepTypes(t)) {
		needed = append(needed, flowdefs.PromptMessage(prompt.Code))
	}
	for _, typ := range stepTypes(t) {
		var input struct {
			Properties map[string]struct{ Pattern, Type string }
		}
		if typ.Input == nil {
			continue
		}
		if err := json.Unmarshal(typ.Input, &input); err != nil {
			t.Fatal(err)
		}
		for name := range input.Properties {
			if !slices.Contains([]string{"jws", "queryString", "redirectUri", "form", "again", "cancelled", "attestation", "assertion", "idToken", "accessToken"}, name) { // made by apps, typed by nobody
				needed = append(needed, "field."+name)
			}
		}
	}
	for _, file := range []string{"en", "de"} {
		var have []string
		for _, m := range textID.FindAllStringSubmatch(source(t, "flowdefs/texts/"+file+".yaml"), -1) {
			have = append(have, m[1])
		}
		for _, id := range needed {
			if !slices.Contains(have, id) {
				t.Errorf("flowdefs/texts/%s.yaml has no %s", file, id)
			}
		}
		if file == "en" {
			needed = have // and what one language has the others have
		}
	}
}

// members returns the json names of a file's structs of those names.
func members(t *testing.T, name string, structs ...string) []string {
	t.Helper()
	var all []string
	ast.Inspect(parse(t, name), func(n ast.Node) bool {
		spec, ok := n.(*ast.TypeSpec)
		if !ok || !slices.Contains(structs, spec.Name.Name) {
			return true
		}
		s, ok := spec.Type.(*ast.StructType)
		if !ok {
			return true
		}
		for _, f := range s.Fields.List {
			if f.Tag != nil {
				tag, _, _ := strings.Cut(reflect.StructTag(text(f.Tag)).Get("json"), ",")
				all = append(all, tag)
			}
		}
		return true
	})
	if len(all) == 0 {
		t.Errorf("%s has no structs %q with members", name, structs)
	}
	return all
}

// Whatever an app is sent or has to send is in its guide.
func TestEveryMemberOnTheWire(t *testing.T) {
	t.Parallel()
	var sent []string
	for _, typ := range stepTypes(t) {
		if typ.Code == "" { // never asks
			continue
		}
		for _, schema := range []json.RawMessage{typ.Prompt, typ.Input} {
			var s struct{ Properties map[string]any }
			if err := json.Unmarshal(schema, &s); err != nil {
				t.Fatalf("%s: %v", typ.Name, err)
			}
			sent = slices.AppendSeq(sent, maps.Keys(s.Properties))
		}
	}
	sent = append(sent, members(t, "steps/devicejws/binding.go", "bindingHeader", "bindingClaims")...)
	sent = append(sent, members(t, "steps/devicejws/authentication.go", "authenticationHeader", "authenticationClaims")...)
	sent = append(sent, members(t, "flows/choose.go", "offer", "selection")...)
	named(t, "docs/guide-mobile.md", sent)
	named(t, "docs/api.md", members(t, "flows/httpapi/start.go", "startBody"))
}

var room = regexp.MustCompile(`^( *)((?:[a-z/]+/ +)+)`)

// The rooms of the house are there, and no top-level folder is missing.
func TestHouse(t *testing.T) {
	t.Parallel()
	readme := pages(t)[0]
	i := slices.IndexFunc(readme.blocks, func(b block) bool { return strings.HasPrefix(b.text, "cmd/stile/") })
	if i < 0 {
		t.Fatal("README.md does not show the house")
	}
	shown, parent := map[string]bool{}, ""
	for line := range strings.SplitSeq(readme.blocks[i].text, "\n") {
		m := room.FindStringSubmatch(line)
		if m == nil {
			continue
		}
		if m[1] == "" {
			parent = ""
		}
		for _, name := range strings.Fields(m[2]) {
			shown[parent+name] = true
			if _, err := os.Stat(path.Join(root, parent+name)); err != nil {
				t.Errorf("README.md: there is no %s", parent+name)
			}
		}
		if m[1] == "" {
			parent = strings.Fields(m[2])[0]
		}
	}
	for _, pattern := range []string{"*", "flows/*"} {
		folders, err := fs.Glob(os.DirFS(root), pattern)
		if err != nil {
			t.Fatal(err)
		}
		for _, f := range folders {
			info, err := os.Stat(path.Join(root, f))
			known := shown[f+"/"] || slices.Contains([]string{"cmd", "docs", "flows/testdata"}, f) || strings.HasPrefix(f, ".")
			if err == nil && info.IsDir() && !known {
				t.Errorf("README.md does not show %s", f)
			}
		}
	}
}

// configKey is one key of the configuration file.
type configKey struct{ name, def, doc string }

// configKeys reads the tags of the configuration's structs.
func configKeys(t *testing.T) []configKey {
	t.Helper()
	structs := map[string]*ast.StructType{}
	ast.Inspect(parse(t, "cmd/stile/config/config.go"), func(n ast.Node) bool {
		if spec, ok := n.(*ast.TypeSpec); ok {
			if s, ok := spec.Type.(*ast.StructType); ok {
				structs[spec.Name.Name] = s
			}
		}
		return true
	})
	var all []configKey
	var walk func(name, prefix string)
	walk = func(name, prefix string) {
		for _, f := range structs[name].Fields.List {
			tag := reflect.StructTag(text(f.Tag))
			key := prefix + tag.Get("yaml")
			all = append(all, configKey{key, tag.Get("default"), tag.Get("doc")})
			typ, inner := f.Type, "."
			if m, ok := typ.(*ast.MapType); ok {
				typ, inner = m.Value, ".<name>."
			}
			if id, ok := typ.(*ast.Ident); ok && structs[id.Name] != nil {
				walk(id.Name, key+inner)
			}
		}
	}
	walk("Config", "")
	return all
}

// The reference of the configuration says of every key what its tags say.
func TestEveryConfigurationKey(t *testing.T) {
	t.Parallel()
	manual := source(t, "docs/operations.md")
	for _, k := range configKeys(t) {
		def := ""
		if k.def != "" {
			def = "`" + k.def + "`"
		}
		line := fmt.Sprintf("| `%s` | %s | %s |", k.name, def, k.doc)
		if !strings.Contains(manual, line+"\n") {
			t.Errorf("docs/operations.md lacks the line\n%s", line)
		}
	}
}

func TestConfigurationFiles(t *testing.T) {
	t.Parallel()
	var known []string
	for _, k := range configKeys(t) {
		known = append(known, k.name)
	}
	seen := 0
	for _, p := range pages(t) {
		for _, b := range p.blocks {
			if b.language != "yaml config" {
				continue
			}
			seen++
			var tree map[string]any
			if err := yaml.Unmarshal([]byte(b.text), &tree); err != nil {
				t.Errorf("%s:%d: %v", p.name, b.line, err)
			}
			for _, key := range keysOf(tree, "") {
				if !slices.Contains(known, key) {
					t.Errorf("%s:%d: there is no key %s", p.name, b.line, key)
				}
			}
		}
	}
	if seen == 0 {
		t.Error("no configuration is shown")
	}
}

// keysOf lists the keys of a configuration; the names of providers and the like are <name>.
func keysOf(tree map[string]any, prefix string) []string {
	var all []string
	for name, value := range tree {
		if slices.Contains([]string{"providers.", "directories.", "gateway.resources.", "gateway.api_keys.", "gateway.apps."}, prefix) {
			name = "<name>"
		} else {
			all = append(all, prefix+name)
		}
		if inner, ok := value.(map[string]any); ok {
			all = append(all, keysOf(inner, prefix+name+".")...)
		}
	}
	return all
}
