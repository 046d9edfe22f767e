package flowdefs_test

import (
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"strings"
	"testing"
	"testing/fstest"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/stile-auth/stile/flowdefs"
	"github.com/stile-auth/stile/flowdefs/examples"
	"github.com/stile-auth/stile/flows/assurance"
)

// ignorePlaces compares definitions without where they stand, conditions by
// their source, and configurations by their hash (a field of Node).
func ignorePlaces() cmp.Options {
	return cmp.Options{
		cmpopts.IgnoreTypes(flowdefs.Pos{}),
		cmpopts.IgnoreUnexported(flowdefs.Condition{}),
		cmpopts.IgnoreFields(flowdefs.Target{}, "Composed"),
		cmp.FilterPath(func(p cmp.Path) bool { return p.Last().String() == ".With" }, cmp.Ignore()),
	}
}

func loadExamples(t *testing.T) *flowdefs.Set {
	t.Helper()
	set, err := flowdefs.Load(examples.FS, ".", catalogue{})
	if err != nil {
		t.Fatal(err)
	}
	return set
}

func TestExampleFlow(t *testing.T) {
	t.Parallel()
	got := loadExamples(t).Flows["mobile-banking"]
	want := []flowdefs.Node{
		{Kind: flowdefs.Step, ID: "sso", Type: "sso"},
		{Kind: flowdefs.Choose, ID: "second-factor", Any: 1, On: map[string]string{"locked": "support"}, Options: []flowdefs.Node{
			{Kind: flowdefs.Step, ID: "biometric", Type: "device_biometric", If: &flowdefs.Condition{Source: "device.bound"}},
			{Kind: flowdefs.Step, ID: "code", Type: "totp", If: &flowdefs.Condition{Source: `account.has("totp")`}},
		}},
		{Kind: flowdefs.Require, Require: &flowdefs.Condition{Source: "acr >= level.aal2"}},
		{Kind: flowdefs.Step, ID: "bind-phone", Type: "device_enrolment", If: &flowdefs.Condition{Source: "!device.bound"}},
	}
	opts := append(ignorePlaces(), cmpopts.IgnoreFields(flowdefs.Node{}, "ConfigHash"))
	if diff := cmp.Diff(want, got.Steps, opts); diff != "" {
		t.Error(diff)
	}
	if want := (flowdefs.Pos{File: "mobile-banking.yaml", Line: 3, Column: 3}); got.Pos != want {
		t.Errorf("flow at %s, want %s", got.Pos, want)
	}
	if got, want := got.Steps[1].Options[1].If.Pos.String(), "mobile-banking.yaml:14:41"; got != want {
		t.Errorf("condition at %s, want %s", got, want)
	}
	var cfg ssoConfig
	if err := got.Steps[0].With.Decode(&cfg); err != nil || cfg.Provider != "corporate" {
		t.Errorf("%+v, %v", cfg, err)
	}
}

func TestExampleSections(t *testing.T) {
	t.Parallel()
	set := loadExamples(t)
	payments := &flowdefs.Target{
		Name: "payments", Flow: "mobile-banking",
		Requires: flowdefs.Requirement{ACR: "aal2", MaxAge: 5 * time.Minute}, Scale: assurance.NIST,
		Propagate: []flowdefs.Propagate{{
			Type: "bearer_jwt", Audience: "https://payments.bank.example", TTL: 5 * time.Minute,
			Claims: map[string]*flowdefs.Condition{"branch": {Source: "account.attributes.branch"}},
		}},
	}
	corporate := &flowdefs.Provider{
		Name: "corporate", Issuer: "https://idp.bank.example", ClientID: "stile",
		Update: flowdefs.UpdateNever, Credentials: flowdefs.Credentials{Secret: &flowdefs.SecretRef{Env: "STILE_CORPORATE_SECRET"}},
		Scopes: []string{"openid", "email"}, Provision: flowdefs.ProvisionNever, Domains: []string{"bank.example"},
		Categories: []assurance.Category{assurance.Knowledge}, Cap: assurance.AAL2,
	}
	app := &flowdefs.Client{
		ID:      "bank-app",
		Flows:   []string{"single-sign-on", "mobile-banking", "everyday", "password-totp"},
		Targets: []string{"accounts", "payments", "balance", "ledger"}, RedirectURIs: []string{"com.bank.app:/oauth2"},
		DPoPRequired: true,
	}
	for _, pair := range [][2]any{
		{payments, set.Targets["payments"]},
		{corporate, set.Providers["corporate"]},
		{app, set.Clients["bank-app"]},
		{false, set.Clients["bench"].DPoPRequired},
	} {
		if diff := cmp.Diff(pair[0], pair[1], ignorePlaces()); diff != "" {
			t.Error(diff)
		}
	}
	if len(set.Flows) < 12 || len(set.Targets) < 12 || len(set.Providers) != 6 || len(set.Clients) != 4 {
		t.Errorf("%d flows, %d targets, %d providers, %d clients", len(set.Flows), len(set.Targets), len(set.Providers), len(set.Clients))
	}
}

// What is left out is the safe choice.
func TestDefaults(t *testing.T) {
	t.Parallel()
	set := mustLoad(t, `
flows: {f: {steps: [{id: a, type: totp}]}}
providers: {p: {issuer: "http://127.0.0.1:9000", client_id: c}}
clients: {app: {flows: [f]}}`)
	p := set.Providers["p"]
	if p.Provision != flowdefs.ProvisionNever || p.Cap != assurance.AAL1 || p.Credentials != (flowdefs.Credentials{}) ||
		!slices.Equal(p.Categories, []assurance.Category{assurance.Knowledge}) || !slices.Equal(p.Scopes, []string{"openid"}) {
		t.Errorf("provider %+v", p)
	}
	if c := set.Clients["app"]; !c.DPoPRequired || len(c.Origins)+len(c.RedirectURIs)+len(c.Targets) != 0 {
		t.Errorf("client %+v", c)
	}
	if f := set.Flows["f"]; f.Timeout != 0 || f.Steps[0].Attempts != 0 || f.Steps[0].With == nil {
		t.Errorf("flow %+v", f)
	}
}

func TestWhichFilesAreRead(t *testing.T) {
	t.Parallel()
	broken := &fstest.MapFile{Data: []byte("{")}
	set, err := flowdefs.Load(fstest.MapFS{
		"d/a.yaml":      {Data: []byte("flows: {f: {steps: [{id: a, type: totp}]}}")},
		"d/empty.yaml":  {Data: []byte("# nothing yet\n")},
		"d/b.test.yaml": broken, "d/c.yml": broken, "d/sub/d.yaml": broken, "d/e.yaml.bak": broken, "f.yaml": broken,
	}, "d", catalogue{})
	if err != nil || len(set.Flows) != 1 {
		t.Errorf("%v, %v", set, err)
	}
}

func TestUnreadableDirectory(t *testing.T) {
	t.Parallel()
	_, err := flowdefs.Load(fstest.MapFS{}, "nowhere", catalogue{})
	var problems flowdefs.Problems
	if !errors.Is(err, fs.ErrNotExist) || errors.As(err, &problems) {
		t.Errorf("got %v", err)
	}
}

func TestAllProblemsOfAllFiles(t *testing.T) {
	t.Parallel()
	set, err := flowdefs.Load(fstest.MapFS{
		"b.yaml": {Data: []byte("flows:\n  f: {steps: [{id: a, type: topt}]}\n  g: {steps: []}\n")},
		"a.yaml": {Data: []byte("flows: {f: {steps: [{id: a, type: totp}]}}\ntargets: {t: {}}\n")},
		"c.yaml": {Data: []byte("clients: {app: {flows: [f, h]}}\n")},
	}, ".", catalogue{})
	want := strings.Join([]string{
		`a.yaml:1:9: flow "f" is defined twice; the other is at b.yaml:2:3`,
		`a.yaml:2:14: target "t": "flow" is missing`,
		`a.yaml:2:14: target "t": "propagate" is missing`,
		`b.yaml:2:3: flow "f" is defined twice; the other is at a.yaml:1:9`,
		`b.yaml:2:29: unknown step type "topt"; did you mean "totp"?`,
		`b.yaml:3:14: flow "g" has no steps`,
		`c.yaml:1:28: no flow "h" is defined; known: f, g`,
	}, "\n")
	if diff := cmp.Diff(want, fmt.Sprint(err)); diff != "" || set != nil {
		t.Error(diff)
	}
}

// If a file is no YAML nobody knows what it declares: one message, not one per name.
func TestNoDanglingNamesBesideABrokenFile(t *testing.T) {
	t.Parallel()
	_, err := flowdefs.Load(fstest.MapFS{
		"a.yaml": {Data: []byte("clients: {app: {flows: [f]}}\n")},
		"b.yaml": {Data: []byte("flows: {f: [")},
	}, ".", catalogue{})
	if err == nil || strings.Contains(err.Error(), "a.yaml") || !strings.Contains(err.Error(), "b.yaml") {
		t.Errorf("got %v", err)
	}
}

func TestNestedChooses(t *testing.T) {
	t.Parallel()
	set := mustLoad(t, `
flows:
  f:
    timeout: 90s
    steps:
      - id: outer
        if: '!device.bound'
        choose:
          - id: inner
            if: device.bound
            choose: [{id: a, type: totp, attempts: {max: 3}}]
            otherwise: {id: b, type: pin}
        otherwise: {id: c, choose: [{id: d, type: password}]}
`)
	f := set.Flows["f"]
	outer := f.Steps[0]
	inner := outer.Options[0]
	if f.Timeout != 90*time.Second || outer.If == nil || inner.If == nil || inner.Options[0].Attempts != 3 ||
		inner.Otherwise.ID != "b" || outer.Otherwise.Kind != flowdefs.Choose || outer.Otherwise.Options[0].ID != "d" {
		t.Errorf("%+v", outer)
	}
}
