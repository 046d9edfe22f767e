package oidcclient

import "context"

// addUserInfo asks the UserInfo endpoint (OpenID Connect Core §5.3) and adds
// what the ID token does not say. Another sub refuses all of it (§5.3.2).
func (p *Provider) addUserInfo(ctx context.Context, m metadata, c claims, token string) error {
	body, err := p.getJSON(ctx, "UserInfo", m.UserInfo, token)
	if err != nil {
		return err
	}
	more, err := decode(body)
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

// aboutTheToken are the claims that only a token can make of itself.
func aboutTheToken() []string {
	return []string{"iss", "aud", "azp", "exp", "iat", "nbf", "nonce", "acr", "amr", "auth_time", "at_hash", "c_hash", "sid", "jti"}
}
