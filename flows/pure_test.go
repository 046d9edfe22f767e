package flows_test

import (
	"encoding/json"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/stile-auth/stile/flows"
)

// advance leaves what it was given as it was: a request that loses the
// compare-and-swap is answered from the state that it began with, and two
// futures of one state have nothing in common.
func TestAdvanceIsPure(t *testing.T) {
	t.Parallel()
	text := func(s flows.State) string {
		b, err := json.Marshal(s)
		if err != nil {
			t.Fatal(err)
		}
		return string(b)
	}
	proof := func(id string) flows.Outcome {
		return flows.Pass(flows.Proof{Subject: "sub-jane", Evidence: (fake{typ: "secret"}).evidence(id)})
	}
	tr := sixtySteps(t, 1)[0]
	at := tr.Do("begin", "", flows.Outcome{})
	for n := 0; at == "enter"; n++ {
		tr.Do("outcome", "", flows.Ask(flows.Prompt{}))
		before := text(tr.State)
		futures := map[string]*flows.Trial{}
		for name, o := range map[string]flows.Outcome{
			"one": proof("one"), "two": proof("two"), "wrong": flows.Reject("wrong", nil), "done": flows.Done(), "left": flows.Exit("denied"),
		} {
			future := *tr
			future.Do("outcome", "", o)
			if n%4 != 0 && o.Passed() != nil { // only some of the steps prove anything
				continue
			}
			futures[name] = &future
		}
		if diff := cmp.Diff(before, text(tr.State)); diff != "" {
			t.Fatalf("step %d: (-before +after)\n%s", n, diff)
		}
		if one := futures["one"]; one != nil {
			if last := one.State.Evidence[len(one.State.Evidence)-1].Authenticator; last != "one" {
				t.Fatalf("step %d: one future has the evidence %q of another", n, last)
			}
		}
		answer := flows.Done()
		if n%4 == 0 {
			answer = proof("jane-secret")
		}
		at = tr.Do("outcome", "", answer)
	}
	if at != "complete" {
		t.Fatal(at)
	}
}
