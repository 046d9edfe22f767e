package demo_test

import (
	"errors"
	"os"
	"strings"
	"testing"

	"github.com/stile-auth/stile/cmd/stile/demo"
	"github.com/stile-auth/stile/oidcclient/oidctest/certified"
)

// jane is her account at a provider that others wrote and had certified: any
// login name exists there, with every password, and is the sub.
func jane(p *certified.Provider) demo.Provider {
	return demo.Provider{
		Issuer: p.Issuer, ClientSecret: p.ClientSecret,
		Username: "jane-upstream", Password: "whatever opens the gate", Subject: "jane-upstream",
	}
}

// The whole story at a provider that others wrote, in a process of its own,
// with its own login and consent pages.
func TestStoryAtACertifiedProvider(t *testing.T) {
	t.Parallel()
	idp := certified.Open(t, os.Getenv)
	if idp.RedirectURI != demo.RedirectURI {
		t.Fatalf("the provider redirects to %s", idp.RedirectURI)
	}
	who := jane(idp)

	out := keepsSecrets(t, demo.Options{Provider: &who})
	t.Log(out)
	checkTitles(t, out, "access, refresh and ID token")
	for _, want := range []string{"provider  " + idp.Issuer + "\n", "iss=" + idp.Issuer, "login=", "prompt="} {
		if !strings.Contains(out, want) {
			t.Errorf("%q is missing", want)
		}
	}
	for factor, acr := range map[string]string{"pin": "aal1", "biometric": "aal2"} {
		out := keepsSecrets(t, demo.Options{Provider: &who, JSON: true, Factor: factor})
		checkClaims(t, out, acr)
	}
}

// The provider's word is checked there as everywhere.
func TestStoryAtACertifiedProviderFails(t *testing.T) {
	t.Parallel()
	idp := certified.Open(t, os.Getenv)
	for name, c := range map[string]struct {
		step   int
		change func(*demo.Provider)
	}{
		"somebody else is linked":  {15, func(p *demo.Provider) { p.Subject = "joan-upstream" }},
		"somebody else signs on":   {15, func(p *demo.Provider) { p.Username = "joan-upstream" }},
		"another client secret":    {5, func(p *demo.Provider) { p.ClientSecret = strings.Repeat("x", 43) }},
		"no refresh token was due": {14, func(p *demo.Provider) { p.OfflineOnly = true }},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			who := jane(idp)
			c.change(&who)
			out, err := play(t, demo.Options{Provider: &who})
			var failed *demo.StepError
			if !errors.As(err, &failed) || failed.Run != 1 || failed.Step != c.step {
				t.Errorf("want step %d, got %v\n%s", c.step, err, out)
			}
		})
	}
}

func TestIncompleteProviders(t *testing.T) {
	t.Parallel()
	for name, change := range map[string]func(*demo.Provider){
		"issuer":   func(p *demo.Provider) { p.Issuer = "" },
		"secret":   func(p *demo.Provider) { p.ClientSecret = "" },
		"user":     func(p *demo.Provider) { p.Username = "" },
		"password": func(p *demo.Provider) { p.Password = "" },
		"subject":  func(p *demo.Provider) { p.Subject = "" },
	} {
		who := jane(&certified.Provider{Issuer: "http://127.0.0.1:1", ClientSecret: "s"})
		change(&who)
		if out, err := play(t, demo.Options{Provider: &who}); err == nil || out != "" {
			t.Errorf("without a %s: %v %s", name, err, out)
		}
	}
}
