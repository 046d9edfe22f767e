package oidctest

import (
	"net/http"
	"net/url"
)

// authMethods are the ways in which clients authenticate at /token and
// /revoke (OpenID Connect Core section 9).
func authMethods() []string {
	return []string{"client_secret_basic", "client_secret_post", "none"}
}

// authenticate finds out which client sends a form (RFC 6749 section 2.3). A
// public client only names itself.
func (p *Provider) authenticate(r *http.Request, in params) (*Client, *oauthError) {
	id, secret := in.get("client_id"), in.get("client_secret")
	if r.Header.Get("Authorization") != "" {
		basicID, basicSecret, ok := basicAuth(r)
		switch {
		case !ok:
			return nil, invalidClient("the Authorization header is not valid Basic authentication")
		case secret != "":
			return nil, invalidRequest("the client authenticates in two ways")
		case id != "" && id != basicID:
			return nil, invalidRequest("client_id differs from the Authorization header")
		case basicSecret == "":
			return nil, invalidClient("the secret is empty")
		}
		id, secret = basicID, basicSecret
	}
	client := p.cfg.client(id)
	if client == nil {
		return nil, invalidClient("the client is unknown or its secret is wrong")
	}
	if !sameSecret(secret, client.Secret) {
		return nil, invalidClient("the client is unknown or its secret is wrong")
	}
	return client, nil
}

// basicAuth reads id and secret, which are form-encoded within the header
// (RFC 6749 section 2.3.1).
func basicAuth(r *http.Request) (id, secret string, ok bool) {
	user, password, ok := r.BasicAuth()
	if !ok {
		return "", "", false
	}
	id, errID := url.QueryUnescape(user)
	secret, errSecret := url.QueryUnescape(password)
	return id, secret, errID == nil && errSecret == nil
}
