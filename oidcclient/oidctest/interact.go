package oidctest

import (
	"encoding/json"
	"net/http"
	"net/url"

	"github.com/gin-gonic/gin"
)

// proceed takes a pending request as far as it can go without the person:
// to the login page, to the consent page, or to the answer.
func (p *Provider) proceed(c *gin.Context, id string, pending interaction) {
	req := pending.request
	sn, signedIn := p.session(c)
	switch {
	case !signedIn || p.mustLogIn(pending, sn):
		p.ask(c, id, pending, EndpointLogin, "login_required")
	case req.subject != "" && req.subject != sn.user.Subject:
		// Another person than the client meant has just signed in.
		p.state.takeInteraction(id)
		p.respondError(c, req, &oauthError{code: "login_required", description: "another user is signed in"})
	case p.mustAgree(pending, sn):
		p.ask(c, id, pending, EndpointConsent, "consent_required")
	case !p.state.takeInteraction(id):
		p.errorPage(c, http.StatusBadRequest, "invalid_request", "This request is finished.")
	default:
		g := &grant{
			client: req.client, user: sn.user, scopes: req.scopes, nonce: req.nonce,
			sid: sn.sid, authTime: sn.authTime, boundTo: req.proofKey,
		}
		issued := p.state.addCode(code{
			grant: g, redirectURI: req.redirectURI, challenge: req.challenge, expires: p.cfg.Now().Add(p.cfg.CodeTTL),
		})
		answer := []Param{{"code", issued}}
		if s := p.cfg.Shape; s != nil && s.FirstTime && p.state.takeOnce("first "+req.client.ID+" "+sn.user.Subject) {
			answer = append(answer, Param{"user", `{"name":{"firstName":` + quoted(sn.user.Name) + `},"email":` + quoted(sn.user.Email) + `}`})
		}
		p.respond(c, req, answer...)
	}
}

// mustLogIn says whether a session is not enough (OpenID Connect Core section
// 3.1.2.3). Having signed in for this request always is.
func (p *Provider) mustLogIn(pending interaction, sn session) bool {
	req := pending.request
	if pending.loggedIn == sn.sid {
		return false
	}
	return req.prompts("login") || req.prompts("select_account") ||
		req.maxAge >= 0 && p.cfg.Now().Sub(sn.authTime) >= req.maxAge ||
		req.subject != "" && req.subject != sn.user.Subject
}

func (p *Provider) mustAgree(pending interaction, sn session) bool {
	req := pending.request
	if pending.agreed == sn.sid {
		return false
	}
	return req.prompts("consent") || !p.state.consented(sn.consentKey(req.client), req.scopes)
}

// ask sends the browser to a page, unless the client forbade it.
func (p *Provider) ask(c *gin.Context, id string, pending interaction, page, ifForbidden string) {
	if pending.request.prompts("none") {
		p.state.takeInteraction(id)
		p.respondError(c, pending.request, &oauthError{code: ifForbidden, description: "prompt is none"})
		return
	}
	p.state.updateInteraction(id, pending)
	seeOther(c, "/"+page+"?request="+url.QueryEscape(id))
}

// pending finds the interaction that a page belongs to. It shows an error page
// and returns false if there is none or if another browser brought it: the
// answer must go to the browser that asked.
func (p *Provider) pending(c *gin.Context, id string) (interaction, bool) {
	i, ok := p.state.interaction(id, p.cfg.Now())
	if !ok {
		p.errorPage(c, http.StatusBadRequest, "invalid_request", "This request is finished or has expired.")
		return i, false
	}
	if cookie, err := c.Request.Cookie(p.cookieName("browser")); err != nil || digestOf(cookie.Value) != i.browser {
		p.errorPage(c, http.StatusForbidden, "access_denied", "This request was started in another browser.")
		return i, false
	}
	return i, true
}

// submitted reads a form of a page and checks its CSRF token.
func (p *Provider) submitted(c *gin.Context) (string, params, interaction, bool) {
	in, problem := formParams(c.Request)
	if problem == nil && in.repeated() {
		problem = invalidRequest("a field is repeated")
	}
	if problem != nil {
		p.errorPage(c, http.StatusBadRequest, problem.code, problem.description)
		return "", in, interaction{}, false
	}
	id := in.get("request")
	i, ok := p.pending(c, id)
	if !ok {
		return "", in, i, false
	}
	if !sameSecret(in.get("csrf"), i.csrf) {
		p.errorPage(c, http.StatusForbidden, "access_denied", "The form is not from this page.")
		return "", in, i, false
	}
	return id, in, i, true
}

// cookieName has the port in it, because browsers do not keep cookies of
// different ports apart (RFC 6265 section 8.5).
func (p *Provider) cookieName(kind string) string { return "oidctest_" + kind + "_" + p.port }

// setCookie sets a cookie that ends with the browser. There is no Secure: the
// provider speaks plain HTTP on loopback.
func (p *Provider) setCookie(c *gin.Context, kind, value string) {
	http.SetCookie(c.Writer, &http.Cookie{
		Name: p.cookieName(kind), Value: value, Path: "/", HttpOnly: true, SameSite: http.SameSiteLaxMode,
	})
}

// browser returns the secret that tells this browser from others, and sets it
// when there is none.
func (p *Provider) browser(c *gin.Context) string {
	if cookie, err := c.Request.Cookie(p.cookieName("browser")); err == nil && cookie.Value != "" {
		return cookie.Value
	}
	secret := newSecret()
	p.setCookie(c, "browser", secret)
	return secret
}

// session finds who is signed in. After a login the new session's cookie is
// only in the answer, so that is looked at first.
func (p *Provider) session(c *gin.Context) (session, bool) {
	if fresh, ok := c.Get("session"); ok {
		sn, ok := fresh.(session)
		return sn, ok
	}
	cookie, err := c.Request.Cookie(p.cookieName("session"))
	if err != nil {
		return session{}, false
	}
	return p.state.session(cookie.Value, p.cfg.Now())
}

// describe gives the words for the scopes on the consent page.
func describe(scopes []string) []scopeLine {
	words := map[string]string{
		"openid":         "Know who you are",
		"profile":        "See your name",
		"email":          "See your e-mail address",
		"offline_access": "Keep this access while you are away",
	}
	lines := make([]scopeLine, 0, len(scopes))
	for _, s := range scopes {
		text := words[s]
		if text == "" {
			text = "Use " + s
		}
		lines = append(lines, scopeLine{Scope: s, Text: text})
	}
	return lines
}

type scopeLine struct{ Scope, Text string }

// quoted is a text as JSON.
func quoted(text string) string {
	out, err := json.Marshal(text)
	if err != nil {
		panic(err) // strings can be written
	}
	return string(out)
}
