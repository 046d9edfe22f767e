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

// A provider that others wrote, with its own pages, in a process of its own.
func TestCertifiedProvider(t *testing.T) {
	t.Parallel()
	idp := certified.Open(t, os.Getenv)
	wire := &http.Transport{DisableKeepAlives: true}
	client, err := oidcclient.New(oidcclient.Config{
		Issuer: idp.Issuer, ClientID: idp.ClientID, Authentication: oidcclient.Authentication{Secret: idp.ClientSecret}, Scopes: []string{"openid", "email"},
		Network: oidcclient.Loopback, UserInfo: true, Transport: wire, Now: time.Now,
	})
	if err != nil {
		t.Fatal(err)
	}
	person, err := app.NewBrowser(app.BrowserConfig{Transport: wire, Person: app.Person{Username: "jane", Password: "any"}})
	if err != nil {
		t.Fatal(err)
	}
	// visit asks for a request and goes through the provider's pages.
	visit := func(o oidcclient.RequestOptions) (oidcclient.Request, string) {
		t.Helper()
		o.RedirectURI = idp.RedirectURI
		a, err := client.AuthorizationRequest(t.Context(), o)
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
		return a.Request, u.RawQuery
	}
	finish := func(r oidcclient.Request, query string) (oidcclient.Identity, error) {
		code, err := client.Receive(t.Context(), r, query)
		if err != nil {
			return oidcclient.Identity{}, err
		}
		return client.Redeem(t.Context(), r, code)
	}

	request, query := visit(oidcclient.RequestOptions{})
	who, err := finish(request, query)
	if err != nil || who.Subject != "jane" || who.Issuer != idp.Issuer || who.Email != "jane@bank.example" || !who.EmailVerified {
		t.Fatalf("signed on as %+v, %v", who, err)
	}
	_, err = finish(request, query)
	wantsClass(t, err, oidcclient.ErrRefused)

	request, query = visit(oidcclient.RequestOptions{})
	other := request
	other.Verifier = strings.Repeat("A", 43)
	_, err = finish(other, query)
	wantsClass(t, err, oidcclient.ErrRefused)

	request, query = visit(oidcclient.RequestOptions{})
	other = request
	other.Nonce = "another"
	_, err = finish(other, query)
	wantsClass(t, err, oidcclient.ErrRefused)
	_, err = finish(request, edited(t, query, "iss", "")) // it says that it sends one
	wantsClass(t, err, oidcclient.ErrResponse)

	none := time.Duration(0)
	request, query = visit(oidcclient.RequestOptions{MaxAge: &none})
	if who, err = finish(request, query); err != nil || time.Since(who.AuthTime) > time.Minute {
		t.Errorf("signed on again: %+v, %v", who, err)
	}
}
