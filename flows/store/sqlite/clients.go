package sqlite

import (
	"context"
	"database/sql"

	"github.com/stile-auth/stile/flows"
	"github.com/stile-auth/stile/flows/store/atrest"
)

const clientColumns = `SELECT id, version, text, disabled, created, changed FROM clients`

// StoredClient implements [flows.StoredClients].
func (s *Store) StoredClient(ctx context.Context, id string) (flows.StoredClient, error) {
	all, err := s.clientRows(ctx, clientColumns+` WHERE id = ?`, id)
	if err == nil && len(all) == 0 {
		err = flows.ErrNotFound
	}
	if err != nil {
		return flows.StoredClient{}, err
	}
	return all[0], nil
}

// StoredClients implements [flows.StoredClients].
func (s *Store) StoredClients(ctx context.Context, after string, limit int) ([]flows.StoredClient, error) {
	return s.clientRows(ctx, clientColumns+` WHERE id > ? ORDER BY id LIMIT ?`, after, limit)
}

func (s *Store) clientRows(ctx context.Context, query string, args ...any) ([]flows.StoredClient, error) {
	var out []flows.StoredClient
	err := s.reader.each(ctx, query, args, func(rows *sql.Rows) error {
		var c flows.StoredClient
		var created, changed int64
		if err := rows.Scan(&c.ID, &c.Version, &c.Text, &c.Disabled, &created, &changed); err != nil {
			return fault(err)
		}
		c.Created, c.Changed = atrest.Instant(created), atrest.Instant(changed)
		out = append(out, c)
		return nil
	})
	return out, err
}

// PutClient implements [flows.StoredClients].
func (s *Store) PutClient(ctx context.Context, c flows.StoredClient) error {
	return s.writer.do(ctx, func(ctx context.Context, w *writer) error {
		query := `UPDATE clients SET version = ?2, text = ?3, disabled = ?4, created = ?5, changed = ?6 WHERE id = ?1 AND version = ?2 - 1`
		if c.Version == 1 {
			query = `INSERT INTO clients (id, version, text, disabled, created, changed) VALUES (?1, ?2, ?3, ?4, ?5, ?6) ON CONFLICT DO NOTHING`
		}
		n, err := w.exec(ctx, query, c.ID, c.Version, atrest.Blob(c.Text), c.Disabled, atrest.Nanos(c.Created), atrest.Nanos(c.Changed))
		if err == nil && n == 0 {
			return flows.ErrConflict
		}
		return err
	})
}

// RemoveClient implements [flows.StoredClients].
func (s *Store) RemoveClient(ctx context.Context, id string) error {
	return s.writer.do(ctx, func(ctx context.Context, w *writer) error {
		_, err := w.exec(ctx, `DELETE FROM clients WHERE id = ?`, id)
		return err
	})
}
