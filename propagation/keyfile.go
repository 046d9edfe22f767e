package propagation

import (
	"bytes"
	"crypto"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
)

const (
	pemType     = "PRIVATE KEY" // PKCS#8, RFC 7468 §10
	maxKeyFile  = 64 << 10
	keyFileMode = 0o600
)

// LoadKeys reads a key file: PKCS#8 PEM blocks, the active key first.
//
// The file must be a regular one that only its owner can read or write, and
// the owner must be the user that the process runs as, or root; anything else
// is [ErrKey]. A file that does not exist is [fs.ErrNotExist].
func LoadKeys(path string) (*KeySet, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	// The open file is asked, not the path: nobody can swap it in between.
	info, err := f.Stat()
	if err != nil {
		return nil, err
	}
	if err := checkKeyFile(path, info); err != nil {
		return nil, err
	}
	text, err := io.ReadAll(io.LimitReader(f, maxKeyFile+1))
	if err != nil {
		return nil, err
	}
	set, err := parseKeys(text)
	if err != nil {
		return nil, fmt.Errorf("key file %s: %w", path, err)
	}
	return set, nil
}

// LoadOrCreateKeys is [LoadKeys], but a file that does not exist is created
// with one new key. If several processes create it at the same time, one
// succeeds and all return its key.
func LoadOrCreateKeys(path string) (*KeySet, error) {
	set, err := LoadKeys(path)
	if !errors.Is(err, fs.ErrNotExist) {
		return set, err
	}
	key, err := GenerateKey()
	if err != nil {
		return nil, err
	}
	if set, err = NewKeySet(key); err != nil {
		return nil, err
	}
	// A link, unlike a rename, fails if the name is taken.
	err = writeKeys(path, set, os.Link)
	if errors.Is(err, fs.ErrExist) {
		return LoadKeys(path)
	}
	if err != nil {
		return nil, err
	}
	return set, nil
}

// AddKey adds a key to the file at path, published but not signing. Two
// changes of one file must not run at the same time.
func AddKey(path string, k *Key) (*KeySet, error) {
	return change(path, func(s *KeySet) (*KeySet, error) { return s.with(k) })
}

// ActivateKey makes the key of that id the one that signs; the former one
// stays published. An unknown id is [ErrKey].
func ActivateKey(path, id string) (*KeySet, error) {
	return change(path, func(s *KeySet) (*KeySet, error) { return s.activate(id) })
}

// RemoveKey removes the key of that id. The active key is [ErrKey], and so is
// an unknown one.
func RemoveKey(path, id string) (*KeySet, error) {
	return change(path, func(s *KeySet) (*KeySet, error) { return s.without(id) })
}

func change(path string, edit func(*KeySet) (*KeySet, error)) (*KeySet, error) {
	old, err := LoadKeys(path)
	if err != nil {
		return nil, err
	}
	set, err := edit(old)
	if err != nil {
		return nil, err
	}
	if err := writeKeys(path, set, os.Rename); err != nil {
		return nil, err
	}
	return set, nil
}

// writeKeys writes the set beside path and then gives it its name with place:
// whoever opens path sees all of it or nothing, also after a power cut.
func writeKeys(path string, set *KeySet, place func(from, to string) error) error {
	text, err := formatKeys(set)
	if err != nil {
		return err
	}
	dir := filepath.Dir(path)
	f, err := os.CreateTemp(dir, ".keys-*") // mode 0600
	if err != nil {
		return err
	}
	defer os.Remove(f.Name())
	if err := errors.Join(fill(f, text), f.Close()); err != nil {
		return err
	}
	if err := place(f.Name(), path); err != nil {
		return err
	}
	return syncDir(dir)
}

func fill(f *os.File, text []byte) error {
	if _, err := f.Write(text); err != nil {
		return err
	}
	if err := f.Chmod(keyFileMode); err != nil {
		return err
	}
	return f.Sync()
}

func formatKeys(set *KeySet) ([]byte, error) {
	var out bytes.Buffer
	for _, k := range set.keys {
		der, err := x509.MarshalPKCS8PrivateKey(k.signer)
		if err != nil {
			return nil, fmt.Errorf("%w: %s cannot be written to a file", ErrKey, k.ID())
		}
		if err := pem.Encode(&out, &pem.Block{Type: pemType, Bytes: der}); err != nil {
			return nil, err
		}
	}
	return out.Bytes(), nil
}

func parseKeys(text []byte) (*KeySet, error) {
	if len(text) > maxKeyFile {
		return nil, fmt.Errorf("%w: the file is larger than 64 KiB", ErrKey)
	}
	var keys []*Key
	for len(bytes.TrimSpace(text)) > 0 {
		block, rest := pem.Decode(text)
		if block == nil || block.Type != pemType || len(block.Headers) > 0 {
			return nil, fmt.Errorf("%w: it may hold unencrypted PKCS#8 PEM blocks (%q) and nothing else", ErrKey, pemType)
		}
		key, err := parseKey(block.Bytes)
		if err != nil {
			return nil, err
		}
		keys, text = append(keys, key), rest
	}
	if len(keys) == 0 {
		return nil, fmt.Errorf("%w: it holds no key", ErrKey)
	}
	return NewKeySet(keys[0], keys[1:]...)
}

func parseKey(der []byte) (*Key, error) {
	private, err := x509.ParsePKCS8PrivateKey(der)
	if err != nil {
		// The parser's text is left out: it was made from a secret.
		return nil, fmt.Errorf("%w: a block is not a PKCS#8 key", ErrKey)
	}
	signer, ok := private.(crypto.Signer)
	if !ok {
		return nil, fmt.Errorf("%w: %T cannot sign", ErrKey, private)
	}
	return NewKey(signer)
}
