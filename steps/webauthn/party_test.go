package webauthn_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/stile-auth/stile/steps/webauthn"
)

func TestPartyThatCannotBe(t *testing.T) {
	t.Parallel()
	good := webauthn.Party{ID: "bank.example", Name: "Bank", Origins: []string{
		"https://bank.example", "https://login.bank.example:8443", "android:apk-key-hash:47DEQpj8HBSa-_TImW-5JCeuQeRkm5NMpJWZG3hSuFU",
	}}
	if err := good.Check(); err != nil {
		t.Error(err)
	}
	if err := (webauthn.Party{ID: "localhost", Name: "here", Origins: []string{"http://localhost:8080"}}).Check(); err != nil {
		t.Error(err)
	}
	for name, edit := range map[string]func(*webauthn.Party){
		"no id":             func(p *webauthn.Party) { p.ID = "" },
		"an address":        func(p *webauthn.Party) { p.ID = "192.0.2.1"; p.Origins = []string{"https://192.0.2.1"} },
		"an origin":         func(p *webauthn.Party) { p.ID = "https://bank.example" },
		"a hyphen first":    func(p *webauthn.Party) { p.ID = "-bank.example"; p.Origins = []string{"https://-bank.example"} },
		"an empty label":    func(p *webauthn.Party) { p.ID = "bank..example"; p.Origins = []string{"https://bank..example"} },
		"a long label":      func(p *webauthn.Party) { p.ID = strings.Repeat("x", 64); p.Origins = []string{"https://" + p.ID} },
		"upper case":        func(p *webauthn.Party) { p.ID = "Bank.example" },
		"no name":           func(p *webauthn.Party) { p.Name = "" },
		"no origin":         func(p *webauthn.Party) { p.Origins = nil },
		"another site":      func(p *webauthn.Party) { p.Origins = []string{"https://evil.example"} },
		"a suffix":          func(p *webauthn.Party) { p.Origins = []string{"https://evilbank.example"} },
		"without TLS":       func(p *webauthn.Party) { p.Origins = []string{"http://bank.example"} },
		"with a path":       func(p *webauthn.Party) { p.Origins = []string{"https://bank.example/"} },
		"with a user":       func(p *webauthn.Party) { p.Origins = []string{"https://x@bank.example"} },
		"upper case origin": func(p *webauthn.Party) { p.Origins = []string{"https://BANK.example"} },
		"a short hash":      func(p *webauthn.Party) { p.Origins = []string{"android:apk-key-hash:AAAA"} },
		"hash in hex":       func(p *webauthn.Party) { p.Origins = []string{"android:apk-key-hash:e3:b0:c4"} },
		"an extension":      func(p *webauthn.Party) { p.Origins = []string{"chrome-extension://bank.example"} },
	} {
		p := good
		edit(&p)
		if err := p.Check(); !errors.Is(err, webauthn.ErrParty) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestDefault(t *testing.T) {
	t.Parallel()
	for origin, want := range map[string]webauthn.Party{
		"https://id.bank.example":      {ID: "id.bank.example", Name: "id.bank.example", Origins: []string{"https://id.bank.example"}},
		"https://id.bank.example:8443": {ID: "id.bank.example", Name: "id.bank.example", Origins: []string{"https://id.bank.example:8443"}},
		"http://127.0.0.1:8080":        {ID: "localhost", Name: "localhost", Origins: []string{"http://localhost:8080"}},
		"http://[::1]:8080":            {ID: "localhost", Name: "localhost", Origins: []string{"http://localhost:8080"}},
	} {
		got := webauthn.Default(origin)
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s: -want +got:\n%s", origin, diff)
		}
		if err := got.Check(); err != nil {
			t.Errorf("%s: %v", origin, err)
		}
	}
	if err := webauthn.Default("http://192.0.2.1:80").Check(); !errors.Is(err, webauthn.ErrParty) {
		t.Errorf("an address: %v", err)
	}
}

func TestMetadataThatCannotBe(t *testing.T) {
	t.Parallel()
	for name, text := range map[string]string{
		"no JSON": "{", "nothing": "{}", "a date of no form": `{"no":1,"nextUpdate":"soon","entries":[]}`,
		"nobody": `{"no":1,"nextUpdate":"2099-01-01","entries":[]}`,
	} {
		if _, err := webauthn.ReadMetadata([]byte(text)); err == nil {
			t.Errorf("%s: read", name)
		}
	}
}

// No answer, however it is made, is more than refused.
func FuzzAnswers(f *testing.F) {
	f.Add([]byte(`{"id":"AAAA","rawId":"AAAA","type":"public-key","response":{"clientDataJSON":"e30","authenticatorData":"AAAA","signature":""}}`))
	f.Add([]byte(`{"id":"AAAA","rawId":"AAAA","type":"public-key","response":{"clientDataJSON":"e30","attestationObject":"o2NmbXRkbm9uZWdhdHRTdG10oGhhdXRoRGF0YUA"}}`))
	want := webauthn.Want{Party: webauthn.Party{ID: "bank.example", Name: "Bank", Origins: []string{"https://bank.example"}}, Challenge: "x"}
	f.Fuzz(func(t *testing.T, text []byte) {
		var refused webauthn.Refusal
		if a, err := webauthn.ParseAssertion(text); err == nil {
			if _, err := a.Verify(nil, want); !errors.As(err, &refused) {
				t.Errorf("assertion: %v", err)
			}
		}
		if c, err := webauthn.ParseCreation(text); err == nil {
			if _, err := c.Verify(t.Context(), want, webauthn.Policy{Algorithms: []int{-7}}); !errors.As(err, &refused) {
				t.Errorf("creation: %v", err)
			}
		}
	})
}
