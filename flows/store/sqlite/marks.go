package sqlite

import (
	"context"
	"errors"
	"time"

	"github.com/stile-auth/stile/flows"
	"github.com/stile-auth/stile/flows/store/atrest"
)

// TakeMark implements [flows.Marks].
func (s *Store) TakeMark(ctx context.Context, mark, owner string, now, expires time.Time) error {
	return s.writer.do(ctx, func(ctx context.Context, w *writer) error {
		until := atrest.Nanos(expires)
		var holder string
		var old int64
		err := w.row(ctx, `SELECT owner, expires FROM marks WHERE mark = ?`, []any{mark}, &holder, &old)
		if err != nil && !errors.Is(err, flows.ErrNotFound) {
			return err
		}
		held := err == nil
		if held && holder != owner && atrest.Nanos(now) < old {
			return flows.ErrTaken
		}
		if held && holder == owner {
			until = max(until, old)
		}
		_, err = w.exec(ctx, `INSERT OR REPLACE INTO marks (mark, owner, expires) VALUES (?, ?, ?)`, mark, owner, until)
		return err
	})
}

// DeleteExpiredMarks implements [flows.Marks].
func (s *Store) DeleteExpiredMarks(ctx context.Context, now time.Time, limit int) (int, error) {
	return s.sweep(ctx, `DELETE FROM marks WHERE mark IN (SELECT mark FROM marks WHERE expires <= ? ORDER BY expires LIMIT ?)`, now, limit)
}
