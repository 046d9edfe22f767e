package sso_test

import (
	"encoding/json"
	"errors"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"

	"github.com/stile-auth/stile/flowdefs"
	"github.com/stile-auth/stile/flows"
	"github.com/stile-auth/stile/flows/assurance"
	"github.com/stile-auth/stile/oidcclient"
	"github.com/stile-auth/stile/oidcclient/oidctest"
	"github.com/stile-auth/stile/steps/sso"
	"github.com/stile-auth/stile/steps/steptest"
)

// Two of the checks do not fit: the step itself finds out whose account it is,
// so that nobody claims one; and the code of a request is not sent again, also
// by the request that has sent it (see TestExchangeThatDied).
func TestConformance(t *testing.T) {
	before := goleak.IgnoreCurrent()
	for _, check := range steptest.Checks() {
		if slices.Contains([]string{"unknown account looks like a known one", "repeated request is accepted"}, check.Name) {
			continue
		}
		t.Run(check.Name, func(t *testing.T) {
			k := newKit(t)
			if err := check.Run(t.Context(), testCase(t, k)); err != nil {
				t.Error(err)
			}
		})
	}
	goleak.VerifyNone(t, before)
}

func testCase(t *testing.T, k *kit) steptest.Case {
	t.Helper()
	down := false
	return steptest.Case{
		Type: sso.Type(sso.Providers{"corporate": k.provider(t)}, k.people),
		With: "{ provider: corporate }",
		More: definitions[strings.Index(definitions, "providers:"):strings.Index(definitions, "clients:")],
		Visit: flows.Visit{
			StepID: "sso", Turn: 1, Attempt: 1, Now: k.clock.Now(),
			Client: flowdefs.Client{ID: "app", RedirectURIs: []string{redirectURI}},
		},
		Answer: func(data json.RawMessage, _ *flows.Visit, how string) flows.Input {
			var a asked
			if err := json.Unmarshal(data, &a); err != nil {
				t.Fatal(err)
			}
			switch {
			case how == "wrong":
				return body("code=x&state=another&iss=" + k.idp.Issuer())
			case down:
				return body("code=x&state=" + a.Parameters["state"] + "&iss=" + k.idp.Issuer())
			}
			return body(k.visit(t, a.RequestURI))
		},
		Secrets: []string{secret, "correct horse"},
		Break: func() {
			down = true
			k.idp.Down()
			k.people.set(true)
		},
	}
}

func TestPrompt(t *testing.T) {
	t.Parallel()
	k := newKit(t)
	tk := k.start(t, flows.StartRequest{Locale: "de-CH"})
	a := tk.asked(t)
	if tk.view.NextStep.Type != "OAUTH2_CLIENT_AUTHORIZATION_REQUIRED" || a.Provider != "corporate" || a.Redirect != redirectURI {
		t.Errorf("prompt %s: %+v", tk.view.NextStep.Type, a)
	}
	if a.Endpoint != k.idp.Issuer()+"/authorize" || !strings.HasPrefix(a.RequestURI, a.Endpoint+"?") {
		t.Errorf("endpoint %q, request %q", a.Endpoint, a.RequestURI)
	}
	if !a.ExpiresAt.Equal(k.clock.Now().Add(10 * time.Minute)) {
		t.Errorf("expires at %v", a.ExpiresAt)
	}
	for name, want := range map[string]string{
		"client_id": "stile", "redirect_uri": redirectURI, "scope": "openid email", "response_type": "code",
		"code_challenge_method": "S256", "ui_locales": "de-CH",
	} {
		if a.Parameters[name] != want {
			t.Errorf("%s is %q, want %q", name, a.Parameters[name], want)
		}
	}
	data, err := json.Marshal(tk.view)
	if err != nil || strings.Contains(string(data), "verifier") {
		t.Errorf("the verifier is shown, or %v", err)
	}
	if _, ok := a.Parameters["max_age"]; ok {
		t.Error("max_age was asked")
	}
}

func TestSignOn(t *testing.T) {
	t.Parallel()
	k := newKit(t)
	tk := k.start(t, flows.StartRequest{})
	tk.completes(t)
	k.wantTokenCalls(t, 1)
	if n := k.idp.Calls(oidctest.EndpointUserInfo); n != 0 {
		t.Errorf("UserInfo was asked %d times for nothing", n)
	}
}

// What a step proves, with what the provider says kept apart (T-31).
func TestEvidence(t *testing.T) {
	t.Parallel()
	for cap, replayResistant := range map[assurance.Level]bool{assurance.AAL1: false, assurance.AAL2: true} {
		k := newKit(t, func(k *kit) { k.def.Cap, k.def.Categories = cap, []assurance.Category{assurance.Possession} })
		for name, value := range map[string]any{"amr": []string{"hwk", "mfa"}, "acr": "urn:example:3"} {
			k.idp.Misbehave(oidctest.SetClaim(name, value))
		}
		step, err := sso.Type(sso.Providers{"corporate": k.provider(t)}, k.people).New(config{})
		if err != nil {
			t.Fatal(err)
		}
		v := flows.NewVisit(flows.Visit{StepID: "sso", Now: k.clock.Now(), Client: flowdefs.Client{RedirectURIs: []string{redirectURI}}}, "owner", k.store)
		out, err := step.Enter(t.Context(), v)
		if err != nil {
			t.Fatal(err)
		}
		data, _ := json.Marshal(out.Asked().Data)
		var a asked
		if err := json.Unmarshal(data, &a); err != nil {
			t.Fatal(err)
		}
		if out, err = step.Answer(t.Context(), v, body(k.visit(t, a.RequestURI))); err != nil {
			t.Fatal(err)
		}
		want := &flows.Proof{Subject: jane, Evidence: assurance.Evidence{
			Method: assurance.Federated, Authenticator: k.idp.Issuer() + " " + oidctest.DefaultUser().Subject,
			Categories: []assurance.Category{assurance.Possession}, ReplayResistant: replayResistant,
			Binding: assurance.AAL3, Cap: cap,
			Upstream: &assurance.Upstream{
				Provider: "corporate", Session: out.Passed().Evidence.Upstream.Session, Began: k.clock.Now(),
				Issuer: k.idp.Issuer(), Subject: oidctest.DefaultUser().Subject, ACR: "urn:example:3", AMR: []string{"hwk", "mfa"}, AuthTime: k.clock.Now(),
			},
		}}
		if diff := cmp.Diff(want, out.Passed()); diff != "" {
			t.Errorf("cap %v: -want +got:\n%s", cap, diff)
		}
		result := assurance.Assess([]assurance.Evidence{at(out.Passed().Evidence, k.clock.Now())}, k.clock.Now(), assurance.Policy{})
		if result.Level > cap || slices.Contains(result.AMR, "mfa") || slices.Contains(result.AMR, "hwk") {
			t.Errorf("cap %v: assessed as %+v", cap, result)
		}
	}
}

func at(e assurance.Evidence, when time.Time) assurance.Evidence {
	e.At = when
	return e
}

// config is the configuration of the steps in tests.
type config struct{ maxAge string }

func (c config) Decode(dst any) error {
	text := `{"Provider":"corporate"}`
	if c.maxAge != "" {
		text = `{"Provider":"corporate","MaxAge":` + c.maxAge + `}`
	}
	return json.Unmarshal([]byte(text), dst)
}

func TestNegativeMaxAge(t *testing.T) {
	t.Parallel()
	if _, err := sso.Type(nil, nil).New(config{"-1"}); err == nil {
		t.Error("accepted")
	}
}

// T-29: how old the sign-on at the provider may be is asked, and checked.
func TestMaxAge(t *testing.T) {
	t.Parallel()
	k := newKit(t)
	tk := k.start(t, flows.StartRequest{Flow: "fresh"})
	if age := tk.asked(t).Parameters["max_age"]; age != "300" {
		t.Errorf("max_age %q", age)
	}
	k.idp.Misbehave(oidctest.SetClaim("auth_time", k.clock.Now().Add(-time.Hour).Unix()))
	wants(t, tk.answer(t, tk.visit(t)), flows.KindRejected)
	k.idp.Behave()
	tk.completes(t)
}

// Without a secret, and with a provider that cannot be asked, nothing is granted (503).
func TestUnavailable(t *testing.T) {
	t.Parallel()
	for name, k := range map[string]*kit{
		"secret not set": newKit(t, func(k *kit) { k.secret = "" }),
		"down":           newKit(t, func(k *kit) { k.idp.Down() }),
		"another issuer": newKit(t, func(k *kit) {
			k.idp.Misbehave(oidctest.SetMember(oidctest.EndpointDiscovery, "issuer", "https://evil.example"))
		}),
	} {
		_, err := k.engine.Start(t.Context(), flows.Caller{}, flows.StartRequest{ClientID: "app", Flow: "sign-on"})
		var p *flows.Problem
		if !errors.As(err, &p) || p.Kind != flows.KindUnavailable {
			t.Errorf("%s: got %v", name, err)
		}
	}
	step, err := sso.Type(nil, nil).New(config{})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := step.Enter(t.Context(), flows.NewVisit(flows.Visit{}, "", nil)); !errors.Is(err, flows.ErrUnavailable) {
		t.Errorf("unknown provider: %v", err)
	}
}

func TestClientWithoutRedirectURI(t *testing.T) {
	t.Parallel()
	k := newKit(t)
	_, err := k.engine.Start(t.Context(), flows.Caller{}, flows.StartRequest{ClientID: "lost", Flow: "sign-on"})
	wants(t, err, flows.KindInternal)
}

func TestNewProvider(t *testing.T) {
	t.Parallel()
	k := newKit(t)
	d := k.def
	d.Credentials.Secret = nil
	if p, err := sso.NewProvider(&d, sso.Access{Network: oidcclient.Loopback, Now: k.clock.Now}); err != nil || p.Client == nil {
		t.Errorf("a public client: %+v, %v", p, err)
	}
	d.Issuer = "http://idp.bank.example"
	if _, err := sso.NewProvider(&d, sso.Access{Now: k.clock.Now, Transport: http.DefaultTransport}); err == nil {
		t.Error("an issuer without TLS was accepted")
	}
}

func TestActor(t *testing.T) {
	t.Parallel()
	k := newKit(t)
	state, err := json.Marshal(k.start(t, flows.StartRequest{}).asked(t))
	if err != nil {
		t.Fatal(err)
	}
	actor := sso.Type(nil, nil).Actor
	for how, want := range map[string]string{"ok": "code=ok&state=", "wrong": "code=ok&state=another", "denied": "error=access_denied&state="} {
		got, err := actor(state, how)
		if err != nil || !strings.Contains(strings.ReplaceAll(string(got), `\u0026`, "&"), want) {
			t.Errorf("%s: %s, %v", how, got, err)
		}
	}
	if _, err := actor(state, "sideways"); err == nil {
		t.Error("an unknown word was played")
	}
	if _, err := actor(json.RawMessage("x"), "ok"); err == nil {
		t.Error("no prompt was played")
	}
}
