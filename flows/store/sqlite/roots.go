package sqlite

import (
	"context"
	"database/sql"
	"encoding/hex"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/stile-auth/stile/flows"
	"github.com/stile-auth/stile/flows/store/atrest"
)

// putRoots stores what a session rests on; [flows.ErrEnded] if some of it has ended.
func putRoots(ctx context.Context, w *writer, session flows.Session) error {
	over, err := ended(ctx, w.prepared, session.Roots)
	if err != nil {
		return err
	}
	if over {
		return flows.ErrEnded
	}
	for _, r := range session.Roots {
		_, err := w.exec(ctx, `INSERT OR REPLACE INTO session_roots (root, secret, began) VALUES (?, ?, ?)`, r.Key[:], session.Secret[:], atrest.Nanos(r.Began))
		if err != nil {
			return err
		}
	}
	return nil
}

// EndRooted implements [flows.RootEnds].
func (s *Store) EndRooted(ctx context.Context, end flows.RootEnd) ([]flows.Session, error) {
	var over []flows.Session
	err := s.writer.do(ctx, func(ctx context.Context, w *writer) error {
		over = nil
		args := []any{end.Key[:], atrest.Nanos(end.At)}
		err := w.each(ctx, sessionColumns+` WHERE secret IN (SELECT secret FROM session_roots WHERE root = ? AND began < ?) ORDER BY id`, args, func(rows *sql.Rows) error {
			var r sessionRow
			if err := rows.Scan(r.columns()...); err != nil {
				return fault(err)
			}
			one, err := r.session()
			over = append(over, one)
			return err
		})
		if err != nil {
			return err
		}
		if _, err := w.exec(ctx, `DELETE FROM sessions WHERE secret IN (SELECT secret FROM session_roots WHERE root = ? AND began < ?)`, args...); err != nil {
			return err
		}
		_, err = w.exec(ctx, `INSERT INTO root_ends (root, at, until) VALUES (?, ?, ?)
			ON CONFLICT (root) DO UPDATE SET at = excluded.at, until = excluded.until WHERE excluded.at > at`,
			end.Key[:], atrest.Nanos(end.At), atrest.Nanos(end.Until))
		return err
	})
	return over, err
}

// Rootless implements [flows.RootEnds].
func (s *Store) Rootless(ctx context.Context, roots []flows.Root, _ time.Time) (bool, error) {
	return ended(ctx, s.reader, roots)
}

// ended says whether one of these has ended.
func ended(ctx context.Context, on *prepared, roots []flows.Root) (bool, error) {
	for _, r := range roots {
		var one int
		err := on.row(ctx, `SELECT 1 FROM root_ends WHERE root = ? AND at > ?`, []any{r.Key[:], atrest.Nanos(r.Began)}, &one)
		if err == nil {
			return true, nil
		}
		if !errors.Is(err, flows.ErrNotFound) {
			return false, err
		}
	}
	return false, nil
}

// parseRoots reads what a query of sessions says of roots.
func parseRoots(text string) ([]flows.Root, error) {
	if text == "" {
		return nil, nil
	}
	var out []flows.Root
	for _, one := range strings.Split(text, ",") {
		key, began, _ := strings.Cut(one, " ")
		raw, err := hex.DecodeString(key)
		at, nerr := strconv.ParseInt(began, 10, 64)
		if err = errors.Join(err, nerr); err != nil {
			return nil, fmt.Errorf("sqlite: roots: %w", err)
		}
		r := flows.Root{Began: atrest.Instant(at)}
		copy(r.Key[:], raw)
		out = append(out, r)
	}
	return out, nil
}
