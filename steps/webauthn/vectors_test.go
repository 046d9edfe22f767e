package webauthn_test

import (
	"bytes"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"os"
	"slices"
	"testing"

	"github.com/stile-auth/stile/steps/webauthn"
)

// vector is one of the test vectors of Web Authentication Level 3 §16, in
// hexadecimal. Their party is example.org, and their origin https://example.org.
type vector struct {
	Section, Title string
	CredentialID   hexText
	Registration   struct{ Challenge, ClientDataJSON, AttestationObject hexText }
	Authentication struct{ Challenge, ClientDataJSON, AuthenticatorData, Signature, PublicKey hexText }
}

type hexText []byte

func (h *hexText) UnmarshalJSON(text []byte) (err error) {
	var s string
	if err := json.Unmarshal(text, &s); err != nil {
		return err
	}
	*h, err = hex.DecodeString(s)
	return err
}

func b64(b []byte) string { return base64.RawURLEncoding.EncodeToString(b) }

// credential is what a browser gives for a credential, with what its answer consists of.
func (v vector) credential(response map[string]string) []byte {
	text, _ := json.Marshal(map[string]any{
		"id": b64(v.CredentialID), "rawId": b64(v.CredentialID), "type": "public-key", "response": response, "clientExtensionResults": struct{}{},
	})
	return text
}

func (v vector) created() []byte {
	return v.credential(map[string]string{
		"clientDataJSON": b64(v.Registration.ClientDataJSON), "attestationObject": b64(v.Registration.AttestationObject),
	})
}

func (v vector) used() []byte {
	return v.credential(map[string]string{
		"clientDataJSON": b64(v.Authentication.ClientDataJSON), "authenticatorData": b64(v.Authentication.AuthenticatorData),
		"signature": b64(v.Authentication.Signature),
	})
}

func vectors(t *testing.T) []vector {
	t.Helper()
	text, err := os.ReadFile("testdata/level3.json")
	if err != nil {
		t.Fatal(err)
	}
	var all []vector
	if err := json.Unmarshal(text, &all); err != nil || len(all) < 14 {
		t.Fatalf("%d vectors, %v", len(all), err)
	}
	return all
}

// everything lets all algorithms through that the vectors have.
var everything = webauthn.Policy{Algorithms: []int{-7, -8, -35, -36, -257}}

func want(challenge []byte) webauthn.Want {
	return webauthn.Want{
		Party:     webauthn.Party{ID: "example.org", Name: "example", Origins: []string{"https://example.org"}},
		Challenge: b64(challenge),
	}
}

func (v vector) register(t *testing.T, p webauthn.Policy) (webauthn.Created, error) {
	t.Helper()
	c, err := webauthn.ParseCreation(v.created())
	if err != nil {
		return webauthn.Created{}, err
	}
	return c.Verify(t.Context(), want(v.Registration.Challenge), p)
}

func (v vector) authenticate() error {
	a, err := webauthn.ParseAssertion(v.used())
	if err != nil {
		return err
	}
	_, err = a.Verify(v.Authentication.PublicKey, want(v.Authentication.Challenge))
	return err
}

// framed are the vectors that were made in a frame of another site.
var framed = []string{"16.4", "16.5"}

// What the specification says is right is taken. Statements of makers that nobody
// trusts here are not: those of the vectors are made up.
func TestSpecificationVectors(t *testing.T) {
	t.Parallel()
	for _, v := range vectors(t) {
		made, err := v.register(t, everything)
		used := v.authenticate()
		switch {
		case slices.Contains(framed, v.Section):
			if !errors.Is(err, webauthn.CrossOrigin) || !errors.Is(used, webauthn.CrossOrigin) {
				t.Errorf("§%s %s: %v, %v", v.Section, v.Title, err, used)
			}
			continue
		case slices.Contains([]string{"16.13", "16.14", "16.15"}, v.Section):
			if !errors.Is(err, webauthn.NotAttested) {
				t.Errorf("§%s %s: %v", v.Section, v.Title, err)
			}
		case err != nil || !slices.Equal(made.Credential, v.CredentialID) || !slices.Equal(made.Key, v.Authentication.PublicKey) || made.Attested:
			t.Errorf("§%s %s: %v %+v", v.Section, v.Title, err, made)
		}
		if used != nil {
			t.Errorf("§%s %s: authentication: %v", v.Section, v.Title, used)
		}
	}
}

// An algorithm that was not asked for is refused, however good it is.
func TestSpecificationVectorsOfOtherAlgorithms(t *testing.T) {
	t.Parallel()
	for _, v := range vectors(t) {
		if slices.Contains(framed, v.Section) {
			continue
		}
		if _, err := v.register(t, webauthn.Policy{Algorithms: []int{-65535}}); !errors.Is(err, webauthn.WrongAlgorithm) {
			t.Errorf("§%s %s: %v", v.Section, v.Title, err)
		}
	}
}

// Every bit that is signed counts: each byte of an answer, changed in one bit, is refused.
func TestSpecificationVectorsChanged(t *testing.T) {
	t.Parallel()
	for _, v := range vectors(t) {
		if slices.Contains(framed, v.Section) {
			continue
		}
		for name, part := range map[string]hexText{
			"clientDataJSON": v.Authentication.ClientDataJSON, "authenticatorData": v.Authentication.AuthenticatorData, "signature": v.Authentication.Signature,
		} {
			for i := range part {
				bit := byte(1) << (i % 8)
				part[i] ^= bit
				if err := v.authenticate(); err == nil {
					t.Errorf("§%s %s: %s with another byte %d is taken", v.Section, v.Title, name, i)
				}
				part[i] ^= bit
			}
		}
	}
}

// The same for a creation whose own key vouches for it (§8.2). The names of the
// object's members are signed by nobody, and CBOR readers take them in any letter case.
func TestSpecificationCreationChanged(t *testing.T) {
	t.Parallel()
	all := vectors(t)
	v := all[slices.IndexFunc(all, func(v vector) bool { return v.Section == "16.3" })]
	for name, part := range map[string]hexText{"clientDataJSON": v.Registration.ClientDataJSON, "attestationObject": v.Registration.AttestationObject} {
		for i := range part {
			bit := byte(1) << (i % 8)
			part[i] ^= bit
			_, err := v.register(t, everything)
			if err == nil && !otherCase(part, "attStmt") && !otherCase(part, "authData") {
				t.Errorf("%s with another byte %d is taken", name, i)
			}
			part[i] ^= bit
		}
	}
}

// otherCase says whether a text has a name in another letter case.
func otherCase(text []byte, name string) bool {
	return !bytes.Contains(text, []byte(name)) && bytes.Contains(bytes.ToLower(text), bytes.ToLower([]byte(name)))
}
