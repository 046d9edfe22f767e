package config

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"strings"
)

// ErrUnset reports a secret that is not there: no place is named, or the
// variable or file is absent or empty.
var ErrUnset = errors.New("config: secret is not set")

const maxSecret = 64 << 10

// IsZero reports whether no place is named.
func (s Secret) IsZero() bool { return s == Secret{} }

// String names the place, never the secret.
func (s Secret) String() string {
	switch {
	case s.Env != "":
		return "environment variable " + s.Env
	case s.File != "":
		return "file " + s.File
	}
	return "nowhere"
}

// Read returns the secret without the white space at its end. [ErrUnset] if it is not there.
func (s Secret) Read() (string, error) {
	text, err := s.raw()
	if err != nil {
		return "", err
	}
	if text = strings.TrimRight(text, " \t\r\n"); text == "" {
		return "", fmt.Errorf("%w: %s", ErrUnset, s)
	}
	return text, nil
}

func (s Secret) raw() (string, error) {
	if s.Env != "" {
		return os.Getenv(s.Env), nil
	}
	if s.File == "" {
		return "", ErrUnset
	}
	f, err := os.Open(s.File)
	if errors.Is(err, fs.ErrNotExist) {
		return "", fmt.Errorf("%w: %s does not exist", ErrUnset, s)
	}
	if err != nil {
		return "", fmt.Errorf("config: secret: %w", err)
	}
	defer f.Close()
	text, err := io.ReadAll(io.LimitReader(f, maxSecret+1))
	if err != nil || len(text) > maxSecret {
		return "", fmt.Errorf("config: %s cannot be read or is larger than %d bytes", s, maxSecret)
	}
	return string(text), nil
}
