package sqlite

import (
	"context"
	"database/sql"

	"github.com/stile-auth/stile/flows/account"
	"github.com/stile-auth/stile/flows/store/atrest"
)

const selectAuthenticator = `SELECT id, subject, type, name, status, binding, key, data, created, last_used FROM authenticators `

// Authenticators returns all authenticators of an account, whatever their
// status, by creation time and id. None is no error.
func (r *Accounts) Authenticators(ctx context.Context, subject string) ([]account.Authenticator, error) {
	var out []account.Authenticator
	err := r.s.reader.each(ctx, selectAuthenticator+`WHERE subject = ? ORDER BY created, id`, []any{subject}, func(rows *sql.Rows) error {
		a, err := scanAuthenticator(rows.Scan)
		out = append(out, a)
		return fault(err)
	})
	return out, err
}

// AddAuthenticator binds one more authenticator to an account. [account.ErrExists]
// if its id is taken, by whichever account; [account.ErrNotFound] if there is no such account.
func (r *Accounts) AddAuthenticator(ctx context.Context, a account.Authenticator) error {
	return r.s.writer.do(ctx, func(ctx context.Context, w *writer) error {
		var one int
		if err := w.row(ctx, `SELECT 1 FROM accounts WHERE subject = ?`, []any{a.Subject}, &one); err != nil {
			return notFound(err)
		}
		return insertAuthenticator(ctx, w, a)
	})
}

func insertAuthenticator(ctx context.Context, w *writer, a account.Authenticator) error {
	return insertNew(ctx, w, `INSERT INTO authenticators (id, subject, type, name, status, binding, key, data, created, last_used)
		VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT DO NOTHING`,
		a.ID, a.Subject, a.Type, a.Name, string(a.Status), a.Binding, a.Key, atrest.Blob(a.Data), atrest.Nanos(a.Created), atrest.Nanos(a.LastUsed))
}

// UpdateAuthenticator changes an authenticator by fn, atomically. An error of fn
// comes back as it is, and nothing changes. fn must do nothing but change its argument:
// it must not use the store, and it may be called more than once.
// [account.ErrNotFound]; [account.ErrFixed].
func (r *Accounts) UpdateAuthenticator(ctx context.Context, id string, fn func(*account.Authenticator) error) error {
	return r.s.writer.do(ctx, func(ctx context.Context, w *writer) error {
		before, err := scanAuthenticator(func(dst ...any) error {
			return w.row(ctx, selectAuthenticator+`WHERE id = ?`, []any{id}, dst...)
		})
		if err != nil {
			return notFound(err)
		}
		after := before
		after.Data = append([]byte(nil), before.Data...)
		if err := fn(&after); err != nil {
			return err
		}
		if err := account.CheckUpdate(before, after); err != nil {
			return err
		}
		_, err = w.exec(ctx, `UPDATE authenticators SET name = ?, status = ?, key = ?, data = ?, last_used = ? WHERE id = ?`,
			after.Name, string(after.Status), after.Key, atrest.Blob(after.Data), atrest.Nanos(after.LastUsed), id)
		return err
	})
}

func scanAuthenticator(scan func(dst ...any) error) (account.Authenticator, error) {
	var a account.Authenticator
	var created, used int64
	err := scan(&a.ID, &a.Subject, &a.Type, &a.Name, &a.Status, &a.Binding, &a.Key, &a.Data, &created, &used)
	if err != nil {
		return account.Authenticator{}, err
	}
	a.Created, a.LastUsed = atrest.Instant(created), atrest.Instant(used)
	return a, nil
}
