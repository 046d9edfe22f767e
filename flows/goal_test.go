package flows_test

import (
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/stile-auth/stile/flows"
	"github.com/stile-auth/stile/flows/assurance"
)

// What is withdrawn because of the goal could not have led to it: no run of any
// random flow that reaches a level went through an option, or began at all,
// where that level would have been held to be out of reach.
func TestNothingWithdrawnReachesTheGoal(t *testing.T) {
	t.Parallel()
	met := 0
	rapid.Check(t, func(rt *rapid.T) {
		f, reg := compiled(t, generate(rt).text)
		trial, err := flows.NewTrial(f, reg, time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC))
		if err != nil {
			rt.Fatal(err)
		}
		account := person("jane", flows.AccountActive, rapid.SampledFrom([][]string{{"secret"}, {"secret", "code"}, {"code"}}).Draw(rt, "has")...)
		for i := range account.Authenticators {
			account.Authenticators[i].Binding = rapid.SampledFrom([]assurance.Level{1, 2, 3}).Draw(rt, "binding")
		}
		levels := []string{"aal1", "aal2"}
		withdrawn := map[string][]string{}
		note := func(where string, pruned func(acr ...string) bool) {
			for _, l := range levels {
				if pruned(l) {
					withdrawn[l] = append(withdrawn[l], where)
				}
			}
		}
		note("(start)", trial.OutOfReach)
		trial.Claim(account)
		move := trial.Do("begin", "", flows.Outcome{})
		for range 60 {
			if move == "final" || move == "issue" {
				break
			}
			switch n := trial.State; {
			case move == "complete":
				move = trial.Do("issue", "", flows.Outcome{})
			case len(n.Offers) > 0:
				option := rapid.SampledFrom(n.Offers).Draw(rt, "option")
				note(option, func(acr ...string) bool { return trial.Pruned(option, acr...) })
				move = trial.Do("pick", option, flows.Outcome{})
			case trial.Type() == "":
				trial.Pass(time.Minute)
				move = trial.Do("time", "", flows.Outcome{})
			default:
				note("(at "+n.At+")", trial.Hopeless)
				move = trial.Do("outcome", "", honest(rt, trial, account))
			}
		}
		if trial.State.Status != flows.Completed {
			return
		}
		for _, l := range levels {
			if !trial.Met(l) {
				continue
			}
			met++
			withdrawn[l] = slices.DeleteFunc(withdrawn[l], func(option string) bool {
				return trial.State.Steps[option].Lost != "" // it led nowhere, and another was taken
			})
			if len(withdrawn[l]) > 0 {
				rt.Fatalf("%s was reached by way of %v\n%s", l, withdrawn[l], f.Source)
			}
		}
	})
	if met == 0 {
		t.Error("no run reached anything")
	}
}

// honest is an outcome of the step that waits as this account can have it.
func honest(rt *rapid.T, trial *flows.Trial, account flows.Account) flows.Outcome {
	typ := trial.Type()
	switch rapid.IntRange(0, 8).Draw(rt, "outcome") {
	case 0:
		return flows.Reject("wrong", nil)
	case 1:
		return flows.Exit("denied")
	}
	switch typ {
	case "sso":
		return flows.Pass(flows.Proof{Subject: account.Subject, Evidence: fake{&kit{}, typ}.evidence("https://idp jane")})
	case "secret", "code":
		i := slices.IndexFunc(account.Authenticators, func(a flows.Authenticator) bool { return a.Type == typ })
		if i < 0 {
			return flows.Reject("wrong", nil)
		}
		e := fake{&kit{}, typ}.evidence(account.Authenticators[i].ID)
		e.Binding = account.Authenticators[i].Binding
		return flows.Pass(flows.Proof{Evidence: e})
	}
	return flows.Done()
}

// What stands on no way to the level is not offered, whoever asks; afterwards
// it is judged by what this account has.
func TestGoalPrunesOptions(t *testing.T) {
	t.Parallel()
	const steps = `
      - { id: secret, type: secret }
      - id: factor
        choose:
          - { id: again, type: secret }
          - { id: code, type: code }
          - { id: both, steps: [{ id: note, type: note }, { id: second, type: code }] }
          - { id: bank, type: sso }
      - { id: bye, type: note }
`
	for name, c := range map[string]struct {
		who  string
		acr  []string
		want []string // offers; one: the step that is taken silently
		code string
	}{
		"no goal":                 {"jane", nil, []string{"again", "code", "both", "bank"}, ""},
		"a level":                 {"jane", []string{"aal2"}, []string{"code", "both"}, ""},
		"out of reach for anyone": {"jane", []string{"phr"}, nil, flows.CodeUnmet},
		"one of two is enough":    {"jane", []string{"phr", "aal1"}, []string{"again", "code", "both", "bank"}, ""},
		"no authenticator for it": {"bare", []string{"aal2"}, nil, flows.CodeUnmet},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			k := newKit(t, definitions(steps, "{}"))
			tk, err := k.start(flows.StartRequest{ClientID: "app", Target: "t", LoginHint: c.who, ACRValues: c.acr}, flows.Caller{})
			if err == nil {
				err = tk.say("ok", "")
			}
			if c.code != "" {
				wants(t, err, flows.KindFailed, c.code)
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if got := tk.offered(); !slices.Equal(got, c.want) {
				t.Errorf("offers %v, want %v", got, c.want)
			}
		})
	}
}

// What the session began is finished by the shortest way.
func TestShortestWayFirst(t *testing.T) {
	t.Parallel()
	k := newKit(t, definitions(`
      - { id: secret, type: secret }
      - id: factor
        choose:
          - { id: long, steps: [{ id: bank, type: sso }, { id: second, type: code }] }
          - { id: short, type: code }
        if: target == "t"
`, "{ acr: aal2 }"))
	first := k.must(flows.StartRequest{Flow: "f", LoginHint: "jane"})
	first.ok("ok", "")
	tk := k.must(flows.StartRequest{Target: "t", Session: first.view.Result.Session})
	if got := tk.offered(); !slices.Equal(got, []string{"short", "long"}) {
		t.Errorf("offers %v", got)
	}
}

// A goal that this account cannot reach stops a run before it asks for anything
// else, unless something ahead enrols.
func TestHopelessRunsStop(t *testing.T) {
	t.Parallel()
	k := newKit(t, definitions("      - { id: secret, type: secret }\n      - { id: note, type: note }\n      - { id: code, type: code, if: account.has(\"code\") }\n", "{ acr: aal2 }"))
	tk := k.must(flows.StartRequest{Target: "t", LoginHint: "bare"})
	wants(t, tk.say("ok", ""), flows.KindFailed, flows.CodeUnmet)
	k = newKit(t, definitions("      - { id: secret, type: secret }\n      - { id: bind, type: bind }\n      - { id: code, type: code, if: account.has(\"code\") }\n", "{ acr: aal2 }"))
	tk = k.must(flows.StartRequest{Target: "t", LoginHint: "bare"})
	if err := tk.say("ok", ""); err != nil || tk.view.NextStep.StepID != "bind" {
		t.Errorf("%v, %+v", err, tk.view.NextStep)
	}
}

// Wishes are no reason to fail, and no reason to withdraw (OpenID Connect Core §3.1.2.1).
func TestVoluntaryACRValues(t *testing.T) {
	t.Parallel()
	k := newKit(t, definitions("      - { id: secret, type: secret }\n", "{}"))
	tk := k.must(flows.StartRequest{Target: "t", LoginHint: "jane", ACRValues: []string{"phr", "urn:unheard"}, Voluntary: true})
	tk.ok("ok", "")
	if got := k.tokens.all(); len(got) != 1 || got[0].ACR != "aal1" {
		t.Errorf("%+v", got)
	}
}

// Before the first proof the goal withdraws the same for everybody (invariant 13).
func TestGoalTellsNothingOfAccounts(t *testing.T) {
	t.Parallel()
	k := newKit(t, definitions(`
      - id: first
        choose:
          - { id: secret, type: secret }
          - { id: code, type: code }
          - { id: bank, type: sso }
      - { id: second, type: code }
`, "{ acr: aal2 }"))
	for _, who := range []string{"jane", "bare", "gone", "nobody"} {
		tk := k.must(flows.StartRequest{Target: "t", LoginHint: who})
		if got := tk.offered(); !slices.Equal(got, []string{"secret", "bank"}) {
			t.Errorf("%s is offered %v", who, got)
		}
	}
}

// A way back that has been taken too often is no way any more.
func TestUsedUpGotoPrunes(t *testing.T) {
	t.Parallel()
	k := newKit(t, definitions(`
      - { id: secret, type: secret }
      - id: factor
        choose:
          - { id: bank, type: sso }
          - { id: again, type: secret }
          - { id: code, type: code }
      - { goto: factor, max: 1, if: acr < level.aal2 }
`, "{ acr: aal2 }"))
	tk := k.must(flows.StartRequest{Target: "t", LoginHint: "jane"})
	tk.ok("ok", "")
	if got := tk.offered(); !slices.Equal(got, []string{"bank", "again", "code"}) {
		t.Fatalf("offers %v while there is a way back", got)
	}
	tk.choose("again")
	tk.ok("ok", "")
	if tk.view.NextStep.StepID != "code" {
		t.Errorf("waits at %s, though only the code is left", tk.view.NextStep.StepID)
	}
}

// A session that rested too long, or whose proofs are too old for the level that
// is asked for, does not stand for its steps (SP 800-63B-4 §2.2.3).
func TestSessionsRest(t *testing.T) {
	t.Parallel()
	restarts(t, time.Hour, "{ acr: aal2 }", true)
	restarts(t, time.Hour+time.Second, "{ acr: aal2 }", false)
	restarts(t, time.Hour+time.Second, "{ acr: aal1 }", true)
}

func TestSessionsAge(t *testing.T) {
	t.Parallel()
	k := newKit(t, definitions(secretThenCode, "{ acr: aal2 }"))
	k.config.SessionTTL = 72 * time.Hour
	engine, err := flows.NewEngine(k.config)
	if err != nil {
		t.Fatal(err)
	}
	k.engine = engine
	first := k.must(flows.StartRequest{Target: "t", LoginHint: "jane"})
	first.ok("ok", "")
	first.ok("ok", "")
	session := first.view.Result.Session
	for range 26 { // used all the time, so it never rests
		k.clock.pass(55 * time.Minute)
		tk := k.must(flows.StartRequest{Target: "t", Session: session})
		if tk.view.Flow.Status != flows.Completed {
			t.Fatalf("asks again after %s", k.clock.now().Sub(time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)))
		}
		session = tk.view.Result.Session
	}
	k.clock.pass(55 * time.Minute)
	if tk := k.must(flows.StartRequest{Target: "t", Session: session}); tk.view.Flow.Status == flows.Completed {
		t.Error("proofs of more than a day carry aal2")
	}
}

func restarts(t *testing.T, after time.Duration, requires string, skips bool) {
	t.Helper()
	k := newKit(t, definitions(secretThenCode, requires))
	first := k.must(flows.StartRequest{Target: "t", LoginHint: "jane"})
	first.ok("ok", "")
	first.ok("ok", "")
	k.clock.pass(after)
	tk := k.must(flows.StartRequest{Target: "t", Session: first.view.Result.Session})
	if done := tk.view.Flow.Status == flows.Completed; done != skips {
		t.Errorf("after %s, %s: completed %v", after, requires, done)
	}
}

// Who cannot reach the goal is told which flow would help, if the client may start it.
func TestEnrolmentPath(t *testing.T) {
	t.Parallel()
	text := definitions(secretThenCode, "{ acr: aal2 }\n    enrol: f") + "  other: { flows: [g], targets: [t], dpop: optional }\n"
	text = "flows:\n  g: { steps: [{ id: x, type: secret }] }\n" + text[len("flows:\n"):]
	for client, want := range map[string]string{"app": "f", "elsewhere": ""} {
		k := newKit(t, text+"  elsewhere: { flows: [f], targets: [t], dpop: optional }\n")
		if client == "elsewhere" {
			k = newKit(t, strings.Replace(text, "enrol: f", "enrol: g", 1)+"  elsewhere: { flows: [f], targets: [t], dpop: optional }\n")
		}
		tk, err := k.start(flows.StartRequest{ClientID: client, Target: "t", LoginHint: "bare"}, flows.Caller{})
		if err != nil {
			t.Fatal(err)
		}
		var p *flows.Problem
		if err := tk.say("ok", ""); !errors.As(err, &p) || p.Code != flows.CodeUnmet || p.Enrol != want {
			t.Errorf("%s: %v, enrol %q", client, err, p.Enrol)
		}
	}
}

// A transaction is approved by what is proved in it, not by what a session remembers.
func TestTransactionsAreProvedAnew(t *testing.T) {
	t.Parallel()
	text := definitions(secretThenCode, "{}")
	for kind, skips := range map[string]bool{"sign_in": true, "transaction": false} {
		k := newKit(t, strings.Replace(text, "  f:\n", "  f:\n    kind: "+kind+"\n", 1))
		first := k.must(flows.StartRequest{Target: "t", LoginHint: "jane"})
		first.ok("ok", "")
		first.ok("ok", "")
		again := k.must(flows.StartRequest{Target: "t", Session: first.view.Result.Session})
		if done := again.view.Flow.Status == flows.Completed; done != skips {
			t.Errorf("%s: completed by the session alone: %v", kind, done)
		}
	}
}

// What a client asks for can end a run, and never turns it to what the author
// wrote for another case (invariant 3).
func TestAGoalDivertsNobody(t *testing.T) {
	t.Parallel()
	for name, steps := range map[string]string{
		"otherwise": "      - { id: secret, type: secret }\n      - { id: factor, choose: [{ id: again, type: secret }], otherwise: { id: code, type: code } }\n",
	} {
		k := newKit(t, definitions(steps, "{}"))
		tk := k.must(flows.StartRequest{Target: "t", LoginHint: "jane"})
		tk.ok("ok", "")
		if tk.view.NextStep.StepID != "again" {
			t.Errorf("%s: without a goal it waits at %s", name, tk.view.NextStep.StepID)
		}
		tk = k.must(flows.StartRequest{Target: "t", LoginHint: "jane", ACRValues: []string{"aal2"}})
		wants(t, tk.say("ok", ""), flows.KindFailed, flows.CodeUnmet)
	}
}

// What was proved counts for what its verifier is trusted for now.
func TestSessionsOfWhoIsTrustedForLess(t *testing.T) {
	t.Parallel()
	k := newKit(t, definitions("      - { id: code, type: code }\n", "{}"))
	first := k.must(flows.StartRequest{Target: "t", LoginHint: "jane"})
	first.ok("ok", "")
	if tk := k.must(flows.StartRequest{Target: "t", Session: first.view.Result.Session}); tk.view.Flow.Status != flows.Completed {
		t.Fatalf("asks %+v", tk.view.NextStep)
	}
	first = k.must(flows.StartRequest{Target: "t", LoginHint: "jane"})
	first.ok("ok", "")
	types := k.types()
	for i := range types {
		for j := range types[i].Evidence {
			types[i].Evidence[j].ReplayResistant = false // of the code
		}
	}
	reg, err := flows.NewRegistry(types...)
	if err != nil {
		t.Fatal(err)
	}
	if err := k.engine.Use(k.config.Definitions, reg); err != nil {
		t.Fatal(err)
	}
	if tk := k.must(flows.StartRequest{Target: "t", Session: first.view.Result.Session}); tk.view.Flow.Status == flows.Completed {
		t.Error("a proof that nobody could give any more stands for a step")
	}
}

// A tag that no flow sets any more opens nothing.
func TestTagsOfFlowsThatAreGone(t *testing.T) {
	t.Parallel()
	const asks = "      - { id: secret, type: secret }\n      - { id: code, type: code, if: '!(\"known\" in tags)' }\n"
	k := newKit(t, definitions(asks+"      - { tag: { set: [known] } }\n", "{}"))
	first := k.must(flows.StartRequest{Target: "t", LoginHint: "jane"})
	first.ok("ok", "")
	first.ok("ok", "")
	session := first.view.Result.Session
	k.engine = k.another(definitions(asks, "{}"))
	k.clock.pass(time.Minute)
	tk := k.must(flows.StartRequest{Target: "t", Session: session, MaxAge: new(time.Duration)})
	if tk.view.NextStep == nil {
		t.Fatal("a new sign-in was asked for")
	}
	tk.ok("ok", "")
	if tk.view.NextStep == nil || tk.view.NextStep.StepID != "code" {
		t.Error("a tag of a flow that is gone stands for the code")
	}
}
