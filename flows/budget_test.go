package flows_test

import (
	"errors"
	"testing"
	"time"

	"github.com/stile-auth/stile/flows"
)

// within makes a kit whose messages go by that budget.
func within(t *testing.T, b flows.Budget) *kit {
	t.Helper()
	k := newKit(t, definitions(mailed, "{ acr: aal1 }"))
	b.PerAccount, b.PerDestination, b.Window = 5, 6, time.Hour
	k.config.Budget = b
	var err error
	if k.engine, err = flows.NewEngine(k.config); err != nil {
		t.Fatal(err)
	}
	return k
}

// The runs of one app send so many, whoever they are about, and what is held takes nothing from an account (T-46).
func TestBudgetOfAClient(t *testing.T) {
	t.Parallel()
	k := within(t, flows.Budget{PerClient: 3})
	for _, hint := range []string{"jane", "nobody", "bare"} {
		if tk := k.must(flows.StartRequest{Target: "t", LoginHint: hint}); tk.shown() != `{"again":30,"sent":true}` {
			t.Errorf("%s: %s", hint, tk.shown())
		}
	}
	for range 6 {
		if tk := k.must(flows.StartRequest{Target: "t", LoginHint: "bob"}); tk.shown() != `{"again":3600,"sent":false}` {
			t.Errorf("the fourth: %s", tk.shown())
		}
	}
	k.clock.pass(time.Hour)
	if tk := k.must(flows.StartRequest{Target: "t", LoginHint: "bob"}); tk.shown() != `{"again":30,"sent":true}` {
		t.Errorf("after the window: %s", tk.shown())
	}
}

// The runs of one device send so many, whomever they are about; a run without a key is none (T-46).
func TestBudgetOfADevice(t *testing.T) {
	t.Parallel()
	k := within(t, flows.Budget{PerDevice: 2})
	send := func(key, hint string) string {
		tk, err := k.start(flows.StartRequest{ClientID: "app", Target: "t", LoginHint: hint}, flows.Caller{Key: key})
		if err != nil {
			t.Fatal(err)
		}
		return tk.shown()
	}
	for i, hint := range []string{"jane", "nobody", "bob", "other"} {
		want := `{"again":30,"sent":true}`
		if i >= 2 {
			want = `{"again":3600,"sent":false}`
		}
		if got := send("thumb-1", hint); got != want {
			t.Errorf("%s: %s", hint, got)
		}
		if got := send("", hint); got != `{"again":30,"sent":true}` {
			t.Errorf("%s, without a key: %s", hint, got)
		}
	}
	if got := send("thumb-2", "bob"); got != `{"again":30,"sent":true}` {
		t.Errorf("another device: %s", got)
	}
}

// All messages together cost so much and no more. What is above is not sent,
// nobody can tell, and who is nobody uses nothing up.
func TestBudgetOfTheDeployment(t *testing.T) {
	t.Parallel()
	k := within(t, flows.Budget{Total: 2})
	for _, hint := range []string{"nobody", "nobody", "nobody", "jane", "bob", "bare", "jane", "nobody"} {
		if tk := k.must(flows.StartRequest{Target: "t", LoginHint: hint}); tk.shown() != `{"again":30,"sent":true}` {
			t.Errorf("%s: %s", hint, tk.shown())
		}
	}
	if got := k.mails.to(); len(got) != 2 {
		t.Errorf("sent to %v", got)
	}
	if n := k.count(flows.EventMessageDropped); n != 2 {
		t.Errorf("%d dropped", n)
	}
	k.clock.pass(time.Hour)
	k.must(flows.StartRequest{Target: "t", LoginHint: "bob"})
	if got := k.mails.to(); len(got) != 3 {
		t.Errorf("after the window: %v", got)
	}
}

// Where no message may go none goes, and whoever watches the client sees no difference (T-46).
func TestRegionsThatAreRefused(t *testing.T) {
	t.Parallel()
	k := within(t, flows.Budget{Region: func(m flows.Message) (string, error) {
		if m.To == "jane" {
			return "", errors.New("far away")
		}
		return "here", nil
	}})
	var shown []string
	for _, hint := range []string{"jane", "bob", "nobody"} {
		shown = append(shown, k.must(flows.StartRequest{Target: "t", LoginHint: hint}).shown())
	}
	if shown[0] != shown[1] || shown[0] != shown[2] {
		t.Errorf("%q", shown)
	}
	if got := k.mails.to(); len(got) != 1 || got[0] == "jane" {
		t.Errorf("sent to %v", got)
	}
	if n := k.count(flows.EventMessageDropped); n != 1 {
		t.Errorf("%d dropped", n)
	}
}

// A region gets so many from all accounts together; what is above is not sent, and nobody is told.
func TestBudgetOfARegion(t *testing.T) {
	t.Parallel()
	k := within(t, flows.Budget{PerRegion: 2, Region: func(flows.Message) (string, error) { return "here", nil }})
	for range 4 { // for nobody as much is counted, elsewhere
		k.must(flows.StartRequest{Target: "t", LoginHint: "nobody"})
	}
	for _, hint := range []string{"jane", "bob", "bare", "jane"} {
		if tk := k.must(flows.StartRequest{Target: "t", LoginHint: hint}); tk.shown() != `{"again":30,"sent":true}` {
			t.Errorf("%s: %s", hint, tk.shown())
		}
	}
	if got := k.mails.to(); len(got) != 2 {
		t.Errorf("sent to %v", got)
	}
	if n := k.count(flows.EventMessageDropped); n != 2 {
		t.Errorf("%d dropped", n)
	}
	k.clock.pass(time.Hour)
	k.must(flows.StartRequest{Target: "t", LoginHint: "bob"})
	if got := k.mails.to(); len(got) != 3 {
		t.Errorf("after the window: %v", got)
	}
}
