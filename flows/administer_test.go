package flows_test

import (
	"context"
	"errors"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/stile-auth/stile/flows"
)

// disabling is what an administrator does; did counts how often it was.
func disabling(k *kit, did *int) flows.Act {
	return flows.Act{
		Event: flows.Event{Type: "account_disabled", Subject: "sub-jane"}, Notice: flows.NoticeDisabled, Ends: true,
		Do: func(context.Context) error {
			*did++
			k.people.change("sub-jane", func(a *flows.Account) { a.Status = flows.AccountDisabled; a.Contacts = nil })
			return nil
		},
	}
}

// What an administrator does is audited, told to the owner by whichever node
// serves, and ends sessions.
func TestAdminister(t *testing.T) {
	t.Parallel()
	for name, open := range stores {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			k := notifiedOn(t, changing(), open(t, t), nil)
			session, did := k.signedIn(), 0
			k.clock.pass(time.Second)
			k.mails.lose(true) // the process of the administrator ends before anything is sent
			if err := k.engine.Administer(t.Context(), disabling(k, &did)); err != nil || did != 1 {
				t.Fatalf("%d times, %v", did, err)
			}
			k.people.change("sub-jane", func(a *flows.Account) { a.Status = flows.AccountActive })
			if got := k.begins(session); got != "pw" {
				t.Errorf("the session begins at %q", got)
			}
			types := map[string]string{}
			for _, e := range k.events.all() {
				types[e.Type] = e.Subject
			}
			if types["account_disabled"] != "sub-jane" || types[flows.EventNotified] != "sub-jane" {
				t.Errorf("events %v", types)
			}
			k.wantTold()
			k.mails.lose(false)
			k.clock.pass(5 * time.Minute)
			if _, err := k.engine.Sweep(t.Context(), 100); err != nil {
				t.Fatal(err)
			}
			told := k.told()
			slices.Sort(told)
			if diff := cmp.Diff([]string{"account_disabled to jane@home", "account_disabled to jane@work"}, told); diff != "" {
				t.Errorf("told (-want +got):\n%s", diff)
			}
		})
	}
}

// Without a trace nothing is done, and what has to be sent cannot be left out.
func TestAdministerFailsClosed(t *testing.T) {
	t.Parallel()
	letter := flows.Message{Channel: "sms", To: "+41", Template: "activation_code", Expires: time.Date(2027, 1, 1, 0, 0, 0, 0, time.UTC)}
	for name, tt := range map[string]struct {
		send   []flows.Message
		change func(k *kit)
	}{
		"no audit": {nil, func(k *kit) { k.events.fail(errors.New("disk full")) }},
		"no way":   {[]flows.Message{letter}, func(k *kit) { k.tune(func(c *flows.EngineConfig) { c.Outbox = nil }) }},
		"no country": {[]flows.Message{letter}, func(k *kit) {
			k.tune(func(c *flows.EngineConfig) {
				c.Budget.Region = func(m flows.Message) (string, error) {
					if m.Channel == "sms" {
						return "", errors.New("far away")
					}
					return "", nil
				}
			})
		}},
	} {
		k := notified(t, changing(), nil)
		tt.change(k)
		did := 0
		act := disabling(k, &did)
		act.Send = tt.send
		if err := k.engine.Administer(t.Context(), act); !errors.Is(err, flows.ErrUnavailable) || did != 0 {
			t.Errorf("%s: %d times, %v", name, did, err)
		}
	}
}

// A code is sent beside what the owner is told; notices that are switched off are not.
func TestAdministerSends(t *testing.T) {
	t.Parallel()
	k := notified(t, changing(), func(c *flows.EngineConfig) { c.Quiet = []flows.Notice{flows.NoticeAdded} })
	code := flows.Message{Channel: "email", To: "jane@home", Template: "activation_code", Expires: k.clock.now().Add(time.Hour)}
	err := k.engine.Administer(t.Context(), flows.Act{
		Event: flows.Event{Type: "authenticator_issued", Subject: "sub-jane"}, Notice: flows.NoticeAdded, Send: []flows.Message{code},
		Do: func(context.Context) error { return nil },
	})
	if err != nil {
		t.Fatal(err)
	}
	k.wantTold("activation_code to jane@home")
	if slices.ContainsFunc(k.events.all(), func(e flows.Event) bool { return e.Type == flows.EventNotified }) {
		t.Error("said to be told")
	}
}
