package node_test

import (
	"context"
	"errors"
	"io"
	"net/http"
	"os"
	"strings"
	"testing"
	"time"

	"go.uber.org/zap"

	"github.com/stile-auth/stile/cmd/stile/config"
	"github.com/stile-auth/stile/cmd/stile/node"
	"github.com/stile-auth/stile/flows"
	"github.com/stile-auth/stile/flows/account"
)

// standing is a node whose clock stands, so that no delay passes by itself.
func standing(t *testing.T, cfg config.Config) *node.Node {
	t.Helper()
	at := time.Now()
	n, err := node.Start(t.Context(), cfg, node.Options{Logger: zap.NewNop(), Now: func() time.Time { return at }})
	check(t, err)
	t.Cleanup(func() { check(t, n.Shutdown(context.Background())) })
	return n
}

// tries sends wrong passwords, each in a run of its own, until one is throttled.
func tries(t *testing.T, n *node.Node) int {
	t.Helper()
	for i := range 10 {
		status, _ := call(t, n, begin(t, n), http.MethodPost, "/v1/flow/steps/password?turn=1", `{"username":"jane","password":"wrong"}`)
		if status == http.StatusTooManyRequests {
			return i
		}
	}
	t.Fatal("never throttled")
	return 0
}

// Another process than the one that serves forgets the attempts of one account,
// of the types that it is told, and leaves an audit event.
func TestUnlock(t *testing.T) {
	t.Parallel()
	cfg := folder(t, "audit: { to: file }\n")
	n := standing(t, cfg)
	bench(t, n)
	if got := tries(t, n); got != 3 {
		t.Fatalf("throttled after %d attempts", got)
	}
	admin, err := node.OpenBase(t.Context(), cfg, io.Discard)
	check(t, err)
	defer admin.Close()
	for _, step := range []struct {
		types []string
		left  int // attempts before the next throttling
	}{
		{[]string{account.TypePIN, account.TypeTOTP}, 0},
		{[]string{account.TypePassword}, 3},
		{node.Guessable(), 3},
	} {
		subject, err := admin.Unlock(t.Context(), " Jane ", step.types, time.Now)
		check(t, err)
		if got := tries(t, n); got != step.left || subject == "" {
			t.Errorf("%v: %d attempts, want %d", step.types, got, step.left)
		}
	}
	text, err := os.ReadFile(cfg.Audit.Path)
	check(t, err)
	if got := strings.Count(string(text), `"authenticator_unlocked"`); got < 6 {
		t.Errorf("%d events", got)
	}
	for _, login := range []string{"nobody", ""} {
		if _, err := admin.Unlock(t.Context(), login, node.Guessable(), time.Now); !errors.Is(err, account.ErrNotFound) && !errors.Is(err, account.ErrLogin) {
			t.Errorf("%q: %v", login, err)
		}
	}
}

// What cannot be recorded is not done.
func TestUnlockIsRecordedFirst(t *testing.T) {
	t.Parallel()
	cfg := folder(t, "audit: { to: file }\n")
	n := standing(t, cfg)
	bench(t, n)
	tries(t, n)
	admin, err := node.OpenBase(t.Context(), cfg, io.Discard)
	check(t, err)
	defer admin.Close()
	admin.Recorder = full{}
	if _, err := admin.Unlock(t.Context(), "jane", node.Guessable(), time.Now); err == nil {
		t.Error("no error")
	}
	if got := tries(t, n); got != 0 {
		t.Errorf("%d attempts", got)
	}
}

// full is a disk without space.
type full struct{}

func (full) Record(context.Context, ...flows.Event) error { return errors.New("no space left") }
