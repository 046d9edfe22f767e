package oidcclient_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/stile-auth/stile/oidcclient"
	"github.com/stile-auth/stile/oidcclient/oidctest"
)

// keeping is a client that keeps all that it gets.
func keeping(c *oidcclient.Config) { c.KeepTokens, c.KeepIDToken = true, true }

// tokens are what a sign-on leaves.
func (w *world) tokens(t *testing.T) oidcclient.Tokens {
	t.Helper()
	who, err := w.signOn(t, oidcclient.RequestOptions{})
	if err != nil || who.Tokens == nil {
		t.Fatalf("%+v, %v", who, err)
	}
	return *who.Tokens
}

func TestTokensAreKeptIfAsked(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	if who, err := w.signOn(t, oidcclient.RequestOptions{}); err != nil || who.Tokens != nil {
		t.Errorf("nobody asked for %+v, %v", who.Tokens, err)
	}
	w = newWorld(t, func(c *oidcclient.Config) { c.KeepIDToken = true })
	if k := w.tokens(t); k.ID == "" || k.Access != "" || k.Refresh != "" {
		t.Error("not the ID token alone")
	}
	w = newWorld(t, keeping)
	k := w.tokens(t)
	if k.ID == "" || k.Access == "" || k.Refresh == "" || k.Subject != oidctest.DefaultUser().Subject || !k.Expires.Equal(w.clock.Now().Add(24*time.Hour)) {
		t.Error("not all is kept")
	}
	for _, text := range []string{fmt.Sprint(k), fmt.Sprintf("%+v", k), fmt.Sprintf("%#v", k), fmt.Sprintf("%v", &k)} {
		if strings.Contains(text, k.Access) || strings.Contains(text, k.Refresh) {
			t.Errorf("%s", text)
		}
	}
}

// T-93: a refresh token is good once; whoever comes second ends all.
func TestRefresh(t *testing.T) {
	t.Parallel()
	for name, bound := range map[string]bool{"bearer": false, "DPoP": true} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, func(c *oidctest.Config) { c.DPoP, c.DPoPNonce = bound, bound }, keeping, func(c *oidcclient.Config) { c.DPoP = bound })
			first := w.tokens(t)
			second, err := w.client.Refresh(t.Context(), first)
			if err != nil || second.Access == first.Access || second.Refresh == first.Refresh || second.Subject != first.Subject {
				t.Fatalf("%v", err)
			}
			third, err := w.client.Refresh(t.Context(), second)
			if err != nil {
				t.Fatal(err)
			}
			_, err = w.client.Refresh(t.Context(), first)
			wantsClass(t, err, oidcclient.ErrRefused)
			_, err = w.client.Refresh(t.Context(), third)
			wantsClass(t, err, oidcclient.ErrRefused)
			if strings.Contains(err.Error(), third.Refresh) {
				t.Error("the error tells the token")
			}
		})
	}
}

// What an answer gets wrong ends the tokens; a provider that fails does not.
func TestRefreshThatFails(t *testing.T) {
	t.Parallel()
	const token = oidctest.EndpointToken
	for name, test := range map[string]struct {
		fault oidctest.Fault
		class error
	}{
		"no access token":      {oidctest.DropMembers(token, "access_token"), oidcclient.ErrRefused},
		"no type":              {oidctest.DropMembers(token, "token_type"), oidcclient.ErrRefused},
		"another type":         {oidctest.SetMember(token, "token_type", "DPoP"), oidcclient.ErrRefused},
		"access token twice":   {oidctest.DoubleMember(token, "access_token", "x"), oidcclient.ErrRefused},
		"of somebody else":     {oidctest.SetClaim("sub", "bob"), oidcclient.ErrRefused},
		"for somebody else":    {oidctest.SetClaim("aud", "evil"), oidcclient.ErrRefused},
		"by somebody else":     {oidctest.SetClaim("iss", "https://evil.example"), oidcclient.ErrRefused},
		"unsigned":             {oidctest.AlgNone("none"), oidcclient.ErrRefused},
		"a server error":       {oidctest.Status(token, http.StatusInternalServerError), oidcclient.ErrUnavailable},
		"too many":             {oidctest.Status(token, http.StatusTooManyRequests), oidcclient.ErrUnavailable},
		"not JSON":             {oidctest.Body(token, "text/html", "<h1>Oops</h1>"), oidcclient.ErrUnavailable},
		"cut":                  {oidctest.Cut(token), oidcclient.ErrUnavailable},
		"endless":              {oidctest.Endless(token), oidcclient.ErrUnavailable},
		"an unknown client":    {answered(http.StatusUnauthorized, "invalid_client"), oidcclient.ErrUnavailable},
		"an error with 500":    {answered(http.StatusInternalServerError, "invalid_grant"), oidcclient.ErrUnavailable},
		"spent":                {answered(http.StatusBadRequest, "invalid_grant"), oidcclient.ErrRefused},
		"another mistake":      {answered(http.StatusBadRequest, "invalid_request"), oidcclient.ErrUnavailable},
		"no refresh token now": {oidctest.DropMembers(token, "refresh_token"), nil},
		"no ID token now":      {oidctest.DropMembers(token, "id_token"), nil},
		"no life":              {oidctest.DropMembers(token, "expires_in"), nil},
		"a life of a text":     {oidctest.SetMember(token, "expires_in", "for ever"), nil},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, keeping)
			k := w.tokens(t)
			w.Misbehave(test.fault)
			fresh, err := w.client.Refresh(t.Context(), k)
			if test.class != nil {
				wantsClass(t, err, test.class)
				return
			}
			if err != nil || fresh.Access == "" || fresh.Refresh == "" {
				t.Errorf("%v", err)
			}
			if strings.Contains(name, "life") && !fresh.Expires.IsZero() {
				t.Errorf("it is good until %s", fresh.Expires)
			}
		})
	}
}

func answered(status int, code string) oidctest.Fault {
	return oidctest.Fault{Answer: func(endpoint string, a *oidctest.Answer) {
		if endpoint != oidctest.EndpointDiscovery && endpoint != oidctest.EndpointJWKS {
			a.Status, a.Body = status, []byte(`{"error":"`+code+`"}`)
			a.Header.Set("Content-Type", "application/json")
		}
	}}
}

func TestRevoke(t *testing.T) {
	t.Parallel()
	w := newWorld(t, keeping)
	k := w.tokens(t)
	for name, fault := range map[string]oidctest.Fault{
		"down for now": answered(http.StatusServiceUnavailable, "temporarily_unavailable"), "who is that": answered(http.StatusUnauthorized, "invalid_client"),
	} {
		w.Misbehave(fault)
		if err := w.client.Revoke(t.Context(), k); err == nil {
			t.Errorf("%s: it was not told", name)
		} else {
			wantsClass(t, err, oidcclient.ErrUnavailable)
		}
		w.Behave()
	}
	w.clock.advance(time.Minute)
	for range 2 { // told again, it answers alike
		if err := w.client.Revoke(t.Context(), k); err != nil {
			t.Fatal(err)
		}
	}
	_, err := w.client.Refresh(t.Context(), k)
	wantsClass(t, err, oidcclient.ErrRefused)
	w.Misbehave(answered(http.StatusBadRequest, "unsupported_token_type"))
	if err := w.client.Revoke(t.Context(), k); err != nil {
		t.Error(err)
	}
}

// A provider that has no such endpoints cannot be told, and people are not led there.
func TestNoWordOfTheEnd(t *testing.T) {
	t.Parallel()
	w := newWorld(t, keeping)
	w.Misbehave(oidctest.Fault{Answer: func(endpoint string, a *oidctest.Answer) {
		var m map[string]any
		if endpoint == oidctest.EndpointDiscovery && json.Unmarshal(a.Body, &m) == nil {
			delete(m, "revocation_endpoint")
			delete(m, "end_session_endpoint")
			a.Body, _ = json.Marshal(m)
		}
	}})
	k := w.tokens(t)
	if err := w.client.Revoke(t.Context(), k); err != nil || w.Calls(oidctest.EndpointRevoke) != 0 {
		t.Error(err)
	}
	if address, state, err := w.client.EndSession(t.Context(), k, "com.bank.app:/out"); address != "" || state != "" || err != nil {
		t.Errorf("%q %q %v", address, state, err)
	}
}

func TestEndSession(t *testing.T) {
	t.Parallel()
	w := newWorld(t, keeping)
	k := w.tokens(t)
	of := func(k oidcclient.Tokens, back string) (url.Values, string) {
		t.Helper()
		address, state, err := w.client.EndSession(t.Context(), k, back)
		if err != nil || !strings.HasPrefix(address, w.Issuer()+"/logout?") {
			t.Fatalf("%s, %v", address, err)
		}
		u, err := url.Parse(address)
		if err != nil {
			t.Fatal(err)
		}
		return u.Query(), state
	}
	q, state := of(k, "com.bank.app:/out")
	if q.Get("id_token_hint") != k.ID || q.Get("client_id") != "stile" || q.Get("post_logout_redirect_uri") != "com.bank.app:/out" || q.Get("state") != state || len(state) != 43 || q.Has("logout_hint") {
		t.Errorf("%v", q)
	}
	if _, again := of(k, "com.bank.app:/out"); again == state {
		t.Error("a state twice")
	}
	if q, state := of(k, ""); q.Has("post_logout_redirect_uri") || q.Has("state") || state != "" {
		t.Errorf("%v", q)
	}
	k.ID = ""
	if q, _ := of(k, ""); q.Get("logout_hint") != k.Subject || q.Has("id_token_hint") {
		t.Errorf("%v", q)
	}
	k.ID = strings.Repeat("x", 8<<10)
	if q, _ := of(k, ""); q.Has("id_token_hint") {
		t.Error("an address that nobody carries")
	}
	w.Misbehave(oidctest.SetMember(oidctest.EndpointDiscovery, "end_session_endpoint", "http://evil.example/out"))
	_, _, err := w.newClient(t, keeping).EndSession(t.Context(), k, "")
	wantsClass(t, err, oidcclient.ErrRefused)
}
