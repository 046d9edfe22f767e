package propagation

import (
	"context"
	"crypto/rand"
	"fmt"
	"time"

	"github.com/golang-jwt/jwt/v5"
)

// logoutTTL is how long a logout token is good: two minutes at most (OpenID Connect Back-Channel Logout 1.0 §2.4).
const logoutTTL = 2 * time.Minute

// eventLogout is what a logout token says has happened.
const eventLogout = "http://schemas.openid.net/event/backchannel-logout"

// LogoutTokens makes logout tokens (OpenID Connect Back-Channel Logout 1.0 §2.4). It is safe for concurrent use.
type LogoutTokens struct {
	issuer string
	keys   Source
}

// NewLogoutTokens checks the configuration.
func NewLogoutTokens(issuer string, keys Source) (*LogoutTokens, error) {
	if err := checkIssuer(issuer); err != nil {
		return nil, err
	}
	if keys == nil {
		return nil, fmt.Errorf("%w: no keys", ErrKey)
	}
	return &LogoutTokens{issuer, keys}, nil
}

// Sign tells a client that a session of a subject has ended. It has a type of its own and
// never a nonce, so that nobody takes it for an ID token.
func (t *LogoutTokens) Sign(ctx context.Context, client, subject, session string, now time.Time) (string, error) {
	if client == "" || subject == "" || session == "" || now.IsZero() {
		return "", fmt.Errorf("%w: a logout token names client, subject and session", ErrIncomplete)
	}
	set, err := t.keys.Current(ctx)
	if err != nil {
		return "", err
	}
	return signBy(set.Active(), "logout+jwt", jwt.MapClaims{
		"iss": t.issuer, "aud": client, "sub": subject, "sid": session, "jti": rand.Text(),
		"iat": now.Unix(), "exp": now.Add(logoutTTL).Unix(),
		"events": map[string]any{eventLogout: map[string]any{}},
	})
}
