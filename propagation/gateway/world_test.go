package gateway_test

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/golang-jwt/jwt/v5"

	"github.com/stile-auth/stile/flows"
	"github.com/stile-auth/stile/propagation"
	"github.com/stile-auth/stile/propagation/gateway"
	"github.com/stile-auth/stile/propagation/rp"
)

const (
	issuer   = "https://id.example"
	origin   = "https://shop.example"
	audience = "https://api.shop.example"
)

// keys are an issuer's, which it can change and lose.
type keys struct {
	set *propagation.KeySet
	err error
}

func (k *keys) Current(context.Context) (*propagation.KeySet, error) { return k.set, k.err }

// world is an issuer, a gateway before a shop, and a phone.
type world struct {
	tb     testing.TB
	keys   *keys
	now    time.Time
	cfg    gateway.Config
	appKey string
	device *ecdsa.PrivateKey
}

func newWorld(tb testing.TB) *world {
	tb.Helper()
	w := &world{tb: tb, now: time.Unix(1_790_000_000, 0).UTC(), keys: &keys{}}
	w.rotate()
	var hash string
	w.appKey, hash = rp.NewAPIKey()
	resource := func(name, path, who string) gateway.Resource {
		return gateway.Resource{Name: name, Origin: origin, Path: path, For: who}
	}
	token := func(name, path string, rule rp.Rule, methods ...string) gateway.Resource {
		r := resource(name, path, gateway.ForToken)
		r.Audience, r.Rule, r.Methods = audience, rule, methods
		return r
	}
	w.cfg = gateway.Config{
		Issuer: issuer, Keys: w.keys, Now: func() time.Time { return w.now }, Remember: 4,
		APIKeys: []rp.APIKey{{Name: "till", Hash: hash, Uses: []string{"prices"}}},
		Resources: []gateway.Resource{
			resource("news", "/news", gateway.ForEveryone),
			resource("prices", "/prices", gateway.ForApp),
			resource("stock", "/stock", gateway.ForApp),
			token("orders", "/orders", rp.Rule{Scopes: []string{"orders.read"}}, http.MethodGet),
			token("place", "/orders", rp.Rule{Scopes: []string{"orders.write"}, ACR: []string{"aal2"}, MaxAge: 5 * time.Minute}, http.MethodPost),
			token("admin", "/admin", rp.Rule{Roles: []string{"administrator"}}),
			resource("open-admin", "/admin/help", gateway.ForEveryone),
		},
	}
	var err error
	if w.device, err = ecdsa.GenerateKey(elliptic.P256(), rand.Reader); err != nil {
		tb.Fatal(err)
	}
	return w
}

// rotate gives the issuer another key, and takes the former ones back.
func (w *world) rotate() {
	w.tb.Helper()
	key, err := propagation.GenerateKey(propagation.ES256)
	if err == nil {
		w.keys.set, err = propagation.NewKeySet(key)
	}
	if err != nil {
		w.tb.Fatal(err)
	}
}

func (w *world) gateway() *gateway.Gateway {
	w.tb.Helper()
	g, err := gateway.New(w.cfg)
	if err != nil {
		w.tb.Fatal(err)
	}
	return g
}

// token is one of Jane's, with more or less in it than usual.
func (w *world) token(change func(*flows.Identity)) string {
	w.tb.Helper()
	id := flows.Identity{
		Subject: "jane", Client: "shop-app", Session: "s1", ACR: "aal1", AMR: []string{"pwd"}, AuthTime: w.now.Add(-time.Minute),
		Audience: audience, Scope: []string{"orders.read"}, Now: w.now,
	}
	if change != nil {
		change(&id)
	}
	b, err := propagation.NewBearerJWT(propagation.BearerConfig{Issuer: issuer, Keys: w.keys})
	if err != nil {
		w.tb.Fatal(err)
	}
	grant, err := b.Propagate(w.tb.Context(), id)
	if err != nil {
		w.tb.Fatal(err)
	}
	return grant.Token
}

// bound is a token of the phone's key.
func (w *world) bound() string { return w.token(func(id *flows.Identity) { id.Key = w.thumbprint() }) }

func (w *world) thumbprint() string {
	w.tb.Helper()
	sum, err := (&jose.JSONWebKey{Key: w.device.Public()}).Thumbprint(crypto.SHA256)
	if err != nil {
		w.tb.Fatal(err)
	}
	return base64.RawURLEncoding.EncodeToString(sum)
}

// proof is the phone's for one request.
func (w *world) proof(token, method, address string) string {
	w.tb.Helper()
	hash := sha256.Sum256([]byte(token))
	text, err := json.Marshal(jose.JSONWebKey{Key: w.device.Public()})
	if err != nil {
		w.tb.Fatal(err)
	}
	t := jwt.NewWithClaims(jwt.SigningMethodES256, jwt.MapClaims{
		"jti": rand.Text(), "htm": method, "htu": address, "iat": w.now.Unix(), "ath": base64.RawURLEncoding.EncodeToString(hash[:]),
	})
	t.Header["typ"], t.Header["jwk"] = "dpop+jwt", json.RawMessage(text)
	proof, err := t.SignedString(w.device)
	if err != nil {
		w.tb.Fatal(err)
	}
	return proof
}

// question is what a proxy asks: lines of headers, "Name: value".
func question(method, address string, headers ...string) *http.Request {
	r := httptest.NewRequest(method, address, http.NoBody)
	r.RemoteAddr = "127.0.0.1:50000"
	for _, line := range headers {
		name, value, _ := strings.Cut(line, ": ")
		r.Header.Add(name, value)
	}
	return r
}

// asked is the question of Caddy about a request.
func asked(method, uri string, headers ...string) *http.Request {
	return question(http.MethodGet, gateway.PathForwarded, append([]string{
		"X-Forwarded-Method: " + method, "X-Forwarded-Host: shop.example", "X-Forwarded-Uri: " + uri,
	}, headers...)...)
}

func answer(g http.Handler, r *http.Request) *httptest.ResponseRecorder {
	rec := httptest.NewRecorder()
	g.ServeHTTP(rec, r)
	return rec
}
