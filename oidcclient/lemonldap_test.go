package oidcclient_test

import (
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/stile-auth/stile/cmd/stile/demo/app"
	"github.com/stile-auth/stile/oidcclient"
	"github.com/stile-auth/stile/oidcclient/oidctest/lemonldap"
)

// LemonLDAP::NG, a provider that others wrote, in a process of its own.
func TestLemonLDAP(t *testing.T) {
	t.Parallel()
	idp := lemonldap.Open(t)
	wire := &http.Transport{DisableKeepAlives: true}
	open := func(secret string, mode oidcclient.ResponseMode) *oidcclient.Provider {
		t.Helper()
		p, err := oidcclient.New(oidcclient.Config{
			Issuer: idp.Issuer, ClientID: idp.ClientID, Authentication: oidcclient.Authentication{Secret: secret}, Scopes: []string{"openid", "email"},
			ResponseMode: mode, Network: oidcclient.Loopback, UserInfo: true, Transport: wire, Now: time.Now,
		})
		if err != nil {
			t.Fatal(err)
		}
		return p
	}
	signOn := func(p *oidcclient.Provider, change func(*oidcclient.Request)) (oidcclient.Identity, error) {
		t.Helper()
		a, err := p.AuthorizationRequest(t.Context(), oidcclient.RequestOptions{RedirectURI: idp.RedirectURI})
		if err != nil {
			t.Fatal(err)
		}
		person, err := app.NewBrowser(app.BrowserConfig{Transport: wire, Person: app.Person{Username: lemonldap.Person, Password: lemonldap.Person}})
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
		answer := u.RawQuery
		if a.Mode == oidcclient.ModeFragment {
			answer = u.EscapedFragment()
		}
		change(&a.Request)
		code, err := p.Receive(t.Context(), a.Request, answer)
		if err != nil {
			return oidcclient.Identity{}, fmt.Errorf("received: %w", err)
		}
		return p.Redeem(t.Context(), a.Request, code)
	}
	asSent := func(*oidcclient.Request) {}
	for _, mode := range []oidcclient.ResponseMode{"", oidcclient.ModeFragment} {
		who, err := signOn(open(idp.ClientSecret, mode), asSent)
		if err != nil || who.Issuer != idp.Issuer || who.Subject != lemonldap.Person || who.Email != lemonldap.Email {
			t.Errorf("mode %q: %+v, %v", mode, who, err)
		}
	}
	_, err := signOn(open(idp.ClientSecret, ""), func(r *oidcclient.Request) { r.Nonce = "another" })
	wantsClass(t, err, oidcclient.ErrRefused)
	_, err = signOn(open(idp.ClientSecret, ""), func(r *oidcclient.Request) { r.Verifier = strings.Repeat("A", 43) })
	wantsClass(t, err, oidcclient.ErrRefused)
	_, err = signOn(open("wrong", ""), asSent)
	wantsClass(t, err, oidcclient.ErrUnavailable)
}
