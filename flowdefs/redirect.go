package flowdefs

import (
	"cmp"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// loopbackForm parts a redirect URI on the same machine: address, port, and what
// stands behind (RFC 8252 §7.3).
var loopbackForm = regexp.MustCompile(`^http://(127\.0\.0\.1|\[::1\])(?::([0-9]{1,5}))?(/[\x21\x22\x24-\x7E]*)?$`)

// Redirects says whether a browser may be sent back there: one of the redirect URIs
// exactly or, on the same machine, with any port (RFC 8252 §7.3, §8.4).
func (c *Client) Redirects(uri string) bool {
	return slices.ContainsFunc(c.RedirectURIs, func(own string) bool { return own == uri || samePlace(own, uri) })
}

func samePlace(own, uri string) bool {
	a, b := loopbackForm.FindStringSubmatch(own), loopbackForm.FindStringSubmatch(uri)
	if a == nil || b == nil {
		return false
	}
	port, err := strconv.Atoi(cmp.Or(b[2], "80"))
	return a[1] == b[1] && a[3] == b[3] && err == nil && port > 0 && port < 1<<16
}

// RedirectFor is where a provider sends the browser back to: to the client's own place
// for that provider, else to where the app is, else to the first; "" if there is none.
// The port on the same machine is the app's.
func (c *Client) RedirectFor(provider, app string) string {
	own := c.ProviderRedirects[provider]
	switch {
	case own == "" && app != "":
		return app
	case own != "":
		a, b := loopbackForm.FindStringSubmatch(own), loopbackForm.FindStringSubmatch(app)
		if a != nil && b != nil && b[2] != "" {
			return "http://" + a[1] + ":" + b[2] + a[3]
		}
		return own
	case len(c.RedirectURIs) > 0:
		return c.RedirectURIs[0]
	}
	return ""
}

// providerRedirects reads where providers send the browser back to that have a place
// of their own: by it the app knows who has answered (RFC 9700 §4.4.2.2).
func (l *loader) providerRedirects(c *Client, o object) {
	n := o.n.get("provider_redirects")
	if n == nil {
		return
	}
	if len(c.RedirectURIs) == 0 {
		l.fail(n.pos, "%s: provider_redirects stand beside redirect_uris, which all other browsers come back to", o.what)
	}
	c.ProviderRedirects = l.table(o, "provider_redirects", redirectForm, "is no redirect URI")
	if n.kind != mappingKind {
		return
	}
	taken := slices.Clone(c.RedirectURIs)
	for i, k := range n.keys {
		l.refer("providers", k.text, k.pos)
		uri := n.items[i]
		if uri.kind != stringKind {
			continue
		}
		l.checkURL(uri, "provider_redirects: "+k.text, redirectURL)
		if slices.ContainsFunc(taken, func(t string) bool { return strings.EqualFold(t, uri.text) || samePlace(t, uri.text) }) {
			l.fail(uri.pos, "provider_redirects: %s is somebody else's too: it does not say who has answered", quote(uri.text))
		}
		taken = append(taken, uri.text)
	}
}

var redirectForm = regexp.MustCompile(`^[A-Za-z][A-Za-z0-9+.-]*:[^\s#]+$`)
