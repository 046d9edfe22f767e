package postgres

import (
	"context"

	"github.com/jackc/pgx/v5"

	"github.com/stile-auth/stile/flows/account"
	"github.com/stile-auth/stile/flows/store/atrest"
)

const (
	selectAuthenticator = `SELECT version, id, subject, type, name, status, binding, key, data, created, last_used FROM authenticators `
	insertAuthenticator = `INSERT INTO authenticators (version, id, subject, type, name, status, binding, key, data, created, last_used)
		VALUES (1, $1, $2, $3, $4, $5, $6, $7, $8, $9, $10)`
)

func authenticatorArgs(a account.Authenticator) []any {
	return []any{
		raw(a.ID), raw(a.Subject), a.Type, raw(a.Name), string(a.Status), a.Binding, raw(a.Key), atrest.Blob(a.Data),
		atrest.Nanos(a.Created), atrest.Nanos(a.LastUsed),
	}
}

// authenticatorRow is one row as it is kept.
type authenticatorRow struct {
	account.Authenticator
	version       int64
	created, used int64
}

func (r *authenticatorRow) columns() []any {
	return []any{
		&r.version, str(&r.ID), str(&r.Subject), &r.Type, str(&r.Name), &r.Status, &r.Binding, str(&r.Key), &r.Data, &r.created, &r.used,
	}
}

func (r *authenticatorRow) authenticator() account.Authenticator {
	r.Created, r.LastUsed = atrest.Instant(r.created), atrest.Instant(r.used)
	return r.Authenticator
}

// Authenticators returns all authenticators of an account, whatever their
// status, by creation time and id. None is no error.
func (r *Accounts) Authenticators(ctx context.Context, subject string) ([]account.Authenticator, error) {
	return list(ctx, r.s, func(row pgx.Row) (account.Authenticator, error) {
		var a authenticatorRow
		if err := row.Scan(a.columns()...); err != nil {
			return account.Authenticator{}, driver(err)
		}
		return a.authenticator(), nil
	}, selectAuthenticator+`WHERE subject = $1 ORDER BY created, id`, raw(subject))
}

// AddAuthenticator binds one more authenticator to an account. [account.ErrExists]
// if its id is taken, by whichever account; [account.ErrNotFound] if there is no such account.
func (r *Accounts) AddAuthenticator(ctx context.Context, a account.Authenticator) error {
	_, err := r.s.exec(ctx, insertAuthenticator, authenticatorArgs(a)...)
	return exists(err)
}

// UpdateAuthenticator changes an authenticator by fn, atomically. An error of fn
// comes back as it is, and nothing changes. fn must do nothing but change its argument:
// it must not use the store, and it may be called more than once.
// [account.ErrNotFound]; [account.ErrFixed].
//
// It reads, and writes if the version is still the same; nobody waits for it
// meanwhile. If somebody was faster it waits for the row and holds it.
func (r *Accounts) UpdateAuthenticator(ctx context.Context, id string, fn func(*account.Authenticator) error) error {
	var before authenticatorRow
	find := statement{selectAuthenticator + `WHERE id = $1`, []any{raw(id)}}
	if err := r.s.read(ctx, find.query, find.args, before.columns()...); err != nil {
		return notFound(err)
	}
	change, err := updateAuthenticator(before, fn)
	if err != nil {
		return err
	}
	if n, err := r.s.exec(ctx, change.query, change.args...); err != nil || n == 1 {
		return err
	}
	find.query += ` FOR NO KEY UPDATE`
	before = authenticatorRow{}
	return notFound(r.s.hold(ctx, find, before.columns(), func() (statement, error) { return updateAuthenticator(before, fn) }))
}

func updateAuthenticator(row authenticatorRow, fn func(*account.Authenticator) error) (statement, error) {
	before := row.authenticator()
	after := before
	after.Data = append([]byte(nil), before.Data...)
	if err := fn(&after); err != nil {
		return statement{}, err
	}
	if err := account.CheckUpdate(before, after); err != nil {
		return statement{}, err
	}
	return statement{
		`UPDATE authenticators SET version = version + 1, name = $3, status = $4, key = $5, data = $6, last_used = $7 WHERE id = $1 AND version = $2`,
		[]any{raw(before.ID), row.version, raw(after.Name), string(after.Status), raw(after.Key), atrest.Blob(after.Data), atrest.Nanos(after.LastUsed)},
	}, nil
}
