package node_test

import (
	"testing"
	"time"

	"github.com/stile-auth/stile/cmd/stile/config"
	"github.com/stile-auth/stile/cmd/stile/node"
	"github.com/stile-auth/stile/flows"
)

// Text messages go to the countries that are served; mails go anywhere.
func TestBudgetOfDelivery(t *testing.T) {
	t.Parallel()
	b, err := node.BudgetOf(config.Delivery{PerClient: 7, PerDevice: 8, PerCountry: 9, Total: 10, Countries: []string{"+41"}, Refused: []string{"+4178"}})
	if err != nil || b.PerClient != 7 || b.PerDevice != 8 || b.PerRegion != 9 || b.Total != 10 {
		t.Fatalf("%+v, %v", b, err)
	}
	for m, want := range map[[2]string]string{
		{"sms", "+41791234567"}: "+41", {"sms", "+41781234567"}: "refused", {"sms", "+491711234567"}: "refused", {"email", "jane@bank.example"}: "",
	} {
		got, err := b.Region(flows.Message{Channel: m[0], To: m[1]})
		if err != nil {
			got = "refused"
		}
		if got != want {
			t.Errorf("%v: %q, want %q", m, got, want)
		}
	}
	if _, err := node.BudgetOf(config.Delivery{Countries: []string{"Switzerland"}}); err == nil {
		t.Error("a country that is no calling code")
	}
}

func TestBudgetOfWrongAnswers(t *testing.T) {
	t.Parallel()
	got := node.GuessesOf(config.Limits{WrongPerNetwork: 1, WrongPerClient: 2, WrongPerDevice: 3, Window: time.Minute})
	if want := (flows.Guesses{PerNetwork: 1, PerClient: 2, PerDevice: 3, Window: time.Minute}); got != want {
		t.Errorf("%+v, want %+v", got, want)
	}
}
