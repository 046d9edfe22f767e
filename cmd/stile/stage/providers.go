package stage

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/stile-auth/stile/flowdefs"
	"github.com/stile-auth/stile/flows/account"
	"github.com/stile-auth/stile/flows/scenario"
	"github.com/stile-auth/stile/oidcclient"
	"github.com/stile-auth/stile/oidcclient/oidctest"
	"github.com/stile-auth/stile/steps/sso"
)

// patience with a provider of the world, which runs on this machine: what is slow
// is the machine, and no scenario is about that.
const patience = time.Minute

// outside is the providers of a world, running, and who signs in there.
type outside struct {
	running   map[string]*oidctest.Provider
	down      map[string]bool
	people    map[string]string // provider to login
	issuers   map[string]string // of the links to their people
	providers sso.Providers
	transport *http.Transport
}

// startProviders starts a provider for each that is defined, if the scenario has use for it.
func (p *play) startProviders() (*outside, error) {
	o := &outside{
		running: map[string]*oidctest.Provider{}, down: map[string]bool{}, people: map[string]string{}, issuers: map[string]string{}, providers: sso.Providers{},
		transport: &http.Transport{ResponseHeaderTimeout: patience},
	}
	if !p.uses("sso") && !p.uses("account_link") && !p.uses("external_token") {
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
	login := o.people[name]
	client := oidctest.Client{ID: def.ClientID, RedirectURIs: redirects(set), AllowedScopes: def.Scopes, Auth: def.Credentials.Method}
	access := sso.Access{Network: oidcclient.Loopback, Transport: o.transport, Timeout: patience, Now: c.Clock.Now}
	if err := credentials(&def, &client, &access); err != nil {
		return err
	}
	running, err := oidctest.Start(oidctest.Config{
		Now: c.Clock.Now, Clients: append(nativeApps(), client), Shape: shapeOf(&def), TokenInfo: infoOf(&def), PAR: def.Push == "always",
		Users: []oidctest.User{{
			Username: login, Password: password, Subject: identity(login),
			Name: login, Email: login + "@example.test", EmailVerified: true,
		}, {Username: stranger, Password: password}},
	})
	if err != nil {
		return err
	}
	o.running[name], o.issuers[name] = running, def.Issuer
	if def.OAuth2() {
		access.Network, access.Transport = oidcclient.Public, running.Transport()
	} else {
		moved(&def, running.Issuer())
		o.issuers[name] = def.Issuer
	}
	o.providers[name], err = sso.NewProvider(&def, access)
	return err
}

// credentials gives both sides what the definition says that they have.
func credentials(def *flowdefs.Provider, client *oidctest.Client, access *sso.Access) error {
	c := &def.Credentials
	if c.Certificate != nil { // nobody speaks TLS here
		*c, client.Auth = flowdefs.Credentials{}, ""
	}
	if c.Secret != nil {
		client.Secret = rand.Text()
		access.Secret = client.Secret
	}
	if c.Key == nil {
		return nil
	}
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return err
	}
	access.Key, client.Key, client.KeyID, client.Team = key, key.Public(), c.KeyID, c.Team
	client.TokenEndpointAudience = c.AtToken
	if client.Auth == "" {
		client.Auth = string(oidcclient.AuthPrivateKeyJWT)
	}
	return nil
}

// moved puts an OpenID provider on this machine.
func moved(def *flowdefs.Provider, issuer string) {
	def.Issuer, def.TokenIssuer, def.Tenants = issuer, "", nil
	if def.TokenInfo != nil {
		info := *def.TokenInfo
		info.Endpoint, def.TokenInfo = issuer+"/tokeninfo", &info
	}
	if def.Endpoints != nil {
		def.Endpoints = &flowdefs.Endpoints{
			Authorization: issuer + "/authorize", Token: issuer + "/token", Keys: issuer + "/jwks", UserInfo: issuer + "/userinfo",
		}
	}
}

// shapeOf is how a plain OAuth 2.0 provider looks: as its definition says.
func shapeOf(def *flowdefs.Provider) *oidctest.Shape {
	if !def.OAuth2() {
		return nil
	}
	user := map[string]any{}
	for path, value := range map[string]any{def.User.Subject: "{subject}", def.User.Email: "{email}", def.User.EmailVerified: true} {
		if path != "" {
			put(user, strings.Split(path, "."), value)
		}
	}
	endpoints := map[string]string{
		oidctest.EndpointAuthorize: def.Endpoints.Authorization, oidctest.EndpointToken: def.Endpoints.Token, oidctest.EndpointUserInfo: def.Endpoints.UserInfo,
	}
	if def.TokenInfo != nil {
		endpoints[oidctest.EndpointTokenInfo] = def.TokenInfo.Endpoint
	}
	return &oidctest.Shape{Issuer: def.Issuer, OAuth2: true, User: user, Endpoints: endpoints}
}

// infoOf is how a provider describes tokens: as its definition says.
func infoOf(def *flowdefs.Provider) *oidctest.TokenInfo {
	t := def.TokenInfo
	if t == nil {
		return nil
	}
	info := &oidctest.TokenInfo{Parameter: t.Parameter, AppToken: t.AppToken, Good: map[string]any{}}
	put(info.Good, strings.Split(t.Subject, "."), "{subject}")
	put(info.Good, strings.Split(t.Expires, "."), "{#expires}")
	for _, app := range t.App {
		put(info.Good, strings.Split(app, "."), "{client}")
	}
	if t.Valid != "" {
		info.Bad = map[string]any{}
		put(info.Good, strings.Split(t.Valid, "."), true)
		put(info.Bad, strings.Split(t.Valid, "."), false)
	}
	return info
}

// put puts a value where the names lead to.
func put(object map[string]any, names []string, value any) {
	if len(names) == 1 {
		object[names[0]] = value
		return
	}
	inner, _ := object[names[0]].(map[string]any)
	if inner == nil {
		inner = map[string]any{}
		object[names[0]] = inner
	}
	put(inner, names[1:], value)
}

// RoundTrip carries the browser's requests: those to a plain OAuth 2.0 provider go
// to the one that stands in its place.
func (o *outside) RoundTrip(req *http.Request) (*http.Response, error) {
	for _, name := range slices.Sorted(maps.Keys(o.running)) {
		if p := o.running[name]; o.providers[name].OAuth2 && p.Serves(req.URL) {
			return p.Transport().RoundTrip(req)
		}
	}
	return o.transport.RoundTrip(req)
}

// redirects are the redirect URIs that some client uses.
func redirects(set *flowdefs.Set) []string {
	var all []string
	for _, id := range slices.Sorted(maps.Keys(set.Clients)) {
		all = append(all, set.Clients[id].RedirectURIs...)
		all = slices.AppendSeq(all, maps.Values(set.Clients[id].ProviderRedirects))
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
			out = append(out, account.Link{Issuer: o.issuers[name], External: identity(subject), Subject: subject, Created: now})
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
