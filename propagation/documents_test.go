package propagation_test

import (
	"crypto"
	"crypto/elliptic"
	"encoding/base64"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"

	"github.com/coreos/go-oidc/v3/oidc"
	"github.com/go-jose/go-jose/v4"
	"github.com/google/go-cmp/cmp"

	"github.com/stile-auth/stile/propagation"
)

func p256() elliptic.Curve { return elliptic.P256() }

func documents(t testing.TB, set *propagation.KeySet, iss string) *http.ServeMux {
	t.Helper()
	handlers, err := propagation.Documents(t.Context(), propagation.DocumentsConfig{
		Issuer: iss, Keys: set, ACRValues: acrValues([]string{"aal1", "aal2"}...), DPoPAlgorithms: []string{"ES256"},
	})
	if err != nil {
		t.Fatal(err)
	}
	mux := http.NewServeMux()
	for path, h := range handlers {
		mux.Handle(path, h)
	}
	return mux
}

func get(t testing.TB, h http.Handler, method, path string, header ...string) *http.Response {
	t.Helper()
	r := httptest.NewRequestWithContext(t.Context(), method, path, nil)
	for i := 0; i+1 < len(header); i += 2 {
		r.Header.Set(header[i], header[i+1])
	}
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	return w.Result()
}

func body(t testing.TB, r *http.Response) string {
	t.Helper()
	b, err := io.ReadAll(r.Body)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

func TestKeyDocumentIsPublicAndHasTheThumbprint(t *testing.T) {
	t.Parallel()
	active, next := newKey(t), newKey(t)
	set, err := propagation.NewKeySet(active, next)
	if err != nil {
		t.Fatal(err)
	}
	r := get(t, documents(t, set, issuer), "GET", propagation.PathKeys)
	text := body(t, r)
	var raw struct{ Keys []map[string]any }
	if err := json.Unmarshal([]byte(text), &raw); err != nil {
		t.Fatal(err)
	}
	for _, key := range raw.Keys {
		var names []string
		for name := range key {
			names = append(names, name)
		}
		slices.Sort(names)
		if diff := cmp.Diff([]string{"alg", "crv", "kid", "kty", "use", "x", "y"}, names); diff != "" {
			t.Errorf("members of a published key:\n%s", diff)
		}
	}
	var keys jose.JSONWebKeySet
	if err := json.Unmarshal([]byte(text), &keys); err != nil {
		t.Fatal(err)
	}
	if len(keys.Keys) != 2 {
		t.Fatalf("%d keys, want 2", len(keys.Keys))
	}
	for i, want := range []*propagation.Key{active, next} {
		got := keys.Keys[i]
		sum, err := got.Thumbprint(crypto.SHA256)
		if err != nil {
			t.Fatal(err)
		}
		if !got.IsPublic() || !got.Valid() || got.Algorithm != "ES256" || got.Use != "sig" ||
			got.KeyID != want.ID() || got.KeyID != b64(sum) {
			t.Errorf("key %d: %+v", i, got)
		}
	}
}

func TestDocumentsAreCacheable(t *testing.T) {
	t.Parallel()
	mux := documents(t, newSet(t), issuer)
	for _, path := range []string{propagation.PathKeys, propagation.PathOpenID, propagation.PathOAuth} {
		r := get(t, mux, "GET", path)
		tag := r.Header.Get("ETag")
		if r.StatusCode != 200 || r.Header.Get("Content-Type") != "application/json" ||
			r.Header.Get("Cache-Control") != "public, max-age=600" || len(tag) < 10 || body(t, r) == "" {
			t.Errorf("%s: %d %v", path, r.StatusCode, r.Header)
		}
		for _, match := range []string{tag, "W/" + tag, `"x", ` + tag, "*"} {
			if r := get(t, mux, "GET", path, "If-None-Match", match); r.StatusCode != 304 || body(t, r) != "" {
				t.Errorf("%s with %s: %d", path, match, r.StatusCode)
			}
		}
		if r := get(t, mux, "GET", path, "If-None-Match", `"other"`); r.StatusCode != 200 {
			t.Errorf("%s with another tag: %d", path, r.StatusCode)
		}
		if r := get(t, mux, "HEAD", path); r.StatusCode != 200 || body(t, r) != "" || r.Header.Get("Content-Length") == "" {
			t.Errorf("HEAD %s: %d", path, r.StatusCode)
		}
		if r := get(t, mux, "POST", path); r.StatusCode != 405 || r.Header.Get("Allow") != "GET, HEAD" {
			t.Errorf("POST %s: %d", path, r.StatusCode)
		}
	}
}

func TestMetadataSaysWhatExists(t *testing.T) {
	t.Parallel()
	mux := documents(t, newSet(t), issuer)
	oauth := map[string]any{
		"issuer": issuer, "jwks_uri": issuer + "/.well-known/jwks.json",
		"response_types_supported": []any{}, "grant_types_supported": []any{},
		"acr_values_supported": []any{"aal1", "aal2"}, "dpop_signing_alg_values_supported": []any{"ES256"},
	}
	openid := map[string]any{"subject_types_supported": []any{"public"}, "id_token_signing_alg_values_supported": []any{"ES256"}}
	for k, v := range oauth {
		openid[k] = v
	}
	for path, want := range map[string]map[string]any{propagation.PathOAuth: oauth, propagation.PathOpenID: openid} {
		var got map[string]any
		if err := json.Unmarshal([]byte(body(t, get(t, mux, "GET", path))), &got); err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s:\n%s", path, diff)
		}
	}
}

func TestRelyingPartyFindsTheKeysByDiscovery(t *testing.T) {
	t.Parallel()
	set := newSet(t)
	var mux *http.ServeMux
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { mux.ServeHTTP(w, r) }))
	defer server.Close()
	mux = documents(t, set, server.URL)
	b, err := propagation.NewBearerJWT(propagation.BearerConfig{Issuer: server.URL, Keys: set})
	if err != nil {
		t.Fatal(err)
	}
	provider, err := oidc.NewProvider(t.Context(), server.URL)
	if err != nil {
		t.Fatal(err)
	}
	token := propagate(t, b, identity()).Token
	config := &oidc.Config{ClientID: audience, Now: now}
	if _, err := provider.Verifier(config).Verify(t.Context(), token); err != nil {
		t.Fatal(err)
	}
	config.ClientID = "https://other.bank.example"
	if _, err := provider.Verifier(config).Verify(t.Context(), token); err == nil || !strings.Contains(err.Error(), "audience") {
		t.Errorf("another audience: %v", err)
	}
}

func TestDocumentsConfigIsChecked(t *testing.T) {
	t.Parallel()
	for name, cfg := range map[string]propagation.DocumentsConfig{
		"no issuer":     {Keys: newSet(t), ACRValues: acrValues([]string{"aal1"}...)},
		"no keys":       {Issuer: issuer, ACRValues: acrValues([]string{"aal1"}...)},
		"no acr values": {Issuer: issuer, Keys: newSet(t)},
	} {
		if _, err := propagation.Documents(t.Context(), cfg); err == nil {
			t.Errorf("%s: accepted", name)
		}
	}
}

func b64(b []byte) string { return base64.RawURLEncoding.EncodeToString(b) }

// acrValues are the levels of a deployment that never reloads.
func acrValues(values ...string) func() []string { return func() []string { return values } }

// A reload that declares a level shows it, under another tag.
func TestMetadataFollowsTheLevels(t *testing.T) {
	t.Parallel()
	values := []string{"aal1"}
	docs, err := propagation.Documents(t.Context(), propagation.DocumentsConfig{Issuer: "https://stile.example", Keys: newSet(t), ACRValues: func() []string { return values }})
	if err != nil {
		t.Fatal(err)
	}
	for _, path := range []string{propagation.PathOAuth, propagation.PathOpenID} {
		values = []string{"aal1"}
		before := httptest.NewRecorder()
		docs[path].ServeHTTP(before, httptest.NewRequestWithContext(t.Context(), http.MethodGet, path, nil))
		values = []string{"aal1", "gold"}
		after := httptest.NewRecorder()
		docs[path].ServeHTTP(after, httptest.NewRequestWithContext(t.Context(), http.MethodGet, path, nil))
		if !strings.Contains(after.Body.String(), `"acr_values_supported":["aal1","gold"]`) || strings.Contains(before.Body.String(), "gold") {
			t.Errorf("%s: %s, then %s", path, before.Body, after.Body)
		}
		if before.Header().Get("ETag") == after.Header().Get("ETag") {
			t.Errorf("%s: the tag stayed", path)
		}
	}
}
