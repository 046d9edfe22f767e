// Package sqlite keeps everything in one SQLite file: the embedded default.
//
// The file is in WAL mode. One connection writes and a small pool reads, so
// readers never wait for writers. Writers that wait at the same moment share
// one transaction, and so one sync of the disk; each of them is told of its
// success only after that transaction is durable. Another process may use the same file.
//
// A [Store] implements all ports of package flows; [Store.Accounts] returns the
// repository of accounts. Both are safe for concurrent use. Their errors are
// the sentinels of packages flows and account, the context's error, or wrap
// [flows.ErrUnavailable] if the database cannot be used now.
package sqlite

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"net/url"
	"os"
	"path/filepath"

	_ "modernc.org/sqlite" // the driver "sqlite"

	"github.com/stile-auth/stile/flows"
)

// Config says where the data lies.
type Config struct {
	// Path of the file. It and its folder are made if absent, readable by their
	// owner alone; a file that others can read is made private.
	Path string
	// Durability is "full" (default): what was acknowledged survives a power
	// failure; or "normal": it survives a crash of the process, but the last
	// moments may be lost, consistently, with the machine.
	Durability string
}

// Store is an open database. Make one with [Open] and close it with [Store.Close].
type Store struct {
	writer  *writer
	reader  *prepared
	readers *sql.DB
	writers *sql.DB
}

var (
	_ flows.Store         = (*Store)(nil)
	_ flows.Texts         = (*Store)(nil)
	_ flows.Sessions      = (*Store)(nil)
	_ flows.Throttle      = (*Store)(nil)
	_ flows.Marks         = (*Store)(nil)
	_ flows.Recorder      = (*Store)(nil)
	_ flows.StoredClients = (*Store)(nil)
)

// maxReaders bounds the connections that read at once.
const maxReaders = 4

// Open opens the database, makes it if it is absent, and brings its schema up
// to date. [ErrSchema] if a newer program wrote it.
func Open(ctx context.Context, cfg Config) (*Store, error) {
	sync, err := cfg.synchronous()
	if err != nil {
		return nil, err
	}
	path, err := makePrivate(cfg.Path)
	if err != nil {
		return nil, err
	}
	s := &Store{}
	if err := s.open(ctx, path, sync); err != nil {
		return nil, errors.Join(err, s.Close())
	}
	return s, nil
}

func (s *Store) open(ctx context.Context, path, sync string) (err error) {
	if s.writers, err = sql.Open("sqlite", dsn(path, sync, "")); err != nil {
		return fault(err)
	}
	s.writers.SetMaxOpenConns(1)
	if err := migrate(ctx, s.writers); err != nil {
		return err
	}
	if s.writer, err = newWriter(ctx, s.writers); err != nil {
		return err
	}
	if s.readers, err = sql.Open("sqlite", dsn(path, sync, "query_only(1)")); err != nil {
		return fault(err)
	}
	s.readers.SetMaxOpenConns(maxReaders)
	s.readers.SetMaxIdleConns(maxReaders)
	s.reader = newPrepared(s.readers)
	return s.Ping(ctx)
}

// Close ends the use of the file. Calls that are under way fail or finish first.
func (s *Store) Close() error {
	var errs []error
	if s.reader != nil {
		errs = append(errs, s.reader.close(), s.readers.Close())
	}
	if s.writer != nil {
		errs = append(errs, s.writer.close())
	}
	if s.writers != nil {
		errs = append(errs, s.writers.Close())
	}
	return errors.Join(errs...)
}

// Ping reports whether the database can be read.
func (s *Store) Ping(ctx context.Context) error {
	var one int
	return s.reader.row(ctx, "SELECT count(*) FROM goose_db_version", nil, &one)
}

// Accounts returns the repository of accounts in this database.
func (s *Store) Accounts() *Accounts { return &Accounts{s: s} }

func (cfg Config) synchronous() (string, error) {
	switch cfg.Durability {
	case "", "full":
		return "FULL", nil
	case "normal":
		return "NORMAL", nil
	}
	return "", fmt.Errorf("sqlite: durability %q is neither full nor normal", cfg.Durability)
}

// makePrivate makes folder and file before SQLite would make them readable by
// all; the files that SQLite adds beside it take their mode from it.
func makePrivate(path string) (string, error) {
	if path == "" {
		return "", errors.New("sqlite: no path")
	}
	path, err := filepath.Abs(path)
	if err != nil {
		return "", fmt.Errorf("sqlite: %w", err)
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return "", fmt.Errorf("sqlite: %w", err)
	}
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return "", fmt.Errorf("sqlite: %w", err)
	}
	return path, errors.Join(f.Chmod(0o600), f.Close())
}

// dsn is the address of the file for the driver; the pragmas hold for every connection.
func dsn(path, sync, more string) string {
	q := url.Values{"_txlock": {"immediate"}, "_pragma": {
		"busy_timeout(5000)", "journal_mode(WAL)", "synchronous(" + sync + ")", "foreign_keys(1)", "journal_size_limit(67108864)",
	}}
	if more != "" {
		q.Add("_pragma", more)
	}
	return "file:" + (&url.URL{Path: path}).EscapedPath() + "?" + q.Encode()
}
