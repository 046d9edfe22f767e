//go:build unix

package node_test

import (
	"errors"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"go.uber.org/zap"

	"github.com/stile-auth/stile/cmd/stile/config"
	"github.com/stile-auth/stile/cmd/stile/node"
	"github.com/stile-auth/stile/flows/store/servertest"
)

const masters = "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8\nBAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8\n"

// shared is the configuration of a node that shares a database, with one of two master keys.
func shared(t *testing.T, database string, key int, more string) config.Config {
	t.Helper()
	server := servertest.Postgres(t)
	dir := t.TempDir()
	write(t, filepath.Join(dir, "password"), servertest.Password+"\n")
	write(t, filepath.Join(dir, "master"), strings.Split(masters, "\n")[key])
	cfg := folder(t, "keys: { master: { file: "+dir+"/master } }\nstore:\n  type: postgres\n  url: postgres://stile@"+server.Address()+"/"+database+
		"\n  password: { file: "+dir+"/password }\n"+more)
	return cfg
}

// Nodes that share a database, and Redis for what does not last, are one service:
// a run that one has started the other knows. /readyz names what is missing.
func TestSharedStores(t *testing.T) {
	t.Parallel()
	redis := servertest.NewRedis(t)
	database := servertest.Postgres(t).Database(t, "")
	runs := "  runs: { type: redis, addresses: [\"" + redis.Address() + "\"], tls: false, timeout: 1s }\n"
	nodes := []*node.Node{start(t, shared(t, database, 0, runs), node.Options{}), start(t, shared(t, database, 0, runs), node.Options{})}
	resp, err := http.Post(nodes[0].URL()+"/v1/flows", "application/json", strings.NewReader(`{"clientId":"bench","target":"ledger"}`))
	check(t, err)
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusCreated {
		t.Fatalf("start: %d", resp.StatusCode)
	}
	if n := redis.Ask(t, "DBSIZE"); n == "0" {
		t.Error("nothing is kept in Redis")
	}
	jwks := map[string]bool{}
	for _, n := range nodes {
		_, body := get(t, n.URL()+"/.well-known/jwks.json")
		jwks[body] = true
		if status, body := get(t, n.URL()+"/readyz"); status != http.StatusOK {
			t.Errorf("%d %s", status, body)
		}
	}
	if len(jwks) != 1 {
		t.Errorf("the nodes publish different keys: %v", jwks)
	}
	redis.Stop(t)
	status, body := get(t, nodes[1].URL()+"/readyz")
	if status != http.StatusServiceUnavailable || !strings.Contains(body, `"dependencies":["runs"]`) {
		t.Errorf("without Redis: %d %s", status, body)
	}
	resp2, err := http.Post(nodes[0].URL()+"/v1/flows", "application/json", strings.NewReader(`{"clientId":"bench","target":"ledger"}`))
	check(t, err)
	defer resp2.Body.Close()
	if resp2.StatusCode != http.StatusServiceUnavailable {
		t.Errorf("without Redis a start is answered with %d", resp2.StatusCode)
	}
}

// A node that has another master key than the data was sealed with does not start.
func TestOtherMaster(t *testing.T) {
	t.Parallel()
	database := servertest.Postgres(t).Database(t, "")
	start(t, shared(t, database, 0, ""), node.Options{})
	start(t, shared(t, database, 0, ""), node.Options{})
	n, err := node.Start(t.Context(), shared(t, database, 1, ""), node.Options{Logger: zap.NewNop(), Now: time.Now})
	if err == nil {
		_ = n.Shutdown(t.Context())
	}
	if !errors.Is(err, node.ErrMasterKey) {
		t.Errorf("error %v, want ErrMasterKey", err)
	}
}

// With migrate: manual a node waits for stile migrate.
func TestMigrate(t *testing.T) {
	t.Parallel()
	cfg := shared(t, servertest.Postgres(t).Database(t, ""), 0, "  migrate: manual\n")
	n, err := node.Start(t.Context(), cfg, node.Options{Logger: zap.NewNop(), Now: time.Now})
	if err == nil {
		_ = n.Shutdown(t.Context())
	}
	if err == nil || !strings.Contains(err.Error(), "stile migrate") {
		t.Errorf("error %v", err)
	}
	for _, want := range []string{"had version 0", "up to date"} {
		if text, err := node.Migrate(t.Context(), cfg.Store); err != nil || !strings.Contains(text, want) {
			t.Errorf("%q, %v; want %q", text, err, want)
		}
	}
	start(t, cfg, node.Options{})
	if _, err := node.Migrate(t.Context(), config.Store{Type: "memory"}); err == nil {
		t.Error("memory was migrated")
	}
	path := filepath.Join(t.TempDir(), "stile.db")
	if text, err := node.Migrate(t.Context(), config.Store{Type: "sqlite", Path: path}); err != nil || !strings.Contains(text, path) {
		t.Errorf("%q, %v", text, err)
	}
	if _, err := os.Stat(path); err != nil {
		t.Error(err)
	}
}
