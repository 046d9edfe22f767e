package devicejws_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"maps"
	"strings"
	"testing"
	"time"

	"github.com/stile-auth/stile/steps/devicejws"
)

var now = time.Date(2026, 3, 1, 12, 0, 0, 500, time.UTC)

var want = devicejws.Want{
	Audience: "https://stile.example", Nonce: "challenge", Flow: "run-1", Step: "phone", Now: now,
}

const (
	thumbprint = "thumbprint-of-the-runs-key"
	client     = "bank-app"
)

func newKey(t testing.TB) *ecdsa.PrivateKey {
	t.Helper()
	k, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return k
}

func public(t testing.TB, k *ecdsa.PrivateKey) (devicejws.Key, string) {
	t.Helper()
	key, err := devicejws.NewKey(&k.PublicKey)
	if err != nil {
		t.Fatal(err)
	}
	jwk, err := json.Marshal(key)
	if err != nil {
		t.Fatal(err)
	}
	return key, string(jwk)
}

var b64 = base64.RawURLEncoding.EncodeToString

// sign makes a compact JWS of any header and payload.
func sign(t testing.TB, k *ecdsa.PrivateKey, header, payload string) string {
	t.Helper()
	text := b64([]byte(header)) + "." + b64([]byte(payload))
	hash := sha256.Sum256([]byte(text))
	r, s, err := ecdsa.Sign(rand.Reader, k, hash[:])
	if err != nil {
		t.Fatal(err)
	}
	signature := make([]byte, 64)
	r.FillBytes(signature[:32])
	s.FillBytes(signature[32:])
	return text + "." + b64(signature)
}

// object is a JSON object by member; values are raw JSON.
type object map[string]string

func (o object) with(key, value string) object {
	o = maps.Clone(o)
	if o[key] = value; value == "" {
		delete(o, key)
	}
	return o
}

func (o object) String() string {
	parts := make([]string, 0, len(o))
	for k, v := range o {
		parts = append(parts, `"`+k+`":`+v)
	}
	return "{" + strings.Join(parts, ",") + "}"
}

const (
	iat = "1772366400" // now
	exp = "1772366460"
)

// kind is one of the two signatures, so that every case plays on both.
type kind struct {
	name            string
	header, payload object
	open            func(compact string) error
}

func kinds(t *testing.T, k *ecdsa.PrivateKey) []kind {
	t.Helper()
	key, jwk := public(t, k)
	id := `"` + key.ID() + `"`
	common := object{
		"aud": `"https://stile.example"`, "nonce": `"challenge"`, "flow": `"run-1"`, "step": `"phone"`, "iat": iat, "exp": exp,
	}
	return []kind{
		{
			"binding",
			object{"typ": `"devbind+jwt"`, "alg": `"ES256"`, "jwk": jwk},
			common.with("jkt", `"`+thumbprint+`"`),
			func(compact string) error { _, err := devicejws.OpenBinding(compact, thumbprint, want); return err },
		},
		{
			"authentication",
			object{"typ": `"devauth+jwt"`, "alg": `"ES256"`, "kid": id},
			common.with("iss", `"`+client+`"`).with("sub", id),
			func(compact string) error {
				a, err := devicejws.ParseAuthentication(compact)
				if err != nil {
					return err
				}
				return a.Verify(key, client, want)
			},
		},
	}
}

func TestGoodSignaturesAreAccepted(t *testing.T) {
	t.Parallel()
	k := newKey(t)
	for _, kind := range kinds(t, k) {
		if err := kind.open(sign(t, k, kind.header.String(), kind.payload.String())); err != nil {
			t.Errorf("%s: %v", kind.name, err)
		}
	}
}

// Bad claims and headers are properly signed: the signature alone is no answer (T-75 to T-89, T-107, T-114).
func TestBadMembersAreRefused(t *testing.T) {
	t.Parallel()
	k := newKey(t)
	claims := map[string]struct {
		key   string
		value string // raw JSON, "" to leave it out
		want  devicejws.Refusal
	}{
		"audience of staging":       {"aud", `"https://staging.stile.example"`, devicejws.WrongContext},
		"audience with a slash":     {"aud", `"https://stile.example/"`, devicejws.WrongContext},
		"empty audience":            {"aud", `""`, devicejws.WrongContext},
		"list of audiences":         {"aud", `["https://stile.example"]`, devicejws.Malformed},
		"no audience":               {"aud", "", devicejws.Malformed},
		"another challenge":         {"nonce", `"challengf"`, devicejws.WrongContext},
		"empty challenge":           {"nonce", `""`, devicejws.WrongContext},
		"no challenge":              {"nonce", "", devicejws.Malformed},
		"another run":               {"flow", `"run-2"`, devicejws.WrongContext},
		"no run":                    {"flow", "", devicejws.Malformed},
		"another step":              {"step", `"tablet"`, devicejws.WrongContext},
		"no step":                   {"step", "", devicejws.Malformed},
		"no iat":                    {"iat", "", devicejws.Malformed},
		"no exp":                    {"exp", "", devicejws.Malformed},
		"iat as a string":           {"iat", `"` + iat + `"`, devicejws.Malformed},
		"iat as a fraction":         {"iat", iat + ".5", devicejws.Malformed},
		"exp out of range":          {"exp", "1e20", devicejws.Malformed},
		"exp as large as they come": {"exp", "9223372036854775807", devicejws.Stale},
		"iat as small as they come": {"iat", "-9223372036854775808", devicejws.Stale},
		"lives too long":            {"exp", "1772366461", devicejws.Stale},
		"lives for no time":         {"exp", iat, devicejws.Stale},
		"ends before it begins":     {"exp", "1772366399", devicejws.Stale},
		"unknown claim":             {"scope", `"all"`, devicejws.Malformed},
		"folded claim":              {"AUD", `"https://stile.example"`, devicejws.Malformed},
	}
	headers := map[string]struct {
		key   string
		value string
		want  devicejws.Refusal
	}{
		"typ of a DPoP proof":  {"typ", `"dpop+jwt"`, devicejws.WrongKind},
		"typ JWT":              {"typ", `"JWT"`, devicejws.WrongKind},
		"typ in capitals":      {"typ", `"DEVAUTH+JWT"`, devicejws.WrongKind},
		"no typ":               {"typ", "", devicejws.Malformed},
		"alg none":             {"alg", `"none"`, devicejws.WrongKind},
		"alg in small letters": {"alg", `"es256"`, devicejws.WrongKind},
		"alg HS256":            {"alg", `"HS256"`, devicejws.WrongKind},
		"alg ES384":            {"alg", `"ES384"`, devicejws.WrongKind},
		"alg list":             {"alg", `["ES256"]`, devicejws.Malformed},
		"no alg":               {"alg", "", devicejws.Malformed},
		"crit":                 {"crit", `["exp"]`, devicejws.Malformed},
		"empty crit":           {"crit", `[]`, devicejws.Malformed},
		"b64":                  {"b64", `false`, devicejws.Malformed},
		"jku":                  {"jku", `"https://evil.example/jwks"`, devicejws.Malformed},
		"x5c":                  {"x5c", `["MII"]`, devicejws.Malformed},
	}
	for _, kind := range kinds(t, k) {
		for name, c := range claims {
			compact := sign(t, k, kind.header.String(), kind.payload.with(c.key, c.value).String())
			if err := kind.open(compact); !errors.Is(err, c.want) {
				t.Errorf("%s: %s: got %v, want %v", kind.name, name, err, c.want)
			}
		}
		for name, c := range headers {
			compact := sign(t, k, kind.header.with(c.key, c.value).String(), kind.payload.String())
			if err := kind.open(compact); !errors.Is(err, c.want) {
				t.Errorf("%s: %s: got %v, want %v", kind.name, name, err, c.want)
			}
		}
	}
}

func TestMembersOfOneKindAreRefused(t *testing.T) {
	t.Parallel()
	k := newKey(t)
	all := kinds(t, k)
	binding, authentication := all[0], all[1]
	_, foreign := public(t, newKey(t))
	_, own := public(t, k)
	private := strings.TrimSuffix(own, "}") + `,"d":"` + b64(make([]byte, 32)) + `"}`
	for name, c := range map[string]struct {
		kind            kind
		header, payload object
		want            devicejws.Refusal
	}{
		"binding to another run's key":       {binding, binding.header, binding.payload.with("jkt", `"other"`), devicejws.WrongContext},
		"binding without jkt":                {binding, binding.header, binding.payload.with("jkt", ""), devicejws.Malformed},
		"binding of a key that did not sign": {binding, binding.header.with("jwk", foreign), binding.payload, devicejws.BadSignature},
		"binding with a private key":         {binding, binding.header.with("jwk", private), binding.payload, devicejws.Malformed},
		"binding with a kid":                 {binding, binding.header.with("kid", `"x"`), binding.payload, devicejws.Malformed},
		"authentication as binding":          {binding, authentication.header, authentication.payload, devicejws.Malformed},
		"typ of the other kind":              {binding, binding.header.with("typ", `"devauth+jwt"`), binding.payload, devicejws.WrongKind},
		"another client":                     {authentication, authentication.header, authentication.payload.with("iss", `"other-app"`), devicejws.WrongContext},
		"no client":                          {authentication, authentication.header, authentication.payload.with("iss", ""), devicejws.Malformed},
		"sub is not kid":                     {authentication, authentication.header, authentication.payload.with("sub", `"other"`), devicejws.WrongContext},
		"no sub":                             {authentication, authentication.header, authentication.payload.with("sub", ""), devicejws.Malformed},
		"kid is a path":                      {authentication, authentication.header.with("kid", `"../../dev/null"`), authentication.payload, devicejws.WrongContext},
		"kid and sub are empty":              {authentication, authentication.header.with("kid", `""`), authentication.payload.with("sub", `""`), devicejws.WrongContext},
		"kid is a number":                    {authentication, authentication.header.with("kid", `7`), authentication.payload, devicejws.Malformed},
		"embedded key":                       {authentication, authentication.header.with("jwk", own), authentication.payload, devicejws.Malformed},
		"binding as authentication":          {authentication, binding.header, binding.payload, devicejws.Malformed},
		"typ of binding":                     {authentication, authentication.header.with("typ", `"devbind+jwt"`), authentication.payload, devicejws.WrongKind},
	} {
		if err := c.kind.open(sign(t, k, c.header.String(), c.payload.String())); !errors.Is(err, c.want) {
			t.Errorf("%s: got %v, want %v", name, err, c.want)
		}
	}
}

// A claim that is given twice means one thing to one parser and another to the next (T-58).
func TestDuplicateMembersAreRefused(t *testing.T) {
	t.Parallel()
	k := newKey(t)
	twice := func(o object, key string) string { // first a wrong value, then the right one
		return `{"` + key + `":"wrong",` + strings.TrimPrefix(o.String(), "{")
	}
	for _, kind := range kinds(t, k) {
		for compact, what := range map[string]string{
			sign(t, k, twice(kind.header, "alg"), kind.payload.String()):  "alg",
			sign(t, k, kind.header.String(), twice(kind.payload, "flow")): "flow",
			sign(t, k, kind.header.String(), twice(kind.payload, "ſtep")): "step, folded",
		} {
			if err := kind.open(compact); !errors.Is(err, devicejws.Malformed) {
				t.Errorf("%s: %s twice: got %v", kind.name, what, err)
			}
		}
	}
}

func TestBadFormIsRefused(t *testing.T) {
	t.Parallel()
	k := newKey(t)
	for _, kind := range kinds(t, k) {
		good := sign(t, k, kind.header.String(), kind.payload.String())
		parts := strings.Split(good, ".")
		for name, c := range map[string]struct {
			compact string
			want    devicejws.Refusal
		}{
			"empty":             {"", devicejws.Malformed},
			"two parts":         {parts[0] + "." + parts[1], devicejws.Malformed},
			"four parts":        {good + ".AA", devicejws.Malformed},
			"no signature":      {parts[0] + "." + parts[1] + ".", devicejws.Malformed},
			"JSON":              {`{"payload":"` + parts[1] + `","protected":"` + parts[0] + `","signature":"` + parts[2] + `"}`, devicejws.Malformed},
			"line end":          {good + "\n", devicejws.Malformed},
			"line end inside":   {parts[0] + ".\r\n" + parts[1] + "." + parts[2], devicejws.Malformed},
			"padding":           {parts[0] + "==." + parts[1] + "." + parts[2], devicejws.Malformed},
			"spelled otherwise": {good[:len(good)-1] + other(good[len(good)-1]), devicejws.Malformed},
			"too long":          {sign(t, k, kind.header.String(), strings.Repeat(" ", devicejws.MaxSize)+kind.payload.String()), devicejws.Malformed},
			"r and s are zero":  {parts[0] + "." + parts[1] + "." + b64(make([]byte, 64)), devicejws.BadSignature},
			"DER signature":     {parts[0] + "." + parts[1] + "." + der(t, k, parts[0]+"."+parts[1]), devicejws.BadSignature},
			"long signature":    {parts[0] + "." + parts[1] + "." + b64(make([]byte, 96)), devicejws.BadSignature},
			"another signer":    {sign(t, newKey(t), kind.header.String(), kind.payload.String()), devicejws.BadSignature},
			"changed payload":   {parts[0] + "." + b64([]byte(kind.payload.with("flow", `"run-9"`).String())) + "." + parts[2], devicejws.BadSignature},
		} {
			if err := kind.open(c.compact); !errors.Is(err, c.want) {
				t.Errorf("%s: %s: got %v, want %v", kind.name, name, err, c.want)
			}
		}
	}
}

// other returns a base64url letter that decodes to the same bits where only the upper four count.
func other(last byte) string {
	const alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
	i := strings.IndexByte(alphabet, last)
	return string(alphabet[i^1])
}

func der(t *testing.T, k *ecdsa.PrivateKey, text string) string {
	t.Helper()
	hash := sha256.Sum256([]byte(text))
	signature, err := ecdsa.SignASN1(rand.Reader, k, hash[:])
	if err != nil {
		t.Fatal(err)
	}
	return b64(signature)
}

// The window is exact to the second, on both sides (T-89).
func TestWindow(t *testing.T) {
	t.Parallel()
	k := newKey(t)
	kind := kinds(t, k)[0]
	compact := sign(t, k, kind.header.String(), kind.payload.String()) // iat is now, exp a minute later
	for after, want := range map[time.Duration]error{
		-61 * time.Second:  devicejws.Stale,
		-60 * time.Second:  nil,
		0:                  nil,
		119 * time.Second:  nil,
		120 * time.Second:  devicejws.Stale,
		3600 * time.Second: devicejws.Stale,
	} {
		w := devicejws.Want{Audience: "https://stile.example", Nonce: "challenge", Flow: "run-1", Step: "phone", Now: now.Add(after)}
		if _, err := devicejws.OpenBinding(compact, thumbprint, w); !errors.Is(err, want) {
			t.Errorf("%v after it was made: got %v, want %v", after, err, want)
		}
	}
}

// A caller that forgets to say what it wants gets nothing, whatever the device has signed.
func TestEmptyWantFitsNothing(t *testing.T) {
	t.Parallel()
	k := newKey(t)
	kind := kinds(t, k)[0]
	for _, claim := range []string{"aud", "nonce", "flow", "step", "jkt"} {
		w, jkt := want, thumbprint
		switch claim {
		case "aud":
			w.Audience = ""
		case "nonce":
			w.Nonce = ""
		case "flow":
			w.Flow = ""
		case "step":
			w.Step = ""
		case "jkt":
			jkt = ""
		}
		compact := sign(t, k, kind.header.String(), kind.payload.with(claim, `""`).String())
		if _, err := devicejws.OpenBinding(compact, jkt, w); !errors.Is(err, devicejws.WrongContext) {
			t.Errorf("nothing wanted of %s: got %v", claim, err)
		}
	}
}
