package stage_test

import (
	"bytes"
	"context"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"testing/fstest"
	"time"

	"go.uber.org/goleak"

	"github.com/stile-auth/stile/cmd/stile/node"
	"github.com/stile-auth/stile/cmd/stile/stage"
	"github.com/stile-auth/stile/flowdefs"
	"github.com/stile-auth/stile/flowdefs/examples"
	"github.com/stile-auth/stile/flows/scenario"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// load reads definitions and the scenarios beside them.
func load(t testing.TB, fsys fs.FS) (*flowdefs.Set, []*scenario.Scenario) {
	t.Helper()
	cat, err := node.Catalogue()
	if err != nil {
		t.Fatal(err)
	}
	set, err := flowdefs.Load(fsys, ".", cat)
	if err != nil {
		t.Fatalf("definitions:\n%v", err)
	}
	all, err := scenario.Load(fsys, ".", set)
	if err != nil {
		t.Fatalf("scenarios:\n%v", err)
	}
	return set, all
}

func play(t testing.TB, set *flowdefs.Set, all []*scenario.Scenario, overHTTP bool) scenario.Report {
	t.Helper()
	s, err := stage.New(set)
	if err != nil {
		t.Fatal(err)
	}
	r, err := scenario.New(scenario.Config{Host: s.Host(), HTTP: overHTTP, Now: time.Now})
	if err != nil {
		t.Fatal(err)
	}
	return r.Run(context.Background(), all)
}

func passes(t *testing.T, fsys fs.FS) scenario.Report {
	t.Helper()
	set, all := load(t, fsys)
	report := play(t, set, all, true)
	var text bytes.Buffer
	if err := report.Text(&text, true); err != nil {
		t.Fatal(err)
	}
	if len(all) == 0 || report.Failed() > 0 {
		t.Errorf("%s", text.String())
	}
	return report
}

// What the examples promise, they do: on the engine and over HTTP.
func TestExamples(t *testing.T) {
	t.Parallel()
	report := passes(t, examples.FS)
	told := map[string]int{}
	for _, r := range report.Results {
		told[r.Scenario.Pos.File]++
	}
	files, err := fs.Glob(examples.FS, "*.yaml")
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range files {
		text, err := fs.ReadFile(examples.FS, f)
		if err != nil {
			t.Fatal(err)
		}
		beside := strings.TrimSuffix(f, ".yaml") + scenario.Suffix
		if !strings.HasSuffix(f, scenario.Suffix) && regexp.MustCompile(`(?m)^flows:`).Match(text) && told[beside] < 3 {
			t.Errorf("%s has %d scenarios in %s, want at least 3", f, told[beside], beside)
		}
	}
	for _, c := range report.Coverage.Flows {
		if c.Steps.Reached < c.Steps.Total || c.Options.Reached < c.Options.Total {
			t.Errorf("scenarios do not reach every step and option: %s: %+v", c, c.Missing)
		}
	}
}

var fence = regexp.MustCompile("(?ms)^```yaml( scenario| scenario error|)\n(.*?)^```\n(?:\n(?:[^\n`]+\n)*\n?```text\n(.*?)^```\n)?")

// Every example of the manual is played, and what it says of mistakes is said.
func TestManual(t *testing.T) {
	t.Parallel()
	manual, err := os.ReadFile(filepath.FromSlash("../../../docs/scenarios.md"))
	if err != nil {
		t.Fatal(err)
	}
	files, count := fstest.MapFS{}, 0
	for _, m := range fence.FindAllStringSubmatch(string(manual), -1) {
		count++
		switch kind, text := m[1], m[2]; kind {
		case "":
			files["flows.yaml"] = &fstest.MapFile{Data: []byte(text)}
		case " scenario":
			files[fmt.Sprintf("s%d%s", count, scenario.Suffix)] = &fstest.MapFile{Data: []byte(text)}
		default:
			wrong := fstest.MapFS{"flows.yaml": files["flows.yaml"]}
			set, _ := load(t, wrong)
			wrong["sign-in"+scenario.Suffix] = &fstest.MapFile{Data: []byte(text)}
			all, err := scenario.Load(wrong, ".", set)
			said := fmt.Sprint(err)
			if err == nil {
				var out bytes.Buffer
				report := play(t, set, all, true)
				if err := report.Text(&out, false); err != nil {
					t.Fatal(err)
				}
				said, _, _ = strings.Cut(out.String(), "\n1 scenarios")
			}
			if strings.TrimSpace(said) != strings.TrimSpace(m[3]) {
				t.Errorf("the manual shows\n%s\nand this is said\n%s", m[3], said)
			}
		}
	}
	if count < 5 {
		t.Errorf("the manual has %d examples", count)
	}
	passes(t, files)
}

// What cannot be given, and what nobody can answer, is told.
func TestCannotBe(t *testing.T) {
	t.Parallel()
	definitions := func(name string) []byte {
		text, err := fs.ReadFile(examples.FS, name)
		if err != nil {
			t.Fatal(err)
		}
		return text
	}
	for text, want := range map[string]string{
		"given: { has: [fingerprint] }\nsteps:\n  - expect: { http: 201 }":                                             `what is given cannot be: has: nobody can be given "fingerprint"; known: password, pin, totp, hotp, email, phone, passkey, recovery, activation, device_pin, ldap_password; for a phone write device: bound`,
		"given: { account: \"\\t\" }\nsteps:\n  - expect: { http: 201 }":                                               "what is given cannot be: account: ",
		"given: { calls: { judge: perhaps } }\nsteps:\n  - expect: { http: 201 }":                                      `what is given cannot be: calls: judge: nobody answers "perhaps"`,
		"steps:\n  - sso: ok\n  - code: ok\n  - expect: { http: 200 }":                                                 "the answer is a refusal that nothing after it expects: 403 no_option_left",
		"given: { has: [totp] }\nsteps:\n  - sso: gladly\n  - expect: { http: 200 }":                                   `sso cannot be answered "gladly"; known: ok, wrong, denied`,
		"given: { has: [totp] }\nsteps:\n  - sso: ok\n  - code: used\n  - expect: { http: 200 }":                       `totp cannot be answered "used"; known: ok, wrong, and used once there was one`,
		"given: { has: [totp] }\nsteps:\n  - provider: { corporate: down }\n  - sso: ok\n  - expect: { step: code }":   "the answer is a refusal that nothing after it expects: 503 dependency_unavailable",
		"given: { has: [totp], device: none }\nsteps:\n  - expect: { http: 201 }":                                      "http: expected 201, got 400",
		"given: { has: [totp] }\nsteps:\n  - sso: ok\n  - code: ok\n  - bind-phone: gladly\n  - expect: { http: 200 }": `device_enrolment cannot be answered "gladly"; known: ok, iphone, wrong, unattested, emulator, rooted`,
	} {
		files := fstest.MapFS{"a" + scenario.Suffix: {Data: []byte("scenario: it\ntarget: payments\n" + text + "\n")}}
		for _, name := range []string{"clients.yaml", "providers.yaml", "mobile-banking.yaml"} {
			files[name] = &fstest.MapFile{Data: definitions(name)}
		}
		files["clients.yaml"] = &fstest.MapFile{Data: []byte(`clients: { app: { flows: [mobile-banking], targets: [payments], redirect_uris: ["com.bank.app:/oauth2"] } }`)}
		set, all := load(t, files)
		report := play(t, set, all, true)
		if f := report.Results[0].Failures; len(f) != 1 || !strings.Contains(f[0].Message, want) {
			t.Errorf("%s\nwant %q in %+v", text, want, f)
		}
	}
}

const benchmarked = `
scenario: number %d
target: ledger
given: { has: [password, totp] }
steps:
  - password: wrong
  - password: ok
  - code: wrong
  - code: ok
  - start: { target: ledger, session: false }
  - password: ok
  - expect: { step: code, assurance: { acr: aal1 } }
`

func thousand(t testing.TB) (*flowdefs.Set, []*scenario.Scenario) {
	t.Helper()
	var b strings.Builder
	for i := range 1000 {
		fmt.Fprintf(&b, "---"+benchmarked, i)
	}
	files := fstest.MapFS{"a.test.yaml": {Data: []byte(b.String())}}
	names, err := fs.Glob(examples.FS, "*.yaml")
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range names {
		text, err := fs.ReadFile(examples.FS, name)
		if err != nil {
			t.Fatal(err)
		}
		if !strings.HasSuffix(name, scenario.Suffix) {
			files[name] = &fstest.MapFile{Data: text}
		}
	}
	return load(t, files)
}

// A thousand scenarios of six steps, each on the engine and over HTTP, are to
// take less than ten seconds on two cores.
func BenchmarkThousandScenarios(b *testing.B) {
	set, all := thousand(b)
	for b.Loop() {
		if report := play(b, set, all, true); report.Failed() > 0 {
			b.Fatal(report.Results[0].Failures)
		}
	}
}
