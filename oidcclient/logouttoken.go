package oidcclient

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"time"
)

const (
	logoutEvent  = "http://schemas.openid.net/event/backchannel-logout"
	maxLogoutAge = 2 * time.Minute // as ASVS 5.0 10.5.5 bounds its life
)

// Logout is what a logout token says: which session at the provider has ended.
type Logout struct {
	Issuer    string
	Subject   string // "": not said; then SessionID is
	SessionID string // "": all sessions of Subject
	// Mark names the token, so that it can be taken once.
	Mark string
	// Until is when the token is good no more, whatever the clocks say.
	Until time.Time
}

// VerifyLogoutToken checks a logout token (OpenID Connect Back-Channel Logout 1.0
// §2.6): typ logout+jwt or none; signed like an ID token; iss; aud is us alone; an iat
// of two minutes at most; exp; jti; events with the logout and nothing else; sub, sid
// or both; and no nonce, so that no ID token is one.
//
// [ErrRefused]: it failed a check. [ErrUnavailable]: the keys cannot be had.
func (p *Provider) VerifyLogoutToken(ctx context.Context, token string) (Logout, error) {
	if token == "" || len(token) > maxForeign || p.cfg.OAuth2 != nil {
		return Logout{}, refused("logout token: size, or none can be had of this provider")
	}
	m, err := p.metadata.get(ctx)
	if err != nil {
		return Logout{}, err
	}
	e := expected{clients: []string{p.cfg.ClientID}, now: p.cfg.Now(), leeway: p.cfg.Leeway, maxTokenAge: maxLogoutAge}
	c, err := p.signed(ctx, m, token, &e, "logout+jwt")
	if err != nil {
		return Logout{}, err
	}
	return c.logout(e)
}

// logout holds the claims, whose signature was checked, against what is expected.
func (c claims) logout(e expected) (Logout, error) {
	if err := c.checkIssue(e); err != nil {
		return Logout{}, err
	}
	if err := c.checkTimes(e); err != nil {
		return Logout{}, err
	}
	events, _ := c["events"].(map[string]any)
	if _, is := events[logoutEvent].(map[string]any); !is || len(events) != 1 {
		return Logout{}, refused("logout token: events")
	}
	if _, there := c["nonce"]; there {
		return Logout{}, refused("logout token: nonce")
	}
	l := Logout{Issuer: e.issuer}
	for name, to := range map[string]*string{"sub": &l.Subject, "sid": &l.SessionID} {
		value, there := c[name]
		if !there {
			continue
		}
		if *to, _ = value.(string); !isSubject(*to) {
			return Logout{}, refused("logout token: " + name)
		}
	}
	if l.Subject == "" && l.SessionID == "" {
		return Logout{}, refused("logout token: neither sub nor sid")
	}
	id, _ := c["jti"].(string)
	if !isSubject(id) {
		return Logout{}, refused("logout token: jti")
	}
	text, _ := json.Marshal([]string{e.issuer, e.clients[0], id}) // strings always can be
	sum := sha256.Sum256(text)
	l.Mark = base64.RawURLEncoding.EncodeToString(sum[:])
	issued, err := c.time("iat")
	l.Until = issued.Add(e.maxTokenAge + 2*e.leeway)
	return l, err
}
