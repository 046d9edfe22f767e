package sqlite

import (
	"context"

	"github.com/stile-auth/stile/flows"
	"github.com/stile-auth/stile/flows/store/atrest"
)

// Value implements [flows.Values].
func (s *Store) Value(ctx context.Context, name string) ([]byte, int64, error) {
	var data []byte
	var version int64
	err := s.reader.row(ctx, `SELECT data, version FROM shared WHERE name = ?`, []any{name}, &data, &version)
	return data, version, err
}

// PutValue implements [flows.Values].
func (s *Store) PutValue(ctx context.Context, name string, data []byte, version int64) error {
	return s.writer.do(ctx, func(ctx context.Context, w *writer) error {
		query := `UPDATE shared SET data = ?2, version = ?3 WHERE name = ?1 AND version = ?3 - 1`
		if version == 1 {
			query = `INSERT INTO shared (name, data, version) VALUES (?1, ?2, ?3) ON CONFLICT DO NOTHING`
		}
		n, err := w.exec(ctx, query, name, atrest.Blob(data), version)
		if err == nil && n == 0 {
			err = flows.ErrConflict
		}
		return err
	})
}
