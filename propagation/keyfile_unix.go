//go:build unix

package propagation

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"syscall"
)

// checkKeyFile refuses a file that anybody but its owner can read or change.
func checkKeyFile(path string, info fs.FileInfo) error {
	if !info.Mode().IsRegular() {
		return fmt.Errorf("%w: %s is not a regular file", ErrKey, path)
	}
	if mode := info.Mode().Perm(); mode&0o077 != 0 {
		return fmt.Errorf("%w: %s can be used by others than its owner (mode %04o): run chmod 600 on it, and replace the key if others may have read it", ErrKey, path, mode)
	}
	stat, ok := info.Sys().(*syscall.Stat_t)
	if !ok {
		return fmt.Errorf("%w: the owner of %s cannot be learnt", ErrKey, path)
	}
	return checkOwner(path, int(stat.Uid), os.Geteuid())
}

// checkOwner accepts the process's own user, and root, which can read and
// write everything anyway.
func checkOwner(path string, owner, user int) error {
	if owner != user && owner != 0 {
		return fmt.Errorf("%w: %s belongs to the user with number %d, but this process runs as %d", ErrKey, path, owner, user)
	}
	return nil
}

// lockDir keeps other processes of this machine from changing key files in dir until
// unlock is called, or the process ends.
func lockDir(dir string) (unlock func(), err error) {
	d, err := os.Open(dir)
	if err != nil {
		return nil, err
	}
	if err := syscall.Flock(int(d.Fd()), syscall.LOCK_EX); err != nil {
		return nil, errors.Join(err, d.Close())
	}
	return func() { _ = d.Close() }, nil // which ends the lock
}

// syncDir makes a new name in dir survive a power cut.
func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	defer d.Close()
	return d.Sync()
}
