package oidctest

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/golang-jwt/jwt/v5"
)

// idToken makes the ID token of a grant (OpenID Connect Core section 2), each
// stage of it open to the faults.
func (p *Provider) idToken(g *grant, nonce, access string, now time.Time) (string, error) {
	return p.idTokenFor(g, nonce, access, now, nil)
}

func (p *Provider) idTokenFor(g *grant, nonce, access string, now time.Time, more map[string]any) (string, error) {
	key := p.keys.signing()
	claims := map[string]any{
		"iss":       p.tokenIssuer(),
		"sub":       g.user.Subject,
		"aud":       g.client.ID,
		"exp":       now.Add(p.cfg.IDTokenTTL).Unix(),
		"iat":       now.Unix(),
		"auth_time": g.authTime.Unix(),
		"amr":       slices.Clone(g.user.AMR),
		"sid":       g.sid,
		"at_hash":   leftHalf(key, access),
	}
	maps.Copy(claims, more)
	if nonce != "" {
		claims["nonce"] = nonce
	}
	if g.user.ACR != "" {
		claims["acr"] = g.user.ACR
	}
	if s := p.cfg.Shape; s != nil {
		if s.Tenant != "" {
			claims["tid"] = s.Tenant
		}
		s.bend(claims)
	}
	return p.assemble(key, map[string]any{"alg": key.Alg, "kid": key.ID, "typ": "JWT"}, claims)
}

// leftHalf is at_hash (OpenID Connect Core section 3.1.3.6).
func leftHalf(key Key, access string) string {
	h := key.hash().New()
	_, _ = h.Write([]byte(access)) // a hash never fails to write
	sum := h.Sum(nil)
	return base64.RawURLEncoding.EncodeToString(sum[:len(sum)/2])
}

// assemble makes the compact form (RFC 7515 section 7.1).
func (p *Provider) assemble(key Key, header, claims map[string]any) (string, error) {
	p.eachFault(func(f Fault) {
		if f.Claims != nil {
			f.Claims(claims)
		}
		if f.Header != nil {
			f.Header(header)
		}
	})
	rawHeader, err := json.Marshal(header)
	if err != nil {
		return "", fmt.Errorf("oidctest: header: %w", err)
	}
	rawClaims, err := json.Marshal(claims)
	if err != nil {
		return "", fmt.Errorf("oidctest: claims: %w", err)
	}
	sign := Key.Sign
	p.eachFault(func(f Fault) {
		if f.Raw != nil {
			rawHeader, rawClaims = f.Raw(rawHeader, rawClaims)
		}
		if f.Sign != nil {
			custom := f.Sign
			sign = func(k Key, input string) ([]byte, error) { return custom(input, k) }
		}
	})
	encode := base64.RawURLEncoding.EncodeToString
	input := encode(rawHeader) + "." + encode(rawClaims)
	signature, err := sign(key, input)
	if err != nil {
		return "", fmt.Errorf("oidctest: sign: %w", err)
	}
	token := input + "." + encode(signature)
	p.eachFault(func(f Fault) {
		if f.Compact != nil {
			token = f.Compact(token)
		}
	})
	return token, nil
}

// readHint reads an ID token of ours that came back. It may have expired
// (OpenID Connect Core section 3.1.2.1: the hint SHOULD be accepted then).
func (p *Provider) readHint(token string) (*hintClaims, error) {
	parser := jwt.NewParser(jwt.WithValidMethods([]string{p.cfg.Alg}), jwt.WithoutClaimsValidation())
	var claims hintClaims
	_, err := parser.ParseWithClaims(token, &claims, func(t *jwt.Token) (any, error) {
		for _, k := range p.keys.all() {
			if k.ID == t.Header["kid"] {
				return k.Private.Public(), nil
			}
		}
		return nil, fmt.Errorf("oidctest: the key is unknown")
	})
	if err != nil {
		return nil, err
	}
	if claims.Issuer != p.tokenIssuer() {
		return nil, fmt.Errorf("oidctest: the issuer is another")
	}
	return &claims, nil
}

type hintClaims struct {
	jwt.RegisteredClaims
	SID string `json:"sid"`
}
