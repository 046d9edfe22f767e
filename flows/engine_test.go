package flows_test

import (
	"context"
	"encoding/json"
	"errors"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stile-auth/stile/flows"
)

const (
	secretThenCode = "      - { id: secret, type: secret }\n      - { id: code, type: code }\n"
	choice         = `      - { id: secret, type: secret }
      - id: pick
        choose:
          - { id: code, type: code, if: account.has("code") }
          - { id: other, type: sso }
`
)

func TestRunCompletes(t *testing.T) {
	t.Parallel()
	k := newKit(t, definitions(secretThenCode, "{ acr: aal2 }"))
	tk := k.must(flows.StartRequest{Target: "t"})
	first := tk.handle
	tk.ok("ok", "jane")
	if tk.handle == first {
		t.Error("the handle was not replaced at the first proof")
	}
	second := tk.handle
	tk.ok("ok", "")
	if tk.view.Flow.Status != flows.Completed || tk.view.NextStep != nil || tk.view.Result == nil || tk.view.Result.Grant == nil {
		t.Fatalf("not completed: %+v", tk.view)
	}
	if tk.handle == second {
		t.Error("the handle was not replaced at completion")
	}
	id := k.tokens.all()[0]
	if id.Subject != "sub-jane" || id.ACR != "aal2" || strings.Join(id.AMR, " ") != "mfa otp pwd" || id.Session == "" || !id.AuthTime.Equal(k.clock.now()) {
		t.Errorf("identity %+v", id)
	}
	_, err := tk.e.Show(context.Background(), tk.handle, flows.Caller{})
	p := wants(t, err, flows.KindFinished, flows.CodeFinished)
	if p.View == nil || p.View.Result != nil {
		t.Error("a finished run shows its view, and never its result again")
	}
	for _, old := range []flows.Secret{first, second} {
		_, err := tk.e.Show(context.Background(), old, flows.Caller{})
		wants(t, err, flows.KindNotFound, flows.CodeNotFound)
	}
}

func TestWrongAnswersAreCountedAndExhaust(t *testing.T) {
	t.Parallel()
	k := newKit(t, definitions("      - { id: secret, type: secret, attempts: { max: 2 } }\n", "{}"))
	tk := k.must(flows.StartRequest{Target: "t", LoginHint: "jane"})
	wants(t, tk.say("no", ""), flows.KindRejected, flows.CodeWrongAnswer)
	wants(t, tk.say("no", ""), flows.KindFailed, flows.CodeExhausted)
	wants(t, tk.answer("secret", 3, in("ok", "")), flows.KindFinished, flows.CodeFinished)
}

func TestThrottleOutlivesRuns(t *testing.T) {
	t.Parallel()
	k := newKit(t, definitions(secretThenCode, "{}"))
	for _, who := range []string{"jane", "nobody"} {
		for range 3 {
			tk := k.must(flows.StartRequest{Target: "t", LoginHint: who})
			wants(t, tk.say("no", ""), flows.KindRejected, flows.CodeWrongAnswer)
		}
		tk := k.must(flows.StartRequest{Target: "t", LoginHint: strings.ToUpper(who[:1]) + who[1:]})
		if who == "jane" {
			tk = k.must(flows.StartRequest{Target: "t", LoginHint: who})
		}
		p := wants(t, tk.say("ok", ""), flows.KindThrottled, flows.CodeThrottled)
		if p.RetryAfter != time.Second {
			t.Errorf("%s: retry after %v", who, p.RetryAfter)
		}
	}
	k.clock.pass(2 * time.Second)
	tk := k.must(flows.StartRequest{Target: "t", LoginHint: "jane"})
	tk.ok("ok", "")
	tk = k.must(flows.StartRequest{Target: "t", LoginHint: "jane"})
	tk.ok("ok", "") // a success clears the counter
}

func TestHardLock(t *testing.T) {
	t.Parallel()
	k := newKit(t, definitions(secretThenCode, "{}"))
	wrong := func(who string) error {
		tk := k.must(flows.StartRequest{Target: "t", LoginHint: who})
		err := tk.say("no", "")
		k.clock.pass(16 * time.Minute)
		return err
	}
	for range 20 {
		wants(t, wrong("jane"), flows.KindRejected, flows.CodeWrongAnswer)
		wants(t, wrong("nobody"), flows.KindRejected, flows.CodeWrongAnswer)
	}
	for _, who := range []string{"jane", "nobody"} { // the right secret of a locked account looks like a wrong one
		tk := k.must(flows.StartRequest{Target: "t", LoginHint: who})
		wants(t, tk.say("ok", ""), flows.KindRejected, flows.CodeWrongAnswer)
	}
}

// Whoever guesses once a day is counted as well.
func TestSlowGuessesAreCounted(t *testing.T) {
	t.Parallel()
	k := newKit(t, definitions(secretThenCode, "{}"))
	for range 20 {
		tk := k.must(flows.StartRequest{Target: "t", LoginHint: "jane"})
		wants(t, tk.say("no", ""), flows.KindRejected, flows.CodeWrongAnswer)
		k.clock.pass(25 * time.Hour)
	}
	tk := k.must(flows.StartRequest{Target: "t", LoginHint: "jane"})
	wants(t, tk.say("ok", ""), flows.KindRejected, flows.CodeWrongAnswer)
}

func TestStepsCannotBeSkipped(t *testing.T) { // T-01, T-03, T-07
	t.Parallel()
	k := newKit(t, definitions(secretThenCode, "{}"))
	tk := k.must(flows.StartRequest{Target: "t", LoginHint: "jane"})
	wants(t, tk.answer("code", 1, in("ok", "")), flows.KindConflict, flows.CodeNotCurrent)
	wants(t, tk.answer("nonsense", 1, in("ok", "")), flows.KindConflict, flows.CodeNotCurrent)
	wants(t, tk.answer("secret", 2, in("ok", "")), flows.KindConflict, flows.CodeStaleTurn)
	wants(t, tk.answer("secret", 1, flows.Input(`{}`)), flows.KindMalformed, flows.CodeMalformed)
	wants(t, tk.answer("secret", 1, flows.Input(`{"answer":"ok","loa":3}`)), flows.KindMalformed, flows.CodeMalformed)
	tk.ok("ok", "")
	wants(t, tk.answer("secret", 1, in("ok", "bob")), flows.KindConflict, flows.CodeNotCurrent)
	if tk.view.NextStep.StepID != "code" || len(tk.view.Assurance.AMR) != 1 {
		t.Errorf("view %+v", tk.view)
	}
}

func TestNameCannotChangeAfterItWasSaid(t *testing.T) { // T-04
	t.Parallel()
	k := newKit(t, definitions(secretThenCode, "{}"))
	tk := k.must(flows.StartRequest{Target: "t", LoginHint: "jane"})
	wants(t, tk.say("ok", "bob"), flows.KindMalformed, flows.CodeMalformed)
	tk.ok("ok", "")
	if e := k.events.all(); e[len(e)-1].Subject != "sub-jane" {
		t.Errorf("event %+v", e[len(e)-1])
	}
}

func TestSubjectIsWrittenOnce(t *testing.T) {
	t.Parallel()
	k := newKit(t, definitions("      - { id: a, type: sso }\n      - { id: b, type: sso }\n", "{}"))
	tk := k.must(flows.StartRequest{Target: "t"})
	tk.ok("ok", "jane")
	wants(t, tk.say("ok", "bob"), flows.KindFailed, flows.CodeSubjectChanged)
	if len(k.tokens.all()) != 0 {
		t.Error("a token was issued")
	}
}

func TestSessionKeepsItsSubject(t *testing.T) {
	t.Parallel()
	k := newKit(t, definitions("      - { id: secret, type: secret }\n      - { id: s, type: sso }\n", "{}"))
	tk := k.must(flows.StartRequest{Target: "t", LoginHint: "jane"})
	tk.ok("ok", "")
	tk.ok("ok", "jane")
	session := tk.view.Result.Session
	k.people.change("sub-jane", func(a *flows.Account) { a.Authenticators = nil }) // nothing can be skipped but sso
	tk = k.must(flows.StartRequest{Target: "t", Session: session})
	if tk.view.NextStep.StepID != "secret" {
		t.Fatalf("at %+v", tk.view.NextStep)
	}
	again := k.must(flows.StartRequest{Target: "t", Session: session})
	if again.view.NextStep == nil {
		t.Error("a start must not end the session that it presents")
	}
}

func TestStepUpSkipsWhatIsFresh(t *testing.T) {
	t.Parallel()
	k := newKit(t, definitions(secretThenCode, "{ max_age: 5m }"))
	tk := k.must(flows.StartRequest{Target: "t", LoginHint: "jane"})
	tk.ok("ok", "")
	tk.ok("ok", "")
	session, sid := tk.view.Result.Session, k.tokens.all()[0].Session
	k.clock.pass(4 * time.Minute)
	tk = k.must(flows.StartRequest{Target: "t", Session: session})
	if tk.view.Flow.Status != flows.Completed {
		t.Fatalf("fresh session evidence was asked again: %+v", tk.view.NextStep)
	}
	if id := k.tokens.all()[1]; id.Session != sid || !id.AuthTime.Equal(k.clock.now().Add(-4*time.Minute)) {
		t.Errorf("identity %+v", id)
	}
	if _, err := k.engine.Start(context.Background(), flows.Caller{}, flows.StartRequest{ClientID: "app", Target: "t", Session: session}); err != nil {
		t.Fatal(err)
	}
	session = tk.view.Result.Session
	k.clock.pass(2 * time.Minute)
	tk = k.must(flows.StartRequest{Target: "t", Session: session})
	if tk.view.NextStep == nil || tk.view.NextStep.StepID != "secret" {
		t.Errorf("evidence of six minutes ago counted for max_age 5m: %+v", tk.view)
	}
}

func TestSessionIsBoundToItsKey(t *testing.T) {
	t.Parallel()
	k := newKit(t, definitions("      - { id: secret, type: secret }\n", "{}"))
	start := func(client, key string, s flows.Secret) *talk {
		t.Helper()
		tk, err := k.start(flows.StartRequest{ClientID: client, Target: "t", LoginHint: "jane", Session: s}, flows.Caller{Key: key})
		if err != nil {
			t.Fatal(err)
		}
		return tk
	}
	tk := start("bound", "key-1", "")
	tk.ok("ok", "")
	s := tk.view.Result.Session
	for name, other := range map[string]*talk{"another key": start("bound", "key-2", s), "another client": start("app", "key-1", s), "no key": start("app", "", s)} {
		if other.view.Flow.Status == flows.Completed {
			t.Errorf("%s: the session counted", name)
		}
	}
	if start("bound", "key-1", s).view.Flow.Status != flows.Completed {
		t.Error("with its own key the session did not count")
	}
	_, err := k.start(flows.StartRequest{ClientID: "bound", Target: "t"}, flows.Caller{})
	wants(t, err, flows.KindMalformed, flows.CodeProofRequired)
}

func TestRunIsBoundToItsKey(t *testing.T) {
	t.Parallel()
	k := newKit(t, definitions("      - { id: secret, type: secret }\n", "{}"))
	tk, err := k.start(flows.StartRequest{ClientID: "bound", Target: "t", LoginHint: "jane"}, flows.Caller{Key: "key-1"})
	if err != nil {
		t.Fatal(err)
	}
	for _, key := range []string{"", "key-2"} {
		tk.caller.Key = key
		wants(t, tk.say("ok", ""), flows.KindNotFound, flows.CodeNotFound)
	}
	tk.caller.Key = "key-1"
	tk.ok("ok", "")
}

func TestEnrollingIsNotVerifying(t *testing.T) {
	t.Parallel()
	text := definitions("      - { id: secret, type: secret }\n      - { id: bind, type: bind }\n      - { id: code, type: code }\n", "{}")
	k := newKit(t, text)
	k.people.change("sub-jane", func(a *flows.Account) { a.Authenticators = a.Authenticators[:1] })
	tk := k.must(flows.StartRequest{Target: "t", LoginHint: "jane"})
	tk.ok("ok", "")
	tk.ok("ok", "")
	if tk.view.NextStep.StepID != "code" {
		t.Fatalf("at %+v", tk.view.NextStep)
	}
	if err := tk.say("own", ""); err == nil || len(k.tokens.all()) != 0 {
		t.Errorf("the key enrolled in this run proved something in it: %v", err)
	}
}

func TestEnrollingNeedsTheHighestLevel(t *testing.T) {
	t.Parallel()
	k := newKit(t, definitions("      - { id: secret, type: secret }\n      - { id: bind, type: bind }\n", "{}"))
	tk := k.must(flows.StartRequest{Target: "t", LoginHint: "jane"}) // jane has a code as well: aal2 is in reach
	wants(t, tk.say("ok", ""), flows.KindFailed, flows.CodeInsufficient)
	tk = k.must(flows.StartRequest{Target: "t", LoginHint: "bare"})
	tk.ok("ok", "")
	if tk.view.NextStep.StepID != "bind" {
		t.Fatalf("at %+v", tk.view.NextStep)
	}
}

func TestEvidenceAboveTheCeilingIsRefused(t *testing.T) {
	t.Parallel()
	k := newKit(t, definitions(secretThenCode, "{}"))
	tk := k.must(flows.StartRequest{Target: "t", LoginHint: "jane"})
	wants(t, tk.say("more", ""), flows.KindInternal, flows.CodeInternal)
	if tk.view.Flow.Turn != 1 || len(tk.view.Assurance.AMR) != 0 {
		t.Errorf("view %+v", tk.view)
	}
}

func TestAccountStatusIsCheckedAtEveryStep(t *testing.T) { // lesson 26, invariant 10
	t.Parallel()
	k := newKit(t, definitions(secretThenCode, "{}"))
	disable := func() {
		k.people.change("sub-jane", func(a *flows.Account) { a.Status = flows.AccountDisabled })
	}
	tk := k.must(flows.StartRequest{Target: "t", LoginHint: "jane"})
	tk.ok("ok", "")
	disable()
	wants(t, tk.say("ok", ""), flows.KindFailed, flows.CodeDenied)
	tk = k.must(flows.StartRequest{Target: "t", LoginHint: "jane"})
	wants(t, tk.say("ok", ""), flows.KindRejected, flows.CodeWrongAnswer) // like a wrong secret
	if len(k.tokens.all()) != 0 {
		t.Error("a token was issued")
	}
}

func TestDisabledAtTheProviderLooksUnknown(t *testing.T) {
	t.Parallel()
	k := newKit(t, definitions("      - { id: s, type: sso }\n", "{}"))
	tk := k.must(flows.StartRequest{Target: "t"})
	disabled := wants(t, tk.say("ok", "gone"), flows.KindFailed, flows.CodeDenied)
	tk = k.must(flows.StartRequest{Target: "t"})
	unknown := wants(t, tk.say("denied", "gone"), flows.KindFailed, flows.CodeDenied)
	if disabled.Detail != unknown.Detail || disabled.View.Flow.Status != unknown.View.Flow.Status {
		t.Errorf("%+v and %+v differ", disabled, unknown)
	}
}

func TestChoose(t *testing.T) {
	t.Parallel()
	k := newKit(t, definitions(choice, "{}"))
	tk := k.must(flows.StartRequest{Target: "t", LoginHint: "jane"})
	tk.ok("ok", "")
	if tk.view.NextStep.Type != flows.CodeSelection {
		t.Fatalf("next %+v", tk.view.NextStep)
	}
	wants(t, tk.answer("code", tk.view.Flow.Turn, in("ok", "")), flows.KindConflict, flows.CodeNotCurrent) // selecting is not skipping
	wants(t, tk.answer("pick", tk.view.Flow.Turn, flows.Input(`{"select":"secret"}`)), flows.KindMalformed, flows.CodeMalformed)
	pick := func(o string) {
		t.Helper()
		if err := tk.answer("pick", tk.view.Flow.Turn, flows.Input(`{"select":"`+o+`"}`)); err != nil {
			t.Fatal(err)
		}
	}
	pick("other")
	if len(tk.view.Assurance.AMR) != 1 || tk.view.NextStep.StepID != "other" {
		t.Errorf("selecting proved something: %+v", tk.view)
	}
	if err := tk.answer("pick", tk.view.Flow.Turn, flows.Input(`{}`)); err != nil || tk.view.NextStep.Type != flows.CodeSelection {
		t.Fatalf("choose other: %v %+v", err, tk.view.NextStep)
	}
	pick("code")
	if err := tk.take(tk.e.Back(context.Background(), tk.handle, tk.caller, tk.view.Flow.Turn)); err != nil || tk.view.NextStep.Type != flows.CodeSelection {
		t.Fatalf("back: %v %+v", err, tk.view.NextStep)
	}
	wants(t, tk.take(tk.e.Back(context.Background(), tk.handle, tk.caller, tk.view.Flow.Turn)), flows.KindConflict, flows.CodeNotPossibleHere) // never across evidence
	pick("code")
	tk.ok("ok", "")
	if tk.view.Flow.Status != flows.Completed {
		t.Errorf("status %s", tk.view.Flow.Status)
	}
}

func TestOneOptionLeftIsTakenSilently(t *testing.T) {
	t.Parallel()
	k := newKit(t, definitions(choice, "{}"))
	tk := k.must(flows.StartRequest{Target: "t", LoginHint: "bare"})
	tk.ok("ok", "")
	if tk.view.NextStep.StepID != "other" || hasAction(tk, "choose_other") {
		t.Errorf("next %+v", tk.view.NextStep)
	}
}

func TestExhaustedOptionIsGone(t *testing.T) {
	t.Parallel()
	k := newKit(t, definitions(strings.Replace(choice, `account.has("code")`, `account.has("code"), attempts: { max: 1 }`, 1), "{}"))
	tk := k.must(flows.StartRequest{Target: "t", LoginHint: "jane"})
	tk.ok("ok", "")
	if err := tk.answer("pick", tk.view.Flow.Turn, flows.Input(`{"select":"code"}`)); err != nil {
		t.Fatal(err)
	}
	wants(t, tk.say("no", ""), flows.KindRejected, flows.CodeWrongAnswer)
	if tk.view.NextStep.StepID != "other" {
		t.Errorf("after the option was exhausted: %+v", tk.view.NextStep)
	}
}

func TestConditionsFailClosed(t *testing.T) { // lesson 3, invariant 3
	t.Parallel()
	const broken = `account.attributes.nothing == "x"`
	for name, c := range map[string]struct{ steps, at string }{
		"an if that errs runs the step":           {"      - { id: a, type: secret }\n      - { id: b, type: code, if: '" + broken + "' }\n", "b"},
		"an option that errs is not offered":      {"      - { id: a, type: secret }\n      - id: p\n        choose:\n          - { id: b, type: code, if: '" + broken + "' }\n          - { id: c, type: sso }\n", "c"},
		"a require that errs fails the run":       {"      - { id: a, type: secret }\n      - { require: '" + broken + "' }\n", ""},
		"a require that is false fails the run":   {"      - { id: a, type: secret }\n      - { require: acr >= level.aal2 }\n", ""},
		"an if around a choose that errs runs it": {"      - { id: a, type: secret }\n      - id: p\n        if: '" + broken + "'\n        choose:\n          - { id: b, type: code }\n          - { id: c, type: sso }\n", "p"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			k := newKit(t, definitions(c.steps, "{}"))
			tk := k.must(flows.StartRequest{Target: "t", LoginHint: "jane"})
			err := tk.say("ok", "")
			if c.at == "" {
				wants(t, err, flows.KindFailed, flows.CodeRequirement)
			} else if err != nil || tk.view.NextStep == nil || tk.view.NextStep.StepID != c.at {
				t.Errorf("%v, at %+v", err, tk.view.NextStep)
			}
			if !strings.Contains(name, "false") && k.count(flows.EventConditionFailed) == 0 {
				t.Error("not audited")
			}
		})
	}
}

func TestGateRefusesTooLittle(t *testing.T) { // lesson 7, RFC 9470 §5
	t.Parallel()
	k := newKit(t, definitions(secretThenCode, "{ acr: aal2 }"))
	for _, q := range []flows.StartRequest{
		{Target: "t", LoginHint: "jane"}, {Flow: "f", LoginHint: "jane", ACRValues: []string{"aal2", "urn:other"}},
	} {
		tk := k.must(q)
		tk.ok("ok", "")
		wants(t, tk.say("weak", ""), flows.KindFailed, flows.CodeUnmet)
	}
	k = newKit(t, definitions("      - { id: secret, type: secret }\n", "{}"))
	tk := k.must(flows.StartRequest{Flow: "f", LoginHint: "jane", ACRValues: []string{"aal3", "aal1"}})
	tk.ok("ok", "")
	if len(k.tokens.all()) != 0 || tk.view.Result.Grant != nil || tk.view.Result.Session == "" {
		t.Error("a run without a target gives a session only")
	}
	k = newKit(t, definitions("      - { id: note, type: note }\n", "{}"))
	tk = k.must(flows.StartRequest{Target: "t", LoginHint: "jane"})
	if err := tk.say("ok", ""); err == nil || len(k.tokens.all()) != 0 {
		t.Errorf("a run without any proof was completed: %v", err)
	}
}

func TestFailuresOfTheSystemChangeNothing(t *testing.T) { // T-12d
	t.Parallel()
	k := newKit(t, definitions(secretThenCode, "{}"))
	tk := k.must(flows.StartRequest{Target: "t", LoginHint: "jane"})
	for range 10 { // more than the throttle allows: the attempts are given back
		wants(t, tk.say("down", ""), flows.KindUnavailable, flows.CodeUnavailable)
	}
	wants(t, tk.say("bug", ""), flows.KindInternal, flows.CodeInternal)
	k.people.mu.Lock()
	k.people.fail = flows.ErrUnavailable
	k.people.mu.Unlock()
	wants(t, tk.say("ok", ""), flows.KindUnavailable, flows.CodeUnavailable)
	k.people.mu.Lock()
	k.people.fail = nil
	k.people.mu.Unlock()
	if tk.view.Flow.Turn != 1 {
		t.Errorf("turn %d", tk.view.Flow.Turn)
	}
	tk.ok("ok", "")
	k.tokens.err = errors.New("no key")
	wants(t, tk.say("ok", ""), flows.KindInternal, flows.CodeInternal)
	k.tokens.err = nil
	tk.ok("ok", "")
}

func TestNothingIsAnsweredWithoutAudit(t *testing.T) {
	t.Parallel()
	k := newKit(t, definitions(secretThenCode, "{}"))
	tk := k.must(flows.StartRequest{Target: "t", LoginHint: "jane"})
	tk.caller.IdempotencyKey = "key-of-at-least-128-bits"
	k.events.err = errors.New("disk full")
	wants(t, tk.say("ok", ""), flows.KindUnavailable, flows.CodeUnavailable)
	before := len(k.events.all())
	k.events.err = nil
	tk.ok("ok", "") // the repeat finds the change done and records what was missing
	if len(k.events.all()) != before+1 || tk.view.NextStep.StepID != "code" {
		t.Errorf("%d events, at %+v", len(k.events.all())-before, tk.view.NextStep)
	}
}

func TestRepeatGivesTheSameAnswer(t *testing.T) {
	t.Parallel()
	k := newKit(t, definitions(secretThenCode, "{ acr: aal2 }"))
	c := flows.Caller{IdempotencyKey: "start-key-0123456789abcdef", Body: []byte("start")}
	q := flows.StartRequest{ClientID: "app", Target: "t", LoginHint: "jane"}
	v1, err1 := k.engine.Start(context.Background(), c, q)
	v2, err2 := k.engine.Start(context.Background(), c, q)
	if err1 != nil || err2 != nil || v1.Handle != v2.Handle || v1.Flow.ID != v2.Flow.ID || v1.Handle == "" {
		t.Fatalf("%v %v %+v %+v", err1, err2, v1, v2)
	}
	_, err := k.engine.Start(context.Background(), flows.Caller{IdempotencyKey: c.IdempotencyKey, Body: []byte("other")}, q)
	wants(t, err, flows.KindRejected, flows.CodeKeyReused)
	_, err = k.engine.Start(context.Background(), flows.Caller{IdempotencyKey: c.IdempotencyKey, Body: c.Body, Key: "thief"}, q)
	wants(t, err, flows.KindRejected, flows.CodeKeyReused)
	tk := &talk{k: k, e: k.engine, handle: v1.Handle, view: v1}
	for _, step := range []string{"secret", "code"} {
		old, turn := tk.handle, tk.view.Flow.Turn
		c := flows.Caller{IdempotencyKey: "answer-" + step, Body: []byte(step)}
		a, err1 := k.engine.Answer(context.Background(), old, c, step, turn, in("ok", ""))
		b, err2 := k.engine.Answer(context.Background(), old, c, step, turn, in("ok", ""))
		ja, _ := json.Marshal(a)
		jb, _ := json.Marshal(b)
		if err1 != nil || err2 != nil || string(ja) != string(jb) {
			t.Fatalf("%v %v\n%s\n%s", err1, err2, ja, jb)
		}
		_, err := k.engine.Answer(context.Background(), old, flows.Caller{}, step, turn, in("ok", ""))
		wants(t, err, flows.KindNotFound, flows.CodeNotFound)
		_, err = k.engine.Answer(context.Background(), old, flows.Caller{IdempotencyKey: "thief", Body: []byte(step)}, step, turn, in("ok", ""))
		wants(t, err, flows.KindNotFound, flows.CodeNotFound)
		if err := tk.take(a, nil); err != nil {
			t.Fatal(err)
		}
	}
	if len(k.tokens.all()) != 1 || k.count(flows.EventRunCompleted) != 1 || k.count(flows.EventRunStarted) != 1 {
		t.Error("something happened twice")
	}
}

func TestRepeatOfAWrongAnswerIsNotCountedTwice(t *testing.T) {
	t.Parallel()
	k := newKit(t, definitions("      - { id: secret, type: secret, attempts: { max: 2 } }\n", "{}"))
	tk := k.must(flows.StartRequest{Target: "t", LoginHint: "jane"})
	tk.caller.IdempotencyKey = "answer"
	for range 5 {
		wants(t, tk.answer("secret", 1, in("no", "")), flows.KindRejected, flows.CodeWrongAnswer)
	}
	_, err := tk.e.Answer(context.Background(), tk.handle, flows.Caller{IdempotencyKey: "answer", Body: []byte("other")}, "secret", 2, in("ok", ""))
	wants(t, err, flows.KindRejected, flows.CodeKeyReused)
}

func TestParallelSubmitsHaveOneWinner(t *testing.T) { // T-08, T-09, lesson 24
	t.Parallel()
	for name, open := range stores {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			k := newKitOn(t, definitions("      - { id: s, type: sso }\n", "{}"), open(t, t))
			tk := k.must(flows.StartRequest{Target: "t"})
			var wg sync.WaitGroup
			won := make(chan flows.View, 50)
			for range 50 {
				wg.Go(func() {
					if v, err := tk.e.Answer(context.Background(), tk.handle, tk.caller, "s", 1, in("ok", "jane")); err == nil {
						won <- v
					}
				})
			}
			wg.Wait()
			if len(won) != 1 || k.count(flows.EventRunCompleted) != 1 {
				t.Errorf("%d winners, %d completions", len(won), k.count(flows.EventRunCompleted))
			}
		})
	}
}

func TestParallelGuessesAreReservedFirst(t *testing.T) { // T-39, lesson 24, AuthQuake
	t.Parallel()
	k := newKit(t, definitions("      - { id: code, type: code }\n", "{}"))
	var wg sync.WaitGroup
	checked := make(chan struct{}, 200)
	for range 100 {
		tk := k.must(flows.StartRequest{Target: "t", LoginHint: "jane"})
		wg.Go(func() {
			_, err := tk.e.Answer(context.Background(), tk.handle, tk.caller, "code", 1, in("no", ""))
			var p *flows.Problem
			if errors.As(err, &p) && p.Kind == flows.KindRejected {
				checked <- struct{}{}
			}
		})
	}
	wg.Wait()
	if len(checked) != 3 {
		t.Errorf("%d of 100 parallel guesses were checked, want 3", len(checked))
	}
}

func TestDefinitionIsPinned(t *testing.T) { // T-11, invariant 15
	t.Parallel()
	k := newKit(t, definitions(secretThenCode, "{}"))
	tk := k.must(flows.StartRequest{Target: "t", LoginHint: "jane"})
	tk.e = k.another(definitions("      - { id: note, type: note }\n", "{}")) // another node, that knows only the new text
	tk.ok("ok", "")
	if tk.view.NextStep == nil || tk.view.NextStep.StepID != "code" {
		t.Fatalf("the run left its definition: %+v", tk.view)
	}
	tk.ok("ok", "")
}

func TestExpiredRunsAreGone(t *testing.T) { // T-12
	t.Parallel()
	k := newKit(t, definitions(secretThenCode, "{}"))
	tk := k.must(flows.StartRequest{Target: "t", LoginHint: "jane"})
	k.clock.pass(10 * time.Minute)
	expired := wants(t, tk.say("ok", ""), flows.KindNotFound, flows.CodeNotFound)
	tk.handle = flows.Secret(strings.Repeat("A", 43))
	unknown := wants(t, tk.say("ok", ""), flows.KindNotFound, flows.CodeNotFound)
	if expired.Detail != unknown.Detail || expired.View != nil || unknown.View != nil {
		t.Error("expired and unknown differ")
	}
	if n, err := k.engine.Sweep(context.Background(), 10); err != nil || n == 0 {
		t.Errorf("swept %d, %v", n, err)
	}
}

func TestHandlesHaveOneSpelling(t *testing.T) { // standards finding 12, lesson 42
	t.Parallel()
	k := newKit(t, definitions(secretThenCode, "{}"))
	tk := k.must(flows.StartRequest{Target: "t", LoginHint: "jane"})
	h := string(tk.handle)
	last := map[bool]string{true: "B", false: "A"}[strings.HasSuffix(h, "A")]
	for _, bad := range []string{h + "=", h + "\n", "\n" + h, h[:42], h[:42] + last, h + "A", "", strings.ToUpper(h)} {
		_, err := tk.e.Show(context.Background(), flows.Secret(bad), tk.caller)
		wants(t, err, flows.KindNotFound, flows.CodeNotFound)
	}
}

func TestRestartAndCancel(t *testing.T) {
	t.Parallel()
	k := newKit(t, definitions(secretThenCode, "{}"))
	tk := k.must(flows.StartRequest{Target: "t", LoginHint: "jane"})
	tk.ok("ok", "")
	old, turn := tk.handle, tk.view.Flow.Turn
	c := flows.Caller{IdempotencyKey: "restart-1"}
	v, err := tk.e.Restart(context.Background(), old, c, turn)
	if err != nil || v.Handle == "" || v.Flow.ID == tk.view.Flow.ID || len(v.Assurance.AMR) != 0 {
		t.Fatalf("%v %+v", err, v)
	}
	if again, err := tk.e.Restart(context.Background(), old, c, turn); err != nil || again.Handle != v.Handle {
		t.Errorf("repeat: %v %+v", err, again)
	}
	_, err = tk.e.Show(context.Background(), old, tk.caller)
	wants(t, err, flows.KindFinished, flows.CodeFinished)
	_ = tk.take(v, nil)
	if v, err := tk.e.Cancel(context.Background(), tk.handle, tk.caller); err != nil || v.Flow.Status != flows.Cancelled {
		t.Errorf("cancel: %v %+v", err, v)
	}
	wants(t, tk.answer("secret", 1, in("ok", "jane")), flows.KindFinished, flows.CodeFinished)
}

func TestCapabilities(t *testing.T) {
	t.Parallel()
	k := newKit(t, definitions(choice, "{}"))
	_, err := k.start(flows.StartRequest{ClientID: "app", Target: "t", Capabilities: []string{"X_CODE_REQUIRED"}}, flows.Caller{})
	wants(t, err, flows.KindMalformed, flows.CodeCannotDraw)
	tk := k.must(flows.StartRequest{Target: "t", LoginHint: "jane", Capabilities: []string{"X_SECRET_REQUIRED", "X_SSO_REQUIRED"}})
	tk.ok("ok", "")
	if tk.view.NextStep.StepID != "other" {
		t.Errorf("next %+v", tk.view.NextStep)
	}
	// Nothing of a choice can be drawn: otherwise, where there is one; else it is said at the start.
	k = newKit(t, definitions(`      - { id: secret, type: secret }
      - { id: pick, choose: [{ id: code, type: code }, { id: other, type: sso }], otherwise: { id: again, type: secret } }
`, "{}"))
	tk = k.must(flows.StartRequest{Target: "t", LoginHint: "jane", Capabilities: []string{"X_SECRET_REQUIRED"}})
	tk.ok("ok", "")
	if tk.view.NextStep == nil || tk.view.NextStep.StepID != "again" {
		t.Errorf("next %+v", tk.view.NextStep)
	}
	k = newKit(t, definitions(`      - { id: secret, type: secret }
      - { id: pick, choose: [{ id: code, type: code }, { id: other, type: sso }] }
`, "{}"))
	_, err = k.start(flows.StartRequest{ClientID: "app", Target: "t", Capabilities: []string{"X_SECRET_REQUIRED"}}, flows.Caller{})
	wants(t, err, flows.KindMalformed, flows.CodeCannotDraw)
}

func TestStartRefusals(t *testing.T) {
	t.Parallel()
	k := newKit(t, definitions(secretThenCode, "{}"))
	for name, c := range map[string]struct {
		q    flows.StartRequest
		code string
	}{
		"unknown client": {flows.StartRequest{ClientID: "nobody", Target: "t"}, flows.CodeUnknownClient},
		"both":           {flows.StartRequest{ClientID: "app", Target: "t", Flow: "f"}, flows.CodeMalformed},
		"neither":        {flows.StartRequest{ClientID: "app"}, flows.CodeMalformed},
		"foreign target": {flows.StartRequest{ClientID: "narrow", Target: "t"}, flows.CodeNotAllowed},
		"unknown target": {flows.StartRequest{ClientID: "app", Target: "x"}, flows.CodeNotAllowed},
		"unknown flow":   {flows.StartRequest{ClientID: "app", Flow: "x"}, flows.CodeNotAllowed},
	} {
		before := len(k.events.all())
		_, err := k.start(c.q, flows.Caller{})
		wants(t, err, flows.KindMalformed, c.code)
		if n := len(k.events.all()) - before; n != 1 {
			t.Errorf("%s: %d audit events", name, n)
		}
	}
}

func TestWhoMistypedMayNameSomebodyElse(t *testing.T) {
	t.Parallel()
	k := newKit(t, definitions(secretThenCode, "{}"))
	tk := k.must(flows.StartRequest{Target: "t"})
	wants(t, tk.say("no", "jane"), flows.KindRejected, flows.CodeWrongAnswer)
	wants(t, tk.say("no", "jnae"), flows.KindRejected, flows.CodeWrongAnswer)
	tk.ok("ok", "jane")
	tk.ok("ok", "")
	if id := k.tokens.all()[0]; id.Subject != "sub-jane" {
		t.Errorf("subject %s", id.Subject)
	}
}

func TestSessionSubjectCannotChange(t *testing.T) { // lesson 19: CVE-2023-6787
	t.Parallel()
	k := newKit(t, definitions("      - { id: s, type: sso }\n", "{}"))
	tk := k.must(flows.StartRequest{Target: "t"})
	tk.ok("ok", "jane")
	session := tk.view.Result.Session
	k.clock.pass(time.Second)
	now := time.Duration(0)
	tk = k.must(flows.StartRequest{Target: "t", Session: session, MaxAge: &now}) // authenticate now
	wants(t, tk.say("ok", "bob"), flows.KindFailed, flows.CodeSubjectChanged)
}

func TestDeviceStepsNeedTheDevice(t *testing.T) {
	t.Parallel()
	k := newKit(t, definitions("      - { id: secret, type: secret }\n      - { id: device, type: device }\n", "{}"))
	start := func(key string) *talk {
		t.Helper()
		tk, err := k.start(flows.StartRequest{ClientID: "bound", Target: "t", LoginHint: "jane"}, flows.Caller{Key: key})
		if err != nil {
			t.Fatal(err)
		}
		return tk
	}
	wants(t, start("key-1").say("ok", ""), flows.KindFailed, flows.CodeDeviceRequired)
	k.people.change("sub-jane", func(a *flows.Account) { a.Authenticators[0].Key = "key-1" })
	wants(t, start("key-2").say("ok", ""), flows.KindFailed, flows.CodeDeviceRequired)
	start("key-1").ok("ok", "")
}

func TestEnrollingNeedsFreshEvidence(t *testing.T) { // lesson 16, T-122
	t.Parallel()
	k := newKit(t, definitions("      - { id: secret, type: secret }\n      - { id: bind, type: bind, if: account.attributes.bind == \"yes\" }\n", "{}"))
	k.people.change("sub-bare", func(a *flows.Account) { a.Attributes["bind"] = "no" })
	tk := k.must(flows.StartRequest{Target: "t", LoginHint: "bare"})
	tk.ok("ok", "")
	session := tk.view.Result.Session
	k.people.change("sub-bare", func(a *flows.Account) { a.Attributes["bind"] = "yes" })
	k.clock.pass(16 * time.Minute)
	_, err := k.start(flows.StartRequest{ClientID: "app", Target: "t", Session: session}, flows.Caller{})
	wants(t, err, flows.KindFailed, flows.CodeInsufficient)
}

func TestDisabledAccountSkipsNothing(t *testing.T) { // lesson 43
	t.Parallel()
	k := newKit(t, definitions("      - { id: s, type: sso }\n", "{}"))
	tk := k.must(flows.StartRequest{Target: "t"})
	tk.ok("ok", "jane")
	session := tk.view.Result.Session
	k.people.change("sub-jane", func(a *flows.Account) { a.Status = flows.AccountDisabled })
	tk = k.must(flows.StartRequest{Target: "t", Session: session})
	if tk.view.NextStep == nil {
		t.Errorf("view %+v", tk.view)
	}
}

func TestOnlyEnrollingTypesEnrol(t *testing.T) {
	t.Parallel()
	k := newKit(t, definitions("      - { id: note, type: note }\n", "{}"))
	tk := k.must(flows.StartRequest{Target: "t", LoginHint: "jane"})
	wants(t, tk.say("enrol", ""), flows.KindInternal, flows.CodeInternal)
}

func TestUndeclaredExit(t *testing.T) {
	t.Parallel()
	k := newKit(t, definitions("      - { id: note, type: note }\n", "{}"))
	tk := k.must(flows.StartRequest{Target: "t", LoginHint: "jane"})
	wants(t, tk.say("exit", ""), flows.KindInternal, flows.CodeInternal)
	wants(t, tk.say("denied", ""), flows.KindFailed, flows.CodeDenied)
}

func TestRefusalIsAudited(t *testing.T) {
	t.Parallel()
	k := newKit(t, definitions(secretThenCode, "{}"))
	tk := k.must(flows.StartRequest{Target: "t", LoginHint: "jane"})
	k.events.err = errors.New("disk full")
	wants(t, tk.answer("secret", 9, in("ok", "")), flows.KindUnavailable, flows.CodeUnavailable)
	k.events.err = nil
	before := len(k.events.all())
	wants(t, tk.answer("secret", 9, in("ok", "")), flows.KindConflict, flows.CodeStaleTurn)
	if got := k.events.all()[before:]; len(got) != 1 || got[0].Type != flows.EventRefused || got[0].Reason != flows.CodeStaleTurn || got[0].Run == "" {
		t.Errorf("events %+v", got)
	}
}

func TestGateChecksTheAccount(t *testing.T) { // invariant 10: also at issue
	t.Parallel()
	k := newKit(t, definitions("      - { id: secret, type: secret }\n      - { id: note, type: note }\n", "{}"))
	tk := k.must(flows.StartRequest{Target: "t", LoginHint: "jane"})
	tk.ok("ok", "")
	wants(t, tk.say("disable me", ""), flows.KindFailed, flows.CodeDenied)
	if len(k.tokens.all()) != 0 {
		t.Error("a token was issued")
	}
}

func TestAccountStatusIsCheckedBeforeTheAnswer(t *testing.T) {
	t.Parallel()
	k := newKit(t, definitions("      - { id: secret, type: secret }\n      - { id: note, type: note }\n      - { id: more, type: note }\n", "{}"))
	tk := k.must(flows.StartRequest{Target: "t", LoginHint: "jane"})
	tk.ok("ok", "")
	k.people.change("sub-jane", func(a *flows.Account) { a.Status = flows.AccountDisabled })
	wants(t, tk.say("ok", ""), flows.KindFailed, flows.CodeDenied)
}

func TestClaimThatErrsFailsTheRun(t *testing.T) {
	t.Parallel()
	text := strings.Replace(definitions("      - { id: secret, type: secret }\n", "{}"), "ttl: 5m }", "ttl: 5m, claims: { x: account.attributes.nothing } }", 1)
	k := newKit(t, text)
	tk := k.must(flows.StartRequest{Target: "t", LoginHint: "jane"})
	wants(t, tk.say("ok", ""), flows.KindFailed, flows.CodeRequirement)
	if len(k.tokens.all()) != 0 {
		t.Error("a token was issued")
	}
}

func TestSealedRunsCannotBeMoved(t *testing.T) { // T-92
	t.Parallel()
	k := newKit(t, definitions(secretThenCode, "{}"))
	spy := &spy{Store: k.ports}
	cfg := k.config
	cfg.Store = spy
	e, err := flows.NewEngine(cfg)
	if err != nil {
		t.Fatal(err)
	}
	k.engine = e
	tk := k.must(flows.StartRequest{Target: "t", LoginHint: "jane"})
	old := spy.last
	tk.ok("ok", "")
	for name, swap := range map[string]func(*flows.Record){
		"rolled back": func(r *flows.Record) { r.Data = old.Data },
		"moved":       func(r *flows.Record) { r.ID = "another" },
		"altered":     func(r *flows.Record) { r.Data = append([]byte(nil), r.Data...); r.Data[len(r.Data)-1] ^= 1 },
		"cut":         func(r *flows.Record) { r.Data = r.Data[:len(r.Data)-1] },
	} {
		spy.swap = swap
		if _, err := e.Show(context.Background(), tk.handle, tk.caller); err == nil {
			t.Errorf("a run that was %s opened", name)
		}
	}
}

// spy sees what is stored and may answer with something else.
type spy struct {
	flows.Store
	last flows.Record
	swap func(*flows.Record)
}

func (s *spy) Create(ctx context.Context, r flows.Record, now time.Time) error {
	s.last = r
	return s.Store.Create(ctx, r, now)
}

func (s *spy) Load(ctx context.Context, a flows.Alias, now time.Time) (flows.Record, error) {
	r, err := s.Store.Load(ctx, a, now)
	if s.swap != nil {
		s.swap(&r)
	}
	return r, err
}

func TestGateNeedsEvidence(t *testing.T) {
	t.Parallel()
	k := newKit(t, definitions("      - { id: secret, type: secret }\n", "{}"))
	k.people.change("sub-jane", func(a *flows.Account) { // bound at no level: it proves who, and earns nothing
		a.Authenticators[0].Binding = 0
	})
	tk := k.must(flows.StartRequest{Target: "t", LoginHint: "jane"})
	wants(t, tk.say("ok", ""), flows.KindFailed, flows.CodeUnmet)
}

func hasAction(tk *talk, name string) bool {
	for _, a := range tk.view.NextStep.Actions {
		if a.Name == name {
			return true
		}
	}
	return false
}
