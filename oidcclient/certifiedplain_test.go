package oidcclient_test

import (
	"net/http"
	"net/url"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/stile-auth/stile/cmd/stile/demo/app"
	"github.com/stile-auth/stile/oidcclient"
	"github.com/stile-auth/stile/oidcclient/oidctest/certified"
)

// An OAuth 2.0 server on a library that others wrote, which knows no OpenID Connect.
func TestOtherPlainOAuth2(t *testing.T) {
	t.Parallel()
	idp := certified.OpenPlain(t, os.Getenv)
	wire := &http.Transport{DisableKeepAlives: true}
	signOn := func(login, secret string, change func(*oidcclient.Request)) (oidcclient.Identity, error) {
		t.Helper()
		p, err := oidcclient.New(oidcclient.Config{
			Issuer: idp.Issuer, ClientID: idp.ClientID, Authentication: oidcclient.Authentication{Secret: secret}, Scopes: []string{"read:user"},
			Endpoints: &oidcclient.Endpoints{Authorization: idp.Issuer + "/authorize", Token: idp.Issuer + "/token", UserInfo: idp.Issuer + "/user"},
			OAuth2:    &oidcclient.UserMapping{Subject: "id", Email: "email"},
			Network:   oidcclient.Loopback, Transport: wire, Now: time.Now,
		})
		if err != nil {
			t.Fatal(err)
		}
		a, err := p.AuthorizationRequest(t.Context(), oidcclient.RequestOptions{RedirectURI: idp.RedirectURI})
		if err != nil {
			t.Fatal(err)
		}
		person, err := app.NewBrowser(app.BrowserConfig{Transport: wire, Person: app.Person{Username: login, Password: "any"}})
		if err != nil {
			t.Fatal(err)
		}
		back, err := person.Open(t.Context(), a.URL, idp.RedirectURI)
		if err != nil {
			t.Fatal(err)
		}
		u, err := url.Parse(back)
		if err != nil {
			t.Fatal(err)
		}
		change(&a.Request)
		code, err := p.Receive(t.Context(), a.Request, u.RawQuery)
		if err != nil {
			return oidcclient.Identity{}, err
		}
		return p.Redeem(t.Context(), a.Request, code)
	}
	asSent := func(*oidcclient.Request) {}
	for _, person := range []struct{ login, subject string }{{"jane", "4200"}, {"john", "4201"}, {"jane", "4200"}} {
		who, err := signOn(person.login, idp.ClientSecret, asSent)
		if err != nil || who.Issuer != idp.Issuer || who.Subject != person.subject || who.Email != person.login+"@bank.example" || who.EmailVerified || !who.AuthTime.IsZero() {
			t.Errorf("%s: %+v, %v", person.login, who, err)
		}
	}
	_, err := signOn("jane", idp.ClientSecret, func(r *oidcclient.Request) { r.Verifier = strings.Repeat("A", 43) })
	wantsClass(t, err, oidcclient.ErrRefused)
	_, err = signOn("jane", idp.ClientSecret, func(r *oidcclient.Request) { r.State = "another" })
	wantsClass(t, err, oidcclient.ErrResponse)
	_, err = signOn("jane", "wrong", asSent)
	wantsClass(t, err, oidcclient.ErrUnavailable)
}
