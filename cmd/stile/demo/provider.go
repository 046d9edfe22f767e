package demo

import (
	"crypto/rand"
	"errors"
	"os"

	"github.com/stile-auth/stile/oidcclient/oidctest"
)

// Provider is an OpenID provider that runs already and stands in the place of
// the story's own: as the provider "corporate" of the built-in definitions.
// The client "stile" is registered there, with [RedirectURI] and for the scopes
// openid and email. Its pages are those of any provider that a browser without
// scripts can use; the first sign-on shows a login and a consent. All strings are required.
type Provider struct {
	Issuer       string
	ClientSecret string
	Username     string // what Jane types there
	Password     string // printed with [Options.Keep]
	Subject      string // the sub by which Jane is known there; Stile's account is linked with it
	// OfflineOnly says that there are refresh tokens for the scope
	// offline_access only (OpenID Connect Core section 11). The definitions do not
	// ask for it, so there must be none; otherwise there must be one.
	OfflineOnly bool
}

// RedirectURI is the address of the story's app, to be registered at a [Provider].
const RedirectURI = "com.bank.app:/oauth2"

func (p Provider) check() error {
	for _, text := range []string{p.Issuer, p.ClientSecret, p.Username, p.Password, p.Subject} {
		if text == "" {
			return errors.New("demo: all strings of a Provider are required")
		}
	}
	return nil
}

// findProvider takes the provider of the options, or starts one, and leaves the
// client secret where Stile reads it.
func (p *parts) findProvider(opts Options) (err error) {
	if p.folder, err = os.MkdirTemp("", "stile-demo-"); err != nil {
		return err
	}
	if opts.Provider != nil {
		p.provider = *opts.Provider
	} else if err = p.startProvider(opts); err != nil {
		return err
	}
	return os.WriteFile(p.path("provider-secret"), []byte(p.provider.ClientSecret), 0o600)
}

func (p *parts) startProvider(opts Options) (err error) {
	at := Provider{
		ClientSecret: rand.Text(), Username: login, Password: providerPassword, Subject: "jane-upstream-" + rand.Text()[:8],
	}
	p.own, err = oidctest.Start(oidctest.Config{
		Now: opts.Now,
		Clients: []oidctest.Client{{
			ID: "stile", Name: "The bank's sign-in", Secret: at.ClientSecret, RedirectURIs: []string{RedirectURI},
			AllowedScopes: []string{"openid", "email"},
		}},
		Users: []oidctest.User{{
			Username: at.Username, Password: at.Password, Subject: at.Subject,
			Name: "Jane Example", Email: "jane@bank.example", EmailVerified: true,
		}},
	})
	if err != nil {
		return err
	}
	at.Issuer = p.own.Issuer()
	p.provider = at
	return nil
}
