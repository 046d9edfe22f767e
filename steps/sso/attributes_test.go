package sso_test

import (
	"context"
	"maps"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/stile-auth/stile/flows"
	"github.com/stile-auth/stile/oidcclient/oidctest"
)

// mapping gives the provider what its definition says of attributes.
func mapping(t *testing.T, text string) func(*kit) {
	t.Helper()
	set := presetDefinitions(t, `{ issuer: "https://idp.bank.example", client_id: stile, provision: create, `+text+` }`)
	p := set.Providers["corporate"]
	return func(k *kit) {
		k.def.Provision, k.def.Attributes, k.def.Groups, k.def.Update = p.Provision, p.Attributes, p.Groups, p.Update
	}
}

const mapped = `
    attributes: { email: { value: claims.email, verified: claims.email_verified }, name: claims.name, floor: string(claims.floor), nick: { value: claims.nick, verified: claims.nick_ok } },
    groups: { value: claims.groups, roles: { staff-tellers: teller, staff-heads: head } }`

// says makes the provider say these claims of a stranger.
func (k *kit) says(claims map[string]any) {
	k.idp.Behave()
	k.stranger()
	k.idp.Misbehave(oidctest.DropMembers(oidctest.EndpointUserInfo, "email", "email_verified"))
	k.idp.Misbehave(oidctest.Fault{Claims: func(c map[string]any) { maps.Copy(c, claims) }})
}

// has is what the stranger's account has after a sign-on.
func (k *kit) has(t *testing.T, claims map[string]any) map[string]string {
	t.Helper()
	k.says(claims)
	k.start(t, flows.StartRequest{}).completes(t)
	found, err := k.people.AccountByLink(t.Context(), k.idp.Issuer(), "stranger")
	if err != nil {
		t.Fatal(err)
	}
	return found.Attributes
}

func all() map[string]any {
	return map[string]any{
		"email": "jane@bank.example", "email_verified": true, "name": "Jane", "floor": 3,
		"groups": []string{"staff-heads", "staff-tellers", "admins"},
	}
}

func TestAttributes(t *testing.T) {
	t.Parallel()
	k := newKit(t, mapping(t, mapped))
	want := map[string]string{"email": "jane@bank.example", "email_verified": "true", "name": "Jane", "floor": "3", "roles": "head,teller"}
	if diff := cmp.Diff(want, k.has(t, all())); diff != "" {
		t.Errorf("at the first sign-on, -want +got:\n%s", diff)
	}
	// Later ones change nothing but the roles: who is taken out of a group is out.
	want["roles"] = "teller"
	if diff := cmp.Diff(want, k.has(t, map[string]any{"name": "Other", "email": "x@evil.example", "groups": []string{"staff-tellers"}})); diff != "" {
		t.Errorf("at the next, -want +got:\n%s", diff)
	}
	delete(want, "roles")
	if diff := cmp.Diff(want, k.has(t, map[string]any{"name": "Other"})); diff != "" {
		t.Errorf("without groups, -want +got:\n%s", diff)
	}
}

// What is no text, or not said, is not there.
func TestAttributesThatAreNone(t *testing.T) {
	t.Parallel()
	for name, claims := range map[string]map[string]any{
		"nothing":         {},
		"null":            {"email": nil, "name": nil, "groups": nil},
		"other types":     {"email": []string{"a"}, "name": 7, "floor": map[string]any{}, "groups": "staff-heads"},
		"groups of types": {"groups": []any{"staff-heads", 7}},
		"controls":        {"name": "Jane\nadmin: true"},
		"long":            {"name": strings.Repeat("x", 1025)},
		"verified alone":  {"email_verified": true},
		"a flag alone":    {"nick_ok": true},
	} {
		k := newKit(t, mapping(t, mapped))
		if got := k.has(t, claims); len(got) != 0 {
			t.Errorf("%s: %v", name, got)
		}
	}
	for _, word := range []any{"true", 1, nil, []bool{true}, false} {
		k := newKit(t, mapping(t, mapped))
		got := k.has(t, map[string]any{"email": "jane@bank.example", "email_verified": word})
		if diff := cmp.Diff(map[string]string{"email": "jane@bank.example"}, got); diff != "" {
			t.Errorf("%v is taken for verified: %s", word, diff)
		}
	}
}

func TestUpdates(t *testing.T) {
	t.Parallel()
	first := map[string]any{"email": "old@bank.example", "email_verified": true, "name": "Old"}
	for update, cases := range map[string]map[string]map[string]string{
		"never":       {"verified": {"email": "old@bank.example", "email_verified": "true", "name": "Old"}, "unverified": {"email": "old@bank.example", "email_verified": "true", "name": "Old"}, "gone": {"email": "old@bank.example", "email_verified": "true", "name": "Old"}},
		"always":      {"verified": {"email": "new@bank.example", "email_verified": "true", "name": "New"}, "unverified": {"email": "new@bank.example", "name": "New"}, "gone": {}},
		"if_verified": {"verified": {"email": "new@bank.example", "email_verified": "true", "name": "Old"}, "unverified": {"email": "old@bank.example", "email_verified": "true", "name": "Old"}, "gone": {"email": "old@bank.example", "email_verified": "true", "name": "Old"}},
	} {
		for name, want := range cases {
			k := newKit(t, mapping(t, `attributes: { email: { value: claims.email, verified: claims.email_verified, update: `+update+` },
				name: { value: claims.name, update: `+map[string]string{"never": "never", "always": "always", "if_verified": "never"}[update]+` } }`))
			k.has(t, first)
			got := k.has(t, map[string]map[string]any{
				"verified":   {"email": "new@bank.example", "email_verified": true, "name": "New"},
				"unverified": {"email": "new@bank.example", "name": "New"},
				"gone":       {},
			}[name])
			if len(got) == 0 && len(want) == 0 {
				continue
			}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("%s, %s: -want +got:\n%s", update, name, diff)
			}
		}
	}
}

// A value that nobody has verified takes the place of one that somebody had: the flag
// goes with it, whoever has left it.
func TestVerifiedIsOfTheValue(t *testing.T) {
	t.Parallel()
	k := newKit(t, mapping(t, `attributes: { email: { value: claims.email, update: always } }`))
	k.has(t, map[string]any{"email": "mallory@bank.example"})
	who, err := k.people.AccountByLink(t.Context(), k.idp.Issuer(), "stranger")
	if err != nil {
		t.Fatal(err)
	}
	if err := k.people.SetAttributes(t.Context(), who.Subject, map[string]string{"email_verified": "true"}); err != nil { // as another provider does
		t.Fatal(err)
	}
	got := k.has(t, map[string]any{"email": "head@bank.example", "email_verified": true})
	if diff := cmp.Diff(map[string]string{"email": "head@bank.example"}, got); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
}

// What came through the browser can be noted, and makes nobody anything.
func TestResponseClaims(t *testing.T) {
	t.Parallel()
	k := newPresetKit(t, "apple", presetCase{more: presetCases()["apple"].more + `, provision: create,
		attributes: { name: response.name.firstName, email: { value: claims.email, verified: "response.email == claims.email" },
			          mail: { value: response.email, verified: claims.email_verified }, plain: response.email },
		groups: { value: "[response.name.firstName]", roles: { Alice Example: head } }`})
	k.idp.Misbehave(oidctest.SetClaim("sub", "stranger"))
	for range 2 { // the name comes once
		k.start(t, flows.StartRequest{}).completes(t)
		found, err := k.people.AccountByLink(t.Context(), "https://appleid.apple.com", "stranger")
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(map[string]string{"name": "Alice Example", "email": "alice@example.test", "plain": "alice@example.test"}, found.Attributes); diff != "" {
			t.Errorf("-want +got:\n%s", diff)
		}
	}
}

// The repository that fails is no account without attributes.
func TestAttributesThatCannotBeStored(t *testing.T) {
	t.Parallel()
	k := newKit(t, mapping(t, `attributes: { name: { value: claims.name, update: always } }`))
	k.has(t, map[string]any{"name": "Jane"})
	k.links = failing{k.people}
	k.engine = k.newEngine(t, load(t))
	k.says(map[string]any{"name": "Other"})
	tk := k.start(t, flows.StartRequest{})
	wants(t, tk.answer(t, tk.visit(t)), flows.KindUnavailable)
}

type failing struct{ *repository }

func (failing) SetAttributes(context.Context, string, map[string]string) error { return errDown }
