package sso

import (
	"context"
	"errors"
	"fmt"
	"net/url"

	"github.com/stile-auth/stile/flows"
	"github.com/stile-auth/stile/oidcclient"
)

// Logouts takes what providers say of sessions that have ended there, and ends those
// here that rest on them. Safe for concurrent use.
type Logouts struct {
	Find   func(name string) (Provider, error) // among those that are in use; [flows.ErrUnavailable]
	Engine ender
}

// ender ends sessions and records what it was not asked to; [flows.Engine] does.
type ender interface {
	EndProviderSession(ctx context.Context, l flows.Logout, c flows.Caller) error
	Refuse(ctx context.Context, c flows.Caller, code string) error
}

// BackChannel takes a logout token that a provider has sent (OpenID Connect
// Back-Channel Logout 1.0 §2.5). [flows.ErrNotFound]: there is no such provider.
// Any other error is a *[flows.Problem].
func (l Logouts) BackChannel(ctx context.Context, c flows.Caller, provider, token string) error {
	p, err := l.provider(provider)
	if err != nil {
		return err
	}
	said, err := p.Client.VerifyLogoutToken(ctx, token)
	if err != nil {
		return l.refuse(ctx, c, err)
	}
	return l.Engine.EndProviderSession(ctx, flows.Logout{
		ProviderSession: flows.ProviderSession{Provider: p.Name, Issuer: said.Issuer, Subject: said.Subject, ID: said.SessionID},
		Way:             flows.LogoutBackChannel, Mark: said.Mark, Until: said.Until,
	}, c)
}

// FrontChannel takes what a page of a provider has a browser bring (OpenID Connect
// Front-Channel Logout 1.0 §2). Nobody has signed it: what it takes is the name of the
// session there, which nobody can guess. It returns the origin whose pages may show the
// answer. Errors are those of BackChannel.
func (l Logouts) FrontChannel(ctx context.Context, c flows.Caller, provider, issuer, session string) (string, error) {
	p, err := l.provider(provider)
	if err != nil {
		return "", err
	}
	if !p.Frames {
		return "", fmt.Errorf("%w: sso: provider %q does not end sessions in browsers", flows.ErrNotFound, provider)
	}
	if session == "" || !p.Client.Issues(issuer) {
		return "", l.refuse(ctx, c, oidcclient.ErrRefused)
	}
	u, err := url.Parse(issuer)
	if err != nil {
		return "", l.refuse(ctx, c, oidcclient.ErrRefused)
	}
	return u.Scheme + "://" + u.Host, l.Engine.EndProviderSession(ctx, flows.Logout{
		ProviderSession: flows.ProviderSession{Provider: p.Name, Issuer: issuer, ID: session}, Way: flows.LogoutFrontChannel,
	}, c)
}

// provider finds one that has sessions.
func (l Logouts) provider(name string) (Provider, error) {
	p, err := l.Find(name)
	switch {
	case err != nil && p.Name == "", p.OAuth2:
		return Provider{}, fmt.Errorf("%w: sso: no provider %q with sessions", flows.ErrNotFound, name)
	case err != nil:
		return Provider{}, unavailable(err)
	}
	return p, nil
}

// refuse records a request that ended nothing.
func (l Logouts) refuse(ctx context.Context, c flows.Caller, why error) error {
	problem := &flows.Problem{Kind: flows.KindMalformed, Code: flows.CodeMalformed, Detail: "This ends no session.", Err: why}
	if !errors.Is(why, oidcclient.ErrRefused) {
		problem = unavailable(why)
	}
	if err := l.Engine.Refuse(ctx, c, problem.Code); err != nil {
		return unavailable(errors.Join(why, err))
	}
	return problem
}

func unavailable(why error) *flows.Problem {
	return &flows.Problem{Kind: flows.KindUnavailable, Code: flows.CodeUnavailable, Detail: "Try again later.", Err: why}
}
