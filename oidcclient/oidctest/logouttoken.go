package oidctest

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"time"
)

const (
	logoutEvent    = "http://schemas.openid.net/event/backchannel-logout"
	logoutTokenTTL = 2 * time.Minute
)

// LogoutToken makes a logout token for a client (OpenID Connect Back-Channel Logout 1.0
// section 2.4) about a person, a session, or both; what is "" it does not say. Faults
// that bend ID tokens bend it too.
func (p *Provider) LogoutToken(clientID, subject, sid string) (string, error) {
	key, now := p.keys.signing(), p.cfg.Now()
	claims := map[string]any{
		"iss": p.tokenIssuer(), "aud": clientID, "iat": now.Unix(), "exp": now.Add(logoutTokenTTL).Unix(),
		"jti": newSecret(), "events": map[string]any{logoutEvent: map[string]any{}},
	}
	if subject != "" {
		claims["sub"] = subject
	}
	if sid != "" {
		claims["sid"] = sid
	}
	return p.assemble(key, map[string]any{"alg": key.Alg, "kid": key.ID, "typ": "logout+jwt"}, claims)
}

// tell sends a logout token to each client that was granted something and wants to be
// told. One that cannot be told is not told again.
func (p *Provider) tell(ctx context.Context, granted []*grant) {
	told := map[string]bool{}
	for _, g := range granted {
		if g.client.BackChannelLogoutURI == "" || told[g.client.ID] {
			continue
		}
		told[g.client.ID] = true
		token, err := p.LogoutToken(g.client.ID, g.user.Subject, g.sid)
		if err == nil {
			_, err = SendLogout(ctx, g.client.BackChannelLogoutURI, token)
		}
		_ = err // RPs may be gone
	}
}

// SendLogout posts a logout token (section 2.5) and returns the status of the answer.
func SendLogout(ctx context.Context, uri, token string) (int, error) {
	body := strings.NewReader(url.Values{"logout_token": {token}}.Encode())
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, uri, body)
	if err != nil {
		return 0, fmt.Errorf("oidctest: %w", err)
	}
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}, Timeout: 10 * time.Second}
	resp, err := client.Do(req)
	if err != nil {
		return 0, fmt.Errorf("oidctest: %w", err)
	}
	return resp.StatusCode, resp.Body.Close()
}
