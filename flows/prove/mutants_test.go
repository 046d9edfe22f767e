package prove_test

import (
	"io/fs"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/stile-auth/stile/flowdefs"
	"github.com/stile-auth/stile/flowdefs/examples"
	"github.com/stile-auth/stile/flows/prove"
)

// One word of an example is changed: an edge, a condition, a level. The prover
// or a guarantee notices each.
func TestChangedExamples(t *testing.T) {
	t.Parallel()
	tests := []struct {
		file, from, to string
		found          prove.Check
	}{
		{"approve-payment", "type: device_biometric, attempts", "type: password, attempts", prove.Level},
		{"approve-payment", "require: acr >= level.aal2", "require: acr >= level.aal1", prove.Broken},
		{"approve-payment", "require: acr >= level.aal2", "require: acr >= level.aal3", prove.NoCompletion},
		{"back-office", "type: totp", "type: password", prove.Level},
		{"reading-room", "requires: { acr: aal1 }", "requires: { acr: aal2 }", prove.Level},
		{"reading-room", "    guarantees:", "      - require: acr >= level.aal2\n    guarantees:", prove.Unreachable},
		{"reading-room", "password before code", "complete implies target == \"\" || evidence.exists(e, e.type == \"totp\")", prove.Broken},
		{"browser", "requires: { acr: aal1 }", "requires: { acr: aal2 }", prove.Level},
		{"browser", `account.has("totp")`, `acr >= level.aal2`, prove.Unreachable},
		{"customer-portal", "requires: { acr: aal1 }", "requires: { acr: aal2 }", prove.Level},
		{"customer-portal", "{ id: code, type: totp }", "{ id: code, type: device_enrolment }", prove.Unreachable},
		{"attested-phone", "require: acr >= level.aal2 ", "require: acr >= level.aal1 ", prove.Broken},
		{"attested-phone", "with: { attested: required } }\n\ntargets", "with: { attested: none } }\n\ntargets", prove.Level},
		{"authenticator-app", "requires: { acr: aal1 }", "requires: { acr: aal3 }", prove.Level},
		{"codes-to-keep", "requires: { acr: aal1 }", "requires: { acr: aal3 }", prove.Level},
		{"agreements", "requires: { acr: aal1 }", "requires: { acr: aal2 }", prove.Level},
		{"first-phone", "require: acr >= level.aal2 ", "require: acr >= level.aal1 ", prove.Broken},
		{"token", "requires: { acr: aal1 }", "requires: { acr: aal3 }", prove.Level},
		{"external-token", "requires: { acr: aal1 }", "requires: { acr: aal2 }", prove.Level},
		{"everyday", `, if: account.has("totp")`, "", prove.DeadEnd},
		{"everyday", "requires: { acr: aal1 }", "requires: { acr: aal3 }", prove.Level},
		{"membership", "acr: aal2 }, propagate: { type: bearer_jwt, audience: \"https://letters.example\"", "acr: aal3 }, propagate: { type: bearer_jwt, audience: \"https://letters.example\"", prove.Level},
		{"recovery", "kind: recovery  ", "kind: recovery\n    guarantees: [complete implies acr >= level.aal2]  ", prove.Broken},
		{"magic-link", "requires: { acr: aal1 }", "requires: { acr: aal2 }", prove.Level},
		{"mobile-banking", "require: acr >= level.aal2", "require: acr >= level.aal1", prove.Broken},
		{"mobile-banking", `if: account.has("totp")`, `if: account.has("totp") && acr >= level.aal2`, prove.Unreachable},
		{"mobile-banking", "- { fail: authenticator_locked }", "- { goto: bind-phone, max: 1 }", prove.Broken},
		{"old-app", "requires: { acr: aal1 }", "requires: { acr: aal3 }", prove.Level},
		{"takeaway", "flow: coffee, requires: { acr: aal1 }", "flow: coffee, requires: { acr: aal3 }", prove.Level},
		{"takeaway", "{ id: who, type: identify }\n      - { id: text", "{ id: who, type: message, with: { text: hello } }\n      - { id: text", prove.SubjectUnknown},
		{"phone-pin", "require: acr >= level.aal2", "require: acr >= level.aal3", prove.NoCompletion},
		{"phone-pin", "{ id: who, type: identify }\n", "{ id: who, type: message, with: { text: hello } }\n", prove.SubjectUnknown},
		{"night-desk", `: "night"'`, `: "nigth"'`, prove.NowhereExit},
		{"night-desk", "requires: { acr: aal2 }", "requires: { acr: aal3 }", prove.Level},
		{"directory", "requires: { acr: aal1 }", "requires: { acr: aal3 }", prove.Level},
		{"password-change", "settles: [password_change]", "settles: [something_else]", prove.Obligation},
		{"password-totp", "type: password", "type: password\n        if: device.bound", prove.SubjectUnknown},
		{"passkey", `, if: account.has("passkey")`, "", prove.DeadEnd},
		{"passkey", "acr >= level.aal2\n\n", "acr >= level.aal1\n\n", prove.Broken},
		{"passkey", "{ id: key, type: passkey,", "{ id: key, type: totp,", prove.Level},
		{"risk", `if: '"risk" in assigned'`, `if: '"risky" in assigned'`, prove.Unreachable},
		{"permissions", `if: assigned.posts != "no"`, `if: assigned.posts == "yes"`, prove.Broken},
		{"directory-lookup", `"teller" in words`, `"auditor" in words`, prove.Broken},
		{"handed-on", "requires: { acr: aal1 }", "requires: { acr: aal2 }", prove.Level},
		{"home", "requires: { acr: aal1 }", "requires: { acr: aal2 }", prove.Level},
		{"risk", "type: totp", "type: password", prove.Broken},
		{"single-sign-on", "type: sso\n        with: { provider: corporate }", "type: message\n        with: { text: hello }", prove.NothingProved},
		{"text-message", "requires: { acr: aal1 }", "requires: { acr: aal2 }", prove.Level},
		{"lost-phone", "      - { id: password, type: password }\n      - id: besides", "      - { id: password, type: message, with: { text: hello } }\n      - id: besides", prove.SubjectUnknown},
		{"transfer", "require: acr >= level.aal2", "require: acr >= level.aal1", prove.Broken},
		{"visitors", "requires: { acr: aal1 }", "requires: { acr: aal2 }", prove.Level},
		{"step-up", `target == "vault"`, `target == "valut"`, prove.Unreachable},
		{"connected", "      - { id: password, type: password }", "      - { id: password, type: message, with: { text: hello } }", prove.SubjectUnknown},
		{"step-up", "acr: aal2, max_age: 10m", "acr: aal3, max_age: 10m", prove.Level},
	}
	changed := map[string]bool{}
	for _, tt := range tests {
		changed[tt.file] = true
		t.Run(tt.file+" "+string(tt.found), func(t *testing.T) {
			t.Parallel()
			files := fstest.MapFS{}
			for _, name := range []string{tt.file + ".yaml", "providers.yaml"} {
				text, err := fs.ReadFile(examples.FS, name)
				if err != nil {
					t.Fatal(err)
				}
				files[name] = &fstest.MapFile{Data: text}
			}
			before := string(files[tt.file+".yaml"].Data)
			after := strings.Replace(before, tt.from, tt.to, 1)
			if after == before {
				t.Fatalf("the example does not say %q", tt.from)
			}
			files[tt.file+".yaml"].Data = []byte(after)
			set, err := flowdefs.Load(files, ".", registry(t))
			if err != nil {
				t.Fatal(err)
			}
			vs, err := prove.Prove(t.Context(), set, registry(t), prove.Options{})
			if err != nil {
				t.Fatal(err)
			}
			for _, f := range prove.Findings(vs) {
				if f.Check == tt.found {
					return
				}
			}
			t.Errorf("not noticed; found:\n%s", told(prove.Findings(vs)))
		})
	}
	names, err := fs.Glob(examples.FS, "*.yaml")
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range names {
		if base := strings.TrimSuffix(name, ".yaml"); !strings.HasSuffix(base, ".test") && base != "clients" && base != "providers" && base != "messages" && !changed[base] {
			t.Errorf("%s: nothing of it is changed", name)
		}
	}
}
