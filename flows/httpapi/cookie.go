package httpapi

import (
	"net/http"
	"strings"
	"time"

	"github.com/gin-gonic/gin"

	"github.com/stile-auth/stile/flows"
)

// originOf is the origin of the page whose script asks, as its browser says: scripts
// cannot write this header. "" if nothing asks from a page.
func originOf(c *gin.Context) string {
	origins := c.Request.Header["Origin"]
	if len(origins) != 1 {
		return ""
	}
	return origins[0]
}

// setsCookies says whether an answer at a path may set or drop a cookie.
func setsCookies(path string) bool {
	return path == "/v1/session" || path == "/v1/flow" || path == "/v1/flows" || strings.HasPrefix(path, "/v1/flow/")
}

// setCookie gives the browser the token that a run has ended in, for as long as it is good.
func (a *api) setCookie(c *gin.Context, r *flows.Result) {
	if r == nil || r.Grant == nil || r.Grant.Cookie == nil {
		return
	}
	k := r.Grant.Cookie
	left := int(r.Grant.Expires.Sub(a.cfg.Now()) / time.Second)
	if left <= 0 {
		left = -1 // it is over: a repeat that came late
	}
	write(c, k.Name, string(k.Value), k.Domain, k.Path, k.Strict, left)
}

// dropCookies takes from the browser what runs of the clients of its origin may have ended in.
func (a *api) dropCookies(c *gin.Context) {
	for _, k := range a.cfg.Engine.Cookies(originOf(c)) {
		write(c, k.Name, "", k.Domain, k.Path, k.Strict, -1)
	}
}

func write(c *gin.Context, name, value, domain, path string, strict bool, age int) {
	site := http.SameSiteLaxMode
	if strict {
		site = http.SameSiteStrictMode
	}
	http.SetCookie(c.Writer, &http.Cookie{ //nolint:gosec // it has all three; one of them is said above
		Name: name, Value: value, Domain: domain, Path: path, MaxAge: age, Secure: true, HttpOnly: true, SameSite: site,
	})
}
