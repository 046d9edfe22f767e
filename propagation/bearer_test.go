package propagation_test

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"encoding/base64"
	"encoding/json"
	"errors"
	"flag"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/coreos/go-oidc/v3/oidc"
	"github.com/go-jose/go-jose/v4"
	"github.com/golang-jwt/jwt/v5"
	"github.com/google/go-cmp/cmp"

	"github.com/stile-auth/stile/flows"
	"github.com/stile-auth/stile/propagation"
)

const (
	issuer   = "https://auth.bank.example"
	audience = "https://payments.bank.example"
)

var update = flag.Bool("update", false, "write the golden files")

func now() time.Time { return time.Date(2026, 11, 20, 9, 30, 0, 400_000_000, time.UTC) }

func identity() flows.Identity {
	return flows.Identity{
		Subject: "jane-1", Client: "bank-app", Session: "sid-1", ACR: "aal2", AMR: []string{"hwk", "mfa"},
		AuthTime: now().Add(-time.Minute), Target: "payments", Audience: audience,
		Claims: map[string]any{"branch": "Zurich", "limits": map[string]any{"day": 100}}, Now: now(),
	}
}

func newBearer(t testing.TB, set *propagation.KeySet) *propagation.BearerJWT {
	t.Helper()
	b, err := propagation.NewBearerJWT(propagation.BearerConfig{Issuer: issuer, Keys: set})
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func propagate(t testing.TB, b *propagation.BearerJWT, id flows.Identity) flows.Grant {
	t.Helper()
	grant, err := b.Propagate(t.Context(), id)
	if err != nil {
		t.Fatal(err)
	}
	return grant
}

func part(t *testing.T, token string, i int) map[string]any {
	t.Helper()
	raw, err := base64.RawURLEncoding.DecodeString(strings.Split(token, ".")[i])
	if err != nil {
		t.Fatal(err)
	}
	var m map[string]any
	if err := json.Unmarshal(raw, &m); err != nil {
		t.Fatal(err)
	}
	return m
}

func TestClaimsGolden(t *testing.T) {
	t.Parallel()
	set := newSet(t)
	bound := identity()
	bound.Key = strings.Repeat("A", 43)
	bound.TTL = time.Minute
	approved := identity()
	approved.Approved = []flows.Approval{{
		Step: "sign", Message: "pay", Locale: "en", Text: "Pay 12.50 CHF?", Arguments: map[string]string{"amount": "12.50 CHF"}, Hash: "hash",
	}}
	for name, id := range map[string]flows.Identity{"bearer": identity(), "dpop": bound, "approved": approved} {
		grant := propagate(t, newBearer(t, set), id)
		header, claims := part(t, grant.Token, 0), part(t, grant.Token, 1)
		if header["kid"] != set.Active().ID() {
			t.Errorf("kid %v, want the active key's", header["kid"])
		}
		jti, _ := claims["jti"].(string)
		if len(jti) < 26 { // of base32: 130 bits
			t.Errorf("jti %q is too short", jti)
		}
		header["kid"], claims["jti"] = "(thumbprint)", "(random)"
		got, err := json.MarshalIndent(map[string]any{
			"header": header, "claims": claims, "scheme": grant.Scheme, "type": grant.Type, "expires": grant.Expires,
		}, "", "  ")
		if err != nil {
			t.Fatal(err)
		}
		golden(t, name+".json", append(got, '\n'))
	}
}

func golden(t *testing.T, name string, got []byte) {
	t.Helper()
	path := filepath.Join("testdata", name)
	if *update {
		if err := os.WriteFile(path, got, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), string(got)); diff != "" {
		t.Errorf("%s (run with -update to accept):\n%s", path, diff)
	}
}

func TestEveryTokenHasItsOwnID(t *testing.T) {
	t.Parallel()
	b := newBearer(t, newSet(t))
	first, second := propagate(t, b, identity()), propagate(t, b, identity())
	if part(t, first.Token, 1)["jti"] == part(t, second.Token, 1)["jti"] {
		t.Error("two tokens have one jti")
	}
}

func TestLibrariesVerifyTheToken(t *testing.T) {
	t.Parallel()
	set := newSet(t)
	token := propagate(t, newBearer(t, set), identity()).Token
	t.Run("go-oidc", func(t *testing.T) {
		t.Parallel()
		keys := &oidc.StaticKeySet{PublicKeys: []crypto.PublicKey{set.Active().Public()}}
		v := oidc.NewVerifier(issuer, keys, &oidc.Config{ClientID: audience, SupportedSigningAlgs: []string{oidc.ES256}, Now: now})
		got, err := v.Verify(t.Context(), token)
		if err != nil {
			t.Fatal(err)
		}
		if got.Subject != "jane-1" {
			t.Errorf("subject %q", got.Subject)
		}
	})
	t.Run("go-jose", func(t *testing.T) {
		t.Parallel()
		jws, err := jose.ParseSigned(token, []jose.SignatureAlgorithm{jose.ES256})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := jws.Verify(set.Active().Public()); err != nil {
			t.Fatal(err)
		}
	})
	t.Run("golang-jwt", func(t *testing.T) {
		t.Parallel()
		if err := check(token, set.Active().Public()); err != nil {
			t.Fatal(err)
		}
	})
}

// check verifies as a relying party would.
func check(token string, public crypto.PublicKey) error {
	_, err := jwt.Parse(token, func(*jwt.Token) (any, error) { return public, nil },
		jwt.WithValidMethods([]string{"ES256"}), jwt.WithIssuer(issuer), jwt.WithAudience(audience),
		jwt.WithExpirationRequired(), jwt.WithIssuedAt(), jwt.WithStrictDecoding(), jwt.WithTimeFunc(now))
	return err
}

func TestTamperedTokenIsRefused(t *testing.T) {
	t.Parallel()
	set, other := newSet(t), newSet(t)
	token := propagate(t, newBearer(t, set), identity()).Token
	if err := check(token, other.Active().Public()); err == nil {
		t.Error("another key verifies the token")
	}
	for i := range len(token) {
		changed := []byte(token)
		if changed[i] == '.' {
			continue
		}
		changed[i] = map[bool]byte{true: 'B', false: 'A'}[changed[i] == 'A']
		if err := check(string(changed), set.Active().Public()); err == nil {
			t.Fatalf("a token with a changed character at %d verifies", i)
		}
	}
}

func TestMappedClaimsCannotTakeReservedNames(t *testing.T) {
	t.Parallel()
	b := newBearer(t, newSet(t))
	names := []string{
		"iss", "sub", "aud", "exp", "nbf", "iat", "jti", "client_id", "sid", "acr", "amr", "auth_time",
		"cnf", "typ", "azp", "nonce", "at_hash", "c_hash", "events", "scope", "act", "may_act", "authorization_details",
		"Sub", "ACR", "\u017Fub", "\u017Fid", // a long s folds to s: encoding/json would read it so
	}
	for _, name := range names {
		id := identity()
		id.Claims = map[string]any{name: "x"}
		if grant, err := b.Propagate(t.Context(), id); !errors.Is(err, propagation.ErrReserved) || grant.Token != "" {
			t.Errorf("%q: %v, want ErrReserved and no token", name, err)
		}
	}
}

func TestIncompleteIdentityIsRefused(t *testing.T) {
	t.Parallel()
	b := newBearer(t, newSet(t))
	tests := map[string]func(*flows.Identity){
		"no subject":             func(id *flows.Identity) { id.Subject = "" },
		"no client":              func(id *flows.Identity) { id.Client = "" },
		"no session":             func(id *flows.Identity) { id.Session = "" },
		"no audience":            func(id *flows.Identity) { id.Audience = "" },
		"no acr":                 func(id *flows.Identity) { id.ACR = "" },
		"no amr":                 func(id *flows.Identity) { id.AMR = nil },
		"empty amr":              func(id *flows.Identity) { id.AMR = []string{"pwd", ""} },
		"no auth_time":           func(id *flows.Identity) { id.AuthTime = time.Time{} },
		"auth_time of the epoch": func(id *flows.Identity) { id.AuthTime = time.Unix(0, 0) },
		"auth_time ahead":        func(id *flows.Identity) { id.AuthTime = id.Now.Add(time.Second) },
		"no time":                func(id *flows.Identity) { id.Now = time.Time{} },
		"subject is client":      func(id *flows.Identity) { id.Subject = id.Client },
		"a client's subject":     func(id *flows.Identity) { id.Subject = propagation.ClientSubject + "other" },
		"key is no thumbprint":   func(id *flows.Identity) { id.Key = "abc" },
		"key not canonical":      func(id *flows.Identity) { id.Key = strings.Repeat("A", 42) + "B" },
		"claim without a name":   func(id *flows.Identity) { id.Claims = map[string]any{"": "x"} },
		"claim without a value":  func(id *flows.Identity) { id.Claims = map[string]any{"branch": nil} },
	}
	for name, change := range tests {
		id := identity()
		change(&id)
		if grant, err := b.Propagate(t.Context(), id); !errors.Is(err, propagation.ErrIncomplete) || grant.Token != "" {
			t.Errorf("%s: %v, want ErrIncomplete and no token", name, err)
		}
	}
}

func TestLifetime(t *testing.T) {
	t.Parallel()
	b := newBearer(t, newSet(t))
	for ttl, want := range map[time.Duration]time.Duration{0: 5 * time.Minute, time.Minute: time.Minute, time.Hour: time.Hour} {
		id := identity()
		id.TTL = ttl
		grant := propagate(t, b, id)
		if got := grant.Expires; !got.Equal(now().Add(want).Truncate(time.Second)) {
			t.Errorf("ttl %v expires at %v", ttl, got)
		}
	}
	for _, ttl := range []time.Duration{-time.Second, time.Millisecond, time.Hour + 1} {
		id := identity()
		id.TTL = ttl
		if grant, err := b.Propagate(t.Context(), id); err == nil || grant.Token != "" {
			t.Errorf("ttl %v was accepted", ttl)
		}
	}
}

func TestBearerConfigIsChecked(t *testing.T) {
	t.Parallel()
	set := newSet(t)
	for name, cfg := range map[string]propagation.BearerConfig{
		"no issuer":        {Keys: set},
		"closing slash":    {Issuer: issuer + "/", Keys: set},
		"path":             {Issuer: issuer + "/a", Keys: set},
		"query":            {Issuer: issuer + "?a", Keys: set},
		"user":             {Issuer: "https://a@auth.bank.example", Keys: set},
		"scheme":           {Issuer: "ftp://auth.bank.example", Keys: set},
		"no host":          {Issuer: "https://:80", Keys: set},
		"upper case":       {Issuer: "https://Auth.bank.example", Keys: set},
		"no keys":          {Issuer: issuer},
		"default too long": {Issuer: issuer, Keys: set, DefaultTTL: 2 * time.Hour},
		"negative default": {Issuer: issuer, Keys: set, DefaultTTL: -1},
	} {
		if _, err := propagation.NewBearerJWT(cfg); err == nil {
			t.Errorf("%s: accepted", name)
		}
	}
}

// remote is a signer that shows its public key only, as hardware does.
type remote struct{ crypto.Signer }

// broken returns what no ECDSA signer may.
type broken struct {
	crypto.Signer
	out []byte
}

func (b broken) Sign(io.Reader, []byte, crypto.SignerOpts) ([]byte, error) { return b.out, nil }

func TestRemoteSigner(t *testing.T) {
	t.Parallel()
	private, err := ecdsa.GenerateKey(p256(), nil)
	if err != nil {
		t.Fatal(err)
	}
	key, err := propagation.NewKey(remote{private}, "")
	if err != nil {
		t.Fatal(err)
	}
	set, err := propagation.NewKeySet(key)
	if err != nil {
		t.Fatal(err)
	}
	for range 300 { // R or S begins with a zero byte once in 128 signatures
		if err := check(propagate(t, newBearer(t, set), identity()).Token, key.Public()); err != nil {
			t.Fatal(err)
		}
	}
	for _, out := range [][]byte{nil, {0x30, 0}, {0x30, 6, 2, 1, 0, 2, 1, 1}, {0x30, 6, 2, 1, 1, 2, 1, 1, 0}, bytes.Repeat([]byte{1}, 64)} {
		bad, err := propagation.NewKey(broken{private, out}, "")
		if err != nil {
			t.Fatal(err)
		}
		badSet, err := propagation.NewKeySet(bad)
		if err != nil {
			t.Fatal(err)
		}
		if grant, err := newBearer(t, badSet).Propagate(t.Context(), identity()); err == nil || grant.Token != "" {
			t.Errorf("the signature %x was accepted", out)
		}
	}
}

func BenchmarkPropagate(b *testing.B) {
	bearer := newBearer(b, newSet(b))
	id := identity()
	b.ReportAllocs()
	for b.Loop() {
		if _, err := bearer.Propagate(b.Context(), id); err != nil {
			b.Fatal(err)
		}
	}
}
