package httpapi

import (
	"context"
	"errors"
	"mime"
	"net/http"
	"net/url"

	"github.com/gin-gonic/gin"

	"github.com/stile-auth/stile/flows"
)

// logouts end sessions that rest on sessions at a provider, as the provider says.
// [flows.ErrNotFound]: there is no such provider.
type logouts interface {
	BackChannel(ctx context.Context, c flows.Caller, provider, token string) error
	FrontChannel(ctx context.Context, c flows.Caller, provider, issuer, session string) (frames string, err error)
}

// routeLogouts mounts what providers call. Each call costs its address something: what
// it takes cannot be guessed, and is not to be tried.
func (a *api) routeLogouts(r *gin.Engine) {
	if a.cfg.Logouts == nil {
		return
	}
	r.POST("/v1/providers/:provider/backchannel-logout", a.limited(a.backChannelLogout, false))
	r.GET("/v1/providers/:provider/frontchannel-logout", a.limited(a.frontChannelLogout, true))
}

// backChannelLogout is the back-channel logout URI (OpenID Connect Back-Channel Logout
// 1.0 §2.5, §2.8): 200 if what there was is over, 400 if the token is none, 503 if it
// should be sent again.
func (a *api) backChannelLogout(c *gin.Context) {
	caller, token := a.logoutCaller(c), ""
	form, f := a.readForm(c)
	if f == nil {
		if token = only(form, "logout_token"); token == "" {
			f = refuse(http.StatusBadRequest, flows.CodeMalformed, "There must be one logout_token.")
		}
	}
	if f != nil {
		a.refuse(c, operation{}, &request{caller: caller}, f)
		return
	}
	if err := a.cfg.Logouts.BackChannel(c.Request.Context(), caller, c.Param("provider"), token); err != nil {
		a.failLogout(c, err)
		return
	}
	c.Writer.WriteHeader(http.StatusOK)
	c.Writer.WriteHeaderNow()
}

// frontChannelLogout is the front-channel logout URI (OpenID Connect Front-Channel
// Logout 1.0 §2). Whether there was a session is not said. Pages of the provider, and
// no others, may show what is answered.
func (a *api) frontChannelLogout(c *gin.Context) {
	caller := a.logoutCaller(c)
	form, err := url.ParseQuery(c.Request.URL.RawQuery)
	issuer, session := only(form, "iss"), only(form, "sid")
	if err != nil || issuer == "" || session == "" || len(form) != 2 || len(session) > maxSessionName {
		f := refuse(http.StatusBadRequest, flows.CodeMalformed, "There must be one iss and one sid, and nothing else.")
		a.refuse(c, operation{}, &request{caller: caller}, f)
		return
	}
	frames, err := a.cfg.Logouts.FrontChannel(c.Request.Context(), caller, c.Param("provider"), issuer, session)
	if err != nil {
		a.failLogout(c, err)
		return
	}
	h := c.Writer.Header()
	h.Set("Content-Security-Policy", "default-src 'none'; frame-ancestors "+frames)
	h.Set("Referrer-Policy", "no-referrer") // the address names a session
	a.send(c, http.StatusOK, "text/html; charset=utf-8", []byte("<!doctype html><title>Signed out</title>"))
}

const maxSessionName = 255 // as in ID tokens

func (a *api) logoutCaller(c *gin.Context) flows.Caller {
	return flows.Caller{RequestID: entryOf(c).id, Network: networkOf(c.Request)}
}

// failLogout answers what was recorded where it failed.
func (a *api) failLogout(c *gin.Context, err error) {
	if errors.Is(err, flows.ErrNotFound) {
		a.noRoute(c)
		return
	}
	f := failureOf(err)
	if f.status == http.StatusServiceUnavailable {
		f.retryAfter = max(f.retryAfter, outage)
	}
	a.fail(c, f)
}

// readForm reads a body of form fields.
func (a *api) readForm(c *gin.Context) (url.Values, *failure) {
	h := c.Request.Header
	media, _, err := mime.ParseMediaType(h.Get("Content-Type"))
	if err != nil || media != "application/x-www-form-urlencoded" || len(h["Content-Type"]) != 1 || len(h["Content-Encoding"]) > 0 {
		return nil, refuse(http.StatusUnsupportedMediaType, CodeMediaType, "The body must be application/x-www-form-urlencoded.")
	}
	body, f := readAll(c.Writer, c.Request, "", a.cfg.MaxBody)
	if f != nil {
		return nil, f
	}
	form, err := url.ParseQuery(string(body))
	if err != nil || c.Request.URL.RawQuery != "" {
		return nil, refuse(http.StatusBadRequest, flows.CodeMalformed, "The form cannot be read.")
	}
	return form, nil
}

// only is the value of a parameter that is there once; "" otherwise.
func only(form url.Values, name string) string {
	if len(form[name]) != 1 {
		return ""
	}
	return form[name][0]
}
