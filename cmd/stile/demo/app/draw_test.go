package app_test

import (
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/google/go-cmp/cmp"

	"github.com/stile-auth/stile/cmd/stile/demo/app"
)

type roundTrip func(*http.Request) (*http.Response, error)

func (f roundTrip) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

func canned(status int, media, body string) *http.Response {
	return &http.Response{StatusCode: status, Header: http.Header{"Content-Type": {media}}, Body: io.NopCloser(strings.NewReader(body))}
}

const selectSchema = `{"type":"object","properties":{"select":{"enum":["biometric","code"]}},"required":["select"],"additionalProperties":false}`

func selection() prompt {
	return prompt{typ: "SELECTION_REQUIRED", id: "second-factor", action: "select", schema: selectSchema, data: map[string]any{"options": []app.Option{
		{ID: "biometric", Type: "BIOMETRIC_ATTESTATION_REQUIRED", StepType: "device_biometric"},
		{ID: "code", Type: "OTP_REQUIRED", StepType: "totp"},
	}}}
}

func TestSelection(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		choose func([]app.Option) string
		want   string
	}{
		"by the user":           {func(o []app.Option) string { return o[0].ID }, `{"select":"biometric"}`},
		"what it can draw":      {nil, `{"select":"code"}`}, // no key is enrolled
		"something not offered": {func([]app.Option) string { return "sms" }, ""},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p := selection()
			p.schema = strings.Replace(p.schema, `"enum":["biometric","code"]`, `"type":"string"`, 1) // says less than the data
			f := newFake(t, p)
			_, err := newApp(t, f, func(c *app.Config) { c.Choose = tc.choose }).Run(t.Context(), app.StartOptions{Target: "payments"})
			if tc.want == "" {
				if err == nil || len(f.bodies) != 1 {
					t.Errorf("%v after %v", err, f.bodies)
				}
				return
			}
			if err != nil || f.bodies[1] != tc.want {
				t.Errorf("%v; body %q, want %q", err, f.bodies[1], tc.want)
			}
		})
	}
}

// TestUnknownStepTypes are drawn from nothing but their schema.
func TestUnknownStepTypes(t *testing.T) {
	t.Parallel()
	object := func(members string, required string) string {
		return `{"type":"object","properties":{` + members + `},"required":[` + required + `],"additionalProperties":false}`
	}
	tests := map[string]struct{ schema, want, wrong string }{
		"agreement":            {schema: object(`"accepted":{"type":"boolean"}`, `"accepted"`), want: `{"accepted":true}`},
		"agreement prescribed": {schema: object(`"accepted":{"const":true}`, `"accepted"`), want: `{"accepted":true}`},
		"one of a list":        {schema: object(`"colour":{"enum":["red","blue"]}`, `"colour"`), want: `{"colour":"red"}`},
		"known fields":         {schema: object(`"identifier":{"type":"string"},"pin":{"type":"string"},"code":{"type":"string","pattern":"^[0-9]{6}$"}`, `"identifier","pin","code"`), want: ""},
		"optional left out":    {schema: object(`"pin":{"type":"string"},"shoeSize":{"type":"integer"}`, `"pin"`), want: `{"pin":"12345678"}`},
		"nothing to say":       {schema: `{"type":"object","additionalProperties":false}`, want: `{}`},
		"unknown field":        {schema: object(`"mothersName":{"type":"string"}`, `"mothersName"`), wrong: "mothersName"},
		"a number":             {schema: object(`"shoeSize":{"type":"integer"}`, `"shoeSize"`), wrong: "shoeSize"},
		"does not fit":         {schema: object(`"pin":{"type":"string","maxLength":4}`, `"pin"`), wrong: "does not fit"},
		"broken schema":        {schema: `{"type":7}`, wrong: "schema"},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := newFake(t, prompt{typ: "SOMETHING_NEW_REQUIRED", id: "new", action: "prove-it", schema: tc.schema})
			_, err := newApp(t, f, withTOTP).Run(t.Context(), app.StartOptions{Target: "payments"})
			if tc.wrong != "" {
				if err == nil || !strings.Contains(err.Error(), "SOMETHING_NEW_REQUIRED") || !strings.Contains(err.Error(), tc.wrong) || len(f.bodies) != 1 {
					t.Errorf("got %v after %v", err, f.bodies)
				}
				return
			}
			if err != nil || tc.want != "" && f.bodies[1] != tc.want {
				t.Errorf("%v; bodies %q", err, f.bodies)
			}
		})
	}
}

func devicePrompt(f *fake, step string) map[string]any {
	return map[string]any{
		"challenge": "Y2hhbGxlbmdl", "audience": f.url, "flow": "run-1", "step": step, "algorithms": []string{"ES256"}, "expiresAt": now.Add(time.Minute),
	}
}

const jwsSchema = `{"type":"object","properties":{"jws":{"type":"string"},"name":{"type":"string"}},"required":["jws"],"additionalProperties":false}`

// TestDeviceSignatures enrols in one run and proves in another. The
// signatures are verified with another library than the app's.
func TestDeviceSignatures(t *testing.T) {
	t.Parallel()
	asked := 0
	device := newDevice(t, func() bool { asked++; return true })
	onDevice := func(c *app.Config) { c.Device = device }

	f := newFake(t, prompt{typ: "DEVICE_ENROLMENT_REQUIRED", id: "bind-phone", schema: jwsSchema})
	f.script[0].data = devicePrompt(f, "bind-phone")
	if _, err := newApp(t, f, onDevice).Run(t.Context(), app.StartOptions{Target: "payments"}); err != nil {
		t.Fatal(err)
	}
	bound, header := verify(t, jwsOf(t, f.bodies[1]), nil)
	id := thumbprintOf(t, header.JSONWebKey)
	if device.AuthenticatorID() != id || header.ExtraHeaders["typ"] != "devbind+jwt" || id == f.key || f.key != device.Thumbprint() {
		t.Errorf("header %+v, id %s", header, id)
	}
	times := map[string]any{"iat": float64(now.Unix()), "exp": float64(now.Unix() + 60)}
	want := map[string]any{"aud": f.url, "nonce": "Y2hhbGxlbmdl", "flow": "run-1", "step": "bind-phone", "jkt": f.key, "iat": times["iat"], "exp": times["exp"]}
	if diff := cmp.Diff(want, bound); diff != "" {
		t.Error(diff)
	}

	g := newFake(t, prompt{typ: "BIOMETRIC_ATTESTATION_REQUIRED", id: "biometric", schema: jwsSchema})
	g.script[0].data = devicePrompt(g, "biometric")
	if _, err := newApp(t, g, onDevice).Run(t.Context(), app.StartOptions{Target: "payments"}); err != nil {
		t.Fatal(err)
	}
	proof, header2 := verify(t, jwsOf(t, g.bodies[1]), header.JSONWebKey)
	if header2.ExtraHeaders["typ"] != "devauth+jwt" || header2.KeyID != id || header2.JSONWebKey != nil {
		t.Errorf("header %+v", header2)
	}
	want = map[string]any{"aud": g.url, "iss": "bank-app", "sub": id, "nonce": "Y2hhbGxlbmdl", "flow": "run-1", "step": "biometric", "iat": times["iat"], "exp": times["exp"]}
	if diff := cmp.Diff(want, proof); diff != "" {
		t.Error(diff)
	}
	if asked != 2 {
		t.Errorf("the owner was looked for %d times, want 2", asked)
	}
}

func jwsOf(t *testing.T, body string) string {
	t.Helper()
	var b struct{ JWS string }
	if err := json.Unmarshal([]byte(body), &b); err != nil {
		t.Fatal(err)
	}
	return b.JWS
}

// TestDeviceSignsNothing in these cases; nothing is sent either.
func TestDeviceSignsNothing(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		typ     string
		nobody  bool
		change  func(map[string]any)
		want    error
		message string
	}{
		"stranger enrols":   {typ: "DEVICE_ENROLMENT_REQUIRED", nobody: true, want: app.ErrBiometrics},
		"not enrolled":      {typ: "BIOMETRIC_ATTESTATION_REQUIRED", want: app.ErrNotEnrolled},
		"relayed":           {typ: "DEVICE_ENROLMENT_REQUIRED", change: func(d map[string]any) { d["audience"] = "https://other.example" }, message: "other.example"},
		"expired":           {typ: "DEVICE_ENROLMENT_REQUIRED", change: func(d map[string]any) { d["expiresAt"] = now }, message: "expired"},
		"without challenge": {typ: "DEVICE_ENROLMENT_REQUIRED", change: func(d map[string]any) { delete(d, "challenge") }, message: "lacks"},
		"other algorithms":  {typ: "DEVICE_ENROLMENT_REQUIRED", change: func(d map[string]any) { d["algorithms"] = []string{"RS256"} }, message: "RS256"},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := newFake(t, prompt{typ: tc.typ, id: "device", schema: jwsSchema})
			data := devicePrompt(f, "device")
			if tc.change != nil {
				tc.change(data)
			}
			f.script[0].data = data
			_, err := newApp(t, f, func(c *app.Config) { c.Device = newDevice(t, func() bool { return !tc.nobody }) }).
				Run(t.Context(), app.StartOptions{Target: "payments"})
			if err == nil || !errors.Is(err, tc.want) && tc.want != nil || !strings.Contains(err.Error(), tc.message) || len(f.bodies) != 1 {
				t.Errorf("got %v after %v", err, f.bodies)
			}
		})
	}
}

// TestRefusedEnrolment leaves the device as it was.
func TestRefusedEnrolment(t *testing.T) {
	t.Parallel()
	f := newFake(t, prompt{typ: "DEVICE_ENROLMENT_REQUIRED", id: "device", schema: jwsSchema, check: func(map[string]any) (int, map[string]any) {
		return 403, map[string]any{"code": "insufficient_authentication"}
	}})
	f.script[0].data = devicePrompt(f, "device")
	device := newDevice(t, func() bool { return true })
	_, err := newApp(t, f, func(c *app.Config) { c.Device = device }).Run(t.Context(), app.StartOptions{Target: "payments"})
	var p *app.ProblemError
	if !errors.As(err, &p) || p.Status != 403 || device.AuthenticatorID() != "" {
		t.Errorf("got %v, enrolled as %q", err, device.AuthenticatorID())
	}
}

// TestProof with a token and a nonce, which runs do not need.
func TestProof(t *testing.T) {
	t.Parallel()
	d := newDevice(t, func() bool { return false }) // the DPoP key needs no owner
	proof, err := d.Proof("GET", "https://api.example/a", "token", "n")
	if err != nil {
		t.Fatal(err)
	}
	claims, header := verify(t, proof, nil)
	// SHA-256 of "token", base64url.
	if claims["ath"] != "PEaenWxYddN6Q_NT1PiOYfz4EsZu7jRXRlpAsNpBU-A" || claims["nonce"] != "n" || header.Algorithm != string(jose.ES256) {
		t.Errorf("%v %v", header, claims)
	}
}

// A delay is waited for and then answered with nothing; the ways out and the
// steps that could be activated are not mistaken for the way on.
func TestDelay(t *testing.T) {
	t.Parallel()
	const empty = `{"type":"object","additionalProperties":false}`
	tests := map[string]struct {
		data  any
		wrong string
		waits []time.Duration
	}{
		"some time":    {data: map[string]any{"until": now.Add(30 * time.Second)}, waits: []time.Duration{30 * time.Second}},
		"over already": {data: map[string]any{"until": now.Add(-time.Second)}},
		"too long":     {data: map[string]any{"until": now.Add(time.Hour)}, wrong: "too long"},
		"no instant":   {data: map[string]any{}, wrong: "until"},
		"no data":      {data: map[string]any{"until": "soon"}, wrong: "nextStep"},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := newFake(t, prompt{typ: "WAIT_REQUIRED", id: "breath", schema: empty, data: tc.data})
			var waited []time.Duration
			_, err := newApp(t, f, pauses(&waited)).Run(t.Context(), app.StartOptions{Target: "payments"})
			if diff := cmp.Diff(tc.waits, waited); diff != "" {
				t.Error(diff)
			}
			if tc.wrong != "" {
				if err == nil || !strings.Contains(err.Error(), tc.wrong) || len(f.bodies) != 1 {
					t.Errorf("got %v after %v", err, f.bodies)
				}
				return
			}
			if err != nil || f.bodies[1] != "{}" {
				t.Errorf("%v; bodies %q", err, f.bodies)
			}
		})
	}
}
