package flows_test

import (
	"testing"
	"time"

	"github.com/stile-auth/stile/flows"
)

// A proof takes no time, and people do: what has changed since a require is seen at the gate.
func TestGuaranteesAreHeldAtTheGate(t *testing.T) {
	t.Parallel()
	k := newKit(t, flowOf(`    steps:
      - { id: secret, type: secret }
      - { tag: { set: [quick], for: 1m } }
      - require: '"quick" in tags'
      - { id: text, type: note }
    guarantees:
      - complete implies "quick" in tags
      - never "slow" in tags
      - secret before text
`))
	for name, c := range map[string]struct {
		wait time.Duration
		err  bool
	}{"at once": {59 * time.Second, false}, "too late": {time.Minute, true}} {
		tk := k.must(flows.StartRequest{Target: "t", LoginHint: "jane"})
		if err := tk.say("ok", ""); err != nil {
			t.Fatal(err)
		}
		tk.at("text")
		before := len(k.tokens.all())
		k.clock.pass(c.wait)
		err := tk.say("ok", "")
		if !c.err {
			if err != nil || len(k.tokens.all()) != before+1 {
				t.Errorf("%s: %v", name, err)
			}
			continue
		}
		wants(t, err, flows.KindFailed, flows.CodeRequirement)
		if len(k.tokens.all()) != before {
			t.Errorf("%s: a token was issued", name)
		}
	}
}

// Proofs suppose that no run takes longer than that.
func TestNoRunLastsLonger(t *testing.T) {
	t.Parallel()
	c := newKit(t, flowOf("    steps: [{ id: secret, type: secret }]\n")).config
	for ttl, fits := range map[time.Duration]bool{flows.LongestRun: true, flows.LongestRun + time.Second: false} {
		c.RunTTL = ttl
		if _, err := flows.NewEngine(c); (err == nil) != fits {
			t.Errorf("%s: %v", ttl, err)
		}
	}
}
