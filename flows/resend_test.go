package flows_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/stile-auth/stile/flows"
	"github.com/stile-auth/stile/flows/store/memory"
)

const mailed = "      - { id: mail, type: mail, resend: { max: 2, every: 30s } }\n"

// resend asks for another message.
func (tk *talk) resend() error {
	v, err := tk.e.Resend(context.Background(), tk.handle, tk.caller, tk.view.Flow.Turn)
	return tk.take(v, err)
}

// shown is what the prompt says of what was sent.
func (tk *talk) shown() string { return fmt.Sprintf("%s", tk.view.NextStep.Data) }

func (tk *talk) again(data string) {
	tk.k.t.Helper()
	if err := tk.resend(); err != nil {
		tk.k.t.Fatalf("resend: %v", err)
	}
	if tk.shown() != data {
		tk.k.t.Fatalf("shows %s, want %s", tk.shown(), data)
	}
}

func (tk *talk) early(after time.Duration) {
	tk.k.t.Helper()
	p := wants(tk.k.t, tk.resend(), flows.KindThrottled, flows.CodeThrottled)
	if p.RetryAfter != after {
		tk.k.t.Fatalf("retry after %s, want %s", p.RetryAfter, after)
	}
}

// A message comes at once, the next when the client has waited, longer each time, and then no more. T-46.
func TestResend(t *testing.T) {
	t.Parallel()
	k := newKit(t, definitions(mailed, "{ acr: aal1 }"))
	tk := k.must(flows.StartRequest{Target: "t", LoginHint: "jane"})
	if tk.shown() != `{"again":30,"sent":true}` || !hasAction(tk, "resend") {
		t.Fatalf("shows %s", tk.shown())
	}
	k.clock.pass(10 * time.Second)
	tk.early(20 * time.Second)
	k.clock.pass(20 * time.Second)
	tk.again(`{"again":60,"sent":true}`)
	tk.early(time.Minute)
	k.clock.pass(time.Minute)
	tk.again(`{"sent":true}`)
	if hasAction(tk, "resend") {
		t.Error("a fourth message is offered")
	}
	wants(t, tk.resend(), flows.KindConflict, flows.CodeNotPossibleHere)
	k.clock.pass(time.Hour / 10)
	if got := k.mails.to(); len(got) != 3 || k.count(flows.EventMessageSent) != 3 {
		t.Errorf("sent %v", got)
	}
	tk.ok("ok", "")
	if tk.view.Flow.Status != flows.Completed {
		t.Errorf("%+v", tk.view)
	}
}

// The same request repeated is one message; taps at once are one message, and cost one.
func TestResendOnce(t *testing.T) {
	t.Parallel()
	for name, open := range stores {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			k := newKitOn(t, definitions(mailed, "{ acr: aal1 }"), open(t, t))
			tk := k.must(flows.StartRequest{Target: "t", LoginHint: "jane"})
			k.clock.pass(30 * time.Second)
			turn := tk.view.Flow.Turn
			tk.caller.IdempotencyKey = "an-idempotency-key-of-the-client"
			for range 3 {
				v, err := tk.e.Resend(t.Context(), tk.handle, tk.caller, turn)
				if err != nil || v.Flow.Turn != turn+1 {
					t.Fatalf("%v, turn %d", err, v.Flow.Turn)
				}
			}
			tk.caller.IdempotencyKey = ""
			k.clock.pass(time.Minute)
			var wg sync.WaitGroup
			var passed atomic.Int32
			for range 16 {
				wg.Go(func() {
					if _, err := tk.e.Resend(t.Context(), tk.handle, tk.caller, turn+1); err == nil {
						passed.Add(1)
					}
				})
			}
			wg.Wait()
			if n := passed.Load(); n != 1 || len(k.mails.to()) != 3 {
				t.Errorf("%d of 16 got through, %d messages", n, len(k.mails.to()))
			}
			for range 2 { // three of five are spent
				if tk := k.must(flows.StartRequest{Target: "t", LoginHint: "jane"}); tk.shown() != `{"again":30,"sent":true}` {
					t.Errorf("shows %s", tk.shown())
				}
			}
			if tk := k.must(flows.StartRequest{Target: "t", LoginHint: "jane"}); strings.Contains(tk.shown(), "true") {
				t.Errorf("a sixth: %s", tk.shown())
			}
		})
	}
}

// What no step sends cannot be sent again, and what was not asked at this turn neither.
func TestResendElsewhere(t *testing.T) {
	t.Parallel()
	k := newKit(t, definitions(secretThenCode, "{ acr: aal1 }"))
	tk := k.must(flows.StartRequest{Target: "t", LoginHint: "jane"})
	if hasAction(tk, "resend") {
		t.Error("resend is offered")
	}
	wants(t, tk.resend(), flows.KindConflict, flows.CodeNotPossibleHere)
	k = newKit(t, definitions(mailed, "{ acr: aal1 }"))
	tk = k.must(flows.StartRequest{Target: "t", LoginHint: "jane"})
	_, err := tk.e.Resend(t.Context(), tk.handle, tk.caller, tk.view.Flow.Turn+1)
	wants(t, err, flows.KindConflict, flows.CodeStaleTurn)
}

// Leaving a step and coming back is no way to more messages, or to earlier ones.
func TestComingBackSendsNoMore(t *testing.T) {
	t.Parallel()
	k := newKit(t, definitions(`      - id: how
        choose:
          - { id: mail, type: mail, resend: { max: 1, every: 30s } }
          - { id: secret, type: secret }
`, "{ acr: aal1 }"))
	tk := k.must(flows.StartRequest{Target: "t", LoginHint: "jane"})
	visit := func() {
		t.Helper()
		if err := tk.answer("how", tk.view.Flow.Turn, flows.Input(`{"select":"mail"}`)); err != nil {
			t.Fatal(err)
		}
	}
	leave := func() {
		t.Helper()
		if err := tk.answer("how", tk.view.Flow.Turn, flows.Input(`{}`)); err != nil {
			t.Fatal(err)
		}
	}
	visit()
	leave()
	k.clock.pass(10 * time.Second)
	visit()
	if tk.shown() != `{"again":20,"sent":false}` {
		t.Errorf("too early: %s", tk.shown())
	}
	tk.early(20 * time.Second)
	k.clock.pass(20 * time.Second)
	leave()
	visit()
	if tk.shown() != `{"sent":true}` || hasAction(tk, "resend") {
		t.Errorf("in time: %s", tk.shown())
	}
	leave()
	if err := tk.answer("how", tk.view.Flow.Turn, flows.Input(`{"select":"mail"}`)); err != nil {
		t.Fatal(err)
	}
	if tk.view.NextStep.StepID != "secret" { // nothing is left to send: the option is lost
		t.Errorf("asks %s", tk.view.NextStep.StepID)
	}
	if got := k.mails.to(); len(got) != 2 {
		t.Errorf("sent %v", got)
	}
}

// An account's budget is for all runs, and nobody learns from it whether there is an account.
func TestBudgetOfAnAccount(t *testing.T) {
	t.Parallel()
	k := newKit(t, definitions(mailed, "{ acr: aal1 }"))
	for _, hint := range []string{"jane", "nobody-of-that-name", "gone"} {
		for i := range 5 {
			k.must(flows.StartRequest{Target: "t", LoginHint: strings.ToUpper(hint[:1]) + hint[1:]}) // spelling is no way around it
			k.clock.pass(time.Duration(i) * time.Second)
		}
		tk := k.must(flows.StartRequest{Target: "t", LoginHint: hint})
		if tk.shown() != `{"again":3590,"sent":false}` || !hasAction(tk, "resend") {
			t.Errorf("%s: %s", hint, tk.shown())
		}
		tk.early(3590 * time.Second)
	}
	if n := k.count(flows.EventMessageHeld); n != 3 {
		t.Errorf("%d messages held", n)
	}
	k.clock.pass(time.Hour)
	if tk := k.must(flows.StartRequest{Target: "t", LoginHint: "jane"}); tk.shown() != `{"again":30,"sent":true}` {
		t.Errorf("after the window: %s", tk.shown())
	}
}

// A destination's budget is for all accounts that have it.
func TestBudgetOfADestination(t *testing.T) {
	t.Parallel()
	k := newKit(t, definitions(mailed, "{ acr: aal1 }"))
	for _, hint := range []string{"bob", "bare", "bob", "bare", "bob", "bare"} {
		k.must(flows.StartRequest{Target: "t", LoginHint: hint})
		k.clock.pass(10 * time.Second)
	}
	for range 6 { // what is held does not count on the account, whose window ends later
		if tk := k.must(flows.StartRequest{Target: "t", LoginHint: "bare"}); tk.shown() != `{"again":3540,"sent":false}` {
			t.Errorf("the seventh: %s", tk.shown())
		}
	}
	if n := len(k.mails.to()); n != 6 {
		t.Errorf("%d messages", n)
	}
	if n := k.count(flows.EventMessageHeld); n != 6 {
		t.Errorf("%d held", n)
	}
}

// Nobody gets a message, and whoever watches the client sees no difference.
func TestMessageToNobody(t *testing.T) {
	t.Parallel()
	k := newKit(t, definitions(mailed, "{ acr: aal1 }"))
	known := k.must(flows.StartRequest{Target: "t", LoginHint: "jane"})
	unknown := k.must(flows.StartRequest{Target: "t", LoginHint: "nobody"})
	if known.shown() != unknown.shown() || len(known.view.NextStep.Actions) != len(unknown.view.NextStep.Actions) {
		t.Errorf("%s, unknown %s", known.shown(), unknown.shown())
	}
	if diff := cmp.Diff([]string{"jane"}, k.mails.to()); diff != "" {
		t.Error(diff)
	}
}

// The change is stored first. What the outbox did not take is given to it by
// whoever loads the run next, once.
func TestMessageAfterACrash(t *testing.T) {
	t.Parallel()
	text := definitions(secretThenCode+mailed, "{ acr: aal1 }")
	k := newKitOn(t, text, memory.New())
	tk := k.must(flows.StartRequest{Target: "t", LoginHint: "jane"})
	tk.ok("ok", "")
	k.mails.fail(errors.New("full"))
	step, turn, old := tk.view.NextStep.StepID, tk.view.Flow.Turn, tk.handle
	tk.caller.IdempotencyKey = "an-idempotency-key-of-the-client"
	_, err := tk.e.Answer(t.Context(), old, tk.caller, step, turn, in("ok", ""))
	wants(t, err, flows.KindUnavailable, flows.CodeUnavailable)
	k.mails.fail(nil)
	if len(k.mails.to()) != 0 {
		t.Fatalf("sent %v", k.mails.to())
	}
	tk.e = k.another(text)
	for range 3 {
		if err := tk.answer(step, turn, in("ok", "")); err != nil {
			t.Fatal(err)
		}
	}
	if tk.view.NextStep.StepID != "mail" || len(k.mails.to()) != 1 {
		t.Errorf("asks %s, sent %v", tk.view.NextStep.StepID, k.mails.to())
	}
}

// What is of no more use is not sent when the run is cleared away.
func TestMessageTooLate(t *testing.T) {
	t.Parallel()
	k := newKit(t, definitions(mailed, "{ acr: aal1 }"))
	k.mails.fail(errors.New("full"))
	_, err := k.start(flows.StartRequest{ClientID: "app", Target: "t", LoginHint: "jane"}, flows.Caller{})
	wants(t, err, flows.KindUnavailable, flows.CodeUnavailable)
	k.mails.fail(nil)
	k.clock.pass(time.Hour)
	if _, err := k.another(definitions(mailed, "{ acr: aal1 }")).Sweep(t.Context(), 10); err != nil {
		t.Fatal(err)
	}
	if got := k.mails.to(); len(got) != 0 {
		t.Errorf("sent %v", got)
	}
}

// Without a way to send, a step that sends is unavailable, and nobody gets past it.
func TestNoOutbox(t *testing.T) {
	t.Parallel()
	k := newKit(t, definitions(mailed, "{ acr: aal1 }"))
	k.config.Outbox = nil
	e, err := flows.NewEngine(k.config)
	if err != nil {
		t.Fatal(err)
	}
	k.engine = e
	_, err = k.start(flows.StartRequest{ClientID: "app", Target: "t", LoginHint: "jane"}, flows.Caller{})
	wants(t, err, flows.KindUnavailable, flows.CodeUnavailable)
}
