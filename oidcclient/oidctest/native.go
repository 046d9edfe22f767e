package oidctest

import (
	"crypto/rand"
	"fmt"
	"net/http"

	"github.com/gin-gonic/gin"
)

// Native is a sign-on by the provider's own software on a phone.
type Native struct {
	Client   string // whose app it is
	Username string
	Nonce    string   // that the app passed on; "": none
	Scopes   []string // default: openid, profile, email
	Audience string   // aud of the ID token, with Client as azp; "": Client
}

// NativeTokens are what an app has then.
type NativeTokens struct{ ID, Access string }

// SignOnNatively makes the tokens that an app gets without a browser. The faults bend
// the ID token as they bend every other.
func (p *Provider) SignOnNatively(n Native) (NativeTokens, error) {
	client, who := p.cfg.client(n.Client), p.people.byName[n.Username]
	if client == nil || who == nil {
		return NativeTokens{}, fmt.Errorf("oidctest: no client %q, or no user %q", n.Client, n.Username)
	}
	now := p.cfg.Now()
	g := &grant{client: client, user: who.user, scopes: n.Scopes, sid: rand.Text(), authTime: now}
	if g.scopes == nil {
		g.scopes = []string{"openid", "profile", "email"}
	}
	var out NativeTokens
	var err error
	out.Access, _ = p.state.addTokens(g, g.scopes, "", now, p.cfg.AccessTokenTTL)
	if n.Audience != "" {
		g = &grant{client: &Client{ID: n.Audience}, user: g.user, scopes: g.scopes, sid: g.sid, authTime: now}
		out.ID, err = p.idTokenFor(g, n.Nonce, out.Access, now, map[string]any{"azp": n.Client})
		return out, err
	}
	out.ID, err = p.idToken(g, n.Nonce, out.Access, now)
	return out, err
}

// introspect is RFC 7662, for clients that authenticate.
func (p *Provider) introspect(c *gin.Context) {
	in, client, problem := p.clientRequest(c)
	if problem == nil && client.Secret == "" && client.Key == nil {
		problem = invalidClient("introspection is for clients that authenticate")
	}
	if problem == nil && in.get("token") == "" {
		problem = invalidRequest("token is missing")
	}
	if problem != nil {
		jsonError(c, problem)
		return
	}
	noStore(c)
	t, ok := p.state.accessToken(in.get("token"), p.cfg.Now())
	if !ok {
		c.JSON(http.StatusOK, gin.H{"active": false})
		return
	}
	c.JSON(http.StatusOK, gin.H{
		"active": true, "client_id": t.grant.client.ID, "sub": t.grant.user.Subject, "iss": p.tokenIssuer(),
		"aud": t.grant.client.ID, "exp": t.expires.Unix(), "token_type": "Bearer",
		"auth_time": t.grant.authTime.Unix(), "amr": t.grant.user.AMR,
	})
}
