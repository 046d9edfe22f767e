package oidcclient

import (
	"context"
	"crypto"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/coreos/go-oidc/v3/oidc"
)

// header is what is used of a JOSE header. What else may be in it, above all
// jwk, jku, x5c and x5u, is not looked at.
type header struct {
	Algorithm string
	KeyID     *string

	issuer, template string // whose key it must be: see [published]
}

// verify checks an ID token as OpenID Connect Core §3.1.3.7 wants, and more:
// the signature too is checked, although the token comes over TLS.
func (p *Provider) verify(ctx context.Context, m metadata, compact string, e expected) (claims, error) {
	c, err := p.signed(ctx, m, compact, &e, "JWT")
	if err != nil {
		return nil, err
	}
	return c, c.check(e)
}

// signed returns the claims of a token that the issuer has signed, of that typ or of
// none, and that has not expired. It completes what is expected of them.
func (p *Provider) signed(ctx context.Context, m metadata, compact string, e *expected, typ string) (claims, error) {
	h, err := parseHeader(compact, typ)
	if err != nil {
		return nil, err
	}
	if !slices.Contains(m.allowed(p.cfg.Algorithms), h.Algorithm) {
		return nil, unfitAlgorithm(h.Algorithm)
	}
	if e.issuer, err = p.tokenIssuer(compact); err != nil {
		return nil, err
	}
	e.algorithm = h.Algorithm
	h.issuer, h.template = e.issuer, p.cfg.TokenIssuer
	key, err := p.keys.find(ctx, h)
	if err != nil {
		return nil, err
	}
	verifier := oidc.NewVerifier(e.issuer, &oidc.StaticKeySet{PublicKeys: []crypto.PublicKey{key}}, &oidc.Config{
		SkipClientIDCheck:    true, // checkParties is stricter
		SupportedSigningAlgs: []string{h.Algorithm},
		Now:                  func() time.Time { return e.now.Add(-e.leeway) },
	})
	verified, err := verifier.Verify(ctx, compact)
	if err != nil { // its text tells what is in the token
		return nil, refused("ID token: signature, iss or exp")
	}
	return parseClaims(verified)
}

// unfitAlgorithm names an algorithm that could be taken; what else a token says is not repeated.
func unfitAlgorithm(alg string) error {
	if slices.Contains(algorithms(), alg) || slices.Contains(rareAlgorithms(), alg) {
		return fmt.Errorf("%w: it is %s", ErrAlgorithm, alg)
	}
	return ErrAlgorithm
}

// parseHeader reads the header of a compact JWS of that typ, or none, strictly (RFC 7515 §5.2).
func parseHeader(compact, typ string) (header, error) {
	segments := strings.Split(compact, ".")
	if len(segments) != 3 {
		return header{}, refused("ID token: not three segments")
	}
	for _, s := range segments {
		if s == "" || strings.ContainsFunc(s, notBase64URL) {
			return header{}, refused("ID token: alphabet")
		}
	}
	text, err := base64.RawURLEncoding.Strict().DecodeString(segments[0])
	if err != nil || checkJSON(text) != nil {
		return header{}, refused("ID token: header")
	}
	var all map[string]any
	if err := json.Unmarshal(text, &all); err != nil {
		return header{}, refused("ID token: header")
	}
	return readHeader(all, typ)
}

func readHeader(all map[string]any, want string) (header, error) {
	var h header
	h.Algorithm, _ = all["alg"].(string)
	if kid, ok := all["kid"]; ok {
		id, ok := kid.(string)
		if !ok {
			return header{}, refused("ID token: kid")
		}
		h.KeyID = &id
	}
	if _, ok := all["crit"]; ok { // nothing that could be listed there is understood here
		return header{}, refused("ID token: crit")
	}
	if typ, ok := all["typ"]; ok {
		word, _ := typ.(string)
		if !strings.EqualFold(word, want) { // RFC 8725 §3.11: not at+jwt, logout+jwt, ...
			return header{}, refused("ID token: typ")
		}
	}
	return h, nil
}

func notBase64URL(r rune) bool {
	return (r < 'a' || r > 'z') && (r < 'A' || r > 'Z') && (r < '0' || r > '9') && r != '-' && r != '_'
}

func parseClaims(t *oidc.IDToken) (claims, error) {
	var raw json.RawMessage
	if err := t.Claims(&raw); err != nil || checkJSON(raw) != nil {
		return nil, refused("ID token: claims")
	}
	return decode(raw)
}
