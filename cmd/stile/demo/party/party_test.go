package party_test

import (
	"bytes"
	"strings"
	"testing"
	"time"

	"github.com/stile-auth/stile/cmd/stile/demo/party"
	"github.com/stile-auth/stile/cmd/stile/demo/story"
)

// The story goes as it should, and shows what it is about.
func TestStory(t *testing.T) {
	t.Parallel()
	var out bytes.Buffer
	if err := party.Play(t.Context(), story.Options{Out: &out, Now: time.Now}); err != nil {
		t.Fatalf("%v\n%s", err, out.String())
	}
	for _, want := range []string{
		"302 login_required", "302 interaction_required", "302 unmet_authentication_requirements", "400 invalid_grant",
		"asked for password; acr aal1, amr pwd\n", "asked for nothing; acr aal1, amr pwd\n", "asked for code; acr aal2, amr mfa otp pwd\n",
	} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("%s is not shown", want)
		}
	}
}
