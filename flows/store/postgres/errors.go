package postgres

import (
	"errors"
	"fmt"
	"strings"

	"github.com/jackc/pgx/v5/pgconn"

	"github.com/stile-auth/stile/flows"
)

// driverError is what the driver said, until it is known what that means for the caller.
type driverError struct{ error }

func (e driverError) Unwrap() error { return e.error }

// driver marks an error of pgx; nil stays nil.
func driver(err error) error {
	if err == nil {
		return nil
	}
	return driverError{err}
}

// What the server refused, for the driver's own use: callers say what it means.
var (
	errUnique    = errors.New("postgres: there is one already")
	errReference = errors.New("postgres: what it belongs to is not there")
)

// state is the code of what the server said, "" if it said nothing.
func state(err error) string {
	var e *pgconn.PgError
	if errors.As(err, &e) {
		return e.Code
	}
	return ""
}

// nothingHappened says whether the server has certainly done nothing: it was not
// reached, or it has rolled back to let others go first, or it has forgotten
// what was prepared.
func nothingHappened(err error) bool {
	switch state(err) {
	case "40001", "40P01", "26000": // serialization failure, deadlock, no such prepared statement
		return true
	case "0A000":
		return strings.Contains(err.Error(), "cached plan") // the schema has changed
	case "":
		var c *pgconn.ConnectError
		return errors.As(err, &c) || pgconn.SafeToRetry(err)
	}
	return false
}

// lost says whether the connection went away, or goes to a server that is none for us: asking another time may help.
func lost(err error) bool {
	switch code := state(err); code {
	case "", "57P01", "57P02", "57P03", "25006": // no word, shutdown, crash, starting up, read-only
		return true
	default:
		return strings.HasPrefix(code, "08")
	}
}

// meaning turns an error of the driver into one of ours. What the program itself
// did wrong stays a plain error; all else (not reached, too many connections, disk
// full, shutting down, too slow) means that the database cannot be used now.
func meaning(err error) error {
	var d driverError
	if !errors.As(err, &d) {
		return err
	}
	code := state(err)
	if code == "" {
		return unavailable(d.error)
	}
	switch code { // https://www.postgresql.org/docs/current/errcodes-appendix.html
	case "23505":
		return errUnique
	case "23503":
		return errReference
	}
	switch code[:2] {
	case "08", "25", "40", "53", "55", "57", "58", "XX":
		return unavailable(d.error)
	}
	return fmt.Errorf("postgres: %v", d.error)
}

func unavailable(err error) error { return fmt.Errorf("%w: postgres: %v", flows.ErrUnavailable, err) }
