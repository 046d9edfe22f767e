package oidcclient_test

import (
	"context"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/stile-auth/stile/oidcclient"
	"github.com/stile-auth/stile/oidcclient/oidctest"
)

func (w *world) described(t testing.TB) *oidcclient.Provider {
	t.Helper()
	return w.newClient(t, func(c *oidcclient.Config) {
		c.TokenInfo = &oidcclient.TokenInfo{Endpoint: w.Issuer() + "/tokeninfo", Parameter: "access_token", App: []string{"aud"}, Subject: "sub", Expires: "exp"}
	})
}

// An app's own token is nobody's, also where both endpoints call it one.
func TestTokenOfTheApp(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	client, ours := w.described(t), oidcclient.Foreign{Apps: []string{"stile"}}
	tokens, err := w.SignOnNatively(oidctest.Native{Client: "stile", Username: oidctest.DefaultUser().Username})
	if err != nil {
		t.Fatal(err)
	}
	if v, err := client.InspectToken(t.Context(), tokens.Access, ours); err != nil || v.Subject != oidctest.DefaultUser().Subject || v.Email == "" {
		t.Fatalf("%+v %v", v, err)
	}
	for _, endpoint := range []string{oidctest.EndpointTokenInfo, oidctest.EndpointUserInfo} {
		w.Misbehave(oidctest.SetMember(endpoint, "sub", "stile"))
	}
	_, err = client.InspectToken(t.Context(), tokens.Access, ours)
	w.wants(t, err, oidcclient.ErrRefused, 0)
}

// It was good when the provider was asked, so nothing that ended before has ended it: a
// person who has signed out comes back by it. What ends while the answer is on its way does.
func TestTokenWasGoodWhenAsked(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	tokens, err := w.SignOnNatively(oidctest.Native{Client: "stile", Username: oidctest.DefaultUser().Username})
	if err != nil {
		t.Fatal(err)
	}
	client := w.newClient(t, func(c *oidcclient.Config) {
		c.TokenInfo = &oidcclient.TokenInfo{Endpoint: w.Issuer() + "/tokeninfo", Parameter: "access_token", App: []string{"aud"}, Subject: "sub", Expires: "exp"}
		c.Transport = slow{w.clock}
	})
	for name, ask := range map[string]func(context.Context, string, oidcclient.Foreign) (oidcclient.Vouched, error){
		"described": client.InspectToken, "introspected": client.Introspect,
	} {
		v, err := ask(t.Context(), tokens.Access, oidcclient.Foreign{Apps: []string{"stile"}})
		if took := w.clock.Now().Sub(v.Began); err != nil || took < time.Second || took > time.Minute {
			t.Errorf("%s: it began %v ago, %v", name, took, err)
		}
	}
}

// slow takes a second for each request.
type slow struct{ clock *clock }

func (s slow) RoundTrip(r *http.Request) (*http.Response, error) {
	s.clock.advance(time.Second)
	return http.DefaultTransport.RoundTrip(r)
}

// UserInfo cannot say of the token what only a token can.
func TestUserInfoSaysNothingOfTheToken(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	for name, value := range map[string]any{"acr": "urn:high", "amr": []string{"hwk"}, "auth_time": 1, "iss": "https://elsewhere.example"} {
		w.Misbehave(oidctest.SetMember(oidctest.EndpointUserInfo, name, value))
	}
	tokens, err := w.SignOnNatively(oidctest.Native{Client: "stile", Username: oidctest.DefaultUser().Username})
	if err != nil {
		t.Fatal(err)
	}
	v, err := w.described(t).InspectToken(t.Context(), tokens.Access, oidcclient.Foreign{Apps: []string{"stile"}})
	if err != nil || v.ACR != "" || v.AMR != nil || !v.AuthTime.IsZero() || v.Issuer != w.Issuer() {
		t.Errorf("%+v %v", v, err)
	}
}

func TestTokenInfoConfig(t *testing.T) {
	t.Parallel()
	whole := oidcclient.TokenInfo{Endpoint: "https://idp.example/info", Parameter: "token", App: []string{"aud"}, Subject: "sub", Expires: "exp"}
	for name, change := range map[string]func(*oidcclient.TokenInfo){
		"no endpoint":    func(i *oidcclient.TokenInfo) { i.Endpoint = "" },
		"plain HTTP":     func(i *oidcclient.TokenInfo) { i.Endpoint = "http://idp.example/info" },
		"no parameter":   func(i *oidcclient.TokenInfo) { i.Parameter = "" },
		"no app":         func(i *oidcclient.TokenInfo) { i.App = nil },
		"a nameless app": func(i *oidcclient.TokenInfo) { i.App = []string{""} },
		"no subject":     func(i *oidcclient.TokenInfo) { i.Subject = "" },
		"no end":         func(i *oidcclient.TokenInfo) { i.Expires = "" },
		"no secret":      func(i *oidcclient.TokenInfo) { i.AppToken = true },
	} {
		info := whole
		change(&info)
		_, err := oidcclient.New(oidcclient.Config{Issuer: "https://idp.example", ClientID: "stile", TokenInfo: &info, Now: newWorld(t).clock.Now})
		if err == nil || !strings.Contains(err.Error(), "TokenInfo") {
			t.Errorf("%s: %v", name, err)
		}
	}
}
