package propagation

import (
	"context"
	"crypto/rand"
	"fmt"
	"strings"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"github.com/stile-auth/stile/flows"
)

// idTokenTTL is how long an ID token is good: its relying party checks it at once.
const idTokenTTL = 5 * time.Minute

// IDTokens makes ID tokens (OpenID Connect Core 1.0 §2) for relying parties: the
// audience is the client. It is safe for concurrent use.
type IDTokens struct {
	issuer string
	keys   Source
}

var _ flows.Propagator = (*IDTokens)(nil)

// NewIDTokens checks the configuration.
func NewIDTokens(issuer string, keys Source) (*IDTokens, error) {
	if err := checkIssuer(issuer); err != nil {
		return nil, err
	}
	if keys == nil {
		return nil, fmt.Errorf("%w: no keys", ErrKey)
	}
	return &IDTokens{issuer, keys}, nil
}

// Propagate signs an ID token. It refuses what [BearerJWT.Propagate] refuses.
func (t *IDTokens) Propagate(ctx context.Context, id flows.Identity) (flows.Grant, error) {
	if err := checkIdentity(id); err != nil {
		return flows.Grant{}, err
	}
	expires := id.Now.Add(idTokenTTL).Truncate(time.Second)
	claims, err := mapped(id)
	if err != nil {
		return flows.Grant{}, err
	}
	claims["iss"] = t.issuer
	claims["sub"] = id.Subject
	claims["aud"] = id.Audience
	claims["iat"] = id.Now.Unix()
	claims["exp"] = expires.Unix()
	claims["auth_time"] = id.AuthTime.Unix()
	claims["acr"] = id.ACR
	claims["amr"] = id.AMR
	claims["sid"] = id.Session
	if id.Nonce != "" {
		claims["nonce"] = id.Nonce
	}
	set, err := t.keys.Current(ctx)
	if err != nil {
		return flows.Grant{}, err
	}
	if id.Access != "" {
		claims["at_hash"] = set.Active().method.half(id.Access)
	}
	text, err := signBy(set.Active(), "JWT", claims)
	return flows.Grant{Type: flows.IDToken, Token: text, Expires: expires.UTC()}, err
}

// ClientSubject goes before the id of a client in the "sub" of a token that it gets for
// itself: no account's subject begins so, and no client can pass for a person by its name
// (RFC 9700 §4.15).
const ClientSubject = "client:"

// ClientTokens makes access tokens (RFC 9068) for clients that act for themselves: the
// subject is the client (§2.2), and nothing is said of a person. It is safe for concurrent use.
type ClientTokens struct{ *BearerJWT }

var _ flows.Propagator = ClientTokens{}

// Propagate signs a token for one client.
func (t ClientTokens) Propagate(ctx context.Context, id flows.Identity) (flows.Grant, error) {
	if id.Client == "" || id.Subject != id.Client || id.Audience == "" || id.Now.IsZero() ||
		id.Session != "" || id.ACR != "" || len(id.AMR) > 0 || !id.AuthTime.IsZero() || len(id.Claims) > 0 {
		return flows.Grant{}, fmt.Errorf("%w: a client alone has a token of its own", ErrIncomplete)
	}
	if err := checkThumbprint(id.Key); err != nil {
		return flows.Grant{}, err
	}
	ttl, err := t.lifetime(id)
	if err != nil {
		return flows.Grant{}, err
	}
	expires := id.Now.Add(ttl).Truncate(time.Second)
	claims := jwt.MapClaims{
		"iss": t.cfg.Issuer, "sub": ClientSubject + id.Client, "client_id": id.Client, "aud": id.Audience,
		"iat": id.Now.Unix(), "exp": expires.Unix(), "jti": rand.Text(),
	}
	bind(claims, id)
	return t.grant(ctx, claims, id, expires)
}

// bind says what the token is good for, and by whose key.
func bind(claims jwt.MapClaims, id flows.Identity) {
	if len(id.Scope) > 0 {
		claims["scope"] = strings.Join(id.Scope, " ") // RFC 8693 §4.2
	}
	if id.Key != "" {
		claims["cnf"] = map[string]string{"jkt": id.Key} // RFC 9449 §6.1
	}
}
