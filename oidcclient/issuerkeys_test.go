package oidcclient_test

import (
	"context"
	"crypto"
	"encoding/base64"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stile-auth/stile/oidcclient"
	"github.com/stile-auth/stile/oidcclient/oidctest"
)

// published is somebody who verifies other tokens of the issuer.
type published struct {
	*oidcclient.Keys
	w *world
}

func newPublished(t testing.TB, w *world, address string) published {
	t.Helper()
	keys, err := oidcclient.NewKeys(oidcclient.KeysConfig{
		Issuer: w.Issuer(), Address: address, Network: oidcclient.Loopback, Transport: w.wire, Now: w.clock.Now, Timeout: time.Second,
	})
	if err != nil {
		t.Fatal(err)
	}
	return published{keys, w}
}

// kid is that of the key that signs now.
func (p published) kid(t testing.TB) string {
	t.Helper()
	tokens, err := p.w.SignOnNatively(oidctest.Native{Client: "stile", Username: oidctest.DefaultUser().Username})
	if err != nil {
		t.Fatal(err)
	}
	head, err := base64.RawURLEncoding.DecodeString(tokens.ID[:strings.Index(tokens.ID, ".")])
	if err != nil {
		t.Fatal(err)
	}
	var h struct{ KID string }
	if err := json.Unmarshal(head, &h); err != nil {
		t.Fatal(err)
	}
	return h.KID
}

func (p published) finds(t testing.TB, kid, alg string) crypto.PublicKey {
	t.Helper()
	key, err := p.Find(t.Context(), kid, alg)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

func (p published) unavailable(t testing.TB, kid string) {
	t.Helper()
	if key, err := p.Find(t.Context(), kid, "ES256"); key != nil || !errors.Is(err, oidcclient.ErrUnavailable) {
		t.Errorf("%v %v, want %v", key, err, oidcclient.ErrUnavailable)
	}
}

func TestPublishedKeys(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	for name, p := range map[string]published{"by its metadata": newPublished(t, w, ""), "by its address": newPublished(t, w, w.Issuer()+"/jwks")} {
		kid := p.kid(t)
		if p.finds(t, kid, "ES256") == nil || p.finds(t, "", "ES256") == nil {
			t.Errorf("%s: the key is not found", name)
		}
		for _, other := range [][2]string{{kid, "ES384"}, {kid, "EdDSA"}, {kid, "none"}, {kid, "HS256"}, {kid, ""}, {"unknown", "ES256"}} {
			if p.finds(t, other[0], other[1]) != nil {
				t.Errorf("%s: a key for %v", name, other)
			}
		}
	}
}

// A key that is new is looked for, at intervals; tokens of nobody's keys cost the
// issuer no more than that.
func TestPublishedKeysTurnOver(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	p := newPublished(t, w, "")
	old := p.kid(t)
	p.finds(t, old, "ES256")
	if err := w.RotateKeys(); err != nil {
		t.Fatal(err)
	}
	if p.finds(t, p.kid(t), "ES256") == nil || p.finds(t, old, "ES256") == nil {
		t.Error("a key is not found after the turn")
	}
	calls := w.Calls(oidctest.EndpointJWKS)
	for range 50 {
		p.finds(t, "unknown", "ES256")
	}
	if n := w.Calls(oidctest.EndpointJWKS) - calls; n > 1 {
		t.Errorf("%d fetches for keys that there are not", n)
	}
	w.wantCalls(t, oidctest.EndpointDiscovery, 1)
}

// An issuer that is down: what was known is used while it lasts, nobody hammers on it,
// and nothing that cannot be known is said.
func TestPublishedKeysOfAnIssuerThatIsDown(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	p := newPublished(t, w, "")
	w.Down()
	p.unavailable(t, "k")
	w.Up()
	p.unavailable(t, "k") // not asked again at once
	w.clock.advance(time.Minute)
	kid := p.kid(t)
	if p.finds(t, kid, "ES256") == nil {
		t.Error("the issuer is back, and its key is not found")
	}
	w.Down()
	w.clock.advance(11 * time.Minute)
	if p.finds(t, kid, "ES256") == nil {
		t.Error("the key was known")
	}
	p.unavailable(t, "new") // perhaps there is one by now
	w.clock.advance(time.Hour)
	p.unavailable(t, kid)
}

func TestPublishedKeysAreFetchedOnce(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	p := newPublished(t, w, "")
	gate := oidctest.NewGate()
	w.Misbehave(gate.Hold(oidctest.EndpointJWKS))
	var wg sync.WaitGroup
	gone, leave := context.WithCancel(t.Context())
	for i := range 20 {
		wg.Go(func() {
			ctx := t.Context()
			if i == 0 {
				ctx = gone
			}
			if _, err := p.Find(ctx, "", "ES256"); err != nil && i != 0 {
				t.Error(err)
			}
		})
	}
	<-gate.Held()
	leave() // who gives up takes nobody along
	gate.Release()
	wg.Wait()
	w.wantCalls(t, oidctest.EndpointJWKS, 1)
}

// Metadata that name another issuer, no key set, or one in the open lead to no keys;
// and what an issuer does not have beside its keys does not matter.
func TestMetadataOfKeys(t *testing.T) {
	t.Parallel()
	discovery := oidctest.EndpointDiscovery
	for name, fault := range map[string]oidctest.Fault{
		"another issuer":     oidctest.SetMember(discovery, "issuer", "https://elsewhere.example"),
		"no issuer":          oidctest.DropMembers(discovery, "issuer"),
		"two issuers":        oidctest.DoubleMember(discovery, "issuer", "https://elsewhere.example"),
		"no key set":         oidctest.DropMembers(discovery, "jwks_uri"),
		"keys in the open":   oidctest.SetMember(discovery, "jwks_uri", "http://keys.example/jwks"),
		"keys in a file":     oidctest.SetMember(discovery, "jwks_uri", "file:///etc/keys"),
		"elsewhere":          oidctest.RedirectTo(discovery, "http://169.254.169.254/"),
		"keys elsewhere":     oidctest.RedirectTo(oidctest.EndpointJWKS, "http://169.254.169.254/"),
		"endless":            oidctest.Endless(discovery),
		"keys without end":   oidctest.Endless(oidctest.EndpointJWKS),
		"too many keys":      oidctest.ManyKeys(300),
		"no metadata at all": oidctest.Status(discovery, http.StatusNotFound),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			w.Misbehave(fault)
			newPublished(t, w, "").unavailable(t, "k")
		})
	}
	w := newWorld(t)
	w.Misbehave(oidctest.DropMembers(discovery, "authorization_endpoint", "token_endpoint", "userinfo_endpoint"))
	if newPublished(t, w, "").finds(t, "", "ES256") == nil {
		t.Error("an issuer that only signs")
	}
}

// serving is an issuer that is asked by its own name; what it does not have is 404.
func serving(t *testing.T, documents map[string]string) *oidcclient.Keys {
	t.Helper()
	keys, err := oidcclient.NewKeys(oidcclient.KeysConfig{
		Issuer: "https://auth.example/bank", Now: newWorld(t).clock.Now,
		Transport: roundTrip(func(r *http.Request) (*http.Response, error) {
			a := &http.Response{StatusCode: http.StatusNotFound, Header: http.Header{"Content-Type": {"application/json"}}, Body: http.NoBody}
			if text, ok := documents[r.URL.String()]; ok {
				a.StatusCode, a.Body = http.StatusOK, io.NopCloser(strings.NewReader(text))
			}
			return a, nil
		}),
	})
	if err != nil {
		t.Fatal(err)
	}
	return keys
}

type roundTrip func(*http.Request) (*http.Response, error)

func (f roundTrip) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

// An issuer with a path, without OpenID Connect (RFC 8414 §3.1), and one whose keys
// would come over a wire that anybody can write on.
func TestMetadataOfOAuth(t *testing.T) {
	t.Parallel()
	const metadata = "https://auth.example/.well-known/oauth-authorization-server/bank"
	good := serving(t, map[string]string{
		metadata:                    `{"issuer":"https://auth.example/bank","jwks_uri":"https://auth.example/keys"}`,
		"https://auth.example/keys": `{"keys":[]}`,
	})
	if key, err := good.Find(t.Context(), "k", "ES256"); key != nil || err != nil {
		t.Errorf("%v %v", key, err)
	}
	open := serving(t, map[string]string{
		metadata:                   `{"issuer":"https://auth.example/bank","jwks_uri":"http://auth.example/keys"}`,
		"http://auth.example/keys": `{"keys":[]}`,
	})
	if _, err := open.Find(t.Context(), "k", "ES256"); !errors.Is(err, oidcclient.ErrUnavailable) {
		t.Errorf("keys in the open: %v", err)
	}
}

func TestNewKeys(t *testing.T) {
	t.Parallel()
	now := newWorld(t).clock.Now
	for name, c := range map[string]oidcclient.KeysConfig{
		"Issuer is not":   {Now: now},
		"Issuer must be":  {Issuer: "http://auth.example", Now: now},
		"Now is required": {Issuer: "https://auth.example"},
		"Address":         {Issuer: "https://auth.example", Address: "http://auth.example/keys", Now: now},
		"out of bounds":   {Issuer: "https://auth.example", Timeout: -1, Now: now},
	} {
		if _, err := oidcclient.NewKeys(c); err == nil || !strings.Contains(err.Error(), name) {
			t.Errorf("%s: %v", name, err)
		}
	}
}
