package storetest

import (
	"maps"
	"testing"

	"github.com/stile-auth/stile/flows/account"
)

// accountAttributes: some are set, some are removed, all others stay.
func accountAttributes(t *testing.T, s Stores) {
	want := createPerson(t, s, "jane")
	ok(t, s.Accounts.SetAttributes(t.Context(), "jane", map[string]string{"roles": "teller, \u00e4", "floor": "2"}))
	ok(t, s.Accounts.SetAttributes(t.Context(), "jane", map[string]string{"floor": "", "never": ""}))
	want.Attributes = maps.Clone(want.Attributes)
	if want.Attributes == nil {
		want.Attributes = map[string]string{}
	}
	want.Attributes["roles"] = "teller, \u00e4"
	got, err := s.Accounts.Account(t.Context(), "jane")
	ok(t, err)
	same(t, got, want)
	wantErr(t, s.Accounts.SetAttributes(t.Context(), "absent", nil), account.ErrNotFound)
}
