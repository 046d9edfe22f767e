package rp

import (
	"context"
	"crypto"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/go-jose/go-jose/v4"

	"github.com/stile-auth/stile/flows/dpop"
)

// ErrUnavailable says that a token could not be verified now: the issuer's keys
// cannot be had, or it cannot be found out whether a proof was used before.
var ErrUnavailable = errors.New("rp: cannot verify tokens now")

// Keys are the published keys of the issuer.
type Keys interface {
	// Find returns the public key with that id for that algorithm; nil if there
	// is none. An error says that it could not be found out.
	Find(ctx context.Context, keyID, algorithm string) (crypto.PublicKey, error)
}

// Config says whose tokens are taken, and for what.
type Config struct {
	Issuer   string // "iss", compared exactly. Required
	Audience string // our name in "aud". Required
	Keys     Keys   // of the issuer. Required, unless Introspection is there
	// Introspection asks the issuer about each token, instead of Keys.
	Introspection *Introspection
	// Remember is how many tokens are remembered once they are verified, each no
	// longer than it lives and its key is published. Default: none.
	Remember int
	// Origin is where clients reach us, such as https://payments.bank.example:
	// DPoP proofs name it, and no header of a request can change it. Without it
	// tokens that are bound to a key are refused.
	Origin string
	// Algorithms that tokens may be signed with: of ES256, EdDSA, ES384, PS256
	// and RS256. Default: the first four.
	Algorithms []string
	// Leeway for clocks that differ. Default 5 s, at most a minute.
	Leeway time.Duration
	// Taken remembers used DPoP proofs, as in [dpop.Config]. Default: in this
	// process; several processes behind one name share a store.
	Taken func(ctx context.Context, thumbprint, jti string, expires time.Time) error
	Realm string           // of challenges; default: the host of Audience
	Now   func() time.Time // required
}

const (
	defaultLeeway = 5 * time.Second
	maxLeeway     = time.Minute
	maxToken      = 16 << 10 // bytes
)

// Guard guards resources. It is safe for concurrent use.
type Guard struct {
	cfg        Config
	algorithms []jose.SignatureAlgorithm
	proofs     *dpop.Verifier
	memory     *memory      // nil: nothing is remembered
	http       *http.Client // for Introspection
}

// New checks the configuration and reports every mistake in it. It asks nobody.
func New(cfg Config) (*Guard, error) {
	if cfg.Leeway == 0 {
		cfg.Leeway = defaultLeeway
	}
	if cfg.Algorithms == nil {
		cfg.Algorithms = []string{"ES256", "EdDSA", "ES384", "PS256"}
	}
	if u, err := url.Parse(cfg.Audience); err == nil && cfg.Realm == "" {
		cfg.Realm = u.Host
	}
	if cfg.Taken == nil {
		cfg.Taken = newUsed(cfg.Now).take
	}
	g := &Guard{cfg: cfg}
	for _, a := range cfg.Algorithms {
		g.algorithms = append(g.algorithms, jose.SignatureAlgorithm(a))
	}
	if err := cfg.check(); err != nil {
		return nil, err
	}
	if cfg.Remember > 0 {
		g.memory = newMemory(cfg.Remember)
	}
	if cfg.Introspection != nil {
		g.http = cfg.Introspection.client()
	}
	var err error
	if g.proofs, err = dpop.New(dpop.Config{Now: cfg.Now, Taken: cfg.Taken}); err != nil {
		return nil, fmt.Errorf("rp: %w", err)
	}
	return g, nil
}

func (c Config) check() error {
	var errs []error
	need := func(ok bool, what string) {
		if !ok {
			errs = append(errs, errors.New("rp: "+what))
		}
	}
	need(c.Issuer != "", "Issuer is required")
	need(c.Audience != "", "Audience is required")
	need((c.Keys != nil) != (c.Introspection != nil), "Keys is required, or Introspection in its place")
	need(c.Remember >= 0, "Remember is negative")
	need(c.Now != nil, "Now is required")
	need(c.Leeway >= 0 && c.Leeway <= maxLeeway, "Leeway is out of bounds")
	need(len(c.Algorithms) > 0, "no Algorithms")
	for _, a := range c.Algorithms {
		need(slices.Contains([]string{"ES256", "EdDSA", "ES384", "PS256", "RS256"}, a), fmt.Sprintf("algorithm %q is not supported", a))
	}
	need(!strings.ContainsFunc(c.Realm, notQuotable), "the Realm has characters that no challenge can have")
	if c.Introspection != nil {
		errs = append(errs, c.Introspection.check())
	}
	if c.Origin != "" {
		u, err := url.Parse(c.Origin)
		need(err == nil && (u.Scheme == "https" || u.Scheme == "http") && u.Scheme+"://"+u.Host == c.Origin, "Origin is not an origin such as https://api.example")
	}
	return errors.Join(errs...)
}

// Require lets a request go on to next only with a token that satisfies the
// rule, and answers all others. A rule that cannot be said in a challenge panics:
// rules are written in programs. next finds the token with [From].
func (g *Guard) Require(rule Rule, next http.Handler) http.Handler {
	rule.must()
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		token, err := g.Check(r, rule)
		if err != nil {
			Refuse(w, err)
			return
		}
		next.ServeHTTP(w, r.WithContext(With(r.Context(), token)))
	})
}

// Check returns the verified token of a request if it satisfies the rule. The
// error is a *[Refusal], which says how to answer.
func (g *Guard) Check(r *http.Request, rule Rule) (Token, error) {
	scheme, text, refused := credentials(r)
	if refused != nil {
		return Token{}, g.refuse(refused, rule)
	}
	token, err := g.token(r.Context(), text)
	if err == nil {
		err = g.possessed(r, scheme, text, token)
	}
	if err != nil {
		return Token{}, g.refuse(refusalOf(scheme, err), rule)
	}
	if refused := rule.of(scheme, token, g.cfg.Now()); refused != nil {
		return Token{}, g.refuse(refused, rule)
	}
	return token, nil
}

// credentials finds the one token of a request (RFC 6750 §2.1). The ways of §2.2
// and §2.3, in a form or in the query, are not offered.
func credentials(r *http.Request) (scheme, token string, refused *Refusal) {
	lines := r.Header.Values("Authorization")
	if len(lines) > 1 {
		return "", "", malformed("There is more than one Authorization header.")
	}
	if q := r.URL.RawQuery; q != "" && strings.ContainsAny(q, "%_") && r.URL.Query().Has("access_token") {
		return "", "", malformed("A token does not belong into the query.")
	}
	none := &Refusal{Status: http.StatusUnauthorized}
	if len(lines) == 0 {
		return "", "", none
	}
	word, token, _ := strings.Cut(lines[0], " ")
	for _, s := range []string{schemeBearer, schemeDPoP} {
		if strings.EqualFold(word, s) {
			scheme = s
		}
	}
	if scheme == "" {
		return "", "", none
	}
	if token = strings.TrimLeft(token, " "); token == "" || len(token) > maxToken || strings.ContainsAny(token, " ,\t") {
		return "", "", malformed("The Authorization header is malformed.")
	}
	return scheme, token, nil
}

// possessed checks that who presents a bound token has its key (RFC 9449 §7.1),
// and that no bound token is presented as if it were not (§7.2).
func (g *Guard) possessed(r *http.Request, scheme, text string, t Token) error {
	switch {
	case t.Key == "" && scheme == schemeBearer:
		return nil
	case t.Key == "" || scheme != schemeDPoP || g.cfg.Origin == "":
		return errToken
	}
	key, err := g.proofs.Verify(r.Context(), r.Header.Values("DPoP"), r.Method, g.cfg.Origin+path(r), text)
	switch {
	case errors.Is(err, dpop.ErrProof):
		return errProof
	case err != nil:
		return fmt.Errorf("%w: %w", ErrUnavailable, err)
	case key != t.Key: // both are hashes of public keys: nothing to learn from time
		return errProof
	}
	return nil
}

// path is that of the request as it came in: a router may have taken its prefix off.
func path(r *http.Request) string {
	if p, _, _ := strings.Cut(r.RequestURI, "?"); strings.HasPrefix(p, "/") {
		return p
	}
	return r.URL.EscapedPath()
}

type contextKey struct{}

// ErrNoToken says that a request did not come through a [Guard].
var ErrNoToken = errors.New("rp: no verified token")

// With returns a context that carries a verified token.
func With(ctx context.Context, t Token) context.Context {
	return context.WithValue(ctx, contextKey{}, t)
}

// From returns the token that [Guard.Require] has verified, or [ErrNoToken].
func From(ctx context.Context) (Token, error) {
	t, ok := ctx.Value(contextKey{}).(Token)
	if !ok {
		return Token{}, ErrNoToken
	}
	return t, nil
}
