package oidcclient_test

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/stile-auth/stile/oidcclient"
	"github.com/stile-auth/stile/oidcclient/oidctest"
)

// plain is a provider that knows no OpenID Connect, and whose users are numbers.
func plain() idp {
	return func(c *oidctest.Config) {
		c.Shape = &oidctest.Shape{
			Issuer: "https://plain.example", OAuth2: true, SpentCode: "bad_verification_code", TokenForms: true,
			Endpoints: map[string]string{
				"authorize": "https://plain.example/login/oauth/authorize", "token": "https://plain.example/login/oauth/access_token",
				"userinfo": "https://api.plain.example/user",
			},
			User: map[string]any{"id": "{#subject}", "login": "{username}", "contact": map[string]any{"mail": "{email}", "sure": true}},
		}
		c.Clients[0].AllowedScopes = []string{"read:user"}
	}
}

func newPlainWorld(t testing.TB, changes ...any) *world {
	t.Helper()
	w := newWorld(t, append([]any{plain()}, changes...)...)
	w.road = w.Transport()
	w.client = w.newClient(t, append([]any{func(c *oidcclient.Config) {
		c.Issuer, c.Transport, c.Network, c.Scopes = "https://plain.example", w.road, oidcclient.Public, []string{"read:user"}
		c.Endpoints = &oidcclient.Endpoints{
			Authorization: "https://plain.example/login/oauth/authorize", Token: "https://plain.example/login/oauth/access_token",
			UserInfo: "https://api.plain.example/user",
		}
		c.OAuth2 = &oidcclient.UserMapping{Subject: "id", Email: "contact.mail", EmailVerified: "contact.sure"}
		c.SpentCodes = []string{"bad_verification_code"}
	}}, changes...)...)
	return w
}

func TestPlainOAuth2(t *testing.T) {
	t.Parallel()
	w := newPlainWorld(t)
	a := w.request(t, oidcclient.RequestOptions{})
	if a.Parameters["scope"] != "read:user" || a.Parameters["nonce"] != "" || a.Parameters["code_challenge_method"] != "S256" || a.Parameters["state"] == "" {
		t.Errorf("parameters %v", a.Parameters)
	}
	query := w.visit(t, a)
	id, err := w.finish(t.Context(), a.Request, query)
	want := oidcclient.Identity{
		Issuer: "https://plain.example", Began: a.Request.IssuedAt, Subject: oidctest.DefaultUser().Subject, Email: oidctest.DefaultUser().Email, EmailVerified: true,
	}
	got := id
	got.Claims = nil
	if diff := cmp.Diff(want, got); err != nil || diff != "" {
		t.Fatalf("%v, -want +got:\n%s", err, diff)
	}
	_, err = w.finish(t.Context(), a.Request, query)
	wantsClass(t, err, oidcclient.ErrRefused) // with the word that it has for that
	quiet(t, err, a.Request, query)
}

func TestPlainOAuth2Subject(t *testing.T) {
	t.Parallel()
	const userinfo = oidctest.EndpointUserInfo
	for name, fault := range map[string]oidctest.Fault{
		"none":         oidctest.DropMembers(userinfo, "id"),
		"null":         oidctest.SetMember(userinfo, "id", nil),
		"empty":        oidctest.SetMember(userinfo, "id", ""),
		"a fraction":   oidctest.SetMember(userinfo, "id", 1.5),
		"an exponent":  oidctest.SetMember(userinfo, "id", json.Number("1e3")),
		"a list":       oidctest.SetMember(userinfo, "id", []string{"1"}),
		"an object":    oidctest.SetMember(userinfo, "id", map[string]any{"id": 1}),
		"long":         oidctest.SetMember(userinfo, "id", strings.Repeat("x", 256)),
		"with a break": oidctest.SetMember(userinfo, "id", "a\nb"),
		"T-58 twice":   oidctest.DoubleMember(userinfo, "id", 2),
	} {
		w := newPlainWorld(t)
		w.Misbehave(fault)
		_, err := w.signOn(t, oidcclient.RequestOptions{})
		if w.wants(t, err, oidcclient.ErrRefused, 1); err == nil {
			t.Error(name)
		}
	}
	w := newPlainWorld(t)
	w.Misbehave(oidctest.SetMember(userinfo, "contact", map[string]any{"mail": "jane@bank.example", "sure": "true"}))
	if id, err := w.signOn(t, oidcclient.RequestOptions{}); err != nil || id.EmailVerified || id.Email != "jane@bank.example" {
		t.Errorf("the word true: %+v, %v", id, err)
	}
}
