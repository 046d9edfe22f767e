//go:build unix

package main

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/stile-auth/stile/flows/store/servertest"
)

// Commands on a database that nodes share. It ends with the process.
func TestCLIOnPostgres(t *testing.T) {
	t.Parallel()
	server := servertest.Postgres(t)
	database := server.Database(t, "")
	testscript.Run(t, testscript.Params{
		Dir:  "testdata/postgres",
		Cmds: map[string]func(ts *testscript.TestScript, neg bool, args []string){"exitcode": exitCode},
		Setup: func(env *testscript.Env) error {
			const masters = "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8"
			files := map[string]string{"password": servertest.Password, "master": masters, "other": "B" + masters[1:]}
			for name, master := range map[string]string{"stile": "master", "other": "other", "gone": "master"} {
				address := server.Address()
				if name == "gone" {
					address = "127.0.0.1:1"
				}
				files[name+".yaml"] = fmt.Sprintf("keys: { master: { file: %s } }\nstore:\n  type: postgres\n  url: postgres://stile@%s/%s\n  password: { file: password }\n  migrate: manual\n",
					master, address, database)
			}
			for name, text := range files {
				if err := os.WriteFile(filepath.Join(env.WorkDir, name), []byte(text), 0o600); err != nil {
					return err
				}
			}
			return nil
		},
	})
}
