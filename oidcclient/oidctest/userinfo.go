package oidctest

import (
	"net/http"
	"slices"
	"strings"

	"github.com/gin-gonic/gin"
)

// userInfo is the UserInfo endpoint (OpenID Connect Core section 5.3). The
// scopes decide on the claims (section 5.4).
func (p *Provider) userInfo(c *gin.Context) {
	noStore(c)
	scheme, secret, problem := bearer(c.Request)
	if problem != nil {
		bearerError(c, problem)
		return
	}
	t, ok := p.state.accessToken(secret, p.cfg.Now())
	if ok && (t.boundTo != "" || strings.EqualFold(scheme, "DPoP")) {
		proved, problem := p.proved(c.Writer, c.Request, EndpointUserInfo, secret)
		if problem != nil {
			problem.status = http.StatusUnauthorized
			c.Header("WWW-Authenticate", `DPoP realm="oidctest", error="`+problem.code+`", algs="ES256"`)
			c.Status(http.StatusUnauthorized)
			c.Writer.WriteHeaderNow()
			return
		}
		ok = proved == t.boundTo && strings.EqualFold(scheme, "DPoP") // RFC 9449 section 7.2: never as Bearer
	}
	if !ok {
		bearerError(c, &oauthError{code: "invalid_token", description: "the access token is not valid", status: http.StatusUnauthorized})
		return
	}
	if s, more := p.cfg.Shape, c.Query("more"); s != nil && s.More[more] != nil {
		c.JSON(http.StatusOK, s.describe(s.More[more], t.grant.user))
		return
	}
	if s := p.cfg.Shape; s != nil && s.User != nil {
		c.JSON(http.StatusOK, s.describeUser(t.grant.user))
		return
	}
	if !slices.Contains(t.scopes, "openid") {
		bearerError(c, &oauthError{code: "insufficient_scope", description: "the scope openid is needed", status: http.StatusForbidden})
		return
	}
	user := t.grant.user
	claims := gin.H{"sub": user.Subject}
	if slices.Contains(t.scopes, "profile") {
		claims["preferred_username"] = user.Username
		if user.Name != "" {
			claims["name"] = user.Name
		}
	}
	if slices.Contains(t.scopes, "email") && user.Email != "" {
		claims["email"], claims["email_verified"] = user.Email, user.EmailVerified
	}
	c.JSON(http.StatusOK, claims)
}

// bearer finds the access token in the header or the form (RFC 6750 sections
// 2.1 and 2.2), never in the query. An error without a code means that there
// is none.
func bearer(r *http.Request) (scheme, token string, problem *oauthError) {
	scheme, token, _ = strings.Cut(r.Header.Get("Authorization"), " ")
	inHeader := (strings.EqualFold(scheme, "Bearer") || strings.EqualFold(scheme, "DPoP")) && token != ""
	inForm := ""
	if r.Method == http.MethodPost && strings.HasPrefix(r.Header.Get("Content-Type"), "application/x-www-form-urlencoded") {
		in, problem := formParams(r)
		if problem != nil || in.repeated() {
			return "", "", invalidRequest("the form is malformed")
		}
		inForm = in.get("access_token")
	}
	switch {
	case inHeader && inForm != "":
		return "", "", invalidRequest("the access token is sent in two ways")
	case inHeader:
		return scheme, token, nil
	case inForm != "":
		return "Bearer", inForm, nil
	}
	return "", "", &oauthError{status: http.StatusUnauthorized}
}

// bearerError answers as in RFC 6750 section 3.
func bearerError(c *gin.Context, e *oauthError) {
	challenge := `Bearer realm="oidctest"`
	if e.code != "" {
		challenge += `, error="` + e.code + `", error_description="` + e.description + `"`
	}
	c.Header("WWW-Authenticate", challenge)
	c.Status(e.httpStatus())
	c.Writer.WriteHeaderNow()
}
