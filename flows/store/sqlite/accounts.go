package sqlite

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/stile-auth/stile/flows"
	"github.com/stile-auth/stile/flows/account"
	"github.com/stile-auth/stile/flows/store/atrest"
)

// Accounts is the repository of accounts, authenticators and links of a [Store].
// Its errors are those of package account.
type Accounts struct{ s *Store }

// CreateAccount stores an account with its authenticators and links, all of it
// or nothing. Their Subject must be the account's. [account.ErrExists] if the
// subject, a login, a link or an authenticator's id is taken.
func (r *Accounts) CreateAccount(ctx context.Context, a account.Account, auths []account.Authenticator, links []account.Link) error {
	if err := account.CheckNew(a, auths, links); err != nil {
		return err
	}
	logins, err1 := json.Marshal(a.Logins)
	attributes, err2 := json.Marshal(a.Attributes)
	if err := errors.Join(err1, err2); err != nil {
		return fmt.Errorf("sqlite: account: %w", err)
	}
	return r.s.writer.do(ctx, func(ctx context.Context, w *writer) error {
		err := insertNew(ctx, w, `INSERT INTO accounts (subject, status, logins, attributes, created) VALUES (?, ?, ?, ?, ?) ON CONFLICT DO NOTHING`,
			a.Subject, string(a.Status), string(logins), string(attributes), atrest.Nanos(a.Created))
		if err != nil {
			return err
		}
		return insertParts(ctx, w, a, auths, links)
	})
}

func insertParts(ctx context.Context, w *writer, a account.Account, auths []account.Authenticator, links []account.Link) error {
	for _, login := range a.Logins {
		if err := insertNew(ctx, w, `INSERT INTO logins (login, subject) VALUES (?, ?) ON CONFLICT DO NOTHING`, login, a.Subject); err != nil {
			return err
		}
	}
	for _, l := range links {
		err := insertNew(ctx, w, `INSERT INTO links (issuer, external, subject, created) VALUES (?, ?, ?, ?) ON CONFLICT DO NOTHING`,
			l.Issuer, l.External, l.Subject, atrest.Nanos(l.Created))
		if err != nil {
			return err
		}
	}
	for _, x := range auths {
		if err := insertAuthenticator(ctx, w, x); err != nil {
			return err
		}
	}
	return nil
}

// insertNew runs an insertion that does nothing on a conflict; [account.ErrExists] if it did nothing.
func insertNew(ctx context.Context, w *writer, query string, args ...any) error {
	n, err := w.exec(ctx, query, args...)
	if err == nil && n == 0 {
		return account.ErrExists
	}
	return err
}

const selectAccount = `SELECT a.subject, a.status, a.logins, a.attributes, a.created FROM accounts a `

// Account returns the account of that subject; [account.ErrNotFound].
func (r *Accounts) Account(ctx context.Context, subject string) (account.Account, error) {
	return r.one(ctx, selectAccount+`WHERE a.subject = ?`, subject)
}

// AccountByLogin returns the account that has this canonical login; [account.ErrNotFound].
func (r *Accounts) AccountByLogin(ctx context.Context, login string) (account.Account, error) {
	return r.one(ctx, selectAccount+`JOIN logins l ON l.subject = a.subject WHERE l.login = ?`, login)
}

// AccountByLink returns the account that is linked to that identity of a remote
// provider; [account.ErrNotFound].
func (r *Accounts) AccountByLink(ctx context.Context, issuer, external string) (account.Account, error) {
	return r.one(ctx, selectAccount+`JOIN links l ON l.subject = a.subject WHERE l.issuer = ? AND l.external = ?`, issuer, external)
}

func (r *Accounts) one(ctx context.Context, query string, args ...any) (account.Account, error) {
	out, err := r.list(ctx, query, args...)
	if err != nil {
		return account.Account{}, err
	}
	if len(out) == 0 {
		return account.Account{}, account.ErrNotFound
	}
	return out[0], nil
}

// Accounts returns at most limit accounts whose subject comes after, by subject. "" starts.
func (r *Accounts) Accounts(ctx context.Context, after string, limit int) ([]account.Account, error) {
	return r.list(ctx, selectAccount+`WHERE a.subject > ? ORDER BY a.subject LIMIT ?`, after, limit)
}

func (r *Accounts) list(ctx context.Context, query string, args ...any) ([]account.Account, error) {
	var out []account.Account
	err := r.s.reader.each(ctx, query, args, func(rows *sql.Rows) error {
		var a account.Account
		var logins, attributes []byte
		var created int64
		if err := rows.Scan(&a.Subject, &a.Status, &logins, &attributes, &created); err != nil {
			return fault(err)
		}
		if err := errors.Join(json.Unmarshal(logins, &a.Logins), json.Unmarshal(attributes, &a.Attributes)); err != nil {
			return fmt.Errorf("sqlite: account: %w", err)
		}
		a.Created = atrest.Instant(created)
		out = append(out, a)
		return nil
	})
	return out, err
}

// SetAttributes sets these attributes of an account and removes those that are
// set to "". [account.ErrNotFound].
func (r *Accounts) SetAttributes(ctx context.Context, subject string, attributes map[string]string) error {
	return r.s.writer.do(ctx, func(ctx context.Context, w *writer) error {
		var before []byte
		if err := w.row(ctx, `SELECT attributes FROM accounts WHERE subject = ?`, []any{subject}, &before); err != nil {
			return notFound(err)
		}
		var all map[string]string
		if err := json.Unmarshal(before, &all); err != nil {
			return fmt.Errorf("sqlite: account: %w", err)
		}
		after, err := json.Marshal(account.Merged(all, attributes))
		if err != nil {
			return err
		}
		_, err = w.exec(ctx, `UPDATE accounts SET attributes = ? WHERE subject = ?`, string(after), subject)
		return err
	})
}

// SetStatus sets the status of an account; [account.ErrNotFound].
func (r *Accounts) SetStatus(ctx context.Context, subject string, status account.Status) error {
	return r.s.writer.do(ctx, func(ctx context.Context, w *writer) error {
		n, err := w.exec(ctx, `UPDATE accounts SET status = ? WHERE subject = ?`, string(status), subject)
		if err == nil && n == 0 {
			return account.ErrNotFound
		}
		return err
	})
}

// notFound says it in the words of package account.
func notFound(err error) error {
	if errors.Is(err, flows.ErrNotFound) {
		return account.ErrNotFound
	}
	return err
}
