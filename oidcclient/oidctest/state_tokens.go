package oidctest

import "time"

// addCode stores a new authorization code and returns it.
func (s *state) addCode(c code) string {
	secret := newSecret()
	s.mu.Lock()
	defer s.mu.Unlock()
	s.codes[digestOf(secret)] = &c
	s.grants[c.grant.sid] = append(s.grants[c.grant.sid], c.grant)
	return secret
}

// redeem spends an authorization code. The check sees a code before it is
// spent, and an error from it leaves the code as it was. A second redemption
// that passes the check revokes the family (RFC 6749 section 4.1.2); one that
// does not pass must not, or anybody who saw a code could revoke it.
func (s *state) redeem(secret string, now time.Time, check func(code) *oauthError) (*grant, *oauthError) {
	s.mu.Lock()
	defer s.mu.Unlock()
	c, ok := s.codes[digestOf(secret)]
	if !ok {
		return nil, invalidGrant("the authorization code is unknown")
	}
	if err := check(*c); err != nil {
		return nil, err
	}
	if c.used {
		c.grant.revoked.Store(true)
		return nil, invalidGrant("the authorization code was already used")
	}
	if !now.Before(c.expires) {
		return nil, invalidGrant("the authorization code has expired")
	}
	if c.grant.revoked.Load() {
		return nil, invalidGrant("the authorization was revoked")
	}
	c.used = true
	return c.grant, nil
}

// rotate spends a refresh token, in the same way as redeem (RFC 9700 section
// 4.14.2): a reuse revokes the family.
func (s *state) rotate(secret string, now time.Time, check func(*grant) *oauthError) (*grant, *oauthError) {
	s.mu.Lock()
	defer s.mu.Unlock()
	t, ok := s.refresh[digestOf(secret)]
	if !ok {
		return nil, invalidGrant("the refresh token is unknown")
	}
	if err := check(t.grant); err != nil {
		return nil, err
	}
	if t.used {
		t.grant.revoked.Store(true)
		return nil, invalidGrant("the refresh token was already used")
	}
	if !now.Before(t.expires) {
		return nil, invalidGrant("the refresh token has expired")
	}
	if t.grant.revoked.Load() {
		return nil, invalidGrant("the authorization was revoked")
	}
	t.used = true
	return t.grant, nil
}

// addTokens stores a new pair of tokens and returns it.
func (s *state) addTokens(g *grant, scopes []string, boundTo string, now time.Time, accessTTL time.Duration) (access, refresh string) {
	access, refresh = newSecret(), newSecret()
	s.mu.Lock()
	defer s.mu.Unlock()
	s.sweep(now)
	s.access[digestOf(access)] = accessToken{grant: g, scopes: scopes, boundTo: boundTo, expires: now.Add(accessTTL)}
	s.refresh[digestOf(refresh)] = &refreshToken{grant: g, expires: now.Add(refreshTTL)}
	return access, refresh
}

// accessToken finds a token that is valid now.
func (s *state) accessToken(secret string, now time.Time) (accessToken, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	t, ok := s.access[digestOf(secret)]
	return t, ok && now.Before(t.expires) && !t.grant.revoked.Load()
}

// revoke ends a token of the client: an access token alone, a refresh token
// with its family (RFC 7009 section 2.1). A token that is unknown or another
// client's is left as it is.
func (s *state) revoke(secret string, owner *Client) {
	s.mu.Lock()
	defer s.mu.Unlock()
	d := digestOf(secret)
	if t, ok := s.access[d]; ok && t.grant.client == owner {
		delete(s.access, d)
	}
	if t, ok := s.refresh[d]; ok && t.grant.client == owner {
		t.grant.revoked.Store(true)
	}
}
