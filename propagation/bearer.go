package propagation

import (
	"context"
	"crypto/rand"
	"encoding/base64"
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"github.com/stile-auth/stile/flows"
)

// TypeBearerJWT is the name of [BearerJWT] in definitions and grants.
const TypeBearerJWT = "bearer_jwt"

// Schemes to present a token with.
const (
	schemeBearer = "Bearer" // RFC 6750
	schemeDPoP   = "DPoP"   // RFC 9449 §7.1
)

// Errors of [BearerJWT.Propagate]. Both mean that nothing was signed.
var (
	ErrIncomplete = errors.New("propagation: the identity is incomplete")
	ErrReserved   = errors.New("propagation: a mapped claim has a reserved name")
)

// BearerConfig is what a [BearerJWT] needs.
type BearerConfig struct {
	Issuer     string        // "iss": an http or https origin without a closing slash
	Keys       Source        // the active one signs
	DefaultTTL time.Duration // of tokens whose target names none; default 5 minutes
	MaxTTL     time.Duration // of any token; default 1 hour
}

// BearerJWT makes JWT access tokens (RFC 9068). It is safe for concurrent use.
type BearerJWT struct {
	cfg BearerConfig
}

var _ flows.Propagator = (*BearerJWT)(nil)

// NewBearerJWT checks the configuration.
func NewBearerJWT(cfg BearerConfig) (*BearerJWT, error) {
	if err := checkIssuer(cfg.Issuer); err != nil {
		return nil, err
	}
	if cfg.Keys == nil {
		return nil, fmt.Errorf("%w: no keys", ErrKey)
	}
	if cfg.DefaultTTL == 0 {
		cfg.DefaultTTL = 5 * time.Minute
	}
	if cfg.MaxTTL == 0 {
		cfg.MaxTTL = time.Hour
	}
	if cfg.DefaultTTL < time.Second || cfg.DefaultTTL > cfg.MaxTTL {
		return nil, fmt.Errorf("propagation: the default lifetime %v is not between 1s and the longest, %v", cfg.DefaultTTL, cfg.MaxTTL)
	}
	return &BearerJWT{cfg: cfg}, nil
}

// checkIssuer accepts an origin in the one spelling that relying parties
// compare with: scheme, host, and nothing behind it.
func checkIssuer(issuer string) error {
	u, err := url.Parse(issuer)
	if err != nil || (u.Scheme != "https" && u.Scheme != "http") || u.Hostname() == "" || u.Scheme+"://"+strings.ToLower(u.Host) != issuer {
		return fmt.Errorf("propagation: the issuer %q is not an origin such as https://auth.example", issuer)
	}
	return nil
}

// Propagate signs a token for one identity. An identity without subject,
// client, session, audience, acr, amr or authentication time is
// [ErrIncomplete]; mapped claims with a reserved name are [ErrReserved]; a
// lifetime above the longest is refused, not shortened. A token for an
// identity with a key is bound to it (RFC 9449 §6.1).
func (b *BearerJWT) Propagate(ctx context.Context, id flows.Identity) (flows.Grant, error) {
	if err := checkIdentity(id); err != nil {
		return flows.Grant{}, err
	}
	ttl, err := b.lifetime(id)
	if err != nil {
		return flows.Grant{}, err
	}
	expires := id.Now.Add(ttl).Truncate(time.Second)
	claims, err := b.claims(id, expires)
	if err != nil {
		return flows.Grant{}, err
	}
	return b.grant(ctx, claims, id, expires)
}

func (b *BearerJWT) grant(ctx context.Context, claims jwt.MapClaims, id flows.Identity, expires time.Time) (flows.Grant, error) {
	text, err := sign(ctx, b.cfg.Keys, "at+jwt", claims) // RFC 9068 §2.1
	if err != nil {
		return flows.Grant{}, err
	}
	grant := flows.Grant{Type: TypeBearerJWT, Token: text, Scheme: schemeBearer, Expires: expires.UTC()}
	if id.Key != "" {
		grant.Scheme = schemeDPoP
	}
	return grant, nil
}

// sign signs claims with the key that is active now.
func sign(ctx context.Context, keys Source, typ string, claims jwt.MapClaims) (string, error) {
	set, err := keys.Current(ctx)
	if err != nil {
		return "", err
	}
	return signBy(set.Active(), typ, claims)
}

func signBy(key *Key, typ string, claims jwt.MapClaims) (string, error) {
	token := jwt.NewWithClaims(key.method, claims)
	token.Header["typ"] = typ
	token.Header["kid"] = key.ID()
	text, err := token.SignedString(key.signer)
	if err != nil {
		return "", fmt.Errorf("propagation: sign: %w", err)
	}
	return text, nil
}

func (b *BearerJWT) lifetime(id flows.Identity) (time.Duration, error) {
	ttl := id.TTL
	switch {
	case ttl == 0:
		ttl = b.cfg.DefaultTTL
	case ttl < time.Second || ttl > b.cfg.MaxTTL:
		return 0, fmt.Errorf("propagation: the lifetime %v is not between 1s and the longest, %v", ttl, b.cfg.MaxTTL)
	}
	if id.Longest > 0 && id.Longest < ttl {
		ttl = max(id.Longest, time.Second)
	}
	return ttl, nil
}

// checkIdentity refuses an identity that does not say everything. Without
// these checks a mistake elsewhere would become a token that says less than
// relying parties read into it.
func checkIdentity(id flows.Identity) error {
	missing := func(what string) error { return fmt.Errorf("%w: no %s", ErrIncomplete, what) }
	switch {
	case id.Subject == "":
		return missing("subject")
	case id.Client == "":
		return missing("client")
	case id.Session == "":
		return missing("session")
	case id.Audience == "":
		return missing("audience")
	case id.ACR == "":
		return missing("acr")
	case len(id.AMR) == 0 || slices.Contains(id.AMR, ""):
		return missing("amr")
	case id.AuthTime.IsZero() || id.AuthTime.Unix() <= 0:
		return missing("authentication time")
	case id.Now.IsZero():
		return missing("time")
	case id.AuthTime.After(id.Now):
		return fmt.Errorf("%w: the authentication time lies ahead", ErrIncomplete)
	case id.Subject == id.Client, strings.HasPrefix(id.Subject, ClientSubject): // RFC 9068 §5: such a token says that the client acts for itself
		return fmt.Errorf("%w: the subject is a client", ErrIncomplete)
	}
	return checkThumbprint(id.Key)
}

// checkThumbprint accepts "" and what RFC 7638 makes of SHA-256.
func checkThumbprint(key string) error {
	if key == "" {
		return nil
	}
	sum, err := base64.RawURLEncoding.Strict().DecodeString(key)
	if err != nil || len(sum) != 32 || len(key) != 43 {
		return fmt.Errorf("%w: the key is not a thumbprint", ErrIncomplete)
	}
	return nil
}

func (b *BearerJWT) claims(id flows.Identity, expires time.Time) (jwt.MapClaims, error) {
	claims, err := mapped(id)
	if err != nil {
		return nil, err
	}
	claims["iss"] = b.cfg.Issuer
	claims["sub"] = id.Subject
	claims["aud"] = id.Audience
	claims["iat"] = id.Now.Unix()
	claims["exp"] = expires.Unix()
	claims["jti"] = rand.Text() // at least 128 random bits
	claims["client_id"] = id.Client
	claims["sid"] = id.Session
	claims["auth_time"] = id.AuthTime.Unix()
	claims["acr"] = id.ACR
	claims["amr"] = id.AMR
	bind(claims, id)
	if len(id.Approved) > 0 {
		claims["authorization_details"] = approved(id.Approved)
	}
	return claims, nil
}

// mapped is the claims that the target maps.
func mapped(id flows.Identity) (jwt.MapClaims, error) {
	claims := make(jwt.MapClaims, len(id.Claims)+13)
	for name, value := range id.Claims {
		if Reserved(name) {
			return nil, fmt.Errorf("%w: %q", ErrReserved, name)
		}
		if name == "" || value == nil {
			return nil, fmt.Errorf("%w: the mapped claim %q has no value", ErrIncomplete, name)
		}
		claims[name] = value
	}
	return claims, nil
}

// TypeApproval is the type of the authorization details (RFC 9396 §2) that say
// what somebody has signed.
const TypeApproval = "transaction_approval"

type approvedDetails struct {
	Type string `json:"type"`
	flows.Approval
}

// approved says what was approved as RFC 9396 §9.1 has it in access tokens.
func approved(all []flows.Approval) []approvedDetails {
	out := make([]approvedDetails, len(all))
	for i, a := range all {
		out[i] = approvedDetails{TypeApproval, a}
	}
	return out
}

// Reserved reports whether a mapped claim must not have that name: because
// Stile writes the claim, or because it would change what a token means. Letter
// case and its Unicode foldings make no difference, since there are parsers
// that read "Sub" as "sub".
func Reserved(name string) bool {
	return slices.ContainsFunc(reservedClaims(), func(r string) bool { return strings.EqualFold(r, name) })
}

func reservedClaims() []string {
	return []string{
		"iss", "sub", "aud", "exp", "nbf", "iat", "jti", "client_id", "sid", "acr", "amr", "auth_time",
		"cnf", "typ", "azp", "nonce", "at_hash", "c_hash", "events", "scope", "act", "may_act", "authorization_details",
	}
}
