package flowdefs

import (
	"encoding/json"
	"net/url"
	"regexp"
	"slices"
	"strings"
)

// providerKeys are the keys of a provider.
func providerKeys() []string {
	return []string{
		"preset", "with", "protocol", "issuer", "token_issuer", "tenants", "endpoints", "user", "token_info", "client_id", "client_authentication", "client_secret",
		"client_key", "client_key_id", "client_team", "client_certificate", "client_assertion_audience", "scopes", "userinfo", "algorithms",
		"response_mode", "par", "dpop", "request", "codes", "response_claims", "attributes", "groups", "update", "provision", "authoritative_for", "domains", "assurance",
		"front_channel_logout", "logout", "keep_tokens",
	}
}

var (
	pathForm      = regexp.MustCompile(`^[^.\s]+(\.[^.\s]+)*$`)
	tenantForm    = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9.-]*$`)
	parameterForm = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._-]*$`)
	domainForm    = regexp.MustCompile(`^([a-z0-9]([a-z0-9-]*[a-z0-9])?\.)+[a-z][a-z0-9-]*[a-z0-9]$`)
	codeForm      = regexp.MustCompile(`^[a-z][a-z_]*$`) // as oidcclient reports them
)

// authentications are the ways of client_authentication.
func authentications() []string {
	return []string{"client_secret_basic", "client_secret_post", "private_key_jwt", "tls_client_auth", "none", "signed_client_secret"}
}

// plain says whether it is a plain OAuth 2.0 provider.
func (o object) plain() bool {
	v := o.n.get("protocol")
	return v != nil && v.kind == stringKind && v.text == "oauth2"
}

// providerShape reads what kind of provider it is and where it is asked.
func (l *loader) providerShape(p *Provider, o object) {
	n := o.n
	o.word("protocol", "openid", "oauth2")
	p.UserInfo, p.DPoP = o.yes("userinfo"), o.yes("dpop")
	if p.FrontChannel = o.yes("front_channel_logout"); p.FrontChannel && o.plain() {
		l.fail(n.get("front_channel_logout").pos, "%s: front_channel_logout is for an OpenID provider: a plain OAuth 2.0 provider names no sessions", o.what)
	}
	p.KeepTokens = o.yes("keep_tokens")
	if p.SignsOut = o.word("logout", "here", "provider") == "provider"; p.SignsOut && o.plain() {
		l.fail(n.get("logout").pos, "%s: logout: provider is for an OpenID provider: a plain OAuth 2.0 provider has no place to sign out at", o.what)
	}
	p.Mode = o.word("response_mode", "query", "fragment", "form_post")
	p.Push = o.word("par", "always", "never")
	l.tenants(p, o)
	l.algorithms(p, o)
	if p.Response = o.text("response_claims"); p.Response != "" && (!parameterForm.MatchString(p.Response) || slices.Contains([]string{"code", "state", "iss", "error"}, p.Response)) {
		l.fail(n.get("response_claims").pos, "response_claims: %s is no parameter that holds claims", quote(p.Response))
	}
	l.mapped(p, o)
	if e := n.get("endpoints"); e != nil {
		l.endpoints(p, e, o.what+": endpoints", o.plain())
	} else if o.plain() {
		l.fail(n.pos, "%s: a plain OAuth 2.0 provider needs endpoints: nothing can be discovered", o.what)
	}
	user := n.get("user")
	switch {
	case o.plain() && user == nil:
		l.fail(n.pos, "%s: a plain OAuth 2.0 provider needs user, which says what its people are called by", o.what)
	case !o.plain() && user != nil:
		l.fail(user.pos, "%s: user is for a plain OAuth 2.0 provider: here the ID token says who it is", o.what)
	case user != nil:
		l.user(p, user, o.what+": user")
	}
	if t := n.get("token_info"); t != nil {
		l.tokenInfo(p, t, o.what+": token_info", n.get("client_secret") != nil)
	}
	if c := n.get("codes"); c != nil {
		if codes, ok := l.object(c, o.what+": codes", []string{"spent", "cancelled"}); ok {
			p.Codes = ErrorCodes{Spent: l.formed(codes, "spent", codeForm, "is no code of an error"), Cancelled: l.formed(codes, "cancelled", codeForm, "is no code of an error")}
		}
	}
}

func (l *loader) tenants(p *Provider, o object) {
	p.TokenIssuer = o.text("token_issuer")
	at := o.n.get("token_issuer")
	if at != nil && at.kind == stringKind {
		if strings.Count(p.TokenIssuer, "{tenantid}") != 1 {
			l.fail(at.pos, "token_issuer: expected {tenantid} once, where the tenant stands")
		} else {
			l.checkURL(&node{kind: stringKind, pos: at.pos, text: strings.Replace(p.TokenIssuer, "{tenantid}", "t", 1)}, "token_issuer", issuerURL)
		}
	}
	p.Tenants = l.formed(o, "tenants", tenantForm, "is no tenant")
	if t := o.n.get("tenants"); t != nil && at == nil {
		l.fail(t.pos, "%s: tenants is for a provider with token_issuer", o.what)
	}
}

// tokenAlgorithms are what an ID token may be signed with; the last five only where they are named.
func tokenAlgorithms() []string {
	return []string{"RS256", "PS256", "ES256", "ES384", "EdDSA", "RS384", "RS512", "PS384", "PS512", "ES512"}
}

func (l *loader) algorithms(p *Provider, o object) {
	var nodes []*node
	p.Algorithms, nodes = o.texts("algorithms")
	for i, name := range p.Algorithms {
		if !slices.Contains(tokenAlgorithms(), name) {
			l.fail(nodes[i].pos, "algorithms: expected %s, found %s%s", oneOf(tokenAlgorithms()), quote(name), didYouMeanOnly(name, tokenAlgorithms()))
		}
	}
	switch at := o.n.get("algorithms"); {
	case at != nil && o.plain():
		l.fail(at.pos, "%s: algorithms is for an OpenID provider: a plain OAuth 2.0 provider signs nothing for us", o.what)
	case at != nil && at.kind == sequenceKind && len(at.items) == 0:
		l.fail(at.pos, "algorithms: expected at least one: no sign-on could end")
	}
}

func (l *loader) endpoints(p *Provider, n *node, what string, plain bool) {
	o, ok := l.object(n, what, []string{"authorization", "token", "keys", "userinfo", "par", "introspection", "revocation", "end_session"})
	if !ok {
		return
	}
	p.Endpoints = &Endpoints{Authorization: o.requiredText("authorization"), Token: o.requiredText("token"), Push: o.text("par"), Introspection: o.text("introspection"), Revocation: o.text("revocation"), EndSession: o.text("end_session")}
	if p.Endpoints.Keys = o.text("keys"); !plain {
		o.required("keys")
	}
	if p.Endpoints.UserInfo = o.text("userinfo"); plain {
		o.required("userinfo")
	}
	for i, k := range n.keys {
		if n.items[i].kind == stringKind {
			l.checkURL(n.items[i], k.text, endpointURL)
		}
	}
}

// endpointURL checks the address of an endpoint (RFC 6749 §3.1).
func endpointURL(u *url.URL, text string) string {
	if message := webURL(u); message != "" {
		return message
	}
	if strings.Contains(text, "#") {
		return "an endpoint has no fragment"
	}
	return ""
}

func (l *loader) user(p *Provider, n *node, what string) {
	o, ok := l.object(n, what, []string{"subject", "email", "email_verified", "more"})
	if !ok {
		return
	}
	p.User = &UserInfo{Subject: o.requiredText("subject"), Email: o.text("email"), EmailVerified: o.text("email_verified")}
	p.User.More = l.table(o, "more", moreForm, "is no https address")
	if m := n.get("more"); m != nil && m.kind == mappingKind {
		if len(m.keys) > 3 {
			l.fail(m.pos, "more: %d questions; at most 3 are asked at each sign-on", len(m.keys))
		}
		for i, k := range m.keys {
			if !mappedForm.MatchString(k.text) {
				l.fail(k.pos, "more: %s is no name of a claim: a-z, 0-9 and _", quote(k.text))
			}
			if m.items[i].kind == stringKind {
				l.checkURL(m.items[i], "more: "+k.text, endpointURL)
			}
		}
	}
	for i, k := range n.keys {
		if v := n.items[i]; v.kind == stringKind && v.text != "" && !pathForm.MatchString(v.text) {
			l.fail(v.pos, "%s: %s %s", k.text, quote(v.text), notAPath)
		}
	}
}

func (l *loader) tokenInfo(p *Provider, n *node, what string, secret bool) {
	o, ok := l.object(n, what, []string{"endpoint", "parameter", "app", "subject", "expires", "valid", "authentication"})
	if !ok {
		return
	}
	p.TokenInfo = &TokenInfo{
		Endpoint: o.requiredText("endpoint"), Parameter: o.requiredText("parameter"), App: l.formed(o, "app", pathForm, notAPath),
		Subject: o.requiredText("subject"), Expires: o.requiredText("expires"), Valid: o.text("valid"),
		AppToken: o.word("authentication", "none", "app_token") == "app_token",
	}
	if at := n.get("endpoint"); at != nil && at.kind == stringKind {
		l.checkURL(at, "endpoint", endpointURL)
	}
	if at := n.get("parameter"); at != nil && at.kind == stringKind && !parameterForm.MatchString(at.text) {
		l.fail(at.pos, "parameter: %s is no name of a parameter", quote(at.text))
	}
	if app := o.required("app"); app != nil && app.kind == sequenceKind && len(app.items) == 0 {
		l.fail(app.pos, "app: expected at least one: without it the tokens of every app would do")
	}
	for _, key := range []string{"subject", "expires", "valid"} {
		if at := n.get(key); at != nil && at.kind == stringKind && at.text != "" && !pathForm.MatchString(at.text) {
			l.fail(at.pos, "%s: %s %s", key, quote(at.text), notAPath)
		}
	}
	if p.TokenInfo.AppToken && !secret {
		l.fail(n.pos, "%s: authentication app_token needs client_secret", what)
	}
}

const notAPath = "is no name: names of members, with dots between them"

// formed reads a list of texts of a form.
func (l *loader) formed(o object, key string, form *regexp.Regexp, otherwise string) []string {
	texts, nodes := o.texts(key)
	for i, text := range texts {
		if !form.MatchString(text) {
			l.fail(nodes[i].pos, "%s: %s %s", key, quote(text), otherwise)
		}
	}
	return texts
}

// credentials reads how Stile authenticates there.
func (l *loader) credentials(p *Provider, o object) {
	c := &p.Credentials
	for key, dst := range map[string]**SecretRef{"client_secret": &c.Secret, "client_key": &c.Key, "client_certificate": &c.Certificate} {
		if n := o.n.get(key); n != nil {
			*dst = l.secret(n, o.what+": "+key)
		}
	}
	c.Method = o.word("client_authentication", authentications()...)
	c.KeyID, c.Team = o.text("client_key_id"), o.text("client_team")
	c.AtToken = o.word("client_assertion_audience", "issuer", "token_endpoint") == "token_endpoint"
	has := func(key string) bool { return o.n.get(key) != nil }
	method := c.Method
	if method == "" {
		switch {
		case has("client_certificate"):
			method = "tls_client_auth"
		case has("client_key"):
			method = "private_key_jwt"
		case has("client_secret"):
			method = "client_secret_basic"
		default:
			method = "none"
		}
	}
	needs := map[string][]string{
		"client_secret_basic": {"client_secret"}, "client_secret_post": {"client_secret"},
		"private_key_jwt": {"client_key"}, "tls_client_auth": {"client_certificate", "client_key"},
		"signed_client_secret": {"client_key", "client_key_id", "client_team"},
	}
	for _, key := range []string{"client_secret", "client_key", "client_certificate", "client_key_id", "client_team"} {
		switch wanted := slices.Contains(needs[method], key); {
		case wanted && !has(key):
			l.fail(o.n.pos, "%s: %s needs %s", o.what, method, key)
		case !wanted && has(key) && (key != "client_key_id" || method != "private_key_jwt"):
			l.fail(o.n.get(key).pos, "%s: %s is of no use to %s", o.what, key, method)
		}
	}
}

// request reads what authorization requests say besides.
func (l *loader) request(p *Provider, o object) {
	n := o.n.get("request")
	if n == nil {
		return
	}
	r, ok := l.object(n, o.what+": request", []string{"claims", "domain_hint", "prompt", "parameters"})
	if !ok {
		return
	}
	p.Request = RequestExtras{DomainHint: r.text("domain_hint"), Prompt: r.text("prompt")}
	p.Request.Parameters = l.table(r, "parameters", valueForm, "is no value of a parameter")
	if at := n.get("parameters"); at != nil && at.kind == mappingKind {
		for _, k := range at.keys {
			if slices.Contains(ReservedParameters(), k.text) || !parameterForm.MatchString(k.text) {
				l.fail(k.pos, "parameters: %s cannot be set: Stile sets and checks it, or it is no name", quote(k.text))
			}
		}
	}
	if c := n.get("claims"); c != nil {
		p.Request.Claims = l.claimsRequest(c, o.what+": request: claims")
	}
}

// moreForm leaves out what is no address at all; the rest is checked as one.
var moreForm = regexp.MustCompile(`^https?://`)

var valueForm = regexp.MustCompile(`^[\x20-\x7E]*$`)

// ReservedParameters are the parameters of authorization requests that definitions
// cannot set: what they say is checked in the answer, or has a key of its own.
func ReservedParameters() []string {
	return []string{
		"acr_values", "claims", "client_assertion", "client_assertion_type", "client_id", "client_secret", "code_challenge",
		"code_challenge_method", "domain_hint", "dpop_jkt", "id_token_hint", "login_hint", "max_age", "nonce", "prompt", "redirect_uri",
		"registration", "request", "request_uri", "response_mode", "response_type", "scope", "state", "ui_locales",
	}
}

// claimsRequest reads a claims parameter, which may ask for anything but what the
// step asks for by itself: acr and auth_time are checked where they are asked for.
func (l *loader) claimsRequest(n *node, what string) map[string]any {
	o, ok := l.object(n, what, []string{"id_token", "userinfo"})
	if !ok {
		return nil
	}
	for i, part := range n.items {
		if part.kind != mappingKind {
			l.fail(part.pos, "%s: expected a mapping, found %s", n.keys[i].text, part.describe())
			continue
		}
		for _, name := range []string{"acr", "auth_time"} {
			if at := part.get(name); at != nil {
				l.fail(at.pos, "%s: %s is asked for by acr_values and max_age of the step, which check the answer", n.keys[i].text, name)
			}
		}
	}
	out, _ := plainOf(o.n).(map[string]any)
	return out
}

// plainOf is a node as JSON has it.
func plainOf(n *node) any {
	switch n.kind {
	case mappingKind:
		out := map[string]any{}
		for i, k := range n.keys {
			out[k.text] = plainOf(n.items[i])
		}
		return out
	case sequenceKind:
		out := []any{}
		for _, item := range n.items {
			out = append(out, plainOf(item))
		}
		return out
	case boolKind:
		return n.text == "true"
	case intKind:
		return json.Number(n.text)
	case nullKind:
		return nil
	case stringKind, otherKind:
	}
	return n.text
}
