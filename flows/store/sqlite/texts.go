package sqlite

import (
	"context"
	"time"

	"github.com/stile-auth/stile/flows/store/atrest"
)

// PutText implements [flows.Texts]. The first text of a hash stays.
func (s *Store) PutText(ctx context.Context, hash string, source []byte, until time.Time) error {
	return s.writer.do(ctx, func(ctx context.Context, w *writer) error {
		_, err := w.exec(ctx, `INSERT INTO definitions (hash, source, until) VALUES (?, ?, ?)
			ON CONFLICT (hash) DO UPDATE SET until = excluded.until WHERE excluded.until > until`, hash, atrest.Blob(source), atrest.Nanos(until))
		return err
	})
}

// Text implements [flows.Texts].
func (s *Store) Text(ctx context.Context, hash string) ([]byte, error) {
	var source []byte
	err := s.reader.row(ctx, `SELECT source FROM definitions WHERE hash = ?`, []any{hash}, &source)
	return source, err
}

// DeleteExpiredTexts implements [flows.Texts].
func (s *Store) DeleteExpiredTexts(ctx context.Context, now time.Time, limit int) (int, error) {
	return s.sweep(ctx, `DELETE FROM definitions WHERE hash IN (SELECT hash FROM definitions WHERE until <= ? ORDER BY until LIMIT ?)`, now, limit)
}
