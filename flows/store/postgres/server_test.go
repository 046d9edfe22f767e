//go:build unix

package postgres_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/stile-auth/stile/flows"
	"github.com/stile-auth/stile/flows/store/postgres"
	"github.com/stile-auth/stile/flows/store/servertest"
)

var start = time.Date(2026, 1, 2, 3, 4, 5, 6, time.UTC)

func record(id string, version int64) flows.Record {
	return flows.Record{ID: id, Version: version, Expires: start.Add(time.Hour), Aliases: []flows.Alias{{id[0]}}, Data: []byte(id)}
}

// Nodes that start at the same moment on an empty database make one schema.
func TestStartAtOnce(t *testing.T) {
	t.Parallel()
	server := servertest.Postgres(t)
	url := server.URL(server.Database(t, ""))
	const nodes = 6
	errs := make(chan error, nodes)
	for range nodes {
		go func() {
			s, err := postgres.Open(context.WithoutCancel(t.Context()), postgres.Config{URL: url, Connections: 2})
			if err == nil {
				err = errors.Join(s.PutValue(t.Context(), "x", nil, 0), s.Close())
			}
			errs <- err
		}()
	}
	for range nodes {
		if err := <-errs; !errors.Is(err, flows.ErrConflict) { // of version 0, which cannot be stored: the table is there
			t.Error(err)
		}
	}
}

// A schema that the program does not have stops the start with words: a newer one
// always, an older one if it may not be changed.
func TestSchema(t *testing.T) {
	t.Parallel()
	server := servertest.Postgres(t)
	fails := func(cfg postgres.Config, words ...string) {
		t.Helper()
		s, err := postgres.Open(t.Context(), cfg)
		if err == nil {
			_ = s.Close()
		}
		for _, w := range words {
			if !errors.Is(err, postgres.ErrSchema) || !strings.Contains(err.Error(), w) {
				t.Errorf("error %v, want ErrSchema that says %q", err, w)
			}
		}
	}
	name := server.Database(t, "")
	cfg := postgres.Config{URL: server.URL(name), Manual: true}
	fails(cfg, "version 0", "stile migrate")
	if from, to, err := postgres.Migrate(t.Context(), cfg); err != nil || from != 0 || to < 1 {
		t.Fatal(from, to, err)
	}
	open(t, cfg)
	if from, to, err := postgres.Migrate(t.Context(), cfg); err != nil || from != to {
		t.Errorf("again: from %d to %d, %v", from, to, err)
	}
	server.Exec(t, name, `INSERT INTO goose_db_version (version_id, is_applied) VALUES (4711, true)`)
	fails(cfg, "4711", "newer one")
	cfg.Manual = false
	fails(cfg, "4711", "newer one")
	if _, _, err := postgres.Migrate(t.Context(), cfg); !errors.Is(err, postgres.ErrSchema) {
		t.Errorf("migrate: %v", err)
	}
}

// A pool that is smaller than the load makes callers wait. It does not hang: who
// waits too long is told, and who gives up is let go.
func TestSmallPool(t *testing.T) {
	t.Parallel()
	s := open(t, postgres.Config{URL: database(t), Connections: 1})
	var wg sync.WaitGroup
	for i := range 64 {
		wg.Go(func() {
			if err := s.TakeMark(t.Context(), fmt.Sprint(i), "owner", start, start.Add(time.Hour)); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
}

// While somebody holds what all want for ever, callers are told so in time.
func TestHeld(t *testing.T) {
	t.Parallel()
	url := database(t)
	s := open(t, postgres.Config{URL: url, Connections: 1, Timeout: 300 * time.Millisecond})
	if err := s.TakeMark(t.Context(), "m", "owner", start, start.Add(time.Hour)); err != nil {
		t.Fatal(err)
	}
	other, err := pgx.Connect(t.Context(), url)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = other.Close(context.WithoutCancel(t.Context())) }()
	if _, err := other.Exec(t.Context(), "BEGIN; LOCK TABLE marks"); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	results := make(chan error, 2)
	for _, ctx := range []context.Context{t.Context(), ctx} {
		go func() { results <- s.TakeMark(ctx, "m", "owner", start, start.Add(time.Hour)) }()
	}
	cancel()
	for range 2 {
		if err := <-results; !errors.Is(err, flows.ErrUnavailable) && !errors.Is(err, context.Canceled) {
			t.Errorf("error %v", err)
		}
	}
	if _, err := other.Exec(t.Context(), "ROLLBACK"); err != nil {
		t.Fatal(err)
	}
	if err := s.TakeMark(t.Context(), "m", "owner", start, start.Add(time.Hour)); err != nil {
		t.Errorf("afterwards: %v", err)
	}
}

// A server that stops, or dies, is unavailable: neither absent nor a bug. When it is
// back, so is the store, with everything that it acknowledged.
func TestServerGoes(t *testing.T) {
	t.Parallel()
	server := servertest.NewPostgres(t)
	s := open(t, postgres.Config{URL: server.URL(server.Database(t, "")), Timeout: 3 * time.Second})
	if err := s.Create(t.Context(), record("run", 1), start); err != nil {
		t.Fatal(err)
	}
	version := int64(1)
	for _, end := range []func(testing.TB){server.Stop, server.Crash} {
		end(t)
		_, loadErr := s.Load(t.Context(), flows.Alias{'r'}, start)
		_, accountErr := s.Accounts().Account(t.Context(), "s")
		for name, err := range map[string]error{
			"ping": s.Ping(t.Context()), "load": loadErr, "account": accountErr, "update": s.Update(t.Context(), record("run", version+1)),
			"change": s.Change(t.Context(), "k", func(c flows.Counter) (flows.Counter, error) { return flows.Counter{Failures: 1}, nil }),
		} {
			if !errors.Is(err, flows.ErrUnavailable) {
				t.Errorf("%s: error %v, want ErrUnavailable", name, err)
			}
		}
		server.Start(t)
		if err := s.Ping(t.Context()); err != nil {
			t.Errorf("after the start: %v", err)
		}
		if r, err := s.Load(t.Context(), flows.Alias{'r'}, start); err != nil || r.Version != version {
			t.Errorf("after the start: run %+v, %v", r, err)
		}
		version++
		if err := s.Update(t.Context(), record("run", version)); err != nil {
			t.Errorf("after the start: %v", err)
		}
	}
}

// A reader of the audit trail who goes on from where it was misses nothing, however many
// record meanwhile and in whichever order they finish.
func TestEventsWithoutGaps(t *testing.T) {
	t.Parallel()
	s := open(t, postgres.Config{URL: database(t), Connections: 12})
	const recorders, each = 8, 40
	var wg sync.WaitGroup
	for i := range recorders {
		wg.Go(func() {
			for j := range each {
				var events []flows.Event
				for k := range 1 + (i+j)%3 {
					events = append(events, flows.Event{ID: fmt.Sprintf("%d.%d.%d", i, j, k), Time: start, Type: "x"})
				}
				if err := s.Record(t.Context(), events...); err != nil {
					t.Error(err)
				}
			}
		})
	}
	done := make(chan struct{})
	go func() { wg.Wait(); close(done) }()
	seen, row, over := map[string]bool{}, int64(0), false
	for last := false; !last; last = over {
		select {
		case <-done:
			over = true
		default:
		}
		for {
			events, next, err := s.Events(t.Context(), row, 7)
			if err != nil {
				t.Fatal(err)
			}
			for _, e := range events {
				seen[e.ID] = true
			}
			if row = next; len(events) == 0 {
				break
			}
		}
	}
	all, _, err := s.Events(t.Context(), 0, 10_000)
	if err != nil || len(all) < recorders*each || len(seen) != len(all) {
		t.Errorf("%d events were seen of %d, %v", len(seen), len(all), err)
	}
}

// Whoever holds a row and stops lets it go after the timeout.
func TestHolderStops(t *testing.T) {
	t.Parallel()
	url := database(t)
	s := open(t, postgres.Config{URL: url, Timeout: 400 * time.Millisecond})
	one := flows.Counter{Failures: 1}
	if err := s.Change(t.Context(), "k", func(flows.Counter) (flows.Counter, error) { return one, nil }); err != nil {
		t.Fatal(err)
	}
	holding, free := make(chan struct{}), make(chan struct{})
	var once sync.Once
	result := make(chan error, 1)
	go func() {
		calls := 0
		result <- s.Change(t.Context(), "k", func(c flows.Counter) (flows.Counter, error) {
			if calls++; calls == 1 { // somebody else is faster: the second call holds the row
				err := s.Change(t.Context(), "k", func(flows.Counter) (flows.Counter, error) { return flows.Counter{Failures: 5}, nil })
				return flows.Counter{Failures: 2}, err
			}
			once.Do(func() { close(holding) })
			<-free
			c.Failures += 100
			return c, nil
		})
	}()
	<-holding
	patient := open(t, postgres.Config{URL: url})
	if err := patient.Change(t.Context(), "k", func(c flows.Counter) (flows.Counter, error) {
		c.Failures++
		return c, nil
	}); err != nil {
		t.Errorf("who waits: %v", err)
	}
	close(free)
	want := 106 // who had stopped begins anew, or fails
	if err := <-result; err != nil {
		want = 6
		if !errors.Is(err, flows.ErrUnavailable) {
			t.Errorf("who had stopped: %v", err)
		}
	}
	var got flows.Counter
	if err := patient.Change(t.Context(), "k", func(c flows.Counter) (flows.Counter, error) { got = c; return c, nil }); err != nil || got.Failures != want {
		t.Errorf("the counter is %+v, %v", got, err)
	}
}

// Two that hold what the other wants: the server rolls back the one that asks first, and it tries again.
func TestDeadlock(t *testing.T) {
	t.Parallel()
	url := database(t)
	s := open(t, postgres.Config{URL: url + "&deadlock_timeout=2s", Timeout: 30 * time.Second})
	other, err := pgx.Connect(t.Context(), url)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = other.Close(context.WithoutCancel(t.Context())) }()
	insert := func(id string) {
		t.Helper()
		if _, err := other.Exec(t.Context(), `INSERT INTO audit (id, time, event) VALUES ($1, 0, '{}')`, []byte(id)); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := other.Exec(t.Context(), "SET deadlock_timeout = '1h'; BEGIN"); err != nil {
		t.Fatal(err)
	}
	insert("b")
	result := make(chan error, 1)
	go func() {
		result <- s.Record(t.Context(), flows.Event{ID: "a", Time: start, Type: "x"}, flows.Event{ID: "b", Time: start, Type: "x"})
	}()
	for waiting := 0; waiting == 0; {
		err := other.QueryRow(t.Context(), `SELECT count(*) FROM pg_locks WHERE NOT granted AND database = (SELECT oid FROM pg_database WHERE datname = current_database())
			OR NOT granted AND locktype = 'transactionid' AND transactionid::text = txid_current()::text`).Scan(&waiting)
		if err != nil {
			t.Fatal(err)
		}
	}
	insert("a")
	if _, err := other.Exec(t.Context(), "COMMIT"); err != nil {
		t.Fatal(err)
	}
	if err := <-result; err != nil {
		t.Errorf("the one that was rolled back: %v", err)
	}
	var deadlocks int
	for deadlocks == 0 { // the server counts a little later
		if err := other.QueryRow(t.Context(), `SELECT deadlocks FROM pg_stat_database WHERE datname = current_database()`).Scan(&deadlocks); err != nil {
			t.Fatal(err)
		}
	}
}

func TestConfig(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		cfg  postgres.Config
		want string
	}{
		"no URL":              {postgres.Config{}, "postgres://"},
		"other database":      {postgres.Config{URL: "mysql://a/b"}, "postgres://"},
		"no TLS":              {postgres.Config{URL: "postgres://a@db.bank.example/b?sslmode=disable"}, "verify-full"},
		"any certificate":     {postgres.Config{URL: "postgres://a@db.bank.example/b?sslmode=require"}, "verify-full"},
		"one host elsewhere":  {postgres.Config{URL: "postgres://a@127.0.0.1,db.bank.example/b?sslmode=prefer"}, "verify-full"},
		"host in the query":   {postgres.Config{URL: "postgres://a@/b?host=db.bank.example&sslmode=disable"}, "verify-full"},
		"durability":          {postgres.Config{URL: "postgres://a@127.0.0.1/b", Durability: "some"}, "neither full nor normal"},
		"pooler's durability": {postgres.Config{URL: "postgres://a@127.0.0.1/b", Durability: "normal", PgBouncer: true}, "ALTER ROLE"},
		"not reached":         {postgres.Config{URL: "postgres://a:secret@127.0.0.1:1/b"}, "unavailable"},
		"TLS by itself":       {postgres.Config{URL: "postgres://a:secret@127.0.0.1:1,192.0.2.1:1/b", Timeout: time.Second}, "unavailable"},
	} {
		s, err := postgres.Open(t.Context(), c.cfg)
		if err == nil {
			_ = s.Close()
		}
		if err == nil || !strings.Contains(err.Error(), c.want) || strings.Contains(err.Error(), "secret") {
			t.Errorf("%s: error %v, want %q", name, err, c.want)
		}
	}
	server := servertest.Postgres(t)
	name := server.Database(t, "")
	server.Exec(t, "postgres", "ALTER DATABASE "+name+" SET default_transaction_isolation = 'serializable'")
	bouncer := servertest.PgBouncer(t, server)
	s, err := postgres.Open(t.Context(), postgres.Config{URL: servertest.BouncerURL(bouncer, name), PgBouncer: true})
	if err == nil {
		_ = s.Close()
	}
	if err == nil || !strings.Contains(err.Error(), "read committed") {
		t.Errorf("other isolation: %v", err)
	}
}

// A password beside the URL is used; it is in no error.
func TestPassword(t *testing.T) {
	t.Parallel()
	server := servertest.Postgres(t)
	url := strings.Replace(server.URL(server.Database(t, schema(t))), "stile:", "stile:wrong", 1)
	s, err := postgres.Open(t.Context(), postgres.Config{URL: url})
	if err == nil {
		_ = s.Close()
	}
	if err == nil || strings.Contains(err.Error(), "wrong") {
		t.Errorf("wrong password: %v", err)
	}
	open(t, postgres.Config{URL: url, Password: servertest.Password})
}

// A closed store is unavailable.
func TestClosed(t *testing.T) {
	t.Parallel()
	s := open(t, postgres.Config{URL: database(t)})
	for range 2 {
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
	}
	if err := s.Ping(t.Context()); !errors.Is(err, flows.ErrUnavailable) {
		t.Errorf("error %v", err)
	}
}
