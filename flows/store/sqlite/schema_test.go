package sqlite_test

import (
	"database/sql"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/stile-auth/stile/flows"
	"github.com/stile-auth/stile/flows/account"
	"github.com/stile-auth/stile/flows/store/sqlite"
)

// first makes a database as the first schema left it and returns its path.
func first(t *testing.T) string {
	t.Helper()
	script, err := os.ReadFile("testdata/first.sql")
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "stile.db")
	execute(t, path, string(script))
	return path
}

// What the first schema kept is read by every later program.
func TestFirstSchema(t *testing.T) {
	t.Parallel()
	s := open(t, sqlite.Config{Path: first(t)})
	r, err := s.Load(t.Context(), flows.Alias([]byte("an alias that has thirty-two byte")[:32]), start)
	want := flows.Record{ID: "run", Version: 7, Expires: start.Add(time.Hour), Aliases: r.Aliases, Data: []byte("state")}
	if err != nil || len(r.Aliases) != 1 || !cmp.Equal(r, want) {
		t.Errorf("run %+v, %v", r, err)
	}
	a, err := s.Accounts().AccountByLogin(t.Context(), "jane")
	if err != nil || a.Subject != "s1" || a.Status != account.Active || a.Attributes["branch"] != "Zurich" {
		t.Errorf("account %+v, %v", a, err)
	}
	auths, err := s.Accounts().Authenticators(t.Context(), "s1")
	if err != nil || len(auths) != 1 || auths[0].Binding != "aal2" || !auths[0].LastUsed.IsZero() {
		t.Errorf("authenticators %+v, %v", auths, err)
	}
	events, _, err := s.Events(t.Context(), 0, 10)
	if err != nil || len(events) != 1 || events[0].Type != "run_started" {
		t.Errorf("events %+v, %v", events, err)
	}
}

// firstWrites are writes of the program that knows the first schema only.
var firstWrites = []string{
	`INSERT INTO definitions (hash, source) VALUES (?1, CAST('text' AS BLOB)) ON CONFLICT DO NOTHING`,
	`INSERT INTO counters (key, failures, until) VALUES (?1, 4, 1767323045000000006)
		ON CONFLICT (key) DO UPDATE SET failures = excluded.failures, until = excluded.until`,
	`INSERT OR REPLACE INTO sessions (secret, id, subject, client, key, evidence, created, expires)
		VALUES (CAST(substr(?1 || '--------------------------------', 1, 32) AS BLOB), ?1, 's1', 'bank-app', '', 'null',
			1767323045000000006, 1767326645000000006)`,
}

// A program of the first schema wrote before the upgrade, and goes on to write
// while this one already uses the file. What it writes is whole, and is kept.
func TestFirstProgramGoesOn(t *testing.T) {
	t.Parallel()
	path := first(t)
	db := raw(t, path)
	var writes []*sql.Stmt
	for _, query := range firstWrites {
		stmt, err := db.PrepareContext(t.Context(), query)
		if err != nil {
			t.Fatal(err)
		}
		writes = append(writes, stmt)
	}
	write := func(name string) {
		for i, stmt := range writes {
			if _, err := stmt.ExecContext(t.Context(), name); err != nil {
				t.Fatalf("write %d of the first program: %v", i, err)
			}
		}
	}
	write("before")
	s := open(t, sqlite.Config{Path: path})
	write("after")
	for _, name := range []string{"before", "after"} {
		firstKept(t, s, name)
	}
}

// firstKept checks what was written under that name, and that no sweep takes it.
func firstKept(t *testing.T, s *sqlite.Store, name string) {
	t.Helper()
	late := start.AddDate(200, 0, 0)
	if n, err := s.DeleteExpiredTexts(t.Context(), late, 10); n != 0 || err != nil {
		t.Errorf("%s: %d texts deleted, %v", name, n, err)
	}
	if n, err := s.DeleteExpiredCounters(t.Context(), late, 10); n != 0 || err != nil {
		t.Errorf("%s: %d counters deleted, %v", name, n, err)
	}
	if err := s.PutText(t.Context(), name, []byte("other"), start); err != nil {
		t.Error(err)
	}
	if source, err := s.Text(t.Context(), name); string(source) != "text" || err != nil {
		t.Errorf("%s: text %q, %v", name, source, err)
	}
	err := s.Change(t.Context(), name, func(c flows.Counter) (flows.Counter, error) {
		if want := (flows.Counter{Failures: 4, Until: start}); c != want {
			t.Errorf("%s: counter %+v, want %+v", name, c, want)
		}
		return c, nil
	})
	if err != nil {
		t.Error(err)
	}
	secret := flows.Alias([]byte(name + "--------------------------------")[:32])
	got, err := s.Session(t.Context(), secret, start)
	want := flows.Session{ID: name, Secret: secret, Subject: "s1", Client: "bank-app", Created: start, Expires: start.Add(time.Hour)}
	if diff := cmp.Diff(want, got, cmpopts.EquateEmpty()); err != nil || diff != "" {
		t.Errorf("%s: session %v\n%s", name, err, diff)
	}
}
