package storetest

import (
	"testing"
	"time"

	"github.com/stile-auth/stile/flows"
)

func keptCases() []testCase {
	return []testCase{
		{"round trip", keptRoundTrip},
		{"one winner", keptRace},
		{"forsaken", keptForsaken},
		{"reopen", keptReopen},
		{"order", keptOrder},
		{"cancelled", keptCancelled},
	}
}

func kept(id, owner string, until time.Time) flows.Kept {
	return flows.Kept{ID: id, Version: 1, Owner: owner, Provider: "corporate ü", Until: until, Data: []byte("sealed\x00" + id)}
}

func keptAre(t *testing.T, s Stores, want []flows.Kept, owners ...string) {
	t.Helper()
	got, err := s.Kept.KeptBy(t.Context(), owners...)
	ok(t, err)
	same(t, got, want)
	for _, k := range got {
		inUTC(t, k.Until)
	}
}

func keptRoundTrip(t *testing.T, s Stores) {
	keptAre(t, s, nil, "run")
	a, b, bare := kept("a", "run", start), kept("b", "session", time.Time{}), flows.Kept{ID: "c", Version: 1}
	for _, k := range []flows.Kept{b, a, bare} {
		ok(t, s.Kept.PutKept(t.Context(), k))
		wantErr(t, s.Kept.PutKept(t.Context(), k), flows.ErrExists)
	}
	keptAre(t, s, []flows.Kept{a}, "run")
	keptAre(t, s, []flows.Kept{a, b}, "session", "run", "run")
	keptAre(t, s, []flows.Kept{bare}, "")
	keptAre(t, s, nil)
	got, err := s.Kept.KeptBy(t.Context(), "run")
	ok(t, err)
	got[0].Data[0] = 'x'
	keptAre(t, s, []flows.Kept{a}, "run")
	a.Version, a.Owner, a.Until, a.Tries = 2, "session", time.Time{}, 3
	ok(t, s.Kept.UpdateKept(t.Context(), a))
	wantErr(t, s.Kept.UpdateKept(t.Context(), a), flows.ErrConflict)
	keptAre(t, s, []flows.Kept{a, b}, "session")
	ok(t, s.Kept.DeleteKept(t.Context(), "a"))
	ok(t, s.Kept.DeleteKept(t.Context(), "a"))
	a.Version = 3
	wantErr(t, s.Kept.UpdateKept(t.Context(), a), flows.ErrNotFound)
	keptAre(t, s, []flows.Kept{b}, "session")
}

func keptRace(t *testing.T, s Stores) {
	ok(t, s.Kept.PutKept(t.Context(), kept("a", "run", start)))
	oneWinner(t, race(writers, func(int) error {
		k := kept("a", "session", start)
		k.Version = 2
		return s.Kept.UpdateKept(t.Context(), k)
	}), flows.ErrConflict)
}

// keptForsaken: what no session has that is there, once nobody else is to care for it.
func keptForsaken(t *testing.T, s Stores) {
	one := session("sid", "secret")
	ok(t, s.Sessions.PutSession(t.Context(), one))
	has, of, nobodys := kept("has", "sid", time.Time{}), kept("of", "run", start.Add(time.Minute)), kept("nobodys", "", start.Add(-time.Minute))
	for _, k := range []flows.Kept{has, of, nobodys} {
		ok(t, s.Kept.PutKept(t.Context(), k))
	}
	are := func(now time.Time, limit int, want ...flows.Kept) {
		t.Helper()
		got, err := s.Kept.Forsaken(t.Context(), now, limit)
		ok(t, err)
		same(t, got, want)
	}
	are(start, 10, nobodys)
	are(start.Add(time.Minute-1), 10, nobodys)
	are(start.Add(time.Minute), 10, nobodys, of)
	are(start.Add(time.Minute), 1, nobodys)
	are(one.Expires.Add(-1), 10, nobodys, of)
	are(one.Expires, 10, has, nobodys, of)
	ok(t, s.Sessions.EndSession(t.Context(), "sid"))
	are(start, 10, has, nobodys)
}

func keptReopen(t *testing.T, s Stores) {
	if s.Reopen == nil {
		return
	}
	a := kept("a", "run", start)
	ok(t, s.Kept.PutKept(t.Context(), a))
	s = s.Reopen(t)
	keptAre(t, s, []flows.Kept{a}, "run")
}

func keptCancelled(t *testing.T, s Stores) {
	ctx := cancelled(t)
	if s.Kept.PutKept(ctx, kept("a", "run", start)) == nil || s.Kept.DeleteKept(ctx, "a") == nil {
		t.Error("a cancelled call succeeds")
	}
}
