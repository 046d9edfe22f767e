package externaltoken_test

import (
	"encoding/json"
	"errors"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/stile-auth/stile/flows"
	"github.com/stile-auth/stile/oidcclient/oidctest"
	"github.com/stile-auth/stile/steps/steptest"
)

func TestStep(t *testing.T) {
	t.Parallel()
	for _, check := range steptest.Checks() {
		if check.Name == "unknown account looks like a known one" { // nobody claims one: the token says whose it is
			continue
		}
		t.Run(check.Name, func(t *testing.T) {
			t.Parallel()
			k := newKit(t)
			err := check.Run(t.Context(), steptest.Case{
				Type: k.types, With: "{ provider: corporate, apps: [our-phone] }",
				More:  `providers: { corporate: { issuer: "https://idp.bank.example", client_id: stile } }`,
				Visit: flows.Visit{Now: k.clock.Now()},
				Answer: func(prompt json.RawMessage, _ *flows.Visit, how string) flows.Input {
					var asked struct{ Nonce string }
					if err := json.Unmarshal(prompt, &asked); err != nil {
						t.Error(err)
					}
					if how == "wrong" {
						asked.Nonce = "another"
					}
					body, err := json.Marshal(map[string]string{"idToken": signOn(t, k.idp, oidctest.Native{Client: "our-phone", Nonce: asked.Nonce}).ID})
					if err != nil {
						t.Error(err)
					}
					return body
				},
				Secrets: []string{secret}, Break: k.idp.Down,
			})
			if err != nil {
				t.Error(err)
			}
		})
	}
}

func TestGoodTokens(t *testing.T) {
	t.Parallel()
	k := newKit(t)
	a := k.start(t, "signed")
	a.completes(t, "idToken", signOn(t, k.idp, oidctest.Native{Client: "our-phone", Nonce: a.nonce(t)}).ID)
	a = k.start(t, "signed") // asked for the server: aud and azp are two of ours
	a.completes(t, "idToken", signOn(t, k.idp, oidctest.Native{Client: "our-phone", Audience: "our-server", Nonce: a.nonce(t)}).ID)
	k.start(t, "plain").completes(t, "idToken", signOn(t, k.idp, oidctest.Native{Client: "our-phone"}).ID)
	k.start(t, "asked").completes(t, "accessToken", signOn(t, k.idp, oidctest.Native{Client: "our-phone"}).Access)
}

// What broke others: tokens of other apps (CVE-2026-55669), without the nonce
// (CVE-2026-15612), of another issuer, unsigned, and out of time.
func TestBadIDTokens(t *testing.T) {
	t.Parallel()
	set := func(name string, value any) oidctest.Fault {
		return oidctest.Fault{Claims: func(c map[string]any) {
			if c[name] = value; value == nil {
				delete(c, name)
			}
		}}
	}
	at := func(name string, d time.Duration) oidctest.Fault {
		return set(name, time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC).Add(d).Unix())
	}
	head := func(name string, value any) oidctest.Fault {
		return oidctest.Fault{Header: func(h map[string]any) { h[name] = value }}
	}
	for name, fault := range map[string]oidctest.Fault{
		"for another app":          set("aud", "a-game"),
		"for another app too":      set("aud", []string{"our-phone", "a-game"}),
		"for nobody":               set("aud", nil),
		"issued to another app":    set("azp", "a-game"),
		"azp is no text":           set("azp", []string{"our-phone"}),
		"another issuer":           set("iss", "https://idp.elsewhere.example"),
		"no issuer":                set("iss", nil),
		"another nonce":            set("nonce", "another"),
		"no nonce":                 set("nonce", nil),
		"empty nonce":              set("nonce", ""),
		"expired":                  at("exp", -time.Minute),
		"never expires":            set("exp", nil),
		"old":                      at("iat", -6*time.Minute),
		"without an age":           set("iat", nil),
		"of the future":            at("iat", 2*time.Minute),
		"not yet good":             at("nbf", 2*time.Minute),
		"nobody's":                 set("sub", nil),
		"unsigned":                 head("alg", "none"),
		"signed by a secret":       head("alg", "HS256"),
		"an access token":          head("typ", "at+jwt"),
		"a logout token":           head("typ", "logout+jwt"),
		"a key that is not theirs": head("kid", "unknown"),
		"what is not understood":   head("crit", []string{"b64"}),
		"another signature":        {Sign: func(string, oidctest.Key) ([]byte, error) { return make([]byte, 64), nil }},
		"no signature":             {Compact: func(s string) string { return s[:strings.LastIndex(s, ".")+1] }},
		"not a token":              {Compact: func(string) string { return "token" }},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			k := newKit(t)
			a := k.start(t, "signed")
			k.idp.Misbehave(fault)
			bad := signOn(t, k.idp, oidctest.Native{Client: "our-phone", Nonce: a.nonce(t)}).ID
			refused(t, a, a.posts(t, "idToken", bad))
			k.idp.Behave() // the run goes on
			a.completes(t, "idToken", signOn(t, k.idp, oidctest.Native{Client: "our-phone", Nonce: a.nonce(t)}).ID)
		})
	}
}

// A token is taken once, whoever has it, and under whatever signature.
func TestTokensAreTakenOnce(t *testing.T) {
	t.Parallel()
	k := newKit(t)
	tokens := signOn(t, k.idp, oidctest.Native{Client: "our-phone"})
	k.start(t, "plain").completes(t, "idToken", tokens.ID)
	k.start(t, "asked").completes(t, "accessToken", tokens.Access)
	a := k.start(t, "plain")
	refused(t, a, a.posts(t, "idToken", tokens.ID))
	a = k.start(t, "asked")
	refused(t, a, a.posts(t, "accessToken", tokens.Access))
	k.clock.advance(5 * time.Minute)
	a = k.start(t, "plain") // the mark outlives the token
	refused(t, a, a.posts(t, "idToken", tokens.ID))
}

// An identifier counts where the issuer gives one: two tokens of one jti are one.
func TestTokensOfOneIdentifierAreOne(t *testing.T) {
	t.Parallel()
	k := newKit(t)
	k.idp.Misbehave(oidctest.Fault{Claims: func(c map[string]any) { c["jti"] = "one" }})
	k.start(t, "plain").completes(t, "idToken", signOn(t, k.idp, oidctest.Native{Client: "our-phone"}).ID)
	k.clock.advance(time.Second)
	a := k.start(t, "plain")
	refused(t, a, a.posts(t, "idToken", signOn(t, k.idp, oidctest.Native{Client: "our-phone"}).ID))
}

// The token of another provider that has an app of the same name.
func TestTokenOfAnotherProvider(t *testing.T) {
	t.Parallel()
	k := newKit(t)
	other := k.provider(t)
	tokens := signOn(t, other, oidctest.Native{Client: "our-phone"})
	a := k.start(t, "plain")
	refused(t, a, a.posts(t, "idToken", tokens.ID))
	a = k.start(t, "asked")
	refused(t, a, a.posts(t, "accessToken", tokens.Access))
}

// An access token that UserInfo takes is no proof that our app got it (RFC 9700 §4.10).
func TestBadAccessTokens(t *testing.T) {
	t.Parallel()
	answers := map[string]func(map[string]any){
		"not active":            func(m map[string]any) { m["active"] = false },
		"active in words":       func(m map[string]any) { m["active"] = "true" },
		"nothing said":          func(m map[string]any) { delete(m, "active") },
		"of another app":        func(m map[string]any) { m["client_id"] = "a-game" },
		"of no app":             func(m map[string]any) { delete(m, "client_id") },
		"for another app":       func(m map[string]any) { m["aud"] = "a-game" },
		"for nobody":            func(m map[string]any) { delete(m, "aud") },
		"expired":               func(m map[string]any) { m["exp"] = 1 },
		"never expires":         func(m map[string]any) { delete(m, "exp") },
		"not yet good":          func(m map[string]any) { m["nbf"] = 1 << 33 },
		"of another issuer":     func(m map[string]any) { m["iss"] = "https://idp.elsewhere.example" },
		"nobody's":              func(m map[string]any) { delete(m, "sub") },
		"the app's own":         func(m map[string]any) { m["sub"] = "our-phone" },
		"bound to a key":        func(m map[string]any) { m["cnf"] = map[string]string{"jkt": "x"} },
		"bound in another way":  func(m map[string]any) { m["cnf"] = nil },
		"with doubtful methods": func(m map[string]any) { m["amr"] = "pwd" },
	}
	for name, bend := range answers {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			k := newKit(t)
			k.idp.Misbehave(oidctest.Fault{Answer: func(endpoint string, a *oidctest.Answer) {
				if endpoint == oidctest.EndpointIntrospect {
					a.Body = bent(t, a.Body, bend)
				}
			}})
			a := k.start(t, "asked")
			refused(t, a, a.posts(t, "accessToken", signOn(t, k.idp, oidctest.Native{Client: "our-phone"}).Access))
		})
	}
	t.Run("truly of another app", func(t *testing.T) {
		t.Parallel()
		k := newKit(t)
		a := k.start(t, "asked")
		refused(t, a, a.posts(t, "accessToken", signOn(t, k.idp, oidctest.Native{Client: "a-game"}).Access))
		refused(t, a, a.posts(t, "accessToken", "never issued"))
	})
}

func bent(t *testing.T, body []byte, bend func(map[string]any)) []byte {
	var all map[string]any
	if err := json.Unmarshal(body, &all); err != nil {
		t.Error(err)
	}
	bend(all)
	out, err := json.Marshal(all)
	if err != nil {
		t.Error(err)
	}
	return out
}

// A provider that cannot say lets nobody in, and burns no token.
func TestProviderThatIsDown(t *testing.T) {
	t.Parallel()
	k := newKit(t)
	tokens := signOn(t, k.idp, oidctest.Native{Client: "our-phone"})
	signed, asked := k.start(t, "plain"), k.start(t, "asked")
	k.idp.Down()
	unavailable(t, signed, signed.posts(t, "idToken", tokens.ID))
	unavailable(t, asked, asked.posts(t, "accessToken", tokens.Access))
	k.idp.Up()
	k.clock.advance(time.Minute)
	signed.completes(t, "idToken", tokens.ID)
	asked.completes(t, "accessToken", tokens.Access)
}

// Answers of any length, and of no sense, are the provider's failure.
func TestProviderThatIsNoHelp(t *testing.T) {
	t.Parallel()
	for name, a := range map[string]oidctest.Answer{
		"huge":          {Status: 200, Header: http.Header{"Content-Type": {"application/json"}}, Body: make([]byte, 2<<20)},
		"a page":        {Status: 200, Header: http.Header{"Content-Type": {"text/html"}}, Body: []byte("<p>ok")},
		"its own error": {Status: 500},
		"a redirect":    {Status: 302, Header: http.Header{"Location": {"http://169.254.169.254/"}}},
		"not us":        {Status: 401},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			k := newKit(t)
			k.idp.Misbehave(oidctest.Fault{Answer: func(endpoint string, answer *oidctest.Answer) {
				if endpoint == oidctest.EndpointIntrospect {
					*answer = a
				}
			}})
			run := k.start(t, "asked")
			unavailable(t, run, run.posts(t, "accessToken", signOn(t, k.idp, oidctest.Native{Client: "our-phone"}).Access))
		})
	}
}

// Each step takes the one kind of token that it was configured for.
func TestOtherKindsOfTokens(t *testing.T) {
	t.Parallel()
	k := newKit(t)
	tokens := signOn(t, k.idp, oidctest.Native{Client: "our-phone"})
	var p *flows.Problem
	if err := k.start(t, "plain").posts(t, "accessToken", tokens.Access); !errors.As(err, &p) || p.Kind != flows.KindMalformed {
		t.Errorf("an access token for an ID token: %v", err)
	}
	if err := k.start(t, "asked").posts(t, "idToken", tokens.ID); !errors.As(err, &p) || p.Kind != flows.KindMalformed {
		t.Errorf("an ID token for an access token: %v", err)
	}
}
