package delivery_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"testing/fstest"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/zap"
	"go.uber.org/zap/zaptest/observer"

	"github.com/stile-auth/stile/flows"
	"github.com/stile-auth/stile/flows/delivery"
	"github.com/stile-auth/stile/flows/store/memory"
)

// carrier keeps what it was given, and fails as often as it is told.
type carrier struct {
	mu    sync.Mutex
	got   []delivery.Mail
	tries int
	fail  int
	err   error
	slow  time.Duration
}

func (c *carrier) Send(ctx context.Context, m delivery.Mail) error {
	if c.slow > 0 {
		select {
		case <-time.After(c.slow):
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.tries++; c.tries <= c.fail {
		return c.err
	}
	c.got = append(c.got, m)
	return nil
}

func (c *carrier) ids() []string {
	c.mu.Lock()
	defer c.mu.Unlock()
	var out []string
	for _, m := range c.got {
		out = append(out, m.ID)
	}
	return out
}

func (c *carrier) tried() int { c.mu.Lock(); defer c.mu.Unlock(); return c.tries }

func texts(t testing.TB) *delivery.Texts {
	t.Helper()
	out, err := delivery.NewTexts(nil)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

func message() flows.Message {
	return flows.Message{
		Channel: "email", To: "jane@bank.example", Template: "email_code", Locale: "de-CH",
		Args: map[string]string{"code": "271828", "minutes": "10"}, Expires: time.Now().Add(10 * time.Minute),
	}
}

// open starts a queue, which is closed with the test.
func open(t *testing.T, s delivery.Sender, marks flows.Marks, log *zap.Logger) *delivery.Queue {
	t.Helper()
	q, err := delivery.New(context.Background(), delivery.Config{Sender: s, Texts: texts(t), Marks: marks, Logger: log, Now: time.Now})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := q.Close(context.Background()); err != nil {
			t.Error(err)
		}
	})
	return q
}

func put(t *testing.T, q *delivery.Queue, key string, m flows.Message) {
	t.Helper()
	if err := q.Put(t.Context(), key, m); err != nil {
		t.Fatal(err)
	}
}

func TestSends(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		c := &carrier{}
		put(t, open(t, c, memory.New(), zap.NewNop()), "run.1.0", message())
		synctest.Wait()
		if len(c.got) != 1 {
			t.Fatalf("%d mails", len(c.got))
		}
		m := c.got[0]
		if m.ID != "run.1.0" || m.To != "jane@bank.example" || m.Subject != "Ihr Code: 271828" || m.Locale != "de" {
			t.Errorf("%+v", m)
		}
	})
}

// What failed is tried again, further and further apart, until it is of no more use.
func TestTriesAgain(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		c := &carrier{fail: 3, err: errors.New("down")}
		put(t, open(t, c, memory.New(), zap.NewNop()), "run.1.0", message())
		for _, c := range []struct {
			after time.Duration
		}{{0}, {time.Second}, {2 * time.Second}, {4 * time.Second}} {
			time.Sleep(c.after)
			synctest.Wait()
		}
		if diff := cmp.Diff([]string{"run.1.0"}, c.ids()); diff != "" || c.tried() != 4 {
			t.Errorf("%d tries: %s", c.tried(), diff)
		}
	})
	synctest.Test(t, func(t *testing.T) {
		c := &carrier{fail: 1000, err: errors.New("down")}
		put(t, open(t, c, memory.New(), zap.NewNop()), "run.1.0", message())
		time.Sleep(9 * time.Minute)
		synctest.Wait()
		before := c.tried()
		time.Sleep(time.Hour)
		synctest.Wait()
		if c.tried() < 10 || c.tried() > before+3 {
			t.Errorf("%d tries in nine minutes, %d in all", before, c.tried())
		}
	})
}

func TestRefusedIsFinal(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		c := &carrier{fail: 1, err: fmt.Errorf("%w: no such mailbox", delivery.ErrRefused)}
		put(t, open(t, c, memory.New(), zap.NewNop()), "run.1.0", message())
		time.Sleep(time.Hour)
		synctest.Wait()
		if c.tried() != 1 {
			t.Errorf("%d tries", c.tried())
		}
	})
}

// What several nodes were given, and what one was given twice, is sent once: crash rules.
func TestOnce(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		c, marks := &carrier{slow: 10 * time.Second}, memory.New()
		one, two := open(t, c, marks, zap.NewNop()), open(t, c, marks, zap.NewNop())
		for _, q := range []*delivery.Queue{one, two, one, two} {
			put(t, q, "run.1.0", message())
		}
		put(t, two, "run.2.0", message())
		time.Sleep(time.Hour)
		synctest.Wait()
		if len(c.ids()) != 2 {
			t.Errorf("sent %v", c.ids())
		}
	})
}

// A node that dies over a message leaves it to another one.
func TestAnotherNodeTakesOver(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		marks := memory.New()
		dying, err := delivery.New(context.Background(), delivery.Config{
			Sender: &carrier{slow: time.Hour}, Texts: texts(t), Marks: marks, Logger: zap.NewNop(), Now: time.Now,
		})
		if err != nil {
			t.Fatal(err)
		}
		put(t, dying, "run.1.0", message())
		synctest.Wait()
		over, cancel := context.WithCancel(t.Context())
		cancel()
		if err := dying.Close(over); !errors.Is(err, context.Canceled) {
			t.Error(err)
		}
		if err := dying.Put(t.Context(), "run.1.1", message()); !errors.Is(err, flows.ErrUnavailable) {
			t.Errorf("a closed outbox takes messages: %v", err)
		}
		c := &carrier{}
		put(t, open(t, c, marks, zap.NewNop()), "run.1.0", message())
		time.Sleep(3 * time.Minute)
		synctest.Wait()
		if diff := cmp.Diff([]string{"run.1.0"}, c.ids()); diff != "" {
			t.Error(diff)
		}
	})
}

func TestFull(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		q, err := delivery.New(context.Background(), delivery.Config{
			Sender: &carrier{slow: time.Second}, Texts: texts(t), Marks: memory.New(), Logger: zap.NewNop(), Now: time.Now, Workers: 1, Capacity: 3,
		})
		if err != nil {
			t.Fatal(err)
		}
		put(t, q, "0", message())
		synctest.Wait() // on its way: two more may wait
		put(t, q, "1", message())
		put(t, q, "2", message())
		if err := q.Put(t.Context(), "3", message()); !errors.Is(err, flows.ErrUnavailable) {
			t.Errorf("got %v", err)
		}
		if err := q.Close(t.Context()); err != nil {
			t.Error(err)
		}
	})
}

// What is to be tried again takes its room: with the mail server down a queue
// holds no more codes than it may.
func TestFullOfWhatFailed(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		c := &carrier{fail: 2, err: errors.New("down")}
		q, err := delivery.New(context.Background(), delivery.Config{
			Sender: c, Texts: texts(t), Marks: memory.New(), Logger: zap.NewNop(), Now: time.Now, Workers: 1, Capacity: 2,
		})
		if err != nil {
			t.Fatal(err)
		}
		put(t, q, "0", message())
		put(t, q, "1", message())
		synctest.Wait() // both have failed once
		if err := q.Put(t.Context(), "2", message()); !errors.Is(err, flows.ErrUnavailable) {
			t.Errorf("got %v", err)
		}
		time.Sleep(5 * time.Second)
		synctest.Wait() // both are sent
		put(t, q, "2", message())
		synctest.Wait()
		if got := len(c.ids()); got != 3 {
			t.Errorf("%d messages sent", got)
		}
		if err := q.Close(t.Context()); err != nil {
			t.Error(err)
		}
	})
}

// No log line holds a code or an address, whatever goes wrong: invariant 14.
func TestLogs(t *testing.T) {
	t.Parallel()
	core, logs := observer.New(zap.DebugLevel)
	synctest.Test(t, func(t *testing.T) {
		q := open(t, &carrier{fail: 2, err: errors.New("down")}, memory.New(), zap.New(core))
		put(t, q, "run.1.0", message())
		strange := message()
		strange.Template = "none"
		put(t, q, "run.1.1", strange)
		late := message()
		late.Expires = time.Now()
		put(t, q, "run.1.2", late)
		time.Sleep(time.Minute)
		synctest.Wait()
	})
	if logs.Len() < 4 {
		t.Errorf("%d lines", logs.Len())
	}
	for _, line := range logs.All() {
		text := fmt.Sprint(line.Message, line.ContextMap())
		for _, secret := range []string{"271828", "jane", "bank"} {
			if contains(text, secret) {
				t.Errorf("%q is in %s", secret, text)
			}
		}
	}
}

func TestTexts(t *testing.T) {
	t.Parallel()
	own := fstest.MapFS{
		"email_code.fr.txt": {Data: []byte("Code {code}\r\n\r\nVotre code: {code}\r\n")},
		"email_code.en.txt": {Data: []byte("Bank code\n\nYour code is {code}.\n")},
		"README.md":         {Data: []byte("no text")},
	}
	all, err := delivery.NewTexts(own)
	if err != nil {
		t.Fatal(err)
	}
	for locale, want := range map[string]string{
		"": "Bank code", "en-GB": "Bank code", "fr-CH": "Code 271828", "de": "Ihr Code: 271828", "ja": "Bank code", "!!": "Bank code",
	} {
		m := message()
		m.Locale = locale
		synctest.Test(t, func(t *testing.T) {
			c := &carrier{}
			q, err := delivery.New(context.Background(), delivery.Config{Sender: c, Texts: all, Marks: memory.New(), Logger: zap.NewNop(), Now: time.Now})
			if err != nil {
				t.Fatal(err)
			}
			m := m
			m.Expires = time.Now().Add(time.Minute)
			put(t, q, "k", m)
			if err := q.Close(t.Context()); err != nil || len(c.got) != 1 || c.got[0].Subject != want {
				t.Errorf("%q: %v, %+v", locale, err, c.got)
			}
		})
	}
	for name, text := range map[string]string{
		"email_code.xx-.txt": "a\n\n{code}", "email_code.txt": "a\n\n{code}", "other.en.txt": "a\n\n{code}",
		"email_code.es.txt": "a {code}", "email_code.it.txt": "a\n\nb", "email_code.pt.txt": "a\n\n{code} {secret}",
		"email_code.nl.txt": "a\n\n{code} {", "email_code.sv.txt": "a\nb\n\n{code}",
	} {
		if _, err := delivery.NewTexts(fstest.MapFS{name: {Data: []byte(text)}}); err == nil {
			t.Errorf("%s: %q is taken", name, text)
		}
	}
}
