package sso

import (
	"context"
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
}

var _ Client = (*oidcclient.Provider)(nil)

// Provider is a remote provider: how to talk to it, and what it is trusted with.
type Provider struct {
	Client     Client               // nil: its secret is not set, the step fails with 503
	Categories []assurance.Category // what a sign-on proves that no mapping fits
	Cap        assurance.Level      // most that it is trusted for
	Mapping    []flowdefs.Mapping   // what it says to what that proves
	Provision  flowdefs.Provision   // what an unknown identity comes to; "" is never
}

// Providers are the providers by name. It is not changed once it is in use.
type Providers map[string]Provider

func (ps Providers) find(name string) (Provider, error) {
	p, ok := ps[name]
	if !ok {
		return Provider{}, fmt.Errorf("%w: sso: no provider %q", flows.ErrUnavailable, name)
	}
	if p.Client == nil {
		return Provider{}, fmt.Errorf("%w: sso: the secret of provider %q is not set", flows.ErrUnavailable, name)
	}
	return p, nil
}

// Access is what a provider's definition leaves to the deployment.
type Access struct {
	Secret    string            // of the client; "" where the definition names one: not set
	Transport http.RoundTripper // nil: that of package oidcclient
	Now       func() time.Time  // required
}

// NewProvider makes a provider of its definition. It asks nobody: a provider
// that is down fails when it is used, and one whose secret is not set too.
func NewProvider(d *flowdefs.Provider, a Access) (Provider, error) {
	p := Provider{Categories: d.Categories, Cap: d.Cap, Mapping: d.Mapping, Provision: d.Provision}
	client, err := oidcclient.New(oidcclient.Config{
		Issuer: d.Issuer, ClientID: d.ClientID, ClientSecret: a.Secret, Scopes: d.Scopes,
		UserInfo:  d.Provision == flowdefs.ProvisionCreate && slices.Contains(d.Scopes, "email"), // used for nothing else
		Transport: a.Transport, Now: a.Now,
	})
	if err != nil {
		return Provider{}, errors.Join(fmt.Errorf("sso: provider %s", d.Name), err)
	}
	if d.ClientSecret == nil || a.Secret != "" {
		p.Client = client
	}
	return p, nil
}
