package prove_test

import (
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/stile-auth/stile/flows/assurance"
	"github.com/stile-auth/stile/flows/prove"
)

// What is left out of states makes no difference, whatever is proved later.
func TestNeeded(t *testing.T) {
	t.Parallel()
	dropped := 0
	rapid.Check(t, func(t *rapid.T) {
		had := rapid.SliceOfN(rapid.Custom(anyEvidence), 0, 5).Draw(t, "had")
		kept := prove.Needed(had)
		dropped += len(had) - len(kept)
		later := rapid.SliceOfN(rapid.Custom(anyEvidence), 0, 4).Draw(t, "later")
		for i := range later {
			later[i].Authenticator += " later" // the same one again would be no other proof
			if k := rapid.IntRange(0, 4).Draw(t, "again"); k < len(had) {
				later[i] = had[k] // of the same authenticator, in the same shape
			}
		}
		for _, age := range []time.Duration{24 * time.Hour, 10 * time.Minute} {
			p := assurance.Policy{NotBefore: prove.At().Add(-age)}
			with := assurance.Assess(slices.Concat(had, later), prove.At(), p)
			without := assurance.Assess(slices.Concat(kept, later), prove.At(), p)
			with.AuthTime, without.AuthTime = time.Time{}, time.Time{}
			if diff := cmp.Diff(with, without); diff != "" {
				t.Fatalf("(-all +needed):\n%s", diff)
			}
		}
	})
	if dropped == 0 {
		t.Error("nothing was ever dropped")
	}
}

func anyEvidence(t *rapid.T) assurance.Evidence {
	yes := func(name string) bool { return rapid.Bool().Draw(t, name) }
	e := assurance.Evidence{
		Method:        rapid.SampledFrom([]assurance.Method{assurance.Password, assurance.PIN, assurance.TOTP, assurance.DeviceKey, assurance.Federated}).Draw(t, "method"),
		Authenticator: rapid.SampledFrom([]string{"1", "2", "3", "4"}).Draw(t, "authenticator"),
		At:            prove.At().Add(-time.Duration(rapid.SampledFrom([]int{1, 60}).Draw(t, "age")) * time.Minute),
		Binding:       rapid.SampledFrom([]assurance.Level{1, 2, 3}).Draw(t, "binding"),
		Cap:           rapid.SampledFrom([]assurance.Level{1, 2, 3}).Draw(t, "cap"),

		ReplayResistant: yes("replay"), UserPresent: yes("present"), LowEntropy: yes("short"), HardwareBound: yes("hardware"),
		Attested: yes("attested"), PhishingResistant: yes("phishing"),
	}
	e.Categories = rapid.SampledFrom([][]assurance.Category{
		{assurance.Knowledge}, {assurance.Knowledge}, {assurance.Possession}, {assurance.Possession, assurance.Knowledge},
	}).Draw(t, "categories")
	if e.Categories[0] == assurance.Possession { // what is known and what is held are never one authenticator
		e.Authenticator = "held " + e.Authenticator
		e.Device = e.Authenticator
	}
	return e
}
