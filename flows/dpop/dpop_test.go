package dpop_test

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/sha512"
	"encoding/base64"
	"encoding/json"
	"errors"
	"maps"
	"strings"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/golang-jwt/jwt/v5"

	"github.com/stile-auth/stile/flows/dpop"
)

const (
	method = "POST"
	target = "https://stile.example/v1/flows"
)

var now = time.Unix(1_772_000_000, 0).UTC()

// store remembers like a real one does.
type store map[string]time.Time

func (s store) taken(_ context.Context, thumbprint, jti string, expires time.Time) error {
	if _, ok := s[thumbprint+" "+jti]; ok {
		return dpop.ErrReplayed
	}
	s[thumbprint+" "+jti] = expires
	return nil
}

func verifier(t testing.TB, change func(*dpop.Config)) *dpop.Verifier {
	t.Helper()
	cfg := dpop.Config{Now: func() time.Time { return now }, Taken: store{}.taken}
	if change != nil {
		change(&cfg)
	}
	v, err := dpop.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	return v
}

// client is a key of a client and how it signs.
type client struct {
	alg    jwt.SigningMethod
	key    crypto.Signer
	jwk    map[string]any
	thumb  string
	header map[string]any
	claims map[string]any
}

func newClient(t testing.TB, alg jwt.SigningMethod, key crypto.Signer) *client {
	t.Helper()
	public := jose.JSONWebKey{Key: key.Public()}
	sum, err := public.Thumbprint(crypto.SHA256)
	if err != nil {
		t.Fatal(err)
	}
	c := &client{alg: alg, key: key, thumb: base64.RawURLEncoding.EncodeToString(sum)}
	text, err := json.Marshal(public)
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(text, &c.jwk); err != nil {
		t.Fatal(err)
	}
	c.header = map[string]any{"typ": "dpop+jwt", "alg": alg.Alg(), "jwk": c.jwk}
	c.claims = map[string]any{"jti": "one", "htm": method, "htu": target, "iat": now.Unix()}
	return c
}

func es256(t testing.TB) *client {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return newClient(t, jwt.SigningMethodES256, key)
}

func rsaKey(t testing.TB, bits int) *rsa.PrivateKey {
	t.Helper()
	key, err := rsa.GenerateKey(rand.Reader, bits)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

// proof signs the client's header and claims as they are.
func (c *client) proof(t testing.TB) string {
	t.Helper()
	header, err := json.Marshal(c.header)
	if err != nil {
		t.Fatal(err)
	}
	claims, err := json.Marshal(c.claims)
	if err != nil {
		t.Fatal(err)
	}
	return c.sign(t, string(header), string(claims))
}

func (c *client) sign(t testing.TB, header, claims string) string {
	t.Helper()
	signed := encode(header) + "." + encode(claims)
	signature, err := c.alg.Sign(signed, c.key)
	if err != nil {
		t.Fatal(err)
	}
	return signed + "." + encode(string(signature))
}

func encode(s string) string { return base64.RawURLEncoding.EncodeToString([]byte(s)) }

func TestVerify(t *testing.T) {
	t.Parallel()
	_, ed, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	p384, err := ecdsa.GenerateKey(elliptic.P384(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]*client{
		"ES256": es256(t),
		"ES384": newClient(t, jwt.SigningMethodES384, p384),
		"EdDSA": newClient(t, jwt.SigningMethodEdDSA, ed),
		"PS256": newClient(t, jwt.SigningMethodPS256, rsaKey(t, 2048)),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			v := verifier(t, func(c *dpop.Config) { c.Algorithms = []string{name} })
			got, err := v.Verify(t.Context(), []string{c.proof(t)}, method, target, "")
			if err != nil || got != c.thumb {
				t.Errorf("Verify = %q, %v; want %q", got, err, c.thumb)
			}
		})
	}
}

// The proof of the token request that RFC 9449 §5 prints; the thumbprint of
// its key stands in §6.1 as "jkt".
func TestVerifyExampleOfTheRFC(t *testing.T) {
	t.Parallel()
	const proof = "eyJ0eXAiOiJkcG9wK2p3dCIsImFsZyI6IkVTMjU2IiwiandrIjp7Imt0eSI6IkVDIiwieCI6Imw4dEZyaHgtMzR0VjNoUklDUkRZOXpDa0RscEJoRjQyVVFVZldWQVdCRnMiLCJ5IjoiOVZFNGpmX09rX282NHpiVFRsY3VOSmFqSG10NnY5VERWclUwQ2R2R1JEQSIsImNydiI6IlAtMjU2In19" +
		".eyJqdGkiOiItQndDM0VTYzZhY2MybFRjIiwiaHRtIjoiUE9TVCIsImh0dSI6Imh0dHBzOi8vc2VydmVyLmV4YW1wbGUuY29tL3Rva2VuIiwiaWF0IjoxNTYyMjYyNjE2fQ" +
		".2-GxA6T8lP4vfrg8v-FdWP0A0zdrj8igiMLvqRMUvwnQg4PtFLbdLXiOSsX0x7NVY-FNyJK70nfbV37xRZT3Lg"
	v := verifier(t, func(c *dpop.Config) { c.Now = func() time.Time { return time.Unix(1562262616, 0) } })
	got, err := v.Verify(t.Context(), []string{proof}, "POST", "https://server.example.com/token", "")
	if err != nil || got != "0ZcOCORZNYy-DWpqq30jZyJGHTN0d2HglBV3uiguA4I" {
		t.Errorf("Verify = %q, %v", got, err)
	}
}

// Each change breaks one check; nothing that is refused leaves a mark.
func TestVerifyRefuses(t *testing.T) {
	t.Parallel()
	other := es256(t)
	header := func(name string, value any) func(*client) { return func(c *client) { c.header[name] = value } }
	claim := func(name string, value any) func(*client) { return func(c *client) { c.claims[name] = value } }
	without := func(name string) func(*client) {
		return func(c *client) { delete(c.header, name); delete(c.claims, name) }
	}
	jwk := func(name string, value any) func(*client) {
		return func(c *client) {
			c.jwk = maps.Clone(c.jwk)
			c.jwk[name] = value
			c.header["jwk"] = c.jwk
		}
	}
	tests := map[string]func(*client){
		"3: no jti":                 without("jti"),
		"3: empty jti":              claim("jti", ""),
		"3: jti is null":            claim("jti", nil),
		"3: jti is a number":        claim("jti", 1),
		"3: long jti":               claim("jti", strings.Repeat("x", 257)),
		"3: no htm":                 without("htm"),
		"3: no htu":                 without("htu"),
		"3: no iat":                 without("iat"),
		"3: iat is a string":        claim("iat", "1772000000"),
		"3: iat is null":            claim("iat", nil),
		"3: iat is negative":        claim("iat", -1),
		"3: iat is beyond all time": claim("iat", 1e20),
		"4: no typ":                 without("typ"),
		"4: typ JWT":                header("typ", "JWT"),
		"4: typ at+jwt":             header("typ", "at+jwt"),
		"5: no alg":                 without("alg"),
		"5: none":                   header("alg", "none"),
		"5: HS256":                  header("alg", "HS256"),
		"5: alg in lower case":      header("alg", "es256"),
		"5: alg of another curve":   header("alg", "ES384"),
		"5: alg of another key":     header("alg", "PS256"),
		"5: alg is a list":          header("alg", []string{"ES256"}),
		"6: no jwk":                 without("jwk"),
		"6: jwk is null":            header("jwk", nil),
		"6: jwk of another key":     header("jwk", other.jwk),
		"6: jwk with another x":     jwk("x", other.jwk["x"]),
		"6: jwk without y":          jwk("y", ""),
		"6: jwk of another type":    jwk("kty", "OKP"),
		"6: jwk of another curve":   jwk("crv", "P-384"),
		"7: jwk with d":             jwk("d", "AQ"),
		"7: jwk with k":             jwk("k", "AQ"),
		"8: htm of another method":  claim("htm", "GET"),
		"8: htm in lower case":      claim("htm", "post"),
		"9: another host":           claim("htu", "https://evil.example/v1/flows"),
		"9: another path":           claim("htu", target+"/1"),
		"9: path in another case":   claim("htu", "https://stile.example/V1/flows"),
		"9: another scheme":         claim("htu", "http://stile.example/v1/flows"),
		"9: another port":           claim("htu", "https://stile.example:8443/v1/flows"),
		"9: userinfo":               claim("htu", "https://a@stile.example/v1/flows"),
		"9: path only":              claim("htu", "/v1/flows"),
		"11: too old":               claim("iat", now.Unix()-60),
		"11: in the future":         claim("iat", now.Unix()+6),
		"crit":                      header("crit", []string{"exp"}),
		"crit is null":              header("crit", nil),
	}
	for name, change := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := es256(t)
			change(c)
			marks := store{}
			v := verifier(t, func(cfg *dpop.Config) {
				cfg.Taken = marks.taken
				cfg.Algorithms = []string{"ES256", "ES384", "EdDSA", "PS256"}
			})
			got, err := v.Verify(t.Context(), []string{c.proof(t)}, method, target, "")
			if !errors.Is(err, dpop.ErrProof) || got != "" {
				t.Errorf("Verify = %q, %v; want ErrProof", got, err)
			}
			if len(marks) > 0 {
				t.Errorf("marks: %v", marks)
			}
		})
	}
}

// RFC 9449 §4.3 checks 1 and 2, and what only raw text can say.
func TestVerifyRefusesForm(t *testing.T) {
	t.Parallel()
	c := es256(t)
	good := c.proof(t)
	parts := strings.Split(good, ".")
	header, err := json.Marshal(c.header)
	if err != nil {
		t.Fatal(err)
	}
	claims, err := json.Marshal(c.claims)
	if err != nil {
		t.Fatal(err)
	}
	twice := func(object []byte, member string) string { return "{" + member + "," + string(object[1:]) }
	var big strings.Builder
	big.WriteString(twice(claims, `"x":"`+strings.Repeat("x", 8<<10)+`"`))
	jwkTwice := strings.Replace(string(header), `"kty":"EC"`, `"kty":"EC","kty":"EC"`, 1)
	tests := map[string][]string{
		"1: no header":                     nil,
		"1: two headers":                   {good, good},
		"1: two in one header":             {good + ", " + good},
		"2: empty":                         {""},
		"2: two parts":                     {parts[0] + "." + parts[1]},
		"2: four parts":                    {good + "." + parts[2]},
		"2: JSON serialisation":            {`{"protected":"` + parts[0] + `","payload":"` + parts[1] + `","signature":"` + parts[2] + `"}`},
		"2: padded":                        {good + "="},
		"2: line break":                    {good + "\n"},
		"2: other spelling of last letter": {respell(good)},
		"2: too long":                      {c.sign(t, string(header), big.String())},
		"2: header is no object":           {c.sign(t, `["typ"]`, string(claims))},
		"2: claims are no object":          {c.sign(t, string(header), `"claims"`)},
		"2: claims cut off":                {c.sign(t, string(header), string(claims[:len(claims)-1]))},
		"2: data after the claims":         {c.sign(t, string(header), string(claims)+"{}")},
		"2: not UTF-8":                     {c.sign(t, string(header), twice(claims, "\"x\":\"\xff\""))},
		"duplicate in header":              {c.sign(t, twice(header, `"typ":"JWT"`), string(claims))},
		"duplicate in jwk":                 {c.sign(t, jwkTwice, string(claims))},
		"duplicate in claims":              {c.sign(t, string(header), twice(claims, `"htm":"GET"`))},
		"escaped duplicate":                {c.sign(t, string(header), twice(claims, `"\u0068tm":"GET"`))},
		"folded names do not stand in":     {c.sign(t, strings.Replace(string(header), `"typ"`, `"Typ"`, 1), string(claims))},
		"6: no signature":                  {parts[0] + "." + parts[1] + "."},
		"6: all zero":                      {parts[0] + "." + parts[1] + "." + encode(strings.Repeat("\x00", 64))},
		"6: signature of other claims":     {parts[0] + "." + encode(string(claims)+" ") + "." + parts[2]},
	}
	for name, headers := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got, err := verifier(t, nil).Verify(t.Context(), headers, method, target, "")
			if !errors.Is(err, dpop.ErrProof) || got != "" {
				t.Errorf("Verify = %q, %v; want ErrProof", got, err)
			}
		})
	}
}

// respell changes bits of the last letter that decoders other than strict ones ignore.
func respell(s string) string {
	const alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
	last := strings.IndexByte(alphabet, s[len(s)-1])
	return s[:len(s)-1] + string(alphabet[last^1])
}

// A token that is signed with an algorithm that was not configured.
func TestVerifyHoldsToTheAlgorithms(t *testing.T) {
	t.Parallel()
	v := verifier(t, func(c *dpop.Config) { c.Algorithms = []string{"EdDSA"} })
	if got, err := v.Verify(t.Context(), []string{es256(t).proof(t)}, method, target, ""); !errors.Is(err, dpop.ErrProof) {
		t.Errorf("Verify = %q, %v; want ErrProof", got, err)
	}
}

func TestVerifyRSAKeySize(t *testing.T) {
	t.Parallel()
	small := newClient(t, jwt.SigningMethodPS256, rsaKey(t, 1024))
	if got, err := verifier(t, nil).Verify(t.Context(), []string{small.proof(t)}, method, target, ""); !errors.Is(err, dpop.ErrProof) {
		t.Errorf("1024 bits: Verify = %q, %v", got, err)
	}
	huge := newClient(t, jwt.SigningMethodPS256, rsaKey(t, 2048))
	huge.jwk["n"] = encode("\xff" + strings.Repeat("\x01", 512))
	_, err := verifier(t, nil).Verify(t.Context(), []string{huge.proof(t)}, method, target, "")
	if !errors.Is(err, dpop.ErrProof) || !strings.Contains(err.Error(), "4104 bits") {
		t.Errorf("4104 bits: err = %v; want a refusal before the signature is tried", err)
	}
}

func TestVerifyAge(t *testing.T) {
	t.Parallel()
	for iat, good := range map[float64]bool{-59.5: true, -60: false, 5: true, 5.5: false, 0: true} {
		c := es256(t)
		c.claims["iat"] = float64(now.Unix()) + iat
		_, err := verifier(t, nil).Verify(t.Context(), []string{c.proof(t)}, method, target, "")
		if good != (err == nil) {
			t.Errorf("iat %v seconds from now: err = %v", iat, err)
		}
	}
}

// Without a time there is no age, however long proofs are taken.
func TestVerifyNeedsATime(t *testing.T) {
	t.Parallel()
	for name, iat := range map[string]any{"null": nil, "text": "1772000000", "list": []int{1}, "negative": -1, "beyond all time": 1e300} {
		c := es256(t)
		c.claims["iat"] = iat
		v := verifier(t, func(cfg *dpop.Config) { cfg.MaxAge = 200 * 365 * 24 * time.Hour })
		_, err := v.Verify(t.Context(), []string{c.proof(t)}, method, target, "")
		if !errors.Is(err, dpop.ErrProof) || !strings.Contains(err.Error(), "iat is missing") {
			t.Errorf("%s: err = %v, want a refusal of iat", name, err)
		}
	}
}

// RFC 8725 §3.1: a signature of the right length by a key of another curve.
func TestVerifyHoldsKeyToTheAlgorithm(t *testing.T) {
	t.Parallel()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	c := newClient(t, jwt.SigningMethodES256, key)
	c.header["alg"] = "ES384"
	proof := c.proof(t)
	signed := proof[:strings.LastIndexByte(proof, '.')]
	digest := sha512.Sum384([]byte(signed))
	r, s, err := ecdsa.Sign(rand.Reader, key, digest[:])
	if err != nil {
		t.Fatal(err)
	}
	signature := append(r.FillBytes(make([]byte, 48)), s.FillBytes(make([]byte, 48))...)
	v := verifier(t, func(cfg *dpop.Config) { cfg.Algorithms = []string{"ES256", "ES384"} })
	got, err := v.Verify(t.Context(), []string{signed + "." + encode(string(signature))}, method, target, "")
	if !errors.Is(err, dpop.ErrProof) {
		t.Errorf("Verify = %q, %v; want ErrProof", got, err)
	}
}

// RFC 9449 §4.3: query and fragment are ignored, and what RFC 3986 §6.2.2 and
// §6.2.3 call equivalent is the same.
func TestVerifyURL(t *testing.T) {
	t.Parallel()
	tests := []struct {
		htu, url string
		same     bool
	}{
		{"https://stile.example/a", "https://stile.example/a", true},
		{"HTTPS://Stile.Example/a", "https://stile.example/a", true},
		{"https://stile.example:443/a", "https://stile.example/a", true},
		{"https://stile.example:/a", "https://stile.example/a", true},
		{"http://stile.example:80/a", "http://stile.example/a", true},
		{"http://stile.example:443/a", "http://stile.example/a", false},
		{"https://[::1]:443/a", "https://[::1]/a", true},
		{"https://[::1]:8443/a", "https://[::1]:8443/a", true},
		{"https://stile.example", "https://stile.example/", true},
		{"https://stile.example/a?b=c#d", "https://stile.example/a", true},
		{"https://stile.example/%7Ea%41", "https://stile.example/~aA", true},
		{"https://stile.example/%2f", "https://stile.example/%2F", true},
		{"https://stile.example/%2F", "https://stile.example//", false},
		{"https://stile.example/b/../a", "https://stile.example/a", true},
		{"https://stile.example/b/%2E%2e/./a", "https://stile.example/a", true},
		{"https://stile.example/../../a", "https://stile.example/a", true},
		{"https://stile.example/a/b/..", "https://stile.example/a/", true},
		{"https://stile.example/a/.", "https://stile.example/a/", true},
		{"https://stile.example/a/", "https://stile.example/a", false},
		{"https://stile.example//a", "https://stile.example/a", false},
		{"https://stile.example/A", "https://stile.example/a", false},
		{"ftp://stile.example/a", "https://stile.example/a", false},
		{"https:stile.example/a", "https://stile.example/a", false},
		{"https:///a", "https://stile.example/a", false},
		{"https://stile.example/%zz", "https://stile.example/a", false},
	}
	for _, tt := range tests {
		c := es256(t)
		c.claims["htu"] = tt.htu
		_, err := verifier(t, nil).Verify(t.Context(), []string{c.proof(t)}, method, tt.url, "")
		if tt.same != (err == nil) || err != nil && !errors.Is(err, dpop.ErrProof) {
			t.Errorf("%s for %s: err = %v", tt.htu, tt.url, err)
		}
	}
	// A wrong URL of ours is no fault of the client.
	if _, err := verifier(t, nil).Verify(t.Context(), []string{es256(t).proof(t)}, method, "/v1", ""); err == nil || errors.Is(err, dpop.ErrProof) {
		t.Errorf("own URL without a host: err = %v", err)
	}
}

func TestVerifyAccessToken(t *testing.T) {
	t.Parallel()
	sum := sha256.Sum256([]byte("token"))
	right := base64.RawURLEncoding.EncodeToString(sum[:])
	tests := []struct {
		name  string
		ath   any
		token string
		good  bool
	}{
		{"right", right, "token", true},
		{"of another token", right, "other", false},
		{"absent", nil, "token", false},
		{"empty", "", "token", false},
		{"not a string", 1, "token", false},
		{"no token, no matter", right, "", true},
	}
	for _, tt := range tests {
		c := es256(t)
		if tt.ath != nil {
			c.claims["ath"] = tt.ath
		}
		_, err := verifier(t, nil).Verify(t.Context(), []string{c.proof(t)}, method, target, tt.token)
		if tt.good != (err == nil) || err != nil && !errors.Is(err, dpop.ErrProof) {
			t.Errorf("%s: err = %v", tt.name, err)
		}
	}
}

func TestVerifyOnce(t *testing.T) {
	t.Parallel()
	marks := store{}
	v := verifier(t, func(c *dpop.Config) { c.Taken = marks.taken })
	c := es256(t)
	if _, err := v.Verify(t.Context(), []string{c.proof(t)}, method, target, ""); err != nil {
		t.Fatal(err)
	}
	// Another signature over the same claims is the same proof.
	_, err := v.Verify(t.Context(), []string{c.proof(t)}, method, target, "")
	if !errors.Is(err, dpop.ErrReplayed) || !errors.Is(err, dpop.ErrProof) {
		t.Errorf("second time: err = %v, want ErrReplayed", err)
	}
	if _, err := v.Verify(t.Context(), []string{es256(t).proof(t)}, method, target, ""); err != nil {
		t.Errorf("same jti of another key: err = %v", err)
	}
	if expires := marks[c.thumb+" one"]; expires.Before(now.Add(time.Minute)) {
		t.Errorf("forgotten at %v, while the proof is still taken", expires)
	}
}

// If the store does not answer, nothing is accepted, and the client is not to blame.
func TestVerifyWithoutStore(t *testing.T) {
	t.Parallel()
	down := errors.New("store is down")
	v := verifier(t, func(c *dpop.Config) {
		c.Taken = func(context.Context, string, string, time.Time) error { return down }
	})
	got, err := v.Verify(t.Context(), []string{es256(t).proof(t)}, method, target, "")
	if !errors.Is(err, down) || errors.Is(err, dpop.ErrProof) || got != "" {
		t.Errorf("Verify = %q, %v", got, err)
	}
}

func TestNewRefuses(t *testing.T) {
	t.Parallel()
	good := dpop.Config{Now: func() time.Time { return now }, Taken: store{}.taken}
	for name, change := range map[string]func(*dpop.Config){
		"no clock":     func(c *dpop.Config) { c.Now = nil },
		"no store":     func(c *dpop.Config) { c.Taken = nil },
		"negative age": func(c *dpop.Config) { c.MaxAge = -1 },
		"negative":     func(c *dpop.Config) { c.Skew = -1 },
		"none":         func(c *dpop.Config) { c.Algorithms = []string{"none"} },
		"HS256":        func(c *dpop.Config) { c.Algorithms = []string{"ES256", "HS256"} },
	} {
		cfg := good
		change(&cfg)
		if v, err := dpop.New(cfg); err == nil {
			t.Errorf("%s: New = %v, want an error", name, v)
		}
	}
}

func FuzzVerify(f *testing.F) {
	c := newClient(f, jwt.SigningMethodEdDSA, ed25519.NewKeyFromSeed([]byte(strings.Repeat("seed", 8))))
	good := c.proof(f)
	f.Add(good)
	f.Add("")
	f.Add("e30.e30.e30")
	f.Fuzz(func(t *testing.T, text string) {
		v := verifier(t, nil)
		got, err := v.Verify(t.Context(), []string{text}, method, target, "")
		if err == nil && text != good {
			t.Errorf("%q is taken for a proof of %s", text, got)
		}
		if err != nil && !errors.Is(err, dpop.ErrProof) {
			t.Errorf("%q: err = %v", text, err)
		}
	})
}
