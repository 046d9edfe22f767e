package sqlite

import (
	"context"
	"database/sql"
	"encoding/json"
	"fmt"

	"github.com/stile-auth/stile/flows/account"
	"github.com/stile-auth/stile/flows/store/atrest"
)

// Agreements returns what an account has agreed to, by kind and name. None is no
// error, and neither is an account that does not exist.
func (r *Accounts) Agreements(ctx context.Context, subject string) ([]account.Agreement, error) {
	var out []account.Agreement
	err := r.s.reader.each(ctx, `SELECT subject, kind, name, scopes, given FROM agreements WHERE subject = ? ORDER BY kind, name`,
		[]any{subject}, func(rows *sql.Rows) error {
			var a account.Agreement
			var scopes string
			var given int64
			if err := rows.Scan(&a.Subject, &a.Kind, &a.Name, &scopes, &given); err != nil {
				return fault(err)
			}
			a.Given = atrest.Instant(given)
			out = append(out, a)
			return fault(json.Unmarshal([]byte(scopes), &out[len(out)-1].Scopes))
		})
	return out, err
}

// Agree stores an agreement in the place of one of the same kind and name.
// [account.ErrNotFound] if there is no such account; [account.ErrAgreement].
func (r *Accounts) Agree(ctx context.Context, a account.Agreement) error {
	if err := account.CheckAgreement(a); err != nil {
		return err
	}
	scopes, err := json.Marshal(a.Scopes)
	if err != nil {
		return fmt.Errorf("sqlite: agreement: %w", err)
	}
	return r.s.writer.do(ctx, func(ctx context.Context, w *writer) error {
		var one int
		if err := w.row(ctx, `SELECT 1 FROM accounts WHERE subject = ?`, []any{a.Subject}, &one); err != nil {
			return notFound(err)
		}
		_, err := w.exec(ctx, `INSERT INTO agreements (subject, kind, name, scopes, given) VALUES (?, ?, ?, ?, ?)
			ON CONFLICT (subject, kind, name) DO UPDATE SET scopes = excluded.scopes, given = excluded.given`,
			a.Subject, a.Kind, a.Name, string(scopes), atrest.Nanos(a.Given))
		return err
	})
}

// Revoke takes an agreement back; absent is no error.
func (r *Accounts) Revoke(ctx context.Context, subject, kind, name string) error {
	return r.s.writer.do(ctx, func(ctx context.Context, w *writer) error {
		_, err := w.exec(ctx, `DELETE FROM agreements WHERE subject = ? AND kind = ? AND name = ?`, subject, kind, name)
		return err
	})
}
