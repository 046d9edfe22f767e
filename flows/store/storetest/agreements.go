package storetest

import (
	"errors"
	"testing"
	"time"

	"github.com/stile-auth/stile/flows/account"
)

func agreementCases() []testCase {
	return []testCase{
		{"round trip", agreementRoundTrip},
		{"replaced", agreementReplaced},
		{"revoked", agreementRevoked},
		{"refused", agreementRefused},
		{"reopen", agreementReopen},
	}
}

func agreement(subject, kind, name string, scopes ...string) account.Agreement {
	return account.Agreement{Subject: subject, Kind: kind, Name: name, Scopes: scopes, Given: start}
}

func agreementRoundTrip(t *testing.T, s Stores) {
	createPerson(t, s, "jane")
	createPerson(t, s, "joe")
	want := []account.Agreement{
		agreement("jane", account.Consent, "app", "accounts", "payments"),
		agreement("jane", account.Consent, "app ü"),
		agreement("jane", account.Terms, "app"),
	}
	for _, i := range []int{2, 0, 1} {
		ok(t, s.Agreements.Agree(t.Context(), want[i]))
	}
	ok(t, s.Agreements.Agree(t.Context(), agreement("joe", account.Terms, "tos")))
	got, err := s.Agreements.Agreements(t.Context(), "jane")
	ok(t, err)
	same(t, got, want)
	if none, err := s.Agreements.Agreements(t.Context(), "nobody"); err != nil || len(none) != 0 {
		t.Errorf("of nobody: %v, %v", none, err)
	}
}

func agreementReplaced(t *testing.T, s Stores) {
	createPerson(t, s, "jane")
	ok(t, s.Agreements.Agree(t.Context(), agreement("jane", account.Consent, "app", "accounts")))
	later := agreement("jane", account.Consent, "app", "accounts", "payments")
	later.Given = start.Add(time.Hour)
	ok(t, s.Agreements.Agree(t.Context(), later))
	got, err := s.Agreements.Agreements(t.Context(), "jane")
	ok(t, err)
	same(t, got, []account.Agreement{later})
}

func agreementRevoked(t *testing.T, s Stores) {
	createPerson(t, s, "jane")
	kept := agreement("jane", account.Terms, "app")
	ok(t, s.Agreements.Agree(t.Context(), agreement("jane", account.Consent, "app", "accounts")))
	ok(t, s.Agreements.Agree(t.Context(), kept))
	for range 2 {
		ok(t, s.Agreements.Revoke(t.Context(), "jane", account.Consent, "app"))
	}
	got, err := s.Agreements.Agreements(t.Context(), "jane")
	ok(t, err)
	same(t, got, []account.Agreement{kept})
}

func agreementRefused(t *testing.T, s Stores) {
	createPerson(t, s, "jane")
	if err := s.Agreements.Agree(t.Context(), agreement("nobody", account.Terms, "tos")); !errors.Is(err, account.ErrNotFound) {
		t.Errorf("of nobody: %v", err)
	}
	for name, bad := range map[string]account.Agreement{
		"no subject": agreement("", account.Terms, "tos"), "no name": agreement("jane", account.Terms, ""), "no kind": agreement("jane", "x", "tos"),
		"not sorted": agreement("jane", account.Consent, "app", "b", "a"), "twice": agreement("jane", account.Consent, "app", "a", "a"),
	} {
		if err := s.Agreements.Agree(t.Context(), bad); !errors.Is(err, account.ErrAgreement) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func agreementReopen(t *testing.T, s Stores) {
	if s.Reopen == nil {
		return
	}
	createPerson(t, s, "jane")
	want := agreement("jane", account.Terms, "tos")
	ok(t, s.Agreements.Agree(t.Context(), want))
	s = s.Reopen(t)
	got, err := s.Agreements.Agreements(t.Context(), "jane")
	ok(t, err)
	same(t, got, []account.Agreement{want})
}
