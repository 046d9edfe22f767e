package postgres_test

import (
	"strconv"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/stile-auth/stile/flows"
	"github.com/stile-auth/stile/flows/store/postgres"
	"github.com/stile-auth/stile/flows/store/servertest"
)

// The numbers of the locks are part of what nodes of different versions agree on.
const (
	auditLock     = 0x617564697400
	migrationLock = 0x7374696c65
)

// another is a node that has stopped in the middle of a transaction.
func another(t *testing.T, url string, statements ...string) pgx.Tx {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), url)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close(t.Context()) })
	tx, err := conn.Begin(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range statements {
		if _, err := tx.Exec(t.Context(), s); err != nil {
			t.Fatal(err)
		}
	}
	return tx
}

// waits returns once somebody waits for an advisory lock of the database; it fails if
// done is closed before, since then nobody waited.
func waits(t *testing.T, url string, done <-chan struct{}) {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), url)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close(t.Context()) }()
	for end := time.Now().Add(30 * time.Second); time.Now().Before(end); {
		select {
		case <-done:
			t.Fatal("it has not waited")
		default:
		}
		var waiting bool
		err := conn.QueryRow(t.Context(), `SELECT EXISTS (SELECT 1 FROM pg_locks l JOIN pg_database d ON d.oid = l.database
			WHERE d.datname = current_database() AND l.locktype = 'advisory' AND NOT l.granted)`).Scan(&waiting)
		if err != nil {
			t.Fatal(err)
		}
		if waiting {
			return
		}
	}
	t.Fatal("nobody waits, and nobody is done")
}

// A reader of the audit trail waits for a recorder whose events have numbers and are not
// committed yet: else it would pass them by, for ever.
func TestReaderWaitsForRecorder(t *testing.T) {
	t.Parallel()
	url := database(t)
	s := open(t, postgres.Config{URL: url})
	tx := another(t, url, `SELECT pg_advisory_xact_lock_shared(`+strconv.Itoa(auditLock)+`)`,
		`INSERT INTO audit (id, time, event) VALUES ('early', 0, '{"id":"early"}')`)
	if err := s.Record(t.Context(), flows.Event{ID: "late", Time: start, Type: "x"}); err != nil {
		t.Fatal(err)
	}
	var events []flows.Event
	var err error
	done := make(chan struct{})
	go func() { events, _, err = s.Events(t.Context(), 0, 10); close(done) }()
	waits(t, url, done)
	if err := tx.Commit(t.Context()); err != nil {
		t.Fatal(err)
	}
	<-done
	if err != nil || len(events) != 2 || events[0].ID != "early" || events[1].ID != "late" {
		t.Errorf("%+v, %v", events, err)
	}
}

// A node that starts waits for another one that is changing the schema.
func TestStartWaitsForMigration(t *testing.T) {
	t.Parallel()
	server := servertest.Postgres(t)
	url := server.URL(server.Database(t, ""))
	tx := another(t, url, `SELECT pg_advisory_xact_lock(`+strconv.Itoa(migrationLock)+`)`)
	var s *postgres.Store
	var err error
	done := make(chan struct{})
	go func() { s, err = postgres.Open(t.Context(), postgres.Config{URL: url}); close(done) }()
	waits(t, url, done)
	if err := tx.Commit(t.Context()); err != nil {
		t.Fatal(err)
	}
	<-done
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Close(); err != nil {
		t.Error(err)
	}
}
