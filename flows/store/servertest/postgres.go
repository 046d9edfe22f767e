//go:build unix

package servertest

import (
	"bytes"
	"context"
	"crypto/tls"
	"encoding/pem"
	"errors"
	"fmt"
	"net/url"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
)

// Password is the one of the user stile of the servers of PostgreSQL.
const Password = "a password of tests"

// PostgresServer is a running PostgreSQL.
type PostgresServer struct {
	running
	port int

	mu   sync.Mutex
	free map[string][]string // databases that are copies of another
}

// Postgres returns the server that all tests of the process share. What it
// acknowledges does not survive the machine: it never waits for the disk.
func Postgres(t testing.TB) *PostgresServer {
	t.Helper()
	o := &shared.postgres
	o.Do(func() {
		if o.value, o.err = tried(func() (*PostgresServer, error) { return startPostgres("off") }); o.err == nil {
			shared.ending(o.value.process.end)
		}
	})
	need(t, o.err)
	return o.value
}

// NewPostgres starts a server for one test, which may stop and crash it. It waits for the disk.
func NewPostgres(t testing.TB) *PostgresServer {
	t.Helper()
	s, err := tried(func() (*PostgresServer, error) { return startPostgres("on") })
	need(t, err)
	t.Cleanup(s.process.end)
	return s
}

func startPostgres(fsync string) (*PostgresServer, error) {
	dir, err := newDir()
	if err != nil {
		return nil, err
	}
	server, err := find("postgres", "/usr/lib/postgresql/*/bin")
	if err != nil {
		return nil, err
	}
	if server, err = filepath.EvalSymlinks(server); err != nil { // initdb lies beside it
		return nil, err
	}
	if err := initdb(filepath.Dir(server), dir); err != nil {
		return nil, err
	}
	port, err := freePort()
	if err != nil {
		return nil, err
	}
	args := []string{server, "-D", filepath.Join(dir, "data"), "-p", strconv.Itoa(port), "-k", dir}
	for _, setting := range []string{
		"listen_addresses=127.0.0.1", "max_connections=300", "shared_buffers=64MB", "fsync=" + fsync,
		"full_page_writes=" + fsync, "autovacuum_naptime=10s", "log_min_messages=warning", "max_wal_size=2GB",
	} {
		args = append(args, "-c", setting)
	}
	s := &PostgresServer{port: port, free: map[string][]string{}}
	s.ready = s.ping
	if s.process, err = spawn(dir, "INT", args...); err != nil {
		return nil, err
	}
	if err := s.process.await(s.ping); err != nil {
		s.process.end()
		return nil, fmt.Errorf("postgres: %w", err)
	}
	return s, nil
}

func initdb(bin, dir string) error {
	if err := give(dir, "password", Password); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, filepath.Join(bin, "initdb"), "-D", filepath.Join(dir, "data"), "-U", "stile", "--no-sync",
		"--pwfile", filepath.Join(dir, "password"), "--auth=scram-sha-256", "--encoding=UTF8", "--locale=C", "--no-instructions")
	cmd.Dir, cmd.SysProcAttr = dir, &syscall.SysProcAttr{Credential: credential()}
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	if err := cmd.Run(); err != nil {
		return fmt.Errorf("initdb: %w\n%s", err, out.String())
	}
	return nil
}

// Address is where it listens.
func (s *PostgresServer) Address() string { return "127.0.0.1:" + strconv.Itoa(s.port) }

// Secure makes it speak TLS with a certificate and its key (PEM).
func (s *PostgresServer) Secure(t testing.TB, certificate, key string) {
	t.Helper()
	for name, text := range map[string]string{"server.crt": certificate, "server.key": key} {
		if err := give(filepath.Join(s.process.dir, "data"), name, text); err != nil {
			t.Fatal(err)
		}
	}
	s.Exec(t, "postgres", "ALTER SYSTEM SET ssl = on")
	s.Exec(t, "postgres", "SELECT pg_reload_conf()")
	if err := s.process.await(func(ctx context.Context) error { return s.shows(ctx, certificate) }); err != nil {
		t.Fatal(err)
	}
}

// shows says whether the server shows that certificate.
func (s *PostgresServer) shows(ctx context.Context, certificate string) error {
	cfg, err := pgx.ParseConfig(strings.Replace(s.URL("postgres"), "sslmode=disable", "sslmode=require", 1))
	if err != nil {
		return err
	}
	cfg.TLSConfig.VerifyConnection = func(state tls.ConnectionState) error {
		if block, _ := pem.Decode([]byte(certificate)); block == nil || !bytes.Equal(block.Bytes, state.PeerCertificates[0].Raw) {
			return errors.New("it shows another certificate")
		}
		return nil
	}
	conn, err := pgx.ConnectConfig(ctx, cfg)
	if err != nil {
		return err
	}
	return conn.Close(ctx)
}

// URL is how to reach a database of it, with the password.
func (s *PostgresServer) URL(database string) string { return databaseURL(s.Address(), database) }

func databaseURL(address, database string) string {
	u := url.URL{Scheme: "postgres", User: url.UserPassword("stile", Password), Host: address, Path: "/" + database, RawQuery: "sslmode=disable"}
	return u.String()
}

var databases atomic.Int64 //nolint:gochecknoglobals // names are used once

// Database makes a database, empty or a copy of another, and returns its name. It
// is gone after the test.
func (s *PostgresServer) Database(t testing.TB, template string) string {
	t.Helper()
	name, err := s.make(t.Context(), template)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		ctx := context.WithoutCancel(t.Context())
		if err := s.exec(ctx, "postgres", "DROP DATABASE IF EXISTS "+name+" WITH (FORCE)"); err != nil {
			t.Log(err) // the server is one that was stopped
		}
	})
	return name
}

// Template makes a database to copy: it stays as long as the server does.
func (s *PostgresServer) Template(ctx context.Context, fill func(url string) error) (string, error) {
	name, err := s.make(ctx, "")
	if err != nil {
		return "", err
	}
	return name, fill(s.URL(name))
}

// emptied removes all rows but those that say which migrations there were.
const emptied = `DO $$ DECLARE t text; BEGIN
	FOR t IN SELECT quote_ident(tablename) FROM pg_tables WHERE schemaname = 'public' AND tablename <> 'goose_db_version' LOOP
		EXECUTE 'DELETE FROM ' || t;
	END LOOP;
END $$`

// Borrow returns a database that is a copy of another but for rows that tests have
// left: it is emptied after the test, and lent again. That is several times as fast as to make one.
func (s *PostgresServer) Borrow(t testing.TB, template string) string {
	t.Helper()
	s.mu.Lock()
	free := s.free[template]
	var name string
	if n := len(free); n > 0 {
		name, s.free[template] = free[n-1], free[:n-1]
	}
	s.mu.Unlock()
	if name == "" {
		var err error
		if name, err = s.make(t.Context(), template); err != nil {
			t.Fatal(err)
		}
	}
	t.Cleanup(func() {
		s.Empty(t, name)
		s.mu.Lock()
		defer s.mu.Unlock()
		s.free[template] = append(s.free[template], name)
	})
	return name
}

// Empty removes all rows of a database.
func (s *PostgresServer) Empty(t testing.TB, database string) {
	t.Helper()
	s.Exec(t, database, emptied)
}

// make makes a database, empty or a copy.
func (s *PostgresServer) make(ctx context.Context, template string) (string, error) {
	name := fmt.Sprintf("t%d", databases.Add(1))
	query := "CREATE DATABASE " + name
	if template != "" {
		query += " TEMPLATE " + template + " STRATEGY FILE_COPY" // several times as fast; since PostgreSQL 15
	}
	return name, s.exec(ctx, "postgres", query)
}

// Exec runs SQL in a database.
func (s *PostgresServer) Exec(t testing.TB, database, script string) {
	t.Helper()
	if err := s.exec(context.WithoutCancel(t.Context()), database, script); err != nil {
		t.Fatal(err)
	}
}

func (s *PostgresServer) exec(ctx context.Context, database, script string) error {
	conn, err := pgx.Connect(ctx, s.URL(database))
	if err != nil {
		return err
	}
	defer func() { _ = conn.Close(ctx) }()
	_, err = conn.PgConn().Exec(ctx, script).ReadAll()
	return err
}

func (s *PostgresServer) ping(ctx context.Context) error { return s.exec(ctx, "postgres", "SELECT 1") }

// PgBouncer starts a PgBouncer in transaction mode in front of a server and
// returns its address. It has a few connections to each database only.
func PgBouncer(t testing.TB, s *PostgresServer) string {
	t.Helper()
	address, end, err := startPgBouncer(s)
	need(t, err)
	t.Cleanup(end)
	return address
}

// BouncerURL is how to reach a database by a PgBouncer.
func BouncerURL(address, database string) string { return databaseURL(address, database) }

func startPgBouncer(s *PostgresServer) (address string, end func(), err error) {
	path, err := find("pgbouncer")
	if err != nil {
		return "", nil, err
	}
	dir, err := newDir()
	if err != nil {
		return "", nil, err
	}
	port, err := freePort()
	if err != nil {
		return "", nil, err
	}
	settings := strings.NewReplacer("$DIR", dir, "$PORT", strconv.Itoa(port), "$SERVER", strconv.Itoa(s.port)).Replace(`[databases]
* = host=127.0.0.1 port=$SERVER
[pgbouncer]
listen_addr = 127.0.0.1
listen_port = $PORT
unix_socket_dir =
auth_type = plain
auth_file = $DIR/users
pool_mode = transaction
default_pool_size = 4
max_client_conn = 500
server_idle_timeout = 5
log_connections = 0
log_disconnections = 0
`)
	if err := give(dir, "users", fmt.Sprintf("%q %q\n", "stile", Password)); err != nil {
		return "", nil, err
	}
	if err := give(dir, "settings", settings); err != nil {
		return "", nil, err
	}
	p, err := spawn(dir, "TERM", path, filepath.Join(dir, "settings"))
	if err != nil {
		return "", nil, err
	}
	address = "127.0.0.1:" + strconv.Itoa(port)
	if err := p.await(func(ctx context.Context) error {
		conn, err := pgx.Connect(ctx, databaseURL(address, "postgres"))
		if err != nil {
			return err
		}
		return conn.Close(ctx)
	}); err != nil {
		p.end()
		return "", nil, fmt.Errorf("pgbouncer: %w", err)
	}
	return address, p.end, nil
}
