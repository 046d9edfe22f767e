package page_test

import (
	"bytes"
	"strings"
	"testing"
	"time"

	"github.com/stile-auth/stile/cmd/stile/demo/page"
	"github.com/stile-auth/stile/cmd/stile/demo/story"
)

// The story goes as it should, and shows what it is about.
func TestStory(t *testing.T) {
	t.Parallel()
	var out bytes.Buffer
	if err := page.Play(t.Context(), story.Options{Out: &out, Now: time.Now}); err != nil {
		t.Fatalf("%v\n%s", err, out.String())
	}
	for _, want := range []string{"200 kept_from_script", "400 invalid_grant", "by the client page", "by the client shop", "403 access_denied", "back to /basket", "acr aal1"} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("%s is not shown:\n%s", want, out.String())
		}
	}
}
