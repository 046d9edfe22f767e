package oidcclient

import (
	"context"
	"crypto"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"
)

// KeysConfig says whose keys they are, and how they are had.
type KeysConfig struct {
	// Issuer is compared exactly with what its metadata say. Required.
	Issuer string
	// Address of the key set; "": its metadata name it.
	Address string
	// Network is where the issuer may be. Default: public addresses only.
	Network Network
	// RootCAs are what its certificate is held against; nil: those of the system.
	RootCAs *x509.CertPool
	// Transport carries all requests in place of the package's own, which then guards
	// neither Network nor RootCAs.
	Transport http.RoundTripper
	// Now tells the time. Required.
	Now func() time.Time
	// Timeout of one request, with its answer. Default 5 s.
	Timeout time.Duration
}

// Keys are the published keys of an issuer, for whoever verifies other tokens of it than
// ID tokens. They are kept for ten minutes, and for an hour if they cannot be had anew.
// One fetch at a time is under way, at intervals one more for a key that is not among
// them, and none for a while after one has failed. Safe for concurrent use.
type Keys struct{ of *Provider }

// NewKeys checks the configuration and reports every mistake in it. It asks nobody.
func NewKeys(c KeysConfig) (*Keys, error) {
	cfg := Config{Issuer: c.Issuer, Network: c.Network, RootCAs: c.RootCAs, Transport: c.Transport, Now: c.Now, Timeout: c.Timeout}
	errs := []error{checkIssuer(c.Issuer, c.Network), cfg.complete()}
	if c.Now == nil {
		errs = append(errs, errors.New("oidcclient: Now is required"))
	}
	if c.Address != "" && checkEndpoint("jwks_uri", c.Address, c.Network) != nil {
		errs = append(errs, errors.New("oidcclient: Address is no https URL of a key set"))
	}
	if err := errors.Join(errs...); err != nil {
		return nil, err
	}
	p := &Provider{cfg: cfg}
	p.connect(func(ctx context.Context) (metadata, error) {
		if c.Address != "" {
			return metadata{Keys: c.Address}, nil
		}
		return p.discoverKeys(ctx)
	})
	return &Keys{p}, nil
}

// Find returns the one public key that a token with that kid ("": it has none) and that
// algorithm is verified with; nil if none is published. [ErrUnavailable]: that cannot be
// found out now.
func (k *Keys) Find(ctx context.Context, keyID, algorithm string) (crypto.PublicKey, error) {
	if !slices.Contains(algorithms(), algorithm) {
		return nil, nil
	}
	h := header{Algorithm: algorithm, issuer: k.of.cfg.Issuer}
	if keyID != "" {
		h.KeyID = &keyID
	}
	key, err := k.of.keys.find(ctx, h)
	switch {
	case errors.Is(err, errNoKey):
		return nil, nil
	case err != nil:
		return nil, fmt.Errorf("%w: %w", ErrUnavailable, err)
	}
	return key, nil
}

// discoverKeys finds the key set by the metadata (OpenID Connect Discovery §4, or
// RFC 8414 §3). They need not name any other endpoint: some issuers only sign.
func (p *Provider) discoverKeys(ctx context.Context) (metadata, error) {
	body, err := p.getJSON(ctx, p.lookup, "metadata", strings.TrimSuffix(p.cfg.Issuer, "/")+"/.well-known/openid-configuration", tokens{})
	var status *statusError
	if errors.As(err, &status) && status.status == http.StatusNotFound {
		u, err := url.Parse(p.cfg.Issuer)
		if err != nil {
			return metadata{}, unavailable("metadata: not an address")
		}
		u.Path = "/.well-known/oauth-authorization-server" + strings.TrimSuffix(u.Path, "/")
		body, err = p.getJSON(ctx, p.lookup, "metadata", u.String(), tokens{})
		if err != nil {
			return metadata{}, err
		}
	} else if err != nil {
		return metadata{}, err
	}
	var m metadata
	if err := json.Unmarshal(body, &m); err != nil {
		return metadata{}, unavailable("the metadata cannot be read")
	}
	if m.Issuer != p.cfg.Issuer {
		return metadata{}, refused("the metadata name another issuer")
	}
	return m, checkEndpoint("jwks_uri", m.Keys, p.cfg.Network)
}
