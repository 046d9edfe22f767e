package flowdefs

import (
	"maps"
	"slices"
	"strings"
	"time"
)

// The types of propagators that a target may have.
const (
	BearerJWT     = "bearer_jwt"     // an access token for the app
	HeaderJWT     = "header"         // the same, for a request header that a gateway looks at
	CookieJWT     = "cookie"         // the same, in a cookie that the browser alone has
	OneTimeCode   = "one_time_code"  // a code, which the target's own server trades for the token
	ProviderToken = "provider_token" // the access token of a provider
)

const (
	maxTTL        = 24 * time.Hour
	maxPropagates = 16 // entries of one target
)

// Audience is whom the tokens of a target that we make are for, "" if it gets no such token.
func (t *Target) Audience() string {
	for i := range t.Propagate {
		if a := t.Propagate[i].Audience; a != "" {
			return a
		}
	}
	return ""
}

// Coded reports whether a run for the target may turn into a one-time code.
func (t *Target) Coded() bool {
	return slices.ContainsFunc(t.Propagate, func(p Propagate) bool { return p.Type == OneTimeCode })
}

// Bearer reports whether a run for the target may turn into an access token for whoever asks for it.
func (t *Target) Bearer() bool {
	return slices.ContainsFunc(t.Propagate, func(p Propagate) bool { return p.Type == BearerJWT })
}

// propagates reads one entry, or a list of them, of which the first that fits counts.
func (l *loader) propagates(n *node, target string) []Propagate {
	what := "target " + quote(target) + ": propagate"
	items := []*node{n}
	if n.kind == sequenceKind {
		items = n.items
	}
	if len(items) == 0 || len(items) > maxPropagates {
		l.fail(n.pos, "%s: expected 1 to %d entries, found %d", what, maxPropagates, len(items))
		return nil
	}
	out := make([]Propagate, len(items))
	for i, item := range items {
		out[i] = l.propagate(item, target, what)
	}
	l.checkOrder(items, what)
	l.checkAudience(out, what)
	return out
}

// checkOrder: what stands behind an entry that always fits is never taken.
func (l *loader) checkOrder(items []*node, what string) {
	for _, item := range items[:len(items)-1] {
		if item.kind == mappingKind && item.get("if") == nil {
			l.fail(item.pos, "%s: this entry has no if, so that what stands behind it is never taken", what)
		}
	}
}

// checkAudience: a target is one application, whatever its token looks like.
func (l *loader) checkAudience(all []Propagate, what string) {
	first := slices.IndexFunc(all, func(p Propagate) bool { return p.Audience != "" })
	for _, p := range all[max(first, 0):] {
		if p.Audience != "" && p.Audience != all[first].Audience {
			l.fail(p.Pos, "%s: audience: %s is not that of the first entry, %s: a target has one audience", what, quote(p.Audience), quote(all[first].Audience))
		}
	}
}

// propagateKeys are the keys that only some types have.
func propagateKeys() map[string][]string {
	ours := []string{BearerJWT, HeaderJWT, CookieJWT, OneTimeCode}
	return map[string][]string{
		"audience": ours, "ttl": ours, "claims": ours,
		"header": {HeaderJWT}, "cookie": {CookieJWT}, "redeemer": {OneTimeCode}, "provider": {ProviderToken},
	}
}

func (l *loader) propagate(n *node, target, what string) Propagate {
	keys := propagateKeys()
	o, ok := l.object(n, what, append([]string{"if", "type"}, slices.Sorted(maps.Keys(keys))...))
	if !ok {
		return Propagate{}
	}
	p := Propagate{Pos: n.pos}
	if cond := n.get("if"); cond != nil {
		p.If = l.condition(cond, propagatePlace)
	}
	o.required("type")
	if p.Type = o.word("type", BearerJWT, HeaderJWT, CookieJWT, OneTimeCode, ProviderToken); p.Type == "" {
		return p
	}
	for _, key := range slices.Sorted(maps.Keys(keys)) {
		if at := n.get(key); at != nil && !slices.Contains(keys[key], p.Type) {
			l.fail(at.pos, "%s: %s is for type %s", what, key, strings.Join(keys[key], ", "))
		}
	}
	if p.Type == ProviderToken {
		return l.providerToken(n, o, p)
	}
	p.Audience, p.TTL = o.requiredText("audience"), o.duration("ttl", maxTTL)
	if claims := n.get("claims"); claims != nil {
		p.Claims = l.claims(claims, what+": claims")
	}
	switch p.Type {
	case HeaderJWT:
		p.Header = l.header(o)
	case CookieJWT:
		if cookie := o.required("cookie"); cookie != nil {
			p.Cookie = l.cookie(cookie, what+": cookie")
		}
	case OneTimeCode:
		p.Redeemer = o.requiredText("redeemer")
		if at := n.get("redeemer"); at != nil && at.kind == stringKind {
			l.refer("clients", at.text, at.pos)
			l.redeeming = append(l.redeeming, redeeming{p.Redeemer, target, at.pos})
		}
	default:
	}
	return p
}

// redeeming is a client that trades the codes of a target.
type redeeming struct {
	client, target string
	pos            Pos
}

// coded is a relying party that may trade codes and names no redirect URIs.
type coded struct {
	client *Client
	pos    Pos
}

// checkRedeeming: who trades a target's codes proves who it is, and has the target.
func (l *loader) checkRedeeming() {
	for _, r := range l.redeeming {
		c := l.set.Clients[r.client]
		switch {
		case c == nil: // said already
		case c.OAuth == nil || c.OAuth.Auth == AuthNone || !slices.Contains(c.OAuth.Grants, GrantCode):
			l.fail(r.pos, "redeemer: client %s does not trade codes, or does not prove who it is: it needs oauth with the grant %s and an auth other than %s", quote(r.client), GrantCode, AuthNone)
		case !slices.Contains(c.Targets, r.target):
			l.fail(r.pos, "redeemer: client %s does not have the target %s", quote(r.client), quote(r.target))
		}
	}
	for _, c := range l.coded {
		if !slices.ContainsFunc(l.redeeming, func(r redeeming) bool { return r.client == c.client.ID }) {
			l.fail(c.pos, "client %s: oauth: %s needs redirect_uris", quote(c.client.ID), GrantCode)
		}
	}
}

// providerToken reads the choice that hands a target the access token of a provider: what
// it says, and to whom, is the provider's affair.
func (l *loader) providerToken(n *node, o object, p Propagate) Propagate {
	p.Provider = o.requiredText("provider")
	if at := n.get("provider"); at != nil && at.kind == stringKind {
		l.refer("providers", at.text, at.pos)
		l.handing = append(l.handing, handing{p.Provider, at.pos})
	}
	return p
}

// handing is a target that gets the tokens of a provider.
type handing struct {
	provider string
	pos      Pos
}

// checkHanding: tokens are handed on that are kept, and that are good without our key.
func (l *loader) checkHanding() {
	for _, h := range l.handing {
		p := l.set.Providers[h.provider]
		switch {
		case p == nil: // said already
		case !p.KeepTokens:
			l.fail(h.pos, "provider: %s does not keep its tokens: expected keep_tokens: true there", quote(h.provider))
		case p.DPoP:
			l.fail(h.pos, "provider: the tokens of %s are bound to a key of Stile (dpop): nobody else can use them", quote(h.provider))
		}
	}
}

func (l *loader) claims(n *node, what string) map[string]*Condition {
	if n.kind != mappingKind {
		l.fail(n.pos, "%s: expected a mapping of claim names to expressions, found %s", what, n.describe())
		return nil
	}
	if len(n.keys) > maxConditions {
		l.fail(n.pos, "%s: %d claims; at most %d are allowed", what, len(n.keys), maxConditions)
		return nil
	}
	claims := make(map[string]*Condition, len(n.keys))
	for i, key := range n.keys {
		if key.text == "" {
			l.fail(key.pos, "%s: a claim needs a name", what)
		}
		if slices.Contains(reservedClaims(), key.text) {
			l.fail(key.pos, "%s: %q is reserved: it says what happened and cannot be set", what, key.text)
			continue
		}
		claims[key.text] = l.condition(n.items[i], claimPlace)
	}
	return claims
}
