package main

import (
	"bytes"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
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
