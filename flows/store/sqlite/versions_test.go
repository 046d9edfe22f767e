package sqlite_test

import (
	"os"
	"path/filepath"
	"strconv"
	"testing"

	"github.com/pressly/goose/v3"

	"github.com/stile-auth/stile/flows/store/sqlite"
	"github.com/stile-auth/stile/flows/store/storetest"
)

// From every earlier schema the program brings a file up to its own, and all that
// later schemas brought works in it.
func TestEveryEarlierSchema(t *testing.T) {
	t.Parallel()
	newest, err := filepath.Glob("migrations/*.sql")
	if err != nil || len(newest) < 2 {
		t.Fatal(newest, err)
	}
	for version := 1; version < len(newest); version++ {
		t.Run(strconv.Itoa(version), func(t *testing.T) {
			t.Parallel()
			old := filepath.Join(t.TempDir(), "old.db")
			p, err := goose.NewProvider(goose.DialectSQLite3, raw(t, old), os.DirFS("migrations"), goose.WithDisableGlobalRegistry(true))
			if err != nil {
				t.Fatal(err)
			}
			if _, err := p.UpTo(t.Context(), int64(version)); err != nil {
				t.Fatal(err)
			}
			file, err := os.ReadFile(old)
			if err != nil {
				t.Fatal(err)
			}
			storetest.Run(t, func(t *testing.T) storetest.Stores {
				t.Helper()
				path := filepath.Join(t.TempDir(), "stile.db")
				if err := os.WriteFile(path, file, 0o600); err != nil {
					t.Fatal(err)
				}
				s := open(t, sqlite.Config{Path: path, Durability: "normal"})
				return storetest.Stores{Sessions: s, Kept: s, Clients: s, Values: s, Texts: s}
			})
		})
	}
}
