package oidcclient_test

import (
	"bytes"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stile-auth/stile/oidcclient"
	"github.com/stile-auth/stile/oidcclient/oidctest"
)

type lie struct {
	name  string
	fault oidctest.Fault
}

func claim(name string, value any) lie {
	return lie{name, oidctest.SetClaim(name, value)}
}

// seconds is a time of the test's clock, which starts at noon.
func seconds(d time.Duration) int64 {
	return time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC).Add(d).Unix()
}

// refuses signs on at a provider that tells a lie, and wants it refused after
// exactly one token request.
func refuses(t *testing.T, o oidcclient.RequestOptions, lies []lie, changes ...any) {
	t.Helper()
	for _, l := range lies {
		t.Run(l.name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, changes...)
			w.Misbehave(l.fault)
			id, err := w.signOn(t, o)
			if err == nil {
				t.Fatalf("let in: %+v", id)
			}
			w.wants(t, err, oidcclient.ErrRefused, 1)
		})
	}
}

// named gives a lie its name in the list of threats.
func named(name string, l lie) lie { return lie{name, l.fault} }

func TestNonce(t *testing.T) { // T-24, CVE-2026-15612
	t.Parallel()
	refuses(t, oidcclient.RequestOptions{}, []lie{
		{"absent", oidctest.DropClaims("nonce")},
		named("another", claim("nonce", "another")),
		named("empty", claim("nonce", "")),
		named("null", claim("nonce", nil)),
		named("list", claim("nonce", []string{"x"})),
	})
	t.Run("of an earlier sign-on", func(t *testing.T) {
		t.Parallel()
		w := newWorld(t)
		first := w.request(t, oidcclient.RequestOptions{})
		if _, err := w.finish(t.Context(), first.Request, w.visit(t, first)); err != nil {
			t.Fatal(err)
		}
		w.Misbehave(oidctest.SetClaim("nonce", first.Request.Nonce))
		_, err := w.signOn(t, oidcclient.RequestOptions{})
		w.wants(t, err, oidcclient.ErrRefused, 2)
	})
}

func TestParties(t *testing.T) { // T-25, T-88, GO-2026-5732
	t.Parallel()
	refuses(t, oidcclient.RequestOptions{}, []lie{
		named("iss of another", claim("iss", "https://evil.example")),
		named("iss with a slash", lie{fault: oidctest.Fault{Claims: func(c map[string]any) { c["iss"] = c["iss"].(string) + "/" }}}),
		{"iss absent", oidctest.DropClaims("iss")},
		named("iss null", claim("iss", nil)),
		{"iss under a folded name", renamed("iss", "ISS")},
		named("aud of another client", claim("aud", "another")),
		named("aud list of another", claim("aud", []string{"another"})),
		named("aud in part", claim("aud", "stil")),
		{"aud and another", oidctest.Audiences("", "evil")},
		{"aud and another with azp", oidctest.Audiences("stile", "evil")},
		named("aud twice", claim("aud", []string{"stile", "stile"})),
		named("aud empty", claim("aud", []string{})),
		{"aud absent", oidctest.DropClaims("aud")},
		named("azp of another", claim("azp", "another")),
		named("azp null", claim("azp", nil)),
		{"sub absent", oidctest.DropClaims("sub")},
		named("sub empty", claim("sub", "")),
		named("sub number", claim("sub", 42)),
		named("sub too long", claim("sub", strings.Repeat("x", 256))),
		named("sub with a control", claim("sub", "jane\n")),
		{"sub under a folded name", renamed("sub", "\u017fub")},
	})
}

func renamed(from, to string) oidctest.Fault {
	return oidctest.Fault{Claims: func(c map[string]any) {
		c[to] = c[from]
		delete(c, from)
	}}
}

func TestTimes(t *testing.T) { // T-89
	t.Parallel()
	refuses(t, oidcclient.RequestOptions{}, []lie{
		{"exp absent", oidctest.DropClaims("exp")},
		named("exp passed", claim("exp", seconds(-31*time.Second))),
		named("exp text", claim("exp", "1900000000")),
		named("exp fraction", claim("exp", 1900000000.5)),
		named("exp huge", claim("exp", 1e20)),
		named("exp negative", claim("exp", -1)),
		named("exp null", claim("exp", nil)),
		{"iat absent", oidctest.DropClaims("iat")},
		named("iat in the future", claim("iat", seconds(31*time.Second))),
		named("iat too old", claim("iat", seconds(-10*time.Minute-31*time.Second))),
		named("iat text", claim("iat", "now")),
		named("nbf in the future", claim("nbf", seconds(31*time.Second))),
		named("nbf text", claim("nbf", "now")),
		named("auth_time in the future", claim("auth_time", seconds(31*time.Second))),
		named("auth_time text", claim("auth_time", "now")),
	})
	for name, l := range map[string]lie{
		"exp":       claim("exp", seconds(-29*time.Second)),
		"iat":       claim("iat", seconds(29*time.Second)),
		"old iat":   claim("iat", seconds(-10*time.Minute-29*time.Second)),
		"nbf":       claim("nbf", seconds(29*time.Second)),
		"auth_time": claim("auth_time", seconds(29*time.Second)),
	} {
		t.Run(name+" within the leeway", func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			w.Misbehave(l.fault)
			if _, err := w.signOn(t, oidcclient.RequestOptions{}); err != nil {
				t.Error(err)
			}
		})
	}
}

func TestHashes(t *testing.T) { // T-27
	t.Parallel()
	refuses(t, oidcclient.RequestOptions{}, []lie{
		{"at_hash of another token", oidctest.WrongATHash()},
		named("at_hash null", claim("at_hash", nil)),
		named("at_hash empty", claim("at_hash", "")),
		{"access token exchanged", oidctest.SetMember(oidctest.EndpointToken, "access_token", "another")},
		named("c_hash of another code", claim("c_hash", "LDktKdoQak3Pk0cnXxCltA")),
	})
	t.Run("absent is allowed in the code flow", func(t *testing.T) {
		t.Parallel()
		w := newWorld(t)
		w.Misbehave(oidctest.DropClaims("at_hash"))
		if _, err := w.signOn(t, oidcclient.RequestOptions{}); err != nil {
			t.Error(err)
		}
	})
}

func TestMaxAge(t *testing.T) { // T-29
	t.Parallel()
	five := 5 * time.Minute
	refuses(t, oidcclient.RequestOptions{MaxAge: &five}, []lie{
		named("stale", claim("auth_time", seconds(-five-31*time.Second))),
		{"absent", oidctest.DropClaims("auth_time")},
		named("null", claim("auth_time", nil)),
	})
	t.Run("fresh", func(t *testing.T) {
		t.Parallel()
		w := newWorld(t)
		w.Misbehave(oidctest.SetClaim("auth_time", seconds(-five)))
		id, err := w.signOn(t, oidcclient.RequestOptions{MaxAge: &five})
		if err != nil || id.AuthTime.Unix() != seconds(-five) {
			t.Errorf("%+v, %v", id, err)
		}
	})
	t.Run("not asked", func(t *testing.T) {
		t.Parallel()
		w := newWorld(t)
		w.Misbehave(oidctest.DropClaims("auth_time"))
		if id, err := w.signOn(t, oidcclient.RequestOptions{}); err != nil || !id.AuthTime.IsZero() {
			t.Errorf("%+v, %v", id, err)
		}
	})
}

func TestRequiredACR(t *testing.T) { // T-30
	t.Parallel()
	high := oidcclient.RequestOptions{ACRValues: []string{"urn:example:high"}, RequireACR: true}
	refuses(t, high, []lie{
		named("lower", claim("acr", "urn:example:low")),
		{"absent", oidctest.DropClaims("acr")},
		named("list", claim("acr", []string{"urn:example:high"})),
	})
	refuses(t, oidcclient.RequestOptions{}, []lie{
		named("list although nothing was asked", claim("acr", []string{"urn:example:high"})),
		named("amr text", claim("amr", "pwd")),
		named("amr of numbers", claim("amr", []int{1})),
	})
	w := newWorld(t)
	w.Misbehave(oidctest.SetClaim("acr", "urn:example:high"))
	if id, err := w.signOn(t, high); err != nil || id.ACR != "urn:example:high" {
		t.Errorf("%+v, %v", id, err)
	}
	w.Misbehave(oidctest.SetClaim("acr", "urn:example:low"))
	if id, err := w.signOn(t, oidcclient.RequestOptions{ACRValues: high.ACRValues}); err != nil || id.ACR != "urn:example:low" {
		t.Errorf("a wish was taken for a demand: %+v, %v", id, err)
	}
}

func key(t testing.TB, alg string) oidctest.Key {
	t.Helper()
	k, err := oidctest.NewKey(alg)
	if err != nil {
		t.Fatal(err)
	}
	return k
}

func compact(change func(header, claims, signature string) string) oidctest.Fault {
	return oidctest.Fault{Compact: func(token string) string {
		s := strings.Split(token, ".")
		return change(s[0], s[1], s[2])
	}}
}

func header(name string, value any) lie { return lie{name, oidctest.SetHeader(name, value)} }

func TestSignature(t *testing.T) { // T-75 to T-86, CVE-2026-5430
	t.Parallel()
	pem := func(k oidctest.Key) ([]byte, error) { return k.PEM() }
	jwk := func(k oidctest.Key) ([]byte, error) { return k.JWK() }
	lies := []lie{
		{"T-75 none", oidctest.AlgNone("none")},
		{"T-75 nOnE", oidctest.AlgNone("nOnE")},
		{"T-75 empty", oidctest.AlgNone("")},
		{"T-75 alg absent", oidctest.DropHeader("alg")},
		{"T-75 stripped", oidctest.StripSignature()},
		{"T-76 HMAC with PEM", oidctest.HMACWithPublicKey(pem)},
		{"T-76 HMAC with JWK", oidctest.HMACWithPublicKey(jwk)},
		named("T-77 ES384", header("alg", "ES384")),
		named("T-77 RS256", header("alg", "RS256")),
		named("T-77 list", header("alg", []string{"ES256"})),
		{"signed by another key", oidctest.SignedBy(key(t, "ES256"), false)},
		{"T-91 signed by another key of that kid", oidctest.SignedBy(key(t, "ES256"), true)},
		{"T-79 embedded key", oidctest.EmbeddedKey(key(t, "ES256"))},
		named("T-78 kid path", header("kid", "../../dev/null")),
		named("T-78 kid number", header("kid", 7)),
		named("T-78 kid null", header("kid", nil)),
		named("T-82 crit b64", lie{fault: oidctest.Fault{Header: func(h map[string]any) { h["crit"], h["b64"] = []string{"b64"}, true }}}),
		named("T-82 crit unknown", header("crit", []string{"x"})),
		named("T-82 crit empty", header("crit", []string{})),
		named("typ access token", header("typ", "at+jwt")),
		named("typ logout token", header("typ", "logout+jwt")),
		named("typ null", header("typ", nil)),
		{"bit flip", oidctest.BreakSignature()},
		{"T-83 zeros", compact(func(h, c, s string) string { return h + "." + c + "." + strings.Repeat("A", len(s)) })},
		{"T-83 short", compact(func(h, c, s string) string { return h + "." + c + "." + s[:len(s)-8] })},
		{"T-58 alg twice", oidctest.DuplicateHeader("alg", "ES256")},
		{"T-58 alg folded", oidctest.DuplicateHeader("ALG", "ES256")},
		{"T-58 sub twice", oidctest.DuplicateClaim("sub", "mallory")},
		{"T-58 sub folded", oidctest.DuplicateClaim("\u017fub", "mallory")},
		{"T-85 flattened", compact(func(h, c, s string) string {
			return `{"protected":"` + h + `","payload":"` + c + `","signature":"` + s + `"}`
		})},
		{"T-86 five segments", compact(func(h, c, s string) string { return h + "." + c + "." + s + ".." })},
		{"padded", compact(func(h, c, s string) string { return h + "=." + c + "." + s })},
		{"line break", compact(func(h, c, s string) string { return h + "." + c + "." + s + "\n" })},
		{"claims deep", deep()},
		{"claims trailing", trailing()},
		{"no keys", oidctest.NoKeys()},
		{"foreign keys", oidctest.ForeignKeys(key(t, "ES256"))},
	}
	refuses(t, oidcclient.RequestOptions{}, lies)
}

func deep() oidctest.Fault {
	nested := strings.Repeat("[", 40) + strings.Repeat("]", 40)
	return oidctest.Fault{Raw: func(h, c []byte) ([]byte, []byte) {
		return h, bytes.Replace(c, []byte("{"), []byte(`{"x":`+nested+`,`), 1)
	}}
}

func trailing() oidctest.Fault {
	return oidctest.Fault{Raw: func(h, c []byte) ([]byte, []byte) { return append(h, "{}"...), c }}
}

// A token that is signed with an algorithm that was not allowed here, by a key
// that fits, is refused.
func TestAlgorithmIsPinned(t *testing.T) {
	t.Parallel()
	w := newWorld(t, func(c *oidctest.Config) { c.Alg = "ES384" }, func(c *oidcclient.Config) { c.Algorithms = []string{"ES256"} })
	w.Misbehave(oidctest.DropMembers(oidctest.EndpointDiscovery, "id_token_signing_alg_values_supported"))
	_, err := w.signOn(t, oidcclient.RequestOptions{})
	w.wants(t, err, oidcclient.ErrRefused, 1)
}

// What is rare is taken where it is named, and nowhere else; the error says which one it was.
func TestAlgorithmIsNamed(t *testing.T) {
	t.Parallel()
	for _, alg := range []string{"RS384", "RS512", "PS384", "PS512", "ES512"} {
		w := newWorld(t, func(c *oidctest.Config) { c.Alg = alg })
		_, err := w.signOn(t, oidcclient.RequestOptions{})
		w.wants(t, err, oidcclient.ErrRefused, 1)
		if !errors.Is(err, oidcclient.ErrAlgorithm) || !strings.HasSuffix(err.Error(), "it is "+alg) {
			t.Errorf("%s: %v", alg, err)
		}
	}
	w := newWorld(t)
	w.Misbehave(oidctest.SetHeader("alg", "a word of its own"))
	_, err := w.signOn(t, oidcclient.RequestOptions{})
	if !errors.Is(err, oidcclient.ErrAlgorithm) || strings.Contains(err.Error(), "word") {
		t.Errorf("what is no algorithm is repeated: %v", err)
	}
}

// What the provider says that it never uses is refused too.
func TestAlgorithmIsAnnounced(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.Misbehave(oidctest.SetMember(oidctest.EndpointDiscovery, "id_token_signing_alg_values_supported", []string{"RS256"}))
	_, err := w.signOn(t, oidcclient.RequestOptions{})
	w.wants(t, err, oidcclient.ErrRefused, 1)
}

func TestEveryAlgorithm(t *testing.T) {
	t.Parallel()
	for _, alg := range []string{"RS256", "PS256", "ES256", "ES384", "EdDSA", "RS384", "RS512", "PS384", "PS512", "ES512"} {
		t.Run(alg, func(t *testing.T) {
			t.Parallel()
			named := func(c *oidcclient.Config) {
				if !slices.Contains([]string{"RS256", "PS256", "ES256", "ES384", "EdDSA"}, alg) { // which need not be
					c.Algorithms = []string{alg}
				}
			}
			w := newWorld(t, func(c *oidctest.Config) { c.Alg = alg }, named)
			if _, err := w.signOn(t, oidcclient.RequestOptions{}); err != nil {
				t.Error(err)
			}
			w.Misbehave(oidctest.WrongATHash())
			_, err := w.signOn(t, oidcclient.RequestOptions{})
			w.wants(t, err, oidcclient.ErrRefused, 2)
		})
	}
}

// RFC 7517: what a key is for is said by use and alg.
func TestKeyIsForThisUse(t *testing.T) {
	t.Parallel()
	for name, member := range map[string]string{"use": `"use":"enc"`, "alg": `"alg":"ES384"`} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			w.Misbehave(oidctest.Fault{Answer: func(endpoint string, a *oidctest.Answer) {
				if endpoint == oidctest.EndpointJWKS {
					for _, old := range []string{`"use":"sig"`, `"alg":"ES256"`} {
						if strings.HasPrefix(member, old[:6]) {
							a.Body = bytes.Replace(a.Body, []byte(old), []byte(member), 1)
						}
					}
				}
			}})
			_, err := w.signOn(t, oidcclient.RequestOptions{})
			w.wants(t, err, oidcclient.ErrRefused, 1)
		})
	}
}

// A token may leave kid out only where that leaves no choice.
func TestKeyWithoutID(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.Misbehave(oidctest.DropHeader("kid"))
	if _, err := w.signOn(t, oidcclient.RequestOptions{}); err != nil {
		t.Error(err)
	}
	many := newWorld(t)
	many.Misbehave(oidctest.DropHeader("kid"))
	many.Misbehave(oidctest.ManyKeys(2))
	_, err := many.signOn(t, oidcclient.RequestOptions{})
	many.wants(t, err, oidcclient.ErrRefused, 1)
}

// A kid that is no string is not one that is absent.
func TestKeyIDThatIsNone(t *testing.T) {
	t.Parallel()
	for name, kid := range map[string]any{"number": 7, "null": nil, "empty": []string{}} {
		w := newWorld(t)
		w.Misbehave(oidctest.SetHeader("kid", kid))
		w.Misbehave(oidctest.Fault{Answer: func(endpoint string, a *oidctest.Answer) {
			if endpoint == oidctest.EndpointJWKS {
				a.Body = bytes.Replace(a.Body, []byte(`"kid"`), []byte(`"was"`), 1)
			}
		}})
		_, err := w.signOn(t, oidcclient.RequestOptions{})
		if err == nil {
			t.Errorf("%s: accepted", name)
		}
		w.wants(t, err, oidcclient.ErrRefused, 1)
	}
}

// A short RSA key signs nothing here.
func TestShortRSAKey(t *testing.T) {
	t.Parallel()
	w := newWorld(t, func(c *oidctest.Config) { c.Alg = "RS256" })
	short := shortKey(t)
	w.Misbehave(oidctest.SignedBy(short, false))
	w.Misbehave(oidctest.Fault{Answer: func(endpoint string, a *oidctest.Answer) {
		if endpoint != oidctest.EndpointJWKS {
			return
		}
		jwk, err := short.JWK()
		if err != nil {
			t.Error(err)
		}
		a.Body = append(append([]byte(`{"keys":[`), jwk...), "]}"...)
	}})
	_, err := w.signOn(t, oidcclient.RequestOptions{})
	w.wants(t, err, oidcclient.ErrRefused, 1)
}

// T-80: what a header points to is not looked at.
func TestHeaderIsNotFollowed(t *testing.T) {
	t.Parallel()
	w, evil := newWorld(t), newWorld(t)
	for _, name := range []string{"jku", "x5u"} {
		w.Misbehave(oidctest.SetHeader(name, evil.Issuer()+"/jwks"))
	}
	if _, err := w.signOn(t, oidcclient.RequestOptions{}); err != nil {
		t.Error(err)
	}
	if n := evil.Calls(oidctest.EndpointJWKS); n != 0 {
		t.Errorf("the header's address was asked %d times", n)
	}
}

func TestIdentity(t *testing.T) {
	t.Parallel()
	w := newWorld(t, func(c *oidctest.Config) {
		u := oidctest.DefaultUser()
		u.ACR, u.AMR = "urn:example:low", []string{"pwd", "otp"}
		c.Users = []oidctest.User{u}
	})
	id, err := w.signOn(t, oidcclient.RequestOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if id.Issuer != w.Issuer() || id.Subject != oidctest.DefaultUser().Subject {
		t.Errorf("identity %q at %q", id.Subject, id.Issuer)
	}
	if id.ACR != "urn:example:low" || strings.Join(id.AMR, " ") != "pwd otp" || !id.AuthTime.Equal(w.clock.Now()) {
		t.Errorf("authentication %+v", id)
	}
	if id.Email != "" || id.EmailVerified {
		t.Error("UserInfo was asked although nobody wanted that")
	}
	if n := w.Calls(oidctest.EndpointUserInfo); n != 0 {
		t.Errorf("%d calls of UserInfo", n)
	}
	if _, ok := id.Claims["sid"]; !ok {
		t.Error("claims are missing")
	}
}
