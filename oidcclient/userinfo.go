package oidcclient

import (
	"context"
	"encoding/json"
	"errors"
	"maps"
	"net/http"
	"slices"
	"strings"
	"unicode"
)

// addUserInfo asks the UserInfo endpoint (OpenID Connect Core §5.3) and adds
// what the ID token does not say. Another sub refuses all of it (§5.3.2).
func (p *Provider) addUserInfo(ctx context.Context, client *http.Client, m metadata, c claims, t tokens) error {
	more, err := p.userInfo(ctx, client, m, t)
	if err != nil {
		return err
	}
	if more["sub"] != c["sub"] {
		return refused("UserInfo: sub")
	}
	if _, ok := c["email"]; ok { // who says the address says whether it was verified
		delete(more, "email_verified")
	} else {
		delete(c, "email_verified")
	}
	for _, name := range aboutTheToken() {
		delete(more, name)
	}
	for name, value := range more {
		if _, ok := c[name]; !ok {
			c[name] = value
		}
	}
	return nil
}

func (p *Provider) userInfo(ctx context.Context, client *http.Client, m metadata, t tokens) (claims, error) {
	body, err := p.getJSON(ctx, client, "UserInfo", m.UserInfo, t)
	var status *statusError
	if errors.As(err, &status) && strings.Contains(status.challenge, "use_dpop_nonce") { // RFC 9449 §9
		body, err = p.getJSON(ctx, client, "UserInfo", m.UserInfo, t)
	}
	if err != nil {
		return nil, err
	}
	return decode(body)
}

// user says who signed on at a plain OAuth 2.0 provider: whom the access token,
// which came straight from the token endpoint for our code and verifier, belongs
// to. Nothing is known of how and when that person signed on.
func (p *Provider) user(ctx context.Context, client *http.Client, m metadata, t tokens) (Identity, error) {
	c, err := p.userInfo(ctx, client, m, t)
	if err != nil {
		return Identity{}, err
	}
	names := p.cfg.OAuth2
	for _, name := range slices.Sorted(maps.Keys(names.More)) {
		delete(c, name) // who else says it is not asked
		if err := p.more(ctx, client, c, name, t); err != nil {
			return Identity{}, err
		}
	}
	id := Identity{Issuer: p.cfg.Issuer, Claims: c}
	switch sub := c.at(names.Subject).(type) {
	case string:
		id.Subject = sub
	case json.Number: // as some number their users
		if _, err := sub.Int64(); err == nil {
			id.Subject = sub.String()
		}
	}
	if id.Subject == "" || len(id.Subject) > maxSubject || strings.ContainsFunc(id.Subject, unicode.IsControl) {
		return Identity{}, refused("UserInfo: subject")
	}
	id.Email, _ = c.at(names.Email).(string)
	id.EmailVerified = c.at(names.EmailVerified) == any(true) && id.Email != ""
	return id, nil
}

// more asks a further question; the answer is the claim of that name. What the provider
// refuses to tell it does not say.
func (p *Provider) more(ctx context.Context, client *http.Client, c claims, name string, t tokens) error {
	body, err := p.getJSON(context.WithValue(ctx, listed{}, true), client, name, p.cfg.OAuth2.More[name], t)
	var status *statusError
	if errors.As(err, &status) && (status.status == http.StatusForbidden || status.status == http.StatusNotFound) {
		return nil
	}
	if err != nil {
		return err
	}
	answer, err := decode(inObject(body)) // it may be a list
	if err != nil || len(answer) != 1 {
		return refused(name + ": ambiguous JSON")
	}
	c[name] = answer["answer"]
	return nil
}

// at follows a name with dots into objects; nil if nothing is there.
func (c claims) at(name string) any {
	first, rest, more := strings.Cut(name, ".")
	value := c[first]
	if !more {
		return value
	}
	inner, _ := value.(map[string]any)
	return claims(inner).at(rest)
}

// aboutTheToken are the claims that only a token can make of itself.
func aboutTheToken() []string {
	return []string{"iss", "aud", "azp", "exp", "iat", "nbf", "nonce", "acr", "amr", "auth_time", "at_hash", "c_hash", "sid", "jti"}
}
