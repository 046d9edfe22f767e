package oidcclient

import (
	"context"
	"errors"
	"net/http"
	"slices"
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
	// SessionID names the session at the provider (sid), "" if it says none.
	SessionID string
	// Began is when the provider was asked for the sign-on, or, of a token that an app
	// got by itself, when it was made. What ended there before is not this sign-on.
	Began time.Time
	// Email is what the provider knows. It is no key to an account, and worth
	// nothing unless EmailVerified.
	Email         string
	EmailVerified bool
	// Claims are all claims of the ID token and, for names that it has not, of
	// UserInfo. Numbers are json.Number.
	Claims map[string]any
	// Tokens are what the configuration keeps of the sign-on; nil: nothing.
	Tokens *Tokens
	// Response is what the parameter ResponseClaims of the response said. It came
	// through the browser: anybody may have written it.
	Response map[string]any
}

// Redeem trades the code for tokens and checks them. Whatever it returns, the
// code must be taken as spent.
//
// [ErrRefused]: the code is no good, or the answer failed a check.
// [ErrUnavailable]: it cannot be known whether the code was used.
func (p *Provider) Redeem(ctx context.Context, r Request, code Code) (Identity, error) {
	id, err := p.redeem(ctx, r, code)
	id.Response, id.Began = code.response, r.IssuedAt
	return id, err
}

func (p *Provider) redeem(ctx context.Context, r Request, code Code) (Identity, error) {
	if r.Issuer != p.cfg.Issuer || r.Verifier == "" || code.value == "" {
		return Identity{}, unfit("not a request to this provider")
	}
	m, err := p.metadata.get(ctx)
	if err != nil {
		return Identity{}, err
	}
	key, err := parseProofKey(r.ProofKey)
	if err != nil || (key != nil) != p.cfg.DPoP {
		return Identity{}, unfit("not a request to this provider")
	}
	client := p.http
	if key != nil {
		client = p.client(prover{p.http.Transport, p, key, &p.nonces})
	}
	t, err := p.exchange(ctx, client, m, r, code)
	if err != nil {
		return Identity{}, err
	}
	if p.cfg.OAuth2 != nil {
		id, err := p.user(ctx, client, m, t)
		id.Tokens = p.kept(t, r, id.Subject)
		return id, err
	}
	c, err := p.verify(ctx, m, t.id, p.expect(r, t.access, code.value))
	if err != nil {
		return Identity{}, err
	}
	if p.cfg.UserInfo && m.UserInfo != "" {
		if err := p.addUserInfo(ctx, client, m, c, t); err != nil {
			return Identity{}, err
		}
	}
	id, err := c.identity()
	id.Tokens = p.kept(t, r, id.Subject)
	return id, err
}

// tokens are what is used of a token response.
type tokens struct {
	id, access, scheme, refresh string
	life                        time.Duration // of access; 0: not said
}

// exchange sends the code (RFC 6749 §4.1.3, RFC 7636 §4.5), exactly once: a server
// that asks for a nonce has not looked at it yet (RFC 9449 §8).
func (p *Provider) exchange(ctx context.Context, client *http.Client, m metadata, r Request, code Code) (tokens, error) {
	answer, err := p.trade(ctx, client, m, r, code)
	if asksForNonce(err) && client != p.http {
		answer, err = p.trade(ctx, client, m, r, code)
	}
	var failed *oauth2.RetrieveError
	switch {
	case errors.As(err, &failed) && (failed.ErrorCode == "invalid_grant" || slices.Contains(p.cfg.SpentCodes, failed.ErrorCode)):
		return tokens{}, refused("the code is no good")
	case err != nil:
		return tokens{}, networkError("token endpoint", err)
	}
	t := tokens{scheme: "Bearer"}
	if p.cfg.DPoP { // Bearer would be a token that is bound to nothing
		t.scheme = "DPoP"
	}
	t.access, _ = answer.Extra("access_token").(string)
	t.id, _ = answer.Extra("id_token").(string)
	t.refresh, t.life = answer.RefreshToken, lifeOf(answer.ExpiresIn)
	kind, _ := answer.Extra("token_type").(string)
	switch {
	case !strings.EqualFold(kind, t.scheme):
		return tokens{}, refused("token response: token_type")
	case t.access == "":
		return tokens{}, refused("token response: no access_token")
	case t.id == "" && p.cfg.OAuth2 == nil:
		return tokens{}, refused("token response: no id_token")
	}
	return t, nil
}

// trade is one token request.
func (p *Provider) trade(ctx context.Context, client *http.Client, m metadata, r Request, code Code) (*oauth2.Token, error) {
	us, err := p.credentials(m)
	if err != nil {
		return nil, err
	}
	ctx = context.WithValue(ctx, oauth2.HTTPClient, client)
	return p.oauth2(m, r.RedirectURI, us).Exchange(ctx, code.value, append(us.options(), oauth2.VerifierOption(r.Verifier))...)
}

func asksForNonce(err error) bool {
	var failed *oauth2.RetrieveError
	return errors.As(err, &failed) && failed.ErrorCode == "use_dpop_nonce"
}
