package rp

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"
)

// Rule says what a resource asks of a token. The zero Rule asks for a good token
// and nothing more.
type Rule struct {
	ACR          []string      // one of these, the preferred first
	AMR          []string      // all of these (RFC 8176)
	MaxAge       time.Duration // greatest age of the authentication, in whole seconds; 0: any
	Scopes       []string      // all of these
	Roles        []string      // all of these
	Entitlements []string      // all of these
}

// Check says whether the rule can be said in a challenge: for rules that are not written in programs.
func (r Rule) Check() error {
	if r.MaxAge < 0 || r.MaxAge%time.Second != 0 {
		return fmt.Errorf("rp: a MaxAge of %v; it is not negative and has whole seconds", r.MaxAge)
	}
	for _, word := range slices.Concat(r.ACR, r.AMR, r.Scopes, r.Roles, r.Entitlements) {
		if word == "" || strings.ContainsFunc(word, notQuotable) || strings.Contains(word, " ") {
			return fmt.Errorf("rp: %q in a rule", word)
		}
	}
	return nil
}

func (r Rule) must() {
	if err := r.Check(); err != nil {
		panic(err)
	}
}

// notQuotable is what a quoted string of a challenge does not have unescaped (RFC 6750 §3).
func notQuotable(c rune) bool { return c < ' ' || c > '~' || c == '"' || c == '\\' }

// of compares a token with the rule. Who could get further by authenticating
// again is told so first (RFC 9470 §3), who never could is told that.
func (r Rule) of(scheme string, t Token, now time.Time) *Refusal {
	for _, p := range []struct{ wanted, got []string }{{r.Scopes, t.Scopes}, {r.Roles, t.Roles}, {r.Entitlements, t.Entitlements}} {
		if !subset(p.wanted, p.got) {
			return &Refusal{Status: http.StatusForbidden, Code: codeScope, Detail: "The token does not allow that.", scheme: scheme}
		}
	}
	insufficient := func(detail string) *Refusal {
		return &Refusal{Status: http.StatusUnauthorized, Code: codeInsufficient, Detail: detail, scheme: scheme}
	}
	switch {
	case len(r.ACR) > 0 && !slices.Contains(r.ACR, t.ACR):
		return insufficient("A stronger authentication is required.")
	case !subset(r.AMR, t.AMR):
		return insufficient("Another authentication method is required.")
	case r.MaxAge > 0 && (t.AuthTime.IsZero() || now.Sub(t.AuthTime) > r.MaxAge):
		return insufficient("A more recent authentication is required.")
	}
	return nil
}

func subset(wanted, got []string) bool {
	return !slices.ContainsFunc(wanted, func(w string) bool { return !slices.Contains(got, w) })
}
