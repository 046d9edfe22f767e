package flows_test

import (
	"testing"
	"time"

	"github.com/stile-auth/stile/flows"
)

// Who has copied the owner's own session, which is bound to no key, and has begun a
// run with it, is out as well when the owner changes the password: only the run that
// made the change goes on.
func TestRunOfACopiedSessionEnds(t *testing.T) {
	t.Parallel()
	for name, open := range stores {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			k := newKitOn(t, changing(), open(t, t))
			own := k.signedIn()
			copied := k.must(flows.StartRequest{Target: "t", Session: own})
			copied.at("read")
			k.clock.pass(time.Second)
			owner := k.must(flows.StartRequest{Flow: "own", Session: own})
			owner.ok("ok", "")
			k.clock.pass(time.Second)
			owner.ok("ok", "")
			wants(t, copied.say("ok", ""), flows.KindFailed, flows.CodeLoginRequired)
			if copied.view.Result != nil && k.begins(copied.view.Result.Session) == "read" {
				t.Error("and has a session of its own now, which stands for both factors")
			}
		})
	}
}
