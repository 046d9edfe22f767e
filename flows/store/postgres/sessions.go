package postgres

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/stile-auth/stile/flows"
	"github.com/stile-auth/stile/flows/store/atrest"
)

// PutSession implements [flows.Sessions]. First it waits for those who are ending
// sessions of this subject or of what the session rests on: see [Store.EndSessions].
func (s *Store) PutSession(ctx context.Context, session flows.Session) error {
	evidence, err1 := json.Marshal(atrest.Evidence(session.Evidence))
	tags, err2 := json.Marshal(atrest.Tags(session.Tags))
	if err := errors.Join(err1, err2); err != nil {
		return fmt.Errorf("postgres: session: %w", err)
	}
	roots, began := columnsOf(session.Roots)
	var stored bool
	err := s.together(ctx, func(b *pgx.Batch) {
		b.Queue(`SELECT pg_advisory_xact_lock_shared(k) FROM unnest($1::bigint[]) AS k`, endLocks(session))
		b.Queue(`WITH put AS (
			INSERT INTO sessions (secret, id, subject, client, key, evidence, tags, roots, roots_began, created, began, seen, expires)
			SELECT $1::bytea, $2::bytea, $3::bytea, $4::bytea, $5::bytea, $6::text, $7::text, $8::bytea[], $9::bigint[], $10::bigint, $11::bigint, $12::bigint, $13::bigint
			WHERE NOT EXISTS (SELECT 1 FROM session_ends WHERE subject = $3 AND at > $11 AND (spared = '' OR spared <> $2))
				AND NOT EXISTS (SELECT 1 FROM unnest($8::bytea[], $9::bigint[]) AS r (root, began) JOIN root_ends e ON e.root = r.root WHERE e.at > r.began)
			ON CONFLICT (secret) DO UPDATE SET id = excluded.id, subject = excluded.subject, client = excluded.client, key = excluded.key,
				evidence = excluded.evidence, tags = excluded.tags, roots = excluded.roots, roots_began = excluded.roots_began,
				created = excluded.created, began = excluded.began, seen = excluded.seen, expires = excluded.expires
			RETURNING 1
		) SELECT EXISTS (SELECT 1 FROM put)`,
			session.Secret[:], raw(session.ID), raw(session.Subject), raw(session.Client), raw(session.Key), string(evidence), string(tags), roots, began,
			atrest.Nanos(session.Created), atrest.Nanos(session.Began), atrest.Nanos(session.Seen), atrest.Nanos(session.Expires),
		).QueryRow(func(r pgx.Row) error { return driver(r.Scan(&stored)) })
	})
	if err == nil && !stored {
		err = flows.ErrEnded
	}
	return err
}

const selectSession = `SELECT secret, id, subject, client, key, evidence, tags, roots, roots_began, created, began, seen, expires FROM sessions`

// Session implements [flows.Sessions].
func (s *Store) Session(ctx context.Context, secret flows.Alias, now time.Time) (flows.Session, error) {
	return s.session(ctx, selectSession+` WHERE secret = $1 AND expires > $2`, secret[:], atrest.Nanos(now))
}

// SessionByID implements [flows.Sessions].
func (s *Store) SessionByID(ctx context.Context, id string, now time.Time) (flows.Session, error) {
	return s.session(ctx, selectSession+` WHERE id = $1 AND expires > $2 LIMIT 1`, raw(id), atrest.Nanos(now))
}

func (s *Store) session(ctx context.Context, query string, args ...any) (flows.Session, error) {
	found, err := list(ctx, s, scanSession, query, args...)
	if err == nil && len(found) == 0 {
		err = flows.ErrNotFound
	}
	if err != nil {
		return flows.Session{}, err
	}
	return found[0], nil
}

func scanSession(row pgx.Row) (flows.Session, error) {
	var out flows.Session
	var secret, evidence, tags []byte
	var roots [][]byte
	var rootsBegan []int64
	var created, began, seen, expires int64
	err := row.Scan(&secret, str(&out.ID), str(&out.Subject), str(&out.Client), str(&out.Key), &evidence, &tags, &roots, &rootsBegan,
		&created, &began, &seen, &expires)
	if err != nil {
		return flows.Session{}, driver(err)
	}
	if err := errors.Join(json.Unmarshal(evidence, &out.Evidence), json.Unmarshal(tags, &out.Tags)); err != nil {
		return flows.Session{}, fmt.Errorf("postgres: session: %w", err)
	}
	copy(out.Secret[:], secret)
	for i := range min(len(roots), len(rootsBegan)) {
		r := flows.Root{Began: atrest.Instant(rootsBegan[i])}
		copy(r.Key[:], roots[i])
		out.Roots = append(out.Roots, r)
	}
	out.Evidence = atrest.Evidence(out.Evidence)
	out.Created, out.Began, out.Seen, out.Expires = atrest.Instant(created), atrest.Instant(began), atrest.Instant(seen), atrest.Instant(expires)
	return out, nil
}

// columnsOf splits roots into two columns.
func columnsOf(roots []flows.Root) (keys [][]byte, began []int64) {
	keys, began = make([][]byte, len(roots)), make([]int64, len(roots))
	for i := range roots {
		keys[i], began[i] = roots[i].Key[:], atrest.Nanos(roots[i].Began)
	}
	return keys, began
}

// RemoveSession implements [flows.Sessions].
func (s *Store) RemoveSession(ctx context.Context, secret flows.Alias) error {
	_, err := s.exec(ctx, `DELETE FROM sessions WHERE secret = $1`, secret[:])
	return err
}

// EndSession implements [flows.Sessions].
func (s *Store) EndSession(ctx context.Context, id string) error {
	_, err := s.exec(ctx, `DELETE FROM sessions WHERE id = $1`, raw(id))
	return err
}

// DeleteExpiredSessions implements [flows.Sessions].
func (s *Store) DeleteExpiredSessions(ctx context.Context, now time.Time, limit int) (int, error) {
	for _, query := range []string{
		`DELETE FROM session_ends WHERE subject = ANY (ARRAY(SELECT subject FROM session_ends WHERE until <= $1 ORDER BY until LIMIT $2 FOR UPDATE SKIP LOCKED))`,
		`DELETE FROM root_ends WHERE root = ANY (ARRAY(SELECT root FROM root_ends WHERE until <= $1 ORDER BY until LIMIT $2 FOR UPDATE SKIP LOCKED))`,
	} {
		if _, err := s.sweep(ctx, query, now, limit); err != nil {
			return 0, err
		}
	}
	return s.sweep(ctx, `DELETE FROM sessions WHERE secret = ANY (ARRAY
		(SELECT secret FROM sessions WHERE expires <= $1 ORDER BY expires LIMIT $2 FOR UPDATE SKIP LOCKED))`, now, limit)
}
