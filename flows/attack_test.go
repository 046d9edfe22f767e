package flows_test

import (
	"context"
	"errors"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stile-auth/stile/flows"
)

// A session that has ended, or whose time is over, stands for nothing any more:
// not in a run that began with it, and not in one that such a run restarts.
func TestEndedSessionYieldsNothing(t *testing.T) {
	t.Parallel()
	for name, end := range map[string]func(k *kit, id string){
		"ended":   func(k *kit, id string) { _ = k.ports.EndSession(context.Background(), id) },
		"expired": func(k *kit, _ string) { k.clock.pass(30 * time.Minute) },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			k := newKit(t, flowOf("    timeout: 1h\n    steps:\n      - { id: secret, type: secret }\n      - { id: note, type: note }\n"))
			tk := k.must(flows.StartRequest{Target: "t", LoginHint: "jane"})
			tk.ok("ok", "")
			tk.ok("ok", "")
			session, id := tk.view.Result.Session, k.tokens.all()[0].Session
			k.clock.pass(11*time.Hour + 31*time.Minute)
			tk = k.must(flows.StartRequest{Target: "t", Session: session})
			tk.at("note") // the session stands for the secret
			end(k, id)
			v, err := tk.e.Restart(context.Background(), tk.handle, flows.Caller{IdempotencyKey: "r"}, tk.view.Flow.Turn)
			if err != nil || v.NextStep.StepID != "secret" {
				t.Errorf("restarted at %+v, %v", v.NextStep, err)
			}
			tk = k.must(flows.StartRequest{Target: "t", Session: session})
			tk.at("secret")
		})
	}
	k := newKit(t, flowOf("    steps:\n      - { id: secret, type: secret }\n      - { id: note, type: note }\n"))
	tk := k.must(flows.StartRequest{Target: "t", LoginHint: "jane"})
	tk.ok("ok", "")
	tk.ok("ok", "")
	tk = k.must(flows.StartRequest{Target: "t", Session: tk.view.Result.Session})
	_ = k.ports.EndSession(context.Background(), k.tokens.all()[0].Session)
	wants(t, tk.say("ok", ""), flows.KindFailed, flows.CodeLoginRequired)
	if len(k.tokens.all()) != 1 {
		t.Error("a token was issued on a session that has ended")
	}
}

// What a provider vouches for happened when the provider says, not now.
func TestAuthTimeOfAProvider(t *testing.T) {
	t.Parallel()
	k := newKit(t, flowOf("    steps:\n      - { id: s, type: sso }\n"))
	k.upstream = k.clock.now().Add(-time.Hour)
	tk := k.must(flows.StartRequest{Target: "t"})
	tk.ok("ok", "jane")
	if id := k.tokens.all()[0]; !id.AuthTime.Equal(k.upstream) {
		t.Errorf("auth_time %s, the provider said %s", id.AuthTime, k.upstream)
	}
	age := 5 * time.Minute
	tk = k.must(flows.StartRequest{Target: "t", MaxAge: &age})
	wants(t, tk.say("ok", "jane"), flows.KindFailed, flows.CodeUnmet)
}

// A client that hangs up cannot keep an attempt from being counted and recorded.
func TestHangingUpHidesNothing(t *testing.T) {
	t.Parallel()
	k := newKit(t, definitions(secretThenCode, "{}"))
	tk := k.must(flows.StartRequest{Target: "t", LoginHint: "jane"})
	ctx, hangUp := context.WithCancel(context.Background())
	hangUp()
	_, err := tk.e.Answer(ctx, tk.handle, tk.caller, "secret", 1, in("no", ""))
	wants(t, err, flows.KindRejected, flows.CodeWrongAnswer)
	if k.count(flows.EventStepRejected) != 1 {
		t.Error("not recorded")
	}
}

// What a crash kept from being recorded is recorded before the run is deleted.
func TestSweepRecordsFirst(t *testing.T) {
	t.Parallel()
	k := newKit(t, definitions(secretThenCode, "{}"))
	tk := k.must(flows.StartRequest{Target: "t", LoginHint: "jane"})
	k.events.err = errors.New("disk full")
	wants(t, tk.say("no", ""), flows.KindUnavailable, flows.CodeUnavailable)
	k.clock.pass(time.Hour)
	e := k.another(definitions(secretThenCode, "{}")) // a node that has not seen the run
	if _, err := e.Sweep(context.Background(), 10); err == nil {
		t.Error("swept what could not be recorded")
	}
	k.events.err = nil
	if n, err := e.Sweep(context.Background(), 10); err != nil || n == 0 {
		t.Errorf("swept %d, %v", n, err)
	}
	if k.count(flows.EventStepRejected) != 1 {
		t.Error("lost")
	}
}

// The same start sent many times at once keeps the session that it presents.
func TestRepeatedStartKeepsTheSession(t *testing.T) {
	t.Parallel()
	k := newKit(t, flowOf("    steps:\n      - { id: secret, type: secret }\n"))
	tk := k.must(flows.StartRequest{Target: "t", LoginHint: "jane"})
	tk.ok("ok", "")
	q := flows.StartRequest{ClientID: "app", Target: "t", Session: tk.view.Result.Session}
	c := flows.Caller{IdempotencyKey: "the-same-start-0123456789", Body: []byte("x")}
	var wg sync.WaitGroup
	for range 30 {
		wg.Go(func() {
			v, err := k.engine.Start(context.Background(), c, q)
			var p *flows.Problem
			if err != nil && (!errors.As(err, &p) || p.Kind != flows.KindConflict) || err == nil && v.Flow.Status != flows.Completed {
				t.Errorf("%v, %s", err, v.Flow.Status)
			}
		})
	}
	wg.Wait()
}

// An enrolment takes effect with the change of the run, or not at all.
func TestEnrolmentIsActivatedWithTheChange(t *testing.T) {
	t.Parallel()
	text := definitions("      - { id: secret, type: secret }\n      - { id: bind, type: bind }\n      - { id: note, type: note }\n", "{}")
	k := newKit(t, text)
	tk := k.must(flows.StartRequest{Target: "t", LoginHint: "bare"})
	tk.ok("ok", "")
	k.people.change("sub-bare", func(*flows.Account) {})
	before := func() []string {
		k.people.mu.Lock()
		defer k.people.mu.Unlock()
		return slices.Clone(k.people.activated)
	}
	if len(before()) != 0 {
		t.Fatal("activated too early")
	}
	tk.ok("ok", "")
	if got := before(); !slices.Equal(got, []string{"new-key"}) {
		t.Errorf("activated %v", got)
	}
}

// The names of accounts that are not there are counted under one spelling, as those that are.
func TestShadowCountersHaveOneSpelling(t *testing.T) { // lesson 27
	t.Parallel()
	for _, who := range []string{"jane", "nobody"} {
		k := newKit(t, definitions(secretThenCode, "{}"))
		for _, spelled := range []string{who, strings.ToUpper(who), " " + who + " "} {
			tk := k.must(flows.StartRequest{Target: "t", LoginHint: spelled})
			wants(t, tk.say("no", ""), flows.KindRejected, flows.CodeWrongAnswer)
		}
		tk := k.must(flows.StartRequest{Target: "t", LoginHint: who})
		wants(t, tk.say("no", ""), flows.KindThrottled, flows.CodeThrottled)
	}
}

func TestLastAttemptIsTold(t *testing.T) {
	t.Parallel()
	k := newKit(t, definitions(secretThenCode, "{}"))
	for range 20 {
		tk := k.must(flows.StartRequest{Target: "t", LoginHint: "jane"})
		wants(t, tk.say("no", ""), flows.KindRejected, flows.CodeWrongAnswer)
		k.clock.pass(16 * time.Minute)
	}
	if k.count(flows.EventLocked) != 1 {
		t.Errorf("%d events", k.count(flows.EventLocked))
	}
	if err := k.engine.Unlock(context.Background(), "sub-jane", "secret"); err != nil {
		t.Fatal(err)
	}
	k.must(flows.StartRequest{Target: "t", LoginHint: "jane"}).ok("ok", "")
}

// Whose handle is right is told where the run stands, whatever else is wrong.
func TestProblemsShowTheView(t *testing.T) {
	t.Parallel()
	k := newKit(t, definitions(secretThenCode, "{}"))
	tk := k.must(flows.StartRequest{Target: "t", LoginHint: "jane"})
	for _, body := range []flows.Input{flows.Input(`{}`), in("down", ""), in("bug", "")} {
		_, err := tk.e.Answer(context.Background(), tk.handle, tk.caller, "secret", 1, body)
		var p *flows.Problem
		if !errors.As(err, &p) || p.View == nil || p.View.NextStep == nil || p.View.NextStep.StepID != "secret" {
			t.Errorf("%s: %+v", body, p)
		}
	}
	tk.caller.IdempotencyKey = "k1"
	wants(t, tk.say("no", ""), flows.KindRejected, flows.CodeWrongAnswer)
	again := wants(t, tk.answer("secret", 1, in("no", "")), flows.KindRejected, flows.CodeWrongAnswer)
	if again.Detail == "" {
		t.Error("the repeat lacks the detail")
	}
	_, err := tk.e.Answer(context.Background(), tk.handle, flows.Caller{IdempotencyKey: "k1", Body: []byte("other")}, "secret", 2, in("ok", ""))
	if p := wants(t, err, flows.KindRejected, flows.CodeKeyReused); p.View == nil {
		t.Error("no view")
	}
	tk.caller.IdempotencyKey = "k2"
	tk.ok("ok", "")
	_, err = tk.e.Answer(context.Background(), tk.handle, tk.caller, "secret", 2, in("ok", "")) // the repeat, with the new handle
	wants(t, err, flows.KindConflict, flows.CodeStaleTurn)
}

func TestUnreachableLevelIsRefusedAtTheStart(t *testing.T) {
	t.Parallel()
	k := newKit(t, definitions(secretThenCode, "{}"))
	_, err := k.start(flows.StartRequest{ClientID: "app", Target: "t", ACRValues: []string{"aal9"}}, flows.Caller{})
	wants(t, err, flows.KindFailed, flows.CodeUnmet)
}

// A session that ends while a run waits stands for no later step either.
func TestSessionThatEndsWhileARunWaits(t *testing.T) {
	t.Parallel()
	k := newKit(t, flowOf("    steps:\n      - { id: note, type: note }\n      - { id: secret, type: secret }\n"))
	tk := k.must(flows.StartRequest{Target: "t", LoginHint: "jane"})
	tk.ok("ok", "")
	tk.ok("ok", "")
	tk = k.must(flows.StartRequest{Target: "t", Session: tk.view.Result.Session})
	ended := k.tokens.all()[0].Session
	_ = k.ports.EndSession(context.Background(), ended)
	tk.ok("ok", "")
	tk.at("secret")
	tk.ok("ok", "")
	if ids := k.tokens.all(); ids[1].Session == ended {
		t.Error("the session came back to life")
	}
}

func TestExpressionsThatErrFailTheRun(t *testing.T) {
	t.Parallel()
	for _, node := range []string{
		`{ assign: { x: account.attributes.nothing } }`,
		`{ id: d, decide: 'account.attributes.nothing == "x" ? "continue" : "continue"', on: { never: h } }`,
	} {
		k := newKit(t, flowOf("    steps:\n      - { id: secret, type: secret }\n      - "+node+"\n      - { id: h0, type: note, on: { denied: h } }\n    handlers:\n      h: [ { fail: never } ]\n"))
		tk := k.must(flows.StartRequest{Target: "t", LoginHint: "jane"})
		wants(t, tk.say("ok", ""), flows.KindFailed, flows.CodeRequirement)
	}
}

// What the session proved stands for the same step, and for no other.
func TestSessionStandsForTheSameStepOnly(t *testing.T) { // lesson 17
	t.Parallel()
	k := newKit(t, flowOf("    steps:\n      - { id: secret, type: secret }\n"))
	tk := k.must(flows.StartRequest{Target: "t", LoginHint: "jane"})
	tk.ok("ok", "")
	k.engine = k.another(flowOf("    steps:\n      - { id: other, type: secret }\n      - { id: code, type: code }\n"))
	tk = k.must(flows.StartRequest{Target: "t", Session: tk.view.Result.Session})
	tk.at("code") // another id, the same type and configuration: done; a code is something else
}

// The look that an unknown name costs finds nobody, whatever accounts there are.
func TestUnknownNameIsNobody(t *testing.T) {
	t.Parallel()
	k := newKit(t, definitions(secretThenCode, "{}"))
	nobody := person("x", flows.AccountActive, "secret", "code")
	nobody.Subject = "nobody"
	k.people.accounts["nobody"] = nobody
	tk := k.must(flows.StartRequest{Target: "t", LoginHint: "somebody unknown"})
	wants(t, tk.say("ok", ""), flows.KindRejected, flows.CodeWrongAnswer)
}
