package flows_test

import (
	"errors"
	"testing"

	"github.com/stile-auth/stile/flows"
)

// tell assigns what the answer says: the user as the tier, or what it must not.
func (f fake) tell(a fakeAnswer) flows.Outcome {
	switch a.Answer {
	case "nothing":
		return flows.Done()
	case "another":
		return flows.Done().Assigning(map[string]string{"other": "gold"})
	case "too much":
		return flows.Done().Assigning(map[string]string{"tier": "gold", "other": "gold"})
	case "unknown": // what a proof does not know begins so, and nothing else may
		return flows.Done().Assigning(map[string]string{"tier": "\x00gold"})
	}
	return flows.Done().Assigning(map[string]string{"tier": a.User})
}

const telling = `      - { id: secret, type: secret }
      - { id: tell, type: tell }
      - { id: code, type: code, if: 'assigned.tier != "gold"' }
`

// What a step assigns decides what comes next.
func TestStepAssigns(t *testing.T) {
	t.Parallel()
	for tier, completes := range map[string]bool{"gold": true, "silver": false, "": false} {
		k := newKit(t, definitions(telling, "{ acr: aal1 }"))
		tk := k.must(flows.StartRequest{Target: "t", LoginHint: "jane"})
		tk.ok("ok", "")
		tk.ok("ok", tier)
		if got := tk.view.Flow.Status == flows.Completed; got != completes {
			t.Errorf("%q: %+v", tier, tk.view)
		}
	}
}

// A step assigns all that its type declares and nothing else: proofs rest on it.
func TestStepAssignsWhatItDeclares(t *testing.T) {
	t.Parallel()
	for _, answer := range []string{"nothing", "another", "too much", "unknown"} {
		k := newKit(t, definitions(telling, "{ acr: aal1 }"))
		tk := k.must(flows.StartRequest{Target: "t", LoginHint: "jane"})
		tk.ok("ok", "")
		err := tk.say(answer, "")
		if p := (*flows.Problem)(nil); err == nil || errors.As(err, &p) && p.Kind != flows.KindInternal || tk.view.Flow.Status == flows.Completed {
			t.Errorf("%s: %v", answer, err)
		}
	}
}
