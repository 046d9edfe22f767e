package propagation

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
)

const keyFileMode = 0o600

// KeyFile keeps keys in a file of PKCS#8 PEM blocks. It must be a regular one
// that only its owner can read or write, and the owner must be the user that
// the process runs as, or root; anything else is [ErrKey].
type KeyFile string

var _ Keeper = KeyFile("")

// Load implements [Keeper].
func (f KeyFile) Load(context.Context) (Ring, error) {
	ring, err := f.load()
	if errors.Is(err, fs.ErrNotExist) {
		return Ring{}, fmt.Errorf("%w: %w", ErrNoKeys, err)
	}
	return ring, err
}

func (f KeyFile) load() (Ring, error) {
	file, err := os.Open(string(f))
	if err != nil {
		return Ring{}, err
	}
	defer file.Close()
	// The open file is asked, not the path: nobody can swap it in between.
	info, err := file.Stat()
	if err != nil {
		return Ring{}, err
	}
	if err := checkKeyFile(string(f), info); err != nil {
		return Ring{}, err
	}
	text, err := io.ReadAll(io.LimitReader(file, maxKeysText+1))
	if err != nil {
		return Ring{}, err
	}
	ring, err := parseRing(text)
	if err != nil {
		return Ring{}, fmt.Errorf("key file %s: %w", f, err)
	}
	return ring, nil
}

// Generate implements [Keeper].
func (f KeyFile) Generate(_ context.Context, algorithm string) (*Key, error) {
	return GenerateKey(algorithm)
}

// Store implements [Keeper]. Changes of processes on one machine wait for each other.
func (f KeyFile) Store(ctx context.Context, old, next Ring) error {
	unlock, err := lockDir(filepath.Dir(string(f)))
	if err != nil {
		return err
	}
	defer unlock()
	kept, err := f.Load(ctx)
	if err != nil && !errors.Is(err, ErrNoKeys) {
		return err
	}
	if !kept.same(old) {
		return ErrChanged
	}
	return f.write(next)
}

// write writes the ring beside the file and then gives it its name: whoever
// opens the file sees all of it or nothing, also after a power cut.
func (f KeyFile) write(ring Ring) error {
	text, err := formatRing(ring)
	if err != nil {
		return err
	}
	dir := filepath.Dir(string(f))
	file, err := os.CreateTemp(dir, ".keys-*") // mode 0600
	if err != nil {
		return err
	}
	defer os.Remove(file.Name())
	if err := errors.Join(fill(file, text), file.Close()); err != nil {
		return err
	}
	if err := os.Rename(file.Name(), string(f)); err != nil {
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
