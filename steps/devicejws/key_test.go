package devicejws_test

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"encoding/json"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/stile-auth/stile/steps/devicejws"
)

// The key of RFC 7515 §A.3, and the SHA-256 of the text that RFC 7638 §3.2
// prescribes for it, computed outside of Go.
const (
	rfcX = "f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU"
	rfcY = "x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0"
	rfcT = "oKIywvGUpTVTyxMQ3bwIIeQUudfr_CkLMjCE19ECD-U"
)

func TestKeyVector(t *testing.T) {
	t.Parallel()
	key, err := devicejws.ParseKey([]byte(`{"y":"` + rfcY + `","kty":"EC","crv":"P-256","x":"` + rfcX + `"}`))
	if err != nil {
		t.Fatal(err)
	}
	if key.ID() != rfcT {
		t.Errorf("thumbprint %s, want %s", key.ID(), rfcT)
	}
	data, err := json.Marshal(key)
	if err != nil {
		t.Fatal(err)
	}
	again, err := devicejws.ParseKey(data)
	if err != nil || again.ID() != key.ID() {
		t.Errorf("round trip of %s: %v, %v", data, again.ID(), err)
	}
}

func TestBadKeysAreRefused(t *testing.T) {
	t.Parallel()
	jwk := func(kty, crv, x, y, more string) string {
		return `{"kty":"` + kty + `","crv":"` + crv + `","x":"` + x + `","y":"` + y + `"` + more + `}`
	}
	zero := strings.Repeat("A", 43)
	for name, c := range map[string]struct {
		jwk  string
		want devicejws.Refusal
	}{
		"private part":      {jwk("EC", "P-256", rfcX, rfcY, `,"d":"jpsQnnGQmL-YBIffH1136cspYG6-0iY7X1fCE9-E9LI"`), devicejws.Malformed},
		"another type":      {jwk("OKP", "P-256", rfcX, rfcY, ""), devicejws.WrongKey},
		"another curve":     {jwk("EC", "P-384", rfcX, rfcY, ""), devicejws.WrongKey},
		"off the curve":     {jwk("EC", "P-256", rfcY, rfcX, ""), devicejws.WrongKey},
		"point at infinity": {jwk("EC", "P-256", zero, zero, ""), devicejws.WrongKey},
		"short coordinate":  {jwk("EC", "P-256", rfcX[:40], rfcY, ""), devicejws.WrongKey},
		"stray bits":        {jwk("EC", "P-256", rfcX[:42]+"V", rfcY, ""), devicejws.WrongKey},
		"two x":             {jwk("EC", "P-256", rfcX, rfcY, `,"x":"`+rfcX+`"`), devicejws.Malformed},
		"no y":              {`{"kty":"EC","crv":"P-256","x":"` + rfcX + `"}`, devicejws.Malformed},
		"null":              {"null", devicejws.Malformed},
	} {
		if _, err := devicejws.ParseKey([]byte(c.jwk)); !errors.Is(err, c.want) {
			t.Errorf("%s: got %v, want %v", name, err, c.want)
		}
	}
}

func TestNewKeyTakesP256Only(t *testing.T) {
	t.Parallel()
	k, err := ecdsa.GenerateKey(elliptic.P384(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	for name, public := range map[string]*ecdsa.PublicKey{"P-384": &k.PublicKey, "nil": nil} {
		if _, err := devicejws.NewKey(public); !errors.Is(err, devicejws.WrongKey) {
			t.Errorf("%s: got %v", name, err)
		}
	}
	if _, err := json.Marshal(devicejws.Key{}); err == nil {
		t.Error("a key that is none was written")
	}
}

func TestChallenge(t *testing.T) {
	t.Parallel()
	at := time.Date(2026, 3, 1, 12, 0, 0, 999, time.UTC)
	a, b := devicejws.NewChallenge(at), devicejws.NewChallenge(at)
	if a.Nonce == b.Nonce || len(a.Nonce) != 43 {
		t.Errorf("challenges %q and %q: want 32 random bytes each", a.Nonce, b.Nonce)
	}
	if want := time.Date(2026, 3, 1, 12, 2, 0, 0, time.UTC); !a.Expires.Equal(want) {
		t.Errorf("expires %v, want %v", a.Expires, want)
	}
}

func FuzzOpen(f *testing.F) {
	f.Add("a.b.c")
	f.Add("eyJ0eXAiOiJkZXZhdXRoK2p3dCIsImFsZyI6IkVTMjU2Iiwia2lkIjoieCJ9.e30.AAAA")
	f.Fuzz(func(t *testing.T, compact string) {
		if _, err := devicejws.OpenBinding(compact, "x", want); err == nil {
			t.Error("a binding was made up")
		}
		if _, err := devicejws.ParseAuthentication(compact); err == nil && !bytes.Contains([]byte(compact), []byte(".")) {
			t.Error("not a compact JWS")
		}
	})
}
