package flows_test

import (
	"testing"

	"github.com/stile-auth/stile/flows"
)

const whoThenSecret = "      - { id: who, type: who }\n      - { id: secret, type: secret }\n"

// A name is asked for, is kept for the steps behind it, and may be said anew
// until somebody has proved to be there (invariant 4).
func TestBackForgetsTheName(t *testing.T) {
	t.Parallel()
	k := newKit(t, definitions(whoThenSecret, "{}"))
	tk := k.must(flows.StartRequest{Target: "t"})
	tk.ok("ok", "bob")
	wants(t, tk.say("wrong", ""), flows.KindRejected, flows.CodeWrongAnswer)
	if err := tk.take(tk.e.Back(t.Context(), tk.handle, tk.caller, tk.view.Flow.Turn)); err != nil || tk.view.NextStep.StepID != "who" {
		t.Fatalf("%v, %+v", err, tk.view.NextStep)
	}
	tk.ok("ok", "jane")
	tk.ok("ok", "")
	if got := k.tokens.all(); len(got) != 1 || got[0].Subject != "sub-jane" {
		t.Errorf("%+v", got)
	}
}

// A hint at the start, and a session, say it already.
func TestWhoIsNamedIsNotAsked(t *testing.T) {
	t.Parallel()
	k := newKit(t, definitions(whoThenSecret, "{}"))
	tk := k.must(flows.StartRequest{Target: "t", LoginHint: "nobody"})
	if tk.view.NextStep.StepID != "secret" {
		t.Errorf("waits at %s", tk.view.NextStep.StepID)
	}
	first := k.must(flows.StartRequest{Target: "t", LoginHint: "jane"})
	first.ok("ok", "")
	if again := k.must(flows.StartRequest{Target: "t", Session: first.view.Result.Session}); again.view.Flow.Status != flows.Completed {
		t.Errorf("asks %+v", again.view.NextStep)
	}
}

// Known and unknown names look alike behind the question, too (invariant 13).
func TestEveryNameLooksAlike(t *testing.T) {
	t.Parallel()
	k := newKit(t, definitions(whoThenSecret, "{}"))
	for _, who := range []string{"jane", "gone", "nobody"} {
		tk := k.must(flows.StartRequest{Target: "t"})
		tk.ok("ok", who)
		if tk.view.NextStep.StepID != "secret" {
			t.Errorf("%s waits at %s", who, tk.view.NextStep.StepID)
		}
		wants(t, tk.say("wrong", ""), flows.KindRejected, flows.CodeWrongAnswer)
	}
}
