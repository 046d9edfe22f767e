package node_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"go.uber.org/zap"
	"go.uber.org/zap/zaptest/observer"

	"github.com/stile-auth/stile/cmd/stile/node"
	"github.com/stile-auth/stile/flows/prove"
	"github.com/stile-auth/stile/flows/seal"
)

// A verdict that anybody but this node wrote is none: who could forge one could
// let a flow in that was never proved.
func TestKeptProofsAreSealed(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	sealer := func(b byte) *seal.Sealer {
		s, err := seal.New(seal.Key{ID: "1", Secret: []byte(strings.Repeat(string(rune(b)), seal.KeySize))})
		check(t, err)
		return s
	}
	open := func(s *seal.Sealer) (node.Proofs, int) {
		core, seen := observer.New(zap.WarnLevel)
		return node.OpenProofs(dir, s, zap.New(core)), seen.Len()
	}
	p, warned := open(sealer('a'))
	if _, ok := p.Verdicts("key"); ok || warned > 0 {
		t.Fatalf("something was kept before: %d warnings", warned)
	}
	p.Keep("key", []prove.Verdict{{Flow: "f", States: 7}})
	p.Keep("other", nil)
	p.Store()
	file := filepath.Join(dir, "proofs")
	sealed, err := os.ReadFile(file)
	check(t, err)
	if info, err := os.Stat(file); err != nil || info.Mode().Perm() != 0o600 || strings.Contains(string(sealed), "States") {
		t.Errorf("%v, %v", info, err)
	}
	p, warned = open(sealer('a'))
	if vs, ok := p.Verdicts("key"); !ok || len(vs) != 1 || vs[0].States != 7 || warned > 0 {
		t.Errorf("%v, %v, %d warnings", vs, ok, warned)
	}
	for name, change := range map[string]func() *seal.Sealer{
		"another key": func() *seal.Sealer { return sealer('b') },
		"a changed byte": func() *seal.Sealer {
			changed := append([]byte(nil), sealed...)
			changed[len(changed)-1] ^= 1
			check(t, os.WriteFile(file, changed, 0o600))
			return sealer('a')
		},
		"not sealed": func() *seal.Sealer {
			check(t, os.WriteFile(file, []byte(`{"key":[{"flow":"f","states":7}]}`), 0o600))
			return sealer('a')
		},
		"sealed for another place": func() *seal.Sealer {
			text, err := sealer('a').Seal([]byte(`{"key":[{"flow":"f","states":7}]}`), []byte("session"))
			check(t, err)
			check(t, os.WriteFile(file, text, 0o600))
			return sealer('a')
		},
	} {
		check(t, os.WriteFile(file, sealed, 0o600))
		p, warned := open(change())
		if _, ok := p.Verdicts("key"); ok || warned != 1 {
			t.Errorf("%s: kept %v, %d warnings", name, ok, warned)
		}
	}
}

// A restart finds what was proved; only what is in use stays in the file.
func TestRestartDoesNotProveAgain(t *testing.T) {
	t.Parallel()
	cfg := folder(t, "")
	file := filepath.Join(cfg.DataDir, "proofs")
	first, err := node.Start(t.Context(), cfg, node.Options{Logger: zap.NewNop(), Now: time.Now})
	check(t, err)
	before, err := os.ReadFile(file)
	check(t, err)
	check(t, first.Shutdown(t.Context()))
	start(t, cfg, node.Options{})
	after, err := os.ReadFile(file)
	check(t, err)
	if string(before) != string(after) {
		t.Error("it was proved, and kept, again")
	}
}

// Definitions that are not proved do not become active, at the start or later.
func TestUnprovedDefinitions(t *testing.T) {
	t.Parallel()
	cfg := folder(t, "")
	n := start(t, cfg, node.Options{Watch: -1})
	write(t, filepath.Join(cfg.Definitions, "f.yaml"), "flows:\n  f: { steps: [{ id: code, type: totp }] }\n")
	err := n.Reload()
	if err == nil || !strings.Contains(err.Error(), "[subject_unknown]") || !strings.Contains(err.Error(), filepath.Join(cfg.Definitions, "f.yaml")+":2:") {
		t.Errorf("reload: %v", err)
	}
	if _, ok := n.Definitions().Flows["f"]; ok {
		t.Error("it is active")
	}
	other := folder(t, "")
	other.Definitions = cfg.Definitions
	if _, err := node.Start(t.Context(), other, node.Options{Logger: zap.NewNop(), Now: time.Now}); err == nil || !strings.Contains(err.Error(), "[subject_unknown]") {
		t.Errorf("start: %v", err)
	}
}
