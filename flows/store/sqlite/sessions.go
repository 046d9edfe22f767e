package sqlite

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/stile-auth/stile/flows"
	"github.com/stile-auth/stile/flows/store/atrest"
)

// PutSession implements [flows.Sessions].
func (s *Store) PutSession(ctx context.Context, session flows.Session) error {
	evidence, err := json.Marshal(atrest.Evidence(session.Evidence))
	if err != nil {
		return fmt.Errorf("sqlite: evidence: %w", err)
	}
	tags, err := json.Marshal(atrest.Tags(session.Tags))
	if err != nil {
		return fmt.Errorf("sqlite: tags: %w", err)
	}
	return s.writer.do(ctx, func(ctx context.Context, w *writer) error {
		n, err := w.exec(ctx, `INSERT OR REPLACE INTO sessions (secret, id, subject, client, key, evidence, tags, created, began, seen, expires)
			SELECT ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?
			WHERE NOT EXISTS (SELECT 1 FROM session_ends WHERE subject = ? AND at > ? AND (spared = '' OR spared <> ?))`,
			session.Secret[:], session.ID, session.Subject, session.Client, session.Key,
			string(evidence), string(tags), atrest.Nanos(session.Created), atrest.Nanos(session.Began), atrest.Nanos(session.Seen), atrest.Nanos(session.Expires),
			session.Subject, atrest.Nanos(session.Began), session.ID)
		if err == nil && n == 0 {
			return flows.ErrEnded
		}
		if err != nil {
			return err
		}
		return putRoots(ctx, w, session)
	})
}

// Session implements [flows.Sessions].
func (s *Store) Session(ctx context.Context, secret flows.Alias, now time.Time) (flows.Session, error) {
	return s.session(ctx, sessionColumns+` WHERE secret = ? AND expires > ?`,
		secret[:], atrest.Nanos(now))
}

// SessionByID implements [flows.Sessions].
func (s *Store) SessionByID(ctx context.Context, id string, now time.Time) (flows.Session, error) {
	return s.session(ctx, sessionColumns+` WHERE id = ? AND expires > ? LIMIT 1`,
		id, atrest.Nanos(now))
}

// sessionColumns begins a query of sessions. The roots are text: hashes and instants, in order.
const sessionColumns = `SELECT secret, id, subject, client, key, evidence, tags, created, began, seen, expires,
	(SELECT group_concat(hex(r.root) || ' ' || r.began, ',') FROM session_roots r WHERE r.secret = sessions.secret) FROM sessions`

func (s *Store) session(ctx context.Context, query string, args ...any) (flows.Session, error) {
	var r sessionRow
	if err := s.reader.row(ctx, query, args, r.columns()...); err != nil {
		return flows.Session{}, err
	}
	return r.session()
}

// sessionRow is one row as it is kept.
type sessionRow struct {
	flows.Session
	secret, evidence, tags        []byte
	created, began, seen, expires int64
	roots                         sql.NullString
}

func (r *sessionRow) columns() []any {
	return []any{
		&r.secret, &r.ID, &r.Subject, &r.Client, &r.Key, &r.evidence, &r.tags, &r.created, &r.began, &r.seen, &r.expires, &r.roots,
	}
}

func (r *sessionRow) session() (flows.Session, error) {
	out := r.Session
	if err := json.Unmarshal(r.evidence, &out.Evidence); err != nil {
		return flows.Session{}, fmt.Errorf("sqlite: evidence: %w", err)
	}
	if err := json.Unmarshal(r.tags, &out.Tags); err != nil {
		return flows.Session{}, fmt.Errorf("sqlite: tags: %w", err)
	}
	var err error
	if out.Roots, err = parseRoots(r.roots.String); err != nil {
		return flows.Session{}, err
	}
	copy(out.Secret[:], r.secret)
	out.Evidence = atrest.Evidence(out.Evidence)
	out.Created, out.Began, out.Seen, out.Expires = atrest.Instant(r.created), atrest.Instant(r.began), atrest.Instant(r.seen), atrest.Instant(r.expires)
	return out, nil
}

// RemoveSession implements [flows.Sessions].
func (s *Store) RemoveSession(ctx context.Context, secret flows.Alias) error {
	return s.writer.do(ctx, func(ctx context.Context, w *writer) error {
		_, err := w.exec(ctx, `DELETE FROM sessions WHERE secret = ?`, secret[:])
		return err
	})
}

// EndSession implements [flows.Sessions].
func (s *Store) EndSession(ctx context.Context, id string) error {
	return s.writer.do(ctx, func(ctx context.Context, w *writer) error {
		_, err := w.exec(ctx, `DELETE FROM sessions WHERE id = ?`, id)
		return err
	})
}

// EndSessions implements [flows.Sessions].
func (s *Store) EndSessions(ctx context.Context, end flows.SessionsEnd) error {
	return s.writer.do(ctx, func(ctx context.Context, w *writer) error {
		_, err := w.exec(ctx, `DELETE FROM sessions WHERE subject = ? AND began < ? AND (? = '' OR id <> ?)`,
			end.Subject, atrest.Nanos(end.At), end.Spared, end.Spared)
		if err != nil {
			return err
		}
		_, err = w.exec(ctx, `INSERT INTO session_ends (subject, at, spared, until) VALUES (?, ?, ?, ?)
			ON CONFLICT (subject) DO UPDATE SET at = excluded.at, spared = excluded.spared, until = excluded.until WHERE excluded.at > at`,
			end.Subject, atrest.Nanos(end.At), end.Spared, atrest.Nanos(end.Until))
		return err
	})
}

// SessionsEnded implements [flows.Sessions].
func (s *Store) SessionsEnded(ctx context.Context, subject string, now time.Time) (flows.SessionsEnd, error) {
	end := flows.SessionsEnd{Subject: subject}
	var at, until int64
	err := s.reader.row(ctx, `SELECT at, spared, until FROM session_ends WHERE subject = ? AND until > ?`,
		[]any{subject, atrest.Nanos(now)}, &at, &end.Spared, &until)
	if errors.Is(err, flows.ErrNotFound) {
		return flows.SessionsEnd{}, nil
	}
	end.At, end.Until = atrest.Instant(at), atrest.Instant(until)
	return end, err
}

// DeleteExpiredSessions implements [flows.Sessions].
func (s *Store) DeleteExpiredSessions(ctx context.Context, now time.Time, limit int) (int, error) {
	_, err := s.sweep(ctx, `DELETE FROM session_ends WHERE subject IN (SELECT subject FROM session_ends WHERE until <= ? LIMIT ?)`, now, limit)
	if err != nil {
		return 0, err
	}
	_, err = s.sweep(ctx, `DELETE FROM root_ends WHERE root IN (SELECT root FROM root_ends WHERE until <= ? LIMIT ?)`, now, limit)
	if err != nil {
		return 0, err
	}
	return s.sweep(ctx, `DELETE FROM sessions WHERE secret IN (SELECT secret FROM sessions WHERE expires <= ? ORDER BY expires LIMIT ?)`, now, limit)
}
