package sqlite

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"github.com/stile-auth/stile/flows"
)

// PutSession implements [flows.Sessions].
func (s *Store) PutSession(ctx context.Context, session flows.Session, replaces flows.Alias) error {
	evidence, err := json.Marshal(session.Evidence)
	if err != nil {
		return fmt.Errorf("sqlite: evidence: %w", err)
	}
	return s.writer.do(ctx, func(ctx context.Context, w *writer) error {
		if replaces != (flows.Alias{}) {
			if _, err := w.exec(ctx, `DELETE FROM sessions WHERE secret = ?`, replaces[:]); err != nil {
				return err
			}
		}
		_, err := w.exec(ctx, `INSERT OR REPLACE INTO sessions (secret, id, subject, client, key, evidence, created, expires) VALUES (?, ?, ?, ?, ?, ?, ?, ?)`,
			session.Secret[:], session.ID, session.Subject, session.Client, session.Key, string(evidence), nanos(session.Created), nanos(session.Expires))
		return err
	})
}

// Session implements [flows.Sessions].
func (s *Store) Session(ctx context.Context, secret flows.Alias, now time.Time) (flows.Session, error) {
	out := flows.Session{Secret: secret}
	var evidence []byte
	var created, expires int64
	err := s.reader.row(ctx, `SELECT id, subject, client, key, evidence, created, expires FROM sessions WHERE secret = ? AND expires > ?`,
		[]any{secret[:], nanos(now)}, &out.ID, &out.Subject, &out.Client, &out.Key, &evidence, &created, &expires)
	if err != nil {
		return flows.Session{}, err
	}
	if err := json.Unmarshal(evidence, &out.Evidence); err != nil {
		return flows.Session{}, fmt.Errorf("sqlite: evidence: %w", err)
	}
	for i := range out.Evidence {
		e := &out.Evidence[i]
		e.At, e.Expires = e.At.UTC(), e.Expires.UTC()
		if e.Upstream != nil {
			e.Upstream.AuthTime = e.Upstream.AuthTime.UTC()
		}
	}
	out.Created, out.Expires = instant(created), instant(expires)
	return out, nil
}

// EndSession implements [flows.Sessions].
func (s *Store) EndSession(ctx context.Context, id string) error {
	return s.writer.do(ctx, func(ctx context.Context, w *writer) error {
		_, err := w.exec(ctx, `DELETE FROM sessions WHERE id = ?`, id)
		return err
	})
}

// DeleteExpiredSessions implements [flows.Sessions].
func (s *Store) DeleteExpiredSessions(ctx context.Context, now time.Time, limit int) (int, error) {
	return s.sweep(ctx, `DELETE FROM sessions WHERE secret IN (SELECT secret FROM sessions WHERE expires <= ? ORDER BY expires LIMIT ?)`, now, limit)
}
