//go:build unix

package contract_test

import (
	"bufio"
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"encoding/json"
	"io"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"regexp"
	"slices"
	"testing"

	"github.com/go-jose/go-jose/v4"
)

// partiesVariable names the folder with the programs of testdata/relying-parties, where their packages are installed.
const partiesVariable = "STILE_TEST_RELYING_PARTIES"

// asking is what such a program is told.
type asking struct {
	Issuer   string            `json:"issuer"`
	Client   string            `json:"client"`
	Auth     string            `json:"auth"`
	Secret   string            `json:"secret,omitempty"`
	Key      *jose.JSONWebKey  `json:"key,omitempty"`
	Redirect string            `json:"redirect"`
	Scope    string            `json:"scope"`
	DPoP     bool              `json:"dpop"`
	More     map[string]string `json:"more"`
}

// heard is what it has read, each by checks of its own.
type heard struct {
	Claims, Refreshed struct {
		Subject  string   `json:"sub"`
		ACR      string   `json:"acr"`
		AMR      []string `json:"amr"`
		AuthTime int64    `json:"auth_time"`
		Hash     string   `json:"at_hash"`
	}
	Info struct {
		Subject string `json:"sub"`
		Branch  string `json:"branch"`
	}
	Type, Revoked, Stolen string
	Asking, Bearer        int
	Introspected          map[string]any
	Error, Why, Cause     string
}

// theirs is a running program.
type theirs struct {
	t    *testing.T
	said *bufio.Reader
	tell io.Writer
}

func startTheirs(t *testing.T, s *secure, program string, a asking) *theirs {
	t.Helper()
	folder := os.Getenv(partiesVariable)
	switch {
	case folder == "" && os.Getenv("CI") == "true":
		t.Fatalf("%s is not set; \"go run ./cmd/dev test\" sets it", partiesVariable)
	case folder == "":
		t.Skipf("%s is not set; \"go run ./cmd/dev test\" installs them and sets it", partiesVariable)
	}
	a.Issuer, a.Redirect = s.node.URL(), "https://app.example/back"
	told, err := json.Marshal(a)
	must(t, err)
	cmd := exec.CommandContext(context.WithoutCancel(t.Context()), "node", program, string(told))
	cmd.Dir, cmd.Env = folder, append(os.Environ(), "NODE_EXTRA_CA_CERTS="+s.ca)
	var wrong bytes.Buffer
	cmd.Stderr = &wrong
	in, err := cmd.StdinPipe()
	must(t, err)
	out, err := cmd.StdoutPipe()
	must(t, err)
	must(t, cmd.Start())
	t.Cleanup(func() {
		_ = in.Close()
		_ = cmd.Process.Kill() // it has ended, unless the test has failed
		_ = cmd.Wait()
		if t.Failed() {
			t.Log(wrong.String())
		}
	})
	return &theirs{t, bufio.NewReader(out), in}
}

func (p *theirs) hears(v any) {
	p.t.Helper()
	line, err := p.said.ReadBytes('\n')
	must(p.t, err)
	if err := json.Unmarshal(line, v); err != nil {
		p.t.Fatalf("%v: %s", err, line)
	}
}

func (p *theirs) address() string {
	p.t.Helper()
	var begun struct{ URL, Why, Cause string }
	p.hears(&begun)
	if begun.URL == "" {
		p.t.Fatalf("it does not begin: %+v", begun)
	}
	return begun.URL
}

// back gives it what the browser brings.
func (p *theirs) back(b *visitor) heard {
	p.t.Helper()
	response := map[string]any{}
	if m := postedTo.FindStringSubmatch(b.page); b.gone == nil && m != nil {
		response["address"], response["form"] = m[1], b.fields()
	} else if b.gone != nil {
		response["address"] = b.gone.String()
	} else {
		p.t.Fatalf("the browser is still here: %d\n%s", b.status, b.page)
	}
	must(p.t, json.NewEncoder(p.tell).Encode(response))
	var h heard
	p.hears(&h)
	return h
}

var postedTo = regexp.MustCompile(`<form method="post" action="(https://app\.example/[^"]*)"`)

func clientKey(t *testing.T) (private *jose.JSONWebKey, public string) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	must(t, err)
	private = &jose.JSONWebKey{Key: key, KeyID: "k1", Algorithm: "ES256", Use: "sig"}
	text, err := json.Marshal(jose.JSONWebKeySet{Keys: []jose.JSONWebKey{private.Public()}})
	must(t, err)
	return private, string(text)
}

// Certified libraries that others wrote sign somebody on, unchanged and with all their checks on:
// TLS, discovery, state, iss, PKCE, nonce, signature, audience, at_hash, auth_time, subject of the user info. They read
// what really happened, refresh, and revoke; DPoP-bound tokens are of no use to whoever has another key.
func TestCertifiedRelyingParties(t *testing.T) {
	t.Parallel()
	key, jwks := clientKey(t)
	for name, c := range map[string]struct {
		program string
		asks    asking
		acr     string
		amr     []string
	}{
		"OIDC Core 9: openid-client, client_secret_basic":                      {"openid-client.mjs", asking{Client: "basic", Auth: "client_secret_basic", Secret: shopSecret, More: map[string]string{"resource": "https://orders.example"}}, "aal1", []string{"pwd"}},
		"OIDC Core 9: openid-client, client_secret_post":                       {"openid-client.mjs", asking{Client: "post", Auth: "client_secret_post", Secret: shopSecret, More: map[string]string{"resource": "https://orders.example", "max_age": "300"}}, "aal1", []string{"pwd"}},
		"OIDC Core 9: openid-client, private_key_jwt":                          {"openid-client.mjs", asking{Client: "key", Auth: "private_key_jwt", Key: key, More: map[string]string{"resource": "https://payments.example"}}, "aal2", []string{"mfa", "otp", "pwd"}},
		"OAuth Form Post 2: openid-client, public":                             {"openid-client.mjs", asking{Client: "public", Auth: "none", More: map[string]string{"resource": "https://orders.example", "response_mode": "form_post"}}, "aal1", []string{"pwd"}},
		"RFC 9449 8: openid-client, DPoP with nonces":                          {"openid-client.mjs", asking{Client: "basic", Auth: "client_secret_basic", Secret: shopSecret, DPoP: true, More: map[string]string{"resource": "https://orders.example"}}, "aal1", []string{"pwd"}},
		"RFC 9449 5: oauth4webapi, a public client, DPoP-bound refresh tokens": {"oauth4webapi.mjs", asking{Client: "public", Auth: "none", DPoP: true, More: map[string]string{"resource": "https://orders.example"}}, "aal1", []string{"pwd"}},
		"RFC 7523 3: oauth4webapi, private_key_jwt and DPoP":                   {"oauth4webapi.mjs", asking{Client: "key", Auth: "private_key_jwt", Key: key, DPoP: true, More: map[string]string{"resource": "https://payments.example"}}, "aal2", []string{"mfa", "otp", "pwd"}},
		"OAuth Form Post 2: oauth4webapi, confidential":                        {"oauth4webapi.mjs", asking{Client: "basic", Auth: "client_secret_basic", Secret: shopSecret, More: map[string]string{"resource": "https://orders.example", "response_mode": "form_post"}}, "aal1", []string{"pwd"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newSecure(t, parties(jwks, ""))
			c.asks.Scope = "openid orders.read"
			p := startTheirs(t, s, c.program, c.asks)
			b := s.visitor(t)
			b.open(p.address())
			b.signIn()
			if slices.Contains(c.amr, "otp") {
				b.submit(map[string]string{"code": s.otp(t)})
			}
			h := p.back(b)
			if h.Error != "" {
				t.Fatalf("%s: %s (%s)", h.Error, h.Why, h.Cause)
			}
			kind := "bearer"
			if c.asks.DPoP {
				kind = "dpop"
			}
			if h.Claims.ACR != c.acr || !slices.Equal(h.Claims.AMR, c.amr) || h.Claims.AuthTime == 0 || h.Claims.Hash == "" || h.Type != kind {
				t.Errorf("reads %+v", h)
			}
			if h.Info.Subject != h.Claims.Subject || h.Refreshed.Subject != h.Claims.Subject || h.Refreshed.AuthTime != h.Claims.AuthTime || h.Refreshed.Hash == h.Claims.Hash {
				t.Errorf("then %+v", h)
			}
			if h.Revoked != "invalid_grant" {
				t.Errorf("revoked: %q", h.Revoked)
			}
			if c.program == "oauth4webapi.mjs" && c.asks.DPoP && (h.Asking == 0 || h.Stolen != "invalid_grant" || h.Bearer != http.StatusUnauthorized) {
				t.Errorf("asked for a nonce %d times; with another key %q; without one %d", h.Asking, h.Stolen, h.Bearer)
			}
			if c.program == "openid-client.mjs" && c.asks.Auth != "none" && (h.Introspected["active"] != true || h.Introspected["acr"] != c.acr) {
				t.Errorf("introspected: %v", h.Introspected)
			}
		})
	}
}

// What a browser brings that is not what was asked for, the libraries refuse: they do look.
func TestCertifiedRelyingPartiesLook(t *testing.T) {
	t.Parallel()
	s := newSecure(t, parties(`{"keys":[{"kty":"EC"}]}`, ""))
	for name, change := range map[string]func(url.Values){
		"another issuer": func(q url.Values) { q.Set("iss", "https://evil.example") },
		"no issuer":      func(q url.Values) { q.Del("iss") },
		"another state":  func(q url.Values) { q.Set("state", "x") },
		"another code":   func(q url.Values) { q.Set("code", q.Get("code")+"x") },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p := startTheirs(t, s, "oauth4webapi.mjs", asking{
				Client: "public", Auth: "none", Scope: "openid", More: map[string]string{"resource": "https://orders.example"},
			})
			b := s.visitor(t)
			b.open(p.address())
			b.signIn()
			q := b.gone.Query()
			change(q)
			b.gone.RawQuery = q.Encode()
			if h := p.back(b); h.Error == "" || h.Claims.Subject != "" {
				t.Errorf("%+v", h)
			}
		})
	}
}
