//go:build unix

package servertest

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strconv"
	"sync"
	"syscall"
	"testing"
	"time"
)

// Main runs the tests and then stops the servers that they started.
func Main(m *testing.M) int {
	code := m.Run()
	shared.stop()
	return code
}

// guard starts a server and does as it is told on its standard input. When that
// closes, whoever started it is gone: it stops the server and removes the folder.
const guard = `dir=$1 signal=$2; shift 2
start() { "$@" </dev/null & p=$!; }
start "$@"
while read -r word; do case $word in
	stop) kill -s "$signal" $p; wait $p;;
	crash) # its children too, which would notice later and hold what the next one needs
		kill -s STOP $p; all=$(ps -o pid= --ppid $p)
		kill -s KILL $p $all; wait $p
		for c in $all; do while ps -o stat= -p $c | grep -qv '^Z'; do sleep 0.01; done; done;;
	pause) kill -s STOP $p;;
	resume) kill -s CONT $p;;
	start) start "$@";;
esac; done
kill -s CONT $p; kill -s "$signal" $p
wait $p
rm -rf "$dir"`

// process is a server, with its guard.
type process struct {
	dir   string // its own, and its user's
	guard *exec.Cmd
	words io.WriteCloser
	log   string // file
}

// spawn starts a server in a folder that newDir made. signal is what ends it quickly.
func spawn(dir, signal string, args ...string) (*process, error) {
	p := &process{dir: dir, log: filepath.Join(dir, "log")}
	log, err := os.OpenFile(p.log, os.O_WRONLY|os.O_CREATE|os.O_APPEND, 0o600)
	if err != nil {
		return nil, err
	}
	defer log.Close()
	// It outlives the test that needs it first, and is told of its end by the pipe.
	p.guard = exec.CommandContext(context.Background(), "/bin/sh", append([]string{"-c", guard, "guard", dir, signal}, args...)...)
	p.guard.Dir, p.guard.Stdout, p.guard.Stderr = dir, log, log
	// In a group of its own an interrupt from the terminal does not reach it.
	p.guard.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Credential: credential()}
	if p.words, err = p.guard.StdinPipe(); err != nil {
		return nil, err
	}
	return p, p.guard.Start()
}

// say gives the guard a word.
func (p *process) say(t testing.TB, word string) {
	t.Helper()
	if _, err := fmt.Fprintln(p.words, word); err != nil {
		t.Fatal("servertest:", err)
	}
}

// end stops the server for good.
func (p *process) end() {
	p.words.Close()
	done := make(chan struct{})
	go func() {
		_ = p.guard.Wait()
		close(done)
	}()
	select {
	case <-done:
	case <-time.After(10 * time.Second):
		_ = syscall.Kill(-p.guard.Process.Pid, syscall.SIGKILL)
		<-done
		os.RemoveAll(p.dir)
	}
}

// tail is the end of what the server has said.
func (p *process) tail() string {
	text, _ := os.ReadFile(p.log) // none, then
	return string(text[max(0, len(text)-2000):])
}

// await waits until ready succeeds.
func (p *process) await(ready func(context.Context) error) error {
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	for {
		err := ready(ctx)
		if err == nil {
			return nil
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("not ready: %w\n%s", err, p.tail())
		case <-time.After(20 * time.Millisecond): // asking is the only way to know
		}
	}
}

// credential is who servers run as: PostgreSQL refuses to run as root. Nil: who we are.
func credential() *syscall.Credential {
	if os.Geteuid() != 0 {
		return nil
	}
	for _, name := range []string{"postgres", "nobody"} {
		u, err := user.Lookup(name)
		if err != nil {
			continue
		}
		uid, err1 := strconv.ParseUint(u.Uid, 10, 32)
		gid, err2 := strconv.ParseUint(u.Gid, 10, 32)
		if errors.Join(err1, err2) == nil {
			return &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}
		}
	}
	return nil
}

// newDir makes a folder for whoever servers run as. Its name is short: it holds sockets.
func newDir() (string, error) {
	dir, err := os.MkdirTemp("", "stile-")
	if err != nil {
		return "", err
	}
	if c := credential(); c != nil {
		err = os.Chown(dir, int(c.Uid), int(c.Gid))
	}
	return dir, err
}

// give writes a file that the server may read.
func give(dir, name, text string) error {
	path := filepath.Join(dir, name)
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		return err
	}
	if c := credential(); c != nil {
		return os.Chown(path, int(c.Uid), int(c.Gid))
	}
	return nil
}

// find looks for a program in PATH and in other places that distributions use.
func find(name string, more ...string) (string, error) {
	if path, err := exec.LookPath(name); err == nil {
		return path, nil
	}
	for _, pattern := range append(more, "/usr/sbin", "/usr/local/bin", "/usr/local/sbin") {
		found, _ := filepath.Glob(filepath.Join(pattern, name)) // the pattern is a good one
		if len(found) > 0 {
			return found[len(found)-1], nil
		}
	}
	return "", missingError(name)
}

// missingError names a program that is not there.
type missingError string

func (e missingError) Error() string {
	return string(e) + ` is not installed; "go run ./cmd/dev test" installs it`
}

// need ends the test if a server could not be started: skipped if it is not
// installed and this is not CI, failed otherwise.
func need(t testing.TB, err error) {
	t.Helper()
	var missing missingError
	switch {
	case err == nil:
	case errors.As(err, &missing) && os.Getenv("CI") != "true":
		t.Skip(err)
	default:
		t.Fatal("servertest:", err)
	}
}

// freePort is a port that nobody listens on now.
func freePort() (int, error) {
	l, err := (&net.ListenConfig{}).Listen(context.Background(), "tcp", "127.0.0.1:0")
	if err != nil {
		return 0, err
	}
	defer func() { _ = l.Close() }()
	return l.Addr().(*net.TCPAddr).Port, nil
}

// attempts is how often a port that was free may turn out not to be.
const attempts = 3

// tried calls start until it succeeds, or has failed too often, or can never succeed.
func tried[T any](start func() (T, error)) (out T, err error) {
	for range attempts {
		var missing missingError
		if out, err = start(); err == nil || errors.As(err, &missing) {
			return out, err
		}
	}
	return out, err
}

// shared is what the tests of this process share.
var shared pool //nolint:gochecknoglobals // one of each for each process

type pool struct {
	mu       sync.Mutex
	postgres once[*PostgresServer]
	redis    once[*RedisServer]
	ends     []func()
}

// once is something that is started once, or has failed to.
type once[T any] struct {
	sync.Once
	value T
	err   error
}

func (p *pool) ending(end func()) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.ends = append(p.ends, end)
}

func (p *pool) stop() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, end := range p.ends {
		end()
	}
	p.ends = nil
}
