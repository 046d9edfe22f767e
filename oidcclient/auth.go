package oidcclient

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/rsa"
	"crypto/tls"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/go-jose/go-jose/v4/jwt"
	"golang.org/x/oauth2"
)

// AuthMethod is a way in which a client authenticates itself to its provider
// (OpenID Connect Core §9, RFC 8705 §2).
type AuthMethod string

// The methods that are spoken here.
const (
	AuthBasic         AuthMethod = "client_secret_basic"
	AuthPost          AuthMethod = "client_secret_post"
	AuthPrivateKeyJWT AuthMethod = "private_key_jwt"
	AuthTLS           AuthMethod = "tls_client_auth"
	AuthNone          AuthMethod = "none" // PKCE protects the code
	// AuthSignedSecret sends a client secret that is a JWT of ours, as Apple wants it:
	// from the team that owns the client id, about that id, to the issuer.
	AuthSignedSecret AuthMethod = "signed_client_secret"
)

// AuthMethods lists the methods.
func AuthMethods() []AuthMethod {
	return []AuthMethod{AuthBasic, AuthPost, AuthPrivateKeyJWT, AuthTLS, AuthNone, AuthSignedSecret}
}

// Authentication is how we authenticate, and with what.
type Authentication struct {
	// Method; "": what there is means and, for secrets, what the provider's
	// metadata list, client_secret_basic first.
	Method AuthMethod
	// Secret of the methods that send one.
	Secret string
	// Key signs assertions and secrets: RSA of 2048 bits or more, P-256, P-384 or Ed25519.
	Key crypto.Signer
	// KeyID is the kid of what it signs; "" leaves kid out.
	KeyID string
	// Team is who a signed secret comes from.
	Team string
	// TokenEndpointAudience addresses assertions to the token endpoint, as
	// providers want it that follow RFC 7523 to the letter. By default they are
	// addressed to the issuer alone, so that one provider cannot use at another
	// what it was sent (draft-ietf-oauth-rfc7523bis §4).
	TokenEndpointAudience bool
	// Certificate is shown to the provider's servers (RFC 8705).
	Certificate *tls.Certificate
}

// assertionLife is short: an assertion is made for one request.
const assertionLife = time.Minute

// complete fills Method in where only one makes sense, and refuses what does not fit together.
func (a *Authentication) complete() error {
	if a.Method == "" {
		switch {
		case a.Certificate != nil:
			a.Method = AuthTLS
		case a.Key != nil:
			a.Method = AuthPrivateKeyJWT
		case a.Secret == "":
			a.Method = AuthNone
		}
	}
	signs := a.Method == AuthPrivateKeyJWT || a.Method == AuthSignedSecret
	sends := a.Method == "" || a.Method == AuthBasic || a.Method == AuthPost
	var errs []error
	bad := func(wrong bool, what string) {
		if wrong {
			errs = append(errs, errors.New("oidcclient: "+what))
		}
	}
	bad(a.Method != "" && !slices.Contains(AuthMethods(), a.Method), fmt.Sprintf("there is no client authentication %q", a.Method))
	bad(sends != (a.Secret != ""), "a client secret belongs to client_secret_basic and client_secret_post, and they need one")
	bad(signs != (a.Key != nil), "a client key belongs to private_key_jwt and signed_client_secret, and they need one")
	bad((a.Method == AuthTLS) != (a.Certificate != nil), "a client certificate belongs to tls_client_auth, which needs one")
	bad((a.Method == AuthSignedSecret) != (a.Team != ""), "a team belongs to signed_client_secret, which needs one")
	if a.Key != nil {
		_, err := signingAlgorithm(a.Key, nil)
		errs = append(errs, err)
	}
	return errors.Join(errs...)
}

// method is the way that is taken at a provider. It is decided once: trying one
// after the other would send a code twice.
func (a *Authentication) method(m metadata) (AuthMethod, error) {
	switch {
	case a.Method != "":
		return a.Method, nil
	case m.AuthMethods == nil || slices.Contains(m.AuthMethods, string(AuthBasic)): // the default of Discovery §3
		return AuthBasic, nil
	case slices.Contains(m.AuthMethods, string(AuthPost)):
		return AuthPost, nil
	}
	return "", unavailable("the token endpoint takes no client secret")
}

// credentials is what one request to the provider carries to say who we are.
type credentials struct {
	basic  bool       // id and secret stand in the Authorization header
	secret string     // for the header or the form; "" if there is none
	form   url.Values // of an assertion
}

// credentials makes those of one request; no two carry the same assertion.
func (p *Provider) credentials(m metadata) (credentials, error) {
	a := &p.cfg.Authentication
	method, err := a.method(m)
	if err != nil {
		return credentials{}, err
	}
	switch method {
	case AuthBasic, AuthPost:
		return credentials{basic: method == AuthBasic, secret: a.Secret}, nil
	case AuthSignedSecret:
		secret, err := p.assertion(m, a.Team, "")
		return credentials{secret: secret}, err
	case AuthTLS, AuthNone: // the certificate is shown by the transport; a public client has nothing to show
	case AuthPrivateKeyJWT:
		text, err := p.assertion(m, p.cfg.ClientID, "client-authentication+jwt")
		return credentials{form: url.Values{
			"client_assertion_type": {"urn:ietf:params:oauth:client-assertion-type:jwt-bearer"}, "client_assertion": {text},
		}}, err
	}
	return credentials{}, nil
}

// assertion signs who we are (RFC 7523 §3).
func (p *Provider) assertion(m metadata, issuer, typ string) (string, error) {
	a := &p.cfg.Authentication
	alg, err := signingAlgorithm(a.Key, m.AuthAlgorithms)
	if err != nil {
		return "", err
	}
	audience := p.cfg.Issuer
	if a.TokenEndpointAudience {
		audience = m.Token
	}
	now := p.cfg.Now()
	options := (&jose.SignerOptions{}).WithHeader("kid", a.KeyID)
	if a.KeyID == "" {
		options = &jose.SignerOptions{}
	}
	if typ != "" {
		options = options.WithType(jose.ContentType(typ))
	}
	signer, err := jose.NewSigner(jose.SigningKey{Algorithm: alg, Key: a.Key}, options)
	if err != nil {
		return "", errors.New("oidcclient: the client key signs nothing")
	}
	claims := map[string]any{ // aud is one string: lists were what the attacks needed
		"iss": issuer, "sub": p.cfg.ClientID, "aud": audience, "jti": random(),
		"iat": now.Unix(), "exp": now.Add(assertionLife).Unix(),
	}
	text, err := jwt.Signed(signer).Claims(claims).Serialize()
	if err != nil {
		return "", errors.New("oidcclient: the client key signs nothing")
	}
	return text, nil
}

// signingAlgorithm is the algorithm that goes with a key. RSA keys have two: the
// one that the provider lists, PS256 first, and RS256 if it lists none.
func signingAlgorithm(key crypto.Signer, listed []string) (jose.SignatureAlgorithm, error) {
	switch public := key.Public().(type) {
	case *ecdsa.PublicKey:
		if alg := curveAlgorithm(public); alg != "" {
			return jose.SignatureAlgorithm(alg), nil
		}
	case ed25519.PublicKey:
		return jose.EdDSA, nil
	case *rsa.PublicKey:
		if public.N.BitLen() < minRSABits {
			break
		}
		if slices.Contains(listed, string(jose.PS256)) {
			return jose.PS256, nil
		}
		return jose.RS256, nil
	}
	return "", errors.New("oidcclient: the client key is neither RSA of 2048 bits, P-256, P-384 nor Ed25519")
}

// style tells oauth2 where id and secret go.
func (c credentials) style() oauth2.AuthStyle {
	if c.basic {
		return oauth2.AuthStyleInHeader
	}
	return oauth2.AuthStyleInParams
}

// options are the parameters of an assertion, for oauth2.
func (c credentials) options() []oauth2.AuthCodeOption {
	var list []oauth2.AuthCodeOption
	for name, values := range c.form {
		list = append(list, oauth2.SetAuthURLParam(name, values[0]))
	}
	return list
}

// apply authenticates a form that oauth2 does not send.
func (c credentials) apply(clientID string, form url.Values, h http.Header) {
	if c.basic { // both form-encoded within the header: RFC 6749 §2.3.1
		r := http.Request{Header: h}
		r.SetBasicAuth(url.QueryEscape(clientID), url.QueryEscape(c.secret))
		return
	}
	form.Set("client_id", clientID)
	if c.secret != "" {
		form.Set("client_secret", c.secret)
	}
	for name, values := range c.form {
		form.Set(name, values[0])
	}
}
