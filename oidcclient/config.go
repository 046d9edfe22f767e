package oidcclient

import (
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
	// or http on a loopback host. Required.
	Issuer string
	// ClientID is how we are registered there. Required.
	ClientID string
	// ClientSecret authenticates us; "" makes a public client.
	ClientSecret string
	// Scopes to ask for; openid is added if it is not among them.
	Scopes []string
	// Algorithms that ID tokens may be signed with. Default: RS256, PS256,
	// ES256, ES384 and EdDSA, as far as the provider says that it uses them.
	Algorithms []string
	// UserInfo asks the UserInfo endpoint too, if there is one.
	UserInfo bool
	// Transport carries all requests. Default: one of the package's own.
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

const (
	defaultTimeout  = 5 * time.Second
	defaultLeeway   = 30 * time.Second
	maxLeeway       = time.Minute
	defaultTokenAge = 10 * time.Minute
)

// Provider is a remote OpenID provider. Safe for concurrent use.
type Provider struct {
	cfg      Config
	http     *http.Client
	metadata *cache[metadata]
	keys     *keys
}

// New checks the configuration and reports every mistake in it. It asks nobody.
func New(cfg Config) (*Provider, error) {
	issuer, err := checkIssuer(cfg.Issuer)
	errs := []error{err}
	if cfg.ClientID == "" {
		errs = append(errs, errors.New("oidcclient: ClientID is required"))
	}
	if cfg.Now == nil {
		errs = append(errs, errors.New("oidcclient: Now is required"))
	}
	errs = append(errs, cfg.complete())
	if err := errors.Join(errs...); err != nil {
		return nil, err
	}
	transport := cfg.Transport
	if transport == nil {
		transport = newTransport(isLoopback(issuer))
	}
	p := &Provider{cfg: cfg}
	p.http = &http.Client{Transport: strict{transport}, Timeout: cfg.Timeout, CheckRedirect: noRedirect}
	p.metadata = newCache(metadataFresh, metadataStale, cfg.Now, p.discover)
	p.keys = newKeys(cfg.Now, p.fetchKeys)
	return p, nil
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
		if !slices.Contains(algorithms(), a) {
			return fmt.Errorf("oidcclient: algorithm %q is not supported", a)
		}
	}
	c.Scopes = slices.Clone(c.Scopes)
	if !slices.Contains(c.Scopes, "openid") { // without it there is no ID token
		c.Scopes = append([]string{"openid"}, c.Scopes...)
	}
	return nil
}

// algorithms are all that can be verified here. None is symmetric.
func algorithms() []string { return []string{"RS256", "PS256", "ES256", "ES384", "EdDSA"} }

func checkIssuer(issuer string) (*url.URL, error) {
	u, err := url.Parse(issuer)
	switch {
	case err != nil || u.Host == "" || u.User != nil:
		return nil, errors.New("oidcclient: Issuer is not an absolute URL")
	case u.RawQuery != "" || u.ForceQuery || u.Fragment != "" || strings.Contains(issuer, "#"):
		return nil, errors.New("oidcclient: Issuer has a query or a fragment")
	case u.Scheme != "https" && (u.Scheme != "http" || !isLoopback(u)):
		return nil, errors.New("oidcclient: Issuer must be https, or http on a loopback host")
	}
	return u, nil
}

func isLoopback(u *url.URL) bool {
	if u.Hostname() == "localhost" {
		return true
	}
	ip, err := netip.ParseAddr(u.Hostname())
	return err == nil && ip.IsLoopback()
}
