package flows

import (
	"testing"
	"time"

	"github.com/stile-auth/stile/flows/assurance"
)

// What nobody vouched for does not raise what enrolling needs to what only attested keys can prove.
func TestReachOfUnattested(t *testing.T) {
	t.Parallel()
	plain := assurance.Ceiling{Method: assurance.DeviceKey, Categories: []assurance.Category{assurance.Possession}, ReplayResistant: true}
	attested := plain
	attested.Categories = []assurance.Category{assurance.Possession, assurance.Inherence}
	attested.Attested = true
	p := &program{reach: map[string][]assurance.Ceiling{"device": {attested, plain}}}
	for unattested, want := range map[bool]assurance.Level{false: assurance.AAL2, true: assurance.AAL1} {
		w := &world{now: time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)}
		w.account.Authenticators = []Authenticator{{ID: "phone", Type: "device", Binding: assurance.AAL2, Unattested: unattested}}
		if got := w.reach(p, nil); got != want {
			t.Errorf("unattested %v: reaches %v, want %v", unattested, got, want)
		}
	}
}
