package postgres

import (
	"context"

	"github.com/jackc/pgx/v5"

	"github.com/stile-auth/stile/flows"
	"github.com/stile-auth/stile/flows/store/atrest"
)

const selectClient = `SELECT id, version, text, disabled, created, changed FROM clients`

// StoredClient implements [flows.StoredClients].
func (s *Store) StoredClient(ctx context.Context, id string) (flows.StoredClient, error) {
	all, err := list(ctx, s, scanClient, selectClient+` WHERE id = $1`, raw(id))
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
	return list(ctx, s, scanClient, selectClient+` WHERE id > $1 ORDER BY id LIMIT $2`, raw(after), int64(limit))
}

func scanClient(row pgx.Row) (flows.StoredClient, error) {
	var c flows.StoredClient
	var created, changed int64
	err := row.Scan(str(&c.ID), &c.Version, &c.Text, &c.Disabled, &created, &changed)
	c.Created, c.Changed = atrest.Instant(created), atrest.Instant(changed)
	return c, driver(err)
}

// PutClient implements [flows.StoredClients].
func (s *Store) PutClient(ctx context.Context, c flows.StoredClient) error {
	query := `UPDATE clients SET version = $2, text = $3, disabled = $4, created = $5, changed = $6 WHERE id = $1 AND version = $2 - 1`
	if c.Version == 1 {
		query = `INSERT INTO clients (id, version, text, disabled, created, changed) VALUES ($1, $2, $3, $4, $5, $6) ON CONFLICT DO NOTHING`
	}
	n, err := s.exec(ctx, query, raw(c.ID), c.Version, atrest.Blob(c.Text), c.Disabled, atrest.Nanos(c.Created), atrest.Nanos(c.Changed))
	if err == nil && n == 0 {
		err = flows.ErrConflict
	}
	return err
}

// RemoveClient implements [flows.StoredClients].
func (s *Store) RemoveClient(ctx context.Context, id string) error {
	_, err := s.exec(ctx, `DELETE FROM clients WHERE id = $1`, raw(id))
	return err
}
