package sso_test

import (
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
