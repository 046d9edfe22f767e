package flowdefs

import (
	"maps"
	"regexp"
	"slices"
	"strings"
)

// Cookie is where a browser keeps the token of a target, out of reach of scripts: it is
// always Secure and HttpOnly, and never sent along with what another site embeds.
type Cookie struct {
	Name   string
	Domain string // "": the host that sets it alone
	Path   string
	Strict bool // SameSite=Strict; else Lax
}

const (
	prefixHost   = "__Host-"
	prefixSecure = "__Secure-"
	prefixOwn    = "__Host-stile-" // of the cookies of the hosted pages
)

var (
	cookieForm = regexp.MustCompile(`^__(Host|Secure)-[A-Za-z0-9_.-]{1,64}$`)
	domainTree = regexp.MustCompile(`^[a-z0-9]([a-z0-9-]*[a-z0-9])?(\.[a-z0-9]([a-z0-9-]*[a-z0-9])?)+$`)
	cookiePath = regexp.MustCompile(`^/[A-Za-z0-9/._~-]{0,255}$`)
	headerForm = regexp.MustCompile(`^[A-Za-z][A-Za-z0-9-]{0,63}$`)
)

func (l *loader) cookie(n *node, what string) *Cookie {
	o, ok := l.object(n, what, []string{"name", "domain", "path", "same_site"})
	if !ok {
		return nil
	}
	c := &Cookie{Name: o.requiredText("name"), Domain: o.text("domain"), Path: "/", Strict: o.word("same_site", "lax", "strict") == "strict"}
	if at := n.get("path"); at != nil {
		if c.Path = l.text(at, "path"); at.kind == stringKind && !cookiePath.MatchString(c.Path) {
			l.fail(at.pos, "path: expected a path such as /shop, found %s", quote(c.Path))
		}
	}
	// Without a prefix any page of the domain, on http too, could set a cookie of that name (RFC 6265bis §4.1.3).
	if at := n.get("name"); at != nil && at.kind == stringKind {
		switch {
		case !cookieForm.MatchString(c.Name):
			l.fail(at.pos, "name: expected %sNAME or %sNAME, with letters, digits, and . _ - in NAME, found %s", prefixHost, prefixSecure, quote(c.Name))
		case strings.HasPrefix(c.Name, prefixOwn):
			l.fail(at.pos, "name: cookies that begin with %s are Stile's own", prefixOwn)
		}
	}
	if at := n.get("domain"); at != nil && at.kind == stringKind && !domainTree.MatchString(c.Domain) {
		l.fail(at.pos, "domain: expected a domain such as bank.example, found %s", quote(c.Domain))
	}
	if strings.HasPrefix(c.Name, prefixHost) && (c.Domain != "" || c.Path != "/") {
		l.fail(n.pos, "%s: a cookie that begins with %s is the host's alone: it has no domain, and the path /", what, prefixHost)
	}
	return c
}

// header is the name of a request header: none that means something already.
func (l *loader) header(o object) string {
	name := o.requiredText("header")
	at := o.n.get("header")
	if at == nil || at.kind != stringKind || name == "" {
		return name
	}
	low := strings.ToLower(name)
	taken := slices.Contains([]string{
		"authorization", "connection", "cookie", "date", "dpop", "expect", "forwarded", "host", "keep-alive", "origin", "range",
		"referer", "te", "trailer", "transfer-encoding", "upgrade", "user-agent", "via", "x-real-ip",
	}, low) || slices.ContainsFunc([]string{"accept", "access-control-", "content-", "if-", "proxy-", "sec-", "x-forwarded-"}, func(prefix string) bool {
		return strings.HasPrefix(low, prefix)
	})
	switch {
	case !headerForm.MatchString(name):
		l.fail(at.pos, "header: expected the name of a request header such as X-Identity, found %s", quote(name))
	case taken:
		l.fail(at.pos, "header: %s means something else in requests", quote(name))
	}
	return name
}

// Cookies are those that a run for the target may end in.
func (t *Target) Cookies() []Cookie {
	var out []Cookie
	for _, p := range t.Propagate {
		if p.Cookie != nil {
			out = append(out, *p.Cookie)
		}
	}
	return out
}

func (l *loader) checkCookies() {
	for _, id := range slices.Sorted(maps.Keys(l.set.Clients)) {
		l.checkCookiesOf(l.set.Clients[id])
	}
}

// checkCookiesOf: a cookie is for a client that runs in browsers, and the browser has no key.
func (l *loader) checkCookiesOf(c *Client) {
	for _, name := range c.Targets {
		t := l.set.Targets[name]
		if t == nil || len(t.Cookies()) == 0 {
			continue
		}
		if len(c.Origins) == 0 {
			l.fail(c.Pos, "client %s: target %s sets a cookie, which is for clients that run in browsers: name their origins", quote(c.ID), quote(name))
		}
		if c.DPoPRequired {
			l.fail(c.Pos, "client %s: target %s sets a cookie, which is bound to no key: the client needs dpop: optional", quote(c.ID), quote(name))
		}
	}
}

func cookie7() object7 {
	return documented(closed(object7{
		"name":      formed(cookieForm.String()),
		"domain":    documented(formed(domainTree.String()), "Whose hosts get it; the server's alone if absent."),
		"path":      documented(formed(cookiePath.String()), "/ if absent."),
		"same_site": documented(words7("lax", "strict"), "lax if absent."),
	}, "name"), "The cookie; always Secure and HttpOnly.")
}
