package oidctest

import (
	"encoding/json"
	"net/http"

	"github.com/gin-gonic/gin"
)

// discovery is the metadata document (OpenID Connect Discovery section 3, RFC
// 8414 section 2, RFC 9207 section 3). Everything in it is true; therefore
// RS256 is in it only if the provider signs with RS256.
func (p *Provider) discovery(c *gin.Context) {
	if s := p.cfg.Shape; s != nil && s.Metadata == nil {
		c.Status(http.StatusNotFound)
		c.Writer.WriteHeaderNow()
		return
	}
	m := map[string]any{
		"issuer":                                           p.issuer,
		"authorization_endpoint":                           p.issuer + "/authorize",
		"token_endpoint":                                   p.issuer + "/token",
		"userinfo_endpoint":                                p.issuer + "/userinfo",
		"jwks_uri":                                         p.issuer + "/jwks",
		"revocation_endpoint":                              p.issuer + "/revoke",
		"introspection_endpoint":                           p.issuer + "/introspect",
		"end_session_endpoint":                             p.issuer + "/logout",
		"scopes_supported":                                 p.cfg.scopes(),
		"response_types_supported":                         []string{"code"},
		"response_modes_supported":                         responseModes(),
		"grant_types_supported":                            grantTypes(),
		"acr_values_supported":                             p.cfg.acrValues(),
		"subject_types_supported":                          []string{"public"},
		"id_token_signing_alg_values_supported":            []string{p.cfg.Alg},
		"token_endpoint_auth_methods_supported":            p.cfg.authMethods(),
		"token_endpoint_auth_signing_alg_values_supported": assertionAlgorithms(),
		"revocation_endpoint_auth_methods_supported":       p.cfg.authMethods(),
		"code_challenge_methods_supported":                 []string{"S256"},
		"prompt_values_supported":                          promptValues(),
		"claim_types_supported":                            []string{"normal"},
		"claims_supported":                                 claimsSupported(),
		"claims_parameter_supported":                       false,
		"request_parameter_supported":                      false,
		"request_uri_parameter_supported":                  false,
		"require_request_uri_registration":                 false,
		"authorization_response_iss_parameter_supported":   true,
		"backchannel_logout_supported":                     true,
		"backchannel_logout_session_supported":             true,
	}
	if p.cfg.PAR {
		m["pushed_authorization_request_endpoint"] = p.issuer + "/par"
		m["require_pushed_authorization_requests"] = p.cfg.RequirePAR
	}
	if p.cfg.DPoP {
		m["dpop_signing_alg_values_supported"] = []string{"ES256"}
	}
	c.JSON(http.StatusOK, p.shaped(m))
}

func claimsSupported() []string {
	return []string{
		"iss", "sub", "aud", "exp", "iat", "auth_time", "nonce", "acr", "amr", "at_hash", "sid",
		"name", "preferred_username", "email", "email_verified",
	}
}

// jwks is the key set (RFC 7517 section 5): public parameters only.
func (p *Provider) jwks(c *gin.Context) {
	keys := []json.RawMessage{}
	for _, k := range p.keys.all() {
		raw, err := k.JWK()
		if err != nil {
			jsonError(c, &oauthError{code: "server_error", description: err.Error(), status: http.StatusInternalServerError})
			return
		}
		if s := p.cfg.Shape; s != nil && s.KeyIssuer != "" {
			raw = appendMember(raw, "issuer", s.KeyIssuer)
		}
		keys = append(keys, raw)
	}
	body, err := json.Marshal(map[string]any{"keys": keys})
	if err != nil {
		jsonError(c, &oauthError{code: "server_error", description: err.Error(), status: http.StatusInternalServerError})
		return
	}
	c.Header("Cache-Control", "public, max-age=300")
	c.Data(http.StatusOK, "application/jwk-set+json", body)
}
