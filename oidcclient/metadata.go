package oidcclient

import (
	"cmp"
	"context"
	"errors"
	"net/url"
	"slices"
	"time"

	"github.com/coreos/go-oidc/v3/oidc"
	"golang.org/x/oauth2"
)

const (
	metadataFresh = time.Hour
	metadataStale = 24 * time.Hour
)

// metadata is what is used of a provider's metadata (Discovery §3, RFC 8414 §2).
type metadata struct {
	Issuer         string   `json:"issuer"`
	Authorization  string   `json:"authorization_endpoint"`
	Token          string   `json:"token_endpoint"`
	Keys           string   `json:"jwks_uri"`
	UserInfo       string   `json:"userinfo_endpoint"`
	Revocation     string   `json:"revocation_endpoint"`                   // RFC 8414 §2
	EndSession     string   `json:"end_session_endpoint"`                  // RP-Initiated Logout 1.0 §2.1
	Introspection  string   `json:"introspection_endpoint"`                // RFC 8414 §2
	Push           string   `json:"pushed_authorization_request_endpoint"` // RFC 9126 §5
	RequiresPush   bool     `json:"require_pushed_authorization_requests"`
	Algorithms     []string `json:"id_token_signing_alg_values_supported"`
	AuthMethods    []string `json:"token_endpoint_auth_methods_supported"`
	AuthAlgorithms []string `json:"token_endpoint_auth_signing_alg_values_supported"`
	Modes          []string `json:"response_modes_supported"`
	Proofs         []string `json:"dpop_signing_alg_values_supported"`              // RFC 9449 §5.1
	SendsIssuer    bool     `json:"authorization_response_iss_parameter_supported"` // RFC 9207 §3
	Aliases        struct { // of endpoints, for clients that show a certificate (RFC 8705 §5)
		Token    string `json:"token_endpoint"`
		UserInfo string `json:"userinfo_endpoint"`
		Revoke   string `json:"revocation_endpoint"`
		Push     string `json:"pushed_authorization_request_endpoint"`
	} `json:"mtls_endpoint_aliases"`
}

// discover fetches the metadata, or takes them from the configuration. They must
// name the very issuer that they were asked of (Discovery §4.3).
func (p *Provider) discover(ctx context.Context) (metadata, error) {
	var m metadata
	if e := p.cfg.Endpoints; e != nil {
		m = metadata{Authorization: e.Authorization, Token: e.Token, Keys: e.Keys, UserInfo: e.UserInfo, Push: e.Push, Introspection: e.Introspection, Revocation: e.Revocation, EndSession: e.EndSession}
		return m, m.check(p.cfg.Network, p.cfg.OAuth2 == nil)
	}
	ctx = oidc.ClientContext(ctx, p.lookup)
	if p.cfg.TokenIssuer != "" { // not unsafe: compared below
		ctx = oidc.InsecureIssuerURLContext(ctx, p.cfg.TokenIssuer)
	}
	found, err := oidc.NewProvider(ctx, p.cfg.Issuer)
	var mismatch *oidc.IssuerMismatchError
	if errors.As(err, &mismatch) {
		return metadata{}, refused("the metadata name another issuer")
	}
	if err != nil {
		return metadata{}, networkError("discovery", err)
	}
	if err := found.Claims(&m); err != nil {
		return metadata{}, unavailable("discovery: the metadata cannot be read")
	}
	if m.Issuer != cmp.Or(p.cfg.TokenIssuer, p.cfg.Issuer) {
		return metadata{}, refused("the metadata name another issuer")
	}
	if p.cfg.Authentication.Certificate != nil {
		m.Revocation = cmp.Or(m.Aliases.Revoke, m.Revocation)
		m.Token, m.UserInfo, m.Push = cmp.Or(m.Aliases.Token, m.Token), cmp.Or(m.Aliases.UserInfo, m.UserInfo), cmp.Or(m.Aliases.Push, m.Push)
	}
	return m, m.check(p.cfg.Network, true)
}

// check refuses endpoints that such a provider cannot have: secrets go there.
func (m metadata) check(n Network, signs bool) error {
	optional := map[string]bool{"userinfo_endpoint": true, "pushed_authorization_request_endpoint": true, "introspection_endpoint": true, "jwks_uri": !signs, "revocation_endpoint": true, "end_session_endpoint": true}
	for name, endpoint := range map[string]string{
		"authorization_endpoint": m.Authorization, "token_endpoint": m.Token, "jwks_uri": m.Keys, "userinfo_endpoint": m.UserInfo,
		"pushed_authorization_request_endpoint": m.Push, "introspection_endpoint": m.Introspection, "revocation_endpoint": m.Revocation, "end_session_endpoint": m.EndSession,
	} {
		if endpoint == "" && optional[name] {
			continue
		}
		if err := checkEndpoint(name, endpoint, n); err != nil {
			return err
		}
	}
	return nil
}

func checkEndpoint(name, endpoint string, n Network) error {
	u, err := url.Parse(endpoint)
	if err != nil || u.Host == "" || u.User != nil || u.Fragment != "" {
		return refused("the metadata's " + name + " is no URL of an endpoint")
	}
	if !secure(u, n) {
		return refused("the metadata's " + name + " is not https")
	}
	return nil
}

// allowed are the algorithms that an ID token may be signed with.
func (m metadata) allowed(configured []string) []string {
	if m.Algorithms == nil {
		return configured
	}
	return slices.DeleteFunc(slices.Clone(configured), func(a string) bool { return !slices.Contains(m.Algorithms, a) })
}

func (p *Provider) oauth2(m metadata, redirectURI string, us credentials) *oauth2.Config {
	return &oauth2.Config{
		ClientID: p.cfg.ClientID, ClientSecret: us.secret, RedirectURL: redirectURI, Scopes: p.cfg.Scopes,
		Endpoint: oauth2.Endpoint{AuthURL: m.Authorization, TokenURL: m.Token, AuthStyle: us.style()},
	}
}
