// Package postgres keeps everything in a PostgreSQL database, which many nodes
// may share.
//
// Nearly every call is one round trip: one statement, or a few that are sent
// together and commit together. What one of them changes is guarded by the
// version or the value of its row; a row is held locked between two round trips
// only where many want the same one at once, and never while its holder does anything but compute.
//
// A [Store] implements all ports of package flows; [Store.Accounts] returns the
// repository of accounts. Both are safe for concurrent use. Their errors are
// the sentinels of packages flows and account, the context's error, or wrap
// [flows.ErrUnavailable] if the database cannot be used now. What was begun is
// finished, within [Config].Timeout, even if its caller has gone: then the caller's
// answer is lost, and not the connection.
package postgres

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/stile-auth/stile/flows"
)

// Config says which database it is, and how to speak to it.
type Config struct {
	// URL of the database: postgres://USER@HOST:PORT/NAME. Several hosts, sslmode,
	// sslrootcert, sslcert, sslkey and target_session_attrs are as libpq has them. Without sslmode a
	// server that is not on this machine has to show a certificate that is right
	// (verify-full), and no sslmode that believes any other is taken.
	URL string
	// Password in the place of the URL's. Empty: the URL's.
	Password string
	// Connections is how many there are at most. 0: 16.
	Connections int
	// Timeout bounds the wait for a connection, and then what is done on it. 0: 5s.
	Timeout time.Duration
	// PgBouncer says that a pooler in transaction mode is in between: nothing is
	// prepared, and no setting outlives a transaction.
	PgBouncer bool
	// Durability is "full" (default): what was acknowledged is on the disks that the
	// server's synchronous_commit names; or "normal": a crash of the server may lose the
	// last moments, consistently. Behind a pooler it is what the server says.
	Durability string
	// InsecureNetwork takes any sslmode, also for servers on other machines.
	InsecureNetwork bool
	// Manual leaves the schema alone: if it is older than the program, Open fails.
	Manual bool
}

// Store is an open database. Make one with [Open] and close it with [Store.Close].
type Store struct {
	pool    *pgxpool.Pool
	timeout time.Duration
}

var (
	_ flows.Store     = (*Store)(nil)
	_ flows.Texts     = (*Store)(nil)
	_ flows.Values    = (*Store)(nil)
	_ flows.Sessions  = (*Store)(nil)
	_ flows.Throttle  = (*Store)(nil)
	_ flows.Marks     = (*Store)(nil)
	_ flows.Leftovers = (*Store)(nil)
	_ flows.Recorder  = (*Store)(nil)

	_ flows.StoredClients = (*Store)(nil)
)

const (
	defaultConnections = 16
	defaultTimeout     = 5 * time.Second
)

// Open connects to the database and brings its schema up to date, unless
// cfg.Manual. [ErrSchema] if the schema is not the program's.
func Open(ctx context.Context, cfg Config) (*Store, error) {
	c, err := cfg.pool()
	if err != nil {
		return nil, err
	}
	if err := prepareSchema(ctx, c.ConnConfig, cfg.Manual); err != nil {
		return nil, err
	}
	s := &Store{timeout: c.ConnConfig.ConnectTimeout}
	if s.pool, err = pgxpool.NewWithConfig(ctx, c); err != nil {
		return nil, unavailable(err)
	}
	if err := s.check(ctx); err != nil {
		return nil, errors.Join(err, s.Close())
	}
	return s, nil
}

// check refuses a server whose settings the driver does not count on.
func (s *Store) check(ctx context.Context) error {
	var isolation string
	err := s.read(ctx, `SELECT current_setting('transaction_isolation')`, nil, &isolation)
	if err == nil && isolation != "read committed" {
		err = fmt.Errorf("postgres: the database's default_transaction_isolation is %s; it has to be read committed", isolation)
	}
	return err
}

// Close ends the use of the database. Calls that are under way finish first.
func (s *Store) Close() error {
	s.pool.Close()
	return nil
}

// Ping reports whether the database can be read and written.
func (s *Store) Ping(ctx context.Context) error {
	var standby bool
	err := s.read(ctx, `SELECT pg_is_in_recovery()`, nil, &standby)
	if err == nil && standby {
		err = fmt.Errorf("%w: postgres: the server is a standby", flows.ErrUnavailable)
	}
	return err
}

// Accounts returns the repository of accounts in this database.
func (s *Store) Accounts() *Accounts { return &Accounts{s: s} }

// octets is a string in a column of bytes.
type octets string

// ScanBytes implements the interface of pgx.
func (o *octets) ScanBytes(b []byte) error {
	*o = octets(b)
	return nil
}

// str is where to scan a string that is at rest as bytes.
func str(s *string) *octets { return (*octets)(s) }

// raw is a string as bytes, never NULL.
func raw(s string) []byte { return []byte(s) }

func raws(all []string) [][]byte {
	out := make([][]byte, len(all))
	for i, s := range all {
		out[i] = raw(s)
	}
	return out
}
