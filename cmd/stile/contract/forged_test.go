package contract_test

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"maps"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
)

// T-75 to T-86, T-88, T-91: what somebody makes of a good token of ours without our key. None is let in
// at user info, at introspection, or as a hint, and nothing is fetched that it names.
func TestForgedTokens(t *testing.T) {
	t.Parallel()
	h := newHall(t)
	good, id, _ := h.tokens()
	if !h.doors()["user info"](good) || !h.doors()["authorization: hint"](id) {
		t.Fatal("a good one is refused")
	}
	var fetched atomic.Int32
	evil := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { fetched.Add(1) }))
	t.Cleanup(evil.Close)
	thief := newSigner(t)
	_, published := h.get(http.MethodGet, h.w.node.URL()+"/.well-known/jwks.json", "", "")
	public, err := json.Marshal(published)
	must(t, err)

	part := func(v any) string {
		b, err := json.Marshal(v)
		must(t, err)
		return b64(b)
	}
	signature := func(token string) []byte {
		b, err := base64.RawURLEncoding.DecodeString(token[strings.LastIndex(token, ".")+1:])
		must(t, err)
		return b
	}
	for door, token := range map[string]string{"user info": good, "introspection": good, "authorization: hint": id} {
		parts := strings.Split(token, ".")
		var head map[string]any
		raw, err := base64.RawURLEncoding.DecodeString(parts[0])
		must(t, errJoin(err, json.Unmarshal(raw, &head)))
		claims := map[string]any(h.w.claimsOf(h, token))
		with := func(name string, value any) map[string]any {
			m := maps.Clone(head)
			if m[name] = value; value == nil {
				delete(m, name)
			}
			return m
		}
		by := func(header map[string]any) string { // the thief's signature, whatever the header says
			header = maps.Clone(header)
			alg := header["alg"]
			return thief.sign(h, header, claims, func(header, _ map[string]any) { header["alg"] = alg })
		}
		mac := func(key []byte) string {
			input := part(with("alg", "HS256")) + "." + parts[1]
			m := hmac.New(sha256.New, key)
			m.Write([]byte(input))
			return input + "." + b64(m.Sum(nil))
		}
		r := signature(token)
		forged := map[string]string{
			"the key in the header":       by(with("jwk", thief.jwk)),
			"an address of keys":          by(with("jku", evil.URL)),
			"an address of a certificate": by(with("x5u", evil.URL)),
			"a certificate":               by(with("x5c", []string{"MIIB"})),
			"an extension":                by(with("crit", []string{"exp"})),
			"the published key as secret": mac(public),
			"the empty secret":            mac(nil),
			"no signature":                parts[0] + "." + parts[1] + ".",
			"zeros":                       parts[0] + "." + parts[1] + "." + b64(make([]byte, 64)),
			"a short signature":           parts[0] + "." + parts[1] + "." + b64(r[:63]),
			"a long signature":            parts[0] + "." + parts[1] + "." + b64(append(r, 0)),
			"other claims":                parts[0] + "." + part(map[string]any{"iss": h.w.node.URL(), "sub": "root"}) + "." + parts[2],
			"JSON":                        `{"protected":"` + parts[0] + `","payload":"` + parts[1] + `","signature":"` + parts[2] + `"}`,
			"five parts":                  token + ".x.y",
			"two parts":                   parts[0] + "." + parts[1],
			"twice":                       token + "." + token,
		}
		for _, alg := range []any{"none", "None", "nOnE", "", nil, []string{"ES256"}} {
			name, err := json.Marshal(alg)
			must(t, err)
			forged["alg "+string(name)] = part(with("alg", alg)) + "." + parts[1] + "."
			forged["alg "+string(name)+", signed"] = part(with("alg", alg)) + "." + parts[1] + "." + parts[2]
		}
		for _, alg := range []string{"ES384", "ES256K", "RS256", "PS256", "EdDSA", "HS256"} {
			forged["alg "+alg] = part(with("alg", alg)) + "." + parts[1] + "." + parts[2]
		}
		for _, kid := range []any{"../../dev/null", "' OR 1=1--", "*)(uid=*", strings.Repeat("k", 10<<10), 7, nil, evil.URL} {
			name, err := json.Marshal(kid)
			must(t, err)
			forged["kid "+string(name[:min(len(name), 20)])] = by(with("kid", kid))
		}
		for name, one := range forged {
			if h.doors()[door](one) {
				t.Errorf("%s: %s is let in", door, name)
			}
		}
	}
	if n := fetched.Load(); n > 0 {
		t.Errorf("%d requests to an address that a token names", n)
	}
}
