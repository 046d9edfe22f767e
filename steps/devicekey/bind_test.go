package devicekey_test

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/stile-auth/stile/flows"
	"github.com/stile-auth/stile/flows/account"
	"github.com/stile-auth/stile/flows/assurance"
	"github.com/stile-auth/stile/steps/androidkey"
	"github.com/stile-auth/stile/steps/androidkeytest"
	"github.com/stile-auth/stile/steps/appattesttest"
	"github.com/stile-auth/stile/steps/deviceenrolment"
	"github.com/stile-auth/stile/steps/devicekey"
	"github.com/stile-auth/stile/steps/devicepinenrolment"
)

// The prompt says what is wanted, of whom it can be verified.
func TestWanted(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	for mode, want := range map[string][]string{"none": nil, "preferred": {"android", "ios", "mode"}, "required": {"android", "ios", "mode"}} {
		q := enter(t, w.binder(mode), w.visit(nil))
		var got []string
		for _, key := range []string{"android", "ios", "mode"} {
			if text, ok := q.Attestation[key]; ok {
				got = append(got, key)
				if key != "mode" && string(text) != `{"challenge":"`+q.Challenge+`"}` {
					t.Errorf("%s: %s: %s", mode, key, text)
				}
			}
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s: -want +got:\n%s", mode, diff)
		}
	}
	w.by.Android = nil
	if q := enter(t, w.binder("required"), w.visit(nil)); q.Attestation["android"] != nil || q.Attestation["ios"] == nil {
		t.Errorf("iPhones only: %s", q.Attestation)
	}
	w.by = devicekey.Attestation{}
	if q := enter(t, w.binder("preferred"), w.visit(nil)); q.Attestation != nil {
		t.Errorf("nobody can: %s", q.Attestation)
	}
	if out, err := w.binder("required").Enter(t.Context(), w.visit(nil)); !errors.Is(err, flows.ErrUnavailable) {
		t.Errorf("required, and nobody can: %+v, %v", out, err)
	}
	if _, err := deviceenrolment.Type(w.accounts, audience, w.by).New(config(`{"Attestation":"perhaps"}`)); err == nil {
		t.Error("a mode unheard of was taken")
	}
}

// What is attested is kept with the key.
func TestAttestedKeys(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	for platform, want := range map[string]account.DeviceData{
		account.PlatformAndroid: {Attested: true, Platform: "android", Storage: "tee", Biometric: true, App: androidApp},
		account.PlatformIOS:     {Attested: true, Platform: "ios", Storage: "secure_enclave", Biometric: true, App: appleApp},
		"":                      {},
	} {
		got := w.data(w.bound(platform))
		got.JWK = nil
		if platform == account.PlatformIOS {
			if got.AppAttest == nil || got.AppAttest.Counter != 1 || len(got.AppAttest.Key) != 65 {
				t.Errorf("App Attest: %+v", got.AppAttest)
			}
			got.AppAttest = nil
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%q: -want +got:\n%s", platform, diff)
		}
	}
}

// What is wrong with a statement is refused by its word, and binds nothing; with preferred as with required.
func TestStatements(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	var p, other *phone
	android := func(edit func(*androidkeytest.Draft)) func(prompt, string) map[string]any {
		return func(q prompt, _ string) map[string]any { return w.androidSays(p, q, edit) }
	}
	apple := func(edit func(map[string]any, prompt, string)) func(prompt, string) map[string]any {
		return func(q prompt, jws string) map[string]any {
			says := w.appleSays(p, q, jws)
			edit(says, q, jws)
			return says
		}
	}
	for name, c := range map[string]struct {
		reason string
		says   func(prompt, string) map[string]any
	}{
		"an emulator":        {"attestation_software", android(func(d *androidkeytest.Draft) { d.Level, d.KeyMintLevel = 0, 0 })},
		"another challenge":  {"attestation_wrong_challenge", android(func(d *androidkeytest.Draft) { d.Challenge = make([]byte, 32) })},
		"opens to a PIN too": {"attestation_unprotected", android(func(d *androidkeytest.Draft) { d.UserAuth = 3 })},
		"another key":        {"attestation_wrong_key", func(q prompt, _ string) map[string]any { return w.androidSays(other, q) }},
		"no certificates":    {"attestation_malformed", func(prompt, string) map[string]any { return map[string]any{"format": "android-key"} }},
		"not in base64url": {"attestation_malformed", func(prompt, string) map[string]any {
			return map[string]any{"format": "android-key", "chain": []string{"=", "="}}
		}},
		"many certificates": {"attestation_malformed", func(prompt, string) map[string]any {
			return map[string]any{"format": "android-key", "chain": make([]string, 1000)}
		}},
		"of something else":      {"attestation_format", func(prompt, string) map[string]any { return map[string]any{"format": "tpm"} }},
		"both in one":            {"attestation_format", apple(func(s map[string]any, q prompt, _ string) { s["chain"] = w.androidSays(p, q)["chain"] })},
		"Android with more":      {"attestation_format", func(q prompt, _ string) map[string]any { s := w.androidSays(p, q); s["object"] = "AAAA"; return s }},
		"no object":              {"attestation_malformed", apple(func(s map[string]any, _ prompt, _ string) { delete(s, "object") })},
		"an object not in it":    {"attestation_malformed", apple(func(s map[string]any, _ prompt, _ string) { s["object"] = "=" })},
		"no assertion":           {"assertion_absent", apple(func(s map[string]any, _ prompt, _ string) { delete(s, "assertion") })},
		"an assertion not in it": {"assertion_malformed", apple(func(s map[string]any, _ prompt, _ string) { s["assertion"] = "=" })},
		"asserts another key":    {"assertion_wrong", apple(func(s map[string]any, q prompt, _ string) { s["assertion"] = p.assertion(t, other.binding(t, q)) })},
		"asserted by another":    {"assertion_wrong", apple(func(s map[string]any, _ prompt, jws string) { s["assertion"] = other.assertion(t, jws) })},
		"asserts nothing yet": {"assertion_counted", apple(func(s map[string]any, _ prompt, jws string) {
			s["assertion"] = p.assertion(t, jws, func(d *appattesttest.Draft) { d.Counter = 0 })
		})},
		"attests another challenge": {"attestation_wrong_challenge", func(q prompt, jws string) map[string]any {
			return w.appleSays(p, q, jws, func(d *appattesttest.Draft) { d.ClientData = []byte("another") })
		}},
	} {
		for _, mode := range []string{"preferred", "required"} {
			p, other = w.phone(), w.phone()
			out, err := w.enrol(mode, p, c.says)
			if reason, _ := out.Rejected(); err != nil || reason != c.reason {
				t.Errorf("%s, %s: %+v, %v", mode, name, out, err)
			}
		}
	}
	if all, err := w.accounts.Authenticators(t.Context(), subject); err != nil || len(all) != 0 {
		t.Errorf("bound: %v, %v", all, err)
	}
}

// Who says nothing is bound without it, or not at all; who was not asked is not listened to.
func TestModes(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	for name, c := range map[string]struct {
		mode  string
		says  bool
		bound bool
		kept  bool
	}{
		"none, silent":      {"none", false, true, false},
		"none, says it":     {"none", true, true, false},
		"preferred, silent": {"preferred", false, true, false},
		"preferred":         {"preferred", true, true, true},
		"required, silent":  {"required", false, false, false},
		"required":          {"required", true, true, true},
	} {
		p := w.phone()
		var says func(prompt, string) map[string]any
		if c.says {
			says = func(q prompt, _ string) map[string]any { return w.androidSays(p, q) }
		}
		out, err := w.enrol(c.mode, p, says)
		if err != nil || (out.EnrolledID() != "") != c.bound {
			t.Errorf("%s: %+v, %v", name, out, err)
		} else if c.bound && w.data(p).Attested != c.kept {
			t.Errorf("%s: %+v", name, w.data(p))
		}
	}
}

// A kind of phone that is not configured is refused, whatever it says.
func TestOtherPlatform(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	both := w.by
	for name, by := range map[string]devicekey.Attestation{"android": {Apple: both.Apple}, "ios": {Android: both.Android}} {
		w.by = by
		p := w.phone()
		out, err := w.enrol("required", p, func(q prompt, jws string) map[string]any {
			if name == "ios" {
				return w.appleSays(p, q, jws)
			}
			return w.androidSays(p, q)
		})
		if reason, _ := out.Rejected(); err != nil || reason != "attestation_format" {
			t.Errorf("%s: %+v, %v", name, out, err)
		}
	}
}

// A statement is good for one challenge: recorded, it binds nothing a second time (T-107).
func TestStatementReplayed(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	p := w.phone()
	var recorded map[string]any
	if out, err := w.enrol("required", p, func(q prompt, _ string) map[string]any { recorded = w.androidSays(p, q); return recorded }); err != nil || out.EnrolledID() == "" {
		t.Fatalf("%+v, %v", out, err)
	}
	out, err := w.enrol("required", p, func(prompt, string) map[string]any { return recorded })
	if reason, _ := out.Rejected(); err != nil || reason != "attestation_wrong_challenge" {
		t.Errorf("%+v, %v", out, err)
	}
}

// While nobody knows whether certificates are revoked, nobody is bound by them, and it is not the client's fault.
func TestStaleRevocations(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	file := filepath.Join(t.TempDir(), "status.json")
	if err := os.WriteFile(file, []byte(`{"entries":{}}`), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Chtimes(file, now.Add(-2*time.Hour), now.Add(-2*time.Hour)); err != nil {
		t.Fatal(err)
	}
	list, err := androidkey.OpenRevocations(file, time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	w.android.Revocations = list
	if w.by.Android, err = androidkey.New(w.android); err != nil {
		t.Fatal(err)
	}
	for _, mode := range []string{"preferred", "required"} {
		p := w.phone()
		if out, err := w.enrol(mode, p, func(q prompt, _ string) map[string]any { return w.androidSays(p, q) }); !errors.Is(err, flows.ErrUnavailable) {
			t.Errorf("%s: %+v, %v", mode, out, err)
		}
	}
}

// Of a key behind a PIN of the app only its place is attested: Android does not know that PIN.
func TestPINKeys(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	p := w.phone()
	s := w.step(devicepinenrolment.Type(w.accounts, audience, w.by), `{"Attestation":"required"}`)
	v := w.visit(nil)
	q := enter(t, s, v)
	says := w.androidSays(p, q, func(d *androidkeytest.Draft) { d.NoAuth, d.UserAuth = true, 0 })
	out, err := s.Answer(t.Context(), v, body(t, map[string]any{"jws": p.binding(t, q), "attestation": says}))
	if err != nil || out.EnrolledID() == "" {
		t.Fatalf("%+v, %v", out, err)
	}
	if d := w.data(p); !d.Attested || d.Biometric {
		t.Errorf("%+v", d)
	}
}

// An emulator's key is known for what it is.
func TestEmulator(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.android.InsecureDevelopment = true
	var err error
	if w.by.Android, err = androidkey.New(w.android); err != nil {
		t.Fatal(err)
	}
	p := w.phone()
	out, err := w.enrol("required", p, func(q prompt, _ string) map[string]any {
		return w.androidSays(p, q, func(d *androidkeytest.Draft) { d.Level, d.KeyMintLevel, d.InSoftware, d.NoBoot = 0, 0, true, true })
	})
	if err != nil || out.EnrolledID() == "" || w.data(p).Storage != account.StorageSoftware {
		t.Errorf("%+v, %v", out, err)
	}
	w.activate(p)
	out, err = w.use("required", p, nil)
	if err != nil || out.Passed() == nil {
		t.Fatalf("%+v, %v", out, err)
	}
	e := out.Passed().Evidence
	e.At = now
	if got := assurance.Assess([]assurance.Evidence{e}, now, assurance.Policy{}); got.Level != assurance.AAL2 || !slices.Contains(got.AMR, "swk") {
		t.Errorf("%+v", got)
	}
}
