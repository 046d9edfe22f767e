package rp

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/go-jose/go-jose/v4/json" // exact member names, no member twice
)

// Token is what a verified access token says. Requests may share what it holds: it is
// for reading.
type Token struct {
	Subject      string
	Client       string // client_id
	ID           string // jti
	Session      string // sid, "" if not said
	ACR          string
	AMR          []string
	AuthTime     time.Time // zero if not said
	Expires      time.Time
	Scopes       []string
	Roles        []string // RFC 9068 §2.2.3.1
	Entitlements []string // likewise: what the subject may do
	Key          string   // cnf.jkt, "" if the token is not bound
	Claims       map[string]any
}

// What is wrong with a token or a proof is nobody's business.
var (
	errToken = errors.New("rp: token")
	errProof = errors.New("rp: proof")
)

// verify checks a token as RFC 9068 §4 says, or asks the issuer about it.
func (g *Guard) verify(ctx context.Context, text string) (Token, signature, error) {
	if g.cfg.Introspection != nil {
		t, err := g.introspect(ctx, text)
		return t, signature{}, err
	}
	var by signature
	payload, err := g.signed(ctx, text, &by)
	if err != nil {
		return Token{}, by, err
	}
	t, err := g.read(payload)
	return t, by, err
}

// signed returns the claims of a token that a key of the issuer has signed.
func (g *Guard) signed(ctx context.Context, text string, by *signature) ([]byte, error) {
	jws, err := jose.ParseSignedCompact(text, g.algorithms) // refuses crit that it does not know
	if err != nil {
		return nil, errToken
	}
	header := jws.Signatures[0].Protected
	typ, _ := header.ExtraHeaders[jose.HeaderType].(string)
	if typ = strings.ToLower(typ); typ != "at+jwt" && typ != "application/at+jwt" { // RFC 8725 §3.11
		return nil, errToken
	}
	key, err := g.cfg.Keys.Find(ctx, header.KeyID, header.Algorithm)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrUnavailable, err)
	}
	if key == nil {
		return nil, errToken
	}
	payload, err := jws.Verify(key)
	if err != nil {
		return nil, errToken
	}
	*by = signature{id: header.KeyID, algorithm: header.Algorithm, key: key}
	return payload, nil
}

// claims are those that mean something here, as the registries have them.
type claims struct {
	Issuer       string   `json:"iss"`
	Subject      string   `json:"sub"`
	Audience     audience `json:"aud"`
	Client       string   `json:"client_id"`
	ID           string   `json:"jti"`
	Session      string   `json:"sid"`
	Issued       *float64 `json:"iat"`
	NotBefore    *float64 `json:"nbf"`
	Expires      *float64 `json:"exp"`
	AuthTime     *float64 `json:"auth_time"`
	ACR          string   `json:"acr"`
	AMR          []string `json:"amr"`
	Scope        string   `json:"scope"`
	Roles        []string `json:"roles"`
	Entitlements []string `json:"entitlements"`
	Confirmation *struct {
		Key string `json:"jkt"`
	} `json:"cnf"`
}

// audience is one name or several (RFC 7519 §4.1.3).
type audience []string

// UnmarshalJSON takes a string or a list of them.
func (a *audience) UnmarshalJSON(data []byte) error {
	var one string
	if err := json.Unmarshal(data, &one); err == nil {
		*a = audience{one}
		return nil
	}
	return json.Unmarshal(data, (*[]string)(a))
}

func (g *Guard) read(payload []byte) (Token, error) {
	var c claims
	all := map[string]any{}
	if json.Unmarshal(payload, &c) != nil || json.Unmarshal(payload, &all) != nil {
		return Token{}, errToken
	}
	now := g.cfg.Now()
	soon := now.Add(g.cfg.Leeway)
	switch {
	case c.Issuer != g.cfg.Issuer || !slices.Contains(c.Audience, g.cfg.Audience):
	case c.Subject == "" || c.Client == "" || c.ID == "" || c.Issued == nil || c.Expires == nil: // RFC 9068 §2.2
	case !now.Before(instant(c.Expires)): // RFC 7519 §4.1.4: on or after
	case instant(c.Issued).After(soon), instant(c.NotBefore).After(soon), instant(c.AuthTime).After(soon):
	case c.Confirmation != nil && c.Confirmation.Key == "": // bound in a way that is not known here
	default:
		return c.token(all), nil
	}
	return Token{}, errToken
}

func (c claims) token(all map[string]any) Token {
	t := Token{
		Subject: c.Subject, Client: c.Client, ID: c.ID, Session: c.Session, ACR: c.ACR, AMR: c.AMR,
		AuthTime: instant(c.AuthTime), Expires: instant(c.Expires), Scopes: strings.Fields(c.Scope),
		Roles: c.Roles, Entitlements: c.Entitlements, Claims: all,
	}
	if c.Confirmation != nil {
		t.Key = c.Confirmation.Key
	}
	return t
}

// instant is a NumericDate (RFC 7519 §2); zero if there is none.
func instant(seconds *float64) time.Time {
	if seconds == nil {
		return time.Time{}
	}
	return time.Unix(int64(*seconds), 0)
}
