package service_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stile-auth/stile/cmd/stile/demo/service"
	"github.com/stile-auth/stile/cmd/stile/demo/story"
)

// The story goes as it should, and shows each answer that it is about.
func TestStory(t *testing.T) {
	t.Parallel()
	var out bytes.Buffer
	if err := service.Play(t.Context(), story.Options{Out: &out, Now: time.Now, JSON: true}); err != nil {
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
		shown = append(shown, strings.TrimSpace(fmt.Sprint(l.Status, " ", l.Code)), l.More)
	}
	for _, want := range []string{
		"200", "401", "401 invalid_client", "400 invalid_scope", "403 insufficient_scope", "403 access_denied", "401 insufficient_user_authentication", "401 invalid_token",
		"the shop is told: client:reporting, who may orders.read", "the shop is told: client:warehouse, who may orders.read orders.write",
	} {
		if !slices.Contains(shown, want) {
			t.Errorf("%s is not shown", want)
		}
	}
}

// What goes wrong ends the story and says where.
func TestStoryFails(t *testing.T) {
	t.Parallel()
	var out bytes.Buffer
	err := service.PlayWrongly(t.Context(), story.Options{Out: &out, Now: time.Now})
	var failed *story.Error
	if !errors.As(err, &failed) || failed.Line != "reporting may not place an order" || !strings.Contains(out.String(), "403 insufficient_scope, and had to be 200") {
		t.Errorf("%v\n%s", err, out.String())
	}
}
