//go:build unix

package servertest

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"net"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"
)

// RedisServer is a running Redis.
type RedisServer struct {
	running
	port int
	bus  int // of a node of a cluster
}

// Redis returns the server that all tests of the process share. Each takes keys
// of its own.
func Redis(t testing.TB) *RedisServer {
	t.Helper()
	o := &shared.redis
	o.Do(func() {
		if o.value, o.err = tried(func() (*RedisServer, error) { return startRedis() }); o.err == nil {
			shared.ending(o.value.process.end)
		}
	})
	need(t, o.err)
	return o.value
}

// NewRedis starts a server for one test, which may stop and crash it. It
// writes what it acknowledges to its disk first.
func NewRedis(t testing.TB, more ...string) *RedisServer {
	t.Helper()
	s, err := tried(func() (*RedisServer, error) {
		return startRedis(append([]string{"--appendonly", "yes", "--appendfsync", "always"}, more...)...)
	})
	need(t, err)
	t.Cleanup(s.process.end)
	return s
}

func startRedis(more ...string) (*RedisServer, error) {
	port, err := freePort()
	if err != nil {
		return nil, err
	}
	return startRedisOn(port, "", append([]string{"--save", ""}, more...)...)
}

func startRedisOn(port int, settings string, more ...string) (*RedisServer, error) {
	path, err := find("redis-server")
	if err != nil {
		return nil, err
	}
	dir, err := newDir()
	if err != nil {
		return nil, err
	}
	if err := give(dir, "settings", "# of a test\n"+settings); err != nil {
		return nil, err
	}
	args := append([]string{
		path, filepath.Join(dir, "settings"), "--bind", "127.0.0.1", "--port", strconv.Itoa(port), "--dir", dir, "--daemonize", "no",
	}, more...)
	s := &RedisServer{port: port}
	s.ready = s.ping
	if s.process, err = spawn(dir, "TERM", args...); err != nil {
		return nil, err
	}
	if err := s.process.await(s.ping); err != nil {
		s.process.end()
		return nil, fmt.Errorf("redis: %w", err)
	}
	return s, nil
}

// Address is where it listens.
func (s *RedisServer) Address() string { return "127.0.0.1:" + strconv.Itoa(s.port) }

func (s *RedisServer) ping(ctx context.Context) error {
	_, err := s.ask(ctx, "PING")
	return err
}

// Ask sends a command of words without spaces and returns its answer as it came: a line, or the lines of a bulk string.
func (s *RedisServer) Ask(t testing.TB, words ...string) string {
	t.Helper()
	out, err := s.ask(t.Context(), words...)
	if err != nil {
		t.Fatalf("redis: %s: %v", strings.Join(words, " "), err)
	}
	return out
}

func (s *RedisServer) ask(ctx context.Context, words ...string) (string, error) {
	c, err := (&net.Dialer{Timeout: 5 * time.Second}).DialContext(ctx, "tcp", s.Address())
	if err != nil {
		return "", err
	}
	defer func() { _ = c.Close() }()
	if err := c.SetDeadline(time.Now().Add(10 * time.Second)); err != nil {
		return "", err
	}
	if _, err := fmt.Fprintf(c, "%s\r\n", strings.Join(words, " ")); err != nil {
		return "", err
	}
	r := bufio.NewReader(c)
	line, err := r.ReadString('\n')
	if err != nil {
		return "", err
	}
	line = strings.TrimSpace(line)
	if strings.HasPrefix(line, "-") {
		return "", errors.New(line)
	}
	if n, isBulk := strings.CutPrefix(line, "$"); isBulk {
		size, err := strconv.Atoi(n)
		if err != nil || size < 0 {
			return "", err
		}
		text := make([]byte, size)
		for at := 0; at < size; {
			k, err := r.Read(text[at:])
			if err != nil {
				return "", err
			}
			at += k
		}
		return string(text), nil
	}
	return strings.TrimLeft(line, "+:"), nil
}
