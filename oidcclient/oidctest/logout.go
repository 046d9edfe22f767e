package oidctest

import (
	"net/http"
	"net/url"
	"slices"
	"strings"

	"github.com/gin-gonic/gin"
)

// logout is the end_session_endpoint (OpenID Connect RP-Initiated Logout
// section 2). An id_token_hint of this very session ends it at once; without
// one the person is asked.
func (p *Provider) logout(c *gin.Context) {
	in, problem := requestParams(c.Request)
	if problem == nil && in.repeated() {
		problem = invalidRequest("a parameter is repeated")
	}
	if problem != nil {
		p.errorPage(c, http.StatusBadRequest, problem.code, problem.description)
		return
	}
	var hint *hintClaims
	if token := in.get("id_token_hint"); token != "" {
		var err error
		if hint, err = p.readHint(token); err != nil {
			p.errorPage(c, http.StatusBadRequest, "invalid_request", "The id_token_hint is not an ID token of this provider.")
			return
		}
	}
	target, problem := p.logoutTarget(in, hint)
	if problem != nil {
		p.errorPage(c, http.StatusBadRequest, problem.code, problem.description)
		return
	}
	sn, signedIn := p.session(c)
	confirmed := signedIn && c.Request.Method == http.MethodPost && sameSecret(in.get("csrf"), sn.csrf)
	if signedIn && !confirmed && (hint == nil || hint.SID != sn.sid) {
		p.page(c, http.StatusOK, "logout.html", pageData{Title: "Sign out?", Username: sn.user.Username, CSRF: sn.csrf})
		return
	}
	if cookie, err := c.Request.Cookie(p.cookieName("session")); err == nil {
		p.tell(c.Request.Context(), p.state.endSession(cookie.Value))
	}
	if target != "" {
		seeOther(c, target)
		return
	}
	p.page(c, http.StatusOK, "goodbye.html", pageData{Title: "Signed out"})
}

// logoutTarget is where the browser goes afterwards: only to a registered
// address of the client that the hint was issued to (section 3).
func (p *Provider) logoutTarget(in params, hint *hintClaims) (string, *oauthError) {
	uri := in.get("post_logout_redirect_uri")
	if uri == "" {
		return "", nil
	}
	id := in.get("client_id")
	if hint != nil && len(hint.Audience) > 0 {
		if id != "" && !slices.Contains(hint.Audience, id) {
			return "", invalidRequest("client_id differs from the id_token_hint")
		}
		id = hint.Audience[0]
	}
	client := p.cfg.client(id)
	if client == nil || !registered(client.PostLogoutRedirectURIs, uri) {
		return "", invalidRequest("the post_logout_redirect_uri is not registered")
	}
	if state := in.get("state"); state != "" {
		separator := "?"
		if strings.Contains(uri, "?") {
			separator = "&"
		}
		uri += separator + "state=" + url.QueryEscape(state)
	}
	return uri, nil
}
