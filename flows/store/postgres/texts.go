package postgres

import (
	"context"
	"time"

	"github.com/stile-auth/stile/flows"
	"github.com/stile-auth/stile/flows/store/atrest"
)

// PutText implements [flows.Texts]. The first text of a hash stays.
func (s *Store) PutText(ctx context.Context, hash string, source []byte, until time.Time) error {
	_, err := s.exec(ctx, `INSERT INTO definitions (hash, source, until) VALUES ($1, $2, $3)
		ON CONFLICT (hash) DO UPDATE SET until = excluded.until WHERE excluded.until > definitions.until`,
		raw(hash), atrest.Blob(source), atrest.Nanos(until))
	return err
}

// Text implements [flows.Texts].
func (s *Store) Text(ctx context.Context, hash string) ([]byte, error) {
	var source []byte
	err := s.read(ctx, `SELECT source FROM definitions WHERE hash = $1`, []any{raw(hash)}, &source)
	return source, err
}

// DeleteExpiredTexts implements [flows.Texts].
func (s *Store) DeleteExpiredTexts(ctx context.Context, now time.Time, limit int) (int, error) {
	return s.sweep(ctx, `DELETE FROM definitions WHERE hash = ANY (ARRAY
		(SELECT hash FROM definitions WHERE until <= $1 ORDER BY until LIMIT $2 FOR UPDATE SKIP LOCKED))`, now, limit)
}

// Value implements [flows.Values].
func (s *Store) Value(ctx context.Context, name string) (data []byte, version int64, err error) {
	err = s.read(ctx, `SELECT data, version FROM shared WHERE name = $1`, []any{raw(name)}, &data, &version)
	return data, version, err
}

// PutValue implements [flows.Values].
func (s *Store) PutValue(ctx context.Context, name string, data []byte, version int64) error {
	query := `UPDATE shared SET data = $2, version = $3 WHERE name = $1 AND version = $3 - 1`
	if version == 1 {
		query = `INSERT INTO shared (name, data, version) VALUES ($1, $2, $3) ON CONFLICT DO NOTHING`
	}
	n, err := s.exec(ctx, query, raw(name), atrest.Blob(data), version)
	if err == nil && n == 0 {
		err = flows.ErrConflict
	}
	return err
}
