package sso_test

import (
	"testing"
	"time"

	"github.com/stile-auth/stile/flows"
)

// Nobody knows when people signed on at a plain OAuth 2.0 provider: where that is
// asked, it is not used, and nobody is sent there.
func TestPlainProvider(t *testing.T) {
	t.Parallel()
	k := newPresetKit(t, "github", presetCases()["github"])
	tk := k.start(t, flows.StartRequest{})
	tk.completes(t)
	if tk.view.Assurance.ACR == nil || *tk.view.Assurance.ACR != "aal1" {
		t.Errorf("assurance %+v", tk.view.Assurance)
	}
	_, err := k.engine.Start(t.Context(), flows.Caller{}, flows.StartRequest{ClientID: "app", Flow: "fresh"})
	wants(t, err, flows.KindFailed)
	age := time.Hour
	_, err = k.engine.Start(t.Context(), flows.Caller{}, flows.StartRequest{ClientID: "app", Flow: "sign-on", MaxAge: &age})
	wants(t, err, flows.KindFailed)
}
