package sqlite_test

import (
	"context"
	"database/sql"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stile-auth/stile/flows"
	"github.com/stile-auth/stile/flows/store/sqlite"
)

var start = time.Date(2026, 1, 2, 3, 4, 5, 6, time.UTC)

func TestOpenRefuses(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	notes := filepath.Join(dir, "notes.txt")
	if err := os.WriteFile(notes, []byte(strings.Repeat("no database ", 100)), 0o600); err != nil {
		t.Fatal(err)
	}
	for name, cfg := range map[string]sqlite.Config{
		"no path":            {},
		"unknown durability": {Path: filepath.Join(dir, "a.db"), Durability: "off"},
		"folder":             {Path: dir},
		"other file":         {Path: notes},
	} {
		if s, err := sqlite.Open(t.Context(), cfg); err == nil {
			t.Errorf("%s: opened", name)
			_ = s.Close()
		}
	}
}

// A name with the letters that file addresses give a meaning to.
func TestOddPath(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "a b", "odd?mode=memory&x=%41#ü.db")
	s := open(t, sqlite.Config{Path: path})
	if err := s.PutText(t.Context(), "hash", []byte("x"), start); err != nil {
		t.Fatal(err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := open(t, sqlite.Config{Path: path}).Text(t.Context(), "hash"); err != nil {
		t.Error(err)
	}
	if _, err := os.Stat(path); err != nil {
		t.Error(err)
	}
}

// Everything in the file is its owner's alone, even if somebody loosened it.
func TestPrivate(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "data")
	path := filepath.Join(dir, "stile.db")
	s := open(t, sqlite.Config{Path: path})
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(path, 0o644); err != nil {
		t.Fatal(err)
	}
	s = open(t, sqlite.Config{Path: path})
	if err := s.PutText(t.Context(), "hash", []byte("x"), start); err != nil {
		t.Fatal(err)
	}
	files := 0
	err := filepath.WalkDir(dir, func(name string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		info, err := d.Info()
		if err != nil {
			return err
		}
		files++
		if info.Mode().Perm()&0o077 != 0 {
			t.Errorf("%s has mode %v", name, info.Mode())
		}
		return nil
	})
	if err != nil || files < 4 {
		t.Errorf("%d files seen, want folder, database, log and index: %v", files, err)
	}
}

// raw opens a database behind the store's back.
func raw(t *testing.T, path string) *sql.DB {
	t.Helper()
	db, err := sql.Open("sqlite", path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := db.Close(); err != nil {
			t.Error(err)
		}
	})
	return db
}

// execute changes a database behind the store's back.
func execute(t *testing.T, path, script string) {
	t.Helper()
	if _, err := raw(t, path).ExecContext(t.Context(), script); err != nil {
		t.Fatal(err)
	}
}

func TestNewerSchema(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "stile.db")
	if err := open(t, sqlite.Config{Path: path}).Close(); err != nil {
		t.Fatal(err)
	}
	execute(t, path, `INSERT INTO goose_db_version (version_id, is_applied) VALUES (4711, 1)`)
	s, err := sqlite.Open(t.Context(), sqlite.Config{Path: path})
	if err == nil {
		_ = s.Close()
	}
	if !errors.Is(err, sqlite.ErrSchema) || !strings.Contains(err.Error(), "4711") {
		t.Errorf("error %v, want ErrSchema that names the version", err)
	}
}

func TestTwoProcesses(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "stile.db")
	const n = 4
	stores := make([]*sqlite.Store, n)
	errs := make(chan error, n)
	for i := range n {
		go func() {
			var err error
			stores[i], err = sqlite.Open(context.WithoutCancel(t.Context()), sqlite.Config{Path: path})
			errs <- err
		}()
	}
	for range n {
		if err := <-errs; err != nil {
			t.Fatal(err)
		}
	}
	for i, s := range stores {
		t.Cleanup(func() { _ = s.Close() })
		err := s.TakeMark(t.Context(), "m", string(rune('a'+i)), start, start.Add(time.Hour))
		if want := i > 0; errors.Is(err, flows.ErrTaken) != want {
			t.Errorf("store %d: %v", i, err)
		}
	}
}

// While another process writes for longer than anybody can wait, writing is
// unavailable and reading goes on.
func TestLocked(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "stile.db")
	s := open(t, sqlite.Config{Path: path})
	other, err := sql.Open("sqlite", path)
	if err != nil {
		t.Fatal(err)
	}
	other.SetMaxOpenConns(1)
	defer func() { _ = other.Close() }()
	if _, err := other.ExecContext(t.Context(), "BEGIN IMMEDIATE"); err != nil {
		t.Fatal(err)
	}
	if err := s.PutText(t.Context(), "hash", nil, start); !errors.Is(err, flows.ErrUnavailable) {
		t.Errorf("error %v, want ErrUnavailable", err)
	}
	if err := s.Ping(t.Context()); err != nil {
		t.Error(err)
	}
	if _, err := other.ExecContext(t.Context(), "ROLLBACK"); err != nil {
		t.Fatal(err)
	}
	if err := s.PutText(t.Context(), "hash", nil, start); err != nil {
		t.Error(err)
	}
}

// A closed database is unavailable: neither absent nor a bug.
func TestUnavailable(t *testing.T) {
	t.Parallel()
	s := open(t, sqlite.Config{Path: filepath.Join(t.TempDir(), "stile.db")})
	for range 2 {
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
	}
	_, loadErr := s.Load(t.Context(), flows.Alias{}, start)
	_, accountErr := s.Accounts().Account(t.Context(), "s")
	for name, err := range map[string]error{
		"ping": s.Ping(t.Context()), "load": loadErr, "account": accountErr,
		"create": s.Create(t.Context(), flows.Record{ID: "r", Version: 1}, start),
	} {
		if !errors.Is(err, flows.ErrUnavailable) {
			t.Errorf("%s: error %v, want ErrUnavailable", name, err)
		}
	}
}

func TestInstantsAtTheEdge(t *testing.T) {
	t.Parallel()
	s := open(t, sqlite.Config{Path: filepath.Join(t.TempDir(), "stile.db")})
	for name, expires := range map[string]time.Time{"past": {}, "long past": time.Unix(-1<<40, 0), "future": time.Unix(1<<40, 0), "epoch": time.Unix(0, 0)} {
		r := flows.Record{ID: name, Version: 1, Aliases: []flows.Alias{{name[0], name[1], name[4%len(name)]}}, Expires: expires}
		if err := s.Create(t.Context(), r, start); err != nil {
			t.Fatal(err)
		}
		_, err := s.Load(t.Context(), r.Aliases[0], start)
		if live := err == nil; live != (name == "future") {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// A counter that became zero leaves no row behind.
func TestZeroCounter(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "stile.db")
	s := open(t, sqlite.Config{Path: path})
	for _, c := range []flows.Counter{{Failures: 1, Until: start, Expires: start}, {}} {
		if err := s.Change(t.Context(), "k", func(flows.Counter) (flows.Counter, error) { return c, nil }); err != nil {
			t.Fatal(err)
		}
		rows := -1
		db := raw(t, path)
		if err := db.QueryRowContext(t.Context(), "SELECT count(*) FROM counters").Scan(&rows); err != nil {
			t.Fatal(err)
		}
		if want := min(c.Failures, 1); rows != want {
			t.Errorf("%d rows for %+v, want %d", rows, c, want)
		}
	}
}
