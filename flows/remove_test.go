package flows_test

import (
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/stile-auth/stile/flows"
)

// removing is a flow that proves something and then removes; kind may be "".
func removing(kind, proofs string) string {
	text := definitions(proofs+"      - { id: tidy, type: remove }\n", "{ acr: aal1 }")
	if kind != "" {
		text = strings.Replace(text, "  f:\n", "  f:\n    kind: "+kind+"\n", 1)
	}
	return text
}

const (
	secretAlone = "      - { id: pw, type: secret }\n"
	both        = secretAlone + "      - { id: c, type: code }\n"
	twice       = secretAlone + "      - { id: again, type: secret, if: run.flow == 'f' }\n"
)

// Whoever has less than the account can prove takes nothing away from it; where
// that is lost, a recovery takes two authenticators (invariant 5; CVE-2026-3429).
func TestWhoMayRemove(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		kind, proofs, who string
		answers           int
		may               bool
	}{
		"all that there is":                       {"", both, "jane", 2, true},
		"one of two":                              {"", secretAlone, "jane", 1, false},
		"the only one":                            {"", secretAlone, "bare", 1, true},
		"one of two, in a recovery":               {"recovery", secretAlone, "jane", 1, false},
		"two, in a recovery":                      {"recovery", both, "jane", 2, true},
		"two that prove less":                     {"", both, "jane", 2, false},
		"two that prove less, in a recovery":      {"recovery", both, "jane", 2, true},
		"one authenticator twice, in a recovery":  {"recovery", twice, "jane", 2, false},
		"one of two, where somebody registers":    {"registration", secretAlone, "jane", 1, false},
		"one of two, where a transaction is made": {"transaction", secretAlone, "jane", 1, false},
	} {
		k := newKit(t, removing(tt.kind, tt.proofs))
		tk := k.must(flows.StartRequest{ClientID: "app", Flow: "f", LoginHint: tt.who})
		var err error
		for i := range tt.answers {
			how := "ok"
			if i == 1 && strings.HasPrefix(name, "two that prove less") {
				how = "weak"
			}
			err = tk.say(how, "")
		}
		if !tt.may {
			wants(t, err, flows.KindFailed, flows.CodeInsufficient)
		} else if err != nil || tk.view.NextStep == nil || tk.view.NextStep.StepID != "tidy" {
			t.Errorf("%s: %+v, %v", name, tk.view.NextStep, err)
		}
		if len(k.people.disabled) > 0 {
			t.Errorf("%s: removed %v", name, k.people.disabled)
		}
	}
}

// What was proved long ago removes nothing.
func TestOldProofsRemoveNothing(t *testing.T) {
	t.Parallel()
	for _, kind := range []string{"", "recovery"} {
		proofs := both + "      - { id: read, type: note }\n"
		k := newKit(t, strings.Replace(removing(kind, proofs), "  f:\n", "  f:\n    timeout: 30m\n", 1))
		tk := k.must(flows.StartRequest{ClientID: "app", Flow: "f", LoginHint: "jane"})
		tk.ok("ok", "")
		tk.ok("ok", "")
		k.clock.pass(15*time.Minute + time.Second)
		wants(t, tk.say("ok", ""), flows.KindFailed, flows.CodeInsufficient)
	}
}

// The removal is a part of the change that it belongs to: it happens once that is
// stored, is audited, and is done by the next who loads the run if this node dies.
func TestRemovalIsAnEffect(t *testing.T) {
	t.Parallel()
	for name, open := range stores {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			k := newKitOn(t, removing("", both), open(t, t))
			tk := k.must(flows.StartRequest{ClientID: "app", Flow: "f", LoginHint: "jane"})
			tk.ok("ok", "")
			tk.ok("ok", "")
			k.events.fail(errors.New("the node dies here"))
			c := flows.Caller{IdempotencyKey: strings.Repeat("k", 32), Body: in("ok", "")}
			if _, err := k.engine.Answer(t.Context(), tk.handle, c, "tidy", tk.view.Flow.Turn, in("ok", "")); err == nil {
				t.Fatal("answered though the event was not recorded")
			}
			if len(k.people.disabled) > 0 {
				t.Fatalf("removed %v before that was audited", k.people.disabled)
			}
			k.events.fail(nil)
			other := k.another(removing("", both))
			v, err := other.Answer(t.Context(), tk.handle, c, "tidy", tk.view.Flow.Turn, in("ok", ""))
			if err != nil || v.Flow.Status != flows.Completed {
				t.Fatalf("%+v, %v", v.Flow, err)
			}
			if diff := cmp.Diff([]string{"jane-code"}, k.people.disabled); diff != "" {
				t.Errorf("removed (-want +got):\n%s", diff)
			}
			if n := k.count(flows.EventRemoved); n != 1 {
				t.Errorf("%d events", n)
			}
			if !slices.ContainsFunc(k.events.all(), func(e flows.Event) bool { return e.Type == flows.EventRemoved && e.Reason == "code" }) {
				t.Error("the event does not say what was removed")
			}
		})
	}
}

// A step that does not say that it removes cannot.
func TestUndeclaredRemoval(t *testing.T) {
	t.Parallel()
	k := newKit(t, definitions(both, "{ acr: aal1 }"))
	tk := k.must(flows.StartRequest{ClientID: "app", Target: "t", LoginHint: "jane"})
	wants(t, tk.say("remove", ""), flows.KindInternal, flows.CodeInternal)
	if len(k.people.disabled) > 0 {
		t.Errorf("removed %v", k.people.disabled)
	}
}
