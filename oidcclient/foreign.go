package oidcclient

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"net/url"
	"slices"
	"strings"
	"time"
)

// Foreign says which tokens are good that an app got by itself and hands us.
type Foreign struct {
	// Apps are the client ids that are ours at the provider: those of the apps, and of
	// the server that they ask tokens for. Required: a provider signs tokens for others too.
	Apps []string
	// MaxAge of an ID token by its iat; 0 is that of the configuration.
	MaxAge time.Duration
	// Nonce that an ID token must hold; "": none was asked for.
	Nonce string
}

// Vouched is what the provider says of a token that is good.
type Vouched struct {
	Identity
	// Mark names the token in one spelling, so that it can be taken once.
	Mark string
	// Until is when the token is good no more, whatever the clocks say.
	Until time.Time
}

const maxForeign = 16 << 10

// VerifyIDToken checks an ID token that was issued to an app (OpenID Connect Core
// §3.1.3.7): the signature by a published key, the issuer, aud and azp among w.Apps and
// nobody else, exp, the age by iat, and the nonce where one was asked for.
//
// [ErrRefused]: it failed a check. [ErrUnavailable]: the keys cannot be had.
func (p *Provider) VerifyIDToken(ctx context.Context, token string, w Foreign) (Vouched, error) {
	if err := w.usable(token); err != nil {
		return Vouched{}, err
	}
	m, err := p.metadata.get(ctx)
	if err != nil {
		return Vouched{}, err
	}
	e := expected{
		clients: w.Apps, nonce: w.Nonce, unasked: w.Nonce == "", now: p.cfg.Now(), leeway: p.cfg.Leeway,
		maxTokenAge: w.MaxAge, detached: true,
	}
	if e.maxTokenAge == 0 {
		e.maxTokenAge = p.cfg.MaxTokenAge
	}
	c, err := p.verify(ctx, m, token, e)
	if err != nil {
		return Vouched{}, err
	}
	v := Vouched{Mark: mark(c, token)}
	if v.Identity, err = c.identity(); err != nil {
		return Vouched{}, err
	}
	expires, err := c.time("exp")
	if err != nil {
		return Vouched{}, err
	}
	issued, err := c.time("iat")
	if err != nil {
		return Vouched{}, err
	}
	v.Began = issued
	if v.Until = issued.Add(e.maxTokenAge); expires.Before(v.Until) {
		v.Until = expires
	}
	v.Until = v.Until.Add(2 * p.cfg.Leeway)
	return v, nil
}

// Introspect asks the provider, as the client that we are, whether an access token is
// good (RFC 7662 §2). The answer must say whom it was issued to, for whom, and until
// when: what it does not say was not checked.
//
// [ErrRefused]: it is not active, or another's. [ErrUnavailable]: nobody could say.
func (p *Provider) Introspect(ctx context.Context, token string, w Foreign) (Vouched, error) {
	if err := w.usable(token); err != nil {
		return Vouched{}, err
	}
	m, err := p.metadata.get(ctx)
	if err != nil {
		return Vouched{}, err
	}
	if m.Introspection == "" || p.cfg.TokenIssuer != "" { // whose subject it is, among many issuers, nothing would say
		return Vouched{}, unavailable("the provider has no introspection that serves here")
	}
	asked := p.cfg.Now()
	body, err := p.post(ctx, m, "introspection", m.Introspection, url.Values{"token": {token}, "token_type_hint": {"access_token"}})
	if err != nil {
		return Vouched{}, err
	}
	c, err := decode(body)
	if err != nil {
		return Vouched{}, err
	}
	if err := p.checkActive(c, w); err != nil {
		return Vouched{}, err
	}
	if _, ok := c["iss"]; !ok { // optional (§2.2); whom we have asked is who says so
		c["iss"] = p.cfg.Issuer
	}
	v := Vouched{Mark: mark(c, token)}
	if v.Identity, err = c.identity(); err != nil {
		return Vouched{}, err
	}
	v.Began = asked // it was good then: nothing has ended it before
	v.Until, err = c.time("exp")
	return v, err
}

// checkActive holds what introspection says against what is expected.
func (p *Provider) checkActive(c claims, w Foreign) error {
	now := p.cfg.Now()
	if c["active"] != any(true) {
		return refused("access token: not active")
	}
	if client, _ := c["client_id"].(string); !slices.Contains(w.Apps, client) {
		return refused("access token: client_id")
	}
	if iss, ok := c["iss"]; ok && iss != any(p.cfg.Issuer) {
		return refused("access token: iss")
	}
	if !c.isFor(w.Apps) {
		return refused("access token: aud")
	}
	if sub, _ := c["sub"].(string); !isSubject(sub) || slices.Contains(w.Apps, sub) { // an app's own token is nobody's (RFC 9700 §4.15)
		return refused("access token: sub")
	}
	expires, err := c.time("exp")
	if err != nil {
		return err
	}
	if !now.Before(expires) {
		return refused("access token: exp")
	}
	if _, ok := c["nbf"]; ok {
		begins, err := c.time("nbf")
		if err != nil {
			return err
		}
		if begins.After(now.Add(p.cfg.Leeway)) {
			return refused("access token: nbf")
		}
	}
	if _, ok := c["cnf"]; ok { // bound to a key that nobody here has shown (RFC 9449 §6.2, RFC 8705 §3.2)
		return refused("access token: bound to a key")
	}
	return nil
}

// isFor says whether one of these is in aud.
func (c claims) isFor(apps []string) bool {
	switch aud := c["aud"].(type) {
	case string:
		return slices.Contains(apps, aud)
	case []any:
		return slices.ContainsFunc(aud, func(one any) bool {
			text, _ := one.(string)
			return slices.Contains(apps, text)
		})
	}
	return false
}

func (w Foreign) usable(token string) error {
	switch {
	case len(w.Apps) == 0 || slices.Contains(w.Apps, ""):
		return refused("token: no app is ours")
	case token == "" || len(token) > maxForeign:
		return refused("token: size")
	case strings.ContainsFunc(token, notOfTokens): // a provider may overlook it, and the token be another each time
		return refused("token: characters")
	}
	return nil
}

// notOfTokens is what no bearer token has (RFC 6750 §2.1).
func notOfTokens(c rune) bool {
	return (c < 'a' || c > 'z') && (c < 'A' || c > 'Z') && (c < '0' || c > '9') && !strings.ContainsRune("-._~+/=", c)
}

// mark names a token: by jti where the issuer has given one, or by what is signed.
// A signature can be written in more than one way; what is signed cannot.
func mark(c claims, token string) string {
	issuer, _ := c["iss"].(string)
	id, _ := c["jti"].(string)
	kind := "jti"
	if id == "" {
		kind, id = "token", token
		if strings.Count(token, ".") == 2 {
			id = token[:strings.LastIndex(token, ".")]
		}
	}
	text, _ := json.Marshal([]string{issuer, kind, id}) // strings always can be
	sum := sha256.Sum256(text)
	return base64.RawURLEncoding.EncodeToString(sum[:])
}
