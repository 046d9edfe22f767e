package postgres

import (
	"context"
	"database/sql"
	"embed"
	"errors"
	"fmt"
	"io/fs"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/stdlib"
	"github.com/pressly/goose/v3"
)

// ErrSchema reports a database whose schema is not the one of this program.
var ErrSchema = errors.New("postgres: the schema of the database is not the one of this program")

//go:embed migrations/*.sql
var migrations embed.FS

// migrationLock is the advisory lock that nodes take which start at once.
const migrationLock = 0x7374696c65 // "stile"

// Migrate brings the schema of a database up to date and returns the versions
// that it had and has. Nodes of the program before may go on meanwhile:
// migrations only ever add. [ErrSchema] if a newer program wrote it.
func Migrate(ctx context.Context, cfg Config) (from, to int64, err error) {
	c, err := cfg.pool()
	if err != nil {
		return 0, 0, err
	}
	return migrate(ctx, c.ConnConfig)
}

// prepareSchema sees to it that the schema is the program's.
func prepareSchema(ctx context.Context, c *pgx.ConnConfig, manual bool) error {
	conn, err := pgx.ConnectConfig(ctx, c)
	if err != nil {
		return unavailable(err)
	}
	current, err := version(ctx, conn)
	err = errors.Join(err, conn.Close(ctx))
	if err != nil {
		return meaning(err)
	}
	newest, err := known()
	switch {
	case err != nil || current == newest:
		return err
	case current > newest:
		return newer(current, newest)
	case manual:
		return fmt.Errorf("%w: it has version %d, the program %d; run stile migrate", ErrSchema, current, newest)
	}
	_, _, err = migrate(ctx, c)
	return err
}

func newer(current, newest int64) error {
	return fmt.Errorf("%w but of a newer one: it has version %d, the program %d", ErrSchema, current, newest)
}

// version is the schema's, 0 if there is none. It needs no right but to read.
func version(ctx context.Context, conn *pgx.Conn) (int64, error) {
	var there bool
	if err := conn.QueryRow(ctx, `SELECT to_regclass('goose_db_version') IS NOT NULL`).Scan(&there); err != nil || !there {
		return 0, driver(err)
	}
	var n int64
	err := conn.QueryRow(ctx, `SELECT coalesce(max(version_id), 0) FROM goose_db_version WHERE is_applied`).Scan(&n)
	return n, driver(err)
}

// known is the newest version that this program knows: one for each file, without gaps.
func known() (int64, error) {
	files, err := fs.Glob(migrations, "migrations/*.sql")
	return int64(len(files)), err
}

// migrate applies what is missing, one node after the other. The lock is one of a
// transaction, since a pooler gives no connection for longer.
func migrate(ctx context.Context, c *pgx.ConnConfig) (from, to int64, err error) {
	unlimited := c.Copy() // a migration may take longer than a call
	for _, setting := range []string{"statement_timeout", "idle_in_transaction_session_timeout"} {
		delete(unlimited.RuntimeParams, setting)
	}
	conn, err := pgx.ConnectConfig(ctx, unlimited)
	if err != nil {
		return 0, 0, unavailable(err)
	}
	defer func() { err = errors.Join(err, conn.Close(ctx)) }()
	tx, err := conn.Begin(ctx)
	if err != nil {
		return 0, 0, meaning(driver(err))
	}
	defer func() { _ = tx.Rollback(ctx) }() // all that it does is to hold the lock
	if _, err := tx.Exec(ctx, `SELECT pg_advisory_xact_lock($1)`, int64(migrationLock)); err != nil {
		return 0, 0, meaning(driver(err))
	}
	if from, err = version(ctx, conn); err != nil {
		return 0, 0, meaning(err)
	}
	if to, err = known(); err != nil || from == to {
		return from, to, err
	}
	if from > to {
		return from, to, newer(from, to)
	}
	return from, to, apply(ctx, stdlib.OpenDB(*unlimited))
}

func apply(ctx context.Context, db *sql.DB) (err error) {
	defer func() { err = errors.Join(err, db.Close()) }()
	files, err := fs.Sub(migrations, "migrations")
	if err != nil {
		return fmt.Errorf("postgres: migrations: %w", err)
	}
	p, err := goose.NewProvider(goose.DialectPostgres, db, files, goose.WithDisableGlobalRegistry(true))
	if err != nil {
		return fmt.Errorf("postgres: migrations: %w", err)
	}
	if _, err = p.Up(ctx); err != nil {
		return fmt.Errorf("postgres: migrations: %w", err)
	}
	return nil
}
