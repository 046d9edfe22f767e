package sso_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/stile-auth/stile/flows"
	"github.com/stile-auth/stile/oidcclient/oidctest"
)

// Of GitHub's addresses the primary one counts, if it was verified, and no other.
func TestAddressOfGitHub(t *testing.T) {
	t.Parallel()
	const emails = "https://api.github.com/user/emails"
	entry := func(address string, primary, verified any) any {
		return map[string]any{"email": address, "primary": primary, "verified": verified}
	}
	jane := oidctest.DefaultUser().Email
	for name, tt := range map[string]struct {
		says any
		want map[string]string
	}{
		"primary and verified": {[]any{entry("old@x.example", false, true), entry("{email}", true, true)}, map[string]string{"email": jane, "email_verified": "true"}},
		"not verified":         {[]any{entry("old@x.example", false, true), entry("{email}", true, false)}, nil},
		"verified is a word":   {[]any{entry("{email}", true, "true")}, nil},
		"primary is a number":  {[]any{entry("{email}", 1, true)}, nil},
		"none is primary":      {[]any{entry("{email}", false, true)}, nil},
		"none":                 {[]any{}, nil},
		"no list":              {map[string]any{"email": "{email}"}, nil},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := presetCases()["github"]
			c.more += ", provision: create"
			k := newPresetKit(t, "github", c, func(s *oidctest.Shape) { s.More = map[string]any{emails: tt.says} })
			tk := k.start(t, flows.StartRequest{})
			tk.completes(t)
			found, err := k.people.AccountByLink(t.Context(), "https://github.com", oidctest.DefaultUser().Subject)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(tt.want, found.Attributes); diff != "" {
				t.Error(diff)
			}
		})
	}
}
