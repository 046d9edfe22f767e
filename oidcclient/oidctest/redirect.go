package oidctest

import (
	"html/template"
	"net/http"
	"net/url"
	"strconv"
	"strings"

	"github.com/gin-gonic/gin"
)

// registered says whether uri is one of the registered ones: the same string,
// or the same but for the port of a loopback IP literal (RFC 8252 section
// 7.3). It compares text and parses nothing, so that nothing can be read in
// two ways.
func registered(list []string, uri string) bool {
	for _, candidate := range list {
		if uri == candidate {
			return true
		}
		want, wantOK := cutLoopbackPort(candidate)
		got, gotOK := cutLoopbackPort(uri)
		if wantOK && gotOK && want == got {
			return true
		}
	}
	return false
}

// cutLoopbackPort removes the port of http://127.0.0.1 and http://[::1].
func cutLoopbackPort(uri string) (string, bool) {
	for _, origin := range []string{"http://127.0.0.1", "http://[::1]"} {
		rest, ok := strings.CutPrefix(uri, origin)
		if !ok {
			continue
		}
		authority, path, slash := strings.Cut(rest, "/")
		if port, ok := strings.CutPrefix(authority, ":"); ok {
			if n, err := strconv.ParseUint(port, 10, 16); err != nil || n == 0 {
				return "", false
			}
		} else if authority != "" {
			return "", false
		}
		if slash {
			path = "/" + path
		}
		return origin + path, true
	}
	return "", false
}

// Param is one parameter of an authorization response.
type Param struct{ Name, Value string }

// Redirect is an authorization response that a fault may change, whether it
// carries a code or an error. Parameters stand in order and may repeat.
type Redirect struct {
	// URI is where the response goes.
	URI string
	// Mode is query, fragment or form_post.
	Mode string
	// Params are the parameters.
	Params []Param
}

// Get is the first value of a parameter, "" if there is none.
func (r *Redirect) Get(name string) string {
	for _, p := range r.Params {
		if p.Name == name {
			return p.Value
		}
	}
	return ""
}

// Set replaces all values of a parameter by one; it adds a missing parameter.
func (r *Redirect) Set(name, value string) {
	r.Drop(name)
	r.Add(name, value)
}

// Add adds a parameter, next to one of the same name if there is one.
func (r *Redirect) Add(name, value string) { r.Params = append(r.Params, Param{name, value}) }

// Drop removes a parameter.
func (r *Redirect) Drop(name string) {
	var kept []Param
	for _, p := range r.Params {
		if p.Name != name {
			kept = append(kept, p)
		}
	}
	r.Params = kept
}

func (r *Redirect) encode() string {
	var b strings.Builder
	for i, p := range r.Params {
		if i > 0 {
			b.WriteByte('&')
		}
		b.WriteString(url.QueryEscape(p.Name) + "=" + url.QueryEscape(p.Value))
	}
	return b.String()
}

// location is the URL for the modes query and fragment. Registered URIs have
// no fragment.
func (r *Redirect) location() string {
	switch {
	case r.Mode == "fragment":
		return r.URI + "#" + r.encode()
	case strings.Contains(r.URI, "?"):
		return r.URI + "&" + r.encode()
	}
	return r.URI + "?" + r.encode()
}

func (p *Provider) respondError(c *gin.Context, req authorizationRequest, e *oauthError) {
	p.respond(c, req, Param{"error", e.code}, Param{"error_description", e.description})
}

// respond sends the authorization response to the client. It is the only way,
// so that every response carries state and iss (RFC 9207 section 2).
func (p *Provider) respond(c *gin.Context, req authorizationRequest, list ...Param) {
	r := &Redirect{URI: req.redirectURI, Mode: req.responseMode, Params: list}
	if req.state != "" {
		r.Add("state", req.state)
	}
	if p.sendsIssuer() {
		r.Add("iss", p.issuer)
	}
	p.bendRedirect(r)
	if r.Mode == "form_post" {
		p.page(c, http.StatusOK, "form_post.html", pageData{
			Title: "Return to the application", Target: template.URL(r.URI), Params: r.Params, formTarget: r.URI,
		})
		return
	}
	seeOther(c, r.location())
}

// seeOther redirects with 303, after which no browser repeats a form
// (RFC 9700 section 4.12).
func seeOther(c *gin.Context, location string) {
	h := c.Writer.Header()
	h.Set("Location", location)
	h.Set("Cache-Control", "no-store")
	h.Set("Referrer-Policy", "no-referrer")
	c.Status(http.StatusSeeOther)
	c.Writer.WriteHeaderNow()
}
