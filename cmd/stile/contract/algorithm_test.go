package contract_test

import (
	"crypto/rand"
	"crypto/rsa"
	"encoding/json"
	"net/http"
	"net/url"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"
)

// What a client signs with is the client's affair, and its definition's: a key that names
// its algorithm is good for that one alone (RFC 7517 §4.4, RFC 8725 §3.1).
func TestAlgorithmOfAClient(t *testing.T) {
	t.Parallel()
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	must(t, err)
	set, err := json.Marshal(jose.JSONWebKeySet{Keys: []jose.JSONWebKey{{Key: key.Public(), KeyID: "k1", Algorithm: "PS256", Use: "sig"}}})
	must(t, err)
	w := newWorld(t, t, setup{definitions: shop(`  service: { targets: [orders], dpop: optional, oauth: { grants: [client_credentials], auth: private_key_jwt, keys: '` + string(set) + `', scopes: [orders.read] } }
`)})
	t.Cleanup(func() { w.close(t) })
	asks := func(alg jose.SignatureAlgorithm) int {
		signer, err := jose.NewSigner(jose.SigningKey{Algorithm: alg, Key: key}, (&jose.SignerOptions{}).WithHeader("kid", "k1"))
		must(t, err)
		now := w.clock.now()
		claims, err := json.Marshal(map[string]any{
			"iss": "service", "sub": "service", "aud": w.node.URL(), "jti": rand.Text(), "iat": now.Unix(), "exp": now.Add(time.Minute).Unix(),
		})
		must(t, err)
		jws, err := signer.Sign(claims)
		must(t, err)
		text, err := jws.CompactSerialize()
		must(t, err)
		status, _ := w.direct(t, "/oauth2/token", url.Values{
			"grant_type": {"client_credentials"}, "client_assertion": {text}, "resource": {"https://orders.example"},
			"client_assertion_type": {"urn:ietf:params:oauth:client-assertion-type:jwt-bearer"},
		}, false)
		return status
	}
	if got := asks(jose.PS256); got != http.StatusOK {
		t.Errorf("the algorithm of the key: %d", got)
	}
	if got := asks(jose.RS256); got != http.StatusUnauthorized {
		t.Errorf("another one by the same key: %d", got)
	}
}
