package propagation_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/stile-auth/stile/propagation"
)

func newKey(t testing.TB) *propagation.Key {
	t.Helper()
	key, err := propagation.GenerateKey(propagation.ES256)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

func newSet(t testing.TB) *propagation.KeySet {
	t.Helper()
	set, err := propagation.NewKeySet(newKey(t))
	if err != nil {
		t.Fatal(err)
	}
	return set
}

func ids(set *propagation.KeySet) []string {
	var out []string
	for _, k := range set.Keys() {
		out = append(out, k.ID())
	}
	return out
}

// open opens the keys of a file, and makes it if it is not there.
func open(path string) (*propagation.KeySet, error) {
	ring, err := propagation.OpenKeyring(context.Background(), propagation.KeyringConfig{
		Keeper: propagation.KeyFile(path), Policy: propagation.Policy{Longest: time.Hour}, Now: now,
	})
	if err != nil {
		return nil, err
	}
	return ring.Current(context.Background())
}

func TestKeyFileIsCreatedOnceAndKept(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "keys.pem")
	first, err := open(path)
	if err != nil {
		t.Fatal(err)
	}
	second, err := open(path)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(ids(first), ids(second)); diff != "" {
		t.Errorf("the second start has other keys:\n%s", diff)
	}
	info, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	if got := info.Mode(); got != 0o600 {
		t.Errorf("mode %v, want 0600", got)
	}
	entries, err := os.ReadDir(filepath.Dir(path))
	if err != nil {
		t.Fatal(err)
	}
	if len(entries) != 1 {
		t.Errorf("the folder holds %v, want the key file alone", entries)
	}
}

// Processes that find no file at the same moment make one key.
func TestConcurrentCreationMakesOneKey(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "keys.pem")
	const starts = 16
	got := make([]string, starts)
	var wg, line sync.WaitGroup
	line.Add(starts)
	for i := range starts {
		wg.Go(func() {
			ring, err := propagation.OpenKeyring(t.Context(), propagation.KeyringConfig{
				Keeper: &abreast{Keeper: propagation.KeyFile(path), line: &line, once: &sync.Once{}},
				Policy: propagation.Policy{Longest: time.Hour}, Now: now,
			})
			if err != nil {
				t.Error(err)
				return
			}
			set, err := ring.Current(t.Context())
			if err != nil {
				t.Error(err)
				return
			}
			got[i] = set.Active().ID()
		})
	}
	wg.Wait()
	for _, id := range got {
		if id != got[0] {
			t.Fatalf("different keys were returned: %v", got)
		}
	}
}

func TestKeyFileThatOthersCanUseIsRefused(t *testing.T) {
	t.Parallel()
	for _, mode := range []fs.FileMode{0o640, 0o604, 0o620, 0o602, 0o660, 0o644, 0o777} {
		path := filepath.Join(t.TempDir(), "keys.pem")
		if _, err := open(path); err != nil {
			t.Fatal(err)
		}
		if err := os.Chmod(path, mode); err != nil {
			t.Fatal(err)
		}
		_, err := open(path)
		if !errors.Is(err, propagation.ErrKey) || !strings.Contains(err.Error(), "chmod 600") {
			t.Errorf("mode %04o: %v, want ErrKey that says what to do", mode, err)
		}
	}
}

func TestKeyFileOfAnotherUserIsRefused(t *testing.T) {
	t.Parallel()
	if err := propagation.CheckOwner("f", 1001, 1000); !errors.Is(err, propagation.ErrKey) {
		t.Errorf("another user's file: %v, want ErrKey", err)
	}
	for _, owner := range []int{1000, 0} {
		if err := propagation.CheckOwner("f", owner, 1000); err != nil {
			t.Errorf("owner %d: %v", owner, err)
		}
	}
	if os.Geteuid() != 0 {
		return // only root can give a file away
	}
	path := filepath.Join(t.TempDir(), "keys.pem")
	if _, err := open(path); err != nil {
		t.Fatal(err)
	}
	if err := os.Chown(path, 12345, -1); err != nil {
		t.Fatal(err)
	}
	if _, err := open(path); !errors.Is(err, propagation.ErrKey) {
		t.Errorf("another user's file: %v, want ErrKey", err)
	}
}

func pemOf(t *testing.T, typ string, private any) string {
	t.Helper()
	der, err := x509.MarshalPKCS8PrivateKey(private)
	if err != nil {
		t.Fatal(err)
	}
	return string(pem.EncodeToMemory(&pem.Block{Type: typ, Bytes: der}))
}

func TestKeyFileContentIsChecked(t *testing.T) {
	t.Parallel()
	p256, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	p521, err := ecdsa.GenerateKey(elliptic.P521(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	rsaKey, err := rsa.GenerateKey(rand.Reader, 1024) // that is refused
	if err != nil {
		t.Fatal(err)
	}
	good := pemOf(t, "PRIVATE KEY", p256)
	tests := map[string]struct {
		text string
		ok   bool
	}{
		"one key":         {good, true},
		"empty":           {"", false},
		"text":            {"hello", false},
		"trailing text":   {good + "hello", false},
		"twice":           {good + good, false},
		"wrong type":      {pemOf(t, "EC PRIVATE KEY", p256), false},
		"other curve":     {pemOf(t, "PRIVATE KEY", p521), false},
		"short RSA":       {pemOf(t, "PRIVATE KEY", rsaKey), false},
		"not a key":       {"-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n", false},
		"too large":       {good + strings.Repeat("\n", 1<<17), false},
		"other header":    {strings.Replace(good, "-----\n", "-----\nProc-Type: 4,ENCRYPTED\n\n", 1), false},
		"other algorithm": {strings.Replace(good, "-----\n", "-----\nAlgorithm: RS256\n\n", 1), false},
		"its algorithm":   {strings.Replace(good, "-----\n", "-----\nAlgorithm: ES256\n\n", 1), true},
		"no time":         {strings.Replace(good, "-----\n", "-----\nSigns: tomorrow\n\n", 1), false},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			path := filepath.Join(t.TempDir(), "keys.pem")
			if err := os.WriteFile(path, []byte(tt.text), 0o600); err != nil {
				t.Fatal(err)
			}
			_, err := open(path)
			if tt.ok && err != nil {
				t.Fatal(err)
			}
			if !tt.ok && !errors.Is(err, propagation.ErrKey) {
				t.Fatalf("%v, want ErrKey", err)
			}
			after, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			if string(after) != tt.text {
				t.Error("the file was changed")
			}
		})
	}
}

func TestFolderIsNoKeyFile(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	if err := os.Chmod(dir, 0o700); err != nil { // a mode that a key file may have
		t.Fatal(err)
	}
	if _, err := open(dir); !errors.Is(err, propagation.ErrKey) {
		t.Errorf("%v, want ErrKey", err)
	}
}
