package httpapi

import (
	"net/http"
	"slices"
	"strings"

	"github.com/gin-gonic/gin"
)

// forScripts says whether scripts of other origins may call a path: the flow API, and of the
// authorization server what is no page. The metadata and the keys are what they find it by.
func forScripts(path string) bool {
	switch path {
	case "/oauth2/token", "/oauth2/revoke", "/oauth2/userinfo":
		return true
	}
	return strings.HasPrefix(path, apiPrefix) || strings.HasPrefix(path, "/.well-known/")
}

// allowOrigin lets scripts of the clients' origins read an answer. Nobody else
// is told anything. Cookies go one way: an origin whose runs may end in one is let take
// it, where no cookie is ever read.
func (a *api) allowOrigin(c *gin.Context) bool {
	h := c.Writer.Header()
	h.Add("Vary", "Origin")
	origins := c.Request.Header["Origin"]
	if len(origins) != 1 || !isOrigin(origins[0]) || !slices.Contains(a.cfg.Engine.Origins(), origins[0]) {
		return false
	}
	h.Set("Access-Control-Allow-Origin", origins[0])
	if setsCookies(c.Request.URL.Path) && len(a.cfg.Engine.Cookies(origins[0])) > 0 {
		h.Set("Access-Control-Allow-Credentials", "true") // else browsers do not keep the cookie
	}
	h.Set("Access-Control-Expose-Headers", "DPoP-Nonce, Preference-Applied, Retry-After, WWW-Authenticate, X-Request-Id")
	return true
}

// preflight answers a browser that asks before it sends, and reports whether it did.
func (a *api) preflight(c *gin.Context) bool {
	h, r := c.Writer.Header(), c.Request
	if r.Method != http.MethodOptions || r.Header.Get("Access-Control-Request-Method") == "" ||
		!forScripts(r.URL.Path) || h.Get("Access-Control-Allow-Origin") == "" {
		return false
	}
	h.Add("Vary", "Access-Control-Request-Method, Access-Control-Request-Headers")
	h.Set("Access-Control-Allow-Methods", h.Get("Allow"))
	h.Set("Access-Control-Allow-Headers", "Authorization, Content-Type, DPoP, Idempotency-Key, Prefer")
	h.Set("Access-Control-Max-Age", "600")
	c.Writer.WriteHeader(http.StatusNoContent)
	c.Writer.WriteHeaderNow()
	return true
}
