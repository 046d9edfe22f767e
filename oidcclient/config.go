package oidcclient

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"net/http"
	"net/netip"
	"net/url"
	"slices"
	"strings"
	"time"
)

// Config describes a provider and what we are to it.
type Config struct {
	// Issuer is compared exactly with what the provider says of itself. https,
	// or http on a loopback host of the network Loopback. Required; of a plain
	// OAuth 2.0 provider it is what its people's links name, and nobody is asked.
	Issuer string
	// TokenIssuer is what ID tokens and metadata name instead, with {tenantid} in
	// the place of the claim tid, for providers with an issuer for each tenant.
	TokenIssuer string
	// Tenants are the only ones that people may come from; empty: all of the provider's.
	Tenants []string
	// Endpoints are stated by hand; nil: found by discovery.
	Endpoints *Endpoints
	// OAuth2 makes it a plain OAuth 2.0 provider: there is no ID token, and UserInfo says
	// who signed on. It needs Endpoints.
	OAuth2 *UserMapping
	// TokenInfo says of access tokens whom they were issued to; nil: nothing does.
	TokenInfo *TokenInfo
	// ClientID is how we are registered there. Required.
	ClientID string
	// Authentication says how we prove that; the zero value makes a public client.
	Authentication Authentication
	// Scopes to ask for; openid is added if it is not among them, but for OAuth2.
	Scopes []string
	// Algorithms that ID tokens may be signed with, as far as the provider says that it
	// uses them. Default: RS256, PS256, ES256, ES384 and EdDSA; RS384, RS512, PS384,
	// PS512 and ES512 only where they are named.
	Algorithms []string
	// UserInfo asks the UserInfo endpoint too, if there is one.
	UserInfo bool
	// ResponseMode is how responses come back; "" is query, the default of the
	// code flow.
	ResponseMode ResponseMode
	// Push says whether requests are pushed; default: where the provider can.
	Push Push
	// DPoP binds code and tokens to a key of each sign-on (RFC 9449), and refuses
	// tokens that are not.
	DPoP bool
	// KeepTokens and KeepIDToken hand out what a sign-on has brought, as [Tokens].
	KeepTokens, KeepIDToken bool
	// ResponseClaims is a parameter of responses that holds a JSON object; "": there is none.
	ResponseClaims string
	// SpentCodes are error codes of the token endpoint that say what invalid_grant says.
	SpentCodes []string
	// Network is where the provider may be. Default: public addresses only.
	Network Network
	// RootCAs are what its certificate is held against; nil: those of the system.
	RootCAs *x509.CertPool
	// Transport carries all requests in place of the package's own. Network,
	// RootCAs and the certificate of Authentication are its own business then.
	Transport http.RoundTripper
	// Now tells the time. Required.
	Now func() time.Time
	// Timeout of one request, with its answer. Default 5 s.
	Timeout time.Duration
	// Leeway for clocks that differ. Default 30 s, at most 60 s.
	Leeway time.Duration
	// MaxTokenAge is the greatest age of an ID token by its iat. Default 10 minutes.
	MaxTokenAge time.Duration
}

// Endpoints are a provider's, stated by hand.
type Endpoints struct {
	Authorization, Token string // required
	Keys                 string // the key set; required but for plain OAuth 2.0
	UserInfo             string // required for plain OAuth 2.0
	Push                 string // of pushed requests (RFC 9126)
	Introspection        string // of tokens (RFC 7662)
	Revocation           string // of tokens (RFC 7009)
	EndSession           string // where people sign out (RP-Initiated Logout 1.0)
}

// UserMapping says what UserInfo of a plain OAuth 2.0 provider calls things. A name
// with dots leads into objects.
type UserMapping struct {
	Subject string // what stays when a person is renamed; required
	Email   string // "" if it says none
	// EmailVerified says whether the address was verified; "" if nothing does.
	EmailVerified string
	// More are further questions with the same access token: the claim that an answer,
	// whatever JSON it is, becomes, and the address that gives it.
	More map[string]string
}

// ResponseMode is how an authorization response comes back.
type ResponseMode string

// The response modes of OAuth 2.0 Multiple Response Type Encoding Practices §2.1 and
// Form Post Response Mode.
const (
	ModeQuery    ResponseMode = "query"
	ModeFragment ResponseMode = "fragment"
	ModeFormPost ResponseMode = "form_post"
)

const (
	defaultTimeout  = 5 * time.Second
	defaultLeeway   = 30 * time.Second
	maxLeeway       = time.Minute
	defaultTokenAge = 10 * time.Minute
)

// Provider is a remote OpenID provider. Safe for concurrent use.
type Provider struct {
	cfg      Config
	http     *http.Client // to what acts for one sign-on
	lookup   *http.Client // to what the provider publishes
	tell     *http.Client // to what answers nothing
	nonces   nonces
	metadata *cache[metadata]
	keys     *keys
}

// New checks the configuration and reports every mistake in it. It asks nobody.
func New(cfg Config) (*Provider, error) {
	errs := []error{checkIssuer(cfg.Issuer, cfg.Network)}
	if cfg.ClientID == "" {
		errs = append(errs, errors.New("oidcclient: ClientID is required"))
	}
	if cfg.Now == nil {
		errs = append(errs, errors.New("oidcclient: Now is required"))
	}
	errs = append(errs, cfg.complete(), cfg.Authentication.complete(), cfg.checkShape())
	if err := errors.Join(errs...); err != nil {
		return nil, err
	}
	p := &Provider{cfg: cfg}
	p.connect(p.discover)
	return p, nil
}

// connect makes what asks the provider; discover is how it learns where it is asked.
func (p *Provider) connect(discover func(context.Context) (metadata, error)) {
	transport := p.cfg.Transport
	if transport == nil {
		transport = newTransport(p.cfg)
	}
	p.lookup = p.client(strict{inner: transport})
	p.http = p.client(&breaker{inner: strict{inner: transport}, now: p.cfg.Now})
	p.tell = p.client(&breaker{inner: strict{transport, true}, now: p.cfg.Now})
	p.metadata = newCache(metadataFresh, metadataStale, p.cfg.Now, discover)
	p.keys = newKeys(p.cfg.Now, p.fetchKeys)
}

func (p *Provider) client(transport http.RoundTripper) *http.Client {
	return &http.Client{Transport: transport, Timeout: p.cfg.Timeout, CheckRedirect: noRedirect}
}

// Issuer is the issuer identifier.
func (p *Provider) Issuer() string { return p.cfg.Issuer }

// complete checks what is set and fills in what is not.
func (c *Config) complete() error {
	if c.Timeout == 0 {
		c.Timeout = defaultTimeout
	}
	if c.Leeway == 0 {
		c.Leeway = defaultLeeway
	}
	if c.MaxTokenAge == 0 {
		c.MaxTokenAge = defaultTokenAge
	}
	if c.Timeout < 0 || c.Leeway < 0 || c.Leeway > maxLeeway || c.MaxTokenAge < 0 {
		return errors.New("oidcclient: Timeout, Leeway or MaxTokenAge is out of bounds")
	}
	if c.Algorithms == nil {
		c.Algorithms = algorithms()
	}
	for _, a := range c.Algorithms {
		if !slices.Contains(algorithms(), a) && !slices.Contains(rareAlgorithms(), a) {
			return fmt.Errorf("oidcclient: algorithm %q is not supported", a)
		}
	}
	c.Scopes = slices.Clone(c.Scopes)
	if c.OAuth2 == nil && !slices.Contains(c.Scopes, "openid") { // without it there is no ID token
		c.Scopes = append([]string{"openid"}, c.Scopes...)
	}
	return nil
}

// algorithms are what is taken where nothing else is said. None is symmetric.
func algorithms() []string { return []string{"RS256", "PS256", "ES256", "ES384", "EdDSA"} }

// rareAlgorithms can be verified too, where the configuration names them.
func rareAlgorithms() []string { return []string{"RS384", "RS512", "PS384", "PS512", "ES512"} }

// checkShape refuses what does not fit together.
func (c *Config) checkShape() error {
	var errs []error
	bad := func(wrong bool, what string) {
		if wrong {
			errs = append(errs, errors.New("oidcclient: "+what))
		}
	}
	e := c.Endpoints
	bad(e != nil && (e.Authorization == "" || e.Token == ""), "Endpoints needs Authorization and Token")
	bad(e != nil && c.OAuth2 == nil && e.Keys == "", "Endpoints needs Keys")
	bad(c.OAuth2 != nil && (e == nil || e.UserInfo == ""), "OAuth2 needs Endpoints with UserInfo")
	bad(c.OAuth2 != nil && c.OAuth2.Subject == "", "OAuth2 needs Subject")
	bad(c.OAuth2 != nil && !fit(c.OAuth2.More, c.Network), "OAuth2.More needs https addresses, and at most three")
	bad(!c.TokenInfo.usable(c.Authentication), "TokenInfo needs all but Valid, and for its app token a client secret")
	if t := c.TokenInfo; t != nil {
		u, err := url.Parse(t.Endpoint)
		bad(err != nil || u.Host == "" || u.User != nil || u.Fragment != "" || !secure(u, c.Network), "TokenInfo.Endpoint is no https URL of an endpoint")
	}
	bad(c.TokenIssuer != "" && strings.Count(c.TokenIssuer, tenantMark) != 1, "TokenIssuer needs {tenantid} once")
	bad(c.TokenIssuer == "" && len(c.Tenants) > 0, "Tenants without TokenIssuer")
	switch c.ResponseMode {
	case "", ModeQuery, ModeFragment, ModeFormPost:
	default:
		bad(true, "there is no such ResponseMode")
	}
	switch c.Push {
	case PushAdvertised, PushAlways, PushNever:
	default:
		bad(true, "there is no such Push")
	}
	return errors.Join(errs...)
}

const maxMore = 3 // each is one request of each sign-on

// fit says whether an access token may go to these addresses.
func fit(more map[string]string, n Network) bool {
	for _, address := range more {
		u, err := url.Parse(address)
		if err != nil || u.Host == "" || u.User != nil || u.Fragment != "" || !secure(u, n) {
			return false
		}
	}
	return len(more) <= maxMore
}

func checkIssuer(issuer string, n Network) error {
	u, err := url.Parse(issuer)
	switch {
	case err != nil || u.Host == "" || u.User != nil:
		return errors.New("oidcclient: Issuer is not an absolute URL")
	case u.RawQuery != "" || u.ForceQuery || u.Fragment != "" || strings.Contains(issuer, "#"):
		return errors.New("oidcclient: Issuer has a query or a fragment")
	case !secure(u, n):
		return errors.New("oidcclient: Issuer must be https, or http on a loopback host of the network Loopback")
	}
	return nil
}

// secure says whether secrets may go there.
func secure(u *url.URL, n Network) bool {
	return u.Scheme == "https" || u.Scheme == "http" && n == Loopback && isLoopback(u)
}

func isLoopback(u *url.URL) bool {
	if u.Hostname() == "localhost" {
		return true
	}
	ip, err := netip.ParseAddr(u.Hostname())
	return err == nil && ip.IsLoopback()
}
