package oidctest

import (
	"net/http"

	"github.com/gin-gonic/gin"
)

// showLogin shows the form for user name and password.
func (p *Provider) showLogin(c *gin.Context) {
	id := c.Query("request")
	if i, ok := p.pending(c, id); ok {
		p.loginPage(c, http.StatusOK, id, i, i.request.loginHint, "")
	}
}

func (p *Provider) loginPage(c *gin.Context, status int, id string, i interaction, username, problem string) {
	p.page(c, status, "login.html", pageData{
		Title: "Sign in", Client: i.request.client.Name, Request: id, CSRF: i.csrf,
		Username: username, Problem: problem, formTarget: i.request.redirectURI,
	})
}

// postLogin checks the password. A right one makes a new session, whatever
// cookie the browser had before.
func (p *Provider) postLogin(c *gin.Context) {
	id, in, i, ok := p.submitted(c)
	if !ok {
		return
	}
	user, err := p.people.check(in.get("username"), in.get("password"))
	if err != nil {
		c.Header("WWW-Authenticate", `Form realm="oidctest"`)
		p.loginPage(c, http.StatusUnauthorized, id, i, in.get("username"), "User name or password is wrong.")
		return
	}
	if old, err := c.Request.Cookie(p.cookieName("session")); err == nil {
		p.state.replaceSession(old.Value)
	}
	now := p.cfg.Now()
	sn := session{sid: newSecret(), csrf: newSecret(), user: user, authTime: now, expires: now.Add(sessionTTL)}
	p.setCookie(c, "session", p.state.addSession(sn))
	c.Set("session", sn)
	i.loggedIn, i.csrf = sn.sid, newSecret()
	p.proceed(c, id, i)
}
