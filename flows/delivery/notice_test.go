package delivery_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"testing/fstest"
	"testing/synctest"
	"time"

	"go.uber.org/zap"

	"github.com/stile-auth/stile/flows"
	"github.com/stile-auth/stile/flows/account"
	"github.com/stile-auth/stile/flows/delivery"
	"github.com/stile-auth/stile/flows/store/memory"
)

func notice(kind flows.Notice, authenticator, locale string) flows.Message {
	return flows.Message{
		Channel: "email", To: "jane@bank.example", Template: string(kind), Locale: locale, Expires: time.Now().Add(24 * time.Hour),
		Args: map[string]string{"time": "2026-03-01 12:00 UTC", "authenticator": authenticator},
	}
}

// written is what a message says, in a queue of its own.
func written(t *testing.T, texts *delivery.Texts, m flows.Message) delivery.Mail {
	t.Helper()
	c := &carrier{}
	q, err := delivery.New(context.Background(), delivery.Config{Sender: c, Texts: texts, Marks: memory.New(), Logger: zap.NewNop(), Now: time.Now})
	if err != nil {
		t.Fatal(err)
	}
	put(t, q, "k", m)
	if err := q.Close(t.Context()); err != nil || len(c.got) != 1 {
		t.Fatalf("%s in %s: %v, %d mails", m.Template, m.Locale, err, len(c.got))
	}
	return c.got[0]
}

// Every notice says in both languages what happened to what, and when.
func TestNotices(t *testing.T) {
	t.Parallel()
	types := []string{
		account.TypePassword, account.TypePIN, account.TypeTOTP, account.TypeHOTP, account.TypeDevice, account.TypeDevicePIN, account.TypeEmail,
		account.TypeRecovery, account.TypePhone, account.TypeActivation, account.TypeLDAP, account.TypePasskey,
	}
	synctest.Test(t, func(t *testing.T) {
		for _, kind := range flows.Notices() {
			subjects := map[string]bool{}
			for _, locale := range []string{"en", "de-AT"} {
				for _, typ := range types {
					m := written(t, texts(t), notice(kind, typ, locale))
					subjects[m.Subject] = true
					if !strings.Contains(m.Text, "2026-03-01 12:00 UTC") || strings.Contains(m.Subject+m.Text, "{") || strings.Contains(m.Text, "_") {
						t.Errorf("%s in %s about %s:\n%s\n%s", kind, locale, typ, m.Subject, m.Text)
					}
				}
			}
			if len(subjects) != 2 {
				t.Errorf("%s: %d subjects", kind, len(subjects))
			}
		}
	})
}

// An operator calls authenticators as their people do, and a type that nobody has
// a name for by its own.
func TestNamesOfAuthenticators(t *testing.T) {
	t.Parallel()
	own, err := delivery.NewTexts(fstest.MapFS{"names.de.txt": {Data: []byte("totp = die Bank-App\n")}})
	if err != nil {
		t.Fatal(err)
	}
	synctest.Test(t, func(t *testing.T) {
		for typ, want := range map[string]string{"totp": "die Bank-App", "pin": "eine PIN", "retina": "retina"} {
			if m := written(t, own, notice(flows.NoticeAdded, typ, "de")); !strings.Contains(m.Text, want) {
				t.Errorf("%s:\n%s", typ, m.Text)
			}
		}
	})
	for _, bad := range []string{"totp", "= x", "totp ="} {
		if _, err := delivery.NewTexts(fstest.MapFS{"names.en.txt": {Data: []byte(bad)}}); err == nil {
			t.Errorf("%q is taken", bad)
		}
	}
}

// A message that is handed over again while it is here takes no more room, and
// what was delivered, by whomever, takes none.
func TestTheSameAgain(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		marks, c := memory.New(), &carrier{fail: 1, err: errors.New("down")}
		open := func() *delivery.Queue {
			q, err := delivery.New(context.Background(), delivery.Config{
				Sender: c, Texts: texts(t), Marks: marks, Logger: zap.NewNop(), Now: time.Now, Workers: 1, Capacity: 2,
			})
			if err != nil {
				t.Fatal(err)
			}
			return q
		}
		q, other := open(), open()
		m := notice(flows.NoticeAdded, "totp", "en")
		known := func(want bool) {
			t.Helper()
			if got, err := q.Delivered(t.Context(), "a"); err != nil || got != want {
				t.Errorf("delivered %t, %v", got, err)
			}
		}
		for range 10 {
			put(t, q, "a", m)
			known(false)
		}
		time.Sleep(time.Second)
		synctest.Wait()
		known(true)
		for range 10 { // another node, which was told of it as well
			put(t, other, "a", m)
			synctest.Wait()
		}
		put(t, other, "b", m)
		put(t, other, "c", m)
		synctest.Wait()
		if got := c.ids(); len(got) != 3 {
			t.Errorf("sent %v", got)
		}
		for _, q := range []*delivery.Queue{q, other} {
			if err := q.Close(t.Context()); err != nil {
				t.Error(err)
			}
		}
	})
}
