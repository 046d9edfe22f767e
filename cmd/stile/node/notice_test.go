package node_test

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/zap"

	"github.com/stile-auth/stile/cmd/stile/node"
	"github.com/stile-auth/stile/cmd/stile/users"
)

const changingFlows = `
flows:
  change: { steps: [{ id: password, type: password }, { id: new, type: password_change }] }
clients:
  bench: { flows: [change], dpop: optional }
`

// gateway takes messages when it is not down.
type gateway struct {
	mu   sync.Mutex
	up   bool
	got  []string
	come chan struct{}
}

func (g *gateway) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if !g.up {
		w.WriteHeader(http.StatusServiceUnavailable)
		return
	}
	body, _ := io.ReadAll(r.Body)
	g.got = append(g.got, string(body))
	w.WriteHeader(http.StatusNoContent)
	g.come <- struct{}{}
}

// A password is changed while the gateway of messages is down; the run is over,
// and forgotten, and the node dies with what it was to send. The next one on the
// same data tells Jane, once.
func TestNoticeOutlivesTheNode(t *testing.T) {
	t.Parallel()
	g := &gateway{come: make(chan struct{}, 9)}
	server := httptest.NewServer(g)
	defer server.Close()
	var mu sync.Mutex
	later := time.Duration(0)
	now := func() time.Time { mu.Lock(); defer mu.Unlock(); return time.Now().Add(later) }
	pass := func(d time.Duration) { mu.Lock(); defer mu.Unlock(); later += d }
	secret := filepath.Join(t.TempDir(), "secret")
	write(t, secret, strings.Repeat("s", 40))
	cfg := folder(t, fmt.Sprintf("delivery: { by: webhook, webhook: { url: %q, secret: { file: %q } } }\n", server.URL, secret))
	write(t, filepath.Join(cfg.Definitions, "all.yaml"), changingFlows)
	begin := func() *node.Node {
		n, err := node.Start(t.Context(), cfg, node.Options{Logger: zap.NewNop(), Now: now, Unproved: true})
		if err != nil {
			t.Fatal(err)
		}
		return n
	}
	n := begin()
	changePassword(t, n, now)
	dead, kill := context.WithCancel(t.Context())
	kill()
	_ = n.Shutdown(dead) // has no time to send anything
	pass(time.Hour)
	g.mu.Lock()
	g.up = true
	g.mu.Unlock()
	n = begin()
	n.SweepOnce(t.Context()) // deletes the run
	select {
	case <-g.come:
	case <-time.After(20 * time.Second):
		t.Fatal("nobody was told")
	}
	pass(time.Hour)
	n.SweepOnce(t.Context())
	if err := n.Shutdown(t.Context()); err != nil {
		t.Fatal(err)
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	if len(g.got) != 1 || !strings.Contains(g.got[0], `"password_changed"`) || !strings.Contains(g.got[0], "jane@bank.example") || strings.Contains(g.got[0], "rivers") {
		t.Errorf("told %q", g.got)
	}
}

// changePassword is Jane's whole run.
func changePassword(t *testing.T, n *node.Node, now func() time.Time) {
	t.Helper()
	const old, next = "three quiet green hills", "four slow brown rivers"
	r, err := n.Base.Registrar("Stile", now)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := r.Add(t.Context(), users.Person{Login: "jane", Password: old, Email: "jane@bank.example"}); err != nil {
		t.Fatal(err)
	}
	talk(t, n, [][2]string{
		{"/v1/flows", `{"clientId":"bench","flow":"change"}`},
		{"/v1/flow/steps/password?turn=1", `{"username":"jane","password":"` + old + `"}`},
		{"/v1/flow/steps/new?turn=2", `{"current":"` + old + `","new":"` + next + `"}`},
	})
}

// talk sends these requests, each of which has to be answered well.
func talk(t *testing.T, n *node.Node, calls [][2]string) {
	t.Helper()
	handle := ""
	for _, call := range calls {
		req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, n.URL()+call[0], strings.NewReader(call[1]))
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("Content-Type", "application/json")
		if handle != "" {
			req.Header.Set("Authorization", "Flow "+handle)
		}
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		var v struct{ Handle string }
		err = json.NewDecoder(resp.Body).Decode(&v)
		_ = resp.Body.Close()
		if err != nil || resp.StatusCode >= 300 {
			t.Fatalf("%s: %d, %v", call[0], resp.StatusCode, err)
		}
		if v.Handle != "" {
			handle = v.Handle
		}
	}
}

// What an administrator does is told by the node that serves, whichever process it
// was done in.
func TestNodeTellsWhatAdministratorsDo(t *testing.T) {
	t.Parallel()
	g := &gateway{come: make(chan struct{}, 9), up: true}
	server := httptest.NewServer(g)
	defer server.Close()
	var later atomic.Int64
	now := func() time.Time { return time.Now().Add(time.Duration(later.Load())) }
	secret := filepath.Join(t.TempDir(), "secret")
	write(t, secret, strings.Repeat("s", 40))
	cfg := folder(t, fmt.Sprintf("delivery: { by: webhook, webhook: { url: %q, secret: { file: %q } } }\n", server.URL, secret))
	write(t, filepath.Join(cfg.Definitions, "all.yaml"), changingFlows)
	n, err := node.Start(t.Context(), cfg, node.Options{Logger: zap.NewNop(), Now: now, Unproved: true})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = n.Shutdown(context.Background()) }()
	base, err := node.OpenBase(t.Context(), cfg, io.Discard)
	if err != nil {
		t.Fatal(err)
	}
	r, err := base.Registrar("Stile", now)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := r.Add(t.Context(), users.Person{Login: "jane", Email: "jane@bank.example"}); err != nil {
		t.Fatal(err)
	}
	if _, err := r.IssueCode(t.Context(), users.Code{Login: "jane", Channel: "email", Lifetime: time.Hour, Send: true}); err != nil {
		t.Fatal(err)
	}
	if err := base.Close(); err != nil {
		t.Fatal(err)
	}
	later.Add(int64(5 * time.Minute))
	n.SweepOnce(t.Context())
	for range 2 {
		select {
		case <-g.come:
		case <-time.After(20 * time.Second):
			t.Fatal("nobody was told")
		}
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	all := strings.Join(g.got, "\n")
	for _, want := range []string{`"template":"activation_code"`, `"template":"authenticator_added"`, "jane@bank.example"} {
		if !strings.Contains(all, want) {
			t.Errorf("no %s in %s", want, all)
		}
	}
}
