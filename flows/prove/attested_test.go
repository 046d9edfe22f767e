package prove_test

import (
	"strings"
	"testing"

	"github.com/stile-auth/stile/flows/prove"
)

// Whether the maker of a phone has vouched for it is told apart: from one condition
// to the next it stays as it is, binding can change it, and each way is tried.
func TestAttestedPhones(t *testing.T) {
	t.Parallel()
	const finger = "{ id: password, type: password }, { id: finger, type: device_biometric, if: device.attested }, { id: code, type: totp, if: '!device.attested' }"
	const binds = "{ id: bind, type: device_enrolment, if: '!device.attested' }"
	for name, tt := range map[string]struct {
		steps, guarantee, found string
	}{
		"one or the other":           {finger, "complete implies evidence.exists(e, e.type == 'totp' || e.type == 'device_biometric')", ""},
		"not always the phone":       {finger, "complete implies evidence.exists(e, e.type == 'device_biometric')", "is false"},
		"not always the code":        {finger, "complete implies evidence.exists(e, e.type == 'totp')", "is false"},
		"who is attested is bound":   {finger, "complete implies device.bound || !device.attested", ""},
		"bound is not attested":      {finger, "complete implies device.attested || !device.bound", "is false"},
		"binding does not attest":    {finger + ", " + binds, "complete implies device.attested", "is false"},
		"binding may attest":         {finger + ", " + binds, "never device.attested && evidence.exists(e, e.type == 'totp')", "is false"},
		"and what attests is held":   {finger + ", " + binds + ", { require: '!device.attested' }", "complete implies !device.attested", ""},
		"binding twice is not known": {finger + ", " + binds + ", { id: again, type: device_enrolment }", "complete implies true", "times that a phone can be bound"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			vs := proved(t, "flows:\n  f:\n    steps: ["+tt.steps+"]\n    guarantees: [\""+tt.guarantee+"\"]\n", prove.Options{})
			all := told(prove.Findings(vs))
			if (all == "") != (tt.found == "") || !strings.Contains(all, tt.found) {
				t.Errorf("found %q, want %q", all, tt.found)
			}
		})
	}
}
