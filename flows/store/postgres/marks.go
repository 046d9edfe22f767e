package postgres

import (
	"context"
	"time"

	"github.com/stile-auth/stile/flows"
	"github.com/stile-auth/stile/flows/store/atrest"
)

// TakeMark implements [flows.Marks]. It is one statement, which waits for whoever
// takes the same mark at the same moment and then judges what that one left.
func (s *Store) TakeMark(ctx context.Context, mark, owner string, now, expires time.Time) error {
	n, err := s.exec(ctx, `INSERT INTO marks AS held (mark, owner, expires) VALUES ($1, $2, $3)
		ON CONFLICT (mark) DO UPDATE SET owner = excluded.owner,
			expires = CASE WHEN held.owner = excluded.owner THEN greatest(held.expires, excluded.expires) ELSE excluded.expires END
		WHERE held.owner = excluded.owner OR held.expires <= $4`,
		raw(mark), raw(owner), atrest.Nanos(expires), atrest.Nanos(now))
	if err == nil && n == 0 {
		err = flows.ErrTaken
	}
	return err
}

// DeleteExpiredMarks implements [flows.Marks].
func (s *Store) DeleteExpiredMarks(ctx context.Context, now time.Time, limit int) (int, error) {
	return s.sweep(ctx, `DELETE FROM marks WHERE mark = ANY (ARRAY
		(SELECT mark FROM marks WHERE expires <= $1 ORDER BY expires LIMIT $2 FOR UPDATE SKIP LOCKED))`, now, limit)
}
