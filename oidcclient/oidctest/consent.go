package oidctest

import (
	"net/http"

	"github.com/gin-gonic/gin"
)

// showConsent lists what the client asks for.
func (p *Provider) showConsent(c *gin.Context) {
	id := c.Query("request")
	i, ok := p.pending(c, id)
	if !ok {
		return
	}
	sn, signedIn := p.session(c)
	if !signedIn || p.mustLogIn(i, sn) {
		p.proceed(c, id, i)
		return
	}
	i.shown = sn.sid
	p.state.updateInteraction(id, i)
	p.page(c, http.StatusOK, "consent.html", pageData{
		Title: "Allow access?", Client: i.request.client.Name, Request: id, CSRF: i.csrf,
		Username: sn.user.Username, Scopes: describe(i.request.scopes), formTarget: i.request.redirectURI,
	})
}

// postConsent takes the decision of the one who has seen the page; anybody
// else is asked first. What was allowed is remembered for this
// user, client and these scopes.
func (p *Provider) postConsent(c *gin.Context) {
	id, in, i, ok := p.submitted(c)
	if !ok {
		return
	}
	sn, signedIn := p.session(c)
	switch in.get("decision") {
	case "allow":
		if signedIn && i.shown == sn.sid && !p.mustLogIn(i, sn) {
			p.state.addConsent(sn.consentKey(i.request.client), i.request.scopes)
			i.agreed = sn.sid
		}
		p.proceed(c, id, i)
	case "deny":
		p.state.takeInteraction(id)
		p.respondError(c, i.request, &oauthError{code: "access_denied", description: "the user did not allow it"})
	default:
		p.errorPage(c, http.StatusBadRequest, "invalid_request", "Please choose Allow or Deny.")
	}
}
