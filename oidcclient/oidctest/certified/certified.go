// Package certified runs an OpenID provider that others wrote and had
// certified: oidc-provider from npm, as a process of its own, with its real
// login and consent pages. [OpenPlain] runs an OAuth 2.0 server that others
// wrote and that knows no OpenID Connect, in the same way.
//
//	p := certified.Open(t, os.Getenv)
//	fmt.Println(p.Issuer, p.ClientID, p.ClientSecret, p.RedirectURI)
//
// Any login name exists there, with every password; it is the sub. The program
// stands in oidcclient/testdata/oidc-provider; the packages that it needs are
// installed by "go run ./cmd/dev test", which says where in [Variable].
package certified

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os/exec"
	"sync"
	"testing"
	"time"
)

// Variable is the environment variable with the folder of the program, where
// its packages are installed.
const Variable = "STILE_TEST_OIDC_PROVIDER"

// patience is how long the process may take to end before it is killed.
const patience = 5 * time.Second

// Provider is a running provider and the first of the clients that are registered there.
type Provider struct {
	Issuer       string `json:"issuer"`
	ClientID     string `json:"clientId"`
	ClientSecret string `json:"clientSecret"`
	ClientKey    string `json:"clientKey"` // of the client "key": PEM
	RedirectURI  string `json:"redirectUri"`

	said    *bufio.Reader
	process *exec.Cmd
	alive   io.WriteCloser // the process ends when this is closed
	once    sync.Once
	ended   error
}

// Open starts a provider for a test, which also ends it. Where the environment
// names none the test is skipped; with CI=true it fails.
func Open(t testing.TB, getenv func(string) string) *Provider {
	t.Helper()
	return open(t, getenv, "server.mjs")
}

// OpenFor is Open with a client "rp" for the Stile node at that address: the node is told
// of logouts as provider "corporate".
func OpenFor(t testing.TB, getenv func(string) string, node string) *Provider {
	t.Helper()
	return open(t, getenv, "server.mjs", node)
}

// OpenPlain is Open for the OAuth 2.0 server: it has /authorize, /token, and
// /user, where a user has id (a number), login and email.
func OpenPlain(t testing.TB, getenv func(string) string) *Provider {
	t.Helper()
	return open(t, getenv, "oauth2.mjs")
}

func open(t testing.TB, getenv func(string) string, program ...string) *Provider {
	t.Helper()
	folder := getenv(Variable)
	switch {
	case folder == "" && getenv("CI") == "true":
		t.Fatalf("%s is not set; \"go run ./cmd/dev test\" sets it", Variable)
	case folder == "":
		t.Skipf("%s is not set; \"go run ./cmd/dev test\" installs the provider and sets it", Variable)
	}
	p, err := start(t.Context(), folder, program...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := p.Close(); err != nil {
			t.Error(err)
		}
	})
	return p
}

// start runs a program of that folder until Close, and waits until it serves
// or ctx is done.
func start(ctx context.Context, folder string, program ...string) (*Provider, error) {
	// Not bound to ctx: the process ends in Close, in order.
	cmd := exec.CommandContext(context.WithoutCancel(ctx), "node", program...) //nolint:gosec // a program that stands in this repository
	cmd.Dir, cmd.WaitDelay = folder, patience
	var said bytes.Buffer
	cmd.Stderr = &said
	in, err1 := cmd.StdinPipe()
	out, err2 := cmd.StdoutPipe()
	if err := errors.Join(err1, err2); err != nil {
		return nil, fmt.Errorf("certified: %w", err)
	}
	if err := cmd.Start(); err != nil {
		return nil, fmt.Errorf("certified: %w", err)
	}
	p := &Provider{process: cmd, alive: in}
	stop := context.AfterFunc(ctx, func() { _ = in.Close() }) // unblocks the read
	defer stop()
	p.said = bufio.NewReader(out)
	line, err := p.said.ReadBytes('\n')
	if err == nil {
		err = json.Unmarshal(line, p)
	}
	if err != nil {
		err = errors.Join(err, p.Close())
		return nil, fmt.Errorf("certified: the provider did not start: %w: %s", err, said.String())
	}
	return p, nil
}

// Rotate makes the provider sign with a new key; the old one is withdrawn.
func (p *Provider) Rotate() error {
	if _, err := p.alive.Write([]byte("rotate\n")); err != nil {
		return fmt.Errorf("certified: %w", err)
	}
	if _, err := p.said.ReadBytes('\n'); err != nil {
		return fmt.Errorf("certified: %w", err)
	}
	return nil
}

// Close ends the process and waits for it. A second call does nothing.
func (p *Provider) Close() error {
	p.once.Do(func() {
		_ = p.alive.Close() // gone already if the process has ended
		late := time.AfterFunc(patience, func() { _ = p.process.Process.Kill() })
		defer late.Stop()
		if err := p.process.Wait(); err != nil {
			p.ended = fmt.Errorf("certified: %w", err)
		}
	})
	return p.ended
}
