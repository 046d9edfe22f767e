package bank

import (
	"context"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/coreos/go-oidc/v3/oidc"
	"github.com/go-jose/go-jose/v4"
	"github.com/go-jose/go-jose/v4/json" // exact member names, no member twice
)

// skew is how far the issuer's clock may be ahead.
const skew = time.Minute

// claims are what a verified token says.
type claims struct {
	scheme   string
	subject  string
	acr      string
	amr      []string
	authTime time.Time // zero: not said
	key      string    // cnf.jkt, "" if the token is not bound
	all      map[string]any
}

// authenticate takes the credentials of a request and verifies them.
func (b *Bank) authenticate(req *http.Request, r Resource) (claims, *refusal) {
	scheme, token, refused := credentials(req)
	if refused != nil {
		return claims{}, refused
	}
	c, refused := b.verify(req.Context(), r, scheme, token)
	if refused != nil {
		return claims{}, refused
	}
	switch {
	case c.key != "" && scheme != dpop: // RFC 9449 section 7.2: no downgrade to Bearer
		return claims{}, badToken(dpop, "The token is bound to a key.")
	case c.key == "" && scheme == dpop:
		return claims{}, badToken(dpop, "The token is not bound to a key.")
	case c.key == "":
		return c, nil
	}
	if err := b.proofs.check(req, b.URL()+r.Path, token, c.key); err != nil {
		return claims{}, &refusal{status: http.StatusUnauthorized, scheme: dpop, code: codeProof, text: "The DPoP proof is not valid."}
	}
	return c, nil
}

// credentials finds the one token of a request (RFC 6750 section 2.1). The
// ways of sections 2.2 and 2.3, in a form or in the query, are not offered.
func credentials(req *http.Request) (scheme, token string, refused *refusal) {
	if strings.Contains(strings.ToLower(req.URL.RawQuery), "access_token") || req.URL.Query().Has("access_token") {
		return "", "", badRequest("A token does not belong into the query.")
	}
	lines := req.Header.Values("Authorization")
	if len(lines) > 1 {
		return "", "", badRequest("There is more than one Authorization header.")
	}
	none := &refusal{status: http.StatusUnauthorized}
	if len(lines) == 0 {
		return "", "", none
	}
	word, token, _ := strings.Cut(lines[0], " ")
	switch {
	case strings.EqualFold(word, bearer):
		scheme = bearer
	case strings.EqualFold(word, dpop):
		scheme = dpop
	default:
		return "", "", none
	}
	if token = strings.TrimLeft(token, " "); token == "" || strings.ContainsAny(token, " ,\t") {
		return "", "", badRequest("The Authorization header is malformed.")
	}
	return scheme, token, nil
}

// verify checks a token as RFC 9068 section 4 says.
func (b *Bank) verify(ctx context.Context, r Resource, scheme, token string) (claims, *refusal) {
	if err := checkType(token); err != nil {
		return claims{}, badToken(scheme, "The token is not valid.")
	}
	keys := &watchedKeys{KeySet: b.keys}
	verifier := oidc.NewVerifier(b.cfg.Issuer, keys, &oidc.Config{
		ClientID: r.Audience, SupportedSigningAlgs: []string{oidc.ES256}, Now: b.cfg.Now,
	})
	verified, err := verifier.Verify(ctx, token)
	switch {
	case keys.unavailable:
		return claims{}, &refusal{status: http.StatusServiceUnavailable, code: "temporarily_unavailable", text: "The issuer's keys cannot be had."}
	case err != nil:
		return claims{}, badToken(scheme, "The token is not valid.")
	}
	var raw json.RawMessage
	if err := verified.Claims(&raw); err != nil {
		return claims{}, badToken(scheme, "The token is not valid.")
	}
	c, err := readClaims(raw, b.cfg.Now())
	if err != nil {
		return claims{}, badToken(scheme, "The token is not valid.")
	}
	c.scheme = scheme
	return c, nil
}

// checkType keeps out everything that the issuer signs for other purposes
// (RFC 9068 section 4, RFC 8725 section 3.11).
func checkType(token string) error {
	jws, err := jose.ParseSignedCompact(token, []jose.SignatureAlgorithm{jose.ES256})
	if err != nil {
		return fmt.Errorf("bank: token: %w", err)
	}
	typ, _ := jws.Signatures[0].Protected.ExtraHeaders[jose.HeaderType].(string)
	if typ = strings.ToLower(typ); typ != "at+jwt" && typ != "application/at+jwt" {
		return fmt.Errorf("bank: token of type %q", typ)
	}
	return nil
}

// watchedKeys tells a key set that cannot be fetched from a signature that is
// wrong, which the verifier's error does not.
type watchedKeys struct {
	oidc.KeySet
	unavailable bool
}

// VerifySignature passes on to the key set.
func (k *watchedKeys) VerifySignature(ctx context.Context, jwt string) ([]byte, error) {
	payload, err := k.KeySet.VerifySignature(ctx, jwt)
	if err != nil && strings.HasPrefix(err.Error(), "fetching keys") {
		k.unavailable = true
	}
	return payload, err
}

// readClaims checks what go-oidc does not: that nothing is missing (RFC 9068
// section 2.2), and that nothing happened in the future.
func readClaims(raw []byte, now time.Time) (claims, error) {
	var t struct {
		Subject  string   `json:"sub"`
		Client   string   `json:"client_id"`
		ID       string   `json:"jti"`
		Issued   *float64 `json:"iat"`
		Expires  *float64 `json:"exp"`
		AuthTime *float64 `json:"auth_time"`
		ACR      string   `json:"acr"`
		AMR      []string `json:"amr"`
		Confirm  *struct {
			Key string `json:"jkt"`
		} `json:"cnf"`
	}
	all := map[string]any{}
	if err := json.Unmarshal(raw, &t); err != nil {
		return claims{}, err
	}
	if err := json.Unmarshal(raw, &all); err != nil {
		return claims{}, err
	}
	c := claims{subject: t.Subject, acr: t.ACR, amr: t.AMR, all: all}
	switch {
	case t.Subject == "" || t.Client == "" || t.ID == "" || t.Issued == nil || t.Expires == nil:
		return claims{}, fmt.Errorf("bank: a required claim is missing")
	case !now.Before(instant(*t.Expires)): // RFC 7519 section 4.1.4: on or after
		return claims{}, fmt.Errorf("bank: expired")
	case instant(*t.Issued).After(now.Add(skew)):
		return claims{}, fmt.Errorf("bank: issued in the future")
	case t.AuthTime != nil && instant(*t.AuthTime).After(now.Add(skew)):
		return claims{}, fmt.Errorf("bank: authenticated in the future")
	case t.Confirm != nil && t.Confirm.Key == "":
		return claims{}, fmt.Errorf("bank: bound in a way that is not known here")
	}
	if t.AuthTime != nil {
		c.authTime = instant(*t.AuthTime)
	}
	if t.Confirm != nil {
		c.key = t.Confirm.Key
	}
	return c, nil
}

func instant(seconds float64) time.Time { return time.Unix(int64(seconds), 0) }

// require compares what was done with what the resource asks for. What a token
// does not say was not done.
func (b *Bank) require(c claims, r Resource) *refusal {
	insufficient := func(text string) *refusal {
		return &refusal{status: http.StatusUnauthorized, scheme: c.scheme, code: codeInsufficient, text: text}
	}
	if len(r.ACRValues) > 0 && !slices.Contains(r.ACRValues, c.acr) {
		return insufficient("A stronger authentication is required.")
	}
	for _, method := range r.AMR {
		if !slices.Contains(c.amr, method) {
			return insufficient("Another authentication method is required.")
		}
	}
	if r.MaxAge > 0 && (c.authTime.IsZero() || b.cfg.Now().Sub(c.authTime) > r.MaxAge) {
		return insufficient("A more recent authentication is required.")
	}
	return nil
}
