package flowdefs_test

import (
	"strings"
	"testing"
	"testing/fstest"

	"github.com/google/go-cmp/cmp"

	"github.com/stile-auth/stile/flowdefs"
)

func loadProvider(t *testing.T, text string) *flowdefs.Provider {
	t.Helper()
	text = "providers:\n  p: " + text + "\nflows:\n  f: { steps: [{ id: s, type: sso, with: { provider: p } }] }\n"
	set, err := flowdefs.Load(fstest.MapFS{"a.yaml": {Data: []byte(text)}}, ".", catalogue{})
	if err != nil {
		t.Fatal(err)
	}
	return set.Providers["p"]
}

// What stands in the definition goes before what the preset says.
func TestPreset(t *testing.T) {
	t.Parallel()
	p := loadProvider(t, `{ preset: keycloak, with: { host: idp.example, realm: staff }, client_id: stile, client_secret: { env: S }, scopes: [openid] }`)
	if p.Preset != "keycloak" || p.Issuer != "https://idp.example/realms/staff" || cmp.Diff([]string{"openid"}, p.Scopes) != "" {
		t.Errorf("%+v", p)
	}
	p = loadProvider(t, `{ preset: dex, issuer: "https://dex.example/other", client_id: stile, client_secret: { env: S } }`)
	if p.Issuer != "https://dex.example/other" || len(p.Scopes) != 2 { // and nothing is left open
		t.Errorf("%+v", p)
	}
}

// A preset says who it is and holds nothing of anybody's own.
func TestPresetFiles(t *testing.T) {
	t.Parallel()
	names := flowdefs.Presets()
	if len(names) < 13 {
		t.Fatalf("%d presets", len(names))
	}
	for _, name := range names {
		text, err := flowdefs.PresetFile(name)
		if err != nil {
			t.Fatal(err)
		}
		head, _, found := strings.Cut(string(text), "\nshape:\n")
		if !found || !strings.HasPrefix(head, "# ") || strings.Contains(head, "client_id") || strings.Contains(head, "assurance") || strings.Contains(head, "provision") {
			t.Errorf("%s: expected a note, a definition without client_id, assurance and provision, and a shape", name)
		}
	}
}
