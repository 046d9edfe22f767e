package flows_test

import (
	"context"
	"encoding/json"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stile-auth/stile/flows"
)

// flowOf is a definition of one flow, written from its steps on, with whatever follows.
func flowOf(body string) string {
	return "flows:\n  f:\n" + body + "targets:\n  t:\n    flow: f\n    propagate: { type: bearer_jwt, audience: \"https://t.example\" }\n" + clients
}

// offered returns the ids of the options that the client sees.
func (tk *talk) offered() []string {
	var data struct {
		Options []struct {
			ID string `json:"id"`
		} `json:"options"`
	}
	raw, _ := tk.view.NextStep.Data.(json.RawMessage)
	_ = json.Unmarshal(raw, &data)
	var out []string
	for _, o := range data.Options {
		out = append(out, o.ID)
	}
	return out
}

func (tk *talk) choose(option string) {
	tk.k.t.Helper()
	if err := tk.answer(tk.view.NextStep.StepID, tk.view.Flow.Turn, flows.Input(`{"select":"`+option+`"}`)); err != nil {
		tk.k.t.Fatalf("select %s: %v", option, err)
	}
}

func (tk *talk) at(step string) {
	tk.k.t.Helper()
	if tk.view.NextStep == nil || tk.view.NextStep.StepID != step {
		tk.k.t.Fatalf("at %+v (%s), want %s", tk.view.NextStep, tk.view.Flow.Status, step)
	}
}

func (tk *talk) done(amr string) {
	tk.k.t.Helper()
	if tk.view.Flow.Status != flows.Completed {
		tk.k.t.Fatalf("status %s at %+v", tk.view.Flow.Status, tk.view.NextStep)
	}
	ids := tk.k.tokens.all()
	if got := strings.Join(ids[len(ids)-1].AMR, " "); got != amr {
		tk.k.t.Fatalf("amr %q, want %q", got, amr)
	}
}

func TestHandlers(t *testing.T) {
	t.Parallel()
	k := newKit(t, flowOf(`    steps:
      - { id: secret, type: secret, attempts: { max: 2 }, on: { exhausted: sorry, denied: sorry } }
      - { id: code, type: code }
    handlers:
      sorry:
        - { id: text, type: note }
`))
	tk := k.must(flows.StartRequest{Target: "t", LoginHint: "jane"})
	wants(t, tk.say("no", ""), flows.KindRejected, flows.CodeWrongAnswer)
	wants(t, tk.say("no", ""), flows.KindRejected, flows.CodeWrongAnswer)
	tk.at("text")
	wants(t, tk.say("ok", ""), flows.KindFailed, flows.CodeExhausted) // the end of a handler, and never the steps behind
	tk = k.must(flows.StartRequest{Target: "t", LoginHint: "bob"})
	if err := tk.say("denied", ""); err != nil {
		t.Fatal(err)
	}
	tk.at("text")
	wants(t, tk.say("ok", ""), flows.KindFailed, flows.CodeDenied)
	if len(k.tokens.all()) != 0 {
		t.Error("a token was issued")
	}
}

func TestHandlerOfAChooseAndOfUnavailable(t *testing.T) {
	t.Parallel()
	k := newKit(t, flowOf(`    steps:
      - { id: secret, type: secret }
      - id: pick
        choose:
          - { id: code, type: code, attempts: { max: 1 }, on: { unavailable: broken } }
          - { id: inner, choose: [ { id: deep, type: code, attempts: { max: 1 } } ] }
        on: { exhausted: lost }
    handlers:
      lost: [ { fail: no_factor_left } ]
      broken: [ { id: sorry, type: note }, { goto: secret, max: 1 } ]
`))
	start := func() *talk {
		tk := k.must(flows.StartRequest{Target: "t", LoginHint: "jane"})
		tk.ok("ok", "")
		tk.choose("code")
		return tk
	}
	tk := start()
	if err := tk.say("down", ""); err != nil { // a dependency fails: not 503 but the author's way out
		t.Fatal(err)
	}
	tk.at("sorry")
	tk.ok("ok", "")
	tk.at("secret")
	tk.ok("ok", "")
	tk.choose("code")
	if err := tk.say("down", ""); err != nil {
		t.Fatal(err)
	}
	wants(t, tk.say("ok", ""), flows.KindFailed, flows.CodeExhausted) // the goto is used up
	tk = start()
	wants(t, tk.say("no", ""), flows.KindRejected, flows.CodeWrongAnswer)
	tk.at("deep") // what is left of a nested choose is taken silently
	wants(t, tk.say("no", ""), flows.KindFailed, "no_factor_left")
}

// An option lost inside a choose inside a choose leaves the options outside.
func TestLostInANestedChoose(t *testing.T) {
	t.Parallel()
	k := newKit(t, flowOf(`    steps:
      - { id: secret, type: secret }
      - id: outer
        choose:
          - { id: a, type: code }
          - { id: inner, choose: [ { id: b, type: code, attempts: { max: 1 } } ] }
`))
	tk := k.must(flows.StartRequest{Target: "t", LoginHint: "jane"})
	tk.ok("ok", "")
	tk.choose("inner")
	tk.at("b")
	wants(t, tk.say("no", ""), flows.KindRejected, flows.CodeWrongAnswer)
	tk.at("a")
	tk.ok("ok", "")
	tk.done("mfa otp pwd")
}

func TestAnyOf(t *testing.T) {
	t.Parallel()
	k := newKit(t, flowOf(`    steps:
      - id: two
        any:
          of: 2
          options:
            - { id: secret, type: secret }
            - { id: code, type: code }
            - { id: sso, type: sso }
`))
	tk := k.must(flows.StartRequest{Target: "t", LoginHint: "jane"})
	tk.choose("code")
	tk.ok("ok", "")
	if got := tk.offered(); !slices.Equal(got, []string{"secret", "sso"}) {
		t.Fatalf("offered %v", got)
	}
	tk.choose("sso")
	tk.ok("ok", "jane")
	tk.done("mfa otp pwd")
	k = newKit(t, flowOf("    steps:\n      - id: two\n        any: { of: 2, options: [ { id: a, type: secret, attempts: { max: 1 } }, { id: b, type: code } ] }\n"))
	tk = k.must(flows.StartRequest{Target: "t", LoginHint: "jane"})
	tk.choose("a")
	wants(t, tk.say("no", ""), flows.KindFailed, flows.CodeExhausted) // one is not two
}

func TestGroup(t *testing.T) {
	t.Parallel()
	k := newKit(t, flowOf(`    steps:
      - id: pick
        choose:
          - { id: strong, steps: [ { id: secret, type: secret }, { id: code, type: code } ] }
          - { id: easy, type: sso }
      - { id: last, type: note }
`))
	tk := k.must(flows.StartRequest{Target: "t", LoginHint: "jane"})
	tk.choose("strong")
	tk.at("secret")
	if !hasAction(tk, "choose_other") {
		t.Error("the first step of a group can be exchanged for another option")
	}
	tk.ok("ok", "")
	tk.at("code")
	if hasAction(tk, "choose_other") {
		t.Error("behind a proof there is no other option")
	}
	tk.ok("ok", "")
	tk.at("last")
	tk.ok("ok", "")
	tk.done("mfa otp pwd")
}

func TestGotoIsBoundedAndGrantsNothing(t *testing.T) {
	t.Parallel()
	k := newKit(t, flowOf(`    steps:
      - { id: secret, type: secret }
      - { id: note, type: note }
      - { goto: secret, max: 2, if: acr < level.aal2 }
`))
	tk := k.must(flows.StartRequest{Target: "t", LoginHint: "jane"})
	for range 3 {
		tk.at("secret")
		tk.ok("ok", "")
		tk.at("note")
		if err := tk.say("ok", ""); err != nil {
			wants(t, err, flows.KindFailed, flows.CodeExhausted)
			if k.count(flows.EventGoto) != 2 || len(k.tokens.all()) != 0 {
				t.Errorf("%d gotos, %d tokens", k.count(flows.EventGoto), len(k.tokens.all()))
			}
			return
		}
	}
	t.Error("the loop did not end")
}

func TestGotoCountsAsAFailedAttempt(t *testing.T) {
	t.Parallel()
	k := newKit(t, flowOf(`    steps:
      - { id: secret, type: secret, attempts: { max: 2 } }
      - { id: note, type: note, on: { denied: again } }
    handlers:
      again: [ { goto: secret, max: 9, counts: true } ]
`))
	tk := k.must(flows.StartRequest{Target: "t", LoginHint: "jane"})
	tk.ok("ok", "")
	if err := tk.say("denied", ""); err != nil {
		t.Fatal(err)
	}
	tk.ok("ok", "")
	wants(t, tk.say("denied", ""), flows.KindFailed, flows.CodeExhausted)
}

func TestTimeoutOfAStep(t *testing.T) {
	t.Parallel()
	k := newKit(t, flowOf(`    steps:
      - { id: secret, type: secret }
      - { id: code, type: code, timeout: 30s, on: { timeout: late } }
    handlers:
      late: [ { goto: secret, max: 1 } ]
`))
	tk := k.must(flows.StartRequest{Target: "t", LoginHint: "jane"})
	tk.ok("ok", "")
	k.clock.pass(30 * time.Second)
	if err := tk.say("ok", ""); err != nil {
		t.Fatal(err)
	}
	tk.at("secret") // the answer came too late: it was not looked at
	tk.ok("ok", "")
	k.clock.pass(29 * time.Second)
	tk.ok("ok", "")
	tk.done("mfa otp pwd")
	k = newKit(t, flowOf("    steps:\n      - { id: secret, type: secret, timeout: 30s }\n"))
	tk = k.must(flows.StartRequest{Target: "t", LoginHint: "jane"})
	k.clock.pass(time.Minute)
	wants(t, tk.take(tk.e.Show(context.Background(), tk.handle, tk.caller)), flows.KindFailed, flows.CodeTimeout)
}

func TestTagsLiveAsLongAsTheyAreSaidTo(t *testing.T) {
	t.Parallel()
	k := newKit(t, flowOf(`    steps:
      - { id: secret, type: secret }
      - { id: ask, type: note, if: "!('seen' in tags)" }
      - { tag: { set: [seen, gone], for: 5m } }
      - { tag: { remove: [gone] } }
      - { id: more, type: note, if: "'gone' in tags" }
`))
	tk := k.must(flows.StartRequest{Target: "t", LoginHint: "jane"})
	tk.ok("ok", "")
	tk.at("ask")
	tk.ok("ok", "")
	session := tk.view.Result.Session
	k.clock.pass(4 * time.Minute)
	tk = k.must(flows.StartRequest{Target: "t", Session: session})
	tk.done("pwd")
	session = tk.view.Result.Session
	k.clock.pass(6 * time.Minute)
	tk = k.must(flows.StartRequest{Target: "t", Session: session})
	tk.at("ask")
}

func TestObligationsFailClosed(t *testing.T) { // invariant 16; lesson 6
	t.Parallel()
	k := newKit(t, flowOf(`    steps:
      - { id: secret, type: secret }
      - { oblige: accept-terms, if: account.has("code") }
      - { id: ask, type: note, settles: [accept-terms], if: account.attributes.branch == "Zurich" }
`))
	tk := k.must(flows.StartRequest{Target: "t", LoginHint: "jane"})
	tk.ok("ok", "")
	tk.ok("ok", "")
	tk.done("pwd")
	k.people.change("sub-jane", func(a *flows.Account) { a.Attributes["branch"] = "Bern" })
	tk = k.must(flows.StartRequest{Target: "t", LoginHint: "jane"})
	wants(t, tk.say("ok", ""), flows.KindFailed, flows.CodeObligation)
}

func TestDecideAndAssign(t *testing.T) {
	t.Parallel()
	text := flowOf(`    steps:
      - { id: secret, type: secret }
      - { assign: { tier: 'account.attributes.branch == "Zurich" ? "gold" : "plain"' } }
      - { id: way, decide: 'assigned.tier == "gold" ? "continue" : assigned.tier', on: { plain: more } }
    handlers:
      more: [ { id: code, type: code }, { fail: not_gold } ]
`)
	k := newKit(t, text)
	tk := k.must(flows.StartRequest{Target: "t", LoginHint: "jane"})
	tk.ok("ok", "")
	tk.done("pwd")
	k.people.change("sub-jane", func(a *flows.Account) { a.Attributes["branch"] = "Bern" })
	tk = k.must(flows.StartRequest{Target: "t", LoginHint: "jane"})
	tk.ok("ok", "")
	tk.at("code")
	wants(t, tk.say("ok", ""), flows.KindFailed, "not_gold")
	k.people.change("sub-jane", func(a *flows.Account) { a.Attributes = map[string]string{} })
	tk = k.must(flows.StartRequest{Target: "t", LoginHint: "jane"})
	wants(t, tk.say("ok", ""), flows.KindFailed, flows.CodeRequirement)
	k = newKit(t, strings.Replace(text, "? \"continue\" : assigned.tier", "? \"nowhere\" : assigned.tier", 1))
	tk = k.must(flows.StartRequest{Target: "t", LoginHint: "jane"})
	wants(t, tk.say("ok", ""), flows.KindFailed, flows.CodeUnhandledExit)
}

func TestDelay(t *testing.T) {
	t.Parallel()
	k := newKit(t, flowOf("    steps:\n      - { id: secret, type: secret }\n      - { id: calm, delay: 30s }\n"))
	tk := k.must(flows.StartRequest{Target: "t", LoginHint: "jane"})
	tk.ok("ok", "")
	if tk.view.NextStep.Type != flows.CodeWait {
		t.Fatalf("next %+v", tk.view.NextStep)
	}
	goOn := func() error { return tk.answer("calm", tk.view.Flow.Turn, flows.Input(`{}`)) }
	k.clock.pass(20 * time.Second)
	if p := wants(t, goOn(), flows.KindThrottled, flows.CodeWaitLonger); p.RetryAfter != 10*time.Second {
		t.Errorf("retry after %v", p.RetryAfter)
	}
	k.clock.pass(10 * time.Second)
	if err := goOn(); err != nil {
		t.Fatal(err)
	}
	tk.done("pwd")
}

func TestAbort(t *testing.T) {
	t.Parallel()
	k := newKit(t, flowOf("    steps:\n      - { id: secret, type: secret }\n      - { abort: true }\n"))
	tk := k.must(flows.StartRequest{Target: "t", LoginHint: "jane"})
	tk.ok("ok", "")
	if tk.view.Flow.Status != flows.Cancelled || len(k.tokens.all()) != 0 {
		t.Errorf("status %s", tk.view.Flow.Status)
	}
}

func TestActivation(t *testing.T) {
	t.Parallel()
	k := newKit(t, flowOf("    steps:\n      - { id: secret, type: secret }\n      - { id: keep, type: note, activate: true }\n"))
	tk := k.must(flows.StartRequest{Target: "t", LoginHint: "jane"})
	tk.ok("ok", "")
	tk.done("pwd")
	tk = k.must(flows.StartRequest{Target: "t", LoginHint: "jane", Activate: []string{"keep"}})
	tk.ok("ok", "")
	tk.at("keep")
	// What the client cannot draw it is not offered to turn on: that would end the run.
	if tk = k.must(flows.StartRequest{Target: "t", LoginHint: "jane", Capabilities: []string{"X_SECRET_REQUIRED"}}); hasAction(tk, "activate") {
		t.Errorf("%+v", tk.view.NextStep)
	}
	tk = k.must(flows.StartRequest{Target: "t", LoginHint: "jane"})
	act := func(id string) error {
		return tk.take(tk.e.Activate(context.Background(), tk.handle, tk.caller, tk.view.Flow.Turn, flows.Input(`{"step":"`+id+`"}`)))
	}
	wants(t, act("secret"), flows.KindMalformed, flows.CodeMalformed)
	if err := act("keep"); err != nil || tk.view.NextStep.StepID != "secret" || hasAction(tk, "activate") {
		t.Fatalf("%v %+v", err, tk.view.NextStep)
	}
	tk.ok("ok", "")
	tk.at("keep")
	_, err := k.start(flows.StartRequest{ClientID: "app", Target: "t", Activate: []string{"secret"}}, flows.Caller{})
	wants(t, err, flows.KindMalformed, flows.CodeMalformed)
}

func TestSubflowsAreInPlace(t *testing.T) {
	t.Parallel()
	k := newKit(t, `subflows:
  twice:
    steps:
      - { id: a, type: note }
      - { id: b, choose: [ { id: x, type: note }, { id: y, type: sso } ] }
`+flowOf("    steps:\n      - { id: secret, type: secret }\n      - { id: one, use: twice }\n      - { id: two, use: twice }\n"))
	tk := k.must(flows.StartRequest{Target: "t", LoginHint: "jane"})
	tk.ok("ok", "")
	for _, use := range []string{"one", "two"} {
		tk.at(use + ".a")
		tk.ok("ok", "")
		tk.at(use + ".b")
		tk.choose(use + ".x")
		tk.ok("ok", "")
	}
	tk.done("pwd")
}

func TestAuthorizationRunsBehindTheSignIn(t *testing.T) {
	t.Parallel()
	text := strings.Replace(flowOf("    steps:\n      - { id: secret, type: secret }\n"), "    flow: f\n", "    flow: f\n    authorize: [terms]\n", 1) +
		"" // the clients follow
	text = strings.Replace(text, "targets:", "  terms:\n    kind: authorization\n    steps:\n      - { id: accept, type: note }\ntargets:", 1)
	k := newKit(t, text)
	tk := k.must(flows.StartRequest{Target: "t", LoginHint: "jane"})
	tk.e = k.another(definitions(secretThenCode, "{}")) // and runs are pinned to the whole of it
	tk.ok("ok", "")
	tk.at("accept")
	tk.ok("ok", "")
	tk.done("pwd")
	tk = k.must(flows.StartRequest{Flow: "f", LoginHint: "jane"})
	tk.ok("ok", "")
	if tk.view.Flow.Status != flows.Completed {
		t.Error("without the target there is nothing to authorize")
	}
}

func TestSelfServiceNeedsASession(t *testing.T) { // lesson 41: CVE-2022-46145
	t.Parallel()
	k := newKit(t, flowOf("    steps:\n      - { id: secret, type: secret }\n"))
	tk := k.must(flows.StartRequest{Flow: "f", LoginHint: "jane"})
	tk.ok("ok", "")
	session := tk.view.Result.Session
	for need, code := range map[string]string{"{ acr: aal1 }": "", "{ acr: aal2 }": flows.CodeInsufficient} {
		k.engine = k.another(strings.Replace(flowOf("    kind: self_service\n    requires: "+need+"\n    steps:\n      - { id: note, type: note }\n      - { id: secret, type: secret }\n"), "flow: f\n    propagate", "flow: f\n    propagate", 1))
		_, err := k.start(flows.StartRequest{ClientID: "app", Flow: "f", LoginHint: "jane"}, flows.Caller{})
		wants(t, err, flows.KindFailed, flows.CodeLoginRequired)
		_, err = k.start(flows.StartRequest{ClientID: "app", Flow: "f", Session: session}, flows.Caller{})
		if code == "" && err != nil {
			t.Fatal(err)
		} else if code != "" {
			wants(t, err, flows.KindFailed, code)
		}
	}
}

func TestRecoveryIsCapped(t *testing.T) { // T-49
	t.Parallel()
	k := newKit(t, flowOf("    kind: recovery\n    steps:\n      - { id: secret, type: secret }\n      - { id: code, type: code }\n"))
	tk := k.must(flows.StartRequest{Target: "t", LoginHint: "jane"})
	tk.ok("ok", "")
	tk.ok("ok", "")
	if id := k.tokens.all()[0]; id.ACR != "aal1" {
		t.Errorf("a recovery reached %s", id.ACR)
	}
}

func TestBackAndRestartCanBeForbidden(t *testing.T) {
	t.Parallel()
	k := newKit(t, flowOf("    back: false\n    restart: false\n    steps:\n      - { id: pick, choose: [ { id: a, type: secret }, { id: b, type: code } ] }\n"))
	tk := k.must(flows.StartRequest{Target: "t", LoginHint: "jane"})
	tk.choose("a")
	if hasAction(tk, "back") || hasAction(tk, "restart") {
		t.Error("offered")
	}
	ctx := context.Background()
	wants(t, tk.take(tk.e.Back(ctx, tk.handle, tk.caller, tk.view.Flow.Turn)), flows.KindConflict, flows.CodeNotPossibleHere)
	wants(t, tk.take(tk.e.Restart(ctx, tk.handle, tk.caller, tk.view.Flow.Turn)), flows.KindConflict, flows.CodeNotPossibleHere)
}

// An attempt that checked nothing leaves no delay and no lock behind.
func TestReleasedAttemptLeavesNoDelay(t *testing.T) {
	t.Parallel()
	k := newKit(t, flowOf("    steps:\n      - { id: secret, type: secret, attempts: { max: 100 } }\n"))
	tk := k.must(flows.StartRequest{Target: "t", LoginHint: "jane"})
	for range 4 {
		wants(t, tk.say("no", ""), flows.KindRejected, flows.CodeWrongAnswer)
		k.clock.pass(time.Minute)
	}
	wants(t, tk.say("down", ""), flows.KindUnavailable, flows.CodeUnavailable)
	tk.ok("ok", "")
}

func TestSignOutEndsTheSession(t *testing.T) {
	t.Parallel()
	k := newKit(t, flowOf("    steps:\n      - { id: secret, type: secret }\n"))
	tk := k.must(flows.StartRequest{Target: "t", LoginHint: "jane"})
	tk.ok("ok", "")
	session := tk.view.Result.Session
	ctx := context.Background()
	if _, err := k.engine.SignOut(ctx, session, flows.Caller{Key: "thief"}); err != nil {
		t.Fatal(err)
	}
	tk = k.must(flows.StartRequest{Target: "t", Session: session})
	tk.done("pwd")
	session = tk.view.Result.Session
	if _, err := k.engine.SignOut(ctx, session, flows.Caller{}); err != nil {
		t.Fatal(err)
	}
	k.must(flows.StartRequest{Target: "t", Session: session}).at("secret")
}

func TestUseSwapsAllOrNothing(t *testing.T) {
	t.Parallel()
	k := newKit(t, flowOf("    steps:\n      - { id: secret, type: secret }\n"))
	tk := k.must(flows.StartRequest{Target: "t", LoginHint: "jane"})
	e := k.engine
	k.another(flowOf("    steps:\n      - { id: note, type: note }\n      - { id: code, type: code }\n"))
	if err := e.Use(k.config.Definitions, k.config.Registry); err != nil {
		t.Fatal(err)
	}
	k.must(flows.StartRequest{Target: "t", LoginHint: "jane"}).at("note")
	tk.ok("ok", "")
	tk.done("pwd")
	bad := *k.config.Definitions
	empty, err := flows.NewRegistry()
	if err != nil {
		t.Fatal(err)
	}
	if err := e.Use(&bad, empty); err == nil {
		t.Error("definitions without step types were taken")
	}
	k.must(flows.StartRequest{Target: "t", LoginHint: "jane"}).at("note")
}

// A circle of exits ends: the machine does not go round for ever.
func TestCircleOfExitsEnds(t *testing.T) {
	t.Parallel()
	k := newKit(t, flowOf(`    steps:
      - { id: secret, type: secret }
      - { id: way, decide: '"round"', on: { round: h } }
    handlers:
      h: [ { id: again, decide: '"round"', on: { round: h } } ]
`))
	tk := k.must(flows.StartRequest{Target: "t", LoginHint: "jane"})
	wants(t, tk.say("ok", ""), flows.KindFailed, flows.CodeLoop)
}
