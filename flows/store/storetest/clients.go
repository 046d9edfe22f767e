package storetest

import (
	"bytes"
	"context"
	"testing"
	"time"

	"github.com/stile-auth/stile/flows"
)

func clientCases() []testCase {
	return []testCase{
		{"round trip", clientRoundTrip},
		{"versions", clientVersions},
		{"pages", clientPages},
		{"race", clientRace},
		{"cancelled", clientCancelled},
		{"reopen", clientReopen},
	}
}

func storedClient(id string) flows.StoredClient {
	return flows.StoredClient{
		ID: id, Version: 1, Text: bytes.Repeat([]byte(`{"ü":"\u0000"}`), 500), Created: start.UTC(), Changed: start.Add(time.Second).UTC(),
	}
}

func clientIs(t *testing.T, s Stores, want flows.StoredClient) {
	t.Helper()
	got, err := s.Clients.StoredClient(t.Context(), want.ID)
	ok(t, err)
	same(t, got, want)
	inUTC(t, got.Created, got.Changed)
}

func noClient(t *testing.T, s Stores, id string) {
	t.Helper()
	_, err := s.Clients.StoredClient(t.Context(), id)
	wantErr(t, err, flows.ErrNotFound)
}

func clientRoundTrip(t *testing.T, s Stores) {
	noClient(t, s, "partner")
	given, want := storedClient("partner"), storedClient("partner")
	ok(t, s.Clients.PutClient(t.Context(), given))
	given.Text[0] = 'X'
	clientIs(t, s, want)
	got, err := s.Clients.StoredClient(t.Context(), "partner")
	ok(t, err)
	got.Text[0] = 'X'
	clientIs(t, s, want)
	noClient(t, s, "Partner")
	noClient(t, s, "")
	ok(t, s.Clients.RemoveClient(t.Context(), "partner"))
	ok(t, s.Clients.RemoveClient(t.Context(), "partner"))
	noClient(t, s, "partner")
	ok(t, s.Clients.PutClient(t.Context(), want)) // the same name again
	clientIs(t, s, want)
}

func clientVersions(t *testing.T, s Stores) {
	c := storedClient("partner")
	for _, c.Version = range []int64{-1, 0, 2} {
		wantErr(t, s.Clients.PutClient(t.Context(), c), flows.ErrConflict)
	}
	c.Version = 1
	ok(t, s.Clients.PutClient(t.Context(), c))
	for _, c.Version = range []int64{0, 1, 3} {
		wantErr(t, s.Clients.PutClient(t.Context(), c), flows.ErrConflict)
	}
	c.Version, c.Disabled, c.Text, c.Changed = 2, true, []byte("{}"), start.Add(time.Hour).UTC()
	ok(t, s.Clients.PutClient(t.Context(), c))
	clientIs(t, s, c)
}

// clientPages: in the order of their bytes, each once.
func clientPages(t *testing.T, s Stores) {
	for _, id := range []string{"c", "a", "b", "Z"} {
		ok(t, s.Clients.PutClient(t.Context(), storedClient(id)))
	}
	for _, one := range []struct {
		after string
		limit int
		want  []string
	}{{"", 10, []string{"Z", "a", "b", "c"}}, {"", 2, []string{"Z", "a"}}, {"a", 2, []string{"b", "c"}}, {"bb", 2, []string{"c"}}, {"c", 2, nil}, {"", 0, nil}} {
		all, err := s.Clients.StoredClients(t.Context(), one.after, one.limit)
		ok(t, err)
		var got []string
		for _, c := range all {
			same(t, c, storedClient(c.ID))
			got = append(got, c.ID)
		}
		same(t, got, one.want)
	}
}

// clientRace: of those who have read the same version one may write.
func clientRace(t *testing.T, s Stores) {
	for version := int64(1); version <= 2; version++ {
		oneWinner(t, race(writers, func(int) error {
			c := storedClient("partner")
			c.Version = version
			return s.Clients.PutClient(t.Context(), c)
		}), flows.ErrConflict)
	}
}

func clientCancelled(t *testing.T, s Stores) {
	ctx := cancelled(t)
	wantErr(t, s.Clients.PutClient(ctx, storedClient("partner")), context.Canceled)
	_, err := s.Clients.StoredClient(ctx, "partner")
	wantErr(t, err, context.Canceled)
	_, err = s.Clients.StoredClients(ctx, "", 1)
	wantErr(t, err, context.Canceled)
	wantErr(t, s.Clients.RemoveClient(ctx, "partner"), context.Canceled)
	noClient(t, s, "partner")
}

func clientReopen(t *testing.T, s Stores) {
	if s.Reopen == nil {
		return
	}
	ok(t, s.Clients.PutClient(t.Context(), storedClient("partner")))
	clientIs(t, s.Reopen(t), storedClient("partner"))
}
