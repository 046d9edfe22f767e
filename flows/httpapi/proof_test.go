package httpapi_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"encoding/base64"
	"errors"
	"sync"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/stile-auth/stile/flows"
	"github.com/stile-auth/stile/flows/dpop"
	"github.com/stile-auth/stile/flows/httpapi"
)

func proofFor(t *testing.T, key *ecdsa.PrivateKey, method, url string) string {
	t.Helper()
	point, err := key.PublicKey.Bytes()
	if err != nil {
		t.Fatal(err)
	}
	b64 := base64.RawURLEncoding.EncodeToString
	token := jwt.NewWithClaims(jwt.SigningMethodES256, jwt.MapClaims{
		"jti": rand.Text(), "htm": method, "htu": url, "iat": time.Now().Unix(),
	})
	token.Header["typ"] = "dpop+jwt"
	token.Header["jwk"] = map[string]string{"kty": "EC", "crv": "P-256", "x": b64(point[1:33]), "y": b64(point[33:])}
	text, err := token.SignedString(key)
	if err != nil {
		t.Fatal(err)
	}
	return text
}

func TestRealProofs(t *testing.T) {
	t.Parallel()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	var used sync.Map
	verifier, err := dpop.New(dpop.Config{
		Algorithms: []string{"ES256"}, MaxAge: time.Minute, Skew: 5 * time.Second, Now: time.Now,
		Taken: func(_ context.Context, thumbprint, jti string, _ time.Time) error {
			if _, taken := used.LoadOrStore(thumbprint+jti, true); taken {
				return flows.ErrTaken
			}
			return nil
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	w := newWorld(t, func(c *httpapi.Config) { c.DPoP = verifier; c.Metrics = prometheus.NewRegistry() })
	good := proofFor(t, key, "GET", base+"/v1/flow")
	if r := w.send(t, "GET", "/v1/flow", "", "DPoP", good); r.StatusCode != 200 {
		t.Fatalf("a good proof: %d %s", r.StatusCode, text(t, r))
	}
	if got := w.engine.calls[0].Caller.Key; len(got) != 43 {
		t.Errorf("key %q is not a thumbprint", got)
	}
	fresh := func() string { return proofFor(t, key, "GET", base+"/v1/flow") }
	for name, header := range map[string][]string{
		"replayed":      {"DPoP", good},
		"two":           {"DPoP", fresh(), "DPoP", fresh()},
		"other method":  {"DPoP", proofFor(t, key, "DELETE", base+"/v1/flow")},
		"other path":    {"DPoP", proofFor(t, key, "GET", base+"/v1/flows")},
		"host as asked": {"DPoP", proofFor(t, key, "GET", "http://example.com/v1/flow")},
		"empty":         {"DPoP", ""},
	} {
		if r := w.send(t, "GET", "/v1/flow", "", header...); r.StatusCode != 404 || len(w.engine.calls) != 1 {
			t.Errorf("%s: %d, %d calls", name, r.StatusCode, len(w.engine.calls))
		}
	}
	broken := errors.New("the store is away")
	failing, err := dpop.New(dpop.Config{Now: time.Now, Taken: func(context.Context, string, string, time.Time) error { return broken }})
	if err != nil {
		t.Fatal(err)
	}
	w = newWorld(t, func(c *httpapi.Config) { c.DPoP = failing })
	if r := w.send(t, "GET", "/v1/flow", "", "DPoP", fresh()); r.StatusCode != 503 || len(w.engine.calls) > 0 {
		t.Errorf("no replay check: %d", r.StatusCode)
	}
}
