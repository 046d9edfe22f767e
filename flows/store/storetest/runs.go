package storetest

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"strconv"
	"testing"
	"time"

	"github.com/stile-auth/stile/flows"
)

func runCases() []testCase {
	return []testCase{
		{"round trip", runRoundTrip},
		{"odd values", runOddValues},
		{"big value", runBigValue},
		{"copies", runCopies},
		{"create twice", runCreateTwice},
		{"alias of another", runAliasTaken},
		{"alias race", runAliasRace},
		{"alias after expiry", runAliasAfterExpiry},
		{"id after expiry", runIDAfterExpiry},
		{"mixed holders", runMixedHolders},
		{"dropped alias", runDroppedAlias},
		{"update alias of another", runUpdateAliasTaken},
		{"rotated alias", runRotatedAlias},
		{"expiry instant", runExpiryInstant},
		{"swap", runSwap},
		{"swap race", runSwapRace},
		{"swap chains", runSwapChains},
		{"expired", runExpired},
		{"delete expired", runDeleteExpired},
		{"many expired", runManyExpired},
		{"cancelled", runCancelled},
		{"reopen", runReopen},
	}
}

func alias(name string) flows.Alias { return sha256.Sum256([]byte(name)) }

func record(id string, aliases ...string) flows.Record {
	r := flows.Record{ID: id, Version: 1, Expires: start.Add(time.Hour), Data: []byte("data of " + id)}
	for _, a := range aliases {
		r.Aliases = append(r.Aliases, alias(a))
	}
	return r
}

func loaded(t *testing.T, s Stores, name string, now time.Time) flows.Record {
	t.Helper()
	r, err := s.Runs.Load(t.Context(), alias(name), now)
	ok(t, err)
	return r
}

func notLoaded(t *testing.T, s Stores, name string, now time.Time) {
	t.Helper()
	_, err := s.Runs.Load(t.Context(), alias(name), now)
	wantErr(t, err, flows.ErrNotFound)
}

func runRoundTrip(t *testing.T, s Stores) {
	want := record("r", "one", "two")
	ok(t, s.Runs.Create(t.Context(), want, start))
	for _, name := range []string{"one", "two"} {
		got := loaded(t, s, name, start)
		same(t, got, want)
		inUTC(t, got.Expires)
	}
	notLoaded(t, s, "three", start)
}

func runOddValues(t *testing.T, s Stores) {
	for i, data := range [][]byte{nil, {}, {0}, []byte("\xff\xfe\x00'\"%;--"), []byte("{\"a\":\"ü\u2028\"}")} {
		r := record("odd \u00fc ' \"; -- "+strconv.Itoa(i), strconv.Itoa(i))
		r.Data = data
		ok(t, s.Runs.Create(t.Context(), r, start))
		same(t, loaded(t, s, strconv.Itoa(i), start), r)
	}
}

func runBigValue(t *testing.T, s Stores) {
	r := record("big", "big")
	r.Data = bytes.Repeat([]byte{0, 1, 0xff, 'x'}, 1<<18)
	ok(t, s.Runs.Create(t.Context(), r, start))
	for range 2 {
		if got := loaded(t, s, "big", start); got.Version != r.Version || !bytes.Equal(got.Data, r.Data) {
			t.Fatalf("version %d with %d bytes, want version %d with %d", got.Version, len(got.Data), r.Version, len(r.Data))
		}
		r.Version, r.Data[0] = r.Version+1, 9
		ok(t, s.Runs.Update(t.Context(), r))
	}
}

func runCopies(t *testing.T, s Stores) {
	given := record("r", "a")
	ok(t, s.Runs.Create(t.Context(), given, start))
	given.Data[0], given.Aliases[0] = 'X', alias("other")
	first := loaded(t, s, "a", start)
	same(t, first, record("r", "a"))
	first.Data[0], first.Aliases[0] = 'X', alias("other")
	same(t, loaded(t, s, "a", start), record("r", "a"))
}

func runCreateTwice(t *testing.T, s Stores) {
	ok(t, s.Runs.Create(t.Context(), record("r", "a"), start))
	wantErr(t, s.Runs.Create(t.Context(), record("r", "b"), start), flows.ErrExists)
	notLoaded(t, s, "b", start)
}

func runAliasTaken(t *testing.T, s Stores) {
	ok(t, s.Runs.Create(t.Context(), record("r", "a"), start))
	wantErr(t, s.Runs.Create(t.Context(), record("q", "b", "a"), start), flows.ErrExists)
	notLoaded(t, s, "b", start)
	same(t, loaded(t, s, "a", start), record("r", "a"))
	ok(t, s.Runs.Create(t.Context(), record("q", "b"), start))
}

func runAliasRace(t *testing.T, s Stores) {
	for round := range rounds {
		name := func(kind string, i int) string { return fmt.Sprintf("%s %d.%d", kind, round, i) }
		shared := name("shared", -1)
		errs := race(writers, func(i int) error {
			return s.Runs.Create(t.Context(), record(name("run", i), name("own", i), shared), start)
		})
		oneWinner(t, errs, flows.ErrExists)
		winner := loaded(t, s, shared, start)
		for i, err := range errs {
			if err == nil {
				same(t, winner, record(name("run", i), name("own", i), shared))
			} else {
				notLoaded(t, s, name("own", i), start)
			}
		}
	}
}

// runAliasAfterExpiry: the instant that Create names decides, whatever others named before.
func runAliasAfterExpiry(t *testing.T, s Stores) {
	old := record("old", "kept", "other")
	ok(t, s.Runs.Create(t.Context(), old, start))
	next := record("new", "kept")
	next.Expires = old.Expires.Add(time.Hour)
	notLoaded(t, s, "kept", old.Expires.Add(time.Minute))
	wantErr(t, s.Runs.Create(t.Context(), next, old.Expires.Add(-time.Nanosecond)), flows.ErrExists)
	same(t, loaded(t, s, "kept", start), old)
	ok(t, s.Runs.Create(t.Context(), next, old.Expires))
	same(t, loaded(t, s, "kept", old.Expires), next)
	notLoaded(t, s, "other", old.Expires)
	_, err := s.Runs.DeleteExpired(t.Context(), old.Expires, 10)
	ok(t, err)
	same(t, loaded(t, s, "kept", old.Expires), next)
}

func runIDAfterExpiry(t *testing.T, s Stores) {
	old := record("r", "a")
	ok(t, s.Runs.Create(t.Context(), old, start))
	next := record("r", "b")
	next.Expires = old.Expires.Add(time.Hour)
	wantErr(t, s.Runs.Create(t.Context(), next, old.Expires.Add(-time.Nanosecond)), flows.ErrExists)
	ok(t, s.Runs.Create(t.Context(), next, old.Expires))
	notLoaded(t, s, "a", start)
	same(t, loaded(t, s, "b", old.Expires), next)
}

// runMixedHolders: one holder that lives is enough to refuse, whichever comes first.
func runMixedHolders(t *testing.T, s Stores) {
	old, live := record("old", "a"), record("live", "b")
	live.Expires = old.Expires.Add(time.Hour)
	ok(t, s.Runs.Create(t.Context(), old, start))
	ok(t, s.Runs.Create(t.Context(), live, start))
	for _, aliases := range [][]string{{"a", "b"}, {"b", "a"}} {
		next := record("old", aliases...)
		next.Expires = live.Expires
		wantErr(t, s.Runs.Create(t.Context(), next, old.Expires), flows.ErrExists)
	}
	notLoaded(t, s, "a", old.Expires)
	same(t, loaded(t, s, "b", old.Expires), live)
}

// runDroppedAlias: what becomes of the run that once had an alias concerns no other.
func runDroppedAlias(t *testing.T, s Stores) {
	first := record("first", "a", "b")
	ok(t, s.Runs.Create(t.Context(), first, start))
	first.Version, first.Aliases = 2, []flows.Alias{alias("b")}
	ok(t, s.Runs.Update(t.Context(), first))
	second := record("second", "a")
	second.Expires = first.Expires.Add(time.Hour)
	ok(t, s.Runs.Create(t.Context(), second, start))
	first.Version = 3
	ok(t, s.Runs.Update(t.Context(), first))
	same(t, loaded(t, s, "a", start), second)
	first.Version, first.Aliases = 4, []flows.Alias{alias("a"), alias("b")}
	wantErr(t, s.Runs.Update(t.Context(), first), flows.ErrExists)
	n, err := s.Runs.DeleteExpired(t.Context(), first.Expires, 10)
	ok(t, err)
	same(t, n, 1)
	same(t, loaded(t, s, "a", first.Expires), second)
	notLoaded(t, s, "b", start)
}

func runUpdateAliasTaken(t *testing.T, s Stores) {
	ok(t, s.Runs.Create(t.Context(), record("r", "a"), start))
	ok(t, s.Runs.Create(t.Context(), record("q", "b"), start))
	stolen := record("q", "b", "a")
	stolen.Version = 2
	wantErr(t, s.Runs.Update(t.Context(), stolen), flows.ErrExists)
	same(t, loaded(t, s, "b", start), record("q", "b"))
	same(t, loaded(t, s, "a", start), record("r", "a"))
}

func runRotatedAlias(t *testing.T, s Stores) {
	ok(t, s.Runs.Create(t.Context(), record("r", "first", "start key"), start))
	next := record("r", "second", "start key")
	next.Version = 2
	ok(t, s.Runs.Update(t.Context(), next))
	notLoaded(t, s, "first", start)
	same(t, loaded(t, s, "second", start), next)
	same(t, loaded(t, s, "start key", start), next)
	next.Version, next.Aliases = 3, nil
	ok(t, s.Runs.Update(t.Context(), next))
	notLoaded(t, s, "second", start)
	ok(t, s.Runs.Create(t.Context(), record("other", "second"), start))
}

func runExpiryInstant(t *testing.T, s Stores) {
	r := record("r", "a")
	ok(t, s.Runs.Create(t.Context(), r, start))
	loaded(t, s, "a", r.Expires.Add(-time.Nanosecond))
	notLoaded(t, s, "a", r.Expires)
	notLoaded(t, s, "a", r.Expires.Add(time.Nanosecond))
	r.Version, r.Expires = 2, r.Expires.Add(time.Minute)
	ok(t, s.Runs.Update(t.Context(), r))
	loaded(t, s, "a", r.Expires.Add(-time.Nanosecond))
	notLoaded(t, s, "a", r.Expires)
}

func runSwap(t *testing.T, s Stores) {
	r := record("r", "a")
	wantErr(t, s.Runs.Update(t.Context(), r), flows.ErrNotFound)
	ok(t, s.Runs.Create(t.Context(), r, start))
	for _, version := range []int64{0, 1, 3} {
		r.Version = version
		r.Data = []byte("must not be stored")
		wantErr(t, s.Runs.Update(t.Context(), r), flows.ErrConflict)
	}
	same(t, loaded(t, s, "a", start), record("r", "a"))
	r.Version = 2
	ok(t, s.Runs.Update(t.Context(), r))
	wantErr(t, s.Runs.Update(t.Context(), r), flows.ErrConflict)
	same(t, loaded(t, s, "a", start), r)
}

func runSwapRace(t *testing.T, s Stores) {
	ok(t, s.Runs.Create(t.Context(), record("r", "a"), start))
	next := func(i int) flows.Record {
		r := record("r", "a", "own "+strconv.Itoa(i))
		r.Version, r.Data = 2, []byte(strconv.Itoa(i))
		return r
	}
	errs := race(writers, func(i int) error { return s.Runs.Update(t.Context(), next(i)) })
	oneWinner(t, errs, flows.ErrConflict)
	for i, err := range errs {
		if err == nil {
			same(t, loaded(t, s, "a", start), next(i))
		} else {
			notLoaded(t, s, "own "+strconv.Itoa(i), start)
		}
	}
}

// runSwapChains lets many writers count one run up by load and swap: no step may be lost.
func runSwapChains(t *testing.T, s Stores) {
	r := record("r", "a")
	r.Data = []byte("0")
	ok(t, s.Runs.Create(t.Context(), r, start))
	const each = 4
	errs := race(16, func(int) error {
		for done := 0; done < each; {
			r, err := s.Runs.Load(t.Context(), alias("a"), start)
			if err != nil {
				return err
			}
			n, err := strconv.Atoi(string(r.Data))
			if err != nil {
				return err
			}
			r.Version, r.Data = r.Version+1, []byte(strconv.Itoa(n+1))
			switch err := s.Runs.Update(t.Context(), r); {
			case err == nil:
				done++
			case !errors.Is(err, flows.ErrConflict):
				return err
			}
		}
		return nil
	})
	ok(t, errors.Join(errs...))
	got := loaded(t, s, "a", start)
	if string(got.Data) != strconv.Itoa(16*each) || got.Version != 16*each+1 {
		t.Errorf("counted %s with version %d, want %d and %d", got.Data, got.Version, 16*each, 16*each+1)
	}
}

// runExpired lists what DeleteExpired would delete, the oldest first.
func runExpired(t *testing.T, s Stores) {
	for i, id := range []string{"c", "a", "b", "d"} {
		r := record(id, id)
		r.Expires = start.Add(time.Duration(i) * time.Minute)
		ok(t, s.Runs.Create(t.Context(), r, start.Add(-time.Hour)))
	}
	ids := func(now time.Time, limit int) (out []string) {
		records, err := s.Runs.Expired(t.Context(), now, limit)
		ok(t, err)
		for _, r := range records {
			out = append(out, r.ID)
		}
		return out
	}
	same(t, len(ids(start.Add(-1), 10)), 0)
	same(t, ids(start.Add(2*time.Minute), 2), []string{"c", "a"})
	n, err := s.Runs.DeleteExpired(t.Context(), start.Add(2*time.Minute), 2)
	ok(t, err)
	same(t, n, 2)
	same(t, ids(start.Add(2*time.Minute), 10), []string{"b"})
}

func runDeleteExpired(t *testing.T, s Stores) {
	for i := range 7 {
		r := record(strconv.Itoa(i), strconv.Itoa(i))
		r.Expires = start.Add(time.Duration(i) * time.Minute)
		ok(t, s.Runs.Create(t.Context(), r, start))
	}
	var deleted []int
	for range 4 {
		n, err := s.Runs.DeleteExpired(t.Context(), start.Add(4*time.Minute), 2)
		ok(t, err)
		deleted = append(deleted, n)
	}
	same(t, deleted, []int{2, 2, 1, 0})
	for i := range 7 {
		_, err := s.Runs.Load(t.Context(), alias(strconv.Itoa(i)), start.Add(-time.Hour))
		if gone := errors.Is(err, flows.ErrNotFound); gone != (i <= 4) {
			t.Errorf("run %d: %v", i, err)
		}
	}
	r := record("0", "0")
	r.Version = 2
	wantErr(t, s.Runs.Update(t.Context(), r), flows.ErrNotFound)
}

func runCancelled(t *testing.T, s Stores) {
	ok(t, s.Runs.Create(t.Context(), record("r", "a"), start))
	ctx := cancelled(t)
	wantErr(t, s.Runs.Create(ctx, record("q", "b"), start), context.Canceled)
	next := record("r", "a")
	next.Version = 2
	wantErr(t, s.Runs.Update(ctx, next), context.Canceled)
	_, err := s.Runs.Load(ctx, alias("a"), start)
	wantErr(t, err, context.Canceled)
	_, err = s.Runs.DeleteExpired(ctx, start.Add(2*time.Hour), 1)
	wantErr(t, err, context.Canceled)
	same(t, loaded(t, s, "a", start), record("r", "a"))
	notLoaded(t, s, "b", start)
}

func runReopen(t *testing.T, s Stores) {
	if s.Reopen == nil {
		return
	}
	ok(t, s.Runs.Create(t.Context(), record("r", "a", "b"), start))
	next := record("r", "c", "b")
	next.Version = 2
	ok(t, s.Runs.Update(t.Context(), next))
	s = s.Reopen(t)
	same(t, loaded(t, s, "b", start), next)
	notLoaded(t, s, "a", start)
	notLoaded(t, s, "b", next.Expires)
}
