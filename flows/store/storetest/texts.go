package storetest

import (
	"bytes"
	"context"
	"errors"
	"strconv"
	"testing"
	"time"

	"github.com/stile-auth/stile/flows"
)

func textCases() []testCase {
	return []testCase{
		{"round trip", textRoundTrip},
		{"later until counts", textLaterUntil},
		{"later until race", textUntilRace},
		{"delete expired", textDeleteExpired},
		{"cancelled", textCancelled},
		{"reopen", textReopen},
	}
}

func putText(t *testing.T, s Stores, hash string, until time.Time) {
	t.Helper()
	ok(t, s.Texts.PutText(t.Context(), hash, []byte("text of "+hash), until))
}

func textIs(t *testing.T, s Stores, hash string) {
	t.Helper()
	got, err := s.Texts.Text(t.Context(), hash)
	ok(t, err)
	same(t, got, []byte("text of "+hash))
}

func noText(t *testing.T, s Stores, hash string) {
	t.Helper()
	_, err := s.Texts.Text(t.Context(), hash)
	wantErr(t, err, flows.ErrNotFound)
}

// deletesTexts checks how many texts, of at most 10, go at that instant.
func deletesTexts(t *testing.T, s Stores, now time.Time, want int) {
	t.Helper()
	n, err := s.Texts.DeleteExpiredTexts(t.Context(), now, 10)
	ok(t, err)
	same(t, n, want)
}

func textRoundTrip(t *testing.T, s Stores) {
	source := bytes.Repeat([]byte("steps:\x00\xff ü\n"), 1000)
	want := bytes.Clone(source)
	noText(t, s, "hash")
	for range 2 {
		ok(t, s.Texts.PutText(t.Context(), "hash", source, start))
	}
	source[0] = 'X'
	for range 2 {
		got, err := s.Texts.Text(t.Context(), "hash")
		ok(t, err)
		same(t, got, want)
		got[0] = 'X'
	}
	noText(t, s, "other")
}

// textLaterUntil: whoever needs a text for less long does not shorten its time for others.
func textLaterUntil(t *testing.T, s Stores) {
	end := start.Add(time.Hour)
	for hash, untils := range map[string][2]time.Time{"later first": {end, start}, "later last": {start, end}, "other zone": {end.UTC(), start}} {
		for _, until := range untils {
			putText(t, s, hash, until)
		}
	}
	deletesTexts(t, s, end.Add(-time.Nanosecond), 0)
	for _, hash := range []string{"later first", "later last", "other zone"} {
		textIs(t, s, hash)
	}
	deletesTexts(t, s, end, 3)
	noText(t, s, "later first")
	putText(t, s, "later first", start)
	textIs(t, s, "later first")
	deletesTexts(t, s, start, 1)
}

func textUntilRace(t *testing.T, s Stores) {
	ok(t, errors.Join(race(writers, func(i int) error {
		return s.Texts.PutText(t.Context(), "hash", []byte("text of hash"), start.Add(time.Duration(i)*time.Second))
	})...))
	end := start.Add((writers - 1) * time.Second)
	deletesTexts(t, s, end.Add(-time.Nanosecond), 0)
	textIs(t, s, "hash")
	deletesTexts(t, s, end, 1)
}

func textDeleteExpired(t *testing.T, s Stores) {
	for i := range 5 {
		putText(t, s, strconv.Itoa(i), start.Add(time.Duration(i)*time.Minute))
	}
	var deleted []int
	for range 3 {
		n, err := s.Texts.DeleteExpiredTexts(t.Context(), start.Add(2*time.Minute), 2)
		ok(t, err)
		deleted = append(deleted, n)
	}
	same(t, deleted, []int{2, 1, 0})
	for i := range 3 {
		noText(t, s, strconv.Itoa(i))
	}
	textIs(t, s, "3")
	textIs(t, s, "4")
}

func textCancelled(t *testing.T, s Stores) {
	putText(t, s, "kept", start)
	ctx := cancelled(t)
	wantErr(t, s.Texts.PutText(ctx, "hash", []byte("x"), start), context.Canceled)
	_, err := s.Texts.Text(ctx, "kept")
	wantErr(t, err, context.Canceled)
	_, err = s.Texts.DeleteExpiredTexts(ctx, start, 10)
	wantErr(t, err, context.Canceled)
	noText(t, s, "hash")
	textIs(t, s, "kept")
}

func textReopen(t *testing.T, s Stores) {
	if s.Reopen == nil {
		return
	}
	putText(t, s, "hash", start)
	s = s.Reopen(t)
	textIs(t, s, "hash")
	deletesTexts(t, s, start.Add(-time.Nanosecond), 0)
	deletesTexts(t, s, start, 1)
}
