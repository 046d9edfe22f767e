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

// A device is attested if the key is that of the run, and its maker has vouched for it.
func TestAttestedDevice(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		account         []Authenticator
		bound, attested bool
	}{
		"none":          {nil, false, false},
		"another phone": {[]Authenticator{{ID: "a", Key: "other", Attested: true}}, false, false},
		"not attested":  {[]Authenticator{{ID: "a", Key: "key"}, {ID: "b", Key: "other", Attested: true}}, true, false},
		"attested":      {[]Authenticator{{ID: "a", Key: "key"}, {ID: "b", Key: "key", Attested: true}}, true, true},
		"not bound yet": {[]Authenticator{{ID: "a", Key: "key", Attested: true, Pending: true}}, false, false},
	} {
		w := &world{key: "key"}
		w.setAccount(Account{Authenticators: tt.account}, nil)
		if w.bound != tt.bound || w.attested != tt.attested {
			t.Errorf("%s: bound %t, attested %t", name, w.bound, w.attested)
		}
	}
}
