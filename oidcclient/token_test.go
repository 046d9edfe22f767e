package oidcclient_test

import (
	"net/http"
	"testing"
	"time"

	"github.com/stile-auth/stile/oidcclient"
	"github.com/stile-auth/stile/oidcclient/oidctest"
)

func TestTokenResponse(t *testing.T) {
	t.Parallel()
	const token = oidctest.EndpointToken
	tests := []struct {
		name  string
		fault oidctest.Fault
		class error
	}{
		{"no id_token", oidctest.DropMembers(token, "id_token"), oidcclient.ErrRefused},
		{"id_token null", oidctest.SetMember(token, "id_token", nil), oidcclient.ErrRefused},
		{"no access_token", oidctest.DropMembers(token, "access_token"), oidcclient.ErrUnavailable},
		{"no token_type", oidctest.DropMembers(token, "token_type"), oidcclient.ErrRefused},
		{"DPoP", oidctest.SetMember(token, "token_type", "DPoP"), oidcclient.ErrRefused},
		{"T-58 id_token twice", oidctest.DoubleMember(token, "id_token", "x"), oidcclient.ErrRefused},
		{"T-58 id_token folded", oidctest.DoubleMember(token, "ID_token", "x"), oidcclient.ErrRefused},
		{"T-58 access_token twice", oidctest.DoubleMember(token, "access_token", "x"), oidcclient.ErrRefused},
		{"T-60 two documents", oidctest.Body(token, "application/json", `{"id_token":"x"}{}`), oidcclient.ErrRefused},
		{"T-60 list", oidctest.Body(token, "application/json", `[]`), oidcclient.ErrRefused},
		{"HTML", oidctest.Body(token, "text/html", "<h1>Oops</h1>"), oidcclient.ErrUnavailable},
		{"form", oidctest.Body(token, "application/x-www-form-urlencoded", "access_token=x&id_token=y&token_type=bearer"), oidcclient.ErrUnavailable},
		{"JSON of another type", oidctest.ContentType(token, "text/plain"), oidcclient.ErrUnavailable},
		{"500", oidctest.Status(token, http.StatusInternalServerError), oidcclient.ErrUnavailable},
		{"429", oidctest.Status(token, http.StatusTooManyRequests), oidcclient.ErrUnavailable},
		{"cut", oidctest.Cut(token), oidcclient.ErrUnavailable},
		{"T-54 endless", oidctest.Endless(token), oidcclient.ErrUnavailable},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			w.Misbehave(test.fault)
			_, err := w.signOn(t, oidcclient.RequestOptions{})
			w.wants(t, err, test.class, 1)
		})
	}
	t.Run("bearer in small letters", func(t *testing.T) {
		t.Parallel()
		w := newWorld(t)
		w.Misbehave(oidctest.SetMember(token, "token_type", "bearer"))
		if _, err := w.signOn(t, oidcclient.RequestOptions{}); err != nil {
			t.Error(err)
		}
	})
}

// A redirect would take the code and the secret to somebody else.
func TestRedirectIsNotFollowed(t *testing.T) {
	t.Parallel()
	for _, endpoint := range []string{oidctest.EndpointToken, oidctest.EndpointJWKS, oidctest.EndpointDiscovery} {
		w, evil := newWorld(t), newWorld(t)
		paths := map[string]string{
			oidctest.EndpointToken: "/token", oidctest.EndpointJWKS: "/jwks", oidctest.EndpointDiscovery: "/.well-known/openid-configuration",
		}
		w.Misbehave(oidctest.RedirectTo(endpoint, evil.Issuer()+paths[endpoint]))
		a, err := w.client.AuthorizationRequest(t.Context(), oidcclient.RequestOptions{RedirectURI: redirectURI})
		if err == nil {
			_, err = w.finish(t.Context(), a.Request, w.visit(t, a))
		}
		w.wants(t, err, oidcclient.ErrUnavailable, w.Calls(oidctest.EndpointToken))
		if n := evil.Calls(endpoint); n != 0 {
			t.Errorf("%s: the redirect was followed", endpoint)
		}
	}
}

// How we authenticate is decided by the metadata. Nothing is tried twice.
func TestClientAuthentication(t *testing.T) {
	t.Parallel()
	wrong := func(c *oidcclient.Config) { c.Authentication.Secret = "wrong" }
	public := func(c *oidcclient.Config) { c.Authentication.Secret = "" }
	publicThere := func(c *oidctest.Config) { c.Clients[0].Secret = "" }
	tests := []struct {
		name    string
		methods any // nil: not announced
		changes []any
		class   error // nil: signs on
		calls   int
	}{
		{"basic by default", nil, nil, nil, 1},
		{"basic", []string{"client_secret_post", "client_secret_basic"}, nil, nil, 1},
		{"post", []string{"private_key_jwt", "client_secret_post"}, nil, nil, 1},
		{"neither", []string{"private_key_jwt"}, nil, oidcclient.ErrUnavailable, 0},
		{"wrong secret", []string{"client_secret_post", "client_secret_basic"}, []any{wrong}, oidcclient.ErrUnavailable, 1},
		{"public", []string{"none"}, []any{public, publicThere}, nil, 1},
		{"secret missing", nil, []any{public}, oidcclient.ErrUnavailable, 1},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, test.changes...)
			w.Misbehave(oidctest.DropMembers(oidctest.EndpointDiscovery, "token_endpoint_auth_methods_supported"))
			if test.methods != nil {
				w.Misbehave(oidctest.SetMember(oidctest.EndpointDiscovery, "token_endpoint_auth_methods_supported", test.methods))
			}
			a, err := w.client.AuthorizationRequest(t.Context(), oidcclient.RequestOptions{RedirectURI: redirectURI})
			if err == nil {
				_, err = w.finish(t.Context(), a.Request, w.visit(t, a))
			}
			if test.class == nil && err != nil {
				t.Fatal(err)
			}
			if test.class == nil {
				test.class = err
			}
			w.wants(t, err, test.class, test.calls)
		})
	}
}

func asksUserInfo(c *oidcclient.Config) { c.UserInfo = true }

func TestUserInfo(t *testing.T) {
	t.Parallel()
	const info = oidctest.EndpointUserInfo
	tests := []struct {
		name  string
		fault oidctest.Fault
		class error
	}{
		{"T-28 sub of another", oidctest.SetMember(info, "sub", "mallory"), oidcclient.ErrRefused},
		{"T-28 no sub", oidctest.DropMembers(info, "sub"), oidcclient.ErrRefused},
		{"T-28 sub null", oidctest.SetMember(info, "sub", nil), oidcclient.ErrRefused},
		{"T-58 sub twice", oidctest.DoubleMember(info, "sub", "mallory"), oidcclient.ErrRefused},
		{"signed", oidctest.ContentType(info, "application/jwt"), oidcclient.ErrUnavailable},
		{"500", oidctest.Status(info, http.StatusInternalServerError), oidcclient.ErrUnavailable},
		{"401", oidctest.Status(info, http.StatusUnauthorized), oidcclient.ErrUnavailable},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, asksUserInfo)
			w.Misbehave(test.fault)
			_, err := w.signOn(t, oidcclient.RequestOptions{})
			w.wants(t, err, test.class, 1)
		})
	}
}

// T-32: an address counts only with the word of the one who says it.
func TestEmail(t *testing.T) {
	t.Parallel()
	const info = oidctest.EndpointUserInfo
	tests := []struct {
		name     string
		faults   []oidctest.Fault
		email    string
		verified bool
	}{
		{"verified", nil, oidctest.DefaultUser().Email, true},
		{"not verified", []oidctest.Fault{oidctest.SetMember(info, "email_verified", false)}, oidctest.DefaultUser().Email, false},
		{"not said", []oidctest.Fault{oidctest.DropMembers(info, "email_verified")}, oidctest.DefaultUser().Email, false},
		{"the word true", []oidctest.Fault{oidctest.SetMember(info, "email_verified", "true")}, oidctest.DefaultUser().Email, false},
		{"one", []oidctest.Fault{oidctest.SetMember(info, "email_verified", 1)}, oidctest.DefaultUser().Email, false},
		{"address of the token, verified elsewhere", []oidctest.Fault{oidctest.SetClaim("email", "v@x.example")}, "v@x.example", false},
		{"verified in the token, address elsewhere", []oidctest.Fault{
			oidctest.SetClaim("email_verified", true), oidctest.SetMember(info, "email_verified", false),
		}, oidctest.DefaultUser().Email, false},
		{"no address", []oidctest.Fault{oidctest.DropMembers(info, "email")}, "", false},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, asksUserInfo)
			for _, f := range test.faults {
				w.Misbehave(f)
			}
			id, err := w.signOn(t, oidcclient.RequestOptions{})
			if err != nil || id.Email != test.email || id.EmailVerified != test.verified {
				t.Errorf("got %q, verified %v, %v", id.Email, id.EmailVerified, err)
			}
		})
	}
}

// UserInfo says nothing about how somebody signed on.
func TestUserInfoIsNoToken(t *testing.T) {
	t.Parallel()
	w := newWorld(t, asksUserInfo)
	for name, value := range map[string]any{"acr": "urn:example:high", "amr": []string{"hwk"}, "auth_time": 1, "nonce": "x"} {
		w.Misbehave(oidctest.SetMember(oidctest.EndpointUserInfo, name, value))
	}
	w.Misbehave(oidctest.DropClaims("acr", "amr", "auth_time"))
	id, err := w.signOn(t, oidcclient.RequestOptions{})
	if err != nil || id.ACR != "" || id.AMR != nil || !id.AuthTime.Equal(time.Time{}) {
		t.Errorf("%+v, %v", id, err)
	}
}
