package node_test

import (
	"encoding/pem"
	"os"
	"path/filepath"
	"testing"
	"time"

	"go.uber.org/zap"

	"github.com/stile-auth/stile/cmd/stile/node"
	"github.com/stile-auth/stile/steps/androidkeytest"
)

const (
	androidApp = "com.bank.app/14:6D:E9:83:C5:73:06:50:D8:EE:B9:95:2F:34:FC:64:16:A0:83:42:E6:1D:BE:A8:8A:04:96:B2:3F:CF:44:E5"
	appleApp   = "ABCDE12345.com.bank.app"
)

// A server starts with the phones that its configuration names, and their files.
func TestDevices(t *testing.T) {
	t.Parallel()
	maker, err := androidkeytest.NewRemote(time.Now())
	if err != nil {
		t.Fatal(err)
	}
	folderOf := t.TempDir()
	roots, list := filepath.Join(folderOf, "roots.pem"), filepath.Join(folderOf, "status.json")
	if err := os.WriteFile(roots, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: maker.Root().Raw}), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(list, []byte(`{"entries":{}}`), 0o600); err != nil {
		t.Fatal(err)
	}
	both := "devices: { android_apps: [\"" + androidApp + "\"], apple_apps: [" + appleApp + "]"
	for text, starts := range map[string]bool{
		both + " }\n": true,
		both + ", android_roots: " + roots + ", apple_roots: " + roots + ", revocations: " + list + ", android_min_patch: 202501, android_max_open: 10s }\n": true,
		both + ", development: true }\n":              true,
		"devices: { android_apps: [com.bank.app] }\n": false,
		"devices: { apple_apps: [com.bank.app] }\n":   false,
		both + ", android_roots: none.pem }\n":        false,
		both + ", apple_roots: " + list + " }\n":      false,
		both + ", revocations: none.json }\n":         false,
		both + ", revocations: " + roots + " }\n":     false,
	} {
		n, err := node.Start(t.Context(), folder(t, "store: { type: memory }\n"+text), node.Options{Logger: zap.NewNop(), Now: time.Now, Unproved: true})
		if (err == nil) != starts {
			t.Errorf("%s: %v", text, err)
		}
		if err == nil {
			if err := n.Shutdown(t.Context()); err != nil {
				t.Error(err)
			}
		}
	}
}
