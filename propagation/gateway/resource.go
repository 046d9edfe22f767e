package gateway

import (
	"net/url"
	"slices"
	"strings"

	"github.com/stile-auth/stile/propagation/rp"
)

// Who a resource is for.
const (
	ForToken    = "token"    // who has an access token that satisfies the rule
	ForApp      = "app"      // applications with a key of theirs
	ForEveryone = "everyone" // nothing is asked
)

// Resource is a part of a host, and what it asks for.
type Resource struct {
	Name    string   // for people, and for API keys, which are for resources
	Origin  string   // how clients reach it: https://shop.example
	Path    string   // it and everything below; "/" is all
	Methods []string // empty: all. GET is HEAD too
	For     string   // ForToken, ForApp or ForEveryone
	// Audience and Rule are for ForToken.
	Audience string
	Rule     rp.Rule
	// Cookie is the name of a cookie that may hold the token, for ForToken: browsers send it
	// by themselves, so a request with it has to come from a page of Origin.
	Cookie string
	// Forward is ForwardToken if the application gets the token of the cookie, as a bearer
	// token. Default: it gets the headers alone.
	Forward string
}

// ForwardToken hands the token of a cookie to the application.
const ForwardToken = "token"

// cookieName are the characters of names of cookies that nobody quotes or encodes.
const cookieName = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_."

// check adds what is wrong with a resource, or with what is like one, and says whether
// nothing is.
func (r *Resource) check(about string, m *mistakes) bool {
	before := len(*m)
	need := func(ok bool, format string, args ...any) {
		if !ok {
			m.add(about, r.Name, format, args...)
		}
	}
	u, err := url.Parse(r.Origin)
	need(err == nil && (u.Scheme == "https" || u.Scheme == "http") && u.Host != "" && u.Scheme+"://"+strings.ToLower(u.Host) == r.Origin && !strings.HasSuffix(u.Host, ":"),
		"the origin is not one such as https://shop.example, but %q", r.Origin)
	read, err := canonical(r.Path)
	need(err == nil && read == r.Path && (r.Path == "/" || !strings.HasSuffix(r.Path, "/")), "the path is not one such as /orders, but %q", r.Path)
	for _, m := range r.Methods {
		need(m != "" && strings.ToUpper(m) == m && strings.Trim(m, "ABCDEFGHIJKLMNOPQRSTUVWXYZ-") == "", "%q is no method", m)
	}
	asks := r.Audience != "" || len(slices.Concat(r.Rule.ACR, r.Rule.AMR, r.Rule.Scopes, r.Rule.Roles, r.Rule.Entitlements)) > 0 || r.Rule.MaxAge != 0
	switch r.For {
	case ForToken:
		need(r.Audience != "", "it is for tokens, and names no audience")
		need(r.Cookie == "" || strings.Trim(r.Cookie, cookieName) == "", "%q is no name of a cookie", r.Cookie)
		need(r.Cookie == "" || u == nil || u.Scheme != "https" || prefixed(r.Cookie, about),
			"the name of the cookie does not begin with %s, so pages without TLS and other hosts could set it", hostPrefix)
		need(r.Forward == "" || r.Forward == ForwardToken && r.Cookie != "", "it forwards %q, of no cookie", r.Forward)
		err := r.Rule.Check()
		need(err == nil, "%v", err)
	case ForApp, ForEveryone:
		need(!asks && r.Cookie == "" && r.Forward == "", "it is for %s, and asks for tokens", r.For)
	default:
		need(false, "it is for %q", r.For)
	}
	return len(*m) == before
}

// prefixed says whether the name of a cookie keeps others from setting it, as far as can be:
// one that an authorization server sets for all hosts of a domain is one that they all set.
// An app's own is for one host.
func prefixed(cookie, about string) bool {
	for _, prefix := range []string{hostPrefix, securePrefix} {
		if strings.HasPrefix(cookie, prefix) && len(cookie) > len(prefix) {
			return prefix == hostPrefix || about == AboutResource
		}
	}
	return false
}

// takes says whether the resource is for requests of that method.
func (r *Resource) takes(method string) bool {
	return len(r.Methods) == 0 || slices.Contains(r.Methods, method) || method == "HEAD" && slices.Contains(r.Methods, "GET")
}

// table finds the resource of a request.
type table map[string][]*Resource // by authority; the longest path first

func newTable(all []Resource, m *mistakes) table {
	t := table{}
	names := map[string]bool{}
	for i := range all {
		r := &all[i]
		if !r.check(AboutResource, m) {
			continue
		}
		if names[r.Name] {
			m.add(AboutResource, r.Name, "there are two resources %s", r.Name)
		}
		names[r.Name] = true
		scheme, host, _ := strings.Cut(r.Origin, "://")
		at := authority(host, scheme)
		for _, other := range t[at] {
			if strings.EqualFold(other.Path, r.Path) && (other.Path != r.Path || overlap(other, r)) {
				m.add(AboutResource, r.Name, "resources %s and %s are for the same requests", other.Name, r.Name)
			}
			if other.Origin != r.Origin {
				m.add(AboutResource, r.Name, "resources %s and %s have one host and two origins", other.Name, r.Name)
			}
		}
		t[at] = append(t[at], r)
	}
	for _, rs := range t {
		slices.SortStableFunc(rs, func(a, b *Resource) int { return len(b.Path) - len(a.Path) })
	}
	return t
}

// overlap says whether there is a method that both take, though neither is the more particular.
func overlap(a, b *Resource) bool {
	if len(a.Methods) == 0 || len(b.Methods) == 0 {
		return len(a.Methods) == len(b.Methods)
	}
	return slices.ContainsFunc(append(a.Methods, "HEAD"), func(m string) bool { return a.takes(m) && b.takes(m) })
}

// authority is a host as one is compared: in lower case, without the port of the scheme.
func authority(host, scheme string) string {
	host = strings.ToLower(host)
	if scheme == "https" {
		return strings.TrimSuffix(host, ":443")
	}
	return strings.TrimSuffix(host, ":80")
}

// find returns the resource of a request; nil if there is none. The longest path
// decides alone: if none of its resources takes the method, nobody does. A path that
// is another one only by its case belongs to nothing: applications differ in whether
// that is the same.
func (t table) find(o original) *Resource {
	rs, ok := t[authority(o.host, "https")]
	if !ok {
		rs = t[authority(o.host, "http")]
	}
	var best *Resource
	length := -1
	for _, r := range rs {
		if len(r.Path) < length {
			break
		}
		if !below(o.path, r.Path) {
			continue
		}
		length = len(r.Path)
		if r.takes(o.method) && (best == nil || len(r.Methods) > 0) {
			best = r
		}
	}
	if best == nil || best.Path != "/" && !strings.HasPrefix(o.path, best.Path) {
		return nil
	}
	return best
}

// below says whether a path is that of a resource or below it, whatever the case.
func below(path, prefix string) bool {
	if prefix == "/" {
		return true
	}
	return len(path) >= len(prefix) && strings.EqualFold(path[:len(prefix)], prefix) &&
		(len(path) == len(prefix) || path[len(prefix)] == '/')
}
