package node_test

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"io"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stile-auth/stile/cmd/stile/config"
	"github.com/stile-auth/stile/cmd/stile/node"
	"github.com/stile-auth/stile/cmd/stile/users"
	"github.com/stile-auth/stile/flows/account"
)

// pepperOf is the id of the pepper that Jane's password is hashed with.
func pepperOf(t *testing.T, b *node.Base) string {
	t.Helper()
	who, err := b.Accounts.AccountByLogin(t.Context(), "jane")
	if err != nil {
		t.Fatal(err)
	}
	all, err := b.Accounts.Authenticators(t.Context(), who.Subject)
	if err != nil || len(all) != 1 {
		t.Fatalf("%d authenticators, %v", len(all), err)
	}
	var d account.PasswordData
	if err := json.Unmarshal(all[0].Data, &d); err != nil {
		t.Fatal(err)
	}
	_, after, _ := strings.Cut(d.Hash, "keyid=")
	id, _, _ := strings.Cut(after, "$")
	raw, err := base64.RawStdEncoding.DecodeString(id)
	if err != nil {
		t.Fatalf("%s: %v", d.Hash, err)
	}
	return string(raw)
}

// A new pepper locks nobody out: what was hashed with the one before is verified,
// and hashed anew with the first sign-in.
func TestPepperRotates(t *testing.T) {
	t.Parallel()
	const password = "three quiet green hills"
	cfg := folder(t, "")
	base, err := node.OpenBase(t.Context(), cfg, io.Discard)
	if err != nil {
		t.Fatal(err)
	}
	r, err := base.Registrar("Stile", time.Now)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := r.Add(t.Context(), users.Person{Login: "jane", Password: password}); err != nil {
		t.Fatal(err)
	}
	if got := pepperOf(t, base); got != "1" {
		t.Errorf("hashed with %q", got)
	}
	if err := base.Close(); err != nil {
		t.Fatal(err)
	}

	file := filepath.Join(t.TempDir(), "pepper")
	write(t, file, base64.RawURLEncoding.EncodeToString([]byte(strings.Repeat("p", 32)))+"\n")
	write(t, filepath.Join(cfg.Definitions, "all.yaml"), "flows: { door: { steps: [{ id: password, type: password }] } }\nclients: { bench: { flows: [door], dpop: optional } }\n")
	cfg.Keys.Pepper, cfg.Keys.Peppers = "2026", map[string]config.Secret{"2026": {File: file}}
	n := start(t, cfg, node.Options{})
	defer func() { _ = n.Shutdown(context.Background()) }()
	for range 2 {
		talk(t, n, [][2]string{
			{"/v1/flows", `{"clientId":"bench","flow":"door"}`},
			{"/v1/flow/steps/password?turn=1", `{"username":"jane","password":"` + password + `"}`},
		})
		if got := pepperOf(t, n.Base); got != "2026" {
			t.Errorf("after the sign-in hashed with %q", got)
		}
	}
}
