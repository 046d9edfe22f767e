package app_test

import (
	"errors"
	"net/url"
	"testing"
	"time"

	"github.com/stile-auth/stile/cmd/stile/demo/app"
	"github.com/stile-auth/stile/oidcclient/oidctest"
)

// TestBrowserAtAProvider signs on at a whole provider, twice: the second time
// the person is still signed in and has agreed already.
func TestBrowserAtAProvider(t *testing.T) {
	t.Parallel()
	p, err := oidctest.Start(oidctest.Config{
		Now:     time.Now,
		Clients: []oidctest.Client{{ID: "stile", RedirectURIs: []string{redirectURI}}},
		Users:   []oidctest.User{{Username: "jane", Password: "pass&word"}},
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = p.Close() })
	request := p.Issuer() + "/authorize?" + url.Values{
		"client_id": {"stile"}, "response_type": {"code"}, "redirect_uri": {redirectURI}, "scope": {"openid email"}, "state": {"a state"}, "nonce": {"n"},
		"code_challenge": {"E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM"}, "code_challenge_method": {"S256"}, // RFC 7636 appendix B
	}.Encode()

	browser := newBrowser(t)
	for _, logins := range []int{1, 1} {
		back, err := browser.Open(t.Context(), request, redirectURI)
		if err != nil {
			t.Fatal(err)
		}
		u, err := url.Parse(back)
		if err != nil {
			t.Fatal(err)
		}
		q := u.Query()
		if u.Scheme != "com.bank.app" || q.Get("code") == "" || q.Get("state") != "a state" || q.Get("iss") != p.Issuer() {
			t.Errorf("came back with %s", back)
		}
		if got := p.Calls(oidctest.EndpointLogin); got != 2*logins { // the page and the form
			t.Errorf("%d calls of the login page", got)
		}
	}

	stranger, err := app.NewBrowser(app.BrowserConfig{Person: app.Person{Username: "jane", Password: "wrong"}})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := stranger.Open(t.Context(), request, redirectURI); !errors.Is(err, app.ErrLoginRefused) && !errors.Is(err, app.ErrProviderError) {
		t.Errorf("with a wrong password: %v", err)
	}
}
