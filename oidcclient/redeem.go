package oidcclient

import (
	"context"
	"errors"
	"strings"
	"time"

	"golang.org/x/oauth2"
)

// Identity is who signed on, and what the provider says about that.
type Identity struct {
	Issuer   string
	Subject  string // unique at the issuer; with it, the only key to an account
	ACR      string // "" if not said
	AMR      []string
	AuthTime time.Time // zero if not said
	// Email is what the provider knows. It is no key to an account, and worth
	// nothing unless EmailVerified.
	Email         string
	EmailVerified bool
	// Claims are all claims of the ID token and, for names that it has not, of
	// UserInfo. Numbers are json.Number.
	Claims map[string]any
}

// Redeem trades the code for tokens and checks them. Whatever it returns, the
// code must be taken as spent. The tokens are not kept.
//
// [ErrRefused]: the code is no good, or the answer failed a check.
// [ErrUnavailable]: it cannot be known whether the code was used.
func (p *Provider) Redeem(ctx context.Context, r Request, code Code) (Identity, error) {
	if r.Issuer != p.cfg.Issuer || r.Verifier == "" || code.value == "" {
		return Identity{}, unfit("not a request to this provider")
	}
	m, err := p.metadata.get(ctx)
	if err != nil {
		return Identity{}, err
	}
	t, err := p.exchange(ctx, m, r, code)
	if err != nil {
		return Identity{}, err
	}
	c, err := p.verify(ctx, m, r, t, code)
	if err != nil {
		return Identity{}, err
	}
	if p.cfg.UserInfo && m.UserInfo != "" {
		if err := p.addUserInfo(ctx, m, c, t.access); err != nil {
			return Identity{}, err
		}
	}
	return c.identity()
}

// tokens are what is used of a token response.
type tokens struct{ id, access string }

// exchange sends the code (RFC 6749 §4.1.3, RFC 7636 §4.5), exactly once.
func (p *Provider) exchange(ctx context.Context, m metadata, r Request, code Code) (tokens, error) {
	client, err := p.oauth2(m, r.RedirectURI)
	if err != nil {
		return tokens{}, err
	}
	ctx = context.WithValue(ctx, oauth2.HTTPClient, p.http)
	answer, err := client.Exchange(ctx, code.value, oauth2.VerifierOption(r.Verifier))
	var failed *oauth2.RetrieveError
	switch {
	case errors.As(err, &failed) && failed.ErrorCode == "invalid_grant":
		return tokens{}, refused("the code is no good")
	case err != nil:
		return tokens{}, networkError("token endpoint", err)
	}
	var t tokens
	t.access, _ = answer.Extra("access_token").(string)
	t.id, _ = answer.Extra("id_token").(string)
	kind, _ := answer.Extra("token_type").(string)
	switch {
	case !strings.EqualFold(kind, "bearer"):
		return tokens{}, refused("token response: token_type")
	case t.access == "":
		return tokens{}, refused("token response: no access_token")
	case t.id == "":
		return tokens{}, refused("token response: no id_token")
	}
	return t, nil
}
