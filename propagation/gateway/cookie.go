package gateway

import (
	"net/http"
	"net/textproto"
	"slices"
	"strings"

	"github.com/stile-auth/stile/propagation/rp"
)

// Prefixes of names of cookies (RFC 6265bis §4.1.3). What begins with the first no other
// host and no page without TLS can set: nobody can sign a browser in as somebody else with
// one. What begins with the second every host of its domain can set, with TLS.
const (
	hostPrefix   = "__Host-"
	securePrefix = "__Secure-"
)

// withCookie returns the request with the token of the resource's cookie as its bearer
// token, and what the application is to get as Authorization. A request without the
// cookie stays as it is. One token is enough: there is no order among two.
func (g *Gateway) withCookie(r *http.Request, resource *Resource, o original) (*http.Request, error) {
	values := cookies(r.Header, resource.Cookie)
	switch {
	case len(values) == 0:
		return r, nil
	case len(values) > 1 || len(r.Header["Authorization"]) > 0:
		return nil, &rp.Refusal{
			Status: http.StatusBadRequest, Code: "invalid_request", Detail: "There is more than one token.",
			Challenges: []string{`Bearer error="invalid_request", error_description="There is more than one token."`},
		}
	case !ownPage(r.Header, o.method, resource.Origin):
		return nil, notOwn()
	}
	if app := g.apps.at(o.host); app.holds(resource) {
		var k kept
		if err := g.open(app, useSession, values[0], &k); err != nil {
			k.Access = "-" // is no token
		}
		values[0] = k.Access
	}
	out := *r
	out.Header = r.Header.Clone()
	out.Header.Set("Authorization", "Bearer "+values[0]) // so a token that is bound to a key is refused
	return &out, nil
}

func notOwn() *rp.Refusal {
	return &rp.Refusal{Status: http.StatusForbidden, Code: "access_denied", Detail: "A page of another site may not ask for that."}
}

// cookies are the values of the cookies of that name, in whatever lines they are. Names
// are compared exactly.
func cookies(h http.Header, name string) []string {
	var out []string
	for _, line := range h["Cookie"] {
		for pair := range strings.SplitSeq(line, ";") {
			if found, value, _ := strings.Cut(textproto.TrimString(pair), "="); found == name {
				out = append(out, value)
			}
		}
	}
	return out
}

// otherCookies is the line of the cookies that are nobody's token.
func (g *Gateway) otherCookies(h http.Header) string {
	var out []string
	for _, line := range h["Cookie"] {
		for pair := range strings.SplitSeq(line, ";") {
			pair = textproto.TrimString(pair)
			if name, _, _ := strings.Cut(pair, "="); pair != "" && !slices.Contains(g.cookies, name) {
				out = append(out, pair)
			}
		}
	}
	return strings.Join(out, "; ")
}

// ownPage says whether a request that a browser has put a cookie on was made by a page of
// the same origin, or by the person (Fetch Metadata §2). Browsers say so themselves, in
// headers that no script can set. All that are there have to agree; a request that changes
// something needs one of them.
func ownPage(h http.Header, method, origin string) bool {
	safe := method == http.MethodGet || method == http.MethodHead
	site, from := h["Sec-Fetch-Site"], h["Origin"]
	if len(site) > 1 || len(from) > 1 || len(from) == 1 && from[0] != origin {
		return false
	}
	if len(site) == 0 {
		return safe || len(from) == 1
	}
	switch {
	case site[0] == "same-origin":
		return true
	case !safe:
		return false
	case site[0] == "none": // an address that was typed, a bookmark
		return true
	}
	// A link from elsewhere. What it opens in a frame or as an image is not for the person.
	return is(h, "Sec-Fetch-Mode", "navigate") && is(h, "Sec-Fetch-Dest", "document")
}

func is(h http.Header, name, value string) bool {
	values := h[name]
	return len(values) == 1 && values[0] == value
}

// handOn says which credentials the application gets: none of a cookie, unless the
// resource wants the token. What the client itself has sent stays as it is.
func (g *Gateway) handOn(h, asked http.Header, p passed) {
	h["Authorization"] = []string{""}
	switch {
	case p.bearer != "":
		h["Authorization"] = []string{p.bearer}
	case len(asked["Authorization"]) > 0:
		h["Authorization"] = asked["Authorization"]
	}
	h["Cookie"] = []string{g.otherCookies(asked)}
}
