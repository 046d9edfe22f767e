package flows_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/stile-auth/stile/flowdefs"
	"github.com/stile-auth/stile/flows"
)

// Rows of the threat list that have no test of their own elsewhere, each by its
// number, and the failures of other products that they come from.

// T-02, CVE-2025-3910: there is no call that completes a run, and an answer to
// the last step before its turn completes nothing.
func TestThreat02SkipToTheEnd(t *testing.T) {
	t.Parallel()
	k := newKit(t, definitions(secretThenCode, "{}"))
	tk := k.must(flows.StartRequest{Target: "t", LoginHint: "jane"})
	for _, step := range []string{"complete", "done", "code", ""} {
		wants(t, tk.answer(step, 1, in("ok", "")), flows.KindConflict, flows.CodeNotCurrent)
	}
	if len(k.tokens.all()) != 0 {
		t.Error("a token was issued")
	}
}

// T-05: what a client says of the run's fate is refused and sets nothing.
func TestThreat05StepParameters(t *testing.T) {
	t.Parallel()
	k := newKit(t, definitions(secretThenCode, "{}"))
	tk := k.must(flows.StartRequest{Target: "t", LoginHint: "jane"})
	body := flows.Input(`{"answer":"ok","next_step":"done","loa":3,"amr":["mfa"],"skip":true}`)
	wants(t, tk.answer("secret", 1, body), flows.KindMalformed, flows.CodeMalformed)
	if tk.view.Flow.Turn != 1 || len(tk.view.Assurance.AMR) != 0 {
		t.Errorf("%+v", tk.view)
	}
}

// T-06, T-23, a captured execution value of a finished web flow: a finished run
// gives nothing a second time, under any of its handles.
func TestThreat06ReplayOfAFinishedRun(t *testing.T) {
	t.Parallel()
	k := newKit(t, definitions(secretThenCode, "{}"))
	tk := k.must(flows.StartRequest{Target: "t", LoginHint: "jane"})
	handles := []flows.Secret{tk.handle}
	tk.ok("ok", "")
	handles = append(handles, tk.handle)
	tk.ok("ok", "")
	for _, h := range append(handles, tk.handle) {
		for turn := 1; turn <= 4; turn++ {
			_, err := tk.e.Answer(context.Background(), h, tk.caller, "code", turn, in("ok", ""))
			var p *flows.Problem
			if !errors.As(err, &p) || p.Kind != flows.KindNotFound && p.Kind != flows.KindFinished {
				t.Errorf("turn %d: %v", turn, err)
			}
		}
	}
	if len(k.tokens.all()) != 1 {
		t.Errorf("%d tokens", len(k.tokens.all()))
	}
}

// T-10: a handle continues its own run and no other.
func TestThreat10CrossFlow(t *testing.T) {
	t.Parallel()
	k := newKit(t, definitions(secretThenCode, "{}"))
	mine, _ := k.start(flows.StartRequest{ClientID: "bound", Target: "t", LoginHint: "bob"}, flows.Caller{Key: "mine"})
	yours, _ := k.start(flows.StartRequest{ClientID: "bound", Target: "t", LoginHint: "jane"}, flows.Caller{Key: "yours"})
	mine.ok("ok", "")
	for _, c := range []struct {
		h flows.Secret
		c flows.Caller
	}{{yours.handle, mine.caller}, {mine.handle, yours.caller}, {mine.handle, flows.Caller{}}} {
		_, err := k.engine.Answer(context.Background(), c.h, c.c, "code", 2, in("ok", ""))
		wants(t, err, flows.KindNotFound, flows.CodeNotFound)
	}
	if yours.view.NextStep.StepID != "secret" {
		t.Error("the other run moved")
	}
}

// T-12c, CVE-2026-96445, CVE-2023-4612: what the client says of itself removes no step.
func TestThreat12cUntrustedInputRemovesNoStep(t *testing.T) {
	t.Parallel()
	k := newKit(t, definitions(secretThenCode, "{}"))
	for _, steps := range []string{
		"      - { id: code, type: code, if: 'request.locale != \"de\"' }\n",
		"      - { require: 'request.locale == \"de\"' }\n      - { id: code, type: code }\n",
		"      - { id: code, type: code }\n      - { fail: x, if: 'request.locale == \"de\"' }\n",
	} {
		_, err := flowdefs.Load(fstest.MapFS{"f.yaml": {Data: []byte(definitions(steps, "{}"))}}, ".", k.config.Registry)
		if err == nil || !strings.Contains(err.Error(), "request is what the client says of itself") {
			t.Errorf("%s loads: %v", steps, err)
		}
	}
}

// T-12e: the weaker alternative cannot reach the level, and is not offered.
func TestThreat12eDowngradeByAlternative(t *testing.T) {
	t.Parallel()
	k := newKit(t, definitions("      - id: pick\n        choose:\n          - { id: strong, steps: [ { id: a, type: secret }, { id: b, type: code } ] }\n          - { id: weak, type: code }\n", "{}"))
	tk := k.must(flows.StartRequest{Target: "t", LoginHint: "jane", ACRValues: []string{"aal2"}})
	if tk.view.NextStep.StepID != "a" {
		t.Errorf("waits at %s", tk.view.NextStep.StepID)
	}
	tk.ok("ok", "")
	tk.ok("ok", "")
	if tk.view.Flow.Status != flows.Completed || *tk.view.Assurance.ACR != "aal2" {
		t.Errorf("%+v", tk.view)
	}
}

// T-15: an answer of a provider where none is waited for.
func TestThreat15ResponseWithoutAPendingSignOn(t *testing.T) {
	t.Parallel()
	k := newKit(t, definitions("      - { id: secret, type: secret }\n      - { id: s, type: sso }\n", "{}"))
	tk := k.must(flows.StartRequest{Target: "t", LoginHint: "jane"})
	wants(t, tk.answer("s", 1, in("ok", "jane")), flows.KindConflict, flows.CodeNotCurrent)
}

// CVE-2026-18963: "try another way" is a choice, and no answer.
func TestTryingAnotherWayProvesNothing(t *testing.T) {
	t.Parallel()
	k := newKit(t, definitions("      - id: pick\n        choose:\n          - { id: a, type: secret }\n          - { id: b, type: code }\n", "{}"))
	tk := k.must(flows.StartRequest{Target: "t", LoginHint: "jane"})
	for range 3 {
		tk.choose("a")
		if err := tk.answer("pick", tk.view.Flow.Turn, flows.Input(`{}`)); err != nil {
			t.Fatal(err)
		}
		tk.choose("b")
		wants(t, tk.answer("b", tk.view.Flow.Turn, flows.Input(`{}`)), flows.KindMalformed, flows.CodeMalformed)
		if err := tk.answer("pick", tk.view.Flow.Turn, flows.Input(`{}`)); err != nil {
			t.Fatal(err)
		}
	}
	if len(tk.view.Assurance.AMR) != 0 || tk.view.Flow.Status != flows.InProgress {
		t.Errorf("%+v", tk.view)
	}
}

// CVE-2026-49448: an empty answer completes no step of any type.
func TestEmptyAnswersCompleteNothing(t *testing.T) {
	t.Parallel()
	for _, typ := range []string{"secret", "code", "sso"} {
		k := newKit(t, definitions("      - { id: x, type: "+typ+" }\n", "{}"))
		tk := k.must(flows.StartRequest{Target: "t", LoginHint: "jane"})
		for _, body := range []string{``, `{}`, `null`, `[]`, `""`, `{"answer":null}`, `{"continue":true}`} {
			wants(t, tk.answer("x", 1, flows.Input(body)), flows.KindMalformed, flows.CodeMalformed)
		}
		if tk.view.Flow.Turn != 1 {
			t.Errorf("%s moved", typ)
		}
	}
}

// CVE-2026-15616: a sign-on at a provider is one factor, and not the local ones.
func TestFederatedEntryIsOneFactor(t *testing.T) {
	t.Parallel()
	k := newKit(t, definitions("      - { id: s, type: sso }\n      - { require: acr >= level.aal2 }\n", "{}"))
	tk := k.must(flows.StartRequest{Target: "t"})
	wants(t, tk.say("ok", "jane"), flows.KindFailed, flows.CodeRequirement)
}

// CVE-2025-64103: a second factor alone is a single factor.
func TestSecondFactorAloneIsOneFactor(t *testing.T) {
	t.Parallel()
	k := newKit(t, definitions("      - { id: code, type: code }\n", "{ acr: aal2 }"))
	_, err := k.start(flows.StartRequest{ClientID: "app", Target: "t", LoginHint: "jane"}, flows.Caller{})
	wants(t, err, flows.KindFailed, flows.CodeUnmet)
}

// CVE-2024-45042: what a session amounts to and what a token says come from one function.
func TestSessionAndTokenAgree(t *testing.T) {
	t.Parallel()
	k := newKit(t, definitions(secretThenCode, "{ acr: aal2 }"))
	tk := k.must(flows.StartRequest{Flow: "f", LoginHint: "jane", ACRValues: []string{"aal2"}})
	tk.ok("ok", "")
	tk.ok("ok", "")
	tk = k.must(flows.StartRequest{Target: "t", Session: tk.view.Result.Session})
	tk.done("mfa otp pwd")
	if id := k.tokens.all()[0]; id.ACR != "aal2" {
		t.Errorf("acr %s", id.ACR)
	}
}
