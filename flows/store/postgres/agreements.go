package postgres

import (
	"context"
	"encoding/json"
	"fmt"

	"github.com/jackc/pgx/v5"

	"github.com/stile-auth/stile/flows/account"
	"github.com/stile-auth/stile/flows/store/atrest"
)

// Agreements returns what an account has agreed to, by kind and name. None is no
// error, and neither is an account that does not exist.
func (r *Accounts) Agreements(ctx context.Context, subject string) ([]account.Agreement, error) {
	return list(ctx, r.s, func(row pgx.Row) (account.Agreement, error) {
		var a account.Agreement
		var scopes []byte
		var given int64
		if err := row.Scan(str(&a.Subject), &a.Kind, str(&a.Name), &scopes, &given); err != nil {
			return a, driver(err)
		}
		a.Given = atrest.Instant(given)
		if err := json.Unmarshal(scopes, &a.Scopes); err != nil {
			return a, fmt.Errorf("postgres: agreement: %w", err)
		}
		return a, nil
	}, `SELECT subject, kind, name, scopes, given FROM agreements WHERE subject = $1 ORDER BY kind COLLATE "C", name`, raw(subject))
}

// Agree stores an agreement in the place of one of the same kind and name.
// [account.ErrNotFound] if there is no such account; [account.ErrAgreement].
func (r *Accounts) Agree(ctx context.Context, a account.Agreement) error {
	if err := account.CheckAgreement(a); err != nil {
		return err
	}
	scopes, err := json.Marshal(a.Scopes)
	if err != nil {
		return fmt.Errorf("postgres: agreement: %w", err)
	}
	_, err = r.s.exec(ctx, `INSERT INTO agreements (subject, kind, name, scopes, given) VALUES ($1, $2, $3, $4, $5)
		ON CONFLICT (subject, kind, name) DO UPDATE SET scopes = excluded.scopes, given = excluded.given`,
		raw(a.Subject), a.Kind, raw(a.Name), string(scopes), atrest.Nanos(a.Given))
	return exists(err)
}

// Revoke takes an agreement back; absent is no error.
func (r *Accounts) Revoke(ctx context.Context, subject, kind, name string) error {
	_, err := r.s.exec(ctx, `DELETE FROM agreements WHERE subject = $1 AND kind = $2 AND name = $3`, raw(subject), kind, raw(name))
	return err
}
