package flowdefs

import (
	"slices"
	"time"

	"github.com/stile-auth/stile/flows/assurance"
)

const maxTTL = 24 * time.Hour

// reservedClaims are written by the issuer alone: a target's claims cannot touch them
// (RFC 7519 §4.1, RFC 7800, RFC 8693, RFC 9068, OpenID Connect Core §2).
func reservedClaims() []string {
	return []string{
		"iss", "sub", "aud", "exp", "nbf", "iat", "jti", "client_id", "sid", "acr", "amr",
		"auth_time", "cnf", "typ", "azp", "nonce", "at_hash", "c_hash", "events", "scope", "act", "may_act", "authorization_details",
	}
}

func (l *loader) target(key, n *node) {
	what := "target " + quote(key.text)
	o, ok := l.object(n, what, []string{"flow", "authorize", "requires", "scale", "enrol", "propagate"})
	if !ok {
		return
	}
	t := &Target{Name: key.text, Pos: key.pos}
	if flow := o.required("flow"); flow != nil {
		t.Flow = l.text(flow, "flow")
		if flow.kind == stringKind {
			l.refer("flows", flow.text, flow.pos)
		}
	}
	names, nodes := o.texts("authorize")
	for i, name := range names {
		l.refer("flows", name, nodes[i].pos)
		l.authorizing = append(l.authorizing, authorizing{t, name, nodes[i].pos})
	}
	t.Authorize = names
	if requires := n.get("requires"); requires != nil {
		t.Requires = l.requirement(requires, what+": requires")
	}
	if enrol := n.get("enrol"); enrol != nil {
		if t.Enrol = l.text(enrol, "enrol"); enrol.kind == stringKind {
			l.refer("flows", enrol.text, enrol.pos)
			l.enrolling = append(l.enrolling, authorizing{t, enrol.text, enrol.pos})
		}
	}
	t.Scale = l.scaleOf(o, t.Requires)
	if propagate := o.required("propagate"); propagate != nil {
		t.Propagate = l.propagate(propagate, what+": propagate")
	}
	l.set.Targets[key.text] = t
}

func (l *loader) requirement(n *node, what string) Requirement {
	o, ok := l.object(n, what, []string{"acr", "max_age"})
	if !ok {
		return Requirement{}
	}
	return Requirement{ACR: l.levelName(o, "acr"), MaxAge: o.duration("max_age", 365*24*time.Hour)}
}

// level returns a level by name, None if the key is absent or wrong.
func (o object) level(key string) assurance.Level {
	name := o.word(key, assurance.Levels()...)
	level, err := assurance.ParseLevel(name)
	if err != nil {
		return assurance.None
	}
	return level
}

func (l *loader) propagate(n *node, what string) Propagate {
	o, ok := l.object(n, what, []string{"type", "audience", "ttl", "claims", "provider"})
	if !ok {
		return Propagate{}
	}
	o.required("type")
	if n.get("type") != nil && o.word("type", "bearer_jwt", "provider_token") == "provider_token" {
		return l.providerToken(n, o)
	}
	if p := n.get("provider"); p != nil {
		l.fail(p.pos, "%s: provider is for type provider_token", what)
	}
	p := Propagate{
		Type:     "bearer_jwt",
		Audience: o.requiredText("audience"),
		TTL:      o.duration("ttl", maxTTL),
	}
	if claims := n.get("claims"); claims != nil {
		p.Claims = l.claims(claims, what+": claims")
	}
	return p
}

// providerToken reads the choice that hands a target the access token of a provider: what
// it says, and to whom, is the provider's affair.
func (l *loader) providerToken(n *node, o object) Propagate {
	for _, key := range []string{"audience", "ttl", "claims"} {
		if v := n.get(key); v != nil {
			l.fail(v.pos, "%s: %s is for type bearer_jwt: the provider has made the token", o.what, key)
		}
	}
	p := Propagate{Type: "provider_token", Provider: o.requiredText("provider")}
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
