package sso

import (
	"context"
	"crypto"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"time"

	"github.com/stile-auth/stile/flowdefs"
	"github.com/stile-auth/stile/flows"
	"github.com/stile-auth/stile/flows/assurance"
	"github.com/stile-auth/stile/oidcclient"
)

// Client is the relying party's side of one provider. Safe for concurrent use.
// The methods are those of [oidcclient.Provider].
type Client interface {
	AuthorizationRequest(ctx context.Context, o oidcclient.RequestOptions) (oidcclient.Authorization, error)
	Receive(ctx context.Context, r oidcclient.Request, query string) (oidcclient.Code, error)
	Redeem(ctx context.Context, r oidcclient.Request, code oidcclient.Code) (oidcclient.Identity, error)
	Vouches
	Ends
}

// Vouches is what a client finds out about tokens that an app holds.
type Vouches interface {
	VerifyIDToken(ctx context.Context, token string, w oidcclient.Foreign) (oidcclient.Vouched, error)
	Introspect(ctx context.Context, token string, w oidcclient.Foreign) (oidcclient.Vouched, error)
	InspectToken(ctx context.Context, token string, w oidcclient.Foreign) (oidcclient.Vouched, error)
}

// Ends is what a client knows of the end of sessions at its provider.
type Ends interface {
	Issues(issuer string) bool
	VerifyLogoutToken(ctx context.Context, token string) (oidcclient.Logout, error)
	EndSession(ctx context.Context, t oidcclient.Tokens, back string) (address, state string, err error)
	Refresh(ctx context.Context, t oidcclient.Tokens) (oidcclient.Tokens, error)
	Revoke(ctx context.Context, t oidcclient.Tokens) error
}

var _ Client = (*oidcclient.Provider)(nil)

// Provider is a remote provider: how to talk to it, and what it is trusted with.
type Provider struct {
	Name       string               // in the definitions
	Client     Client               // nil: its secret is not set, the step fails with 503
	Categories []assurance.Category // what a sign-on proves that no mapping fits
	Cap        assurance.Level      // most that it is trusted for
	Mapping    []flowdefs.Mapping   // what it says to what that proves
	Provision  flowdefs.Provision   // what an unknown identity comes to; "" is never
	Domains    []string             // whose verified addresses it is believed about
	Request    flowdefs.RequestExtras
	Cancelled  []string // its words for a person who did not want to
	Attributes []flowdefs.Attribute
	Groups     *flowdefs.Groups
	OAuth2     bool // it says nothing of how and when people signed on
	Frames     bool // what browsers bring from its pages ends sessions
	SignsOut   bool // who signs out here is led there
}

// Providers are the providers by name. It is not changed once it is in use.
type Providers map[string]Provider

// Find returns a provider that can be used; [flows.ErrUnavailable], with what is known
// of it if it has no secret.
func (ps Providers) Find(name string) (Provider, error) {
	p, ok := ps[name]
	if !ok {
		return Provider{}, fmt.Errorf("%w: sso: no provider %q", flows.ErrUnavailable, name)
	}
	if p.Client == nil {
		return p, fmt.Errorf("%w: sso: the secret of provider %q is not set", flows.ErrUnavailable, name)
	}
	return p, nil
}

// Access is what a provider's definition leaves to the deployment.
type Access struct {
	Secret      string             // of the client; "" where the definition names one: not set
	Key         crypto.Signer      // the client's; nil where the definition names one: not set
	Certificate *tls.Certificate   // the client's, with its key; nil where the definition names one: not set
	Network     oidcclient.Network // where the provider may be
	RootCAs     *x509.CertPool     // nil: those of the system
	Transport   http.RoundTripper  // nil: that of package oidcclient
	Timeout     time.Duration      // of one request; 0: that of package oidcclient
	Now         func() time.Time   // required
}

// NewProvider makes a provider of its definition. It asks nobody: a provider
// that is down fails when it is used, and one whose secret is not set too.
func NewProvider(d *flowdefs.Provider, a Access) (Provider, error) {
	p := Provider{
		Name:       d.Name,
		Categories: d.Categories, Cap: d.Cap, Mapping: d.Mapping, Provision: d.Provision, Domains: d.Authoritative,
		Request: d.Request, Cancelled: d.Codes.Cancelled, OAuth2: d.OAuth2(), Attributes: d.Attributes, Groups: d.Groups,
		Frames: d.FrontChannel, SignsOut: d.SignsOut,
	}
	c := d.Credentials
	certified := c.Certificate != nil
	if c.Secret != nil && a.Secret == "" || c.Key != nil && !certified && a.Key == nil || certified && a.Certificate == nil {
		return p, nil
	}
	client, err := oidcclient.New(clientConfig(d, a))
	if err != nil {
		return Provider{}, errors.Join(fmt.Errorf("sso: provider %s", d.Name), err)
	}
	p.Client = client
	return p, nil
}

// clientConfig is the definition in the words of package oidcclient.
func clientConfig(d *flowdefs.Provider, a Access) oidcclient.Config {
	c := d.Credentials
	cfg := oidcclient.Config{
		Issuer: d.Issuer, TokenIssuer: d.TokenIssuer, Tenants: d.Tenants, ClientID: d.ClientID, Scopes: d.Scopes, Algorithms: d.Algorithms,
		Authentication: oidcclient.Authentication{
			Method: oidcclient.AuthMethod(c.Method), Secret: a.Secret, KeyID: c.KeyID, Team: c.Team,
			TokenEndpointAudience: c.AtToken, Certificate: a.Certificate,
		},
		UserInfo:     d.UserInfo || (d.Provision == flowdefs.ProvisionCreate || len(d.Authoritative) > 0) && slices.Contains(d.Scopes, "email"),
		ResponseMode: oidcclient.ResponseMode(d.Mode), Push: oidcclient.Push(d.Push), DPoP: d.DPoP, SpentCodes: d.Codes.Spent,
		ResponseClaims: d.Response, KeepTokens: d.KeepTokens, KeepIDToken: d.SignsOut,
		Network: a.Network, RootCAs: a.RootCAs, Transport: a.Transport, Timeout: a.Timeout, Now: a.Now,
	}
	if c.Certificate == nil {
		cfg.Authentication.Key = a.Key
	}
	if e := d.Endpoints; e != nil {
		cfg.Endpoints = &oidcclient.Endpoints{Authorization: e.Authorization, Token: e.Token, Keys: e.Keys, UserInfo: e.UserInfo, Push: e.Push, Introspection: e.Introspection, Revocation: e.Revocation, EndSession: e.EndSession}
	}
	if u := d.User; u != nil {
		cfg.OAuth2 = &oidcclient.UserMapping{Subject: u.Subject, Email: u.Email, EmailVerified: u.EmailVerified, More: u.More}
	}
	if t := d.TokenInfo; t != nil {
		cfg.TokenInfo = &oidcclient.TokenInfo{
			Endpoint: t.Endpoint, Parameter: t.Parameter, App: t.App, Subject: t.Subject, Expires: t.Expires, Valid: t.Valid, AppToken: t.AppToken,
		}
	}
	return cfg
}
