package provider

import (
	"context"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"encoding/json"
	"slices"
	"strings"
	"time"

	"go.uber.org/zap"

	"github.com/stile-auth/stile/flowdefs"
	"github.com/stile-auth/stile/flows"
	"github.com/stile-auth/stile/flows/dpop"
)

var errDPoP = dpop.ErrProof

func zapError(err error) zap.Field { return zap.Error(err) }

// tokens is the answer of the token endpoint (RFC 6749 §5.1).
type tokens struct {
	Access  string `json:"access_token"`
	Type    string `json:"token_type"`
	Expires int64  `json:"expires_in"`
	Scope   string `json:"scope,omitempty"`
	Refresh string `json:"refresh_token,omitempty"`
	ID      string `json:"id_token,omitempty"`
}

// Replaced is where docs tell what takes the place of a grant that there is not.
const Replaced = "https://stile-auth.github.io/stile/guide-relying-party#grants-that-there-are-not"

func (s *Server) token(ctx context.Context, q *asked) (any, error) {
	grant := q.Get("grant_type")
	switch grant {
	case "":
		return nil, fail(errRequest, "grant_type is missing")
	case flowdefs.GrantCode, flowdefs.GrantRefresh, flowdefs.GrantClient:
	default:
		f := fail(errGrantType, "there is no such grant")
		if grant == "password" || grant == "implicit" {
			f.Description, f.URI = "a flow takes the place of this grant: the app runs it step by step", Replaced
		}
		return nil, f
	}
	if !slices.Contains(q.client.OAuth.Grants, grant) {
		return nil, fail(errUnauthorized, "the client may not use this grant")
	}
	if q.client.DPoPRequired && q.key == "" {
		return nil, fail(errProof, "the client must send a DPoP proof")
	}
	var out flows.Issued
	var err error
	switch grant {
	case flowdefs.GrantClient:
		out, err = s.forItself(ctx, q)
	case flowdefs.GrantCode:
		out, err = s.cfg.Engine.Redeem(ctx, q.caller(), flows.Redemption{
			Client: q.client.ID, Known: q.known(), Grant: flows.Secret(q.Get("code")), Code: true, Check: q.redeem, Once: q.redeemOnce,
		})
	default:
		out, err = s.cfg.Engine.Redeem(ctx, q.caller(), flows.Redemption{
			Client: q.client.ID, Known: q.known(), Grant: flows.Secret(q.Get("refresh_token")), Check: q.refresh,
		})
	}
	if err != nil {
		return nil, err
	}
	return tokens{
		Access: out.Access.Token, Type: out.Access.Scheme, Expires: int64(out.Access.Expires.Sub(s.cfg.Now()).Round(time.Second) / time.Second),
		Scope: strings.Join(out.Scope, " "), Refresh: string(out.Refresh), ID: out.ID,
	}, nil
}

func (s *Server) forItself(ctx context.Context, q *asked) (flows.Issued, error) {
	t, f := s.target(q.client, q.Values["resource"])
	if f != nil {
		return flows.Issued{}, f
	}
	wanted := strings.Fields(q.Get("scope"))
	scope := slices.DeleteFunc(granted(q.client, wanted), personal)
	if len(wanted) > 0 && len(scope) == 0 {
		return flows.Issued{}, fail(errScope, "the client may have none of these")
	}
	return s.cfg.Engine.ClientToken(ctx, q.caller(), q.found, t.Name, scope)
}

// personal scopes mean nothing where there is no person.
func personal(scope string) bool { return scope == scopeOpenID || scope == scopeOffline }

// redeem holds the trade of a code against the authorization request.
func (q *asked) redeem(kept json.RawMessage, subject string) (flows.Terms, error) {
	var a request
	if err := json.Unmarshal(kept, &a); err != nil {
		return flows.Terms{}, err
	}
	switch {
	case q.Get("redirect_uri") != a.Redirect: // RFC 6749 §4.1.3
		return flows.Terms{}, fail(errGrant, "redirect_uri is not that of the authorization request")
	case !q.verifies(a.Challenge):
		return flows.Terms{}, fail(errGrant, "code_verifier is not right")
	case a.Key != "" && a.Key != q.key: // RFC 9449 §10
		return flows.Terms{}, fail(errProof, "the proof is by another key than the request named")
	case a.Subject != "" && a.Subject != subject:
		return flows.Terms{}, fail(errGrant, "somebody else has signed in than id_token_hint names")
	}
	return q.terms(a, a.Scope), nil
}

// verifies says whether the code verifier is what a challenge was made of (RFC 7636 §4.6).
func (q *asked) verifies(challenge string) bool {
	verifier := q.Get("code_verifier")
	sum := sha256.Sum256([]byte(verifier))
	made := base64.RawURLEncoding.EncodeToString(sum[:])
	return len(verifier) >= 43 && len(verifier) <= 128 && subtle.ConstantTimeCompare([]byte(made), []byte(challenge)) == 1 // §4.1
}

// redeemOnce holds the trade of a code that an app has handed over against what the app
// said at its start. There was no authorization request: no redirect URI, and no scopes.
func (q *asked) redeemOnce(challenge string) (flows.Terms, error) {
	switch {
	case q.Has("redirect_uri"):
		return flows.Terms{}, fail(errGrant, "the code was not sent to a redirect_uri")
	case !q.verifies(challenge):
		return flows.Terms{}, fail(errGrant, "code_verifier is not right")
	}
	return flows.Terms{}, nil
}

// refresh holds a refresh against the authorization request: it may ask for less (RFC 6749 §6).
func (q *asked) refresh(kept json.RawMessage, _ string) (flows.Terms, error) {
	var a request
	if err := json.Unmarshal(kept, &a); err != nil {
		return flows.Terms{}, err
	}
	scope := a.Scope
	if q.Has("scope") {
		scope = strings.Fields(q.Get("scope"))
		for _, one := range scope {
			if !slices.Contains(a.Scope, one) {
				return flows.Terms{}, fail(errScope, "that is more than was granted")
			}
		}
	}
	a.Nonce = "" // OpenID Connect Core 1.0 §12.2
	return q.terms(a, scope), nil
}

func (q *asked) terms(a request, scope []string) flows.Terms {
	t := flows.Terms{Scope: granted(q.client, scope), ID: slices.Contains(scope, scopeOpenID), Nonce: a.Nonce}
	if slices.Contains(q.client.OAuth.Grants, flowdefs.GrantRefresh) {
		t.Refresh, t.Detach = q.client.OAuth.Refresh, slices.Contains(a.Scope, scopeOffline)
	}
	return t
}

// isDigest says whether text is what base64url makes of SHA-256.
func isDigest(text string) bool {
	sum, err := base64.RawURLEncoding.Strict().DecodeString(text)
	return err == nil && len(sum) == sha256.Size
}
