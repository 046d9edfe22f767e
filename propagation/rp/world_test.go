package rp_test

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"maps"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/golang-jwt/jwt/v5"

	"github.com/stile-auth/stile/propagation/rp"
)

const (
	issuer   = "https://auth.bank.example"
	audience = "https://payments.bank.example"
)

var now = time.Unix(1_790_000_000, 0).UTC()

// world is an issuer, an app with a key, and a resource with a guard.
type world struct {
	tb     testing.TB
	signer *ecdsa.PrivateKey
	device *ecdsa.PrivateKey
	down   bool // the issuer's keys cannot be had
	cfg    rp.Config
}

func newWorld(tb testing.TB) *world {
	tb.Helper()
	w := &world{tb: tb, signer: newKey(tb), device: newKey(tb)}
	w.cfg = rp.Config{Issuer: issuer, Audience: audience, Origin: audience, Keys: w, Now: func() time.Time { return now }}
	return w
}

func newKey(tb testing.TB) *ecdsa.PrivateKey {
	tb.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		tb.Fatal(err)
	}
	return key
}

// Find is the issuer's key set.
func (w *world) Find(_ context.Context, id, alg string) (crypto.PublicKey, error) {
	switch {
	case w.down:
		return nil, errors.New("no route")
	case id != "k1" || alg != "ES256":
		return nil, nil
	}
	return w.signer.Public(), nil
}

func (w *world) guard() *rp.Guard {
	w.tb.Helper()
	g, err := rp.New(w.cfg)
	if err != nil {
		w.tb.Fatal(err)
	}
	return g
}

// parts are a token before it is signed.
type parts struct {
	header map[string]any
	claims jwt.MapClaims
	signer crypto.Signer
}

// parts of a token that satisfies most rules.
func (w *world) parts() *parts {
	return &parts{
		header: map[string]any{"typ": "at+jwt", "kid": "k1", "alg": "ES256"},
		claims: jwt.MapClaims{
			"iss": issuer, "sub": "jane", "aud": audience, "client_id": "app", "jti": "t1", "sid": "s1",
			"iat": now.Unix(), "exp": now.Add(5 * time.Minute).Unix(), "auth_time": now.Add(-time.Minute).Unix(),
			"acr": "aal2", "amr": []string{"pwd", "otp", "mfa"}, "scope": "read write",
			"roles": []string{"teller"}, "entitlements": []string{"ledger:post"},
		},
		signer: w.signer,
	}
}

func (w *world) sign(p *parts) string { return w.signed(p.header, p.claims, p.signer) }

func (w *world) signed(header map[string]any, claims jwt.MapClaims, key crypto.Signer) string {
	w.tb.Helper()
	text, err := json.Marshal(claims)
	if err != nil {
		w.tb.Fatal(err)
	}
	return w.signedText(header, string(text), key)
}

// signedText signs claims that no map can hold.
func (w *world) signedText(header map[string]any, claims string, key crypto.Signer) string {
	w.tb.Helper()
	head, err := json.Marshal(header)
	if err != nil {
		w.tb.Fatal(err)
	}
	text := base64.RawURLEncoding.EncodeToString(head) + "." + base64.RawURLEncoding.EncodeToString([]byte(claims))
	signature, err := jwt.SigningMethodES256.Sign(text, key)
	if err != nil {
		w.tb.Fatal(err)
	}
	return text + "." + base64.RawURLEncoding.EncodeToString(signature)
}

func (w *world) thumbprint() string {
	w.tb.Helper()
	key := jose.JSONWebKey{Key: w.device.Public()}
	sum, err := key.Thumbprint(crypto.SHA256)
	if err != nil {
		w.tb.Fatal(err)
	}
	return base64.RawURLEncoding.EncodeToString(sum)
}

// bound is a token for the app's key.
func (w *world) bound() string {
	p := w.parts()
	p.claims["cnf"] = map[string]string{"jkt": w.thumbprint()}
	return w.sign(p)
}

// proof is a DPoP proof of the app for one request.
func (w *world) proof(token string, change jwt.MapClaims) string {
	w.tb.Helper()
	public, err := json.Marshal(jose.JSONWebKey{Key: w.device.Public()})
	if err != nil {
		w.tb.Fatal(err)
	}
	hash := sha256.Sum256([]byte(token))
	claims := jwt.MapClaims{
		"jti": rand.Text(), "htm": "GET", "htu": audience + "/accounts", "iat": now.Unix(),
		"ath": base64.RawURLEncoding.EncodeToString(hash[:]),
	}
	maps.Copy(claims, change)
	return w.signed(map[string]any{"typ": "dpop+jwt", "alg": "ES256", "jwk": json.RawMessage(public)}, claims, w.device)
}

func request(authorization, proof string) *http.Request {
	r := httptest.NewRequest(http.MethodGet, "/accounts?page=2", http.NoBody)
	if authorization != "" {
		r.Header.Set("Authorization", authorization)
	}
	if proof != "" {
		r.Header.Set("DPoP", proof)
	}
	return r
}

// refused wants a refusal of that status and code.
func refused(tb testing.TB, err error, status int, code string) *rp.Refusal {
	tb.Helper()
	var r *rp.Refusal
	if !errors.As(err, &r) || r.Status != status || r.Code != code {
		tb.Fatalf("answered %v, want %d %s", err, status, code)
	}
	return r
}
