package oidctest

import (
	"encoding/json"
	"maps"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strings"
)

// Shape makes the provider look like another one from outside: under its
// addresses, with its metadata and its ways. [Provider.Transport] leads to it.
type Shape struct {
	// Issuer is the issuer identifier.
	Issuer string `json:"issuer"`
	// TokenIssuer is the issuer that ID tokens and metadata name instead; metadata
	// as it stands, ID tokens with Tenant for {tenantid}.
	TokenIssuer string `json:"token_issuer"`
	Tenant      string `json:"tenant"`
	// KeyIssuer is what published keys say of whose tokens they sign; "": nothing.
	KeyIssuer string `json:"key_issuer"`
	// Endpoints are addresses by the names of this package: authorize, token,
	// jwks, userinfo, par, revoke, introspect, tokeninfo, logout.
	Endpoints map[string]string `json:"endpoints"`
	// Metadata are what discovery says besides; nil: there is no discovery.
	Metadata map[string]any `json:"metadata"`
	// OAuth2 knows no scope openid and makes no ID tokens.
	OAuth2 bool `json:"oauth2"`
	// User is what UserInfo says in place of OpenID Connect's claims: strings may
	// hold {subject}, {username}, {name} and {email}; "{#subject}" is a number.
	User map[string]any `json:"user"`
	// More are answers to whoever has an access token, by their addresses; strings in
	// them as in User.
	More map[string]any `json:"more"`
	// TokenInfo is how it describes access tokens; nil: as this package does.
	TokenInfo *TokenInfo `json:"token_info"`
	// Claims are set in ID tokens, and left out where they are null.
	Claims map[string]any `json:"claims"`
	// FirstTime posts the parameter user, with the name, at the first consent only.
	FirstTime bool `json:"first_time"`
	// FormPostFor are scopes that only response_mode form_post may ask for.
	FormPostFor []string `json:"form_post_for"`
	// SpentCode is the error code for a code that is no good, answered with 200.
	SpentCode string `json:"spent_code"`
	// TokenForms answers token requests as a form to who does not ask for JSON.
	TokenForms bool `json:"token_forms"`
}

// paths are where this package's own endpoints are.
func paths() map[string]string {
	return map[string]string{
		EndpointAuthorize: "/authorize", EndpointToken: "/token", EndpointJWKS: "/jwks", EndpointUserInfo: "/userinfo",
		EndpointPAR: "/par", EndpointRevoke: "/revoke", EndpointIntrospect: "/introspect", EndpointTokenInfo: "/tokeninfo", EndpointLogout: "/logout",
	}
}

// address is the URL of an endpoint.
func (p *Provider) address(endpoint string) string {
	if s := p.cfg.Shape; s != nil && s.Endpoints[endpoint] != "" {
		return s.Endpoints[endpoint]
	}
	return p.issuer + paths()[endpoint]
}

// reshape finds this package's own path of a request that comes under another's address.
func (p *Provider) reshape(r *http.Request) {
	s := p.cfg.Shape
	if s == nil {
		return
	}
	if s.Metadata != nil && r.URL.Path == pathOf(s.Issuer)+"/.well-known/openid-configuration" {
		r.URL.Path = "/.well-known/openid-configuration"
		return
	}
	for address := range s.More {
		if u, err := url.Parse(address); err == nil && u.Host == r.Host && u.Path == r.URL.Path {
			r.URL.Path, r.URL.RawQuery = paths()[EndpointUserInfo], url.Values{"more": {address}}.Encode()
			return
		}
	}
	for endpoint, address := range s.Endpoints {
		if u, err := url.Parse(address); err == nil && u.Host == r.Host && u.Path == r.URL.Path {
			r.URL.Path = paths()[endpoint]
			return
		}
	}
}

func pathOf(issuer string) string {
	u, err := url.Parse(issuer)
	if err != nil {
		return ""
	}
	return strings.TrimSuffix(u.Path, "/")
}

// shaped changes metadata to those of the shape.
func (p *Provider) shaped(own map[string]any) map[string]any {
	s := p.cfg.Shape
	if s == nil {
		return own
	}
	m := maps.Clone(s.Metadata)
	for _, name := range []string{"id_token_signing_alg_values_supported", "authorization_response_iss_parameter_supported"} {
		if _, ok := m[name]; !ok && name[0] == 'i' {
			m[name] = own[name]
		}
	}
	m["issuer"] = p.issuer
	if s.TokenIssuer != "" {
		m["issuer"] = s.TokenIssuer
	}
	names := map[string]string{
		EndpointAuthorize: "authorization_endpoint", EndpointToken: "token_endpoint", EndpointJWKS: "jwks_uri", EndpointUserInfo: "userinfo_endpoint",
		EndpointPAR: "pushed_authorization_request_endpoint", EndpointRevoke: "revocation_endpoint", EndpointIntrospect: "introspection_endpoint", EndpointLogout: "end_session_endpoint",
	}
	for endpoint, address := range s.Endpoints {
		if name := names[endpoint]; name != "" {
			m[name] = address
		}
	}
	return m
}

// tokenIssuer is what ID tokens name as their issuer.
func (p *Provider) tokenIssuer() string {
	if s := p.cfg.Shape; s != nil && s.TokenIssuer != "" {
		return strings.ReplaceAll(s.TokenIssuer, "{tenantid}", s.Tenant)
	}
	return p.issuer
}

// sendsIssuer says whether authorization responses carry iss (RFC 9207).
func (p *Provider) sendsIssuer() bool {
	return p.cfg.Shape == nil || p.cfg.Shape.Metadata["authorization_response_iss_parameter_supported"] == any(true)
}

// signsOn says whether grants bring ID tokens.
func (p *Provider) signsOn() bool { return p.cfg.Shape == nil || !p.cfg.Shape.OAuth2 }

// describeUser is what UserInfo says by the shape.
func (s *Shape) describeUser(u *User) any { return s.describe(s.User, u) }

// describe fills in what is said of a user.
func (*Shape) describe(what any, u *User) any {
	return filled(what, strings.NewReplacer("{subject}", u.Subject, "{username}", u.Username, "{name}", u.Name, "{email}", u.Email))
}

// filled is a description with what stands in its braces; "{#name}" is a number.
func filled(description any, fill *strings.Replacer) any {
	switch v := description.(type) {
	case string:
		if name, ok := strings.CutPrefix(v, "{#"); ok {
			return json.Number(fill.Replace("{" + name))
		}
		return fill.Replace(v)
	case []any:
		out := make([]any, len(v))
		for i, inner := range v {
			out[i] = filled(inner, fill)
		}
		return out
	case map[string]any:
		out := map[string]any{}
		for name, inner := range v {
			out[name] = filled(inner, fill)
		}
		return out
	}
	return description
}

// bend changes claims to those of the shape.
func (s *Shape) bend(claims map[string]any) {
	for name, value := range s.Claims {
		if value == nil {
			delete(claims, name)
			continue
		}
		claims[name] = value
	}
}

// allows says whether the shape takes those scopes in that response mode.
func (s *Shape) allows(scopes []string, mode string) bool {
	return mode == "form_post" || !slices.ContainsFunc(scopes, func(scope string) bool { return slices.Contains(s.FormPostFor, scope) })
}

// Transport leads every request, whatever its address, to this provider, as if it
// were there.
func (p *Provider) Transport() http.RoundTripper {
	return &lead{p, &http.Transport{DisableKeepAlives: true}}
}

type lead struct {
	p     *Provider
	inner *http.Transport
}

// RoundTrip implements [http.RoundTripper].
func (l *lead) RoundTrip(req *http.Request) (*http.Response, error) {
	out := req.Clone(req.Context())
	out.Host = req.URL.Host
	out.URL.Scheme, out.URL.Host = "http", net.JoinHostPort("127.0.0.1", l.p.port)
	resp, err := l.inner.RoundTrip(out)
	if resp != nil {
		resp.Request = req
	}
	return resp, err
}

// Serves says whether a request to that address is for this provider as it looks.
func (p *Provider) Serves(u *url.URL) bool {
	if s := p.cfg.Shape; s != nil {
		for _, address := range s.Endpoints {
			if e, err := url.Parse(address); err == nil && e.Host == u.Host {
				return true
			}
		}
	}
	return false
}
