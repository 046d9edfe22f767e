package flows_test

import (
	"context"
	"errors"
	"reflect"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/stile-auth/stile/flows"
)

const homes = `
      - { id: name, type: who }
      - id: way
        choose:
          - { id: first, type: sso, with: { provider: one } }
          - { id: second, type: sso, with: { provider: two } }
          - { id: own, type: secret }
`

// atHome starts a run of the homes, and returns the step that it comes to.
func atHome(t *testing.T, steps string, q flows.StartRequest) (*talk, string) {
	t.Helper()
	k := newKit(t, definitions(steps, "{}"))
	q.ClientID, q.Flow = "app", "f"
	tk := k.must(q)
	return tk, tk.view.NextStep.StepID
}

// Whose name has the domain of a provider comes to it; everybody else chooses.
func TestHome(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ name, hint, remembered, want string }{
		{"domain", "jane@one.example", "", "first"},
		{"another domain", "jane@two.example", "", "second"},
		{"letter case", "Jane@ONE.Example", "", "first"},
		{"international", "jane@Müller.example", "", "first"},
		{"international, in ASCII", "jane@xn--mller-kva.example", "", "first"},
		{"international, decomposed", "jane@mu\u0308ller.example", "", "first"},
		{"nobody has the name", "nobody@one.example", "", "first"},
		{"a domain below", "jane@sub.one.example", "", "way"},
		{"a domain that ends so", "jane@evilone.example", "", "way"},
		{"the domain below another", "jane@one.example.evil.example", "", "way"},
		{"two of them", "jane@one.example@evil.example", "", "way"},
		{"before the last", "jane@evil.example@one.example", "", "first"},
		{"no domain", "jane", "", "way"},
		{"nothing before it", "@one.example", "", "way"},
		{"nothing behind it", "jane@", "", "way"},
		{"no domain can be it", "jane@one.example/..", "", "way"},
		{"a dot behind", "jane@one.example.", "", "way"},
		{"remembered", "jane", "two", "second"},
		{"remembered, that there is not", "jane", "three", "way"},
		{"remembered, in other letters", "jane", "ONE", "way"},
		{"an option is no provider", "jane", "own", "way"},
		{"the name says more", "jane@one.example", "two", "first"},
		{"remembered, of a name without a home", "jane@else.example", "two", "second"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			if _, got := atHome(t, homes, flows.StartRequest{LoginHint: c.hint, Provider: c.remembered}); got != c.want {
				t.Errorf("came to %s, expected %s", got, c.want)
			}
		})
	}
}

// What the client says chooses among what is offered. It adds no option, and skips nothing.
func TestHomeOffersNothing(t *testing.T) {
	t.Parallel()
	for name, steps := range map[string]string{
		"withdrawn": `
      - id: way
        choose:
          - { id: first, type: sso, with: { provider: one }, if: device.bound }
          - { id: second, type: sso, with: { provider: two } }
          - { id: own, type: secret }
`,
		"not there": `
      - id: way
        choose:
          - { id: second, type: sso, with: { provider: two } }
          - { id: own, type: secret }
`,
		"twice": `
      - id: way
        choose:
          - { id: first, type: sso, with: { provider: one } }
          - { id: other, type: sso, with: { provider: one } }
          - { id: own, type: secret }
`,
		"behind something else": `
      - id: way
        choose:
          - { id: both, steps: [{ id: word, type: secret }, { id: first, type: sso, with: { provider: one } }] }
          - { id: own, type: secret }
`,
	} {
		for _, q := range []flows.StartRequest{{LoginHint: "jane@one.example"}, {Provider: "one"}} {
			if _, got := atHome(t, steps, q); got != "way" {
				t.Errorf("%s: %+v: came to %s, expected the choice", name, q, got)
			}
		}
	}
	if _, got := atHome(t, "\n      - { id: word, type: secret }"+homes, flows.StartRequest{LoginHint: "jane@one.example", Provider: "one"}); got != "word" {
		t.Errorf("came to %s, past a step", got)
	}
	if _, got := atHome(t, `
      - id: way
        choose:
          - { id: both, steps: [{ id: first, type: sso, with: { provider: one } }, { id: word, type: secret }] }
          - { id: own, type: secret }
`, flows.StartRequest{Provider: "one"}); got != "first" {
		t.Errorf("came to %s, expected the beginning of a group", got)
	}
}

// Who was taken to a provider silently comes back to the choice, and stays there.
func TestHomeIsNoTrap(t *testing.T) {
	t.Parallel()
	tk, at := atHome(t, homes, flows.StartRequest{})
	if at != "name" {
		t.Fatal("came to", at)
	}
	step := func(want string, err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		if got := tk.view.NextStep.StepID; got != want {
			t.Fatalf("came to %s, expected %s", got, want)
		}
	}
	step("first", tk.say("ok", "jane@one.example"))
	step("way", tk.other())
	step("second", tk.answer("way", tk.view.Flow.Turn, flows.Input(`{"select":"second"}`)))
	step("way", tk.back())
	step("name", tk.back())
	step("second", tk.say("ok", "jane@two.example"))
	step("way", tk.back())
	step("name", tk.back())
	step("way", tk.say("ok", "jane"))
}

// A provider that is down hides no other way in; one that an exit is for leaves by it.
func TestHomeThatIsDown(t *testing.T) {
	t.Parallel()
	k := newKit(t, definitions(homes, "{}"))
	k.down = true
	for _, q := range []flows.StartRequest{{LoginHint: "jane@one.example"}, {LoginHint: "jane", Provider: "one"}} {
		q.ClientID, q.Flow = "app", "f"
		tk := k.must(q)
		if got := tk.view.NextStep.StepID; got != "way" {
			t.Errorf("came to %s, expected the choice", got)
		}
		var p *flows.Problem
		if err := tk.answer("way", tk.view.Flow.Turn, flows.Input(`{"select":"first"}`)); !errors.As(err, &p) || p.Kind != flows.KindUnavailable {
			t.Errorf("picked by hand: %v", err)
		}
	}
}

// The answer says where the person signed on, for the next start to say it.
func TestHomeIsRemembered(t *testing.T) {
	t.Parallel()
	tk, _ := atHome(t, homes, flows.StartRequest{LoginHint: "jane"})
	if err := tk.answer("way", tk.view.Flow.Turn, flows.Input(`{"select":"second"}`)); err != nil {
		t.Fatal(err)
	}
	if err := tk.say("ok", "jane"); err != nil {
		t.Fatal(err)
	}
	if got := tk.view.Result.Provider; got != "two" {
		t.Errorf("signed on at %q", got)
	}
	tk, _ = atHome(t, homes, flows.StartRequest{LoginHint: "jane"})
	_ = tk.answer("way", tk.view.Flow.Turn, flows.Input(`{"select":"own"}`))
	if err := tk.say("ok", ""); err != nil || tk.view.Result.Provider != "" {
		t.Errorf("who signed on nowhere: %v, %+v", err, tk.view.Result)
	}
}

// What is taken silently is what somebody could have picked: over random flows, a
// run with a home is the same as one without in which it is picked by hand. So what
// is proved of picks is proved of it.
func TestHomeIsOneOfThePicks(t *testing.T) {
	t.Parallel()
	silent := 0
	check := func(rt *rapid.T) {
		f, reg := compiled(t, generate(rt).text)
		account := person("jane", flows.AccountActive, "secret", "code")
		var runs [2]*flows.Trial
		var moves [2]string
		each := func(kind, name string, o flows.Outcome) {
			for i := range runs {
				moves[i] = runs[i].Do(kind, name, o)
			}
		}
		for i := range runs {
			trial, err := flows.NewTrial(f, reg, time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC))
			if err != nil {
				rt.Fatal(err)
			}
			trial.Claim(account)
			runs[i] = trial
		}
		runs[0].State.Provider = rapid.SampledFrom([]string{"one", "two"}).Draw(rt, "home")
		each("begin", "", flows.Outcome{})
		for range 40 {
			for moves[1] == "wait" && len(runs[1].State.Offers) > 0 && runs[0].State.At != runs[1].State.At {
				silent++
				moves[1] = runs[1].Do("pick", runs[0].State.Picks[runs[1].State.At], flows.Outcome{})
			}
			if a, b := alike(runs[0].State), alike(runs[1].State); moves[0] != moves[1] || !reflect.DeepEqual(a, b) {
				rt.Fatalf("taken silently: %s\n%+v\nby hand: %s\n%+v", moves[0], a, moves[1], b)
			}
			switch n := runs[0].State; {
			case moves[0] == "final" || moves[0] == "issue":
				return
			case moves[0] == "complete":
				each("issue", "", flows.Outcome{})
			case len(n.Offers) > 0:
				each("pick", rapid.SampledFrom(n.Offers).Draw(rt, "option"), flows.Outcome{})
			case runs[0].Type() == "":
				runs[0].Pass(time.Minute)
				runs[1].Pass(time.Minute)
				each("time", "", flows.Outcome{})
			case moves[0] == "wait" && n.Other != "" && rapid.IntRange(0, 3).Draw(rt, "reopen") == 0:
				each(rapid.SampledFrom([]string{"reopen", "back"}).Draw(rt, "other"), "", flows.Outcome{})
			default:
				each("outcome", "", honest(rt, runs[0], account))
			}
		}
	}
	for range 20 { // few random flows have a choose between providers
		if rapid.Check(t, check); silent > 0 {
			return
		}
	}
	t.Error("nothing was ever taken silently: the test does not test it")
}

// alike is a state without what may differ.
func alike(s flows.State) flows.State {
	s.Turn, s.Homes, s.Provider = 0, nil, ""
	return s
}

// other goes back to the choice that the prompt was picked from.
func (tk *talk) other() error {
	return tk.answer("way", tk.view.Flow.Turn, flows.Input(`{}`))
}

func (tk *talk) back() error {
	v, err := tk.e.Back(context.Background(), tk.handle, tk.caller, tk.view.Flow.Turn)
	return tk.take(v, err)
}
