package externaltoken_test

import (
	"encoding/json"
	"errors"
	"net/http"
	"strings"
	"testing"
	"testing/fstest"
	"time"

	"go.yaml.in/yaml/v4"

	"github.com/stile-auth/stile/flowdefs"
	"github.com/stile-auth/stile/flows"
	"github.com/stile-auth/stile/oidcclient"
	"github.com/stile-auth/stile/oidcclient/oidctest"
	"github.com/stile-auth/stile/steps/externaltoken"
)

// UserInfo says whose token it is, after the provider has said that it is one of ours.
func TestDescribedTokens(t *testing.T) {
	t.Parallel()
	k := newKit(t)
	token := signOn(t, k.idp, oidctest.Native{Client: "our-phone"}).Access
	k.start(t, "described").completes(t, "accessToken", token)
	again := k.start(t, "described")
	refused(t, again, again.posts(t, "accessToken", token))
	for _, c := range []struct{ name, token string }{
		{"truly of another app", signOn(t, k.idp, oidctest.Native{Client: "a-game"}).Access},
		{"never issued", "never-issued"},
		{"of another provider", signOn(t, k.provider(t), oidctest.Native{Client: "our-phone"}).Access},
	} {
		a := k.start(t, "described")
		err := a.posts(t, "accessToken", c.token)
		refused(t, a, err)
	}
	if n := k.idp.Calls(oidctest.EndpointUserInfo); n != 2 { // the good one, and again
		t.Errorf("UserInfo was asked %d times: tokens of others are nothing to ask about", n)
	}
}

// A space that a provider overlooks makes no second token of the first.
func TestTokenInAnotherSpelling(t *testing.T) {
	t.Parallel()
	for flow, endpoint := range map[string]string{"described": oidctest.EndpointTokenInfo, "asked": oidctest.EndpointIntrospect} {
		k := newKit(t)
		token := signOn(t, k.idp, oidctest.Native{Client: "our-phone"}).Access
		for _, other := range []string{" " + token, token + " ", token + "\n", token + "\x00", token + "\u00a0"} {
			a := k.start(t, flow)
			refused(t, a, a.posts(t, "accessToken", other))
		}
		if n := k.idp.Calls(endpoint); n != 0 {
			t.Errorf("%s: the provider was asked %d times about what is no token", flow, n)
		}
	}
}

// What the two endpoints say must hold, must be there, and must be about one person.
func TestBadDescriptions(t *testing.T) {
	t.Parallel()
	set := func(endpoint, name string, value any) oidctest.Fault {
		return oidctest.SetMember(endpoint, name, value)
	}
	info, user := oidctest.EndpointTokenInfo, oidctest.EndpointUserInfo
	for name, fault := range map[string]oidctest.Fault{
		"of another app":           set(info, "aud", "a-game"),
		"of another app too":       set(info, "aud", []string{"our-phone", "a-game"}),
		"of no app":                oidctest.DropMembers(info, "aud"),
		"of a nameless app":        set(info, "aud", ""),
		"of ours, and of another":  oidctest.DoubleMember(info, "aud", "our-phone"),
		"nobody's":                 oidctest.DropMembers(info, "sub"),
		"the app's own":            set(info, "sub", "our-phone"),
		"of two people":            oidctest.DoubleMember(info, "sub", "mallory"),
		"of somebody else":         set(info, "sub", "mallory"),
		"UserInfo differs":         set(user, "sub", "mallory"),
		"UserInfo names nobody":    oidctest.DropMembers(user, "sub"),
		"UserInfo names two":       oidctest.DoubleMember(user, "sub", "mallory"),
		"UserInfo in other words":  set(user, "sub", []string{oidctest.DefaultUser().Subject}),
		"UserInfo refuses it":      oidctest.Status(user, http.StatusUnauthorized),
		"it is no good":            oidctest.Status(info, http.StatusBadRequest),
		"expired":                  set(info, "exp", 1),
		"expires now":              set(info, "exp", time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC).Unix()),
		"never expires":            set(info, "exp", 0),
		"without an end":           oidctest.DropMembers(info, "exp"),
		"an end in words":          set(info, "exp", "tomorrow"),
		"an end that is no second": set(info, "exp", 1e300),
		"two ends":                 oidctest.DoubleMember(info, "EXP", 1<<39),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			k := newKit(t)
			token := signOn(t, k.idp, oidctest.Native{Client: "our-phone"}).Access
			a := k.start(t, "described")
			k.idp.Misbehave(fault)
			refused(t, a, a.posts(t, "accessToken", token))
			k.idp.Behave() // nothing was used up
			a.completes(t, "accessToken", token)
		})
	}
}

// Who cannot say lets nobody in, whichever endpoint it is.
func TestDescriptionsThatFail(t *testing.T) {
	t.Parallel()
	for _, endpoint := range []string{oidctest.EndpointTokenInfo, oidctest.EndpointUserInfo} {
		for name, fault := range map[string]oidctest.Fault{
			"its own error": oidctest.Status(endpoint, http.StatusInternalServerError),
			"throttled":     oidctest.Status(endpoint, http.StatusTooManyRequests),
			"cut":           oidctest.Cut(endpoint),
			"endless":       oidctest.Endless(endpoint),
			"huge":          oidctest.SetMember(endpoint, "padding", strings.Repeat("a", 2<<20)),
			"a page":        oidctest.Body(endpoint, "text/html", "<p>ok"),
			"a redirect":    oidctest.RedirectTo(endpoint, "http://169.254.169.254/"),
		} {
			t.Run(endpoint+" "+name, func(t *testing.T) {
				t.Parallel()
				k := newKit(t)
				token := signOn(t, k.idp, oidctest.Native{Client: "our-phone"}).Access
				a := k.start(t, "described")
				k.idp.Misbehave(fault)
				unavailable(t, a, a.posts(t, "accessToken", token))
				k.idp.Behave()
				a.completes(t, "accessToken", token)
			})
		}
	}
	t.Run("down", func(t *testing.T) {
		t.Parallel()
		k := newKit(t)
		token := signOn(t, k.idp, oidctest.Native{Client: "our-phone"}).Access
		a := k.start(t, "described")
		k.idp.Down()
		unavailable(t, a, a.posts(t, "accessToken", token))
	})
	t.Run("a provider that says nothing of tokens", func(t *testing.T) {
		t.Parallel()
		k := newKit(t, func(k *kit) { k.def.TokenInfo = nil })
		a := k.start(t, "described")
		unavailable(t, a, a.posts(t, "accessToken", signOn(t, k.idp, oidctest.Native{Client: "our-phone"}).Access))
	})
}

// A provider that hangs takes its own time-out and no more. Those who sign on with the
// token of another are not held up.
func TestSlowProvider(t *testing.T) {
	t.Parallel()
	for flow, endpoint := range map[string]string{
		"described": oidctest.EndpointTokenInfo, "asked": oidctest.EndpointIntrospect, "plain": oidctest.EndpointJWKS,
	} {
		t.Run(flow, func(t *testing.T) {
			t.Parallel()
			k := newKit(t, func(k *kit) { k.access.Timeout, k.other = 500*time.Millisecond, k.provider(t) })
			tokens := signOn(t, k.idp, oidctest.Native{Client: "our-phone"})
			member, token := "accessToken", tokens.Access
			if flow == "plain" {
				member, token = "idToken", tokens.ID
			}
			gate := oidctest.NewGate()
			k.idp.Misbehave(gate.Hold(endpoint))
			a, done := k.start(t, flow), make(chan error, 1)
			go func() { done <- a.posts(t, member, token) }()
			<-gate.Held()
			k.start(t, "elsewhere").completes(t, "idToken", signOn(t, k.other, oidctest.Native{Client: "our-phone"}).ID)
			select { // the gate is still closed
			case err := <-done:
				unavailable(t, a, err)
			case <-time.After(10 * time.Second):
				t.Fatal("one request takes longer than it may")
			}
			gate.Release()
			k.clock.advance(time.Minute)
			a.completes(t, member, token)
		})
	}
}

// Each preset that says whom tokens were issued to, at a provider that looks like it.
func TestPresets(t *testing.T) {
	t.Parallel()
	for _, name := range flowdefs.Presets() {
		text, err := flowdefs.PresetFile(name)
		if err != nil {
			t.Fatal(err)
		}
		var file struct {
			Provider struct {
				TokenInfo map[string]any `yaml:"token_info"`
			}
			Shape map[string]any
		}
		if err := yaml.Unmarshal(text, &file); err != nil {
			t.Fatal(err)
		}
		if file.Provider.TokenInfo == nil {
			continue
		}
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			k := newKit(t, func(k *kit) { k.becomes(t, name, file.Shape) })
			token := signOn(t, k.idp, oidctest.Native{Client: "our-phone"}).Access
			k.start(t, "described").completes(t, "accessToken", token)
			for _, bad := range []string{token, signOn(t, k.idp, oidctest.Native{Client: "a-game"}).Access, "nonsense"} {
				a := k.start(t, "described")
				refused(t, a, a.posts(t, "accessToken", bad))
			}
			k.clock.advance(10 * time.Minute)
			a := k.start(t, "described")
			refused(t, a, a.posts(t, "accessToken", token))
		})
		t.Run(name+" with another secret", func(t *testing.T) {
			t.Parallel()
			if file.Provider.TokenInfo["authentication"] != "app_token" {
				return // it asks nobody who they are
			}
			k := newKit(t, func(k *kit) { k.becomes(t, name, file.Shape); k.access.Secret = "not ours" })
			a := k.start(t, "described")
			unavailable(t, a, a.posts(t, "accessToken", signOn(t, k.idp, oidctest.Native{Client: "our-phone"}).Access))
		})
	}
}

// becomes puts a provider that looks like that of a preset in place of the kit's.
func (k *kit) becomes(t *testing.T, preset string, look map[string]any) {
	t.Helper()
	registry, err := flows.NewRegistry(externaltoken.Type(nil, nil))
	if err != nil {
		t.Fatal(err)
	}
	set, err := flowdefs.Load(fstest.MapFS{"a.yaml": {Data: []byte("providers:\n  p: { preset: " + preset + ", client_id: stile, client_secret: { env: SECRET } }\n")}}, ".", registry)
	if err != nil {
		t.Fatal(err)
	}
	k.def = *set.Providers["p"]
	k.idp = k.provider(t, shape(t, look))
	k.access.Network, k.access.Transport = oidcclient.Public, k.idp.Transport()
}

func shape(t *testing.T, look map[string]any) *oidctest.Shape {
	t.Helper()
	data, err := json.Marshal(look)
	if err != nil {
		t.Fatal(err)
	}
	var s oidctest.Shape
	if err := json.Unmarshal(data, &s); err != nil {
		t.Fatal(err)
	}
	return &s
}

// Where there is a verdict, only the word true is one.
func TestVerdictOfTheProvider(t *testing.T) {
	t.Parallel()
	for name, verdict := range map[string]any{"no": false, "in words": "true", "nothing": nil} {
		k := newKit(t, func(k *kit) { k.def.TokenInfo.Valid = "ok" })
		k.idp.Misbehave(oidctest.SetMember(oidctest.EndpointTokenInfo, "ok", verdict))
		a := k.start(t, "described")
		token := signOn(t, k.idp, oidctest.Native{Client: "our-phone"}).Access
		if err := a.posts(t, "accessToken", token); err == nil {
			t.Errorf("%s: it was taken", name)
		} else {
			refused(t, a, err)
		}
		k.idp.Misbehave(oidctest.SetMember(oidctest.EndpointTokenInfo, "ok", true))
		a.completes(t, "accessToken", token)
		k.idp.Misbehave(oidctest.Status(oidctest.EndpointTokenInfo, http.StatusBadRequest)) // it is we who are refused
		a = k.start(t, "described")
		unavailable(t, a, a.posts(t, "accessToken", token))
	}
}

func TestDescribedWithAnIDToken(t *testing.T) {
	t.Parallel()
	k := newKit(t)
	var p *flows.Problem
	if err := k.start(t, "described").posts(t, "idToken", signOn(t, k.idp, oidctest.Native{Client: "our-phone"}).ID); !errors.As(err, &p) || p.Kind != flows.KindMalformed {
		t.Errorf("an ID token for an access token: %v", err)
	}
}
