package sso_test

import (
	"encoding/json"
	"maps"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/stile-auth/stile/flows"
	"github.com/stile-auth/stile/oidcclient/oidctest"
)

// CVE-2026-49448: what is no response is malformed, is not counted, and leaves
// everything as it was.
func TestNoResponse(t *testing.T) {
	t.Parallel()
	k := newKit(t)
	tk := k.start(t, flows.StartRequest{})
	right := tk.visit(t)
	before := tk.view
	before.Handle = "" // shown once
	for name, in := range map[string]flows.Input{
		"empty object":  flows.Input(`{}`),
		"empty":         flows.Input(``),
		"null":          flows.Input(`{"queryString":null}`),
		"empty string":  body(""),
		"state only":    body(edited(t, right, "code", "")),
		"code only":     body(edited(t, right, "state", "")),
		"question mark": body("?"),
		"continue":      flows.Input(`{"continue":true}`),
		"other case":    flows.Input(`{"querystring":"code=x&state=y"}`),
		"twice":         flows.Input(`{"queryString":"code=x&state=y","queryString":"code=x&state=y"}`),
		"form without":  flows.Input(`{"form":{}}`),
		"two things":    flows.Input(`{"queryString":"code=x&state=y","form":{"code":"x","state":"y"}}`),
		"two wishes":    flows.Input(`{"again":true,"cancelled":true}`),
		"no wish":       flows.Input(`{"again":false}`),
		"list in form":  flows.Input(`{"form":{"code":["x"],"state":"y"}}`),
		"too long":      body(right + "&x=" + strings.Repeat("x", 16<<10)),
	} {
		for range 2 {
			wants(t, tk.submit(t, in), flows.KindMalformed)
		}
		if diff := cmp.Diff(before, tk.view); diff != "" {
			t.Errorf("%s changed the run: %s", name, diff)
		}
	}
	k.wantTokenCalls(t, 0)
	if err := tk.answer(t, right); err != nil {
		t.Errorf("the right response afterwards: %v", err)
	}
}

// T-13, T-17 to T-19, T-62: a response to another request is a wrong answer;
// no code goes anywhere, and the request waits on for its own.
func TestResponseOfSomebodyElse(t *testing.T) {
	t.Parallel()
	for name, change := range map[string]func(t *testing.T, k *kit, right string) string{
		"T-13 login CSRF": func(t *testing.T, k *kit, _ string) string {
			return k.start(t, flows.StartRequest{}).visit(t) // the attacker's own response
		},
		"T-17 iss of another": func(t *testing.T, _ *kit, q string) string { return edited(t, q, "iss", "https://evil.example") },
		"T-18 no iss":         func(t *testing.T, _ *kit, q string) string { return edited(t, q, "iss", "") },
		"T-19 error spoofed": func(t *testing.T, _ *kit, q string) string {
			return edited(t, q, "code", "", "error", "access_denied", "iss", "https://evil.example")
		},
		"T-62 code twice": func(_ *testing.T, _ *kit, q string) string { return "code=x&" + q },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			k := newKit(t)
			tk := k.start(t, flows.StartRequest{})
			right, asked := tk.visit(t), tk.asked(t)
			wants(t, tk.answer(t, change(t, k, right)), flows.KindRejected)
			k.wantTokenCalls(t, 0)
			if diff := cmp.Diff(asked, tk.asked(t)); diff != "" {
				t.Errorf("the request was replaced: %s", diff)
			}
			if diff := cmp.Diff([]string{"response"}, k.reasons(t)); diff != "" {
				t.Error(diff)
			}
			if err := tk.answer(t, right); err != nil {
				t.Errorf("the right response afterwards: %v", err)
			}
		})
	}
}

// T-13, T-24: the code of another request with the state of this one fails by
// PKCE. The request is used up then, and a new one shares nothing with it.
func TestCodeOfSomebodyElse(t *testing.T) {
	t.Parallel()
	k := newKit(t)
	tk := k.start(t, flows.StartRequest{})
	right, first := tk.visit(t), tk.asked(t)
	foreign := edited(t, k.start(t, flows.StartRequest{}).visit(t), "state", first.Parameters["state"])
	wants(t, tk.answer(t, foreign), flows.KindRejected)
	k.wantTokenCalls(t, 1)
	second := tk.asked(t)
	for _, name := range []string{"state", "nonce", "code_challenge"} {
		if first.Parameters[name] == second.Parameters[name] {
			t.Errorf("%s is the old one", name)
		}
	}
	wants(t, tk.answer(t, right), flows.KindRejected) // to the old request
	k.wantTokenCalls(t, 1)
	if diff := cmp.Diff([]string{"refused", "response"}, k.reasons(t)); diff != "" {
		t.Error(diff)
	}
	tk.completes(t)
}

// T-24, T-25, T-28, T-75, CVE-2026-15612: whatever the provider lies about, nobody gets in.
func TestLies(t *testing.T) {
	t.Parallel()
	for name, fault := range map[string]oidctest.Fault{
		"T-24 nonce":    oidctest.DropClaims("nonce"),
		"T-25 audience": oidctest.SetClaim("aud", "another"),
		"T-75 none":     oidctest.AlgNone("none"),
		"signature":     oidctest.BreakSignature(),
		"T-27 at_hash":  oidctest.WrongATHash(),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			k := newKit(t)
			k.idp.Misbehave(fault)
			tk := k.start(t, flows.StartRequest{})
			wants(t, tk.answer(t, tk.visit(t)), flows.KindRejected)
			k.wantTokenCalls(t, 1)
			k.idp.Behave()
			tk.completes(t)
		})
	}
}

// A person or a provider that refuses ends the step.
func TestDenied(t *testing.T) {
	t.Parallel()
	for code, kind := range map[string]flows.Kind{
		"access_denied": flows.KindFailed, "login_required": flows.KindFailed, "unheard_of": flows.KindFailed,
		"server_error": flows.KindUnavailable, "temporarily_unavailable": flows.KindUnavailable,
	} {
		k := newKit(t)
		k.idp.Misbehave(oidctest.RefuseWith(code))
		tk := k.start(t, flows.StartRequest{})
		wants(t, tk.answer(t, tk.visit(t)), kind)
		k.wantTokenCalls(t, 0)
		if kind == flows.KindUnavailable {
			k.idp.Behave()
			tk.completes(t)
		}
	}
}

// Who did not go through with it is not told from who was refused, but by the flow.
func TestCancelled(t *testing.T) {
	t.Parallel()
	for name, code := range map[string]string{
		"in the standard's words": "consent_required", "in its own words": "user_cancelled_login", "by closing the browser": "",
		"refused": "access_denied",
	} {
		k := newKit(t, func(k *kit) { k.def.Codes.Cancelled = []string{"user_cancelled_login"} })
		tk := k.start(t, flows.StartRequest{Flow: "handled"})
		in := flows.Input(`{"cancelled":true}`)
		if code != "" {
			k.idp.Misbehave(oidctest.RefuseWith(code))
			in = body(tk.visit(t))
		}
		if err := tk.submit(t, in); err != nil {
			t.Fatal(err)
		}
		want := "cancelled"
		if code == "access_denied" {
			want = "denied"
		}
		if tk.view.NextStep == nil || tk.view.NextStep.StepID != want {
			t.Errorf("%s: the run is at %+v", name, tk.view.NextStep)
		}
		k.wantTokenCalls(t, 0)
	}
	k := newKit(t)
	tk := k.start(t, flows.StartRequest{})
	wants(t, tk.submit(t, flows.Input(`{"cancelled":true}`)), flows.KindFailed)
}

// A provider that is down leads to where the flow says, if it says so.
func TestUnavailableExit(t *testing.T) {
	t.Parallel()
	k := newKit(t)
	tk := k.start(t, flows.StartRequest{Flow: "handled"})
	query := tk.visit(t)
	k.idp.Down()
	if err := tk.answer(t, query); err != nil || tk.view.NextStep.StepID != "unavailable" {
		t.Errorf("in the exchange: %v, %+v", err, tk.view.NextStep)
	}
	down := newKit(t)
	down.idp.Down()
	if tk := down.start(t, flows.StartRequest{Flow: "handled"}); tk.view.NextStep.StepID != "unavailable" {
		t.Errorf("at the start: %+v", tk.view.NextStep)
	}
}

// A fresh request makes the one before void, and is nobody's mistake.
func TestAgain(t *testing.T) {
	t.Parallel()
	k := newKit(t)
	tk := k.start(t, flows.StartRequest{})
	old := tk.visit(t)
	if err := tk.submit(t, flows.Input(`{"again":true}`)); err != nil {
		t.Fatal(err)
	}
	wants(t, tk.answer(t, old), flows.KindRejected)
	k.wantTokenCalls(t, 0)
	tk.completes(t)
}

// The fields of a form are taken as a query is.
func TestForm(t *testing.T) {
	t.Parallel()
	k := newKit(t, func(k *kit) { k.def.Mode = "form_post" })
	tk := k.start(t, flows.StartRequest{})
	if mode := tk.asked(t).Mode; mode != "form_post" {
		t.Errorf("response mode %q", mode)
	}
	fields, err := url.ParseQuery(tk.visit(t))
	if err != nil {
		t.Fatal(err)
	}
	form := map[string]string{}
	for name := range fields {
		form[name] = fields.Get(name)
	}
	send := func(changes map[string]string) error {
		mine := maps.Clone(form)
		maps.Copy(mine, changes)
		in, err := json.Marshal(map[string]any{"form": mine})
		if err != nil {
			t.Fatal(err)
		}
		return tk.submit(t, in)
	}
	wants(t, send(map[string]string{"state": "another"}), flows.KindRejected)
	wants(t, send(map[string]string{"iss": "https://evil.example"}), flows.KindRejected)
	k.wantTokenCalls(t, 0)
	if err := send(nil); err != nil || tk.view.Flow.Status != flows.Completed {
		t.Errorf("the form: %v, %s", err, tk.view.Flow.Status)
	}
}

// A request is good for ten minutes; then it is replaced, and nothing is sent.
func TestRequestExpires(t *testing.T) {
	t.Parallel()
	k := newKit(t)
	tk := k.start(t, flows.StartRequest{})
	right, first := tk.visit(t), tk.asked(t)
	k.clock.advance(10 * time.Minute)
	if err := tk.answer(t, right); err != nil {
		t.Fatalf("an expired request is nobody's mistake: %v", err)
	}
	k.wantTokenCalls(t, 0)
	if tk.asked(t).Parameters["state"] == first.Parameters["state"] {
		t.Error("the request is the old one")
	}
	tk.completes(t)
}

func TestJustInTime(t *testing.T) {
	t.Parallel()
	k := newKit(t)
	tk := k.start(t, flows.StartRequest{})
	right := tk.visit(t)
	k.clock.advance(10*time.Minute - time.Second)
	if err := tk.answer(t, right); err != nil {
		t.Error(err)
	}
}

// T-16, CVE-2025-46815: what was used in one run is worth nothing in any.
func TestResponseIsUsedOnce(t *testing.T) {
	t.Parallel()
	k := newKit(t)
	tk := k.start(t, flows.StartRequest{})
	right := tk.visit(t)
	if err := tk.answer(t, right); err != nil {
		t.Fatal(err)
	}
	if err := tk.answer(t, right); err == nil {
		t.Error("the same response was taken again")
	}
	other := k.start(t, flows.StartRequest{})
	wants(t, other.answer(t, right), flows.KindRejected)
	k.wantTokenCalls(t, 1)
}
