package gateway

import (
	"net/http"
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

// Headers are all of them. Every proxy has to put them in the place of those that a
// client sends.
func Headers() []string {
	return []string{
		HeaderSubject, HeaderClient, HeaderSession, HeaderACR, HeaderAMR, HeaderAuthTime, HeaderScope, HeaderRoles, HeaderEntitlements, HeaderApp,
	}
}

// identity is what an answer 200 says: all headers, empty ones too, so that each
// replaces what the client has sent.
func identity(h http.Header, t rp.Token, app string) {
	for _, name := range Headers() {
		h.Set(name, "")
	}
	h.Set(HeaderSubject, word(t.Subject))
	h.Set(HeaderClient, word(t.Client))
	h.Set(HeaderSession, word(t.Session))
	h.Set(HeaderACR, word(t.ACR))
	h.Set(HeaderAMR, words(t.AMR))
	if !t.AuthTime.IsZero() {
		h.Set(HeaderAuthTime, strconv.FormatInt(t.AuthTime.Unix(), 10))
	}
	h.Set(HeaderScope, words(t.Scopes))
	h.Set(HeaderRoles, words(t.Roles))
	h.Set(HeaderEntitlements, words(t.Entitlements))
	h.Set(HeaderApp, word(app))
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
	var out []string
	for _, text := range list {
		if w := word(text); w != "" {
			out = append(out, w)
		}
	}
	return strings.Join(out, " ")
}
