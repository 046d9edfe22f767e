package oidctest

import (
	"crypto"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/url"
	"slices"
	"strings"
	"time"
)

// Config describes a provider. Every field but Now has a default, so
// Config{Now: time.Now} is a working provider with DefaultClient and
// DefaultUser.
type Config struct {
	// Addr is the TCP address to listen on; it must be a loopback address.
	// Default "127.0.0.1:0", which takes a free port.
	Addr string
	// Now tells the time to everything that the provider issues or checks.
	// Required; it is called from many goroutines.
	Now func() time.Time
	// Clients are the registered relying parties. Default: DefaultClient.
	Clients []Client
	// Users are those who can sign in. Default: DefaultUser.
	Users []User
	// AccessTokenTTL is the life of an access token. Default 10 minutes.
	AccessTokenTTL time.Duration
	// IDTokenTTL is the life of an ID token. Default 5 minutes.
	IDTokenTTL time.Duration
	// CodeTTL is the life of an authorization code. Default 60 seconds.
	CodeTTL time.Duration
	// Alg is the JWS algorithm of the ID tokens: ES256 (the default), ES384,
	// RS256, PS256 or EdDSA (Ed25519).
	Alg string
	// TLS, if set, makes it speak TLS with that configuration, on loopback too.
	TLS *tls.Config
	// PAR takes pushed authorization requests (RFC 9126); RequirePAR takes no others.
	PAR, RequirePAR bool
	// DPoP wants token requests with a DPoP proof (RFC 9449), and binds tokens; without
	// it tokens are bound only for who brings one. DPoPNonce wants a nonce in each.
	DPoP, DPoPNonce bool
	// TokenInfo is how it describes access tokens. Default: that of Shape, or with the
	// members aud, sub and exp, to whoever has the token in the parameter access_token.
	TokenInfo *TokenInfo
	// Shape makes it look like another provider; nil: it looks like itself.
	Shape *Shape
}

// Client is a registered relying party.
type Client struct {
	// ID is the client_id.
	ID string
	// Name is shown on the consent page. Default: the ID.
	Name string
	// Secret authenticates a confidential client; "" makes a public client,
	// which must use PKCE.
	Secret string
	// Auth is the one way to authenticate: client_secret_basic, client_secret_post,
	// none, private_key_jwt, tls_client_auth, or signed_client_secret, which is
	// Apple's. Default: any of the first three that Secret fits.
	Auth string
	// Key verifies what the client signs, KeyID is its kid, and Team is who a
	// signed secret comes from.
	Key   crypto.PublicKey
	KeyID string
	Team  string
	// TokenEndpointAudience wants assertions addressed to the token endpoint.
	TokenEndpointAudience bool
	// CertificateSubject is the name in the certificate of tls_client_auth (RFC 4514).
	CertificateSubject string
	// RedirectURIs are matched as exact strings, except that an http URI of a
	// loopback IP literal matches with any port (RFC 8252 section 7.3).
	// Allowed are https, http on loopback, and private-use schemes that
	// contain a dot (RFC 8252 section 7.1).
	RedirectURIs []string
	// PostLogoutRedirectURIs are matched like RedirectURIs.
	PostLogoutRedirectURIs []string
	// BackChannelLogoutURI is told when somebody whom the client knows signs out
	// (OpenID Connect Back-Channel Logout 1.0); "": nothing is.
	BackChannelLogoutURI string
	// AllowedScopes are the scopes that the client may ask for. Default:
	// openid, profile, email, offline_access.
	AllowedScopes []string
}

// User is somebody who can sign in.
type User struct {
	// Username and Password are what the login page asks for. A password has
	// at most 72 bytes.
	Username, Password string
	// Subject is the sub claim. Default: the Username.
	Subject string
	// Name is released by the scope profile.
	Name string
	// Email and EmailVerified are released by the scope email.
	Email         string
	EmailVerified bool
	// ACR and AMR are what the provider claims to have done at the login.
	// Default AMR: pwd. Without ACR the claim is absent.
	ACR string
	AMR []string
}

// DefaultClient is the public client of a Config without Clients. Its ID is
// "app"; it takes its answers on a loopback port or a private-use scheme.
func DefaultClient() Client {
	return Client{
		ID:           "app",
		Name:         "Example App",
		RedirectURIs: []string{"http://127.0.0.1/callback", "com.example.app:/oauth2"},
	}
}

// DefaultUser is the user of a Config without Users: alice, with the password
// "correct horse".
func DefaultUser() User {
	return User{
		Username: "alice", Password: "correct horse", Subject: "248289761001",
		Name: "Alice Example", Email: "alice@example.test", EmailVerified: true,
		ACR: "urn:example:acr:password", AMR: []string{"pwd"},
	}
}

func algorithms() []string {
	return []string{"ES256", "ES384", "RS256", "PS256", "EdDSA", "RS384", "RS512", "PS384", "PS512", "ES512"}
}

// complete returns a copy with the defaults filled in, sharing no slice with
// the caller.
func (c Config) complete() Config {
	orDefault(&c.Addr, "127.0.0.1:0")
	orDefault(&c.Alg, "ES256")
	orDefault(&c.AccessTokenTTL, 10*time.Minute)
	orDefault(&c.IDTokenTTL, 5*time.Minute)
	orDefault(&c.CodeTTL, 60*time.Second)
	if c.TokenInfo == nil && c.Shape != nil {
		c.TokenInfo = c.Shape.TokenInfo
	}
	if c.TokenInfo == nil {
		c.TokenInfo = &TokenInfo{Parameter: "access_token", Good: map[string]any{"aud": "{client}", "sub": "{subject}", "exp": "{#expires}"}}
	}
	if len(c.Clients) == 0 {
		c.Clients = []Client{DefaultClient()}
	}
	if len(c.Users) == 0 {
		c.Users = []User{DefaultUser()}
	}
	c.Clients, c.Users = slices.Clone(c.Clients), slices.Clone(c.Users)
	for i := range c.Clients {
		cl := &c.Clients[i]
		orDefault(&cl.Name, cl.ID)
		if len(cl.AllowedScopes) == 0 {
			cl.AllowedScopes = []string{"openid", "profile", "email", "offline_access"}
		}
	}
	for i := range c.Users {
		u := &c.Users[i]
		orDefault(&u.Subject, u.Username)
		if len(u.AMR) == 0 {
			u.AMR = []string{"pwd"}
		}
	}
	return c
}

func orDefault[T comparable](field *T, value T) {
	var zero T
	if *field == zero {
		*field = value
	}
}

// validate reports everything that is wrong with a completed configuration.
func (c Config) validate() error {
	var problems []error
	bad := func(format string, args ...any) {
		problems = append(problems, fmt.Errorf("oidctest: "+format, args...))
	}
	if c.Now == nil {
		bad("Now is required")
	}
	if !loopbackAddress(c.Addr) {
		bad("%q is not a loopback address", c.Addr)
	}
	if !slices.Contains(algorithms(), c.Alg) {
		bad("algorithm %q is not supported", c.Alg)
	}
	if c.RequirePAR && !c.PAR || c.DPoPNonce && !c.DPoP {
		bad("RequirePAR needs PAR, and DPoPNonce needs DPoP")
	}
	if c.AccessTokenTTL < 0 || c.IDTokenTTL < 0 || c.CodeTTL < 0 {
		bad("a lifetime is negative")
	}
	ids, names, subjects := map[string]bool{}, map[string]bool{}, map[string]bool{}
	for _, cl := range c.Clients {
		if cl.ID == "" || ids[cl.ID] {
			bad("client id %q is empty or used twice", cl.ID)
		}
		ids[cl.ID] = true
		for _, uri := range slices.Concat(cl.RedirectURIs, cl.PostLogoutRedirectURIs) {
			if err := checkRegistration(uri); err != nil {
				bad("client %q: %w", cl.ID, err)
			}
		}
	}
	for _, u := range c.Users {
		if u.Username == "" || names[u.Username] || subjects[u.Subject] {
			bad("user %q: name or subject is empty or used twice", u.Username)
		}
		names[u.Username], subjects[u.Subject] = true, true
		if u.Password == "" || len(u.Password) > 72 {
			bad("user %q: a password has 1 to 72 bytes", u.Username)
		}
	}
	return errors.Join(problems...)
}

func loopbackAddress(addr string) bool {
	host, _, err := net.SplitHostPort(addr)
	if err != nil {
		return false
	}
	ip := net.ParseIP(host)
	return ip != nil && ip.IsLoopback()
}

// checkRegistration says whether a redirect URI may be registered at all
// (RFC 6749 section 3.1.2, RFC 8252 sections 7 and 8.4).
func checkRegistration(uri string) error {
	u, err := url.Parse(uri)
	if err != nil {
		return fmt.Errorf("redirect URI %q: %w", uri, err)
	}
	host := u.Hostname()
	ip := net.ParseIP(host)
	switch {
	case strings.Contains(uri, "#") || u.User != nil:
		return fmt.Errorf("redirect URI %q has a fragment or user information", uri)
	case u.Scheme == "https" && host != "":
		return nil
	case u.Scheme == "http" && (host == "localhost" || ip != nil && ip.IsLoopback()):
		return nil
	case strings.Contains(u.Scheme, ".") && u.Opaque == "":
		return nil
	}
	return fmt.Errorf("redirect URI %q is neither https, loopback http nor a private-use scheme with a dot", uri)
}

// client finds a registered client; nil if there is none.
func (c Config) client(id string) *Client {
	for i := range c.Clients {
		if c.Clients[i].ID == id {
			return &c.Clients[i]
		}
	}
	return nil
}

// scopes is every scope that some client may ask for, openid first.
func (c Config) scopes() []string {
	all := []string{"openid"}
	for _, cl := range c.Clients {
		for _, s := range cl.AllowedScopes {
			if !slices.Contains(all, s) {
				all = append(all, s)
			}
		}
	}
	return all
}

// acrValues is every authentication context class that some user reaches.
func (c Config) acrValues() []string {
	all := []string{}
	for _, u := range c.Users {
		if u.ACR != "" && !slices.Contains(all, u.ACR) {
			all = append(all, u.ACR)
		}
	}
	return all
}
