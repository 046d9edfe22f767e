package sso_test

import (
	"testing"

	"go.uber.org/goleak"

	"github.com/stile-auth/stile/steps/sso"
	"github.com/stile-auth/stile/steps/steptest"
)

// One of the checks does not fit: the code of a request is not sent again, also by the
// request that has sent it (see TestExchangeThatDied).
func TestLinkConformance(t *testing.T) {
	before := goleak.IgnoreCurrent()
	for _, check := range steptest.Checks() {
		if check.Name == "repeated request is accepted" {
			continue
		}
		t.Run(check.Name, func(t *testing.T) {
			k := newKit(t)
			k.stranger()
			k.add(t, "alice", "")
			c := testCase(t, k)
			c.Type = sso.LinkType(sso.Providers{"corporate": k.provider(t)}, k.people)
			c.Visit.Subject, c.NeedsSubject = "alice", true
			if err := check.Run(t.Context(), c); err != nil {
				t.Error(err)
			}
		})
	}
	goleak.VerifyNone(t, before)
}
