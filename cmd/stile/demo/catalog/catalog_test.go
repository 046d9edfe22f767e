package catalog_test

import (
	"bytes"
	"strings"
	"testing"
	"time"

	"github.com/stile-auth/stile/cmd/stile/demo/catalog"
	"github.com/stile-auth/stile/cmd/stile/demo/story"
)

// The story goes as it should, and shows what it is about.
func TestStory(t *testing.T) {
	t.Parallel()
	var out bytes.Buffer
	if err := catalog.Play(t.Context(), story.Options{Out: &out, Now: time.Now}); err != nil {
		t.Fatalf("%v\n%s", err, out.String())
	}
	for _, want := range []string{
		"400 unsupported_grant_type", "asked for PASSWORD_REQUIRED, OTP_REQUIRED; acr aal2, amr mfa otp pwd", "asked for nothing; acr aal2, amr mfa otp pwd", "401 invalid_token", "422 wrong_answer", "tea 4.50",
	} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("%s is not shown:\n%s", want, out.String())
		}
	}
}
