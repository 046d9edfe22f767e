package storetest

import (
	"bytes"
	"context"
	"testing"

	"github.com/stile-auth/stile/flows"
)

func valueCases() []testCase {
	return []testCase{
		{"round trip", valueRoundTrip},
		{"compare and swap", valueVersions},
		{"race", valueRace},
		{"odd values", valueOdd},
		{"cancelled", valueCancelled},
		{"reopen", valueReopen},
	}
}

func noValue(t *testing.T, s Stores, name string) {
	t.Helper()
	_, _, err := s.Values.Value(t.Context(), name)
	wantErr(t, err, flows.ErrNotFound)
}

func valueIs(t *testing.T, s Stores, want []byte, version int64) {
	t.Helper()
	got, v, err := s.Values.Value(t.Context(), "keys")
	ok(t, err)
	same(t, got, want)
	same(t, v, version)
}

func valueRoundTrip(t *testing.T, s Stores) {
	data := bytes.Repeat([]byte("keys\x00\xff ü\n"), 5000)
	want := bytes.Clone(data)
	noValue(t, s, "keys")
	ok(t, s.Values.PutValue(t.Context(), "keys", data, 1))
	data[0] = 'X'
	valueIs(t, s, want, 1)
	got, _, err := s.Values.Value(t.Context(), "keys")
	ok(t, err)
	got[0] = 'X'
	valueIs(t, s, want, 1)
	noValue(t, s, "Keys")
}

func valueVersions(t *testing.T, s Stores) {
	put := func(data string, version int64) error {
		return s.Values.PutValue(t.Context(), "keys", []byte(data), version)
	}
	for _, version := range []int64{-1, 0, 2} {
		wantErr(t, put("x", version), flows.ErrConflict)
	}
	ok(t, put("1", 1))
	for _, version := range []int64{0, 1, 3} {
		wantErr(t, put("x", version), flows.ErrConflict)
	}
	ok(t, put("2", 2))
	wantErr(t, put("x", 1), flows.ErrConflict)
	valueIs(t, s, []byte("2"), 2)
}

// valueRace: of those who have read the same version one may write.
func valueRace(t *testing.T, s Stores) {
	for version := int64(1); version <= 3; version++ {
		won := 0
		for _, err := range race(writers, func(i int) error {
			return s.Values.PutValue(t.Context(), "keys", []byte{byte(i)}, version)
		}) {
			if err == nil {
				won++
			} else {
				wantErr(t, err, flows.ErrConflict)
			}
		}
		same(t, won, 1)
	}
}

func valueCancelled(t *testing.T, s Stores) {
	ctx := cancelled(t)
	wantErr(t, s.Values.PutValue(ctx, "keys", []byte("x"), 1), context.Canceled)
	_, _, err := s.Values.Value(ctx, "keys")
	wantErr(t, err, context.Canceled)
	noValue(t, s, "keys")
}

func valueReopen(t *testing.T, s Stores) {
	if s.Reopen == nil {
		return
	}
	ok(t, s.Values.PutValue(t.Context(), "keys", []byte("x"), 1))
	s = s.Reopen(t)
	valueIs(t, s, []byte("x"), 1)
}
