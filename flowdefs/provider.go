package flowdefs

import (
	"regexp"
	"slices"

	"github.com/stile-auth/stile/flows/assurance"
)

var (
	scopeForm = regexp.MustCompile(`^[\x21\x23-\x5B\x5D-\x7E]+$`) // scope-token, RFC 6749 §3.3
	envForm   = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_]*$`)
)

func (l *loader) provider(key, n *node) {
	what := "provider " + quote(key.text)
	n, ok := l.preset(n, what)
	if !ok {
		return
	}
	o, ok := l.object(n, what, providerKeys())
	if !ok {
		return
	}
	p := &Provider{
		Name: key.text, Pos: key.pos, Preset: o.presetName(),
		Issuer:     o.requiredText("issuer"),
		ClientID:   o.requiredText("client_id"),
		Scopes:     l.scopes(o),
		Provision:  ProvisionNever,
		Categories: []assurance.Category{assurance.Knowledge},
		Cap:        assurance.AAL1,
	}
	if issuer := n.get("issuer"); p.Issuer != "" {
		l.checkURL(issuer, "issuer", issuerURL)
	}
	l.providerShape(p, o)
	l.credentials(p, o)
	l.request(p, o)
	if word := o.word("provision", string(ProvisionNever), string(ProvisionLinkOnly), string(ProvisionCreate)); word != "" {
		p.Provision = Provision(word)
	}
	p.Domains = l.formed(o, "domains", domainForm, "is no domain: expected it in lower-case ASCII (xn--... if it is international)")
	p.Authoritative = l.formed(o, "authoritative_for", domainForm, "is no domain: expected it in lower-case ASCII (xn--... if it is international)")
	if a := n.get("authoritative_for"); a != nil && (p.Provision == ProvisionNever || p.OAuth2()) {
		l.fail(a.pos, "%s: authoritative_for is for an OpenID provider with provision link_only or create", what)
	}
	if a := n.get("authoritative_for"); a != nil && p.TokenIssuer != "" && len(p.Tenants) == 0 {
		l.fail(a.pos, "%s: authoritative_for needs tenants: whoever has a tenant of their own says what they like of addresses there", what)
	}
	if a := n.get("assurance"); a != nil {
		l.providerAssurance(p, a, what+": assurance")
	}
	if a := n.get("assurance"); p.OAuth2() && a != nil && (p.Cap > assurance.AAL1 || len(p.Mapping) > 0) {
		l.fail(a.pos, "%s: assurance: a plain OAuth 2.0 provider says nothing of how people signed on: its cap is aal1, and it has no map", what)
	}
	l.set.Providers[key.text] = p
}

// scopes returns the scopes to ask for. Without "openid" there is no ID token
// (OpenID Connect Core §3.1.2.1), so it cannot be left out.
func (l *loader) scopes(o object) []string {
	n, plain := o.n.get("scopes"), o.plain()
	if n == nil && plain {
		return nil
	}
	if n == nil {
		return []string{"openid"}
	}
	scopes, nodes := o.texts("scopes")
	for i, s := range scopes {
		if !scopeForm.MatchString(s) {
			l.fail(nodes[i].pos, "scopes: %s is not one scope: no spaces, quotes or backslashes", quote(s))
		}
	}
	if n.kind == sequenceKind && !plain && !slices.Contains(scopes, "openid") {
		l.fail(n.pos, `scopes: "openid" is missing; without it a provider says nothing about who signed in`)
	}
	return scopes
}

func (l *loader) secret(n *node, what string) *SecretRef {
	if n.kind == stringKind {
		l.fail(n.pos, "%s: a secret does not stand in a definition; expected {env: NAME} or {file: PATH}", what)
		return nil
	}
	o, ok := l.object(n, what, []string{"env", "file"})
	if !ok {
		return nil
	}
	env, file := n.get("env"), n.get("file")
	if (env == nil) == (file == nil) {
		l.fail(n.pos, "%s: expected exactly one of env and file", what)
		return nil
	}
	if file != nil {
		return &SecretRef{File: o.requiredText("file")}
	}
	ref := &SecretRef{Env: o.requiredText("env")}
	if ref.Env != "" && !envForm.MatchString(ref.Env) {
		l.fail(env.pos, "%s: %s is not the name of an environment variable", what, quote(ref.Env))
	}
	return ref
}

func (l *loader) providerAssurance(p *Provider, n *node, what string) {
	o, ok := l.object(n, what, []string{"categories", "cap", "map"})
	if !ok {
		return
	}
	if n.get("cap") != nil {
		p.Cap = o.level("cap")
	}
	if n.get("categories") != nil {
		p.Categories = l.categories(o)
	}
	mapping := n.get("map")
	switch {
	case mapping == nil:
	case mapping.kind != sequenceKind || len(mapping.items) == 0:
		l.fail(mapping.pos, "%s: map: expected a list, found %s", what, mapping.describe())
	case len(mapping.items) > maxConditions:
		l.fail(mapping.pos, "%s: map: %d entries; at most %d are allowed", what, len(mapping.items), maxConditions)
	default:
		for _, item := range mapping.items {
			p.Mapping = append(p.Mapping, l.mapping(item, p.Cap, what+": map"))
		}
	}
}

// mapping reads one entry: what a provider says, and what that is worth here.
func (l *loader) mapping(n *node, limit assurance.Level, what string) Mapping {
	o, ok := l.object(n, what, []string{"acr", "amr", "categories", "grants", "replay_resistant", "phishing_resistant", "cap"})
	if !ok {
		return Mapping{}
	}
	m := Mapping{Cap: limit, ReplayResistant: o.yes("replay_resistant"), PhishingResistant: o.yes("phishing_resistant")}
	m.ACR, _ = o.texts("acr")
	m.AMR, _ = o.texts("amr")
	if len(m.ACR) == 0 && len(m.AMR) == 0 {
		l.fail(n.pos, "%s: expected acr, amr or both: what fits everything stands beside map", what)
	}
	if o.required("categories") != nil {
		m.Categories = l.categories(o)
	}
	grants, nodes := o.texts("grants")
	known := assurance.Mappable()
	for i, value := range grants {
		if !slices.Contains(known, value) {
			l.fail(nodes[i].pos, "grants: %s is not an amr value that a provider can stand for%s", quote(value), didYouMean(value, known))
		}
	}
	m.Grants = grants
	if c := n.get("cap"); c != nil {
		if m.Cap = o.level("cap"); m.Cap > limit {
			l.fail(c.pos, "cap: %s is above the provider's own, %s", m.Cap, limit)
		}
	}
	return m
}

// categories reads a list of factor categories, at least one.
func (l *loader) categories(o object) (out []assurance.Category) {
	list := o.n.get("categories")
	names, nodes := o.texts("categories")
	if list.kind == sequenceKind && len(list.items) == 0 {
		l.fail(list.pos, "categories: expected at least one")
	}
	known := []string{string(assurance.Knowledge), string(assurance.Possession), string(assurance.Inherence)}
	for i, name := range names {
		if !slices.Contains(known, name) {
			l.fail(nodes[i].pos, "categories: expected %s, found %s%s", oneOf(known), quote(name), didYouMeanOnly(name, known))
		}
		out = append(out, assurance.Category(name))
	}
	return out
}
