package storetest

import (
	"context"
	"errors"
	"fmt"
	"testing"

	"github.com/stile-auth/stile/flows"
)

func auditCases() []testCase {
	return []testCase{
		{"order and paging", auditOrder},
		{"same id again", auditIdempotent},
		{"same id race", auditRace},
		{"cancelled", auditCancelled},
		{"reopen", auditReopen},
	}
}

func event(id string) flows.Event {
	return flows.Event{
		ID: id, Time: start, Type: "step_passed", Run: "run", Flow: "mobile-banking", Step: "sso", Turn: 2, Client: "bank-app",
		Subject: "s ü\u2028", Target: "payments", Reason: "ok", ACR: "aal2", AMR: []string{"otp", "pwd"},
	}
}

func events(t *testing.T, s Stores, row int64, limit int) ([]flows.Event, int64) {
	t.Helper()
	got, last, err := s.Audit.Events(t.Context(), row, limit)
	ok(t, err)
	for _, e := range got {
		inUTC(t, e.Time)
	}
	return got, last
}

func auditOrder(t *testing.T, s Stores) {
	got, last := events(t, s, 0, 10)
	same(t, got, []flows.Event(nil))
	var want []flows.Event
	for i := range 7 {
		want = append(want, event(fmt.Sprintf("%d", 9-i)))
	}
	ok(t, s.Audit.Record(t.Context(), want[:3]...))
	ok(t, s.Audit.Record(t.Context()))
	ok(t, s.Audit.Record(t.Context(), want[3:]...))
	var all []flows.Event
	for range 4 {
		got, last = events(t, s, last, 2)
		all = append(all, got...)
	}
	same(t, all, want)
	got, again := events(t, s, last, 2)
	same(t, got, []flows.Event(nil))
	same(t, again, last)
}

func auditIdempotent(t *testing.T, s Stores) {
	ok(t, s.Audit.Record(t.Context(), event("a"), event("a")))
	changed := event("a")
	changed.Reason = "changed"
	ok(t, s.Audit.Record(t.Context(), changed, event("b")))
	got, _ := events(t, s, 0, 10)
	same(t, got, []flows.Event{event("a"), event("b")})
	got[0].AMR[0] = "mfa"
	got, _ = events(t, s, 0, 1)
	same(t, got, []flows.Event{event("a")})
}

func auditRace(t *testing.T, s Stores) {
	ok(t, errors.Join(race(writers, func(i int) error {
		return s.Audit.Record(t.Context(), event("shared"), event(fmt.Sprintf("own %d", i)))
	})...))
	got, _ := events(t, s, 0, 2*writers)
	if len(got) != writers+1 {
		t.Errorf("%d events, want %d", len(got), writers+1)
	}
}

func auditCancelled(t *testing.T, s Stores) {
	wantErr(t, s.Audit.Record(cancelled(t), event("a")), context.Canceled)
	_, _, err := s.Audit.Events(cancelled(t), 0, 1)
	wantErr(t, err, context.Canceled)
	got, _ := events(t, s, 0, 1)
	same(t, got, []flows.Event(nil))
}

func auditReopen(t *testing.T, s Stores) {
	if s.Reopen == nil {
		return
	}
	ok(t, s.Audit.Record(t.Context(), event("a")))
	s = s.Reopen(t)
	ok(t, s.Audit.Record(t.Context(), event("a"), event("b")))
	got, _ := events(t, s, 0, 10)
	same(t, got, []flows.Event{event("a"), event("b")})
}
