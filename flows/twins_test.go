package flows_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/stile-auth/stile/flows"
)

// Unknown, known and disabled users look the same until the first successful
// proof (invariant 13; CVE-2024-41952, CVE-2026-23511, CVE-2023-39522): the same
// requests for each, over random definitions, get the same answers. A wrong
// secret of the known user stands beside any secret of the others.
func TestTwins(t *testing.T) {
	t.Parallel()
	for name, open := range stores {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			rapid.Check(t, func(rt *rapid.T) {
				def := generate(rt)
				k := newKitOn(t, def.text, open(t, rt))
				var twins []*talk
				for _, who := range []string{"jane", "bare", "gone", "nobody"} {
					twins = append(twins, k.twin(rt, who))
				}
				for range rapid.IntRange(1, 12).Draw(rt, "requests") {
					if !k.askAll(rt, def, twins) {
						return
					}
				}
			})
		})
	}
}

func (k *kit) twin(rt *rapid.T, who string) *talk {
	tk, err := k.start(flows.StartRequest{ClientID: "app", Target: "t", LoginHint: who}, flows.Caller{})
	var p *flows.Problem
	if err != nil && (!errors.As(err, &p) || p.Kind != flows.KindFailed) {
		rt.Fatal(err)
	}
	_ = tk.take(tk.view, err)
	return tk
}

// askAll sends one random request for all twins and compares what they get.
func (k *kit) askAll(rt *rapid.T, def flowText, twins []*talk) bool {
	n := twins[0].view.NextStep
	if n == nil || def.types[n.StepID] == "note" {
		return false // the end, or a step that anybody passes
	}
	how := rapid.SampledFrom([]string{"wrong", "wrong", "wrong", "malformed", "down", "stale", "select", "wait", "show", "resend"}).Draw(rt, "how")
	if how == "wait" {
		k.clock.pass(time.Duration(rapid.IntRange(1, 60).Draw(rt, "s")) * time.Second)
		return true
	}
	option := rapid.SampledFrom([]string{"s1", "s2", "s3", "s4", "c2"}).Draw(rt, "option")
	var first string
	for i, tk := range twins {
		got := look(tk, k.ask(tk, how, option, i))
		if i == 0 {
			first = got
		}
		if got != first {
			rt.Fatalf("%s: the known user gets\n%s\nand another\n%s\n%s", how, first, got, def.text)
		}
	}
	return true
}

func (k *kit) ask(tk *talk, how, option string, i int) error {
	n := tk.view.NextStep
	if n == nil {
		return nil
	}
	switch how {
	case "malformed":
		return tk.answer(n.StepID, tk.view.Flow.Turn, flows.Input(`{"x":1}`))
	case "stale":
		return tk.answer(n.StepID, tk.view.Flow.Turn-1, in("ok", ""))
	case "resend":
		return tk.resend()
	case "show":
		v, err := tk.e.Show(context.Background(), tk.handle, tk.caller)
		return tk.take(v, err)
	case "select":
		return tk.answer(n.StepID, tk.view.Flow.Turn, flows.Input(`{"select":"`+option+`"}`))
	case "down":
		return tk.say("down", "")
	}
	if i > 1 { // the right secret of an account that is disabled, or not there
		return tk.say("ok", "")
	}
	return tk.say("no", "")
}

// look is what a client can see of an answer, without what is random.
func look(tk *talk, err error) string {
	v := tk.view
	v.Flow.ID, v.Handle = "", ""
	data, _ := json.Marshal(v)
	var p *flows.Problem
	if errors.As(err, &p) {
		return fmt.Sprintf("%d %s %q %v %v %s", p.Kind, p.Code, p.Detail, p.RetryAfter, p.AttemptsRemaining, data)
	}
	return string(data)
}
