package flows_test

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/stile-auth/stile/flows"
)

// turning are definitions whose target has these entries.
func turning(entries string) string {
	return strings.Replace(definitions(secretThenCode, "{}"),
		"propagate: { type: bearer_jwt, audience: \"https://t.example\", ttl: 5m }", "propagate:\n"+entries, 1)
}

const lastEntry = "      - { type: bearer_jwt, audience: \"https://t.example\", ttl: 1m }\n"

func entry(cond string) string {
	return "      - { if: '" + cond + "', type: bearer_jwt, audience: \"https://t.example\", ttl: 5m }\n"
}

// The first entry that fits counts; what cannot be answered fits nothing, and nothing behind it counts either.
func TestPropagators(t *testing.T) { // invariant 3
	t.Parallel()
	const broken = `account.attributes.nothing == "x"`
	for name, c := range map[string]struct {
		entries string
		ttl     time.Duration // of the token; 0: there is none
		audited bool
	}{
		"the first that fits":             {entry("acr >= level.aal2") + lastEntry, 5 * time.Minute, false},
		"the next, if the first does not": {entry("acr >= level.aal3") + lastEntry, time.Minute, false},
		"none":                            {entry("acr >= level.aal3"), 0, false},
		"an error":                        {entry(broken), 0, true},
		"an error before one that fits":   {entry(broken) + lastEntry, 0, true},
		"an error behind one that fits":   {entry("acr >= level.aal2") + entry(broken), 5 * time.Minute, false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			k := newKit(t, turning(c.entries))
			tk := k.must(flows.StartRequest{Target: "t", LoginHint: "jane"})
			tk.ok("ok", "")
			err := tk.say("ok", "")
			if got := k.count(flows.EventConditionFailed) > 0; got != c.audited {
				t.Errorf("audited: %v", got)
			}
			if c.ttl == 0 {
				wants(t, err, flows.KindFailed, flows.CodeNotPropagated)
				if len(k.tokens.all()) != 0 || k.count(flows.EventRunCompleted) != 0 || k.count(flows.EventRunFailed) != 1 {
					t.Error("something was issued, or it was not recorded")
				}
				return
			}
			if got := k.tokens.all(); err != nil || len(got) != 1 || got[0].TTL != c.ttl {
				t.Errorf("%v, %+v", err, got)
			}
		})
	}
}

// A client that acts for itself has shown nothing that a condition could ask.
func TestClientsHaveNoRunForConditions(t *testing.T) {
	t.Parallel()
	k := newKit(t, turning(entry("acr >= level.aal1")+lastEntry))
	if _, err := k.engine.ClientToken(t.Context(), flows.Caller{}, "app", "t", nil); !errors.Is(err, flows.ErrPeople) || len(k.tokens.all()) != 0 {
		t.Errorf("a token without a run: %v", err)
	}
}
