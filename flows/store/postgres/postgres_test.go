//go:build unix

package postgres_test

import (
	"context"
	"os"
	"sync"
	"testing"

	"github.com/stile-auth/stile/flows/store/postgres"
	"github.com/stile-auth/stile/flows/store/servertest"
	"github.com/stile-auth/stile/flows/store/storetest"
)

func TestMain(m *testing.M) { os.Exit(servertest.Main(m)) }

func TestStore(t *testing.T) {
	t.Parallel()
	storetest.Run(t, func(t *testing.T) storetest.Stores {
		t.Helper()
		return stores(t, postgres.Config{URL: database(t), Connections: 8})
	})
}

// Behind a pooler in transaction mode, which has fewer connections than its clients,
// and gives each another one for each transaction.
func TestStoreBehindPgBouncer(t *testing.T) {
	t.Parallel()
	s := servertest.Postgres(t)
	bouncer := servertest.PgBouncer(t, s)
	storetest.Run(t, func(t *testing.T) storetest.Stores {
		t.Helper()
		return stores(t, postgres.Config{URL: servertest.BouncerURL(bouncer, s.Borrow(t, schema(t))), PgBouncer: true, Connections: 8})
	})
}

func stores(t *testing.T, cfg postgres.Config) storetest.Stores {
	t.Helper()
	s := open(t, cfg)
	return storetest.Stores{
		Runs: s, Texts: s, Values: s, Sessions: s, Throttle: s, Marks: s, Kept: s, Audit: s, Clients: s,
		Accounts: s.Accounts(), Authenticators: s.Accounts(), Agreements: s.Accounts(),
		Reopen: func(t *testing.T) storetest.Stores {
			t.Helper()
			if err := s.Close(); err != nil {
				t.Fatal(err)
			}
			return stores(t, cfg)
		},
	}
}

// database makes a database that has the schema, and returns its URL.
func database(t testing.TB) string {
	t.Helper()
	s := servertest.Postgres(t)
	return s.URL(s.Borrow(t, schema(t)))
}

// schema is a database that has nothing but the schema.
func schema(t testing.TB) string {
	t.Helper()
	name, err := template(servertest.Postgres(t))
	if err != nil {
		t.Fatal(err)
	}
	return name
}

var templates sync.Map

func template(s *servertest.PostgresServer) (string, error) {
	once, _ := templates.LoadOrStore(s, sync.OnceValues(func() (string, error) {
		return s.Template(context.Background(), func(url string) error {
			_, _, err := postgres.Migrate(context.Background(), postgres.Config{URL: url})
			return err
		})
	}))
	return once.(func() (string, error))()
}

func open(t testing.TB, cfg postgres.Config) *postgres.Store {
	t.Helper()
	s, err := postgres.Open(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return s
}

func BenchmarkSwap(b *testing.B) {
	for _, durability := range []string{"full", "normal"} {
		b.Run(durability, func(b *testing.B) {
			s := servertest.NewPostgres(b)
			storetest.BenchmarkSwap(b, open(b, postgres.Config{URL: s.URL(s.Database(b, "")), Durability: durability}))
		})
	}
}
