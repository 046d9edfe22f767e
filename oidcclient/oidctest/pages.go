package oidctest

import (
	"bytes"
	"embed"
	"html/template"
	"net/http"
	"net/url"

	"github.com/gin-gonic/gin"
)

//go:embed pages/*.html
var pageFiles embed.FS

var pageTemplates = template.Must(template.ParseFS(pageFiles, "pages/*.html")) //nolint:gochecknoglobals // as constant as the files

// pageData is what the pages show.
type pageData struct {
	Title    string
	Nonce    string // of the Content-Security-Policy
	Request  string
	CSRF     string
	Client   string
	Username string
	Problem  string
	Code     string
	Scopes   []scopeLine
	Target   template.URL // of form_post: a registered redirect URI
	Params   []Param

	// formTarget is where the form leads in the end, if not to the provider.
	formTarget string
}

// page renders a page with headers that keep it out of caches, frames and
// referrers, and that let it run no script but its own.
func (p *Provider) page(c *gin.Context, status int, name string, data pageData) {
	data.Nonce = newSecret()
	var body bytes.Buffer
	if err := pageTemplates.ExecuteTemplate(&body, name, data); err != nil {
		c.String(http.StatusInternalServerError, "the page cannot be rendered")
		return
	}
	h := c.Writer.Header()
	h.Set("Content-Security-Policy", "default-src 'none'; style-src 'nonce-"+data.Nonce+"'; script-src 'nonce-"+data.Nonce+
		"'; base-uri 'none'; frame-ancestors 'none'; form-action 'self'"+formSource(data.formTarget))
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("X-Frame-Options", "DENY")
	h.Set("Referrer-Policy", "no-referrer")
	h.Set("Cache-Control", "no-store")
	c.Data(status, "text/html; charset=utf-8", body.Bytes())
}

// formSource is the CSP source of a redirect URI. Browsers apply form-action
// to the redirects after a form too, so the client's address must be in it.
func formSource(uri string) string {
	u, err := url.Parse(uri)
	switch {
	case uri == "" || err != nil:
		return ""
	case u.Host != "":
		return " " + u.Scheme + "://" + u.Host
	}
	return " " + u.Scheme + ":"
}

// errorPage tells a person what is wrong when the client cannot be told.
func (p *Provider) errorPage(c *gin.Context, status int, code, text string) {
	p.page(c, status, "error.html", pageData{Title: "This did not work", Code: code, Problem: text})
}
