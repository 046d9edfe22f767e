package flowdefs

import (
	"net"
	"net/url"
	"regexp"
	"strings"
)

// urlCheck returns what is wrong with a URL, "" if nothing is.
type urlCheck func(u *url.URL, text string) string

var (
	urlForm     = regexp.MustCompile(`^[\x21-\x7E]+$`)
	privateForm = regexp.MustCompile(`^[a-z][a-z0-9+-]*(\.[a-z0-9+-]+)+$`)
)

func (l *loader) checkURL(n *node, what string, check urlCheck) {
	if !urlForm.MatchString(n.text) {
		l.fail(n.pos, "%s: %s is not a URL: only printable ASCII without spaces", what, quote(n.text))
		return
	}
	u, err := url.Parse(n.text)
	if err != nil {
		l.fail(n.pos, "%s: %s is not a URL", what, quote(n.text))
		return
	}
	if message := check(u, n.text); message != "" {
		l.fail(n.pos, "%s: %s: %s", what, quote(n.text), message)
	}
}

// issuerURL checks an issuer identifier (OpenID Connect Discovery §3, RFC 8414 §2).
func issuerURL(u *url.URL, text string) string {
	if message := webURL(u); message != "" {
		return message
	}
	if strings.ContainsAny(text, "?#") {
		return "an issuer has no query and no fragment"
	}
	return ""
}

// webURL demands https; plain http is for the same machine.
func webURL(u *url.URL) string {
	switch {
	case u.Scheme != "https" && u.Scheme != "http":
		return "expected an https URL"
	case u.Hostname() == "":
		return "the host is missing"
	case u.Scheme == "http" && !loopback(u.Hostname()):
		return "http is allowed for loopback hosts only; use https"
	case u.User != nil:
		return "a user name or password does not belong here"
	case strings.Contains(u.Hostname(), "*"):
		return "wildcards are not allowed"
	}
	return ""
}

// loopback reports whether the host is this machine by any of its usual names.
func loopback(host string) bool {
	ip := net.ParseIP(host)
	return host == "localhost" || ip != nil && ip.IsLoopback()
}

// redirectURL checks a redirect URI: claimed https, loopback http, or a
// private-use scheme in reverse domain order (RFC 8252 §7; RFC 6749 §3.1.2).
func redirectURL(u *url.URL, text string) string {
	switch {
	case strings.Contains(text, "#"):
		return "a redirect URI has no fragment"
	case !u.IsAbs():
		return "expected an absolute URI"
	case u.Scheme == "https" || u.Scheme == "http":
		return webURL(u)
	case !privateForm.MatchString(u.Scheme):
		return "a private-use scheme is a domain name in reverse, such as com.example.app"
	}
	return ""
}

// logoutURL checks where a relying party hears of logouts: it may have a query and no
// fragment (OpenID Connect Back-Channel Logout 1.0 §2.2). What tells of a logout is not to be read on the way.
func logoutURL(u *url.URL, text string) string {
	if strings.Contains(text, "#") {
		return "the address has no fragment"
	}
	return webURL(u)
}

// originURL checks a web origin as browsers write it (RFC 6454 §6.2).
func originURL(u *url.URL, text string) string {
	if message := webURL(u); message != "" {
		return message
	}
	switch {
	case text != u.Scheme+"://"+u.Host:
		return "an origin is scheme, host and port alone, without a path or a final slash"
	case text != strings.ToLower(text):
		return "browsers send origins in lower case"
	case u.Scheme == "https" && u.Port() == "443", u.Scheme == "http" && u.Port() == "80":
		return "browsers leave the default port out"
	}
	return ""
}
