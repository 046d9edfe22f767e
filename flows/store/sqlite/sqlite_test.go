package sqlite_test

import (
	"path/filepath"
	"testing"

	"github.com/stile-auth/stile/flows/store/sqlite"
	"github.com/stile-auth/stile/flows/store/storetest"
)

func TestStore(t *testing.T) {
	t.Parallel()
	storetest.Run(t, func(t *testing.T) storetest.Stores {
		t.Helper()
		return stores(t, filepath.Join(t.TempDir(), "stile.db"))
	})
}

func stores(t *testing.T, path string) storetest.Stores {
	t.Helper()
	s := open(t, sqlite.Config{Path: path})
	return storetest.Stores{
		Runs: s, Texts: s, Values: s, Sessions: s, Throttle: s, Marks: s, Kept: s, Clients: s, Audit: s,
		Accounts: s.Accounts(), Authenticators: s.Accounts(), Agreements: s.Accounts(),
		Reopen: func(t *testing.T) storetest.Stores {
			t.Helper()
			if err := s.Close(); err != nil {
				t.Fatal(err)
			}
			return stores(t, path)
		},
	}
}

func open(t testing.TB, cfg sqlite.Config) *sqlite.Store {
	t.Helper()
	s, err := sqlite.Open(t.Context(), cfg)
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
			storetest.BenchmarkSwap(b, open(b, sqlite.Config{Path: filepath.Join(b.TempDir(), "stile.db"), Durability: durability}))
		})
	}
}
