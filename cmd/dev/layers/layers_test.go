package layers_test

import (
	"strings"
	"testing"
	"testing/fstest"

	"github.com/google/go-cmp/cmp"

	"github.com/stile-auth/stile/cmd/dev/layers"
)

const module = "example.org/house"

// check runs the rules over a tree of the given files and returns what they
// say, one "rule: position" per problem.
func check(t *testing.T, files map[string]string, top ...string) []string {
	t.Helper()
	fsys := fstest.MapFS{}
	for name, text := range files {
		fsys[name] = &fstest.MapFile{Data: []byte(text)}
	}
	problems, err := layers.Check(layers.Tree{FS: fsys, Module: module, Top: top})
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, p := range problems {
		got = append(got, p.Rule+": "+p.Pos)
	}
	return got
}

func TestArrows(t *testing.T) {
	t.Parallel()
	const own = module + "/"
	tests := []struct {
		from, to string
		ok       bool
	}{
		// The spine, downwards and upwards.
		{"flowdefs", own + "flows/assurance", true},
		{"flows/assurance", own + "flowdefs", false},
		{"flows", own + "flowdefs", true},
		{"flows", own + "flows/assurance", true},
		{"flowdefs", own + "flows", false},
		{"flows", own + "flows/account", false},
		{"flows", own + "steps/totp", false},
		{"flows", own + "flows/store/memory", false},
		// Leaves.
		{"flows/account", own + "flows/assurance", false},
		{"flows/dpop", own + "flows/account", false},
		{"oidcclient", own + "flows", false},
		{"oidcclient", own + "oidcclient/oidctest", false},
		{"oidcclient/oidctest", own + "oidcclient", false},
		{"oidcclient/oidctest/browser", own + "oidcclient/oidctest", false},
		{"steps/sso", own + "oidcclient/oidctest", false},
		{"flowdefs/examples", own + "flowdefs", false},
		// Steps.
		{"steps/totp", own + "flows", true},
		{"steps/totp", own + "flows/account", true},
		{"steps/sso", own + "oidcclient", true},
		{"steps/totp", own + "steps/pin", false},
		{"steps/totp", own + "steps", false},
		{"steps/totp", own + "steps/steptest", false},
		{"steps/totp", own + "flows/store/memory", false},
		{"steps", own + "steps/totp", true},
		{"steps", own + "flows/account", true},
		{"steps", own + "steps/steptest", false},
		{"steps", own + "propagation", false},
		{"steps/steptest", own + "flows", true},
		{"steps/steptest", own + "steps/totp", false},
		// Beside the machine.
		{"flows/prove", own + "flows", true},
		{"flows/prove", own + "flows/account", false},
		{"flows/audit", own + "flows/store/memory", false},
		{"flows/scenario", own + "flows/account", true},
		{"flows/scenario", own + "flows/httpapi", false},
		{"flows/store/sqlite", own + "flows/account", true},
		{"flows/store/sqlite", own + "flows/store/memory", false},
		{"flows/store/sqlite", own + "flows/store/storetest", false},
		{"flows/store/postgres", own + "flows/store/servertest", false},
		{"flows/store/postgres", own + "flows/store/atrest", true},
		{"flows/store/postgres", own + "flows/store/sqlite", false},
		{"flows/store/storetest", own + "flows", true},
		{"flows/store/storetest", own + "flows/store/memory", false},
		// Adapters.
		{"flows/httpapi", own + "flows/dpop", true},
		{"flows/httpapi", own + "flows/account", true},
		{"flows/httpapi", own + "propagation", false},
		{"flows/httpapi", own + "flows/adminapi", false},
		{"flows/adminapi", own + "propagation/rp", true},
		{"flows/webui", own + "propagation/rp", false},
		{"propagation", own + "flows", true},
		{"propagation", own + "flows/account", false},
		{"propagation", own + "propagation/rp", false},
		{"propagation/provider", own + "propagation", true},
		{"propagation/provider", own + "propagation/gateway", false},
		{"propagation/gateway", own + "propagation/rp", true},
		{"propagation/rp", own + "flows/dpop", true},
		{"propagation/rp", own + "propagation", false},
		// Commands.
		{"cmd/stile", own + "flows/store/sqlite", true},
		{"cmd/stile", own + "oidcclient/oidctest", true},
		{"cmd/stile", own + "cmd/stile/demo", true},
		{"cmd/stile", own + "cmd/dev", false},
		{"cmd/dev", own + "flows/store/storetest", true},
		{"cmd/dev", own + "cmd/stile", false},
		{"cmd/stile/demo/app", own + "flows", false},
		{"cmd/stile/demo/app", own + "oidcclient", false},
		{"cmd/stile/demo/bank", own + "propagation/rp", false},
		{"cmd/stile/demo/bank", own + "cmd/stile/demo/app", false},
		{"flows", own + "cmd/stile", false},
	}
	for _, tt := range tests {
		t.Run(tt.from+" imports "+strings.TrimPrefix(tt.to, own), func(t *testing.T) {
			t.Parallel()
			got := check(t, map[string]string{tt.from + "/x.go": "package x\n\nimport _ \"" + tt.to + "\"\n"})
			var want []string
			if !tt.ok {
				want = []string{"arrow: " + tt.from + "/x.go:3:8"}
			}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("problems (-want +got):\n%s", diff)
			}
		})
	}
}

func TestThirdParties(t *testing.T) {
	t.Parallel()
	const gin = "github.com/gin-gonic/gin"
	tests := []struct {
		from, to string
		ok       bool
	}{
		{"flows", "context", true},
		{"flows", "go.uber.org/zap", true},
		{"flows", "go.uber.org/zap/zapcore", true},
		{"flows", "golang.org/x/sync/errgroup", false},
		{"flows", gin, false},
		{"flows/account", "golang.org/x/crypto/argon2", true},
		{"flows/account", gin, false},
		{"flows/account", "github.com/gin-contrib/cors", false},
		{"steps/totp", gin, false},
		{"steps/steptest", gin, false},
		{"oidcclient", gin, false},
		{"propagation", gin, false},
		{"flows/httpapi", gin, true},
		{"flows/adminapi", gin, true},
		{"flows/webui", gin, true},
		{"propagation/provider", gin, true},
		{"propagation/gateway", gin, true},
		{"propagation/rp", gin, true},
		{"oidcclient/oidctest", gin, true},
		{"cmd/stile/demo/bank", gin, true},
	}
	for _, tt := range tests {
		t.Run(tt.from+" imports "+tt.to, func(t *testing.T) {
			t.Parallel()
			got := check(t, map[string]string{tt.from + "/x.go": "package x\n\nimport _ \"" + tt.to + "\"\n"})
			if ok := len(got) == 0; ok != tt.ok {
				t.Errorf("problems: %q, want none: %v", got, tt.ok)
			}
		})
	}
}

func TestSourceRules(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name, file, text string
		want             []string
	}{
		{"clock call", "flows/a.go", "package a\n\nimport \"time\"\n\nvar T = time.Now()\n", []string{"source: flows/a.go:5:9"}},
		{"clock as value", "flows/a.go", "package a\n\nimport \"time\"\n\nvar T = time.Now\n", []string{"source: flows/a.go:5:9"}},
		{"clock under another name", "flows/a.go", "package a\n\nimport t \"time\"\n\nvar T = t.Now()\n", []string{"source: flows/a.go:5:9"}},
		{"clock in disguise", "flows/a.go", "package a\n\nimport \"time\"\n\nvar T = time.Since(time.Time{})\n", []string{"source: flows/a.go:5:9"}},
		{"dot import", "flows/a.go", "package a\n\nimport . \"time\"\n\nvar T = Now()\n", []string{"source: flows/a.go:3:8"}},
		{"a variable named time", "flows/a.go", "package a\n\ntype c struct{ Now int }\n\nfunc f(time c) int { return time.Now }\n", nil},
		{"clock in a test", "flows/a_test.go", "package a\n\nimport \"time\"\n\nvar T = time.Now()\n", nil},
		{"clock in cmd", "cmd/stile/a.go", "package a\n\nimport \"time\"\n\nvar T = time.Now()\n", nil},
		{"clock in a harness", "steps/steptest/a.go", "package a\n\nimport \"time\"\n\nvar T = time.Now()\n", nil},
		{"clock in the provider in a box", "oidcclient/oidctest/a.go", "package a\n\nimport \"time\"\n\nvar T = time.Now()\n", []string{"source: oidcclient/oidctest/a.go:5:9"}},
		{"random", "cmd/stile/a.go", "package a\n\nimport _ \"math/rand\"\n", []string{"source: cmd/stile/a.go:3:8"}},
		{"random, second edition", "flows/a.go", "package a\n\nimport _ \"math/rand/v2\"\n", []string{"source: flows/a.go:3:8"}},
		{"init", "cmd/stile/a.go", "package a\n\nfunc init() {}\n", []string{"source: cmd/stile/a.go:3:1"}},
		{"method named init", "flows/a.go", "package a\n\ntype c struct{}\n\nfunc (c) init() {}\n", nil},
		{"environment", "flows/a.go", "package a\n\nimport \"os\"\n\nvar T, _ = os.LookupEnv(\"X\")\n", []string{"source: flows/a.go:5:12"}},
		{"environment in cmd", "cmd/stile/a.go", "package a\n\nimport \"os\"\n\nvar T = os.Getenv(\"X\")\n", nil},
		{"context", "flows/a.go", "package a\n\nimport \"context\"\n\nvar T = context.Background()\n", []string{"source: flows/a.go:5:9"}},
		{"context with a reason", "flows/a.go", "package a\n\nimport \"context\"\n\n//stile:background outlives requests\nvar T = context.Background()\n", nil},
		{"context with a note but no reason", "flows/a.go", "package a\n\nimport \"context\"\n\nvar T = context.TODO() //stile:background \n", []string{"source: flows/a.go:5:9"}},
		{"note lifts nothing else", "flows/a.go", "package a\n\nimport \"time\"\n\nvar T = time.Now() //stile:background because\n", []string{"source: flows/a.go:5:9"}},
		{"syntax", "flows/a.go", "package a\n\nfunc {\n", []string{"syntax: flows/a.go:3:6"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			if diff := cmp.Diff(tt.want, check(t, map[string]string{tt.file: tt.text})); diff != "" {
				t.Errorf("problems (-want +got):\n%s", diff)
			}
		})
	}
}

func TestUnknownPackageNeedsRow(t *testing.T) {
	t.Parallel()
	for _, dir := range []string{"flows/extra", "steps/totp/deeper", "propagation/extra", "flowdefs/extra", "oidcclient/extra", "other"} {
		got := check(t, map[string]string{dir + "/x.go": "package x\n"})
		if diff := cmp.Diff([]string{"unknown-package: " + dir + "/x.go:1:1"}, got); diff != "" {
			t.Errorf("%s: problems (-want +got):\n%s", dir, diff)
		}
	}
}

func TestLeftOut(t *testing.T) {
	t.Parallel()
	bad := "package x\n\nimport _ \"" + module + "/cmd/stile\"\n"
	got := check(t, map[string]string{
		"flows/x_test.go":               bad,
		"flows/testdata/x.go":           bad,
		"flows/.hidden/x.go":            bad,
		"flows/_parked/x.go":            bad,
		"docs/node_modules/x.go":        bad,
		"cmd/dev/tools/go.mod":          "module other\n",
		"cmd/dev/tools/x.go":            bad,
		"flows/readme.md":               bad,
		"flows/store/memory/.x.swap.go": "not go",
	})
	if len(got) != 0 {
		t.Errorf("problems in files that do not count: %q", got)
	}
}

func TestTopLevel(t *testing.T) {
	t.Parallel()
	fixed := []string{"cmd", "flows", "steps", "oidcclient", "propagation", "flowdefs", "go.mod", "go.sum", "README.md", "LICENSE", "docs", ".ci", ".gitignore"}
	if got := check(t, nil, fixed...); len(got) != 0 {
		t.Errorf("problems with the fixed names: %q", got)
	}
	if diff := cmp.Diff([]string{"top-level: Makefile", "top-level: internal"}, check(t, nil, "internal", "cmd", "Makefile")); diff != "" {
		t.Errorf("problems (-want +got):\n%s", diff)
	}
}
