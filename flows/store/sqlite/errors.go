package sqlite

import (
	"context"
	"errors"
	"fmt"

	"modernc.org/sqlite"
	lib "modernc.org/sqlite/lib"

	"github.com/stile-auth/stile/flows"
)

// fault turns an error of the driver into one of ours. What the program itself
// did wrong stays a plain error; all else (busy, disk full, input or output,
// closed) means that the database cannot be used now.
func fault(err error) error {
	if err == nil {
		return nil
	}
	if errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded) {
		return fmt.Errorf("sqlite: %w", err)
	}
	var e *sqlite.Error
	if errors.As(err, &e) {
		switch e.Code() & 0xff {
		case lib.SQLITE_ERROR, lib.SQLITE_MISUSE, lib.SQLITE_MISMATCH, lib.SQLITE_CONSTRAINT, lib.SQLITE_RANGE:
			return fmt.Errorf("sqlite: %v", err)
		}
	}
	return fmt.Errorf("%w: sqlite: %v", flows.ErrUnavailable, err)
}
