package oidcclient

import (
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
	Authorization string   `json:"authorization_endpoint"`
	Token         string   `json:"token_endpoint"`
	Keys          string   `json:"jwks_uri"`
	UserInfo      string   `json:"userinfo_endpoint"`
	Algorithms    []string `json:"id_token_signing_alg_values_supported"`
	AuthMethods   []string `json:"token_endpoint_auth_methods_supported"`
	SendsIssuer   bool     `json:"authorization_response_iss_parameter_supported"` // RFC 9207 §3
}

// discover fetches the metadata. They must name the very issuer that they were
// asked of (Discovery §4.3).
func (p *Provider) discover(ctx context.Context) (metadata, error) {
	found, err := oidc.NewProvider(oidc.ClientContext(ctx, p.http), p.cfg.Issuer)
	var mismatch *oidc.IssuerMismatchError
	if errors.As(err, &mismatch) {
		return metadata{}, refused("the metadata name another issuer")
	}
	if err != nil {
		return metadata{}, networkError("discovery", err)
	}
	var m metadata
	if err := found.Claims(&m); err != nil {
		return metadata{}, unavailable("discovery: the metadata cannot be read")
	}
	return m, m.check(p.cfg.Issuer)
}

// check refuses endpoints that a provider of that issuer cannot have: secrets
// go there.
func (m metadata) check(issuer string) error {
	u, err := url.Parse(issuer)
	if err != nil {
		return refused("issuer")
	}
	local := isLoopback(u)
	for name, endpoint := range map[string]string{
		"authorization_endpoint": m.Authorization, "token_endpoint": m.Token, "jwks_uri": m.Keys, "userinfo_endpoint": m.UserInfo,
	} {
		if endpoint == "" && name == "userinfo_endpoint" {
			continue
		}
		u, err := url.Parse(endpoint)
		if err != nil || u.Host == "" || u.User != nil || u.Fragment != "" {
			return refused("the metadata's " + name + " is no URL of an endpoint")
		}
		if u.Scheme != "https" && (u.Scheme != "http" || !local || !isLoopback(u)) {
			return refused("the metadata's " + name + " is not https")
		}
	}
	return nil
}

// authStyle is how the token endpoint wants us to authenticate, decided once:
// trying one after the other would send a code twice.
func (m metadata) authStyle(secret string) (oauth2.AuthStyle, error) {
	basic, post := "client_secret_basic", "client_secret_post"
	switch {
	case secret == "":
		return oauth2.AuthStyleInParams, nil
	case m.AuthMethods == nil || slices.Contains(m.AuthMethods, basic): // the default of Discovery §3
		return oauth2.AuthStyleInHeader, nil
	case slices.Contains(m.AuthMethods, post):
		return oauth2.AuthStyleInParams, nil
	}
	return 0, unavailable("the token endpoint takes no client secret")
}

// allowed are the algorithms that an ID token may be signed with.
func (m metadata) allowed(configured []string) []string {
	if m.Algorithms == nil {
		return configured
	}
	return slices.DeleteFunc(slices.Clone(configured), func(a string) bool { return !slices.Contains(m.Algorithms, a) })
}

func (p *Provider) oauth2(m metadata, redirectURI string) (*oauth2.Config, error) {
	style, err := m.authStyle(p.cfg.ClientSecret)
	return &oauth2.Config{
		ClientID: p.cfg.ClientID, ClientSecret: p.cfg.ClientSecret, RedirectURL: redirectURI, Scopes: p.cfg.Scopes,
		Endpoint: oauth2.Endpoint{AuthURL: m.Authorization, TokenURL: m.Token, AuthStyle: style},
	}, err
}
