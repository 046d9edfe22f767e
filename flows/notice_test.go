package flows_test

import (
	"context"
	"encoding/json"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/stile-auth/stile/flows"
)

// notified makes a kit whose people have addresses.
func notified(t *testing.T, text string, change func(*flows.EngineConfig)) *kit {
	t.Helper()
	return notifiedOn(t, text, stores["memory"](t, t), change)
}

func notifiedOn(t *testing.T, text string, st ports, change func(*flows.EngineConfig)) *kit {
	t.Helper()
	k := newKitOn(t, text, st)
	k.people.change("sub-jane", func(a *flows.Account) {
		a.Contacts = []flows.Contact{{Channel: "email", To: "jane@home"}, {Channel: "email", To: "jane@work"}}
	})
	k.people.change("sub-bare", func(a *flows.Account) { a.Contacts = []flows.Contact{{Channel: "sms", To: "+41791234567"}} })
	if change != nil {
		k.tune(change)
	}
	return k
}

// tune makes the engine anew with another configuration.
func (k *kit) tune(change func(*flows.EngineConfig)) {
	k.t.Helper()
	change(&k.config)
	e, err := flows.NewEngine(k.config)
	if err != nil {
		k.t.Fatal(err)
	}
	k.engine = e
}

// told lists the notices that were sent, with whom they went to.
func (k *kit) told() []string {
	k.mails.mu.Lock()
	defer k.mails.mu.Unlock()
	var out []string
	for _, m := range k.mails.got {
		out = append(out, m.Template+" to "+m.To)
	}
	return out
}

func (k *kit) wantTold(want ...string) {
	k.t.Helper()
	if diff := cmp.Diff(want, k.told()); diff != "" {
		k.t.Errorf("told (-want +got):\n%s", diff)
	}
}

// wrong gives a wrong answer in a run of its own, after every pause.
func (k *kit) wrong(hint string) {
	k.t.Helper()
	tk := k.must(flows.StartRequest{Target: "t", LoginHint: hint})
	wants(k.t, tk.say("no", ""), flows.KindRejected, flows.CodeWrongAnswer)
	k.clock.pass(16 * time.Minute)
}

const secretThenBind = "      - { id: secret, type: secret }\n      - { id: bind, type: bind }\n      - { id: note, type: note }\n"

// Who gets a new authenticator is told, at each address, by the engine: the step
// does not know of it (T-122, ASVS 6.3.7).
func TestNoticeOfANewAuthenticator(t *testing.T) {
	t.Parallel()
	k := notified(t, definitions(secretThenBind, "{}"), nil)
	tk := k.must(flows.StartRequest{Target: "t", LoginHint: "bare", Locale: "de"})
	tk.ok("ok", "")
	k.wantTold()
	tk.ok("ok", "")
	k.wantTold("authenticator_added to +41791234567")
	m := k.mails.got[0]
	if m.Channel != "sms" || m.Locale != "de" || m.Args["time"] != "2026-03-01 12:00 UTC" || k.count(flows.EventNotified) != 1 {
		t.Errorf("%+v, %d events", m, k.count(flows.EventNotified))
	}
}

// A first proof with a recovery code, a password that is set: what a step type
// says of itself is told when it is completed, and never before.
func TestNoticeOfAStepType(t *testing.T) {
	t.Parallel()
	k := newKit(t, definitions(secretThenCode, "{}"))
	types := k.types()
	for i := range types {
		if types[i].Name == "secret" {
			types[i].Notice = flows.NoticeRecovery
		}
	}
	reg, err := flows.NewRegistry(types...)
	if err != nil {
		t.Fatal(err)
	}
	k.people.change("sub-jane", func(a *flows.Account) { a.Contacts = []flows.Contact{{Channel: "email", To: "jane@home"}} })
	k.tune(func(c *flows.EngineConfig) { c.Registry = reg })
	tk := k.must(flows.StartRequest{Target: "t", LoginHint: "jane"})
	wants(t, tk.say("no", ""), flows.KindRejected, flows.CodeWrongAnswer)
	k.wantTold()
	tk.ok("ok", "")
	k.wantTold("recovery_code_used to jane@home")
	tk.ok("ok", "")
	k.wantTold("recovery_code_used to jane@home")
	types[0].Notice = "anything"
	if _, err := flows.NewRegistry(types...); err == nil {
		t.Error("a notice that there is not")
	}
}

// The owner hears of attempts and of the lock, once a day however long somebody
// goes on; and after a crash over the last attempt all the same.
func TestNoticeOfALock(t *testing.T) {
	t.Parallel()
	k := notified(t, definitions(secretThenCode, "{}"), nil)
	for range 4 {
		k.wrong("jane")
	}
	k.wantTold()
	for range 16 {
		k.wrong("jane")
	}
	both := func(template string) []string {
		return []string{template + " to jane@home", template + " to jane@work"}
	}
	want := append(both("attempts_failed"), both("authenticator_locked")...)
	k.wantTold(want...)
	for range 30 {
		k.wrong("jane")
	}
	k.wantTold(want...)
	k.clock.pass(24 * time.Hour)
	k.wrong("jane")
	k.wantTold(append(want, both("authenticator_locked")...)...)
	if k.count(flows.EventLocked) != 1 {
		t.Errorf("%d events", k.count(flows.EventLocked))
	}
}

// The last attempt may be the right one: then nothing is locked, and nobody is frightened.
func TestRightAtLast(t *testing.T) {
	t.Parallel()
	k := notified(t, definitions(secretThenCode, "{}"), nil)
	for range 19 {
		k.wrong("jane")
	}
	k.must(flows.StartRequest{Target: "t", LoginHint: "jane"}).ok("ok", "")
	if got := strings.Join(k.told(), " "); strings.Contains(got, "locked") || k.count(flows.EventLocked) != 0 {
		t.Errorf("told %s, %d events", got, k.count(flows.EventLocked))
	}
}

// Whatever name is tried, the store is asked for as much, and the client sees one thing.
func TestNoticesBetrayNobody(t *testing.T) {
	t.Parallel()
	type seen struct {
		Letters int
		Shown   string
	}
	got := map[string]seen{}
	for _, who := range []string{"jane", "bob", "nobody", "gone"} { // with addresses, without, not there, disabled
		st := &letterbox{ports: stores["memory"](t, t)}
		k := notifiedOn(t, definitions(secretThenCode, "{}"), st, nil)
		shown := ""
		for range 21 {
			tk := k.must(flows.StartRequest{Target: "t", LoginHint: who})
			p := wants(t, tk.say("no", ""), flows.KindRejected, flows.CodeWrongAnswer)
			step, err := json.Marshal([]any{p.Detail, p.View.NextStep})
			if err != nil {
				t.Fatal(err)
			}
			shown += string(step)
			k.clock.pass(16 * time.Minute)
		}
		got[who] = seen{st.letters, shown}
		if who != "jane" && len(k.told()) > 0 {
			t.Errorf("%s: told %v", who, k.told())
		}
	}
	for who, s := range got {
		if s.Letters != 2 || s.Shown != got["jane"].Shown {
			t.Errorf("%s: %d letters, shown\n%s", who, s.Letters, s.Shown)
		}
	}
}

// letterbox counts what is kept beside runs.
type letterbox struct {
	ports
	letters int
}

func (l *letterbox) Create(ctx context.Context, r flows.Record, now time.Time) error {
	if len(r.Aliases) == 0 {
		l.letters++
	}
	return l.ports.Create(ctx, r, now)
}

// What is switched off is not sent, nor what may not go there; without a way to send everything else goes on.
func TestNoticesThatAreNotSent(t *testing.T) {
	t.Parallel()
	for name, change := range map[string]func(*flows.EngineConfig){
		"quiet": func(c *flows.EngineConfig) { c.Quiet = []flows.Notice{flows.NoticeAdded} },
		"far": func(c *flows.EngineConfig) {
			c.Budget.Region = func(flows.Message) (string, error) { return "", errors.New("far") }
		},
		"none": func(c *flows.EngineConfig) { c.Outbox = nil },
	} {
		k := notified(t, definitions(secretThenBind, "{}"), change)
		tk := k.must(flows.StartRequest{Target: "t", LoginHint: "bare"})
		tk.ok("ok", "")
		tk.ok("ok", "")
		if len(k.told()) != 0 {
			t.Errorf("%s: told %v", name, k.told())
		}
	}
	k := newKit(t, definitions(secretThenCode, "{}"))
	k.config.Quiet = []flows.Notice{"anything"}
	if _, err := flows.NewEngine(k.config); err == nil {
		t.Error("a notice that there is not is switched off")
	}
}

// Codes that somebody has sent for leave room for notices: they have no budget.
func TestNoticesHaveNoBudget(t *testing.T) {
	t.Parallel()
	k := notified(t, definitions("      - { id: mail, type: mail }\n      - { id: bind, type: bind }\n", "{}"), nil)
	for range 5 {
		k.must(flows.StartRequest{Target: "t", LoginHint: "bare"})
	}
	sent := len(k.told())
	tk := k.must(flows.StartRequest{Target: "t", LoginHint: "bare"})
	if len(k.told()) != sent {
		t.Fatal("the budget is not spent")
	}
	tk.ok("ok", "")
	tk.ok("ok", "")
	if got := k.told(); len(got) != sent+1 || got[sent] != "authenticator_added to +41791234567" {
		t.Errorf("told %v", got)
	}
}

// A node dies after the change and before it has handed the notice over: whoever
// loads the run does it; if nobody does, the sweep.
func TestNoticeAfterACrash(t *testing.T) {
	t.Parallel()
	text := definitions(secretThenBind, "{}")
	for name, open := range stores {
		for _, after := range []string{"the run is loaded", "the run is swept"} {
			t.Run(name+" "+after, func(t *testing.T) {
				t.Parallel()
				st := &dying{ports: open(t, t)}
				k := notifiedOn(t, text, st, nil)
				tk := k.must(flows.StartRequest{Target: "t", LoginHint: "bare"})
				tk.ok("ok", "")
				st.dead = true // from the swap on
				wants(t, tk.say("ok", ""), flows.KindUnavailable, flows.CodeUnavailable)
				st.dead = false
				k.wantTold()
				e := k.another(text) // another node
				if after == "the run is swept" {
					k.clock.pass(time.Hour)
					sweep(t, e)
				} else if _, err := e.Show(t.Context(), tk.handle, tk.caller); err != nil {
					t.Fatal(err)
				}
				k.wantTold("authenticator_added to +41791234567")
			})
		}
	}
}

// dying cannot keep letters: what a crash between the swap and that leaves.
type dying struct {
	ports
	dead bool
}

func (d *dying) Create(ctx context.Context, r flows.Record, now time.Time) error {
	if d.dead && len(r.Aliases) == 0 {
		return errors.New("killed")
	}
	return d.ports.Create(ctx, r, now)
}

func sweep(t *testing.T, e *flows.Engine) {
	t.Helper()
	if _, err := e.Sweep(t.Context(), 10); err != nil {
		t.Fatal(err)
	}
}

// A mail server that is down for longer than a run lasts, and a node that dies
// with what it holds: the letter is carried on until it was delivered, and no longer.
func TestNoticeOutlivesRunAndNode(t *testing.T) {
	t.Parallel()
	text := definitions(secretThenBind, "{}")
	for name, open := range stores {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			k := notifiedOn(t, text, open(t, t), nil)
			tk := k.must(flows.StartRequest{Target: "t", LoginHint: "bare"})
			tk.ok("ok", "")
			k.mails.lose(true)
			tk.ok("ok", "")
			tk.ok("ok", "") // the run moves on, and ends
			k.clock.pass(time.Hour)
			e := k.another(text)
			for range 3 {
				sweep(t, e)
				k.clock.pass(3 * time.Minute)
			}
			k.wantTold()
			k.mails.lose(false)
			sweep(t, k.another(text))
			k.wantTold("authenticator_added to +41791234567")
			k.clock.pass(3 * time.Minute)
			sweep(t, e)
			if left, err := k.ports.Expired(t.Context(), k.clock.now().Add(48*time.Hour), 10); err != nil || len(left) != 0 {
				t.Errorf("%d records are left, %v", len(left), err)
			}
			k.wantTold("authenticator_added to +41791234567")
		})
	}
}

// A letter is given up when it is of no more use.
func TestNoticeTooLate(t *testing.T) {
	t.Parallel()
	text := definitions(secretThenBind, "{}")
	k := notified(t, text, nil)
	tk := k.must(flows.StartRequest{Target: "t", LoginHint: "bare"})
	tk.ok("ok", "")
	k.mails.lose(true)
	tk.ok("ok", "")
	k.clock.pass(24 * time.Hour)
	k.mails.lose(false)
	sweep(t, k.another(text))
	k.wantTold()
	if left, err := k.ports.Expired(t.Context(), k.clock.now().Add(48*time.Hour), 10); err != nil || len(left) != 0 {
		t.Errorf("%d records are left, %v", len(left), err)
	}
}

// Letters that stay do not let runs be deleted that nobody has looked at.
func TestSweepDeletesOnlyWhatItSettled(t *testing.T) {
	t.Parallel()
	text := definitions(secretThenBind, "{}")
	k := notified(t, text, nil)
	k.mails.lose(true)
	k.must(flows.StartRequest{Target: "t", LoginHint: "bare"})
	k.clock.pass(time.Second)
	tk := k.must(flows.StartRequest{Target: "t", LoginHint: "bare"})
	k.events.err = errors.New("disk full")
	wants(t, tk.say("no", ""), flows.KindUnavailable, flows.CodeUnavailable)
	k.events.err = nil
	k.clock.pass(time.Second)
	for range 3 {
		tk := k.must(flows.StartRequest{Target: "t", LoginHint: "bare"})
		tk.ok("ok", "")
		tk.ok("ok", "")
		k.people.change("sub-bare", func(a *flows.Account) { a.Authenticators = a.Authenticators[:1] })
	}
	k.clock.pass(2 * time.Hour)
	e := k.another(text)
	if _, err := e.Sweep(t.Context(), 4); err != nil { // the letters, which stay, and the oldest run
		t.Fatal(err)
	}
	for range 4 {
		if _, err := e.Sweep(t.Context(), 3); err != nil {
			t.Fatal(err)
		}
	}
	if k.count(flows.EventStepRejected) != 1 {
		t.Error("an event is lost")
	}
}

// Whoever tries one password on many accounts is stopped where they come from, and
// nobody else is, nor who has proofs that cannot be guessed (T-38, T-41).
func TestSpraying(t *testing.T) {
	t.Parallel()
	k := notified(t, definitions(secretThenCode, "{}"), func(c *flows.EngineConfig) { c.Guesses = flows.Guesses{PerNetwork: 10} })
	try := func(network, who, answer string) error {
		tk := k.must(flows.StartRequest{Target: "t", LoginHint: who})
		tk.caller.Network = network
		return tk.say(answer, "")
	}
	for i := range 10 {
		wants(t, try("203.0.113.0/24", strings.Repeat("x", i+1), "no"), flows.KindRejected, flows.CodeWrongAnswer)
	}
	for _, who := range []string{"jane", "nobody"} {
		p := wants(t, try("203.0.113.0/24", who, "ok"), flows.KindThrottled, flows.CodeThrottled)
		if p.RetryAfter <= 0 || p.RetryAfter > time.Hour {
			t.Errorf("retry after %s", p.RetryAfter)
		}
	}
	for range 30 { // what is right costs nothing
		if err := try("198.51.100.0/24", "jane", "ok"); err != nil {
			t.Fatal(err)
		}
	}
	tk := k.must(flows.StartRequest{Target: "t", LoginHint: "jane"})
	tk.ok("ok", "")
	k.clock.pass(time.Hour)
	if err := try("203.0.113.0/24", "jane", "ok"); err != nil {
		t.Errorf("after the window: %v", err)
	}
}

// The runs of one app, wherever its users are.
func TestSprayingOfAClient(t *testing.T) {
	t.Parallel()
	k := notified(t, definitions(secretThenCode, "{}"), func(c *flows.EngineConfig) { c.Guesses = flows.Guesses{PerClient: 3} })
	for _, who := range []string{"a", "b", "c"} {
		wants(t, k.must(flows.StartRequest{Target: "t", LoginHint: who}).say("no", ""), flows.KindRejected, flows.CodeWrongAnswer)
	}
	wants(t, k.must(flows.StartRequest{Target: "t", LoginHint: "jane"}).say("ok", ""), flows.KindThrottled, flows.CodeThrottled)
	k.must(flows.StartRequest{ClientID: "paged", Target: "t", LoginHint: "jane"}).ok("ok", "")
}

// The runs of one device; what another device sends is another's.
func TestSprayingOfADevice(t *testing.T) {
	t.Parallel()
	k := notified(t, definitions(secretThenCode, "{}"), func(c *flows.EngineConfig) { c.Guesses = flows.Guesses{PerDevice: 3} })
	say := func(key, who, what string) error {
		tk, err := k.start(flows.StartRequest{ClientID: "app", Target: "t", LoginHint: who}, flows.Caller{Key: key})
		if err != nil {
			t.Fatal(err)
		}
		return tk.say(what, "")
	}
	for _, who := range []string{"a", "b", "c"} {
		wants(t, say("thumb-1", who, "no"), flows.KindRejected, flows.CodeWrongAnswer)
	}
	wants(t, say("thumb-1", "jane", "ok"), flows.KindThrottled, flows.CodeThrottled)
	for _, key := range []string{"thumb-2", ""} {
		if err := say(key, "jane", "ok"); err != nil {
			t.Errorf("key %q: %v", key, err)
		}
	}
}

// A dependency that fails, or an answer of no right form, was no guess.
func TestNoGuessNoCost(t *testing.T) {
	t.Parallel()
	k := notified(t, definitions(secretThenCode, "{}"), func(c *flows.EngineConfig) { c.Guesses = flows.Guesses{PerClient: 1} })
	for range 5 {
		tk := k.must(flows.StartRequest{Target: "t", LoginHint: "jane"})
		wants(t, tk.say("down", ""), flows.KindUnavailable, flows.CodeUnavailable)
	}
	k.must(flows.StartRequest{Target: "t", LoginHint: "jane"}).ok("ok", "")
}

// What one factor proves leaves the failures of another as they are (T-40).
func TestSuccessOfOneFactorLeavesTheOther(t *testing.T) {
	t.Parallel()
	k := newKit(t, definitions(secretThenCode, "{}"))
	for range 3 {
		tk := k.must(flows.StartRequest{Target: "t", LoginHint: "jane"})
		tk.ok("ok", "")
		wants(t, tk.say("no", ""), flows.KindRejected, flows.CodeWrongAnswer)
	}
	tk := k.must(flows.StartRequest{Target: "t", LoginHint: "jane"})
	tk.ok("ok", "")
	wants(t, tk.say("ok", ""), flows.KindThrottled, flows.CodeThrottled)
}

// Whoever has seen a code may try it: its owner is told, once a day (T-42).
func TestNoticeOfAReplay(t *testing.T) {
	t.Parallel()
	k := notified(t, definitions("      - { id: code, type: code }\n", "{}"), nil)
	for range 2 {
		tk := k.must(flows.StartRequest{Target: "t", LoginHint: "bare"})
		wants(t, tk.say("replayed", ""), flows.KindRejected, flows.CodeWrongAnswer)
	}
	k.wantTold("code_reused to +41791234567")
}

// An identity that came to an account by itself, with its first proof: it is active with
// the change that records the proof, the owner is told, and the audit says it.
func TestNoticeOfAnIdentityThatCame(t *testing.T) {
	t.Parallel()
	k := notified(t, definitions("      - { id: sso, type: sso }\n", "{}"), nil)
	tk := k.must(flows.StartRequest{Target: "t"})
	tk.ok("by address", "bare")
	k.wantTold("authenticator_added to +41791234567")
	if m := k.mails.got[0]; m.Args["authenticator"] != "identity" || k.count(flows.EventBound) != 1 {
		t.Errorf("%+v, %d events", m, k.count(flows.EventBound))
	}
	if diff := cmp.Diff([]string{"https://idp bare"}, k.people.activated); diff != "" {
		t.Error(diff)
	}
}

// One whose proof is not taken, because it is somebody else's, does not become active.
func TestIdentityOfSomebodyElseDoesNotCome(t *testing.T) {
	t.Parallel()
	k := notified(t, definitions("      - { id: first, type: sso }\n      - { id: sso, type: sso }\n", "{}"), nil)
	tk := k.must(flows.StartRequest{Target: "t"})
	tk.ok("ok", "jane")
	if err := tk.say("by address", "bare"); err == nil {
		t.Error("the subject has changed")
	}
	if k.wantTold(); len(k.people.activated) != 0 || k.count(flows.EventBound) != 0 {
		t.Errorf("%v, %d events", k.people.activated, k.count(flows.EventBound))
	}
}
