package main

import (
	"bytes"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// A secret has 256 bits, another one each time, and its hash is the one that servers compare with.
func TestClientsSecret(t *testing.T) {
	t.Parallel()
	seen := map[string]bool{}
	for range 3 {
		var out, errs bytes.Buffer
		if code := run([]string{"clients", "secret", "--format", "json"}, nil, &out, &errs); code != exitOK {
			t.Fatalf("%d: %s", code, &errs)
		}
		var made struct {
			Secret string `json:"secret"`
			Hash   string `json:"secret_hash"`
		}
		if err := json.Unmarshal(out.Bytes(), &made); err != nil {
			t.Fatal(err)
		}
		raw, err := base64.RawURLEncoding.DecodeString(made.Secret)
		sum := sha256.Sum256([]byte(made.Secret))
		if err != nil || len(raw) != 32 || made.Hash != hex.EncodeToString(sum[:]) || seen[made.Secret] {
			t.Errorf("%+v", made)
		}
		seen[made.Secret] = true
	}
	var out bytes.Buffer
	if code := run([]string{"clients", "secret"}, nil, &out, &out); code != exitOK || strings.Count(out.String(), "\n") != 2 {
		t.Errorf("%d: %s", code, &out)
	}
}

// sourced lets clients of the store act for themselves.
const sourced = `
flows: { sign-in: { steps: [{ id: password, type: password }] } }
targets: { orders: { flow: sign-in, propagate: { type: bearer_jwt, audience: "https://orders.bank.example" } } }
client_sources: { partners: { from: store, targets: [orders], grants: [client_credentials], auth: [client_secret_basic, private_key_jwt] } }
`

// A client that proves itself by a key and then by a secret gets a first one; one that has
// some keeps them.
func TestClientsChange(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	files := map[string]string{"flows/flows.yaml": sourced, "stile.yaml": "definitions: flows\ndata_dir: data\n"}
	for name, text := range files {
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	const byKey = `{"targets":["orders"],"oauth":{"auth":"private_key_jwt","grants":["client_credentials"],` +
		`"keys":"{\"keys\":[{\"kty\":\"OKP\",\"crv\":\"Ed25519\",\"x\":\"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo\"}]}"}}`
	const bySecret = `{"targets":["orders"],"oauth":{"auth":"client_secret_basic","grants":["client_credentials"]}}`
	for i, c := range []struct {
		command, text string
		made          bool
	}{{"add", byKey, false}, {"change", bySecret, true}, {"change", bySecret, false}} {
		var out, errs bytes.Buffer
		args := []string{"--config", filepath.Join(dir, "stile.yaml"), "clients", c.command, "partner", "-", "--format", "json"}
		if code := run(args, strings.NewReader(c.text), &out, &errs); code != exitOK {
			t.Fatalf("%d: %d: %s", i, code, &errs)
		}
		var line clientLine
		if err := json.Unmarshal(out.Bytes(), &line); err != nil {
			t.Fatal(err)
		}
		if line.ID != "partner" || (line.Secret != "") != c.made {
			t.Errorf("%d: %s", i, &out)
		}
	}
}
