package flows_test

import (
	"context"
	"errors"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stile-auth/stile/flowdefs"
	"github.com/stile-auth/stile/flows"
)

// links are the tokens of the links that were sent, the oldest first.
func (m *mails) links() []flows.Secret {
	m.mu.Lock()
	defer m.mu.Unlock()
	var out []flows.Secret
	for _, msg := range m.got {
		if link := msg.Args["link"]; link != "" {
			out = append(out, flows.Secret(link[strings.LastIndexByte(link, '/')+1:]))
		}
	}
	return out
}

// mailedLink is the token of the link that was sent last.
func (k *kit) mailedLink() flows.Secret {
	k.t.Helper()
	all := k.mails.links()
	if len(all) == 0 {
		k.t.Fatal("no link was sent")
	}
	return all[len(all)-1]
}

// page is one thing that is done with a link.
type page = func(context.Context, flows.Secret, string) (flows.LinkPage, error)

func pagesOf(e *flows.Engine) map[string]page {
	return map[string]page{"look": e.MailedLink, "confirm": e.ConfirmLink, "deny": e.DenyLink}
}

// dead wants a link to be no link any more: whatever is done, the same answer as for one that never was.
func (k *kit) dead(why string, link flows.Secret) {
	k.t.Helper()
	for name, do := range pagesOf(k.engine) {
		_, err := do(context.Background(), link, "")
		_, never := do(context.Background(), flows.Secret(strings.Repeat("A", 43)), "")
		p, q := wants(k.t, err, flows.KindNotFound, flows.CodeNotFound), wants(k.t, never, flows.KindNotFound, flows.CodeNotFound)
		if p.Detail != q.Detail || p.View != nil || p.RetryAfter != 0 {
			k.t.Errorf("%s: %s: %+v, and for no link at all %+v", why, name, p, q)
		}
	}
}

func (tk *talk) show() error {
	v, err := tk.e.Show(context.Background(), tk.handle, tk.caller)
	return tk.take(v, err)
}

// What opens links before people do changes nothing, and leaves nothing in the audit trail.
func TestLookingAtALinkChangesNothing(t *testing.T) {
	t.Parallel()
	k := newKit(t, definitions(mailed, "{}"))
	tk := k.must(flows.StartRequest{Target: "t", LoginHint: "jane", Locale: "de"})
	link, events, turn := k.mailedLink(), len(k.events.all()), tk.view.Flow.Turn
	for range 3 {
		p, err := k.engine.MailedLink(context.Background(), link, "")
		if err != nil || p.Client != "app" || p.Locale != "de" || !p.Started.Equal(k.clock.now()) || p.Code != "" {
			t.Fatalf("%+v, %v", p, err)
		}
	}
	if err := tk.show(); err != nil || tk.view.Flow.Turn != turn || len(k.events.all()) != events {
		t.Errorf("turn %d, %d events, %v", tk.view.Flow.Turn, len(k.events.all()), err)
	}
	tk.ok("ok", "")
}

// What is confirmed elsewhere changes the prompt: nothing is proved, the handle
// stays, and the run completes in the client's own request. Invariant 8, CVE-2026-18963.
func TestConfirmedElsewhere(t *testing.T) {
	t.Parallel()
	for name, open := range stores {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			k := newKitOn(t, definitions(mailed, "{}"), open(t, t))
			tk := k.must(flows.StartRequest{Target: "t", LoginHint: "jane"})
			link, turn, handle := k.mailedLink(), tk.view.Flow.Turn, tk.handle
			other := k.another(definitions(mailed, "{}")) // another node
			p, err := other.ConfirmLink(context.Background(), link, "")
			if err != nil || p.Code != "12345678" || p.Client != "app" {
				t.Fatalf("%+v, %v", p, err)
			}
			if err := tk.show(); err != nil || tk.view.Flow.Turn != turn+1 || tk.shown() != `{"confirmed":true}` || tk.handle != handle {
				t.Fatalf("turn %d shows %s: %v", tk.view.Flow.Turn, tk.shown(), err)
			}
			if len(tk.view.Assurance.AMR) > 0 || k.count(flows.EventStepPassed) > 0 || len(k.tokens.all()) > 0 || k.count(flows.EventLinkConfirmed) != 1 {
				t.Errorf("%+v, %+v", tk.view, k.events.all())
			}
			k.dead("confirmed", link)
			wants(t, tk.answer("mail", turn, in("ok", "")), flows.KindConflict, flows.CodeStaleTurn)
			tk.ok("ok", "")
			if tk.view.Result == nil || tk.handle == handle {
				t.Errorf("%+v", tk.view)
			}
		})
	}
}

// What is denied is refused for good, whatever the client asks for next. The
// owner is told, and the audit trail has it at once.
func TestDeniedElsewhere(t *testing.T) {
	t.Parallel()
	for name, next := range map[string]func(*talk) error{
		"look":   (*talk).show,
		"answer": func(tk *talk) error { return tk.say("ok", "") },
		"resend": (*talk).resend,
		"back": func(tk *talk) error {
			v, err := tk.e.Back(context.Background(), tk.handle, tk.caller, tk.view.Flow.Turn)
			return tk.take(v, err)
		},
		"another way": func(tk *talk) error { return tk.answer("how", tk.view.Flow.Turn, flows.Input(`{}`)) },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			k := notified(t, definitions("      - id: how\n        choose: [{ id: mail, type: mail }, { id: code, type: code }]\n", "{}"), nil)
			tk := k.must(flows.StartRequest{Target: "t", LoginHint: "jane"})
			if err := tk.answer("how", tk.view.Flow.Turn, flows.Input(`{"select":"mail"}`)); err != nil {
				t.Fatal(err)
			}
			link, amr := k.mailedLink(), len(tk.view.Assurance.AMR)
			if _, err := k.engine.DenyLink(context.Background(), link, "the-request"); err != nil {
				t.Fatal(err)
			}
			if k.count(flows.EventLinkDenied) != 1 || k.count(flows.EventRunFailed) != 0 {
				t.Errorf("%+v", k.events.all())
			}
			k.wantTold("t to jane", "link_denied to jane@home", "link_denied to jane@work")
			k.dead("denied", link)
			k.clock.pass(time.Minute)
			tk.view.Flow.Turn++ // as who has been told would know
			wants(t, next(tk), flows.KindFailed, flows.CodeDenied)
			if tk.view.Flow.Status != flows.Failed || len(tk.view.Assurance.AMR) != amr || len(k.tokens.all()) > 0 {
				t.Errorf("%+v", tk.view)
			}
		})
	}
}

// A handler of the exit may go on elsewhere in the flow: it does so in the client's
// request. If the browser's were enough, a stranger would complete the run, and
// nobody would have the token.
func TestADenialCompletesNothing(t *testing.T) {
	t.Parallel()
	steps := "      - { id: secret, type: secret }\n      - { id: mail, type: mail, on: { denied: without } }\n      - { id: end, type: note }\n" +
		"    handlers:\n      without: [{ goto: last, max: 1 }]\n"
	steps = strings.Replace(steps, "    handlers", "      - { id: last, type: note, activate: true }\n    handlers", 1)
	k := newKit(t, definitions(steps, "{}"))
	tk := k.must(flows.StartRequest{Target: "t", LoginHint: "jane"})
	tk.ok("ok", "")
	if _, err := k.engine.DenyLink(context.Background(), k.mailedLink(), ""); err != nil {
		t.Fatal(err)
	}
	if len(k.tokens.all()) != 0 || k.count(flows.EventGoto) != 0 || k.count(flows.EventStepExit) != 0 {
		t.Errorf("the page moved the run: %+v", k.events.all())
	}
	if err := tk.show(); err != nil || k.count(flows.EventGoto) != 1 {
		t.Errorf("%v, %+v", err, k.events.all())
	}
}

// A link is dead when it was confirmed or denied, another one was sent, the step
// or the run was left, its time or that of its prompt is over, or the account is out of use.
func TestLinksDie(t *testing.T) {
	t.Parallel()
	ctx := context.Background()
	for name, c := range map[string]struct {
		steps string
		kills func(*kit, *talk) error
	}{
		"completed": {"", func(_ *kit, tk *talk) error { return tk.say("ok", "") }},
		"sent again": {"", func(k *kit, tk *talk) error {
			k.clock.pass(30 * time.Second)
			return tk.resend()
		}},
		"expired":   {"", func(k *kit, _ *talk) error { k.clock.pass(linkLife); return nil }},
		"timed out": {"      - { id: mail, type: mail, timeout: 50s }\n", func(k *kit, _ *talk) error { k.clock.pass(50 * time.Second); return nil }},
		"cancelled": {"", func(k *kit, tk *talk) error {
			_, err := tk.e.Cancel(ctx, tk.handle, tk.caller)
			return err
		}},
		"restarted": {"", func(k *kit, tk *talk) error {
			_, err := tk.e.Restart(ctx, tk.handle, tk.caller, tk.view.Flow.Turn)
			return err
		}},
		"another way": {
			"      - id: how\n        choose: [{ id: mail, type: mail }, { id: code, type: code }]\n",
			func(_ *kit, tk *talk) error { return tk.answer("how", tk.view.Flow.Turn, flows.Input(`{}`)) },
		},
		"back": {"      - { id: who, type: who }\n      - { id: mail, type: mail }\n", func(_ *kit, tk *talk) error {
			v, err := tk.e.Back(ctx, tk.handle, tk.caller, tk.view.Flow.Turn)
			return tk.take(v, err)
		}},
		"out of use": {"      - { id: code, type: code }\n      - { id: mail, type: mail }\n", func(k *kit, _ *talk) error {
			k.people.change("sub-jane", func(a *flows.Account) { a.Status = flows.AccountDisabled })
			return nil
		}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if c.steps == "" {
				c.steps = mailed
			}
			k := newKit(t, definitions(c.steps, "{}"))
			tk := arrive(t, k)
			link := k.mailedLink()
			if _, err := k.engine.MailedLink(ctx, link, ""); err != nil {
				t.Fatalf("before: %v", err)
			}
			if err := c.kills(k, tk); err != nil {
				t.Fatal(err)
			}
			k.dead(name, link)
		})
	}
}

// arrive starts a run and brings it to its step mail.
func arrive(t *testing.T, k *kit) *talk {
	t.Helper()
	q := flows.StartRequest{Target: "t", LoginHint: "jane"}
	if _, who := k.config.Definitions.Flows["f"]; who && k.config.Definitions.Flows["f"].Steps[0].ID == "who" {
		q.LoginHint = ""
	}
	tk := k.must(q)
	for range 3 {
		switch tk.view.NextStep.StepID {
		case "who":
			tk.ok("ok", "jane")
		case "code":
			tk.ok("ok", "")
		case "how":
			if err := tk.answer("how", tk.view.Flow.Turn, flows.Input(`{"select":"mail"}`)); err != nil {
				t.Fatal(err)
			}
		}
	}
	if tk.view.NextStep.StepID != "mail" {
		t.Fatalf("the run waits at %s", tk.view.NextStep.StepID)
	}
	return tk
}

// A wrong answer ends no link: otherwise whoever began the run keeps its owner from denying it.
func TestWrongAnswersKillNoLink(t *testing.T) {
	t.Parallel()
	k := newKit(t, definitions(mailed, "{}"))
	tk := arrive(t, k)
	link := k.mailedLink()
	for range 2 {
		wants(t, tk.say("no", ""), flows.KindRejected, flows.CodeWrongAnswer)
	}
	if _, err := k.engine.DenyLink(context.Background(), link, ""); err != nil {
		t.Fatal(err)
	}
	wants(t, tk.show(), flows.KindFailed, flows.CodeDenied)
}

// No secret is good for another purpose: not a handle, not the link of a hand-over, and not the other way round.
func TestLinksAreOfOneKind(t *testing.T) {
	t.Parallel()
	ctx := context.Background()
	k := newKit(t, definitions(mailed, "{}"))
	q := flows.StartRequest{ClientID: "paged", Target: "t", LoginHint: "jane", Capabilities: []string{flows.CodeHandover}}
	tk := k.must(q)
	handed, err := tk.link()
	if err != nil {
		t.Fatal(err)
	}
	k.dead("a hand-over", handed)
	k.dead("a handle", tk.handle)
	link := k.mailedLink()
	if _, err := k.engine.Linked(ctx, link, ""); err == nil {
		t.Error("a mailed link opens a hand-over")
	}
	if _, err := k.engine.Page(ctx, link, ""); err == nil {
		t.Error("a mailed link is a page")
	}
	if _, err := k.engine.Show(ctx, link, flows.Caller{}); err == nil {
		t.Error("a mailed link is a handle")
	}
	for _, changed := range []flows.Secret{link + "=", link[:42], link + "\n", " " + link, ""} {
		k.dead("another spelling", changed)
	}
}

// Of many who confirm and deny at once, one does.
func TestOneOfManyOnALink(t *testing.T) {
	t.Parallel()
	for name, open := range stores {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			k := newKitOn(t, definitions(mailed, "{}"), open(t, t))
			tk := arrive(t, k)
			link := k.mailedLink()
			var wg sync.WaitGroup
			done := make(chan string, 32)
			for i := range 32 {
				wg.Go(func() {
					name, do := "confirm", k.engine.ConfirmLink
					if i%2 == 0 {
						name, do = "deny", k.engine.DenyLink
					}
					_, err := do(context.Background(), link, "")
					var p *flows.Problem
					switch {
					case err == nil:
						done <- name
					case !errors.As(err, &p) || p.Kind != flows.KindNotFound:
						t.Errorf("%s: %v", name, err)
					}
				})
			}
			wg.Wait()
			if len(done) != 1 {
				t.Fatalf("%d of them did", len(done))
			}
			if won, err := <-done, tk.show(); (won == "deny") != (err != nil) {
				t.Errorf("%s won, and the run says %v", won, err)
			}
		})
	}
}

// contended is a store that somebody else changes first, so many times.
type contended struct {
	ports

	mu    sync.Mutex
	times int
}

func (c *contended) Update(ctx context.Context, r flows.Record) error {
	c.mu.Lock()
	lost := c.times > 0
	c.times--
	c.mu.Unlock()
	if lost {
		return flows.ErrConflict
	}
	return c.ports.Update(ctx, r)
}

// Whoever began the run sends answer after answer: the owner still denies it.
func TestNobodyIsKeptFromDenying(t *testing.T) {
	t.Parallel()
	st := &contended{ports: stores["memory"](t, t)}
	k := notifiedOn(t, definitions(mailed, "{}"), st, nil)
	tk := arrive(t, k)
	st.mu.Lock()
	st.times = 5
	st.mu.Unlock()
	if _, err := k.engine.DenyLink(context.Background(), k.mailedLink(), ""); err != nil {
		t.Fatal(err)
	}
	wants(t, tk.show(), flows.KindFailed, flows.CodeDenied)
	k.wantTold("t to jane", "link_denied to jane@home", "link_denied to jane@work")
}

// Without a page there is no link, and nobody is sent half of one.
func TestNoPageNoLink(t *testing.T) {
	t.Parallel()
	k := newKit(t, definitions(mailed, "{}"))
	k.tune(func(c *flows.EngineConfig) { c.LinkURL = "" })
	_, err := k.start(flows.StartRequest{ClientID: "app", Target: "t", LoginHint: "jane"}, flows.Caller{})
	wants(t, err, flows.KindUnavailable, flows.CodeUnavailable)
	if len(k.mails.to()) != 0 {
		t.Errorf("sent to %v", k.mails.to())
	}
}

// A node that dies between a denial and what follows from it leaves that to the next.
func TestADenialSurvivesACrash(t *testing.T) {
	t.Parallel()
	k := notified(t, definitions(mailed, "{}"), nil)
	tk := arrive(t, k)
	link := k.mailedLink()
	k.events.fail(errors.New("disk full"))
	_, err := k.engine.DenyLink(context.Background(), link, "")
	wants(t, err, flows.KindUnavailable, flows.CodeUnavailable)
	k.events.fail(nil)
	tk.e = k.another(definitions(mailed, "{}"))
	wants(t, tk.show(), flows.KindFailed, flows.CodeDenied)
	if k.count(flows.EventLinkDenied) != 1 {
		t.Errorf("%+v", k.events.all())
	}
	k.wantTold("t to jane", "link_denied to jane@home", "link_denied to jane@work")
}

// A type that sends links has steps that take a confirmation, or nothing is served.
func TestLinksAreAnswered(t *testing.T) {
	t.Parallel()
	k := newKit(t, definitions(mailed, "{}"))
	for name, change := range map[string]func(*flows.StepType){
		"sends nothing": func(st *flows.StepType) { st.Sends = false },
		"takes no confirmation": func(st *flows.StepType) {
			step := st.New
			st.New = func(cfg flowdefs.Config) (flows.Step, error) {
				s, err := step(cfg)
				return struct{ flows.Step }{s}, err
			}
		},
	} {
		types := k.types()
		for i := range types {
			if types[i].Name == "mail" {
				change(&types[i])
			}
		}
		reg, err := flows.NewRegistry(types...)
		if err == nil {
			cfg := k.config
			cfg.Registry = reg
			_, err = flows.NewEngine(cfg)
		}
		if err == nil || !strings.Contains(err.Error(), name) {
			t.Errorf("%s: %v", name, err)
		}
	}
}
