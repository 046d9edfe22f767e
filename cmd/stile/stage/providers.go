package stage

import (
	"crypto/rand"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"time"

	"github.com/stile-auth/stile/flowdefs"
	"github.com/stile-auth/stile/flows/account"
	"github.com/stile-auth/stile/flows/scenario"
	"github.com/stile-auth/stile/oidcclient"
	"github.com/stile-auth/stile/oidcclient/oidctest"
	"github.com/stile-auth/stile/steps/sso"
)

// outside is the providers of a world, running, and who signs in there.
type outside struct {
	running   map[string]*oidctest.Provider
	down      map[string]bool
	people    map[string]string // provider to login
	providers sso.Providers
	transport *http.Transport
}

// startProviders starts a provider for each that is defined, if the scenario has use for it.
func (p *play) startProviders() (*outside, error) {
	o := &outside{
		running: map[string]*oidctest.Provider{}, down: map[string]bool{}, people: map[string]string{}, providers: sso.Providers{},
		transport: &http.Transport{ResponseHeaderTimeout: 10 * time.Second},
	}
	if !p.uses("sso") {
		return o, nil
	}
	for _, name := range p.stage.names() {
		if err := o.add(p.stage.set, name, p.cast); err != nil {
			return nil, errors.Join(fmt.Errorf("provider %s: %w", name, err), o.close())
		}
	}
	return o, nil
}

func (o *outside) add(set *flowdefs.Set, name string, c scenario.Cast) error {
	def := *set.Providers[name]
	o.people[name] = c.Given.Account
	if who := c.Given.Providers[name]; who != "" {
		o.people[name] = who
	}
	login, secret := o.people[name], ""
	if def.Credentials.Secret != nil {
		secret = rand.Text()
	}
	running, err := oidctest.Start(oidctest.Config{
		Now: c.Clock.Now,
		Clients: []oidctest.Client{{
			ID: def.ClientID, Secret: secret, RedirectURIs: redirects(set), AllowedScopes: def.Scopes,
		}},
		Users: []oidctest.User{{
			Username: login, Password: password, Subject: identity(login),
			Name: login, Email: login + "@example.test", EmailVerified: true,
		}},
	})
	if err != nil {
		return err
	}
	o.running[name] = running
	def.Issuer = running.Issuer()
	o.providers[name], err = sso.NewProvider(&def, sso.Access{Secret: secret, Network: oidcclient.Loopback, Transport: o.transport, Now: c.Clock.Now})
	return err
}

// redirects are the redirect URIs that some client uses.
func redirects(set *flowdefs.Set) []string {
	var all []string
	for _, id := range slices.Sorted(maps.Keys(set.Clients)) {
		all = append(all, set.Clients[id].RedirectURIs...)
	}
	slices.Sort(all)
	return slices.Compact(all)
}

// links are the identities at providers that belong to the account: there where
// its owner is who signs in.
func (o *outside) links(subject string, now time.Time) []account.Link {
	var out []account.Link
	for _, name := range slices.Sorted(maps.Keys(o.running)) {
		if o.people[name] == subject {
			out = append(out, account.Link{Issuer: o.running[name].Issuer(), External: identity(subject), Subject: subject, Created: now})
		}
	}
	return out
}

// turn makes a provider unreachable for the server, or reachable again; "" is all of them.
func (o *outside) turn(name string, up bool) error {
	if _, ok := o.running[name]; !ok && (name != "" || len(o.running) == 0) {
		return errors.New("the flow has no step that uses it")
	}
	for n, p := range o.running {
		switch {
		case name != "" && n != name:
		case up:
			o.down[n] = false
			p.Up()
		default:
			o.down[n] = true
			p.Down()
		}
	}
	return nil
}

func (o *outside) close() error {
	var errs []error
	for _, p := range o.running {
		errs = append(errs, p.Close())
	}
	o.transport.CloseIdleConnections()
	return errors.Join(errs...)
}
