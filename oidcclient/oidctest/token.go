package oidctest

import (
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strings"

	"github.com/gin-gonic/gin"
)

var verifierShape = regexp.MustCompile(`^[A-Za-z0-9\-._~]*$`) // RFC 7636 section 4.1

func grantTypes() []string { return []string{"authorization_code", "refresh_token"} }

// token is the token endpoint (RFC 6749 section 3.2).
func (p *Provider) token(c *gin.Context) {
	in, client, problem := p.clientRequest(c)
	boundTo := ""
	if problem == nil {
		boundTo, problem = p.proved(c.Writer, c.Request, EndpointToken, "")
	}
	if problem != nil {
		jsonError(c, problem)
		return
	}
	switch in.get("grant_type") {
	case "authorization_code":
		problem = p.codeGrant(c, client, in, boundTo)
	case "refresh_token":
		problem = p.refreshGrant(c, client, in, boundTo)
	case "":
		problem = invalidRequest("grant_type is missing")
	default:
		problem = &oauthError{code: "unsupported_grant_type", description: "the grant_type is not supported"}
	}
	if problem != nil {
		jsonError(c, problem)
	}
}

// clientRequest reads the form of a client and authenticates it.
func (p *Provider) clientRequest(c *gin.Context) (params, *Client, *oauthError) {
	in, problem := formParams(c.Request)
	if problem != nil {
		return in, nil, problem
	}
	if in.repeated() {
		return in, nil, invalidRequest("a parameter is repeated")
	}
	client, problem := p.authenticate(c.Request, in)
	return in, client, problem
}

func (p *Provider) codeGrant(c *gin.Context, client *Client, in params, boundTo string) *oauthError {
	if in.get("code") == "" {
		return invalidRequest("code is missing")
	}
	g, problem := p.state.redeem(in.get("code"), p.cfg.Now(), func(issued code) *oauthError {
		if issued.grant.client != client {
			return invalidGrant("the authorization code is another client's")
		}
		if issued.redirectURI != in.get("redirect_uri") {
			return invalidGrant("redirect_uri differs from the authorization request")
		}
		if issued.grant.boundTo != "" && issued.grant.boundTo != boundTo {
			return invalidGrant("the authorization code is bound to another key")
		}
		return checkVerifier(issued.challenge, in.get("code_verifier"))
	})
	if problem != nil {
		if s := p.cfg.Shape; s != nil && s.SpentCode != "" && problem.code == "invalid_grant" {
			return &oauthError{code: s.SpentCode, description: problem.description, status: http.StatusOK}
		}
		return problem
	}
	return p.issue(c, g, g.scopes, g.nonce, boundTo)
}

// checkVerifier is RFC 7636 section 4.6. A verifier without a challenge is
// refused too, or an attacker could strip the challenge (RFC 9700 section
// 4.8.2).
func checkVerifier(challenge, verifier string) *oauthError {
	switch {
	case challenge == "" && verifier == "":
		return nil
	case challenge == "":
		return invalidRequest("there was no code_challenge in the authorization request")
	case verifier == "":
		return invalidGrant("code_verifier is missing")
	case !verifierShape.MatchString(verifier) || len(verifier) < 43 || len(verifier) > 128:
		return invalidRequest("code_verifier is malformed")
	}
	sum := sha256.Sum256([]byte(verifier))
	if !sameSecret(base64.RawURLEncoding.EncodeToString(sum[:]), challenge) {
		return invalidGrant("code_verifier does not match")
	}
	return nil
}

// refreshGrant rotates a refresh token. A smaller scope is good for the new
// access token only; the new refresh token keeps all (RFC 6749 section 6).
func (p *Provider) refreshGrant(c *gin.Context, client *Client, in params, boundTo string) *oauthError {
	if in.get("refresh_token") == "" {
		return invalidRequest("refresh_token is missing")
	}
	scopes := in.fields("scope")
	g, problem := p.state.rotate(in.get("refresh_token"), p.cfg.Now(), func(g *grant) *oauthError {
		if g.client != client {
			return invalidGrant("the refresh token is another client's")
		}
		for _, s := range scopes {
			if !slices.Contains(g.scopes, s) {
				return invalidScope("the scope exceeds what was granted")
			}
		}
		return nil
	})
	if problem != nil {
		return problem
	}
	if len(scopes) == 0 {
		scopes = g.scopes
	}
	return p.issue(c, g, scopes, "", boundTo)
}

// issue answers with new tokens. An ID token comes with the scope openid; a
// refreshed one has no nonce (OpenID Connect Core section 12.2).
func (p *Provider) issue(c *gin.Context, g *grant, scopes []string, nonce, boundTo string) *oauthError {
	now, kind := p.cfg.Now(), "Bearer"
	if boundTo != "" {
		kind = "DPoP"
	}
	access, refresh := p.state.addTokens(g, scopes, boundTo, now, p.cfg.AccessTokenTTL)
	answer := gin.H{
		"access_token": access, "token_type": kind, "refresh_token": refresh,
		"expires_in": int64(p.cfg.AccessTokenTTL.Seconds()), "scope": strings.Join(scopes, " "),
	}
	if p.signsOn() && slices.Contains(scopes, "openid") {
		idToken, err := p.idToken(g, nonce, access, now)
		if err != nil {
			return &oauthError{code: "server_error", description: err.Error(), status: http.StatusInternalServerError}
		}
		answer["id_token"] = idToken
	}
	noStore(c)
	if s := p.cfg.Shape; s != nil && s.TokenForms && !strings.Contains(c.GetHeader("Accept"), "json") {
		form := url.Values{}
		for name, value := range answer {
			form.Set(name, fmt.Sprint(value))
		}
		c.Data(http.StatusOK, "application/x-www-form-urlencoded", []byte(form.Encode()))
		return nil
	}
	c.JSON(http.StatusOK, answer)
	return nil
}

// jsonError answers as in RFC 6749 section 5.2.
func jsonError(c *gin.Context, e *oauthError) {
	noStore(c)
	if e.code == "invalid_client" {
		c.Header("WWW-Authenticate", `Basic realm="oidctest", charset="UTF-8"`)
	}
	c.JSON(e.httpStatus(), gin.H{"error": e.code, "error_description": e.description})
}

func noStore(c *gin.Context) {
	c.Header("Cache-Control", "no-store")
	c.Header("Pragma", "no-cache")
}
