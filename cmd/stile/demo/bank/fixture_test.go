package bank_test

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/golang-jwt/jwt/v5"

	"github.com/stile-auth/stile/cmd/stile/demo/bank"
)

const (
	issuer   = "https://id.bank.example"
	audience = "https://payments.bank.example"
)

var now = time.Date(2026, 5, 4, 12, 0, 0, 0, time.UTC)

// world is an issuer's key set and the API that trusts it.
type world struct {
	t    *testing.T
	key  *ecdsa.PrivateKey
	bank *bank.Bank
	jwks *httptest.Server
}

func newWorld(t *testing.T) *world {
	t.Helper()
	w := &world{t: t, key: newKey(t)}
	set := jose.JSONWebKeySet{Keys: []jose.JSONWebKey{{Key: &w.key.PublicKey, KeyID: "k1", Algorithm: "ES256", Use: "sig"}}}
	w.jwks = httptest.NewServer(http.HandlerFunc(func(rw http.ResponseWriter, _ *http.Request) {
		_ = json.NewEncoder(rw).Encode(set)
	}))
	t.Cleanup(w.jwks.Close)
	b, err := bank.New(bank.Config{
		Issuer: issuer, JWKSURL: w.jwks.URL, Now: func() time.Time { return now },
		Resources: []bank.Resource{
			{Path: "/payments", Audience: audience, ACRValues: []string{"aal2", "aal3"}, AMR: []string{"mfa"}, MaxAge: 5 * time.Minute},
			{Path: "/accounts", Audience: "https://accounts.bank.example"},
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	if err := b.Start("127.0.0.1:0"); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = b.Close() })
	w.bank = b
	return w
}

func newKey(t *testing.T) *ecdsa.PrivateKey {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

// good are the claims of a token that opens /payments.
func good() jwt.MapClaims {
	return jwt.MapClaims{
		"iss": issuer, "aud": audience, "sub": "jane", "client_id": "bank-app", "jti": "j1", "sid": "s1",
		"iat": now.Unix(), "exp": now.Add(5 * time.Minute).Unix(), "auth_time": now.Add(-time.Minute).Unix(),
		"acr": "aal2", "amr": []string{"otp", "mfa"},
	}
}

// with returns good claims with one of them replaced, or removed by nil.
func with(name string, value any) jwt.MapClaims {
	c := maps.Clone(good())
	if c[name] = value; value == nil {
		delete(c, name)
	}
	return c
}

func sign(t *testing.T, method jwt.SigningMethod, key any, header map[string]any, c jwt.MapClaims) string {
	t.Helper()
	token := jwt.NewWithClaims(method, c)
	maps.Copy(token.Header, map[string]any{"typ": "at+jwt", "kid": "k1"})
	maps.Copy(token.Header, header)
	signed, err := token.SignedString(key)
	if err != nil {
		t.Fatal(err)
	}
	return signed
}

func (w *world) token(c jwt.MapClaims) string {
	return sign(w.t, jwt.SigningMethodES256, w.key, nil, c)
}

type reply struct {
	status     int
	challenges []string
	body       string
}

func (w *world) get(path string, headers http.Header) reply {
	w.t.Helper()
	req, err := http.NewRequestWithContext(w.t.Context(), http.MethodGet, w.bank.URL()+path, http.NoBody)
	if err != nil {
		w.t.Fatal(err)
	}
	req.Header = headers
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		w.t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		w.t.Fatal(err)
	}
	return reply{resp.StatusCode, resp.Header.Values("WWW-Authenticate"), string(body)}
}

func bearer(token string) http.Header { return http.Header{"Authorization": {"Bearer " + token}} }

// thumbprint is computed by another library than the app's.
func thumbprint(t *testing.T, key *ecdsa.PrivateKey) string {
	t.Helper()
	sum, err := (&jose.JSONWebKey{Key: &key.PublicKey}).Thumbprint(crypto.SHA256)
	if err != nil {
		t.Fatal(err)
	}
	return base64.RawURLEncoding.EncodeToString(sum)
}

func ath(token string) string {
	sum := sha256.Sum256([]byte(token))
	return base64.RawURLEncoding.EncodeToString(sum[:])
}

func rand16(t *testing.T) string {
	t.Helper()
	b := make([]byte, 16)
	if _, err := rand.Read(b); err != nil {
		t.Fatal(err)
	}
	return base64.RawURLEncoding.EncodeToString(b)
}

// proofBy is a proof for /payments that only its key can make wrong.
func proofBy(t *testing.T, w *world, key *ecdsa.PrivateKey, token string) string {
	t.Helper()
	return sign(t, jwt.SigningMethodES256, key,
		map[string]any{"typ": "dpop+jwt", "jwk": jose.JSONWebKey{Key: &key.PublicKey}},
		jwt.MapClaims{"jti": rand16(t), "htm": "GET", "htu": w.bank.URL() + "/payments", "iat": now.Unix(), "ath": ath(token)})
}
