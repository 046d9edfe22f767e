package flowdefs

import (
	"encoding/json"
	"slices"
	"strings"
	"time"
)

// Grants that a client may have at the authorization server.
const (
	GrantCode    = "authorization_code"
	GrantRefresh = "refresh_token"
	GrantClient  = "client_credentials"
)

// Ways in which a client proves who it is (OpenID Connect Core 1.0 §9).
const (
	AuthNone       = "none"
	AuthBasic      = "client_secret_basic"
	AuthPost       = "client_secret_post"
	AuthPrivateKey = "private_key_jwt"
)

// OAuth makes a client a relying party of the authorization server.
type OAuth struct {
	Grants      []string
	Auth        string
	Secrets     []string // SHA-256 of its secret in hexadecimal, of two while one takes the place of the other; none if it has none
	Keys        string   // its public keys, a JWK Set (RFC 7517 §5); "" if it has none
	Scopes      []string
	Refresh     time.Duration // how long refresh tokens are good, from the sign-in
	SignedOut   []string      // where browsers may come back to when they have signed out; exact
	BackChannel string        // where it is told that a session has ended; "" if it is not
}

// maxScope bounds a scope, in bytes.
const maxScope = 128

// LongestRefresh bounds how long refresh tokens are good.
const LongestRefresh = 366 * 24 * time.Hour

const (
	defaultRefresh = 30 * 24 * time.Hour
)

func (l *loader) oauth(c *Client, n *node, what string) {
	what += ": oauth"
	o, ok := l.object(n, what, []string{"grants", "auth", "secret_hash", "keys", "scopes", "refresh", "post_logout_redirect_uris", "backchannel_logout_uri"})
	if !ok {
		return
	}
	a := &OAuth{Auth: o.word("auth", AuthNone, AuthBasic, AuthPost, AuthPrivateKey), Refresh: o.duration("refresh", LongestRefresh)}
	o.required("auth")
	if a.Refresh == 0 {
		a.Refresh = defaultRefresh
	}
	a.Grants = l.grants(o, what)
	a.Scopes = l.allowed(o)
	l.credential(o, a, what)
	a.SignedOut = l.urls(o, "post_logout_redirect_uris", redirectURL)
	if at := n.get("backchannel_logout_uri"); at != nil {
		a.BackChannel = o.text("backchannel_logout_uri")
		l.checkURL(at, "backchannel_logout_uri", logoutURL)
	}
	if len(c.Targets) == 0 {
		l.fail(n.pos, "%s: a relying party needs targets: its tokens are for them", what)
	}
	if slices.Contains(a.Grants, GrantCode) && len(c.RedirectURIs) == 0 {
		l.coded = append(l.coded, coded{c, n.pos}) // unless its codes are not its own
	}
	if slices.Contains(a.Grants, GrantRefresh) && !slices.Contains(a.Grants, GrantCode) {
		l.fail(n.pos, "%s: %s comes with %s", what, GrantRefresh, GrantCode)
	}
	if slices.Contains(a.Grants, GrantClient) && a.Auth == AuthNone {
		l.fail(n.pos, "%s: %s is for clients that prove who they are", what, GrantClient)
	}
	c.OAuth = a
}

func (l *loader) grants(o object, what string) []string {
	texts, nodes := o.texts("grants")
	known := []string{GrantCode, GrantRefresh, GrantClient}
	for i, g := range texts {
		switch {
		case g == "password" || g == "implicit":
			l.fail(nodes[i].pos, "%s: grants: there is no %s grant: a flow takes its place", what, g)
		case !slices.Contains(known, g):
			l.fail(nodes[i].pos, "%s: grants: expected %s, found %s", what, oneOf(known), quote(g))
		}
	}
	if len(texts) == 0 {
		return []string{GrantCode}
	}
	return texts
}

// allowed are scopes: tokens as RFC 6749 §3.3 has them.
func (l *loader) allowed(o object) []string {
	texts, nodes := o.texts("scopes")
	for i, s := range texts {
		if len(s) > maxScope || !scopeForm.MatchString(s) {
			l.fail(nodes[i].pos, "scopes: %s is no scope", quote(s))
		}
	}
	return texts
}

// credential is what the client proves itself with: just what its way of doing so needs.
func (l *loader) credential(o object, a *OAuth, what string) {
	secret := a.Auth == AuthBasic || a.Auth == AuthPost
	if at := o.n.get("secret_hash"); at != nil || secret {
		a.Secrets = l.hashes(o, what)
		if at != nil && !secret && a.Auth != "" {
			l.fail(at.pos, "%s: auth %s has no secret", what, a.Auth)
		}
	}
	if at := o.n.get("keys"); at != nil || a.Auth == AuthPrivateKey {
		a.Keys = o.requiredText("keys")
		var set struct {
			Keys []map[string]any `json:"keys"`
		}
		switch err := json.Unmarshal([]byte(a.Keys), &set); {
		case at == nil:
		case err != nil || len(set.Keys) == 0:
			l.fail(at.pos, "%s: keys: expected a JWK Set in JSON", what)
		case slices.ContainsFunc(set.Keys, func(k map[string]any) bool { return k["d"] != nil || k["k"] != nil }):
			l.fail(at.pos, "%s: keys: a private key or a secret stands in it; it belongs to the client alone", what)
		case a.Auth != AuthPrivateKey && a.Auth != "":
			l.fail(at.pos, "%s: auth %s has no keys", what, a.Auth)
		}
	}
}

// maxSecrets: one, and the one that takes its place.
const maxSecrets = 2

// hashes reads one hash of a secret, or a list of them.
func (l *loader) hashes(o object, what string) []string {
	at := o.required("secret_hash")
	if at == nil {
		return nil
	}
	all, nodes := []string{at.text}, []*node{at}
	if at.kind == sequenceKind {
		if all, nodes = o.texts("secret_hash"); len(at.items) == 0 || len(at.items) > maxSecrets {
			l.fail(at.pos, "%s: secret_hash: expected one, or two while one takes the place of the other", what)
		}
	}
	for i, hash := range all {
		if nodes[i].kind != stringKind || len(hash) != 64 || strings.Trim(hash, "0123456789abcdef") != "" {
			l.fail(nodes[i].pos, "%s: secret_hash: expected the SHA-256 of the secret, 64 digits of 0-9 and a-f", what)
		}
	}
	return all
}

func oauth7() object7 {
	hash := formed(`^[0-9a-f]{64}$`)
	hashes := some(set7(hash))
	hashes["maxItems"] = maxSecrets
	s := closed(object7{
		"grants":      documented(set7(words7(GrantCode, GrantRefresh, GrantClient)), "What it may trade for tokens; authorization_code if absent."),
		"auth":        documented(words7(AuthNone, AuthBasic, AuthPost, AuthPrivateKey), "How it proves who it is."),
		"secret_hash": documented(object7{"oneOf": []any{hash, hashes}}, "SHA-256 of its secret, or of two while one takes the place of the other."),
		"keys":        documented(filled(), "Its public keys, a JWK Set."),
		"scopes":      documented(set7(formed(scopeForm.String())), "What it may ask for; openid makes ID tokens, offline_access refresh tokens that outlive the session."),
		"refresh":     documented(length(), "How long refresh tokens are good, from the sign-in; 720h if absent."),

		"backchannel_logout_uri":    documented(formed(`^https?://[^\s#]+$`), "Where it is told that a session has ended on which it got tokens."),
		"post_logout_redirect_uris": set7(formed(`^[A-Za-z][A-Za-z0-9+.-]*:[^\s#]+$`)),
	}, "auth")
	return documented(s, "Makes it a relying party of the authorization server.")
}
