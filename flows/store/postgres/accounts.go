package postgres

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/jackc/pgx/v5"

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
		return fmt.Errorf("postgres: account: %w", err)
	}
	return exists(r.s.together(ctx, func(b *pgx.Batch) {
		b.Queue(`INSERT INTO accounts (subject, status, logins, attributes, created) VALUES ($1, $2, $3, $4, $5)`,
			raw(a.Subject), string(a.Status), string(logins), string(attributes), atrest.Nanos(a.Created))
		if len(a.Logins) > 0 {
			b.Queue(`INSERT INTO logins (login, subject) SELECT l, $1 FROM unnest($2::bytea[]) AS l`, raw(a.Subject), raws(a.Logins))
		}
		for _, l := range links {
			b.Queue(`INSERT INTO links (issuer, external, subject, created) VALUES ($1, $2, $3, $4)`,
				raw(l.Issuer), raw(l.External), raw(l.Subject), atrest.Nanos(l.Created))
		}
		for _, x := range auths {
			b.Queue(insertAuthenticator, authenticatorArgs(x)...)
		}
	}))
}

// exists says in the words of package account that something is taken.
func exists(err error) error {
	switch {
	case errors.Is(err, errUnique):
		return account.ErrExists
	case errors.Is(err, errReference):
		return account.ErrNotFound
	}
	return err
}

const selectAccount = `SELECT a.subject, a.status, a.logins, a.attributes, a.created FROM accounts a `

// Account returns the account of that subject; [account.ErrNotFound].
func (r *Accounts) Account(ctx context.Context, subject string) (account.Account, error) {
	return r.one(ctx, selectAccount+`WHERE a.subject = $1`, raw(subject))
}

// AccountByLogin returns the account that has this canonical login; [account.ErrNotFound].
func (r *Accounts) AccountByLogin(ctx context.Context, login string) (account.Account, error) {
	return r.one(ctx, selectAccount+`JOIN logins l ON l.subject = a.subject WHERE l.login = $1`, raw(login))
}

// AccountByLink returns the account that is linked to that identity of a remote
// provider; [account.ErrNotFound].
func (r *Accounts) AccountByLink(ctx context.Context, issuer, external string) (account.Account, error) {
	return r.one(ctx, selectAccount+`JOIN links l ON l.subject = a.subject WHERE l.issuer = $1 AND l.external = $2`, raw(issuer), raw(external))
}

func (r *Accounts) one(ctx context.Context, query string, args ...any) (account.Account, error) {
	out, err := list(ctx, r.s, scanAccount, query, args...)
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
	return list(ctx, r.s, scanAccount, selectAccount+`WHERE a.subject > $1 ORDER BY a.subject LIMIT $2`, raw(after), int64(limit))
}

func scanAccount(row pgx.Row) (account.Account, error) {
	var a account.Account
	var logins, attributes []byte
	var created int64
	if err := row.Scan(str(&a.Subject), &a.Status, &logins, &attributes, &created); err != nil {
		return account.Account{}, driver(err)
	}
	if err := errors.Join(json.Unmarshal(logins, &a.Logins), json.Unmarshal(attributes, &a.Attributes)); err != nil {
		return account.Account{}, fmt.Errorf("postgres: account: %w", err)
	}
	a.Created = atrest.Instant(created)
	return a, nil
}

// SetAttributes sets these attributes of an account and removes those that are
// set to "". [account.ErrNotFound].
func (r *Accounts) SetAttributes(ctx context.Context, subject string, attributes map[string]string) error {
	var before []byte
	lock := statement{`SELECT attributes FROM accounts WHERE subject = $1 FOR NO KEY UPDATE`, []any{raw(subject)}}
	return notFound(r.s.hold(ctx, lock, []any{&before}, func() (statement, error) {
		var all map[string]string
		if err := json.Unmarshal(before, &all); err != nil {
			return statement{}, fmt.Errorf("postgres: account: %w", err)
		}
		after, err := json.Marshal(account.Merged(all, attributes))
		return statement{`UPDATE accounts SET attributes = $2 WHERE subject = $1`, []any{raw(subject), string(after)}}, err
	}))
}

// SetStatus sets the status of an account; [account.ErrNotFound].
func (r *Accounts) SetStatus(ctx context.Context, subject string, status account.Status) error {
	n, err := r.s.exec(ctx, `UPDATE accounts SET status = $2 WHERE subject = $1`, raw(subject), string(status))
	if err == nil && n == 0 {
		err = account.ErrNotFound
	}
	return err
}

// notFound says it in the words of package account.
func notFound(err error) error {
	if errors.Is(err, flows.ErrNotFound) {
		return account.ErrNotFound
	}
	return err
}
