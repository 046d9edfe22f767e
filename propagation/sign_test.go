package propagation_test

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"encoding/json"
	"errors"
	"testing"

	"github.com/go-jose/go-jose/v4"

	"github.com/stile-auth/stile/propagation"
)

// signs has a key sign a token, and a library of others verify it with the published key, as that algorithm alone.
func signs(t *testing.T, key *propagation.Key) {
	t.Helper()
	set, err := propagation.NewKeySet(key)
	if err != nil {
		t.Fatal(err)
	}
	token := propagate(t, newBearer(t, set), identity()).Token
	var published jose.JSONWebKeySet
	if err := json.Unmarshal([]byte(body(t, get(t, documents(t, set, issuer), "GET", propagation.PathKeys))), &published); err != nil {
		t.Fatal(err)
	}
	for _, algorithm := range []jose.SignatureAlgorithm{jose.ES256, jose.ES384, jose.ES512, jose.EdDSA, jose.PS256, jose.PS384, jose.RS256, jose.RS384} {
		parsed, err := jose.ParseSigned(token, []jose.SignatureAlgorithm{algorithm})
		if string(algorithm) != key.Algorithm() {
			if err == nil {
				t.Errorf("a token of %s passes as %s", key.Algorithm(), algorithm)
			}
			continue
		}
		if err != nil {
			t.Fatal(err)
		}
		found := published.Key(key.ID())
		if len(found) != 1 || found[0].Algorithm != key.Algorithm() || !found[0].IsPublic() {
			t.Fatalf("%s is published as %+v", key.ID(), found)
		}
		sum, err := found[0].Thumbprint(crypto.SHA256)
		if err != nil || b64(sum) != key.ID() {
			t.Errorf("%s: the id is no thumbprint, %v", algorithm, err)
		}
		if _, err := parsed.Verify(found[0].Key); err != nil {
			t.Errorf("%s: %v", algorithm, err)
		}
	}
}

// Each algorithm signs what others verify, also through a signer that shows nothing of its private key.
func TestAlgorithms(t *testing.T) {
	t.Parallel()
	for _, algorithm := range propagation.Algorithms() {
		t.Run(algorithm, func(t *testing.T) {
			t.Parallel()
			key, err := propagation.GenerateKey(algorithm)
			if err != nil {
				t.Fatal(err)
			}
			signs(t, key)
		})
	}
	long, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	for _, algorithm := range []string{propagation.PS256, propagation.RS256} {
		key, err := propagation.NewKey(remote{long}, algorithm)
		if err != nil {
			t.Fatal(err)
		}
		signs(t, key)
	}
}

// A key has an algorithm of its kind, and one only.
func TestKeysHaveTheirAlgorithm(t *testing.T) {
	t.Parallel()
	make1 := func(signer crypto.Signer, err error) crypto.Signer {
		if err != nil {
			t.Fatal(err)
		}
		return signer
	}
	p256 := make1(ecdsa.GenerateKey(elliptic.P256(), rand.Reader))
	p384 := make1(ecdsa.GenerateKey(elliptic.P384(), rand.Reader))
	p521 := make1(ecdsa.GenerateKey(elliptic.P521(), rand.Reader))
	long := make1(rsa.GenerateKey(rand.Reader, 2048))
	short := make1(rsa.GenerateKey(rand.Reader, 1024)) // it is refused
	_, edwards, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	for name, tt := range map[string]struct {
		signer    crypto.Signer
		algorithm string
		want      string // "": refused
	}{
		"P-256": {p256, "", "ES256"}, "P-384": {p384, "", "ES384"}, "Ed25519": {edwards, "", "EdDSA"}, "RSA": {long, "", "PS256"},
		"RSA by hand": {long, "RS256", "RS256"}, "P-521": {p521, "", ""}, "short RSA": {short, "RS256", ""},
		"P-256 as ES384": {p256, "ES384", ""}, "P-384 as ES256": {p384, "ES256", ""}, "RSA as ES256": {long, "ES256", ""},
		"P-256 as HS256": {p256, "HS256", ""}, "none": {p256, "none", ""}, "RS512": {long, "RS512", ""}, "nothing": {nil, "", ""},
	} {
		key, err := propagation.NewKey(tt.signer, tt.algorithm)
		switch {
		case tt.want == "" && !errors.Is(err, propagation.ErrKey):
			t.Errorf("%s: %v, want ErrKey", name, err)
		case tt.want != "" && (err != nil || key.Algorithm() != tt.want):
			t.Errorf("%s: %v, want %s", name, err, tt.want)
		}
	}
	if _, err := propagation.GenerateKey("HS256"); !errors.Is(err, propagation.ErrKey) {
		t.Errorf("HS256: %v", err)
	}
}
