package external_test

import (
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stile-auth/stile/cmd/stile/demo/app"
	"github.com/stile-auth/stile/cmd/stile/demo/external"
	"github.com/stile-auth/stile/cmd/stile/demo/story"
)

// The story goes as it should, and shows each answer that it is about.
func TestStory(t *testing.T) {
	t.Parallel()
	var out bytes.Buffer
	if err := external.Play(t.Context(), story.Options{Out: &out, Now: time.Now, JSON: true}); err != nil {
		t.Fatalf("%v\n%s", err, out.String())
	}
	var shown []string
	for _, text := range strings.Split(strings.TrimSpace(out.String()), "\n") {
		var l struct {
			Status int
			Code   string
			More   string
		}
		if err := json.Unmarshal([]byte(text), &l); err != nil {
			t.Fatal(err)
		}
		shown = append(shown, strings.TrimSpace(fmt.Sprint(l.Status, " ", l.Code)))
		if strings.Contains(l.More, "entitlements orders:read, roles customer administrator, acr aal1") {
			shown = append(shown, "permissions")
		}
	}
	for _, want := range []string{
		"200", "401", "401 invalid_api_key", "401 invalid_token", "401 external_token_refused", "403 insufficient_scope", "503 dependency_unavailable", "permissions",
	} {
		if !slices.Contains(shown, want) {
			t.Errorf("%s is not shown", want)
		}
	}
}

// What goes wrong ends the story and says where.
func TestStoryFails(t *testing.T) {
	t.Parallel()
	lost := errors.New("the line is cut")
	for name, c := range map[string]struct {
		play func(context.Context, story.Options) error
		cut  string
		want string
	}{
		"another answer": {external.PlayWrongly, "-", "she is no administrator: it was answered 403 insufficient_scope, and had to be 200"},
		"no shop":        {external.Play, "/news", "nobody has signed in: everyone reads the news"},
		"no Stile":       {external.Play, "/v1/flows", "Stile verifies it"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var out bytes.Buffer
			err := c.play(t.Context(), story.Options{Out: &out, Now: time.Now, Cut: func(x app.Exchange) error {
				if strings.Contains(x.URL, c.cut) {
					return lost
				}
				return nil
			}})
			var failed *story.Error
			if !errors.As(err, &failed) || !strings.Contains(err.Error(), c.want) || !strings.Contains(out.String(), "failed: ") {
				t.Errorf("%v\n%s", err, out.String())
			}
		})
	}
}

// The service with the permissions answers who signs, and signs now.
func TestEntitlements(t *testing.T) {
	t.Parallel()
	now := time.Unix(1772366400, 0)
	sign := func(secret, at, body string) string {
		h := hmac.New(sha256.New, []byte(secret))
		fmt.Fprintf(h, "%s.%s", at, body)
		return "t=" + at + ",v1=" + hex.EncodeToString(h.Sum(nil))
	}
	const secret, at, body = "0123456789abcdef0123456789abcdef", "1772366400", `{"subject":"jane"}`
	for name, c := range map[string]struct {
		signature, body string
		at              time.Time
		want            int
	}{
		"signed":             {sign(secret, at, body), body, now, 200},
		"another secret":     {sign(secret+"x", at, body), body, now, 401},
		"about another":      {sign(secret, at, body), `{"subject":"ada"}`, now, 401},
		"two minutes old":    {sign(secret, at, body), body, now.Add(2 * time.Minute), 401},
		"of the future":      {sign(secret, at, body), body, now.Add(-2 * time.Minute), 401},
		"at no time":         {sign(secret, "now", body), body, now, 401},
		"not signed":         {"", body, now, 401},
		"an empty signature": {"t=" + at + ",v1=", body, now, 401},
		"signed nonsense":    {sign(secret, at, "x"), "x", now, 401},
	} {
		if got := external.AskEntitlements(c.signature, c.body, c.at); got != c.want {
			t.Errorf("%s: %d, want %d", name, got, c.want)
		}
	}
}
