package flows_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/stile-auth/stile/flows"
)

// changing are flows of an account with two factors: t signs in, own binds
// another code, which ends the other sessions, and away takes the code away.
func changing() string {
	text := definitions(secretAlone+"      - { id: c, type: code }\n      - { id: read, type: note }\n", "{ acr: aal1 }")
	text = strings.Replace(text, "flows:\n", `flows:
  own:
    steps:
      - { id: pw, type: secret }
      - { id: c, type: code }
      - { id: change, type: replace }
      - { id: read, type: note }
  away:
    steps:
      - { id: pw, type: secret }
      - { id: c, type: code }
      - { id: tidy, type: remove }
`, 1)
	return strings.ReplaceAll(text, "flows: [f]", "flows: [f, own, away]")
}

// signedIn runs the flow to its end and returns its session.
func (k *kit) signedIn() flows.Secret {
	k.t.Helper()
	tk := k.must(flows.StartRequest{Target: "t", LoginHint: "jane"})
	for range 3 {
		tk.ok("ok", "")
	}
	return tk.view.Result.Session
}

// begins says where a run begins that presents a session: "read" if it stands for both factors.
func (k *kit) begins(session flows.Secret) string {
	k.t.Helper()
	return k.must(flows.StartRequest{Target: "t", Session: session}).view.NextStep.StepID
}

// Whoever has taken a password or a phone is out when its owner changes the one or
// gives up the other: sessions and runs of before are over, the owner's own goes on
// (ASVS 5.0 7.4.3).
func TestOtherSessionsEnd(t *testing.T) {
	t.Parallel()
	for name, open := range stores {
		for _, flow := range []string{"own", "away"} {
			for _, withSession := range []bool{true, false} {
				t.Run(name+" "+flow, func(t *testing.T) {
					t.Parallel()
					k := newKitOn(t, changing(), open(t, t))
					stolen, own := k.signedIn(), k.signedIn()
					bobs := k.must(flows.StartRequest{Target: "t", LoginHint: "bob"})
					bobs.ok("ok", "")
					running := k.must(flows.StartRequest{Target: "t", LoginHint: "jane"})
					running.ok("ok", "")
					resumed := k.must(flows.StartRequest{Target: "t", Session: stolen})
					resumed.at("read")
					k.clock.pass(time.Second)

					q := flows.StartRequest{Flow: flow, Session: own}
					if !withSession {
						q = flows.StartRequest{Flow: flow, LoginHint: "jane"}
					}
					tk := k.must(q)
					if !withSession {
						tk.ok("ok", "")
						tk.ok("ok", "")
					}
					tk.ok("ok", "")
					if k.begins(stolen) != "pw" {
						t.Error("a session of before still stands for a factor")
					}
					wants(t, running.say("ok", ""), flows.KindFailed, flows.CodeLoginRequired)
					wants(t, resumed.say("ok", ""), flows.KindFailed, flows.CodeLoginRequired)
					bobs.ok("ok", "")
					if flow == "own" {
						k.clock.pass(time.Second)
						tk.ok("ok", "")
					}
					if tk.view.Result == nil || k.begins(tk.view.Result.Session) != "read" {
						t.Errorf("the owner's own session has ended: %+v", tk.view)
					}
					if k.begins(k.signedIn()) != "read" {
						t.Error("nobody can sign in any more")
					}
					if n := k.count(flows.EventSessionsEnded); n != 1 {
						t.Errorf("%d events", n)
					}
				})
			}
		}
	}
}

// meanwhile is a store in which something happens just before a session is stored.
type meanwhile struct {
	ports
	happens func()
}

func (m *meanwhile) PutSession(ctx context.Context, s flows.Session) error {
	if m.happens != nil {
		m.happens()
	}
	return m.ports.PutSession(ctx, s)
}

// A run that completes at the very moment leaves nothing.
func TestSessionsEndAtThatMoment(t *testing.T) {
	t.Parallel()
	for name, open := range stores {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			st := &meanwhile{ports: open(t, t)}
			k := newKitOn(t, changing(), st)
			tk := k.must(flows.StartRequest{Target: "t", LoginHint: "jane"})
			tk.ok("ok", "")
			tk.ok("ok", "")
			k.clock.pass(time.Second)
			owner := k.must(flows.StartRequest{Flow: "own", LoginHint: "jane"})
			owner.ok("ok", "")
			owner.ok("ok", "")
			st.happens = func() { st.happens = nil; owner.ok("ok", "") }
			before := tk.view
			wants(t, tk.say("ok", ""), flows.KindConflict, flows.CodeInFlight)
			tk.view = before
			wants(t, tk.say("ok", ""), flows.KindFailed, flows.CodeLoginRequired)
			owner.ok("ok", "")
		})
	}
}

// A run that proves something and completes in one answer learns of the end at the gate.
func TestRunOfOneStepKnowsOfTheEnd(t *testing.T) {
	t.Parallel()
	k := newKit(t, strings.Replace(changing(), "  f:\n", "  one: { steps: [{ id: pw, type: secret }] }\n  f:\n", 1)+"  lone: { flows: [one], dpop: optional }\n")
	tk := k.must(flows.StartRequest{ClientID: "lone", Flow: "one", LoginHint: "jane"})
	k.clock.pass(time.Second)
	owner := k.must(flows.StartRequest{Flow: "away", LoginHint: "jane"})
	for range 3 {
		owner.ok("ok", "")
	}
	wants(t, tk.say("ok", ""), flows.KindFailed, flows.CodeLoginRequired)
}

// A node that dies after the change is stored ends nothing; who loads the run next
// does, and nobody who has signed in since is thrown out.
func TestEndOfSessionsIsAnEffect(t *testing.T) {
	t.Parallel()
	for name, open := range stores {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			k := newKitOn(t, changing(), open(t, t))
			stolen := k.signedIn()
			k.clock.pass(time.Second)
			tk := k.must(flows.StartRequest{Flow: "away", LoginHint: "jane"})
			tk.ok("ok", "")
			tk.ok("ok", "")
			k.people.mu.Lock()
			k.people.fail = errors.New("the node dies here")
			k.people.mu.Unlock()
			c := flows.Caller{IdempotencyKey: strings.Repeat("k", 32), Body: in("ok", "")}
			if _, err := k.engine.Answer(t.Context(), tk.handle, c, "tidy", tk.view.Flow.Turn, in("ok", "")); err == nil {
				t.Fatal("answered though nothing was removed")
			}
			k.people.mu.Lock()
			k.people.fail = nil
			k.people.mu.Unlock()
			k.clock.pass(time.Second)
			later := k.signedIn()
			v, err := k.another(changing()).Answer(t.Context(), tk.handle, c, "tidy", tk.view.Flow.Turn, in("ok", ""))
			if err != nil || v.Flow.Status != flows.Completed {
				t.Fatalf("%+v, %v", v.Flow, err)
			}
			if got := k.begins(stolen); got != "pw" {
				t.Errorf("a session of before begins at %q", got)
			}
			if got := k.begins(later); got != "read" {
				t.Errorf("a session of after begins at %q", got)
			}
		})
	}
}
