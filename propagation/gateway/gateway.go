package gateway

import (
	"context"
	"crypto"
	"errors"
	"fmt"
	"net/http"
	"net/netip"
	"net/url"
	"slices"
	"strings"
	"time"

	"golang.org/x/sync/singleflight"

	"github.com/stile-auth/stile/propagation"
	"github.com/stile-auth/stile/propagation/rp"
)

// Config is what a gateway is made of.
type Config struct {
	Issuer    string             // of the tokens. Required
	Keys      propagation.Source // that they are signed with. Required
	Resources []Resource
	// APIKeys are the keys of applications; their uses are names of resources.
	APIKeys []rp.APIKey
	// Apps are applications in browsers whose people the gateway signs in.
	Apps []App
	// Sealer seals their cookies. Required if there are any.
	Sealer Sealer
	// Server carries requests to the authorization server, which is the Issuer. Required if
	// there are Apps.
	Server http.RoundTripper
	// Proxies are the addresses that questions come from. Default: this machine.
	Proxies []netip.Prefix
	// Taken remembers used DPoP proofs, as in [rp.Config].
	Taken func(ctx context.Context, thumbprint, jti string, expires time.Time) error
	// Remember is how many verified tokens are remembered for each audience and
	// origin: none longer than it lives, and none whose key has been taken back.
	// Default: none.
	Remember int
	// Decided is told of each decision: the name of the resource, "" if none, and why the
	// request was refused, a closed word, or "" if it passed. Optional.
	Decided func(ctx context.Context, resource, reason string)
	Now     func() time.Time // required
}

// Gateway answers proxies. It is safe for concurrent use.
type Gateway struct {
	resources table
	guards    map[guarded]*rp.Guard
	keys      *rp.APIKeys
	proxies   []netip.Prefix
	cookies   []string // that hold tokens, of whatever resource
	decided   func(ctx context.Context, resource, reason string)

	// For Apps.
	apps       apps
	issuer     string
	sealer     Sealer
	server     http.RoundTripper
	now        func() time.Time
	refreshing singleflight.Group
}

// guarded is what a guard is for.
type guarded struct{ audience, origin string }

var _ http.Handler = (*Gateway)(nil)

// New checks the configuration and reports every mistake in it.
func New(cfg Config) (*Gateway, error) {
	if cfg.Issuer == "" || cfg.Keys == nil || cfg.Now == nil {
		return nil, errors.New("gateway: Issuer, Keys and Now are required")
	}
	g := &Gateway{
		guards: map[guarded]*rp.Guard{}, proxies: cfg.Proxies, issuer: cfg.Issuer, sealer: cfg.Sealer, server: cfg.Server, now: cfg.Now, decided: cfg.Decided,
	}
	if g.decided == nil {
		g.decided = func(context.Context, string, string) {}
	}
	if len(g.proxies) == 0 {
		g.proxies = []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8"), netip.MustParsePrefix("::1/128")}
	}
	if len(cfg.Apps) > 0 && (cfg.Sealer == nil || cfg.Server == nil) {
		return nil, errors.New("gateway: Sealer and Server are required for apps")
	}
	var wrong mistakes
	cfg.Resources, cfg.Apps = slices.Clone(cfg.Resources), slices.Clone(cfg.Apps)
	checkKeys(cfg, &wrong)
	g.resources, g.apps = newTable(cfg.Resources, &wrong), newApps(cfg.Apps, &wrong)
	if err := wrong.joined(); err != nil {
		return nil, err
	}
	var errs []error
	add := func(err error) { errs = append(errs, err) }
	var err error
	if g.keys, err = rp.NewAPIKeys(cfg.APIKeys); err != nil {
		add(err)
	}
	for _, r := range cfg.Resources {
		add(g.guard(cfg, r.Name, guarded{r.Audience, r.Origin}))
		g.hold(r.Cookie)
	}
	for _, a := range cfg.Apps {
		add(g.guard(cfg, a.Name, guarded{a.Audience, a.Origin}))
		g.hold(a.Cookie)
		g.hold(a.loginCookie())
	}
	return g, errors.Join(errs...)
}

// hold takes a cookie into those that no application gets.
func (g *Gateway) hold(cookie string) {
	if cookie != "" && !slices.Contains(g.cookies, cookie) {
		g.cookies = append(g.cookies, cookie)
	}
}

// guard makes a guard, if there is none for its audience yet.
func (g *Gateway) guard(cfg Config, name string, id guarded) error {
	if id.audience == "" || g.guards[id] != nil {
		return nil
	}
	made, err := rp.New(rp.Config{
		Issuer: cfg.Issuer, Audience: id.audience, Origin: id.origin, Keys: published{cfg.Keys},
		Algorithms: propagation.Algorithms(), Taken: cfg.Taken, Remember: cfg.Remember, Now: cfg.Now,
	})
	if err != nil {
		return fmt.Errorf("gateway: %s: %w", name, err)
	}
	g.guards[id] = made
	return nil
}

// Refusals that are not about a token. What is in no resource, and what is asked
// wrongly, is answered alike.
func refused() *rp.Refusal {
	return &rp.Refusal{Status: http.StatusForbidden, Code: "access_denied", Detail: "That is not to be had here."}
}

// ServeHTTP answers a proxy: 200 with the headers of the application, or what the
// client is to be told.
func (g *Gateway) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if strings.HasPrefix(r.URL.Path, PathApp) && g.isProxy(r.RemoteAddr) {
		g.serveApp(w, r)
		return
	}
	p, err := g.decide(r)
	g.decided(r.Context(), p.resource, reason(err))
	if err != nil {
		refuse(w, r, err)
		return
	}
	h := w.Header()
	h.Set("Cache-Control", "no-store")
	identity(h, p.token, p.app)
	g.handOn(h, r.Header, p)
	w.WriteHeader(http.StatusOK)
}

// passed is who passes: with a token, or an application with its key, or nobody in
// particular.
type passed struct {
	resource string // its name, also of who does not pass
	token    rp.Token
	app      string
	bearer   string // the Authorization that the application gets in the place of a cookie
}

func (g *Gateway) decide(r *http.Request) (p passed, err error) {
	if !g.isProxy(r.RemoteAddr) || smuggled(r.Header) {
		return p, refused()
	}
	o, err := read(r)
	if err != nil {
		return p, refused()
	}
	resource := g.resources.find(o)
	if resource == nil {
		return p, refused()
	}
	p.resource = resource.Name
	switch resource.For {
	case ForEveryone:
		return p, nil
	case ForApp:
		key, err := g.keys.Check(r, resource.Name)
		p.app = key.Name
		return p, err
	}
	return g.decideByToken(o.request(r), resource, o)
}

// reason is why somebody is refused, in a word.
func reason(err error) string {
	var r *rp.Refusal
	switch {
	case err == nil:
		return ""
	case !errors.As(err, &r):
		return "temporarily_unavailable"
	case r.Code == "":
		return "no_credentials"
	}
	return r.Code
}

func (g *Gateway) decideByToken(r *http.Request, resource *Resource, o original) (p passed, err error) {
	p.resource = resource.Name
	with := r
	if resource.Cookie != "" {
		if with, err = g.withCookie(r, resource, o); err != nil {
			return p, err
		}
	}
	p.token, err = g.guards[guarded{resource.Audience, resource.Origin}].Check(with, resource.Rule)
	if with != r && resource.Forward == ForwardToken {
		p.bearer = with.Header.Get("Authorization")
	}
	return p, err
}

// isProxy says whether a question comes from where questions come from.
func (g *Gateway) isProxy(remote string) bool {
	at, err := netip.ParseAddrPort(remote)
	return err == nil && slices.ContainsFunc(g.proxies, func(p netip.Prefix) bool { return p.Contains(at.Addr().Unmap()) })
}

// request is the original one, as far as a guard looks at it: the address of its
// DPoP proof is the path that was decided by, at the origin of the configuration.
func (o original) request(asked *http.Request) *http.Request {
	path, query, _ := strings.Cut(o.uri, "?")
	r := *asked
	r.Method, r.RequestURI, r.URL = o.method, path, &url.URL{Path: o.path, RawQuery: query}
	return &r
}

// refuse answers as the client is to be answered. nginx knows 401 and 403 alone, and
// hands on one line of challenges.
func refuse(w http.ResponseWriter, r *http.Request, err error) {
	var refusal *rp.Refusal
	if r.URL.Path == PathNginx && errors.As(err, &refusal) {
		told := *refusal
		if told.Status == http.StatusBadRequest {
			told.Status = http.StatusUnauthorized
		}
		if len(told.Challenges) > 1 {
			told.Challenges = []string{strings.Join(told.Challenges, ", ")} // RFC 9110 §11.6.1
		}
		err = &told
	}
	rp.Refuse(w, err)
}

// published are our own keys, as a guard asks for them.
type published struct{ source propagation.Source }

// Find implements [rp.Keys].
func (p published) Find(ctx context.Context, id, algorithm string) (crypto.PublicKey, error) {
	set, err := p.source.Current(ctx)
	if err != nil {
		return nil, err
	}
	for _, k := range set.Keys() {
		if k.ID() == id && k.Algorithm() == algorithm {
			return k.Public(), nil
		}
	}
	return nil, nil
}
