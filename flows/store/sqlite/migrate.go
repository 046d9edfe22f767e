package sqlite

import (
	"context"
	"database/sql"
	"embed"
	"errors"
	"fmt"
	"io/fs"

	"github.com/pressly/goose/v3"
)

// ErrSchema reports a database that a newer program wrote.
var ErrSchema = errors.New("sqlite: the database has a newer schema than this program knows")

//go:embed migrations/*.sql
var migrations embed.FS

// migrate applies the migrations that are missing. They only ever add, so that
// the program before this one can go on using the file.
func migrate(ctx context.Context, db *sql.DB) error {
	files, err := fs.Sub(migrations, "migrations")
	if err != nil {
		return fmt.Errorf("sqlite: migrations: %w", err)
	}
	p, err := goose.NewProvider(goose.DialectSQLite3, db, files, goose.WithDisableGlobalRegistry(true))
	if err != nil {
		return fmt.Errorf("sqlite: migrations: %w", err)
	}
	for {
		current, target, err := p.GetVersions(ctx)
		if err != nil {
			return fault(err)
		}
		if current > target {
			return fmt.Errorf("%w: it has version %d, the program %d", ErrSchema, current, target)
		}
		_, upErr := p.Up(ctx)
		if upErr == nil {
			return nil
		}
		// Another process that starts at the same moment may have been faster, by one
		// migration or by all: then what is left is tried again.
		if now, _, err := p.GetVersions(ctx); err != nil || now <= current {
			return fault(upErr)
		}
	}
}
