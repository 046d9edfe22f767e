package conformance_test

import (
	"os"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/stile-auth/stile/cmd/dev/conformance"
)

// The page says what the tests are named now.
func TestPageIsFresh(t *testing.T) {
	t.Parallel()
	const root = "../../.."
	want, err := conformance.Render(os.DirFS(root))
	if err != nil {
		t.Fatal(err)
	}
	got, err := os.ReadFile(root + "/" + conformance.Page)
	if err != nil || string(got) != want {
		t.Errorf("%s is not what the tests are named: go run ./cmd/dev gen (%v)", conformance.Page, err)
	}
}

func TestRender(t *testing.T) {
	t.Parallel()
	const source = `package x
func TestA(t *testing.T) {
	for name := range map[string]int{"RFC 6749 5.2: b": 1, "RFC 6749 4.1.2: a": 1, "OIDC Core 10.1: d": 1, "OIDC Core 9: c | d": 1, "no clause": 1} { t.Run(name, nil) }
}
func helper() { _ = "RFC 6749 1: not a test" }
`
	got, err := conformance.Render(fstest.MapFS{"propagation/x_test.go": {Data: []byte(source)}, "propagation/x.go": {Data: []byte("package x")}})
	if err != nil {
		t.Fatal(err)
	}
	at := -1
	for _, want := range []string{"## OpenID Connect Core 1.0", `| 9 | c \| d | [` + "`TestA`](../propagation/x_test.go) |", "| 10.1 | d |", "## RFC 6749", "| 4.1.2 | a |", "| 5.2 | b |"} {
		i := strings.Index(got, want)
		if i <= at {
			t.Fatalf("%q is missing or in a wrong place:\n%s", want, got)
		}
		at = i
	}
	if strings.Contains(got, "no clause") || strings.Contains(got, "not a test") {
		t.Error(got)
	}
	if _, err := conformance.Render(fstest.MapFS{}); err == nil {
		t.Error("a page of nothing")
	}
}
