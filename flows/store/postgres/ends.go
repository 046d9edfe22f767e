package postgres

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/stile-auth/stile/flows"
	"github.com/stile-auth/stile/flows/store/atrest"
)

// Sessions end while others begin, and none may slip through. Each call is a
// transaction whose statements see what was committed before they began. So if
// one ended what it saw while another, who saw no end yet, stored a session,
// that session would survive. Therefore who ends holds a lock of the subject
// (or of the root) alone, and who stores holds it with others who store. Whichever comes
// second begins its statement after the first has committed: who ends sees the
// session, or who stores sees the end.
//
// The locks are advisory ones of the transaction. They are sent together with the
// statements and the end of the transaction, in one round trip: no node holds one while it thinks.
// Two that share a lock by chance wait for one another, and that is all.

// endLocks are the locks of what would end a session, in one order for everybody.
func endLocks(s flows.Session) []int64 {
	out := []int64{subjectLock(s.Subject)}
	for _, r := range s.Roots {
		out = append(out, rootLock(r.Key))
	}
	slices.Sort(out)
	return out
}

func subjectLock(subject string) int64 { return lockOf("subject", raw(subject)) }

func rootLock(root flows.Alias) int64 { return lockOf("root", root[:]) }

func lockOf(kind string, name []byte) int64 {
	sum := sha256.Sum256(append(append([]byte(kind), 0), name...))
	return int64(binary.BigEndian.Uint64(sum[:])) //nolint:gosec // any 64 bits do
}

const lockAlone = `SELECT pg_advisory_xact_lock($1)`

// EndSessions implements [flows.SessionEnds].
func (s *Store) EndSessions(ctx context.Context, end flows.SessionsEnd) error {
	return s.together(ctx, func(b *pgx.Batch) {
		b.Queue(lockAlone, subjectLock(end.Subject))
		b.Queue(`INSERT INTO session_ends AS e (subject, at, spared, until) VALUES ($1, $2, $3, $4)
			ON CONFLICT (subject) DO UPDATE SET at = excluded.at, spared = excluded.spared, until = excluded.until WHERE excluded.at > e.at`,
			raw(end.Subject), atrest.Nanos(end.At), raw(end.Spared), atrest.Nanos(end.Until))
		b.Queue(`DELETE FROM sessions WHERE subject = $1 AND began < $2 AND ($3::bytea = '' OR id <> $3)`,
			raw(end.Subject), atrest.Nanos(end.At), raw(end.Spared))
	})
}

// SessionsEnded implements [flows.SessionEnds].
func (s *Store) SessionsEnded(ctx context.Context, subject string, now time.Time) (flows.SessionsEnd, error) {
	end := flows.SessionsEnd{Subject: subject}
	var at, until int64
	err := s.read(ctx, `SELECT at, spared, until FROM session_ends WHERE subject = $1 AND until > $2`,
		[]any{raw(subject), atrest.Nanos(now)}, &at, str(&end.Spared), &until)
	if errors.Is(err, flows.ErrNotFound) {
		return flows.SessionsEnd{}, nil
	}
	end.At, end.Until = atrest.Instant(at), atrest.Instant(until)
	return end, err
}

// EndRooted implements [flows.RootEnds].
func (s *Store) EndRooted(ctx context.Context, end flows.RootEnd) ([]flows.Session, error) {
	var over []flows.Session
	err := s.together(ctx, func(b *pgx.Batch) {
		b.Queue(lockAlone, rootLock(end.Key))
		b.Queue(`INSERT INTO root_ends AS e (root, at, until) VALUES ($1, $2, $3)
			ON CONFLICT (root) DO UPDATE SET at = excluded.at, until = excluded.until WHERE excluded.at > e.at`,
			end.Key[:], atrest.Nanos(end.At), atrest.Nanos(end.Until))
		b.Queue(`WITH over AS (
				DELETE FROM sessions WHERE roots <> '{}' AND roots @> ARRAY[$1::bytea]
					AND EXISTS (SELECT 1 FROM unnest(roots, roots_began) AS r (root, began) WHERE r.root = $1 AND r.began < $2)
				RETURNING *
			) SELECT secret, id, subject, client, key, evidence, tags, roots, roots_began, created, began, seen, expires FROM over ORDER BY id`,
			end.Key[:], atrest.Nanos(end.At)).Query(func(rows pgx.Rows) (err error) {
			over, err = collect(rows, scanSession)
			return err
		})
	})
	return over, err
}

// Rootless implements [flows.RootEnds].
func (s *Store) Rootless(ctx context.Context, roots []flows.Root, _ time.Time) (bool, error) {
	if len(roots) == 0 {
		return false, nil
	}
	keys, began := columnsOf(roots)
	var over bool
	err := s.read(ctx, `SELECT EXISTS (SELECT 1 FROM unnest($1::bytea[], $2::bigint[]) AS r (root, began)
		JOIN root_ends e ON e.root = r.root WHERE e.at > r.began)`, []any{keys, began}, &over)
	return over, err
}
