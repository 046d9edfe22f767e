package oidctest

import (
	"crypto/x509"
	"net/http"
	"net/url"
	"slices"
	"time"

	"github.com/golang-jwt/jwt/v5"
)

// authMethods are the ways in which the clients authenticate at /token, /par and
// /revoke (OpenID Connect Core section 9, RFC 8705 section 2).
func (c Config) authMethods() []string {
	all := []string{"client_secret_basic", "client_secret_post", "none"}
	for _, cl := range c.Clients {
		if cl.Auth != "" && !slices.Contains(all, cl.Auth) {
			all = append(all, cl.Auth)
		}
	}
	return all
}

// assertionAlgorithms are those of client assertions, as far as anything is signed here.
func assertionAlgorithms() []string { return []string{"ES256", "ES384", "RS256", "PS256", "EdDSA"} }

const (
	maxAssertionAge    = 5 * time.Minute
	maxSignedSecretAge = 183 * 24 * time.Hour
	assertionType      = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
)

// authenticate finds out which client sends a form (RFC 6749 section 2.3), in the
// one way that it is registered with. A public client only names itself.
func (p *Provider) authenticate(r *http.Request, in params) (*Client, *oauthError) {
	id, secret := in.get("client_id"), in.get("client_secret")
	way := "client_secret_post"
	if r.Header.Get("Authorization") != "" {
		way = "client_secret_basic"
		basicID, basicSecret, ok := basicAuth(r)
		switch {
		case !ok:
			return nil, invalidClient("the Authorization header is not valid Basic authentication")
		case secret != "" || in.get("client_assertion") != "":
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
	if client.Auth != "" && client.Auth != "client_secret_basic" && client.Auth != "client_secret_post" && client.Auth != "none" {
		return p.authenticateByKey(r, in, client, secret)
	}
	wrongWay := client.Auth != "" && client.Secret != "" && client.Auth != way
	if wrongWay || in.get("client_assertion") != "" || !sameSecret(secret, client.Secret) {
		return nil, invalidClient("the client is unknown or its secret is wrong")
	}
	return client, nil
}

// authenticateByKey is the ways without a shared secret.
func (p *Provider) authenticateByKey(r *http.Request, in params, client *Client, secret string) (*Client, *oauthError) {
	assertion := in.get("client_assertion")
	ok := false
	switch client.Auth {
	case "private_key_jwt":
		ok = secret == "" && in.get("client_assertion_type") == assertionType && p.assertion(assertion, client, client.ID, maxAssertionAge, true)
	case "signed_client_secret":
		ok = assertion == "" && p.assertion(secret, client, client.Team, maxSignedSecretAge, false)
	case "tls_client_auth":
		ok = secret == "" && assertion == "" && shows(r, client.CertificateSubject)
	}
	if !ok {
		return nil, invalidClient("the client is unknown or its proof is wrong")
	}
	return client, nil
}

// assertion checks a JWT of a client (RFC 7523 section 3): signed by the key that is
// registered, for this issuer and nobody else, not for long, and, if once, not seen before.
func (p *Provider) assertion(text string, client *Client, from string, life time.Duration, once bool) bool {
	now := p.cfg.Now()
	parser := jwt.NewParser(jwt.WithValidMethods(assertionAlgorithms()), jwt.WithIssuer(from), jwt.WithSubject(client.ID),
		jwt.WithExpirationRequired(), jwt.WithIssuedAt(), jwt.WithTimeFunc(func() time.Time { return now }))
	claims := jwt.MapClaims{}
	token, err := parser.ParseWithClaims(text, claims, func(t *jwt.Token) (any, error) { return client.Key, nil })
	if err != nil || token.Header["kid"] != any(client.KeyID) && client.KeyID != "" {
		return false
	}
	if typ, there := token.Header["typ"]; there && typ != "client-authentication+jwt" && typ != "JWT" {
		return false
	}
	audience := p.issuer
	if client.TokenEndpointAudience {
		audience = p.address(EndpointToken)
	}
	expires, err := claims.GetExpirationTime()
	if err != nil || claims["aud"] != any(audience) || expires.Sub(now) > life { // one string: draft-ietf-oauth-rfc7523bis section 4
		return false
	}
	id, _ := claims["jti"].(string)
	return !once || id != "" && p.state.takeOnce("assertion "+id)
}

// shows says whether the client's certificate, which the TLS server has verified,
// is in that name (RFC 8705 section 2.1).
func shows(r *http.Request, subject string) bool {
	return r.TLS != nil && len(r.TLS.VerifiedChains) > 0 && commonName(r.TLS.PeerCertificates[0]) == subject && subject != ""
}

func commonName(c *x509.Certificate) string { return c.Subject.String() }

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
