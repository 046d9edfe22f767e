package oidcclient

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"time"
)

// TokenInfo is where a provider says in words of its own whom an access token was issued
// to: the debug endpoint of one, the tokeninfo of another. A name with dots leads into
// objects.
type TokenInfo struct {
	// Endpoint is asked by GET. Required.
	Endpoint string
	// Parameter of its query that holds the token. Required.
	Parameter string
	// App are the members that name the app, each of which must name one of ours. Required.
	App []string
	// Subject is the member that says whose token it is. Required.
	Subject string
	// Expires is the member that says until when, in seconds since 1970. Required.
	Expires string
	// Valid is the member that is true of good tokens; "": those that are no good are
	// answered with 400 or 401.
	Valid string
	// AppToken authenticates us by our client id, a bar and our secret, as a bearer token.
	AppToken bool
}

func (t *TokenInfo) usable(a Authentication) bool {
	return t == nil || t.Endpoint != "" && t.Parameter != "" && len(t.App) > 0 && !slices.Contains(t.App, "") &&
		t.Subject != "" && t.Expires != "" && (!t.AppToken || a.Secret != "")
}

// InspectToken asks the provider whom an access token was issued to, and UserInfo whose it
// is. UserInfo alone answers the tokens of every app (RFC 9700 §4.10): so the token must
// be for w.Apps by the words of [TokenInfo], and both must name the same person.
//
// [ErrRefused]: it is no good, or another's. [ErrUnavailable]: nobody could say.
func (p *Provider) InspectToken(ctx context.Context, token string, w Foreign) (Vouched, error) {
	if err := w.usable(token); err != nil {
		return Vouched{}, err
	}
	m, err := p.metadata.get(ctx)
	if err != nil {
		return Vouched{}, err
	}
	if p.cfg.TokenInfo == nil || m.UserInfo == "" || p.cfg.TokenIssuer != "" { // whose subject it is, among many issuers, nothing would say
		return Vouched{}, unavailable("the provider says of no token whom it was issued to")
	}
	asked := p.cfg.Now()
	info, err := p.tokenInfo(ctx, token)
	if err != nil {
		return Vouched{}, err
	}
	subject, until, err := p.checkInfo(info, w)
	if err != nil {
		return Vouched{}, err
	}
	v := Vouched{Mark: mark(claims{"iss": p.cfg.Issuer}, token), Until: until}
	if v.Identity, err = p.owner(ctx, m, token); err != nil {
		return Vouched{}, tokenStatus(err, http.StatusUnauthorized)
	}
	if v.Subject != subject {
		return Vouched{}, refused("access token: UserInfo names somebody else")
	}
	v.Began = asked // it was good then: nothing has ended it before
	return v, nil
}

// tokenInfo asks whom a token was issued to.
func (p *Provider) tokenInfo(ctx context.Context, token string) (claims, error) {
	t := p.cfg.TokenInfo
	address, err := url.Parse(t.Endpoint)
	if err != nil {
		return nil, unavailable("token info: not an address")
	}
	query := address.Query()
	query.Set(t.Parameter, token)
	address.RawQuery = query.Encode()
	var us tokens
	if t.AppToken {
		us = tokens{scheme: "Bearer", access: p.cfg.ClientID + "|" + p.cfg.Authentication.Secret}
	}
	body, err := p.getJSON(ctx, p.http, "token info", address.String(), us)
	if err != nil && t.Valid == "" { // else it is we who were refused
		err = tokenStatus(err, http.StatusBadRequest, http.StatusUnauthorized)
	}
	if err != nil {
		return nil, err
	}
	return decode(body)
}

// tokenStatus makes a refusal of what an endpoint says of a token by its status.
func tokenStatus(err error, statuses ...int) error {
	var status *statusError
	if errors.As(err, &status) && slices.Contains(statuses, status.status) {
		return refused("access token: not active")
	}
	return err
}

// checkInfo holds what the provider says of a token against what is expected.
func (p *Provider) checkInfo(c claims, w Foreign) (subject string, until time.Time, err error) {
	t := p.cfg.TokenInfo
	if t.Valid != "" && c.at(t.Valid) != any(true) {
		return "", time.Time{}, refused("access token: not active")
	}
	for _, name := range t.App {
		if app := word(c.at(name)); app == "" || !slices.Contains(w.Apps, app) {
			return "", time.Time{}, refused("access token: app")
		}
	}
	if subject = word(c.at(t.Subject)); !isSubject(subject) || slices.Contains(w.Apps, subject) {
		return "", time.Time{}, refused("access token: subject")
	}
	seconds, err := strconv.ParseInt(word(c.at(t.Expires)), 10, 64)
	if err != nil || seconds < 0 || seconds > 1<<40 {
		return "", time.Time{}, refused("access token: expiry")
	}
	until = time.Unix(seconds, 0).UTC()
	if !p.cfg.Now().Before(until) {
		return "", time.Time{}, refused("access token: expired")
	}
	return subject, until, nil
}

// owner asks UserInfo whose token it is.
func (p *Provider) owner(ctx context.Context, m metadata, token string) (Identity, error) {
	carried := tokens{scheme: "Bearer", access: token}
	if p.cfg.OAuth2 != nil {
		return p.user(ctx, p.http, m, carried)
	}
	c, err := p.userInfo(ctx, p.http, m, carried)
	if err != nil {
		return Identity{}, err
	}
	for _, name := range aboutTheToken() {
		delete(c, name)
	}
	c["iss"] = p.cfg.Issuer
	if sub, _ := c["sub"].(string); !isSubject(sub) {
		return Identity{}, refused("UserInfo: sub")
	}
	return c.identity()
}

// word is a text, or a whole number as some write their ids; "" of all else.
func word(value any) string {
	switch v := value.(type) {
	case string:
		return v
	case json.Number:
		if _, err := v.Int64(); err == nil {
			return v.String()
		}
	}
	return ""
}
