package bank_test

import (
	"encoding/base64"
	"maps"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/golang-jwt/jwt/v5"
	"github.com/google/go-cmp/cmp"
)

// TestBoundTokens goes through the checks of RFC 9449 section 4.3.
func TestBoundTokens(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	key, other := newKey(t), newKey(t)
	bound := w.token(with("cnf", map[string]string{"jkt": thumbprint(t, key)}))
	proof := func(change func(header map[string]any, c jwt.MapClaims)) string {
		header := map[string]any{"typ": "dpop+jwt", "jwk": jose.JSONWebKey{Key: &key.PublicKey}, "kid": nil}
		c := jwt.MapClaims{"jti": rand16(t), "htm": "GET", "htu": w.bank.URL() + "/payments", "iat": now.Unix(), "ath": ath(bound)}
		change(header, c)
		return sign(t, jwt.SigningMethodES256, key, header, c)
	}
	set := func(name string, value any) func(map[string]any, jwt.MapClaims) {
		return func(_ map[string]any, c jwt.MapClaims) { c[name] = value }
	}
	fine := proof(func(map[string]any, jwt.MapClaims) {})
	if got := w.get("/payments", dpop(bound, fine)); got.status != http.StatusOK {
		t.Fatalf("a good proof: %+v", got)
	}

	const badProof = `DPoP realm="bank", error="invalid_dpop_proof", error_description="The DPoP proof is not valid.", algs="ES256"`
	unused := proof(func(map[string]any, jwt.MapClaims) {})
	forged := unused[:strings.LastIndex(unused, ".")+1] + base64.RawURLEncoding.EncodeToString(make([]byte, 64))
	tests := map[string]struct {
		headers http.Header
		want    string
	}{
		"as bearer":         {bearer(bound), `DPoP realm="bank", error="invalid_token", error_description="The token is bound to a key.", algs="ES256"`},
		"unbound token":     {dpop(w.token(good()), fine), `DPoP realm="bank", error="invalid_token", error_description="The token is not bound to a key.", algs="ES256"`},
		"no proof":          {http.Header{"Authorization": {"DPoP " + bound}}, badProof},
		"two proofs":        {http.Header{"Authorization": {"DPoP " + bound}, "Dpop": {proof(set("x", 1)), proof(set("x", 2))}}, badProof},
		"replayed":          {dpop(bound, fine), badProof},
		"not a JWT":         {dpop(bound, "abc"), badProof},
		"forged":            {dpop(bound, forged), badProof},
		"other method":      {dpop(bound, proof(set("htm", "POST"))), badProof},
		"other URL":         {dpop(bound, proof(set("htu", w.bank.URL()+"/accounts"))), badProof},
		"other token":       {dpop(bound, proof(set("ath", ath("other")))), badProof},
		"no token":          {dpop(bound, proof(func(_ map[string]any, c jwt.MapClaims) { delete(c, "ath") })), badProof},
		"old":               {dpop(bound, proof(set("iat", now.Add(-61*time.Second).Unix()))), badProof},
		"early":             {dpop(bound, proof(set("iat", now.Add(61*time.Second).Unix()))), badProof},
		"no jti":            {dpop(bound, proof(set("jti", ""))), badProof},
		"endless jti":       {dpop(bound, proof(set("jti", strings.Repeat("x", 257)))), badProof},
		"type JWT":          {dpop(bound, proof(func(h map[string]any, _ jwt.MapClaims) { h["typ"] = "JWT" })), badProof},
		"private key":       {dpop(bound, proof(func(h map[string]any, _ jwt.MapClaims) { h["jwk"] = jose.JSONWebKey{Key: key} })), badProof},
		"no key":            {dpop(bound, proof(func(h map[string]any, _ jwt.MapClaims) { delete(h, "jwk") })), badProof},
		"signed by another": {dpop(bound, proofBy(t, w, other, bound)), badProof},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got := w.get("/payments", tc.headers)
			if diff := cmp.Diff([]string{tc.want}, got.challenges); diff != "" || got.status != http.StatusUnauthorized {
				t.Errorf("%d %s", got.status, diff)
			}
		})
	}
}

func TestInsufficientBoundToken(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	key := newKey(t)
	c := with("acr", "aal1")
	maps.Copy(c, jwt.MapClaims{"cnf": map[string]string{"jkt": thumbprint(t, key)}})
	token := w.token(c)
	got := w.get("/payments", dpop(token, proofBy(t, w, key, token)))
	want := strings.Replace(weak, "Bearer", "DPoP", 1) + `, algs="ES256"`
	if diff := cmp.Diff([]string{want}, got.challenges); diff != "" {
		t.Error(diff)
	}
}

func dpop(token, proof string) http.Header {
	return http.Header{"Authorization": {"DPoP " + token}, "Dpop": {proof}}
}
