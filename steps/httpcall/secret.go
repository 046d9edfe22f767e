package httpcall

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
)

const (
	minSecret = 32 // bytes: not shorter than the hash (RFC 2104 §3)
	maxSecret = 64 << 10
)

// place says where a secret is kept.
type place struct {
	Env  string `yaml:"env,optional" doc:"Name of an environment variable."`
	File string `yaml:"file,optional" doc:"Path of a file."`
}

func (p place) check() error {
	if (p.Env == "") == (p.File == "") {
		return errors.New("secret: expected {env: NAME} or {file: PATH}")
	}
	return nil
}

// read returns the secret without the white space at its end. It is read for
// every call, so that a secret that was replaced counts at once.
func (p place) read(env func(string) string) ([]byte, error) {
	text, err := p.raw(env)
	if err != nil {
		return nil, err
	}
	text = bytes.TrimRight(text, " \t\r\n")
	if len(text) < minSecret {
		return nil, fmt.Errorf("the secret is shorter than %d bytes, or is not set", minSecret)
	}
	return text, nil
}

func (p place) raw(env func(string) string) ([]byte, error) {
	if p.Env != "" {
		return []byte(env(p.Env)), nil
	}
	f, err := os.Open(p.File)
	if err != nil {
		return nil, fmt.Errorf("secret: %w", err)
	}
	defer f.Close()
	text, err := io.ReadAll(io.LimitReader(f, maxSecret+1))
	if err != nil || len(text) > maxSecret {
		return nil, fmt.Errorf("the secret cannot be read or is over %d bytes", maxSecret)
	}
	return text, nil
}
