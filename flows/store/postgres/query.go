package postgres

import (
	"context"
	"errors"
	"fmt"
	"strconv"

	"github.com/jackc/pgx/v5"

	"github.com/stile-auth/stile/flows"
)

// tries bounds how often a call is tried where another time does no harm.
const tries = 4

// act is what a call does on a connection. Errors of pgx go through [driver].
type act func(ctx context.Context, conn *pgx.Conn) error

// do acts on a connection: again if certainly nothing has happened.
func (s *Store) do(ctx context.Context, a act) error { return s.repeat(ctx, a, nothingHappened) }

// look is do for what changes nothing: again also if the connection was lost meanwhile.
func (s *Store) look(ctx context.Context, a act) error {
	return s.repeat(ctx, a, func(err error) bool { return nothingHappened(err) || lost(err) })
}

func (s *Store) repeat(ctx context.Context, a act, again func(error) bool) error {
	for n := 1; ; n++ {
		err := s.once(ctx, a)
		var d driverError
		if !errors.As(err, &d) {
			return err
		}
		if n == tries || tooSlow(err) || !again(err) || ctx.Err() != nil {
			return meaning(err)
		}
	}
}

// once acts on one connection. The wait for it ends with the caller's context;
// what is done on it does not, so that no caller who goes away tears it.
func (s *Store) once(ctx context.Context, a act) error {
	waiting, cancel := context.WithTimeout(ctx, s.timeout)
	defer cancel()
	conn, err := s.pool.Acquire(waiting)
	switch {
	case ctx.Err() != nil:
		if err == nil {
			conn.Release()
		}
		return fmt.Errorf("postgres: %w", ctx.Err())
	case waiting.Err() != nil && err != nil:
		return fmt.Errorf("%w: postgres: no connection within %s: %v", flows.ErrUnavailable, s.timeout, err)
	case err != nil:
		return driver(err)
	}
	defer conn.Release()
	acting, done := context.WithTimeout(context.WithoutCancel(ctx), s.timeout)
	defer done()
	err = a(acting, conn.Conn())
	var d driverError
	if errors.As(err, &d) && lost(err) && !tooSlow(err) {
		s.pool.Reset() // the others went the same way
	}
	return err
}

// tooSlow says whether the time of the call is over: there is none for another try,
// and nothing is known against the other connections.
func tooSlow(err error) bool { return errors.Is(err, context.DeadlineExceeded) }

// exec runs one statement and returns how many rows changed.
func (s *Store) exec(ctx context.Context, query string, args ...any) (n int64, err error) {
	err = s.do(ctx, func(ctx context.Context, conn *pgx.Conn) error {
		tag, err := conn.Exec(ctx, query, args...)
		n = tag.RowsAffected()
		return driver(err)
	})
	return n, err
}

// row scans the row that a statement which changes something returns; [flows.ErrNotFound] if there is none.
func (s *Store) row(ctx context.Context, query string, args []any, dst ...any) error {
	return s.do(ctx, scanRow(query, args, dst))
}

// read scans the first row of a query; [flows.ErrNotFound] if there is none.
func (s *Store) read(ctx context.Context, query string, args []any, dst ...any) error {
	return s.look(ctx, scanRow(query, args, dst))
}

func scanRow(query string, args, dst []any) act {
	return func(ctx context.Context, conn *pgx.Conn) error {
		err := conn.QueryRow(ctx, query, args...).Scan(dst...)
		if errors.Is(err, pgx.ErrNoRows) {
			return flows.ErrNotFound
		}
		return driver(err)
	}
}

// list returns what scan makes of every row of a query.
func list[T any](ctx context.Context, s *Store, scan func(pgx.Row) (T, error), query string, args ...any) ([]T, error) {
	var out []T
	err := s.look(ctx, func(ctx context.Context, conn *pgx.Conn) error {
		rows, err := conn.Query(ctx, query, args...)
		if err != nil {
			return driver(err)
		}
		out, err = collect(rows, scan)
		return err
	})
	return out, err
}

func collect[T any](rows pgx.Rows, scan func(pgx.Row) (T, error)) ([]T, error) {
	defer rows.Close()
	var out []T
	for rows.Next() {
		one, err := scan(rows)
		if err != nil {
			return nil, err
		}
		out = append(out, one)
	}
	return out, driver(rows.Err())
}

// together sends statements in one round trip; they commit together. Each sees what
// others have committed before it began.
func (s *Store) together(ctx context.Context, fill func(*pgx.Batch)) error {
	return s.do(ctx, func(ctx context.Context, conn *pgx.Conn) error { return send(ctx, conn, fill) })
}

func send(ctx context.Context, conn *pgx.Conn, fill func(*pgx.Batch)) error {
	var b pgx.Batch
	fill(&b)
	err := conn.SendBatch(ctx, &b).Close()
	var d driverError
	if errors.As(err, &d) || errors.Is(err, flows.ErrNotFound) {
		return err // a scan of ours has said so
	}
	return driver(err)
}

// statement is a query with its arguments.
type statement struct {
	query string
	args  []any
}

// hold locks a row and scans it, lets next say what is to become of it, and
// does that, all in one transaction of two round trips. An error of next comes back as it
// is, and nothing changes. Should this node stop in between, the server ends
// the transaction after the timeout.
func (s *Store) hold(ctx context.Context, lock statement, dst []any, next func() (statement, error)) error {
	return s.do(ctx, func(ctx context.Context, conn *pgx.Conn) (err error) {
		done := false
		defer func() {
			if !done { // an error, or a panic of next
				_, _ = conn.Exec(ctx, "ROLLBACK") // else the pool closes the connection
			}
		}()
		err = send(ctx, conn, func(b *pgx.Batch) {
			b.Queue("BEGIN")
			b.Queue(`SELECT set_config('idle_in_transaction_session_timeout', $1, true)`, strconv.FormatInt(s.timeout.Milliseconds(), 10))
			b.Queue(lock.query, lock.args...).QueryRow(func(r pgx.Row) error {
				err := r.Scan(dst...)
				if errors.Is(err, pgx.ErrNoRows) {
					return flows.ErrNotFound
				}
				return driver(err)
			})
		})
		if err != nil {
			return err
		}
		change, err := next()
		if err != nil {
			return err
		}
		err = send(ctx, conn, func(b *pgx.Batch) {
			b.Queue(change.query, change.args...)
			b.Queue("COMMIT")
		})
		done = err == nil
		return err
	})
}
