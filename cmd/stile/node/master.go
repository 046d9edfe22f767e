package node

import (
	"crypto/rand"
	"encoding/base64"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"

	"github.com/stile-auth/stile/cmd/stile/config"
	"github.com/stile-auth/stile/flows/seal"
)

// ErrMasterKey reports a master key that is missing where data needs it, is
// not 32 bytes of base64url, or lies open to others.
var ErrMasterKey = errors.New("node: no usable master key")

const masterFile = "master.key"

// masterKey finds the master key. The default file is made at the first start, which
// is when there is no store yet: a new key for old data would lock everyone out.
func masterKey(cfg config.Config) (key []byte, made string, err error) {
	where := cfg.Keys.Master
	if where.IsZero() {
		where.File = filepath.Join(cfg.DataDir, masterFile)
		if _, err := os.Stat(where.File); errors.Is(err, fs.ErrNotExist) {
			if err := makeMaster(cfg, where.File); err != nil {
				return nil, "", err
			}
			made = where.File
		}
	}
	if where.File != "" {
		if err := private(where.File); err != nil {
			return nil, "", err
		}
	}
	text, err := where.Read()
	if err != nil {
		return nil, "", fmt.Errorf("%w: %w", ErrMasterKey, err)
	}
	key, err = base64.RawURLEncoding.Strict().DecodeString(text)
	if err != nil || len(key) != seal.KeySize {
		return nil, "", fmt.Errorf("%w: %s does not hold %d bytes in base64url", ErrMasterKey, where, seal.KeySize)
	}
	return key, made, nil
}

func makeMaster(cfg config.Config, path string) error {
	if _, err := os.Stat(cfg.Store.Path); err == nil && cfg.Store.Type == "sqlite" {
		return fmt.Errorf("%w: %s is gone, and the store %s was sealed with it", ErrMasterKey, path, cfg.Store.Path)
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return fmt.Errorf("node: %w", err)
	}
	secret := make([]byte, seal.KeySize)
	_, _ = rand.Read(secret) // never fails
	return createOnce(path, base64.RawURLEncoding.EncodeToString(secret)+"\n")
}

// createOnce makes a file with its whole content or leaves the one that is
// there: of several processes one succeeds, and none reads half a file.
func createOnce(path, text string) error {
	f, err := os.CreateTemp(filepath.Dir(path), "."+filepath.Base(path)+"-") // mode 0600
	if err != nil {
		return fmt.Errorf("node: %w", err)
	}
	defer os.Remove(f.Name())
	_, err = f.WriteString(text)
	if err = errors.Join(err, f.Sync(), f.Close()); err != nil {
		return fmt.Errorf("node: %w", err)
	}
	if err := os.Link(f.Name(), path); err != nil && !errors.Is(err, fs.ErrExist) {
		return fmt.Errorf("node: %w", err)
	}
	return nil
}

// private refuses a key that others can read or replace.
func private(path string) error {
	info, err := os.Stat(path)
	if errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("%w: %s does not exist", ErrMasterKey, path)
	}
	if err != nil {
		return fmt.Errorf("node: %w", err)
	}
	if runtime.GOOS != "windows" && info.Mode().Perm()&0o077 != 0 {
		return fmt.Errorf("%w: %s is open to others (mode %04o, want 0600)", ErrMasterKey, path, info.Mode().Perm())
	}
	return nil
}

// keyring is what is derived from the master key.
type keyring struct {
	sealer *seal.Sealer
	pepper []byte
	decoy  []byte
	codes  []byte
	nonces []byte

	cookies *seal.Sealer
}

// The labels of the derived keys. Changing one makes what it protects unreadable.
const (
	labelSeal   = "stile/seal/1"
	labelPepper = "stile/pepper/1"
	labelDecoy  = "stile/decoy/1"
	labelCodes  = "stile/codes/1"
	labelNonces = "stile/nonces/1"

	labelCookies = "stile/cookies/1"
)

func derive(master []byte) (keyring, error) {
	var k keyring
	sealing, err1 := seal.Derive(master, labelSeal)
	pepper, err2 := seal.Derive(master, labelPepper)
	decoy, err3 := seal.Derive(master, labelDecoy)
	codes, err4 := seal.Derive(master, labelCodes)
	nonces, err5 := seal.Derive(master, labelNonces)
	cookies, err6 := seal.Derive(master, labelCookies)
	if err := errors.Join(err1, err2, err3, err4, err5, err6); err != nil {
		return keyring{}, err
	}
	k.pepper, k.decoy, k.codes, k.nonces = pepper, decoy, codes, nonces
	var err error
	if k.sealer, err = seal.New(seal.Key{ID: "1", Secret: sealing}); err != nil {
		return keyring{}, err
	}
	k.cookies, err = seal.New(seal.Key{ID: "1", Secret: cookies})
	return k, err
}
