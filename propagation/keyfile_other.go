//go:build !unix

package propagation

import (
	"fmt"
	"io/fs"
)

// checkKeyFile cannot see owners and modes here: access control lists decide.
func checkKeyFile(path string, info fs.FileInfo) error {
	if !info.Mode().IsRegular() {
		return fmt.Errorf("%w: %s is not a regular file", ErrKey, path)
	}
	return nil
}

// syncDir does nothing: folders cannot be synchronised here.
func syncDir(string) error { return nil }

// lockDir does nothing: one process at a time may change the keys here.
func lockDir(string) (unlock func(), err error) { return func() {}, nil }
