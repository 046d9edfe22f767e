package gateway

import (
	"net/http"
	"slices"
	"strconv"
	"strings"

	"github.com/stile-auth/stile/propagation/rp"
)

// headerPrefix begins the names of all headers that applications get from us, in lower case.
const headerPrefix = "stile-"

// The headers that tell the application who is there. Lists are separated by spaces.
const (
	HeaderSubject      = "Stile-Subject"
	HeaderClient       = "Stile-Client"
	HeaderSession      = "Stile-Session"
	HeaderACR          = "Stile-Acr"
	HeaderAMR          = "Stile-Amr"
	HeaderAuthTime     = "Stile-Auth-Time" // seconds since 1970
	HeaderScope        = "Stile-Scope"
	HeaderRoles        = "Stile-Roles"
	HeaderEntitlements = "Stile-Entitlements"
	HeaderApp          = "Stile-App" // whose API key it was
)

// names are all of them.
var names = [...]string{ //nolint:gochecknoglobals // a constant
	HeaderSubject, HeaderClient, HeaderSession, HeaderACR, HeaderAMR, HeaderAuthTime, HeaderScope, HeaderRoles, HeaderEntitlements, HeaderApp,
}

// Headers are the names of all of them. Every proxy has to put them in the place of those
// that a client sends.
func Headers() []string { return slices.Clone(names[:]) }

// identity is what an answer 200 says: all headers, empty ones too, so that each
// replaces what the client has sent.
func identity(h http.Header, t rp.Token, app string) {
	at := ""
	if !t.AuthTime.IsZero() {
		at = strconv.FormatInt(t.AuthTime.Unix(), 10)
	}
	all := [...]string{ // in the order of Headers
		word(t.Subject), word(t.Client), word(t.Session), word(t.ACR), words(t.AMR), at,
		words(t.Scopes), words(t.Roles), words(t.Entitlements), word(app),
	}
	for i, name := range names {
		h[name] = all[i : i+1 : i+1]
	}
}

// word is a text if a header can carry it, without its meaning another thing there.
func word(text string) string {
	if strings.ContainsFunc(text, func(c rune) bool { return c <= ' ' || c > '~' }) {
		return ""
	}
	return text
}

// words leaves out what is no word: "a b" in a list would be read as two.
func words(list []string) string {
	if len(list) == 1 {
		return word(list[0])
	}
	var out []string
	for _, text := range list {
		if w := word(text); w != "" {
			out = append(out, w)
		}
	}
	return strings.Join(out, " ")
}
